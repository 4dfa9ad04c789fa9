// SPDX-License-Identifier: MIT

internal import Glibc

/// A ready job with the key that it is ordered by.
///
/// The order must be strict and total: where two keys are equal, the ids decide.
public protocol ReadyQueueEntry: HeapEntry {
    /// The job's number.
    var id: UInt64 { get }
    /// The job's slot.
    var slot: UInt32 { get set }
}

/// A ready job ordered by (priority, id).
@frozen
public struct PriorityEntry: ReadyQueueEntry {
    /// The job's number.
    public var id: UInt64
    /// 0 is the most urgent.
    public var priority: UInt32
    /// The job's slot.
    public var slot: UInt32

    /// Puts the three together.
    @inlinable
    public init(id: UInt64, priority: UInt32, slot: UInt32) {
        self.id = id
        self.priority = priority
        self.slot = slot
    }

    /// The entry of a job.
    @inlinable
    public init(_ job: ReadyJob) {
        self.init(id: job.id.rawValue, priority: job.priority, slot: job.slot.index)
    }

    /// The least priority first; of equal ones the least id.
    @inlinable @inline(__always)
    public static func precedes(_ left: PriorityEntry, _ right: PriorityEntry) -> Bool {
        left.priority != right.priority ? left.priority < right.priority : left.id < right.id
    }
}

/// The ready jobs of one tube in the order of their keys, for schedulers whose keys stay as they are while a job is
/// ready.
///
/// Two parts: a *run*, which is sorted because jobs are only added behind its last one, and a heap for those that
/// come out of turn. New jobs of one priority all go into the run, where adding and taking costs a few instructions
/// and touches memory in order (a heap of 10^6 costs 95 ns for each taken). Jobs that leave the middle of the run leave
/// a gap, found by binary search; gaps are closed up when they are half of it.
///
/// - Complexity: O(1) in the run, amortised; O(log n) in the heap, and for leaving out of turn.
@frozen
public struct ReadyQueue<Entry: ReadyQueueEntry>: ~Copyable {
    /// Jobs that came in order, from `head` on.
    ///
    /// `gap` in the slot marks those that left.
    @usableFromInline var run: UnsafeMutablePointer<Entry>?
    @usableFromInline var head = 0
    @usableFromInline var end = 0
    @usableFromInline var capacity = 0
    @usableFromInline var gaps = 0
    @usableFromInline var heap = QuaternaryHeap<Entry>()

    @inlinable static var gap: UInt32 { .max }
    @inlinable static var smallest: Int { 16 }

    /// A queue that holds nothing and has no memory.
    @inlinable
    public init() {}

    @inlinable
    deinit {
        releaseMemory(run)
        var heap = heap
        heap.deallocate()
    }

    /// Whether there are no jobs.
    @inlinable public var isEmpty: Bool { head == end && heap.isEmpty }

    /// The job that is next in order.
    @inlinable @inline(__always)
    public var first: Entry? {
        guard head < end, let run else { return heap.first }
        guard let top = heap.first, Entry.precedes(top, run[head]) else { return run[head] }
        return top
    }

    /// Adds a job.
    ///
    /// `places` remembers where jobs of the heap are.
    @inlinable
    public mutating func insert(_ entry: Entry, places: inout SlotPlaces) {
        if head == end {
            head = 0
            end = 0
        } else if let run, Entry.precedes(entry, run[end - 1]) {
            heap.insert(entry) { places[$0.slot] = $1 }
            return
        }
        if end == capacity { makeRoom() }
        guard let run else { preconditionFailure("the run has no memory") }
        run[end] = entry
        end += 1
    }

    /// Takes a job out, wherever it is.
    ///
    /// The entry is the one that was added, key included.
    @inlinable
    public mutating func remove(_ entry: Entry, places: inout SlotPlaces) {
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
    @inlinable
    func find(_ entry: Entry) -> Int? {
        guard let run else { return nil }
        var low = head
        var high = end
        while low < high {
            let middle = (low + high) / 2
            if Entry.precedes(run[middle], entry) { low = middle + 1 } else { high = middle }
        }
        return low < end && run[low].id == entry.id && run[low].slot == entry.slot ? low : nil
    }

    @inlinable
    mutating func advanceHead() {
        guard let run else { return }
        head += 1
        while head < end, run[head].slot == Self.gap {
            head += 1
            gaps -= 1
        }
        if head == end { giveBack() }
    }

    /// The last entry must be a job: what comes next is compared with it.
    @inlinable
    mutating func dropGapsAtEnd() {
        guard let run else { return }
        while head < end, run[end - 1].slot == Self.gap {
            end -= 1
            gaps -= 1
        }
        if head == end { giveBack() }
    }

    /// The run is empty: a large one returns its memory.
    @inlinable
    mutating func giveBack() {
        head = 0
        end = 0
        guard capacity > 1024 else { return }
        releaseMemory(run)
        run = nil
        capacity = 0
    }

    /// Makes room behind the last entry: closes up if a half is free, grows if not.
    @inlinable
    mutating func makeRoom() {
        let live = end - head - gaps
        if live == capacity {
            // Where all is in its place the system may move whole pages, which saves the copy and the new ones.
            let wanted = max(Self.smallest, capacity * 2)
            run = resizeMemory(run, to: wanted * MemoryLayout<Entry>.stride).assumingMemoryBound(to: Entry.self)
            capacity = wanted
            return
        }
        let wanted = max(
            Self.smallest, live * 2 > capacity ? capacity * 2 : live * 4 < capacity ? capacity / 2 : capacity)
        let target =
            wanted == capacity
            ? run
            : resizeMemory(nil, to: wanted * MemoryLayout<Entry>.stride).assumingMemoryBound(to: Entry.self)
        guard let target else { preconditionFailure("the run has no memory") }
        var next = 0
        if let run {
            for position in head..<end where run[position].slot != Self.gap {
                target[next] = run[position]
                next += 1
            }
            if wanted != capacity { releaseMemory(run) }
        }
        run = target
        capacity = wanted
        head = 0
        end = next
        gaps = 0
    }
}

/// Memory of so many bytes, with what was in the old.
@usableFromInline
func resizeMemory(_ memory: UnsafeMutableRawPointer?, to bytes: Int) -> UnsafeMutableRawPointer {
    guard let larger = realloc(memory, bytes) else { preconditionFailure("the system has no memory for ready jobs") }
    return larger
}

/// Gives back what `resizeMemory` gave.
@usableFromInline
func releaseMemory(_ memory: UnsafeMutableRawPointer?) { free(memory) }
