// SPDX-License-Identifier: MIT

/// The ready jobs of all tubes, a `ReadyQueue` for each, with the first jobs of the eligible tubes side by side: what
/// most schedulers consist of.
///
/// It knows no order of tubes: `heads` is for the scheduler to compare. In a class, keep it behind a `let` pointer: a
/// variable would pay for an exclusivity check at each access.
///
/// - Complexity: as `ReadyQueue` says; O(1) for what concerns a tube.
@frozen
public struct ReadyLanes<Entry: ReadyQueueEntry>: ~Copyable {
    @frozen @usableFromInline
    struct Lane: ~Copyable {
        @usableFromInline var queue = ReadyQueue<Entry>()
        @usableFromInline var isEligible = true

        @inlinable
        init() {}
    }

    @usableFromInline var lanes: UnsafeMutablePointer<Lane>
    /// For each tube by its index, its first job if it may be served, else `nothing`.
    ///
    /// It may lie elsewhere after a tube was opened.
    public private(set) var heads: UnsafeMutablePointer<Entry>
    /// What stands where there is no job: an entry that comes after every job.
    public let nothing: Entry
    @usableFromInline var capacity = 16
    @usableFromInline var places = SlotPlaces()
    @usableFromInline var count = 0

    /// Lanes for no tubes yet.
    public init(nothing: Entry) {
        self.nothing = nothing
        lanes = .allocate(capacity: capacity)
        heads = .allocate(capacity: capacity)
        heads.initialize(repeating: nothing, count: capacity)
        for index in 0..<capacity { (lanes + index).initialize(to: Lane()) }
    }

    deinit {
        lanes.deinitialize(count: capacity)
        lanes.deallocate()
        heads.deallocate()
    }

    /// Every index of a tube that was opened is below this.
    @inlinable public var end: Int { capacity }

    /// Makes an eligible lane for the tube.
    public mutating func open(_ tube: TubeIndex) {
        if Int(tube.index) >= capacity { grow(toHold: Int(tube.index)) }
        lanes[Int(tube.index)].isEligible = true
    }

    /// Gives the memory of the tube's lane back.
    public mutating func close(_ tube: TubeIndex) {
        // The new lane has no memory of its own: a tube that is gone keeps nothing.
        lanes[Int(tube.index)] = Lane()
        heads[Int(tube.index)] = nothing
    }

    /// Files a job in its tube's lane.
    @inlinable
    public mutating func insert(_ entry: Entry, in tube: TubeIndex) {
        count += 1
        let index = Int(tube.index)
        lanes[index].queue.insert(entry, places: &places)
        if lanes[index].isEligible && Entry.precedes(entry, heads[index]) { heads[index] = entry }
    }

    /// Takes a job out of its lane; the entry is the one that was added.
    @inlinable
    public mutating func remove(_ entry: Entry, from tube: TubeIndex) {
        lanes[Int(tube.index)].queue.remove(entry, places: &places)
        setHead(Int(tube.index))
        count -= 1
        if count == 0 { places.giveBack() }
    }

    /// Shows the lane's first job among the heads, or hides it.
    public mutating func setEligible(_ tube: TubeIndex, _ isEligible: Bool) {
        lanes[Int(tube.index)].isEligible = isEligible
        setHead(Int(tube.index))
    }

    /// The first job of the tube, whether it is eligible or not.
    @inlinable
    public func first(in tube: TubeIndex) -> Entry? { lanes[Int(tube.index)].queue.first }

    /// Whether the tube has a job and may be served.
    @inlinable
    public func hasHead(_ tube: TubeIndex) -> Bool { heads[Int(tube.index)].slot != nothing.slot }

    @inlinable
    mutating func setHead(_ index: Int) {
        heads[index] = lanes[index].isEligible ? lanes[index].queue.first ?? nothing : nothing
    }

    private mutating func grow(toHold tube: Int) {
        let wanted = max(tube + 1, capacity * 2)
        let larger = UnsafeMutablePointer<Lane>.allocate(capacity: wanted)
        larger.moveInitialize(from: lanes, count: capacity)
        for index in capacity..<wanted { (larger + index).initialize(to: Lane()) }
        lanes.deallocate()
        lanes = larger
        let moreHeads = UnsafeMutablePointer<Entry>.allocate(capacity: wanted)
        moreHeads.moveInitialize(from: heads, count: capacity)
        (moreHeads + capacity).initialize(repeating: nothing, count: wanted - capacity)
        heads.deallocate()
        heads = moreHeads
        capacity = wanted
    }
}
