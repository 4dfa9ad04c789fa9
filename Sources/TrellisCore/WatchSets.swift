// SPDX-License-Identifier: MIT

/// A watch list that one or more connections have: the tubes in the order in which they were watched.
struct WatchSetRecord {
    var tubes: UnsafeMutablePointer<TubeIndex>
    /// For each tube, where the set is in the tube's heap of waiting sets.
    var places: UnsafeMutablePointer<UInt32>
    var count: UInt32
    var capacity: UInt32
    var hash: UInt64
    /// The next set with the same hash.
    var nextSameHash = none
    /// Connections that have it.
    var references: UInt32
    /// Connections that have it and wait.
    var waiting: UInt32 = 0
    var firstWaiter = none
    var lastWaiter = none
    /// In how many of its tubes' heaps it stands.
    var enlisted: UInt32 = 0

    init(copying list: UnsafeBufferPointer<TubeIndex>, hash: UInt64) {
        count = UInt32(list.count)
        capacity = max(1, count)
        tubes = .allocate(capacity: Int(capacity))
        places = .allocate(capacity: Int(capacity))
        places.initialize(repeating: none, count: Int(capacity))
        if let start = list.baseAddress { tubes.initialize(from: start, count: list.count) }
        self.hash = hash
        references = 1
    }

    var list: UnsafeBufferPointer<TubeIndex> { UnsafeBufferPointer(start: tubes, count: Int(count)) }

    /// Where the tube stands in the list.
    ///
    /// Cost: the length of the list.
    func position(of tube: UInt32) -> Int? { list.firstIndex(of: TubeIndex(tube)) }

    mutating func append(_ tube: UInt32) {
        if count == capacity {
            capacity *= 2
            let moreTubes = UnsafeMutablePointer<TubeIndex>.allocate(capacity: Int(capacity))
            let morePlaces = UnsafeMutablePointer<UInt32>.allocate(capacity: Int(capacity))
            moreTubes.initialize(from: tubes, count: Int(count))
            morePlaces.initialize(from: places, count: Int(count))
            deallocate()
            tubes = moreTubes
            places = morePlaces
        }
        tubes[Int(count)] = TubeIndex(tube)
        places[Int(count)] = none
        count += 1
        hash = Self.extend(hash, tube)
    }

    func deallocate() {
        tubes.deallocate()
        places.deallocate()
    }

    /// The hash of a list is made tube by tube, so that a list which grows is hashed at the cost of the new tube.
    static func extend(_ hash: UInt64, _ tube: UInt32) -> UInt64 {
        var mixed = (hash ^ UInt64(tube)) &* 0x9E37_79B9_7F4A_7C15
        mixed ^= mixed >> 32
        return mixed &* 0xD6E8_FEB8_6659_FD93
    }
}

/// Watch lists are interned: connections with equal lists share one set, so that a job that becomes ready is offered
/// once per set and not once per waiter. Each operation costs at most the length of the connection's own list.
extension Engine {
    static var defaultWatchSet: UInt32 { 0 }

    func watchSet(_ index: UInt32) -> WatchSet { WatchSet(index: index, tubes: watchSets[index].pointee.list) }

    /// `watch`: the number of tubes in the list then.
    mutating func watch(_ tube: UInt32, by session: UnsafeMutablePointer<SessionRecord>) -> UInt32 {
        let index = session.pointee.watched
        let record = watchSets[index]
        if record.pointee.position(of: tube) != nil { return record.pointee.count }
        tubes[tube].pointee.watching += 1
        if record.pointee.references == 1 && index != Self.defaultWatchSet {
            // Nobody else has the list: it can grow where it is, if no equal one exists already.
            forgetHash(index)
            record.pointee.append(tube)
            session.pointee.watched = settle(index)
        } else {
            record.pointee.references -= 1
            let longer = makeSet(record.pointee.list)
            watchSets[longer].pointee.append(tube)
            session.pointee.watched = settle(longer)
        }
        return watchSets[session.pointee.watched].pointee.count
    }

