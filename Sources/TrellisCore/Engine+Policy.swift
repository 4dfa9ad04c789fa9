// SPDX-License-Identifier: MIT

/// The operator's policy for tubes: how much they take, and what becomes of jobs that fail. What isn't set costs a
/// comparison.
extension Engine {
    /// Takes over what the rule of a tube says of it.
    mutating func setPolicy(of index: UInt32, _ settings: TubeSettings) {
        let tube = tubes[index]
        tube.pointee.retries = settings.retries.map { min($0, TubeSettings.mostRetries) } ?? .max
        tube.pointee.ttl = settings.ttlNanoseconds.map { max(0, min($0, Self.longestTTL)) } ?? .max
        tube.pointee.maxJobs = settings.maxJobs ?? .max
        tube.pointee.maxJobBytes = settings.maxJobBytes ?? .max
    }

    /// Beyond it (36 years) there is no end; so times never run over.
    private static var longestTTL: Int64 { 1 << 60 }

    /// A put was refused because of the tube's policy.
    mutating func countRefusedPut(into tube: UInt32) {
        tubes[tube].pointee.outcomes.refused += 1
        outcomes.refused += 1
    }

    // MARK: Retries

    /// From no state, after a delivery that timed out or lost its connection: ready again, unless too many failed.
    ///
    /// Serves waiters.
    @inline(__always)
    mutating func takeBack(_ slot: UInt32) {
        let tube = jobs[slot].pointee.tube.index
        if tubes[tube].pointee.countsFailures, !isStopping {
            takeBackCounting(slot)
        } else {
            makeReady(slot)
            offer(slot)
        }
    }

    private mutating func takeBackCounting(_ slot: UInt32) {
        if exhaustsRetries(slot) {
            putAside(slot)
            return
        }
        makeReady(slot)
        log(update: slot)
        offer(slot)
    }

    /// Counts a failed delivery of a job in a tube that has `retries`; true where that was one too many.
    mutating func exhaustsRetries(_ slot: UInt32) -> Bool {
        let tube = tubes[jobs[slot].pointee.tube.index]
        guard countFailure(of: slot) > tube.pointee.retries else { return false }
        tube.pointee.outcomes.exhausted += 1
        outcomes.exhausted += 1
        return true
    }

    // MARK: Time to live

    /// A job has just become ready: gives its tube's jobs to those who wait for them; or has it go, where it has waited
    /// too long.
    @inline(__always)
    mutating func offer(_ slot: UInt32) {
        let tube = tubes[jobs[slot].pointee.tube.index]
        if tube.pointee.hasTTL, now.nanoseconds &- jobs[slot].pointee.createdAt.nanoseconds >= tube.pointee.ttl {
            expire(slot)
        } else {
            serve(jobs[slot].pointee.tube.index)
        }
    }

    /// From ready: to the tube of `dead-letter`, or gone.
    ///
    /// Serves waiters. Its tube may be gone, too.
    mutating func expire(_ slot: UInt32) {
        let tube = jobs[slot].pointee.tube.index
        tubes[tube].pointee.outcomes.expired += 1
        outcomes.expired += 1
        leaveReady(slot)
        if settings(of: tube).deadLetter != nil {
            putAside(slot)
            return
        }
        serve(tube)
        log(delete: slot)
        forget(slot)
    }

    /// The job of a tube with a `ttl` is ready: it goes when it has waited too long.
    mutating func enterExpiries(_ slot: UInt32) {
        let job = jobs[slot]
        let entry = DeadlineEntry(deadline: job.pointee.createdAt, id: job.pointee.id, slot: slot)
        tubes[job.pointee.tube.index].pointee.expiries.insert(entry) { jobs[$0.slot].pointee.place = $1 }
        armTube(job.pointee.tube.index)
    }

    /// The job of a tube with a `ttl` isn't ready any more.
    mutating func leaveExpiries(_ slot: UInt32) {
        let job = jobs[slot]
        tubes[job.pointee.tube.index].pointee.expiries.remove(at: job.pointee.place) {
            jobs[$0.slot].pointee.place = $1
        }
    }

    /// The rule of a tube is another one, and `setPolicy` was called; answers whether its ready jobs must be entered.
    mutating func exchangeTTL(of index: UInt32, hadTTL: Bool) -> Bool {
        let tube = tubes[index]
        if tube.pointee.hasTTL {
            armTube(index)
        } else if hadTTL {
            tube.pointee.expiries.deallocate()
        }
        return tube.pointee.hasTTL && !hadTTL && tube.pointee.ready > 0
    }

    /// Enters the ready jobs of tubes that have a `ttl` from now on.
    ///
    /// - Complexity: the number of all jobs: for a change that an operator makes.
    mutating func enterExpiries(ofTubes new: Set<UInt32>) {
        guard !new.isEmpty else { return }
        var slots: [UInt32] = []
        index.forEachSlot { slot in
            if jobs[slot].pointee.state == .ready, new.contains(jobs[slot].pointee.tube.index) { slots.append(slot) }
        }
        for slot in slots { enterExpiries(slot) }
    }

    // MARK: Dead letters

    /// From no state: to the tube of `dead-letter`; buried where there is none, or where the store has no room.
    ///
    /// Serves waiters.
    mutating func putAside(_ slot: UInt32) {
        let old = jobs[slot].pointee.tube.index
        if let target = deadLetterTube(for: slot) {
            move(slot, to: target)
            return
        }
        count(.buries, of: slot)
        makeBuried(slot)
        log(update: slot)
        serve(old)
    }

    /// The tube that the job is to be moved to; nil where it must stay.
    private mutating func deadLetterTube(for slot: UInt32) -> UInt32? {
        let old = jobs[slot].pointee.tube.index
        guard var name = settings(of: old).deadLetter, let body = jobs[slot].pointee.body else { return nil }
        return name.withUTF8 { bytes in
            let name = BorrowedName(UnsafeRawBufferPointer(bytes))
            guard BorrowedName.isValid(name.bytes), findTube(name) != old,
                storage.admit(bodyBytes: body.count, tubeNameBytes: name.bytes.count)
            else { return nil }
            return findOrMakeTube(name)
        }
    }

    /// From no state: ready in another tube, with id, priority, time to run and age as they are.
    private mutating func move(_ slot: UInt32, to target: UInt32) {
        let old = jobs[slot].pointee.tube.index
        tubes[old].pointee.outcomes.deadLettered += 1
        outcomes.deadLettered += 1
        jobs[slot].pointee.tube = TubeIndex(target)
        tubes[target].pointee.jobs += 1
        tubes[target].pointee.totalJobs += 1
        forgetFailures(of: slot)
        makeReady(slot)
        log(move: slot, from: old)
        serve(old)
        offer(slot)
        tubes[old].pointee.jobs -= 1
        if tubes[old].pointee.jobs == 0 { removeTubeIfUnneeded(old) }
    }
}
