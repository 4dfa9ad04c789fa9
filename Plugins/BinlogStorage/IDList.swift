// SPDX-License-Identifier: MIT

/// A list of job ids in little memory: each is kept as its difference from the one before, in as few bytes as it takes
/// (base 128, zigzag), mostly one.
struct IDList {
    private var bytes: [UInt8] = []
    private var last: UInt64 = 0

    mutating func append(_ id: UInt64) {
        let difference = Int64(bitPattern: id &- last)
        last = id
        var rest = UInt64(bitPattern: (difference << 1) ^ (difference >> 63))
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// A place in a list.
    struct Cursor {
        fileprivate var offset = 0
        fileprivate var last: UInt64 = 0
    }

    /// The id at the place, which moves on; nil at the end.
    func next(_ cursor: inout Cursor) -> UInt64? {
        guard cursor.offset < bytes.count else { return nil }
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = bytes[cursor.offset]
            cursor.offset += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { break }
            shift += 7
        }
        let difference = Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
        cursor.last = cursor.last &+ UInt64(bitPattern: difference)
        return cursor.last
    }
}

/// A set of job ids: a bit for each, in pages of 4096 ids.
struct IDSet: ~Copyable {
    private static let words = 64
    private var pages: [UInt64: UnsafeMutablePointer<UInt64>] = [:]
    private var lastNumber = UInt64.max
    private var lastPage: UnsafeMutablePointer<UInt64>?

    init() {}

    deinit {
        for page in pages.values { page.deallocate() }
    }

    /// Adds an id; false where it was there.
    mutating func insert(_ id: UInt64) -> Bool {
        let page = page(id >> 12)
        let bit = UInt64(1) << (id & 63)
        let word = Int(id >> 6 & 63)
        if page[word] & bit != 0 { return false }
        page[word] |= bit
        return true
    }

    mutating func contains(_ id: UInt64) -> Bool {
        page(id >> 12)[Int(id >> 6 & 63)] & UInt64(1) << (id & 63) != 0
    }

    private mutating func page(_ number: UInt64) -> UnsafeMutablePointer<UInt64> {
        if number == lastNumber, let lastPage { return lastPage }
        let page: UnsafeMutablePointer<UInt64>
        if let known = pages[number] {
            page = known
        } else {
            page = .allocate(capacity: Self.words)
            page.initialize(repeating: 0, count: Self.words)
            pages[number] = page
        }
        lastNumber = number
        lastPage = page
        return page
    }
}