    /// `ignore`: the number of tubes in the list then, nil where the tube is the only one left.
    mutating func ignore(_ tube: UInt32, by session: UnsafeMutablePointer<SessionRecord>) -> UInt32? {
        let record = watchSets[session.pointee.watched]
        guard let position = record.pointee.position(of: tube) else { return record.pointee.count }
        guard record.pointee.count > 1 else { return nil }
        let shorter = UnsafeMutableBufferPointer<TubeIndex>.allocate(capacity: Int(record.pointee.count) - 1)
        defer { shorter.deallocate() }
        var next = 0
        for (index, other) in record.pointee.list.enumerated() where index != position {
            shorter.initializeElement(at: next, to: other)
            next += 1
        }
        let old = session.pointee.watched
        session.pointee.watched = settle(makeSet(UnsafeBufferPointer(shorter)))
        releaseWatchSet(old)
        tubes[tube].pointee.watching -= 1
        removeTubeIfUnneeded(tube)
        return UInt32(shorter.count)
    }

    /// A connection no longer watches the tubes of a set.
    mutating func releaseWatchSetTubes(_ index: UInt32) {
        // The tubes are let go from the set's own copy: a tube may vanish while the list is walked, the set may not.
        for tube in watchSets[index].pointee.list {
            tubes[tube.index].pointee.watching -= 1
        }
        pendingTubes.append(contentsOf: watchSets[index].pointee.list.lazy.map(\.index))
    }

    /// A connection no longer has the set; the last one takes it along.
    mutating func releaseWatchSet(_ index: UInt32) {
        let record = watchSets[index]
        record.pointee.references -= 1
        if record.pointee.references == 0 && index != Self.defaultWatchSet {
            forgetHash(index)
            destroySet(index)
        }
        while let tube = pendingTubes.popLast() { removeTubeIfUnneeded(tube) }
    }

    // MARK: Interning

    private mutating func makeSet(_ list: UnsafeBufferPointer<TubeIndex>) -> UInt32 {
        var hash: UInt64 = 0
        for tube in list { hash = WatchSetRecord.extend(hash, tube.index) }
        return watchSets.allocate { _ in WatchSetRecord(copying: list, hash: hash) }
    }

    /// Answers the set of equal content if there is one already, and the given one, now known by its hash, if not.
    private mutating func settle(_ index: UInt32) -> UInt32 {
        let record = watchSets[index]
        let first = setsByHash[record.pointee.hash] ?? none
        var candidate = first
        while candidate != none {
            let other = watchSets[candidate]
            if other.pointee.list.elementsEqual(record.pointee.list) {
                other.pointee.references += 1
                destroySet(index)
                return candidate
            }
            candidate = other.pointee.nextSameHash
        }
        record.pointee.nextSameHash = first
        setsByHash[record.pointee.hash] = index
        return index
    }

    private mutating func forgetHash(_ index: UInt32) {
        let record = watchSets[index]
        guard let first = setsByHash[record.pointee.hash] else { preconditionFailure("a watch set has no hash") }
        if first == index {
            setsByHash[record.pointee.hash] = record.pointee.nextSameHash == none ? nil : record.pointee.nextSameHash
        } else {
            var candidate = first
            while watchSets[candidate].pointee.nextSameHash != index {
                candidate = watchSets[candidate].pointee.nextSameHash
            }
            watchSets[candidate].pointee.nextSameHash = record.pointee.nextSameHash
        }
        record.pointee.nextSameHash = none
    }

    private mutating func destroySet(_ index: UInt32) {
        let record = watchSets[index]
        for position in 0..<Int(record.pointee.count) where record.pointee.places[position] != none {
            delist(index, at: position)
        }
        record.pointee.deallocate()
        watchSets.free(index)
    }
}
