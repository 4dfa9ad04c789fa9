// SPDX-License-Identifier: MIT

/// All that the engine knows of one tube.
struct TubeRecord {
    var name: UnsafeMutableRawBufferPointer
    /// The hash of the name, as the table of names uses it.
    var nameHash: Int
    /// The next tube whose name has the same hash.
    var nextSameHash = none

    /// Connections that use the tube.
    var using: UInt32 = 0
    /// Connections that watch it.
    var watching: UInt32 = 0
    /// Those of them that wait.
    var waiting: UInt32 = 0
    /// Long work that still needs it.
    var pins: UInt32 = 0
    /// All its jobs that a client could see.
    var jobs: UInt32 = 0
    var ready: UInt32 = 0
    var urgent: UInt32 = 0
    var reserved: UInt32 = 0
    var buried: UInt32 = 0

    /// Why the tube may not be served just now; empty where it may.
    var holds: TubeHolds = []
    /// Whether reservations count against a limit of the tube.
    var isLimited = false
    /// The most reserved jobs, where it is limited.
    var concurrency = UInt32.max
    /// What is left of its rate; nil without a limit.
    var tokens: TokenBucket?
    /// Whether nothing keeps the tube but the tokens that it has spent.
    var lingers = false
    /// How many deliveries of a job may fail; `max` where that isn't counted.
    var retries = UInt8.max
    /// How long after its put a ready job stays, in nanoseconds; `max` without an end.
    var ttl = Int64.max
    /// Where that has an end: ready jobs by the time of their put, which stands for a deadline here.
    var expiries = DeadlineQueue()
    /// The most jobs that puts may bring it to.
    var maxJobs = UInt32.max
    /// The largest body of a put, in bytes, where the server's limit isn't below.
    var maxJobBytes = UInt32.max
    /// What came of its policy.
    var outcomes = PolicyCounters()
    /// The rule that holds for it, by its place among the engine's; `none` without one.
    var rule = none

    var totalJobs: UInt64 = 0
    var deletes: UInt64 = 0
    var pauses: UInt64 = 0
    /// What the last `pause-tube` asked for, in seconds; 0 when the pause is over.
    var pauseSeconds: UInt32 = 0
    /// When the pause ends; `never` where the tube isn't paused.
    var pausedUntil = Instant.never

    /// Delayed jobs, the soonest first.
    var delays = DeadlineQueue()
    /// Buried jobs, the one buried first at the head.
    var firstBuried = none
    var lastBuried = none
    /// Watch sets with this tube that have waiters, that of the longest waiting first.
    var waitingSets = QuaternaryHeap<WaitingSetEntry>()

    /// Neighbours in order of creation.
    var older = none
    var newer = none
    /// Where the tube is in the timer heap.
    var timerPlace = none

    /// Whether failed deliveries are counted, which costs a record in the store each.
    var countsFailures: Bool { retries != .max }

    /// Whether ready jobs go when they have waited too long.
    var hasTTL: Bool { ttl != .max }

    /// When the first of the ready jobs has waited too long.
    var nextExpiry: Instant {
        guard hasTTL, let first = expiries.first else { return .never }
        return Instant(nanoseconds: first.deadline.nanoseconds.addingReportingOverflow(ttl).partialValue)
    }

    /// Whether puts bring it no more jobs.
    var isFull: Bool { jobs >= maxJobs }

    var isPaused: Bool { pausedUntil != .never }

    /// When the next token is there, where the tube waits for one; else `never`.
    var tokenAt: Instant { holds.contains(.rate) ? tokens?.nextToken ?? .never : .never }

    /// When a tube that lingers can go.
    var lingersUntil: Instant { lingers ? tokens?.fullAt ?? .never : .never }

    /// When something happens to the tube by itself.
    ///
    /// Inlined, as a session's is.
    @inline(__always)
    var nextEvent: Instant {
        min(min(delays.first?.deadline ?? .never, nextExpiry), min(pausedUntil, tokenAt, lingersUntil))
    }

