// SPDX-License-Identifier: MIT

/// Commands of workers on jobs.
extension Engine {
    /// `reserve` and `reserve-with-timeout`.
    ///
    /// A job wins over `DEADLINE_SOON`, and that over `TIMED_OUT`.
    mutating func reserve(
        _ session: UnsafeMutablePointer<SessionRecord>, _ client: UInt32, until deadline: Instant,
        hasTimeout: Bool = false
    ) -> Verdict {
        if !hasTimeout { counters.reserve += 1 }
        becomeWorker(session)
        let watched = watchSet(session.pointee.watched)
        if let slot = pick(watched) {
            give(slot, to: client, for: watched)
        } else if session.pointee.marginStart <= now {
            push(.deadlineSoon, to: client)
        } else if deadline <= now {
            push(.timedOut, to: client)
        } else {
            startWaiting(client, until: deadline)
            return .wait
        }
        return .next
    }

    private mutating func becomeWorker(_ session: UnsafeMutablePointer<SessionRecord>) {
        guard !session.pointee.isWorker else { return }
        session.pointee.isWorker = true
        workerCount += 1
    }

    mutating func reserveJob(_ id: JobID, _ client: UInt32) {
        guard let slot = index.slot(of: id), jobs[slot].pointee.state != .reserved else {
            push(.notFound, to: client)
            return
        }
        becomeWorker(sessions[client])
        let wasReady = jobs[slot].pointee.state == .ready
        leaveQueue(slot)
        scheduler.reservedByID(readyJob(slot))
        startReservation(slot, client, takesToken: false)
        // Once reserved it comes back ready, whatever happens: the store must not bring it back buried or delayed.
        if !wasReady { log(update: slot) }
    }

    mutating func delete(_ id: JobID, _ client: UInt32) {
        counters.delete += 1
        guard let slot = index.slot(of: id) else {
            push(.notFound, to: client)
            return
        }
        let job = jobs[slot]
        let tube = job.pointee.tube.index
        var freesTube = false
        if job.pointee.state == .reserved {
            guard job.pointee.link == client else {
                push(.notFound, to: client)
                return
            }
            freesTube = endReservation(slot, .deleted)
        } else {
            leaveQueue(slot)
        }
        tubes[tube].pointee.deletes += 1
        log(delete: slot)
        push(.deleted, to: client)
        // As long as the job is there, its tube is.
        if freesTube { serve(tube) }
        forget(slot)
    }

    mutating func release(_ id: JobID, _ priority: UInt32, _ delay: UInt32, _ client: UInt32) {
        counters.release += 1
        guard let slot = slot(reservedBy: client, id) else { return }
        let job = jobs[slot]
        let freesTube = endReservation(slot, .released)
        job.pointee.priority = priority
        job.pointee.delay = delay
        count(.releases, of: slot)
        if tubes[job.pointee.tube.index].pointee.countsFailures, exhaustsRetries(slot) {
            push(.released, to: client)
            putAside(slot)
            return
        }
        if delay > 0 {
            makeDelayed(slot)
        } else {
            makeReady(slot)
        }
        log(update: slot)
        push(.released, to: client)
        if delay == 0 {
            offer(slot)
        } else if freesTube {
            serve(job.pointee.tube.index)
        }
    }

    mutating func bury(_ id: JobID, _ priority: UInt32, _ client: UInt32) {
        counters.bury += 1
        guard let slot = slot(reservedBy: client, id) else { return }
        let job = jobs[slot]
        let freesTube = endReservation(slot, .buried)
        job.pointee.priority = priority
        count(.buries, of: slot)
        makeBuried(slot)
        log(update: slot)
        push(.buried, to: client)
        if freesTube { serve(job.pointee.tube.index) }
    }

    mutating func touch(_ id: JobID, _ client: UInt32) {
        counters.touch += 1
        guard let slot = slot(reservedBy: client, id) else { return }
        let job = jobs[slot]
        let session = sessions[client]
        var entry = session.pointee.reservations[job.pointee.place]
        entry.earlierMilliseconds = UInt32(clamping: serviceNanoseconds(entry, ttr: job.pointee.ttr) / 1_000_000)
        entry.deadline = now.advanced(bySeconds: job.pointee.ttr)
        session.pointee.reservations.replace(at: job.pointee.place, with: entry) { jobs[$0.slot].pointee.place = $1 }
        push(.touched, to: client)
    }

    /// Answers a `peek`: the job with its body, or `NOT_FOUND`.
    mutating func show(_ slot: UInt32?, _ client: UInt32) {
        guard let slot, let body = jobs[slot].pointee.body else {
            push(.notFound, to: client)
            return
        }
        body.retain()
        push(.found(jobs[slot].pointee.id, body), to: client)
    }

    /// The slot of a job that the client has reserved; answers `NOT_FOUND` if it hasn't.
    private mutating func slot(reservedBy client: UInt32, _ id: JobID) -> UInt32? {
        if let slot = index.slot(of: id), jobs[slot].pointee.state == .reserved, jobs[slot].pointee.link == client {
            return slot
        }
        push(.notFound, to: client)
        return nil
    }

    /// From ready, delayed or buried: to no state.
    mutating func leaveQueue(_ slot: UInt32) {
        switch jobs[slot].pointee.state {
        case .ready: leaveReady(slot)
        case .delayed: leaveDelays(slot)
        case .buried: leaveBuried(slot)
        case .incoming, .reserved: preconditionFailure("the job is in no queue")
        }
    }
}
