// SPDX-License-Identifier: MIT

/// Jobs by their deadlines, the soonest first: the reserved ones of a connection, the delayed and the mortal ones of a tube.
///
/// Two parts: a *run*, which is sorted because jobs are only added behind its last one, and a heap for those that come
/// out of turn. Deadlines that are the same time away ascend, and jobs mostly leave the oldest first: such ones are
/// added and taken with a few instructions (a heap alone cost 130 of 1,450 a request with 64 in flight). A job that
/// leaves the middle of the run leaves a gap; gaps are closed up when the run has no room and a half of it is free.
///
/// `ReadyQueue` is made of the same two parts, but finds a job in its run by the job's key. A deadline stands in the queue
/// alone, and so the job keeps a place.
///
/// A job's *place* says where in its part it is; every method that moves entries tells `placed` of each whose place is
/// another then.
///
/// It is a plain value without a `deinit`, as `QuaternaryHeap` is: whoever makes one calls `deallocate`. An empty one
/// that never held a job takes the eight bytes of a pointer; a large one gives its memory back when few jobs are left.
///
/// - Complexity: `first` is O(1); in the run all else is O(1), amortised (closing up gaps touches each job behind the first),
///   and in the heap O(log n).
struct DeadlineQueue {
    /// What stands before the entries of the run in its memory.
    private struct Header {
        /// The jobs of the run lie from here to `end`.
        ///
        /// `gap` in the slot marks those that left; the first is no gap.
        var head: UInt32 = 0
        var end: UInt32 = 0
        var capacity: UInt32
        var gaps: UInt32 = 0
        /// The place of what lies at position 0: when what left at the head makes room, nobody's place changes.
        var base: UInt32 = 0
        var heap = QuaternaryHeap<DeadlineEntry>()
    }

    private var header: UnsafeMutablePointer<Header>?

    private static var gap: UInt32 { .max }
    /// Set in the places of the heap.
    private static var heapBit: UInt32 { 1 << 31 }
    private static var smallest: UInt32 { 4 }
    /// A run with room for more jobs than this gives its memory back when few are left.
    private static var keptAtMost: UInt32 { 256 }

    /// How many jobs there are.
    var count: Int {
        guard let header else { return 0 }
        return Int(header.pointee.end - header.pointee.head - header.pointee.gaps) + header.pointee.heap.count
    }

    /// Whether there are none.
    var isEmpty: Bool { count == 0 }

    /// The job with the soonest deadline.
    @inline(__always)
    var first: DeadlineEntry? {
        guard let header else { return nil }
        guard header.pointee.head < header.pointee.end else { return header.pointee.heap.first }
        let ofRun = Self.run(header)[Int(header.pointee.head)]
        guard let ofHeap = header.pointee.heap.first, DeadlineEntry.precedes(ofHeap, ofRun) else { return ofRun }
        return ofHeap
    }

    /// The entry of the job with that place.
    subscript(place: UInt32) -> DeadlineEntry {
        guard let header else { preconditionFailure("no job of the queue has that place") }
        if place & Self.heapBit != 0 { return header.pointee.heap[place & ~Self.heapBit] }
        return Self.run(header)[Self.position(place, header)]
    }

    /// How many jobs the run has memory for.
    var runCapacity: Int { Int(header?.pointee.capacity ?? 0) }

    /// Shows every job, in no particular order.
    func forEachEntry(_ body: (DeadlineEntry) -> Void) {
        guard let header else { return }
        for position in Int(header.pointee.head)..<Int(header.pointee.end) {
            let entry = Self.run(header)[position]
            if entry.slot != Self.gap { body(entry) }
        }
        for place in 0..<UInt32(header.pointee.heap.count) { body(header.pointee.heap[place]) }
    }

    /// Adds a job.
    @inline(__always)
    mutating func insert(_ entry: DeadlineEntry, placed: (DeadlineEntry, UInt32) -> Void) {
        guard let header, header.pointee.end < header.pointee.capacity else {
            insertWithoutRoom(entry, placed)
            return
        }
        append(entry, to: header, placed)
    }

    /// Takes out the job with that place; `placed` isn't told of it.
    @inline(__always) @discardableResult
    mutating func remove(at place: UInt32, placed: (DeadlineEntry, UInt32) -> Void) -> DeadlineEntry {
        guard let header else { preconditionFailure("no job of the queue has that place") }
        if place & Self.heapBit != 0 {
            return header.pointee.heap.remove(at: place & ~Self.heapBit) { placed($0, $1 | Self.heapBit) }
        }
        let position = Self.position(place, header)
        let removed = Self.run(header)[position]
        Self.run(header)[position].slot = Self.gap
        header.pointee.gaps += 1
        if position == Int(header.pointee.head) {
            dropGaps(header, placed)
        } else if position + 1 == Int(header.pointee.end) {
            dropGapsAtEnd(header)
        }
        return removed
    }

    /// Gives the job with that place another deadline.
    mutating func replace(at place: UInt32, with entry: DeadlineEntry, placed: (DeadlineEntry, UInt32) -> Void) {
        remove(at: place, placed: placed)
        insert(entry, placed: placed)
    }

    /// Forgets all jobs and gives the memory back.
    ///
    /// The queue can be used again.
    mutating func deallocate() {
        header?.pointee.heap.deallocate()
        header?.deallocate()
        header = nil
    }

    // MARK: The run

    private static func run(_ header: UnsafeMutablePointer<Header>) -> UnsafeMutablePointer<DeadlineEntry> {
        UnsafeMutableRawPointer(header + 1).assumingMemoryBound(to: DeadlineEntry.self)
    }

    @inline(__always)
    private static func position(_ place: UInt32, _ header: UnsafeMutablePointer<Header>) -> Int {
        let position = (place &- header.pointee.base) & ~heapBit
        precondition(
            position >= header.pointee.head && position < header.pointee.end, "no job of the queue has that place")
        return Int(position)
    }

