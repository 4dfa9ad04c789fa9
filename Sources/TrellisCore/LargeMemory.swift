// SPDX-License-Identifier: MIT

import Glibc

/// The memory of bodies that are too large for a chunk.
///
/// It comes from malloc, which is to map such blocks one by one. Of the smaller ones a few are kept for the next need: a
/// fresh mapping costs a page fault for each 4 KiB, which made a put and delete of 100 kB three times as dear. The
/// larger ones go back to the system in steps: 1 GiB at once took 176 ms.
struct LargeMemory: ~Copyable {
    /// The most memory that goes back to the system at once, in bytes; it takes 0.7 ms.
    ///
    /// Larger blocks aren't kept.
    static let stepBytes = 4 << 20
    /// The most memory that is kept, in bytes.
    static let keptLimit = 16 << 20
    private static let pageBytes = 4096
    private static let firstClass = BodyAllocator.sizeClass(of: BodyAllocator.largestBlock + 1)
    private static let classCount = BodyAllocator.sizeClass(of: stepBytes) - firstClass + 1

    /// Blocks that are kept, by class.
    private var kept: [[UnsafeMutableRawPointer]]
    private(set) var keptBytes = 0
    /// Blocks that go back in steps, with the bytes that are left of each.
    private var retired: [(start: UnsafeMutableRawPointer, left: Int)] = []

    init() { kept = Array(repeating: [], count: Self.classCount) }

    deinit {
        for memory in kept.joined() { Glibc.free(memory) }
        for memory in retired { Glibc.free(memory.start) }
    }

    /// A block of so many bytes at least; nil where the system has none.
    mutating func allocate(_ bytes: Int) -> UnsafeMutableRawPointer? {
        if let place = Self.place(of: bytes), let memory = kept[place].popLast() {
            keptBytes -= Self.blockBytes(bytes)
            return memory
        }
        return malloc(Self.blockBytes(bytes))
    }

    /// Makes a block of one size one of another size; nil, with the block unchanged, where the system has no memory.
    func resize(_ memory: UnsafeMutableRawPointer, to bytes: Int) -> UnsafeMutableRawPointer? {
        realloc(memory, Self.blockBytes(bytes))
    }

    /// Takes back a block that was asked for with so many bytes.
    mutating func free(_ memory: UnsafeMutableRawPointer, _ bytes: Int) {
        guard let place = Self.place(of: bytes) else {
            retired.append((memory, bytes))
            return
        }
        kept[place].append(memory)
        keptBytes += Self.blockBytes(bytes)
        // Blocks of other sizes go first: they may not be needed any more.
        for other in kept.indices where other != place { discard(from: other) }
        discard(from: place)
    }

    /// Whether `sweep` has something to do.
    var hasRetired: Bool { !retired.isEmpty }

    /// Gives a bounded piece of the largest blocks back to the system.
    mutating func sweep() {
        guard var memory = retired.popLast() else { return }
        // The first page belongs to malloc, too.
        guard memory.left > Self.stepBytes + Self.pageBytes else {
            Glibc.free(memory.start)
            return
        }
        // Whole pages from the end. The rest of the last one goes with `free`.
        let mask = ~(Self.pageBytes - 1)
        let start = Int(bitPattern: memory.start)
        let end = (start + memory.left) & mask
        let from = (start + memory.left - Self.stepBytes) & mask
        madvise(memory.start + (from - start), end - from, MADV_DONTNEED)
        memory.left = from - start
        retired.append(memory)
    }

    /// Gives blocks of a class back to the system while too much is kept.
    private mutating func discard(from place: Int) {
        while keptBytes > Self.keptLimit, let memory = kept[place].popLast() {
            Glibc.free(memory)
            keptBytes -= BodyAllocator.blockBytes(ofClass: Self.firstClass + place)
        }
    }

    /// Where blocks for so many bytes are kept; nil for those that aren't.
    private static func place(of bytes: Int) -> Int? {
        bytes > stepBytes ? nil : BodyAllocator.sizeClass(of: bytes) - firstClass
    }

    private static func blockBytes(_ bytes: Int) -> Int {
        bytes > stepBytes ? bytes : BodyAllocator.blockBytes(ofClass: BodyAllocator.sizeClass(of: bytes))
    }
}
