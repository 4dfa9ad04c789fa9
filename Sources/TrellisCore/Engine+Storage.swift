// SPDX-License-Identifier: MIT

import Glibc

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
    ///
    /// `chunks` is asked for memory that was made ahead by `BodyAllocator.makeChunk(of:)`; where it answers nil the memory
    /// is made on the spot.
    public mutating func recover(
        chunks: (() -> UnsafeMutableRawPointer?)? = nil
    ) throws(StorageError) {
        var buried: [UInt32] = []
        var ready = RecoveredOrder()
        var fault: StorageError?
        bodies.beginFilling(from: chunks)
        jobs.beginFilling()
        defer {
            bodies.endFilling()
            jobs.endFilling()
        }
        // Neighbours in a store often share a tube.
        var tube = TubeIndex.defaultTube.index
        let highest = try storage.recover { stored, note in
            fault = fault ?? self.fault(ofID: stored.id)
            guard fault == nil else { return }
            if !isNamed(tube, stored.tube) {
                guard BorrowedName.isValid(stored.tube.bytes) else {
                    fault = .corrupt("the store gave the job \(stored.id.rawValue) in a tube of an impossible name")
                    return
                }
                tube = findOrMakeTube(stored.tube)
            }
            guard let slot = jobs.allocate(), let body = bodies.copy(stored.body) else {
                fault = .fatal("the system has no memory for the stored jobs; free some and start again")
                return
            }
            place(stored, note, body, slot, in: tube)
            switch stored.state {
            case .ready: ready.append(slot, id: stored.id)
            case .buried: buried.append(slot)
            case .delayed: break
            }
        }
        if highest.rawValue > Self.largestStoredID.rawValue { fault = fault ?? self.fault(ofID: highest) }
        if let fault { throw fault }
        buried.sort { jobs[$0].pointee.sequence < jobs[$1].pointee.sequence }
        for slot in buried { makeBuried(slot) }
        for slot in ready.slots(sortedBy: { jobs[$0].pointee.id }) { makeReady(slot) }
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

    private func isNamed(_ tube: UInt32, _ name: BorrowedName) -> Bool {
        let known = tubes[tube].pointee.name
        guard let ours = known.baseAddress, let theirs = name.bytes.baseAddress else { return false }
        return known.count == name.bytes.count && memcmp(ours, theirs, known.count) == 0
    }

    private mutating func place(
        _ stored: StoredJob, _ note: StorageNote, _ body: Body, _ slot: UInt32, in tube: UInt32
    ) {
        let wall = now.nanoseconds &+ wallOffset
        let age = max(0, wall &- stored.createdAt)
        (jobs[slot]).initialize(
            to: JobRecord(
                id: stored.id, createdAt: Instant(nanoseconds: now.nanoseconds &- age), sequence: stored.sequence,
                body: body, note: note, priority: stored.priority, delay: stored.delay, ttr: max(1, stored.ttr),
                tube: TubeIndex(tube), place: none, link: none, status: JobStatus(.incoming)))
        setCounters(stored.counters, of: slot)
        jobMemory += Self.recordBytes + BodyAllocator.footprint(ofLength: body.count)
        index.insert(stored.id, slot: slot)
        tubes[tube].pointee.jobs += 1
        sequence = max(sequence, stored.sequence)
        nextJobID = max(nextJobID, stored.id.rawValue + 1)
        switch stored.state {
        case .ready, .buried: break
        case .delayed:
            let left = max(0, min(stored.deadline &- wall, Int64(stored.delay) * 1_000_000_000))
            enterDelays(slot, until: Instant(nanoseconds: now.nanoseconds + left))
        }
    }

    mutating func log(put slot: UInt32) {
        let job = jobs[slot]
        sequence += 1
        job.pointee.sequence = sequence
        guard isLogged else { return }
        storage.append(.put(stored(slot, withBody: true)), note: &job.pointee.note)
    }

    /// The job has left the tube for the one that it names.
    mutating func log(move slot: UInt32, from tube: UInt32) {
        let job = jobs[slot]
        sequence += 1
        job.pointee.sequence = sequence
        job.pointee.status.hasUnloggedCounters = false
        guard isLogged else { return }
        let former = BorrowedName(UnsafeRawBufferPointer(tubes[tube].pointee.name))
        storage.append(.move(stored(slot, withBody: true), from: former), note: &job.pointee.note)
    }

    mutating func log(update slot: UInt32) {
        let job = jobs[slot]
        sequence += 1
        job.pointee.sequence = sequence
        job.pointee.status.hasUnloggedCounters = false
        guard isLogged else { return }
        storage.append(.update(stored(slot)), note: &job.pointee.note)
    }

    /// The job is in no queue any more.
    mutating func log(delete slot: UInt32) {
        let job = jobs[slot]
        sequence += 1
        job.pointee.sequence = sequence
        job.pointee.state = .incoming
        guard isLogged else { return }
        storage.append(.delete(stored(slot)), note: &job.pointee.note)
    }

    /// Hands the store, at a clean stop, the counters that changed without a record of their own.
    ///
    /// `committing` is called after every thousand.
    public mutating func logCounters(_ committing: () throws(StorageError) -> Void) throws(StorageError) {
        guard isLogged else { return }
        var changed: [UInt32] = []
        index.forEachSlot { slot in
            if jobs[slot].pointee.status.hasUnloggedCounters { changed.append(slot) }
        }
        for (position, slot) in changed.enumerated() {
            let job = jobs[slot]
            job.pointee.status.hasUnloggedCounters = false
            storage.append(.update(stored(slot)), note: &job.pointee.note)
            if position % 1000 == 999 { try committing() }
        }
        try committing()
    }

    /// Gives the store its step of what can wait; true where there is more to do at once.
    public mutating func maintain() throws(StorageError) -> Bool {
        try storage.maintain { id, body in
            guard let slot = index.slot(of: id) else { return false }
            let job = jobs[slot]
            body(stored(slot, withBody: true), &job.pointee.note)
            return true
        }
    }

    /// Inlined, the value is made where the store gets it: as a call it was copied twice (110 instructions).
    @inline(__always)
    private func stored(_ slot: UInt32, withBody: Bool = false) -> StoredJob {
        let job = jobs[slot]
        guard let body = job.pointee.body else { preconditionFailure("a stored job has no body") }
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
            sequence: job.pointee.sequence, counters: counters(of: slot), bodyBytes: body.count,
            body: withBody ? body.bytes : UnsafeRawBufferPointer(start: nil, count: 0))
    }
}