    /// Places go round below the bit of the heap.
    @inline(__always)
    private static func place(_ position: UInt32, _ header: UnsafeMutablePointer<Header>) -> UInt32 {
        (header.pointee.base &+ position) & ~heapBit
    }

    /// Adds a job where there is room behind the run, or to the heap.
    @inline(__always)
    private func append(
        _ entry: DeadlineEntry, to header: UnsafeMutablePointer<Header>, _ placed: (DeadlineEntry, UInt32) -> Void
    ) {
        let end = header.pointee.end
        if header.pointee.head < end, DeadlineEntry.precedes(entry, Self.run(header)[Int(end) - 1]) {
            header.pointee.heap.insert(entry) { placed($0, $1 | Self.heapBit) }
            return
        }
        Self.run(header)[Int(end)] = entry
        header.pointee.end = end + 1
        placed(entry, Self.place(end, header))
    }

    private mutating func insertWithoutRoom(_ entry: DeadlineEntry, _ placed: (DeadlineEntry, UInt32) -> Void) {
        append(entry, to: makeRoom(placed), placed)
    }

    /// The first of the run has left: the next job is the first, or the run begins anew.
    @inline(__always)
    private mutating func dropGaps(
        _ header: UnsafeMutablePointer<Header>, _ placed: (DeadlineEntry, UInt32) -> Void
    ) {
        var head = header.pointee.head
        while head < header.pointee.end, Self.run(header)[Int(head)].slot == Self.gap {
            head += 1
            header.pointee.gaps -= 1
        }
        header.pointee.head = head
        if header.pointee.capacity > Self.keptAtMost {
            giveBack(header, placed)
        } else if head == header.pointee.end {
            header.pointee.head = 0
            header.pointee.end = 0
        }
    }

    /// The last of the run has left: the last is a job again.
    ///
    /// The first stays, so there is one.
    private func dropGapsAtEnd(_ header: UnsafeMutablePointer<Header>) {
        var end = header.pointee.end
        while Self.run(header)[Int(end) - 1].slot == Self.gap {
            end -= 1
            header.pointee.gaps -= 1
        }
        header.pointee.end = end
    }

    /// A large run of few jobs moves to small memory; where there are no jobs at all, to none.
    private mutating func giveBack(
        _ header: UnsafeMutablePointer<Header>, _ placed: (DeadlineEntry, UInt32) -> Void
    ) {
        let live = header.pointee.end - header.pointee.head - header.pointee.gaps
        if live == 0 && header.pointee.heap.isEmpty {
            deallocate()
        } else if live <= Self.keptAtMost / 8 {
            move(header, to: Self.allocate(Self.keptAtMost / 4), placed)
        }
    }

    private static func allocate(_ capacity: UInt32) -> UnsafeMutablePointer<Header> {
        let bytes = MemoryLayout<Header>.stride + Int(capacity) * MemoryLayout<DeadlineEntry>.stride
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: MemoryLayout<Header>.alignment)
        return memory.initializeMemory(as: Header.self, to: Header(capacity: capacity))
    }

    /// Makes room behind the last entry: closes up if a half is free, grows if not.
    private mutating func makeRoom(_ placed: (DeadlineEntry, UInt32) -> Void) -> UnsafeMutablePointer<Header> {
        guard let header else {
            let new = Self.allocate(Self.smallest)
            self.header = new
            return new
        }
        let capacity = header.pointee.capacity
        let live = header.pointee.end - header.pointee.head - header.pointee.gaps
        let wanted = max(
            Self.smallest, live * 2 > capacity ? capacity * 2 : live * 4 < capacity ? capacity / 2 : capacity)
        precondition(wanted < Self.heapBit, "more deadlines than places")
        return move(header, to: wanted == capacity ? header : Self.allocate(wanted), placed)
    }

    /// Moves all to other memory, or the run to the start of its own.
    ///
    /// In larger memory gaps stay, and so do places: a queue that grows by a million jobs touches none of them.
    @discardableResult
    private mutating func move(
        _ old: UnsafeMutablePointer<Header>, to new: UnsafeMutablePointer<Header>,
        _ placed: (DeadlineEntry, UInt32) -> Void
    ) -> UnsafeMutablePointer<Header> {
        let start = Self.run(old) + Int(old.pointee.head)
        let count = Int(old.pointee.end - old.pointee.head)
        let gaps = old.pointee.gaps
        let keepsGaps = gaps == 0 || new.pointee.capacity > old.pointee.capacity
        new.pointee.base = Self.place(old.pointee.head, old)
        if keepsGaps {
            Self.run(new).update(from: start, count: count)
            new.pointee.end = UInt32(count)
            new.pointee.gaps = gaps
        } else {
            new.pointee.end = closeUp(start, count, into: new, placed)
            new.pointee.gaps = 0
        }
        new.pointee.head = 0
        if new != old {
            new.pointee.heap = old.pointee.heap
            old.deallocate()
            header = new
        }
        return new
    }

    /// Copies the jobs between gaps to the start of a run, whose base is set; answers how many there are.
    ///
    /// Those before the first gap keep their places.
    private func closeUp(
        _ start: UnsafeMutablePointer<DeadlineEntry>, _ count: Int, into new: UnsafeMutablePointer<Header>,
        _ placed: (DeadlineEntry, UInt32) -> Void
    ) -> UInt32 {
        let run = Self.run(new)
        var next: UInt32 = 0
        for position in 0..<count where start[position].slot != Self.gap {
            run[Int(next)] = start[position]
            if Int(next) != position { placed(run[Int(next)], Self.place(next, new)) }
            next += 1
        }
        return next
    }
}
