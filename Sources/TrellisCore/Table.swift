// SPDX-License-Identifier: MIT

/// Records at fixed addresses, found by a small index that is reused, the one freed last first.
///
/// For what there are thousands of at most (tubes, connections, watch sets): its pages stay until the table goes.
/// The records are handled by hand: `allocate` initialises one, `free` only marks the place as free.
struct Table<Record>: ~Copyable {
    private static var perPage: Int { 64 }

    private var pages: [UnsafeMutablePointer<Record>] = []
    private var freed: [UInt32] = []
    private var untouched: UInt32 = 0

    deinit {
        for page in pages { page.deallocate() }
    }

    /// How many records there are.
    var count: Int { Int(untouched) - freed.count }

    /// Every index in use is below this.
    var end: UInt32 { untouched }

    /// The address of a record, the same for as long as the record lives.
    @inline(__always)
    subscript(index: UInt32) -> UnsafeMutablePointer<Record> {
        pages[Int(index) / Self.perPage] + Int(index) % Self.perPage
    }

    /// Makes a record and answers its index.
    mutating func allocate(_ record: (UInt32) -> Record) -> UInt32 {
        let index: UInt32
        if let last = freed.popLast() {
            index = last
        } else {
            index = untouched
            untouched += 1
            if Int(index) / Self.perPage == pages.count {
                pages.append(.allocate(capacity: Self.perPage))
            }
        }
        self[index].initialize(to: record(index))
        return index
    }

    /// Gives an index back.
    ///
    /// The caller has taken the record apart.
    mutating func free(_ index: UInt32) { freed.append(index) }
}
