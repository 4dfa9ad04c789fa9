// SPDX-License-Identifier: MIT

/// A file, whatever its name: what programs see of it, and what of that is on the disk.
struct FaultyNode: Sendable {
    /// What a program reads.
    private(set) var live = FaultyContent()
    /// What is on the disk for certain.
    private(set) var durable = FaultyContent()
    /// Pages that the next `sync` writes.
    private var dirty: Set<Int> = []
    /// Pages that a failed `sync` has given up: no later one writes them, unless they are written again.
    private var lost: Set<Int> = []
    private var sizeIsDirty = false

    /// Where it is, or was last.
    var path: String
    /// How many names it has.
    var links = 1
    /// How many have it open.
    var opens = 0
    var lockHolder: Int?
    var nextWriteError: Int32?

    init(path: String, content: FaultyContent = FaultyContent()) {
        self.path = path
        live = content
        durable = content
    }

    mutating func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        guard bytes.count > 0 else { return }
        if UInt64(offset + bytes.count) > live.size { sizeIsDirty = true }
        live.write(bytes, at: offset)
        for page in offset / FaultyContent.pageSize...(offset + bytes.count - 1) / FaultyContent.pageSize {
            touch(page)
        }
    }

    mutating func resize(to size: UInt64) {
        // Also where the file grows: its last page may hold bytes on the disk that lie behind its end here.
        let first = Int(min(size, live.size)) / FaultyContent.pageSize
        for page in live.writtenPages(from: first) { touch(page) }
        live.resize(to: size)
        sizeIsDirty = true
    }

    mutating func reserve(_ size: UInt64) {
        if size > live.size { live.resize(to: size) }
        live.reserve(pages: Self.pages(in: size))
        sizeIsDirty = true
    }

    mutating func sync() {
        for page in dirty { durable.setPage(page, live.page(page)) }
        dirty.removeAll()
        guard sizeIsDirty else { return }
        sizeIsDirty = false
        durable.resize(to: live.size)
        durable.reserve(pages: live.reservedPages)
    }

    /// As Linux does after an error of the disk: nobody remembers that the pages never got there.
    mutating func failSync() {
        lost.formUnion(dirty)
        dirty.removeAll()
        sizeIsDirty = false
    }

    /// Puts other bytes on the disk.
    mutating func replaceContent(_ content: FaultyContent) {
        live = content
        durable = content
        dirty.removeAll()
        lost.removeAll()
        sizeIsDirty = false
    }

    /// Changes what is on the disk and what programs see of it.
    mutating func flip(_ bits: UInt8, at offset: UInt64) {
        live.flip(bits, at: offset)
        durable.flip(bits, at: offset)
    }

    /// What is found after a power loss.
    func crashed(_ decider: inout some CrashDecider) -> FaultyContent {
        var result = durable
        for page in dirty.union(lost).sorted() {
            result.setSectors(decider.sectors(ofPage: page, in: path), of: page, to: live.page(page))
        }
        let size = durable.size == live.size ? live.size : decider.size(of: path, from: durable.size, to: live.size)
        // Pages may have come through that lie behind the end.
        result.resize(to: size)
        result.reserve(pages: min(size == live.size ? live.reservedPages : durable.reservedPages, Self.pages(in: size)))
        return result
    }

    static func pages(in size: UInt64) -> Int {
        Int((size + UInt64(FaultyContent.pageSize - 1)) / UInt64(FaultyContent.pageSize))
    }

    private mutating func touch(_ page: Int) {
        dirty.insert(page)
        lost.remove(page)
    }
}
