// SPDX-License-Identifier: MIT

internal import Glibc

/// The bytes of a file, by pages, of which those that hold nothing but zeroes take no memory of their own.
///
/// A copy shares the pages until one of the two writes to them.
struct FaultyContent: Sendable {
    static let pageSize = 4096
    static let sectorSize = 512
    private static let zeroes = [UInt8](repeating: 0, count: pageSize)

    /// A page that was never written is nil: a hole, or reserved.
    private var pages: [[UInt8]?] = []
    private(set) var size: UInt64 = 0
    /// The first pages have room on the disk whether they were written or not.
    private(set) var reservedPages = 0
    /// Pages with room on the disk.
    private(set) var usedPages = 0

    init() {}

    init(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { write($0, at: 0) }
    }

    var bytes: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Int(size)) { buffer, count in
            count = read(at: 0, into: UnsafeMutableRawBufferPointer(buffer))
        }
    }

    /// Every page that was written.
    func writtenPages(from first: Int) -> [Int] {
        guard first < pages.count else { return [] }
        return (first..<pages.count).filter { pages[$0] != nil }
    }

    func page(_ index: Int) -> [UInt8]? { index < pages.count ? pages[index] : nil }

    func hasRoom(at index: Int) -> Bool { index < reservedPages || page(index) != nil }

    mutating func setPage(_ index: Int, _ page: [UInt8]?) {
        if index >= pages.count {
            guard page != nil else { return }
            pages.append(contentsOf: repeatElement(nil, count: index + 1 - pages.count))
        }
        if index >= reservedPages { usedPages += (page == nil ? 0 : 1) - (pages[index] == nil ? 0 : 1) }
        pages[index] = page
    }

    /// Writes the sectors of a page that a mask names, the first by its lowest bit.
    mutating func setSectors(_ mask: UInt8, of index: Int, to page: [UInt8]?) {
        if mask == 0 { return }
        if mask == 0xFF { return setPage(index, page) }
        let new = page ?? Self.zeroes
        var mixed = self.page(index) ?? Self.zeroes
        for sector in 0..<8 where mask & (1 << sector) != 0 {
            let range = sector * Self.sectorSize..<(sector + 1) * Self.sectorSize
            mixed.replaceSubrange(range, with: new[range])
        }
        setPage(index, mixed)
    }

    mutating func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        var done = 0
        while done < bytes.count {
            let (index, start) = (offset + done).quotientAndRemainder(dividingBy: Self.pageSize)
            let count = min(Self.pageSize - start, bytes.count - done)
            let part = UnsafeRawBufferPointer(rebasing: bytes[done..<done + count])
            if count == Self.pageSize {
                setPage(index, Self.isZero(part) ? Self.zeroes : [UInt8](part))
            } else {
                if page(index) == nil { setPage(index, Self.zeroes) }
                pages[index]?.withUnsafeMutableBytes { page in
                    UnsafeMutableRawBufferPointer(rebasing: page[start..<start + count]).copyMemory(from: part)
                }
            }
            done += count
        }
        size = max(size, UInt64(offset + bytes.count))
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard offset < size else { return 0 }
        let total = min(buffer.count, Int(size - offset))
        var done = 0
        while done < total {
            let (index, start) = (Int(offset) + done).quotientAndRemainder(dividingBy: Self.pageSize)
            let count = min(Self.pageSize - start, total - done)
            (page(index) ?? Self.zeroes).withUnsafeBytes { page in
                UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + count])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: page[start..<start + count]))
            }
            done += count
        }
        return total
    }

    mutating func resize(to newSize: UInt64) {
        size = newSize
        let (whole, rest) = Int(newSize).quotientAndRemainder(dividingBy: Self.pageSize)
        let count = rest == 0 ? whole : whole + 1
        if pages.count > count || reservedPages > count {
            pages.removeLast(max(0, pages.count - count))
            reservedPages = min(reservedPages, count)
            usedPages = reservedPages + writtenPages(from: reservedPages).count
        }
        if rest > 0, page(whole) != nil {
            pages[whole]?.replaceSubrange(rest..., with: Self.zeroes[rest...])
        }
    }

    /// Gives room to the first pages, without a change of the size.
    mutating func reserve(pages count: Int) {
        guard count > reservedPages else { return }
        usedPages += pagesWithoutRoom(before: count)
        reservedPages = count
    }

    /// How many of the first pages have no room on the disk yet.
    func pagesWithoutRoom(before count: Int) -> Int {
        guard count > reservedPages else { return 0 }
        return (reservedPages..<count).count { page($0) == nil }
    }

    mutating func flip(_ bits: UInt8, at offset: UInt64) {
        guard offset < size else { return }
        let (index, start) = Int(offset).quotientAndRemainder(dividingBy: Self.pageSize)
        if page(index) == nil { setPage(index, Self.zeroes) }
        pages[index]?[start] ^= bits
    }

    private static func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let start = bytes.baseAddress else { return true }
        return zeroes.withUnsafeBytes { zeroes in
            zeroes.baseAddress.map { memcmp(start, $0, bytes.count) == 0 } ?? false
        }
    }
}
