// SPDX-License-Identifier: MIT

import TrellisCore

/// A ready job with the key it is ordered by: (priority, id).
struct ReadyEntry: HeapEntry {
    var id: UInt64
    var priority: UInt32
    var slot: UInt32

    @inline(__always)
    static func precedes(_ left: ReadyEntry, _ right: ReadyEntry) -> Bool {
        left.priority != right.priority ? left.priority < right.priority : left.id < right.id
    }
}

/// The ready jobs of one tube in order of (priority, id).
///
/// Two parts: a *run*, which is sorted because jobs are only added behind its last one, and a heap for those that
/// come out of turn. New jobs of one priority all go into the run, where adding and taking costs a few instructions
/// and touches memory in order (a heap of 10^6 costs 95 ns for each taken). Jobs that leave the middle of the run leave
/// a gap, found by binary search; gaps are closed up when they are half of it.
///
/// - Complexity: O(1) in the run, amortised; O(log n) in the heap, and for leaving out of turn.
struct ReadyQueue: ~Copyable {
    /// Jobs that came in order, from `head` on.
    ///
    /// `gap` in the slot marks those that left.
    private var run: UnsafeMutablePointer<ReadyEntry>?
    private var head = 0
    private var end = 0
    private var capacity = 0
    private var gaps = 0
    private var heap = QuaternaryHeap<ReadyEntry>()

    private static let gap = UInt32.max
    private static let smallest = 16

    deinit {
        run?.deallocate()
        var heap = heap
        heap.deallocate()
    }

    var isEmpty: Bool { head == end && heap.isEmpty }

    /// The job that is next in order.
    @inline(__always)
    var first: ReadyEntry? {
        guard head < end, let run else { return heap.first }
        guard let top = heap.first, ReadyEntry.precedes(top, run[head]) else { return run[head] }
        return top
    }

    /// Adds a job.
    ///
    /// `places` remembers where jobs of the heap are.
    mutating func insert(_ entry: ReadyEntry, places: inout SlotPlaces) {
        if head == end {
            head = 0
            end = 0
        } else if let run, ReadyEntry.precedes(entry, run[end - 1]) {
            heap.insert(entry) { places[$0.slot] = $1 }
            return
        }
        if end == capacity { makeRoom() }
        guard let run else { preconditionFailure("the run has no memory") }
        run[end] = entry
        end += 1
    }

    /// Takes a job out, wherever it is.
    mutating func remove(_ entry: ReadyEntry, places: inout SlotPlaces) {
        if head < end, let run, run[head].id == entry.id {
            advanceHead()
        } else if let position = find(entry), let run {
            run[position].slot = Self.gap
            gaps += 1
            if position == end - 1 { dropGapsAtEnd() }
        } else {
            heap.remove(at: places[entry.slot]) { places[$0.slot] = $1 }
        }
    }

    /// The place of a job in the run; nil where it is in the heap.
    private func find(_ entry: ReadyEntry) -> Int? {
        guard let run else { return nil }
        var low = head
        var high = end
        while low < high {
            let middle = (low + high) / 2
            if ReadyEntry.precedes(run[middle], entry) { low = middle + 1 } else { high = middle }
        }
        return low < end && run[low].id == entry.id && run[low].slot == entry.slot ? low : nil
    }

    private mutating func advanceHead() {
        guard let run else { return }
        head += 1
        while head < end, run[head].slot == Self.gap {
            head += 1
            gaps -= 1
        }
        if head == end { giveBack() }
    }

    /// The last entry must be a job: what comes next is compared with it.
    private mutating func dropGapsAtEnd() {
        guard let run else { return }
        while head < end, run[end - 1].slot == Self.gap {
            end -= 1
            gaps -= 1
        }
        if head == end { giveBack() }
    }

    /// The run is empty: a large one returns its memory.
    private mutating func giveBack() {
        head = 0
        end = 0
        guard capacity > 1024 else { return }
        run?.deallocate()
        run = nil
        capacity = 0
    }

    /// Makes room behind the last entry: closes up if a half is free, grows if not.
    private mutating func makeRoom() {
        let live = end - head - gaps
        let wanted = max(
            Self.smallest, live * 2 > capacity ? capacity * 2 : live * 4 < capacity ? capacity / 2 : capacity)
        let target = wanted == capacity ? run : .allocate(capacity: wanted)
        guard let target else { preconditionFailure("the run has no memory") }
        var next = 0
        if let run {
            for position in head..<end where run[position].slot != Self.gap {
                target[next] = run[position]
                next += 1
            }
            if wanted != capacity { run.deallocate() }
        }
        run = target
        capacity = wanted
        head = 0
        end = next
        gaps = 0
    }
}

/// For each slot of a job that stands in a heap, where.
///
/// - Complexity: O(1); memory of 4 bytes a slot once any heap was used, given back when no job is ready.
struct SlotPlaces: ~Copyable {
    private var places: UnsafeMutablePointer<UInt32>?
    private var capacity = 0

    deinit { places?.deallocate() }

    subscript(slot: UInt32) -> UInt32 {
        get {
            guard let places, Int(slot) < capacity else { preconditionFailure("the job stands in no heap") }
            return places[Int(slot)]
        }
        set {
            if Int(slot) >= capacity { grow(toHold: Int(slot)) }
            places.unsafelyUnwrapped[Int(slot)] = newValue
        }
    }

    mutating func giveBack() {
        guard capacity > 1024 else { return }
        places?.deallocate()
        places = nil
        capacity = 0
    }

    private mutating func grow(toHold slot: Int) {
        let wanted = max(64, slot + 1, capacity * 2)
        let larger = UnsafeMutablePointer<UInt32>.allocate(capacity: wanted)
        larger.initialize(repeating: 0, count: wanted)
        if let places {
            larger.update(from: places, count: capacity)
            places.deallocate()
        }
        places = larger
        capacity = wanted
    }
}