    /// Whether anything keeps the tube alive.
    var isNeeded: Bool { using != 0 || watching != 0 || jobs != 0 || pins != 0 }
}

extension Engine {
    /// The tube of that name, if there is one.
    ///
    /// Cost: the length of the name.
    func findTube(_ name: BorrowedName) -> UInt32? {
        var candidate = tubesByHash[Self.hash(name.bytes)] ?? none
        while candidate != none {
            let tube = tubes[candidate]
            if UnsafeRawBufferPointer(tube.pointee.name).elementsEqual(name.bytes) { return candidate }
            candidate = tube.pointee.nextSameHash
        }
        return nil
    }

    /// The tube of that name, made if there is none.
    mutating func findOrMakeTube(_ name: BorrowedName) -> UInt32 {
        if let index = findTube(name) { return index }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: name.bytes.count, alignment: 1)
        copy.copyMemory(from: name.bytes)
        let hash = Self.hash(name.bytes)
        let newest = newestTube
        let sameHash = tubesByHash[hash] ?? none
        let index = tubes.allocate { _ in
            var record = TubeRecord(name: copy, nameHash: hash)
            record.nextSameHash = sameHash
            record.older = newest
            return record
        }
        tubesByHash[hash] = index
        if newest != none { tubes[newest].pointee.newer = index } else { oldestTube = index }
        newestTube = index
        let ownName = BorrowedName(UnsafeRawBufferPointer(copy))
        setRule(of: index, ownName)
        scheduler.tubeOpened(TubeIndex(index), name: ownName, settings: settings(of: index))
        return index
    }

    /// Removes a tube that nothing keeps alive; `default` stays.
    ///
    /// A tube that has spent tokens of its rate stays until they would be there again: else it could be made anew with a
    /// full bucket.
    mutating func removeTubeIfUnneeded(_ index: UInt32) {
        let tube = tubes[index]
        guard !tube.pointee.isNeeded, index != TubeIndex.defaultTube.index else { return }
        if let tokens = tube.pointee.tokens, tokens.fullAt > now {
            tube.pointee.lingers = true
            armTube(index)
            return
        }
        tube.pointee.lingers = false
        scheduler.tubeClosed(TubeIndex(index))
        disarm(&tube.pointee.timerPlace)
        unlinkName(index)
        if tube.pointee.older != none {
            tubes[tube.pointee.older].pointee.newer = tube.pointee.newer
        } else {
            oldestTube = tube.pointee.newer
        }
        if tube.pointee.newer != none {
            tubes[tube.pointee.newer].pointee.older = tube.pointee.older
        } else {
            newestTube = tube.pointee.older
        }
        Self.dismantle(tube)
        tubes.free(index)
    }

    static func dismantle(_ tube: UnsafeMutablePointer<TubeRecord>) {
        tube.pointee.name.deallocate()
        tube.pointee.delays.deallocate()
        tube.pointee.expiries.deallocate()
        tube.pointee.waitingSets.deallocate()
    }

    private mutating func unlinkName(_ index: UInt32) {
        let tube = tubes[index]
        let hash = tube.pointee.nameHash
        guard let first = tubesByHash[hash] else { preconditionFailure("a tube is missing from the table of names") }
        if first == index {
            tubesByHash[hash] = tube.pointee.nextSameHash == none ? nil : tube.pointee.nextSameHash
            return
        }
        var candidate = first
        while tubes[candidate].pointee.nextSameHash != index { candidate = tubes[candidate].pointee.nextSameHash }
        tubes[candidate].pointee.nextSameHash = tube.pointee.nextSameHash
    }

    /// Swift's own hash, seeded anew in each process: clients choose the names and could aim at a weaker one.
    private static func hash(_ bytes: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        hasher.combine(bytes: bytes)
        return hasher.finalize()
    }
}
