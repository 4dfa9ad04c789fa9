// SPDX-License-Identifier: MIT

/// The moves of a job between its states. Each leaves all counts and queues right; none tells the store or a client.
extension Engine {
    /// What the scheduler is told of a job.
    ///
    /// Made before the call, not in it: an argument that is made when the scheduler was loaded already has it retained
    /// and released, two atomic operations a call and 7 % of the processor time with 64 requests in flight.
    @inline(__always)
    func readyJob(_ slot: UInt32) -> ReadyJob {
        let job = jobs[slot]
        return ReadyJob(
            slot: JobSlot(slot), tube: job.pointee.tube, id: job.pointee.id, priority: job.pointee.priority,
            createdAt: job.pointee.createdAt)
    }

    /// From no state: into the ready queue of its tube.
    ///
    /// Waiters aren't served yet (`serve`).
    mutating func makeReady(_ slot: UInt32) {
        let job = jobs[slot]
        let tube = tubes[job.pointee.tube.index]
        job.pointee.state = .ready
        tube.pointee.ready += 1
        totals.ready += 1
        if job.pointee.priority < ProtocolLimits.urgentPriority {
            tube.pointee.urgent += 1
            totals.urgent += 1
        }
        if tube.pointee.hasTTL { enterExpiries(slot) }
        let ready = readyJob(slot)
        scheduler.ready(ready)
    }

    /// From ready: to no state.
    ///
    /// The caller tells the scheduler.
    private mutating func countOutReady(_ slot: UInt32) {
        let job = jobs[slot]
        let tube = tubes[job.pointee.tube.index]
        if tube.pointee.hasTTL { leaveExpiries(slot) }
        tube.pointee.ready -= 1
        totals.ready -= 1
        if job.pointee.priority < ProtocolLimits.urgentPriority {
            tube.pointee.urgent -= 1
            totals.urgent -= 1
        }
    }

    /// From no state: into the delay queue of its tube, for as long as its delay says.
    mutating func makeDelayed(_ slot: UInt32) {
        let deadline = now.advanced(bySeconds: jobs[slot].pointee.delay)
        enterDelays(slot, until: deadline)
    }

    /// From no state: into the delay queue of its tube.
    mutating func enterDelays(_ slot: UInt32, until deadline: Instant) {
        let job = jobs[slot]
        let tube = tubes[job.pointee.tube.index]
        job.pointee.state = .delayed
        totals.delayed += 1
        let entry = DeadlineEntry(deadline: deadline, id: job.pointee.id, slot: slot)
        tube.pointee.delays.insert(entry) { jobs[$0.slot].pointee.place = $1 }
        armTube(job.pointee.tube.index)
    }

    /// From delayed: to no state.
    mutating func leaveDelays(_ slot: UInt32) {
        let job = jobs[slot]
        let tube = tubes[job.pointee.tube.index]
        totals.delayed -= 1
        tube.pointee.delays.remove(at: job.pointee.place) { jobs[$0.slot].pointee.place = $1 }
    }

    /// From no state: to the end of the buried jobs of its tube.
    mutating func makeBuried(_ slot: UInt32) {
        let job = jobs[slot]
        let tube = tubes[job.pointee.tube.index]
        job.pointee.state = .buried
        job.pointee.place = tube.pointee.lastBuried
        job.pointee.link = none
        if tube.pointee.lastBuried != none {
            jobs[tube.pointee.lastBuried].pointee.link = slot
        } else {
            tube.pointee.firstBuried = slot
        }
        tube.pointee.lastBuried = slot
        tube.pointee.buried += 1
        totals.buried += 1
    }

    /// From buried: to no state.
    mutating func leaveBuried(_ slot: UInt32) {
        let job = jobs[slot]
        let tube = tubes[job.pointee.tube.index]
        if job.pointee.place != none {
            jobs[job.pointee.place].pointee.link = job.pointee.link
        } else {
            tube.pointee.firstBuried = job.pointee.link
        }
        if job.pointee.link != none {
            jobs[job.pointee.link].pointee.place = job.pointee.place
        } else {
            tube.pointee.lastBuried = job.pointee.place
        }
        tube.pointee.buried -= 1
        totals.buried -= 1
    }

