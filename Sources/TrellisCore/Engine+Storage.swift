// SPDX-License-Identifier: MIT

/// What the engine tells its store, and how it starts from one.
extension Engine {
    /// Takes over what the store kept.
    ///
    /// Call it once, before anything else.
    ///
    /// Throws what the store throws, `corrupt` where it breaks the rules for ids, and `fatal` where there is no memory.
    ///
    /// Every job comes back ready, delayed by what is left of its delay (never more than the delay itself, whatever the
    /// wall clock did), or buried in its place.
    public mutating func recover() throws(StorageError) {
        var buried: [UInt32] = []
        var fault: StorageError?
        let highest = try storage.recover { stored, note in
            fault = fault ?? self.fault(ofID: stored.id)
            guard fault == nil else { return }
            guard let slot = jobs.allocate(), let body = bodies.copy(stored.body) else {
                fault = .fatal("the system has no memory for the stored jobs; free some and start again")
                return
            }
            place(stored, note, body, slot)
            if stored.state == .buried { buried.append(slot) }
        }
        if highest.rawValue > Self.largestStoredID.rawValue { fault = fault ?? self.fault(ofID: highest) }
        if let fault { throw fault }
        buried.sort { jobs[$0].pointee.sequence < jobs[$1].pointee.sequence }
        for slot in buried { makeBuried(slot) }
        nextJobID = max(nextJobID, highest.rawValue + 1)
    }

    /// Counting from 1 never comes near it: an id beyond is damage, and the ids that are left might run out.
    private static var largestStoredID: JobID { JobID(1 << 62) }

    private func fault(ofID id: JobID) -> StorageError? {
        if id.rawValue == 0 || id > Self.largestStoredID {
            return .corrupt("the store gave the impossible job id \(id.rawValue)")
        }
        return index.slot(of: id) == nil ? nil : .corrupt("the store gave the job \(id.rawValue) twice")
    }

    private mutating func place(_ stored: StoredJob, _ note: StorageNote, _ body: Body, _ slot: UInt32) {
        let wall = now.nanoseconds &+ wallOffset
        let tube = findOrMakeTube(stored.tube)
        let age = max(0, wall &- stored.createdAt)
        (jobs[slot]).initialize(
            to: JobRecord(
                id: stored.id, createdAt: Instant(nanoseconds: now.nanoseconds &- age), sequence: stored.sequence,
                body: body, note: note, priority: stored.priority, delay: stored.delay, ttr: max(1, stored.ttr),
                tube: TubeIndex(tube), place: none, link: none, counters: stored.counters, state: .incoming))
        jobMemory += Self.recordBytes + BodyAllocator.footprint(ofLength: body.count)
        index.insert(stored.id, slot: slot)
        tubes[tube].pointee.jobs += 1
        sequence = max(sequence, stored.sequence)
        nextJobID = max(nextJobID, stored.id.rawValue + 1)
        switch stored.state {
        case .ready: makeReady(slot)
        case .buried: break
        case .delayed:
            let left = max(0, min(stored.deadline &- wall, Int64(stored.delay) * 1_000_000_000))
            enterDelays(slot, until: Instant(nanoseconds: now.nanoseconds + left))
        }
    }

    mutating func log(put slot: UInt32) {
        let job = jobs[slot]
        sequence += 1
        job.pointee.sequence = sequence
        guard let body = job.pointee.body else { preconditionFailure("a put has no body") }
        storage.append(.put(stored(slot, body: body.bytes)), note: &job.pointee.note)
    }

    mutating func log(update slot: UInt32) {
        let job = jobs[slot]
        sequence += 1
        job.pointee.sequence = sequence
        storage.append(
            .update(stored(slot, body: UnsafeRawBufferPointer(start: nil, count: 0))), note: &job.pointee.note)
    }

    mutating func log(delete slot: UInt32) {
        let job = jobs[slot]
        sequence += 1
        storage.append(.delete(job.pointee.id, sequence: sequence), note: &job.pointee.note)
    }

    private func stored(_ slot: UInt32, body: UnsafeRawBufferPointer) -> StoredJob {
        let job = jobs[slot]
        let tube = tubes[job.pointee.tube.index]
        var deadline: Int64 = 0
        let state: StoredJob.State
        switch job.pointee.state {
        case .ready, .reserved, .incoming: state = .ready
        case .buried: state = .buried
        case .delayed:
            state = .delayed
            deadline = tube.pointee.delays[job.pointee.place].deadline.nanoseconds &+ wallOffset
        }
        return StoredJob(
            id: job.pointee.id, tube: BorrowedName(UnsafeRawBufferPointer(tube.pointee.name)), state: state,
            priority: job.pointee.priority, delay: job.pointee.delay, ttr: job.pointee.ttr,
            createdAt: job.pointee.createdAt.nanoseconds &+ wallOffset, deadline: deadline,
            sequence: job.pointee.sequence, counters: job.pointee.counters, body: body)
    }
}
