// SPDX-License-Identifier: MIT

import Glibc

/// Where a job stands.
enum JobState: UInt8 {
    /// Its put line was read, its body isn't complete. Seen by nobody.
    case incoming
    case ready
    case delayed
    case reserved
    case buried
}

/// All that the engine knows of one job: 72 bytes of plain data.
struct JobRecord {
    var id: JobID
    /// When the put line was read.
    var createdAt: Instant
    /// The number of the change that brought the job to its state, a reservation included.
    var sequence: UInt64
    /// One reference is held for the record.
    ///
    /// Not set while the job is incoming.
    var body: Body?
    var note: StorageNote
    var priority: UInt32
    var delay: UInt32
    var ttr: UInt32
    var tube: TubeIndex
    /// Delayed: the place in the tube's heap.
    ///
    /// Reserved: the place in the holder's heap. Buried: the slot before it.
    var place: UInt32
    /// Reserved: the index of the holder.
    ///
    /// Buried: the slot behind it.
    var link: UInt32
    var status: JobStatus

    /// Where it stands.
    var state: JobState {
        @inline(__always) get { status.state }
        @inline(__always) set { status.state = newValue }
    }
}

/// No slot, no index, no place.
let none = UInt32.max

/// The records of all jobs, in pages of 2048 that go back to the system when they are empty.
///
/// - Complexity: every operation is O(1).
struct JobSlab: ~Copyable {
    private struct Page {
        var records: UnsafeMutablePointer<JobRecord>?
        var live: UInt32 = 0
        /// Records from here on were never used.
        var untouched: UInt32 = 0
        /// The slot freed last; each free record's `link` holds the one before.
        var freed = none
        /// Neighbours among the pages with room.
        var previous = none
        var next = none
    }

    private static let shift: UInt32 = 11
    private static let perPage: UInt32 = 1 << shift
    private static let pageBytes = Int(perPage) * MemoryLayout<JobRecord>.stride
    /// Where there are so many pages another gets its memory at once: if it isn't filled it is a small part of them.
    private static let populatedFrom: UInt32 = 4

    private var pages: UnsafeMutablePointer<Page>
    private var pageCount: UInt32 = 0
    private var pageCapacity: UInt32 = 16
    /// The first page with room.
    private var open = none
    /// Numbers of pages that have no memory.
    private var unmapped: [UInt32] = []

    /// Where pages come from that are certain to be filled soon, as they are while a store is being read.
    private var bulk: BulkMemory?
    /// How many records there are.
    private(set) var count = 0

    init() {
        pages = .allocate(capacity: Int(pageCapacity))
    }

    deinit {
        for index in 0..<Int(pageCount) {
            if let records = pages[index].records { munmap(records, Self.pageBytes) }
        }
        pages.deallocate()
    }

    /// The record of a slot that is in use.
    @inline(__always)
    subscript(slot: UInt32) -> UnsafeMutablePointer<JobRecord> {
        pages[Int(slot >> Self.shift)].records.unsafelyUnwrapped + Int(slot & (Self.perPage - 1))
    }

    /// Whether a number is that of a slot which was ever in use and has memory.
    func hasRecord(_ slot: UInt32) -> Bool {
        let number = slot >> Self.shift
        guard number < pageCount, pages[Int(number)].records != nil else { return false }
        return slot & (Self.perPage - 1) < pages[Int(number)].untouched
    }

    /// A slot whose record is whatever lay there; nil where the system has no memory.
    mutating func allocate() -> UInt32? {
        if open == none, !addPage() { return nil }
        let page = pages + Int(open)
        let slot: UInt32
        if page.pointee.freed != none {
            slot = page.pointee.freed
            page.pointee.freed = self[slot].pointee.link
        } else {
            slot = open << Self.shift | page.pointee.untouched
            page.pointee.untouched += 1
        }
        page.pointee.live += 1
        count += 1
        if page.pointee.live == Self.perPage { unlink(open) }
        return slot
    }

    /// Gives a slot back.
    mutating func free(_ slot: UInt32) {
        let number = slot >> Self.shift
        let page = pages + Int(number)
        self[slot].pointee.link = page.pointee.freed
        page.pointee.freed = slot
        if page.pointee.live == Self.perPage { link(number) }
        page.pointee.live -= 1
        count -= 1
        // The last page with room stays, so that a queue that swings about a page's edge doesn't map and unmap.
        if page.pointee.live == 0, page.pointee.next != none || page.pointee.previous != none {
            unlink(number)
            munmap(page.pointee.records, Self.pageBytes)
            page.pointee = Page()
            unmapped.append(number)
        }
    }

    private mutating func addPage() -> Bool {
        guard let memory = mapPage() else { return false }
        let number: UInt32
        if let known = unmapped.popLast() {
            number = known
        } else {
            if pageCount == pageCapacity { growTable() }
            number = pageCount
            pageCount += 1
        }
        pages[Int(number)] = Page(records: memory.bindMemory(to: JobRecord.self, capacity: Int(Self.perPage)))
        link(number)
        return true
    }

    private mutating func mapPage() -> UnsafeMutableRawPointer? {
        let isOneOfMany = pageCount - UInt32(unmapped.count) >= Self.populatedFrom
        if isOneOfMany, let memory = bulk?.take(Self.pageBytes) { return memory }
        guard let memory = mapPages(Self.pageBytes) else { return nil }
        if isOneOfMany { populate(memory, Self.pageBytes) }
        return memory
    }

    /// Begins a time in which new pages are certain to be filled soon.
    mutating func beginFilling() { bulk = BulkMemory() }

    /// Ends it.
    mutating func endFilling() { bulk = nil }

    private mutating func growTable() {
        let larger = UnsafeMutablePointer<Page>.allocate(capacity: Int(pageCapacity) * 2)
        larger.initialize(from: pages, count: Int(pageCount))
        pages.deallocate()
        pages = larger
        pageCapacity *= 2
    }

    private mutating func link(_ number: UInt32) {
        pages[Int(number)].previous = none
        pages[Int(number)].next = open
        if open != none { pages[Int(open)].previous = number }
        open = number
    }

    private mutating func unlink(_ number: UInt32) {
        let page = pages[Int(number)]
        if page.next != none { pages[Int(page.next)].previous = page.previous }
        if page.previous != none {
            pages[Int(page.previous)].next = page.next
        } else {
            open = page.next
        }
        pages[Int(number)].previous = none
        pages[Int(number)].next = none
    }
}