    /// From ready, as the scheduler's pick for the worker's watch list: to the worker, who is answered.
    mutating func give(_ slot: UInt32, to client: UInt32, for watched: WatchSet) {
        precondition(jobs[slot].pointee.state == .ready, "the scheduler picked a job that isn't ready")
        let reserved = readyJob(slot)
        scheduler.reserved(reserved, for: watched)
        countOutReady(slot)
        startReservation(slot, client, takesToken: true)
    }

    /// From no state: reserved by the worker, who is answered.
    ///
    /// It counts against the tube's concurrency; whether against its rate, too, is the caller's to say.
    mutating func startReservation(_ slot: UInt32, _ client: UInt32, takesToken: Bool) {
        let job = jobs[slot]
        let session = sessions[client]
        job.pointee.state = .reserved
        job.pointee.link = client
        sequence += 1
        job.pointee.sequence = sequence
        count(.reserves, of: slot)
        job.pointee.status.hasUnloggedCounters = true
        let tube = tubes[job.pointee.tube.index]
        tube.pointee.reserved += 1
        if tube.pointee.isLimited { countAgainstLimits(of: job.pointee.tube.index, takesToken: takesToken) }
        totals.reserved += 1
        let deadline = now.advanced(bySeconds: job.pointee.ttr)
        let entry = DeadlineEntry(deadline: deadline, id: job.pointee.id, slot: slot)
        session.pointee.reservations.insert(entry) { jobs[$0.slot].pointee.place = $1 }
        armSession(client)
        guard let body = job.pointee.body else { preconditionFailure("a reserved job has no body") }
        body.retain()
        push(.reserved(job.pointee.id, body), to: client)
    }

    /// From reserved: to no state.
    ///
    /// Answers whether the tube may be served again because of it; waiters aren't served yet (`serve`).
    @discardableResult
    mutating func endReservation(_ slot: UInt32, _ outcome: ReservationOutcome) -> Bool {
        let job = jobs[slot]
        let session = sessions[job.pointee.link]
        let entry = session.pointee.reservations.remove(at: job.pointee.place) { jobs[$0.slot].pointee.place = $1 }
        let tube = tubes[job.pointee.tube.index]
        tube.pointee.reserved -= 1
        totals.reserved -= 1
        let finished = readyJob(slot)
        let nanoseconds = serviceNanoseconds(entry, ttr: job.pointee.ttr)
        scheduler.finished(finished, outcome, serviceNanoseconds: nanoseconds)
        return tube.pointee.holds.isEmpty ? false : freeSlot(of: job.pointee.tube.index)
    }

    /// How long a job has been reserved.
    @inline(__always)
    func serviceNanoseconds(_ entry: DeadlineEntry, ttr: UInt32) -> Int64 {
        // The deadline is a time to run after the reservation or the last touch.
        let start = entry.deadline.nanoseconds - Int64(ttr) * 1_000_000_000
        return max(0, now.nanoseconds - start) + Int64(entry.earlierMilliseconds) * 1_000_000
    }

    /// From ready, without having been picked: to no state.
    mutating func leaveReady(_ slot: UInt32) {
        scheduler.removed(readyJob(slot))
        countOutReady(slot)
    }

    /// From no state: gone.
    mutating func forget(_ slot: UInt32) {
        let job = jobs[slot]
        guard let body = job.pointee.body else { preconditionFailure("a job has no body") }
        let tube = job.pointee.tube.index
        index.remove(job.pointee.id)
        jobMemory -= Self.recordBytes + BodyAllocator.footprint(ofLength: body.count)
        bodies.release(body)
        if jobs[slot].pointee.status.countsElsewhere { largeCounters[slot] = nil }
        jobs.free(slot)
        tubes[tube].pointee.jobs -= 1
        if tubes[tube].pointee.jobs == 0 { removeTubeIfUnneeded(tube) }
    }
}
