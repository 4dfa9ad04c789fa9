// SPDX-License-Identifier: MIT

/// Finds the slot of a job by its id.
///
/// Ids ascend, so neighbours in id are neighbours in time: 64 of them share a page, and a small open-addressing table
/// finds the page by the upper bits of the id. Live jobs in a row cost 4.5 bytes each and one cache line in 16; a
/// single old job costs one page of 264 bytes, and no cost depends on how many ids were given out.
///
/// - Complexity: O(1), amortised where the table grows or shrinks.
struct JobIndex: ~Copyable {
    private struct Page {
        var live: UInt32
        var slots: InlineArray<64, UInt32>
    }

    private struct Entry {
        /// The upper bits of the ids of the page.
        var number: UInt64
        /// Nil where the entry is free.
        var page: UnsafeMutablePointer<Page>?
    }

    private static let smallest = 16
    private static let spareLimit = 64

    private var entries: UnsafeMutablePointer<Entry>
    /// A power of two.
    private var capacity = JobIndex.smallest
    private var used = 0
    /// Pages that were given back, kept for the next ids: a queue that flows takes no new memory.
    private var spare: [UnsafeMutablePointer<Page>] = []

    init() {
        entries = .allocate(capacity: capacity)
        entries.initialize(repeating: Entry(number: 0, page: nil), count: capacity)
    }

    deinit {
        for index in 0..<capacity { entries[index].page?.deallocate() }
        for page in spare { page.deallocate() }
        entries.deallocate()
    }

    /// The slot of a job; nil where no live job has the id.
    func slot(of id: JobID) -> UInt32? {
        let place = find(id.rawValue >> 6)
        guard let page = entries[place].page else { return nil }
        let slot = page.pointee.slots[Int(id.rawValue & 63)]
        return slot == none ? nil : slot
    }

    /// Adds a job, whose id isn't in the index.
    mutating func insert(_ id: JobID, slot: UInt32) {
        var place = find(id.rawValue >> 6)
        if entries[place].page == nil {
            if used * 2 >= capacity {
                rebuild(capacity * 2)
                place = find(id.rawValue >> 6)
            }
            let page = spare.popLast() ?? .allocate(capacity: 1)
            page.initialize(to: Page(live: 0, slots: InlineArray(repeating: none)))
            entries[place] = Entry(number: id.rawValue >> 6, page: page)
            used += 1
        }
        guard let page = entries[place].page else { preconditionFailure("a page of the job index is missing") }
        page.pointee.slots[Int(id.rawValue & 63)] = slot
        page.pointee.live += 1
    }

    /// Takes a job out, whose id is in the index.
    mutating func remove(_ id: JobID) {
        let place = find(id.rawValue >> 6)
        guard let page = entries[place].page else { preconditionFailure("a job is missing from the index") }
        page.pointee.slots[Int(id.rawValue & 63)] = none
        page.pointee.live -= 1
        guard page.pointee.live == 0 else { return }
        if spare.count < Self.spareLimit { spare.append(page) } else { page.deallocate() }
        close(place)
        used -= 1
        if capacity > Self.smallest && used * 8 < capacity { rebuild(capacity / 2) }
    }

    /// The slots of all live jobs, in no order that means anything.
    func forEachSlot(_ body: (UInt32) -> Void) {
        for place in 0..<capacity {
            guard let page = entries[place].page else { continue }
            for offset in 0..<64 where page.pointee.slots[offset] != none { body(page.pointee.slots[offset]) }
        }
    }

    private func home(_ number: UInt64) -> Int {
        // Fibonacci hashing: the upper bits of the product with 2^64 divided by the golden ratio (Knuth, volume 3, 6.4).
        Int(truncatingIfNeeded: (number &* 0x9E37_79B9_7F4A_7C15) >> 32) & (capacity - 1)
    }

    /// The entry of a page, or the free one where it would go.
    private func find(_ number: UInt64) -> Int {
        var place = home(number)
        while entries[place].page != nil && entries[place].number != number {
            place = (place + 1) & (capacity - 1)
        }
        return place
    }

    /// Frees an entry and moves back those behind it that would no longer be found (Knuth's algorithm R).
    private func close(_ freed: Int) {
        var hole = freed
        var place = freed
        while true {
            place = (place + 1) & (capacity - 1)
            guard entries[place].page != nil else { break }
            let distance = (place - home(entries[place].number)) & (capacity - 1)
            if distance >= (place - hole) & (capacity - 1) {
                entries[hole] = entries[place]
                hole = place
            }
        }
        entries[hole].page = nil
    }

    private mutating func rebuild(_ newCapacity: Int) {
        let old = entries
        let oldCapacity = capacity
        entries = .allocate(capacity: newCapacity)
        entries.initialize(repeating: Entry(number: 0, page: nil), count: newCapacity)
        capacity = newCapacity
        for index in 0..<oldCapacity where old[index].page != nil {
            entries[find(old[index].number)] = old[index]
        }
        old.deallocate()
    }
}
