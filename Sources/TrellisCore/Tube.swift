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

    var totalJobs: UInt64 = 0
    var deletes: UInt64 = 0
    var pauses: UInt64 = 0
    /// What the last `pause-tube` asked for, in seconds; 0 when the pause is over.
    var pauseSeconds: UInt32 = 0
    /// When the pause ends; `never` where the tube isn't paused.
    var pausedUntil = Instant.never

    /// Delayed jobs, the soonest first.
    var delays = QuaternaryHeap<DeadlineEntry>()
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

    var isPaused: Bool { pausedUntil != .never }

    /// When something happens to the tube by itself.
    var nextEvent: Instant { min(delays.first?.deadline ?? .never, pausedUntil) }

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
        scheduler.tubeOpened(TubeIndex(index), name: BorrowedName(UnsafeRawBufferPointer(copy)))
        return index
    }

    /// Removes a tube that nothing keeps alive; `default` stays.
    mutating func removeTubeIfUnneeded(_ index: UInt32) {
        let tube = tubes[index]
        guard !tube.pointee.isNeeded, index != TubeIndex.defaultTube.index else { return }
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
