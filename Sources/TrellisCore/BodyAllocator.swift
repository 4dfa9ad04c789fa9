// SPDX-License-Identifier: MIT

import Glibc

/// Gives out the memory of bodies and takes it back.
///
/// Small bodies come from chunks of 256 KiB that hold blocks of one size each; a chunk whose last block is given back
/// returns to the system, so a queue that has drained keeps nothing. Blocks step by 8 bytes up to bodies of 256 bytes and
/// by a quarter of a power of two up to ones of 64 KiB; a body of a power of two fills its block. Larger bodies are the
/// matter of `LargeMemory`.
///
/// Cost: a few instructions for small bodies; no call of the system but for a new chunk.
public struct BodyAllocator: ~Copyable {
    private typealias Chunk = UnsafeMutablePointer<ChunkHeader>

    /// Lies at the start of a chunk.
    ///
    /// Chunks are aligned to their size, so a block's chunk is found by a mask.
    private struct ChunkHeader {
        var blockBytes: UInt32
        var sizeClass: UInt32
        /// Blocks given out and not given back.
        var live: UInt32
        /// Where memory begins that was never given out, as an offset in the chunk.
        var untouched: UInt32
        /// The block given back last; each holds the address of the one before.
        var free: UnsafeMutableRawPointer?
        /// Neighbours among the chunks of the class that have room.
        var previous: Chunk?
        var next: Chunk?
    }

    private static let chunkBytes = 256 << 10
    private static let firstBlock = 64
    /// The largest block taken from a chunk, in bytes, header included.
    static let largestBlock = 64 << 10 + Body.headerBytes
    private static let classCount = sizeClass(of: largestBlock) + 1
    private static let smallClassCount = (256 + Body.headerBytes) / 8
    private static let spareLimit = 4
    /// Chunks of blocks from this size on get their memory at once.
    private static let populatedBlock = 8 << 10
    /// So do the chunks of a class that has so many: one that isn't filled then is a small part of what there is.
    private static let populatedFrom: UInt32 = 4

    /// For each class, the first chunk with room.
    private let open: UnsafeMutablePointer<Chunk?>
    /// For each class, how many chunks it has.
    private let counts: UnsafeMutablePointer<UInt32>
    /// Empty chunks kept for the next need of any class.
    private var spare: Chunk?
    private var spareCount = 0
    /// While a store is being read, who has chunks ready, and where others come from: all are certain to be filled soon.
    private var supply: (() -> UnsafeMutableRawPointer?)?
    private var bulk: BulkMemory?
    /// Where bodies over the largest block lie.
    var large = LargeMemory()

    /// The memory of all live bodies, in bytes, as it counts against the limit: whole blocks.
    public private(set) var liveBytes: UInt64 = 0

    /// An allocator that holds nothing yet.
    public init() {
        open = .allocate(capacity: Self.classCount)
        open.initialize(repeating: nil, count: Self.classCount)
        counts = .allocate(capacity: Self.classCount)
        counts.initialize(repeating: 0, count: Self.classCount)
    }

    deinit {
        for index in 0..<Self.classCount {
            var chunk = open[index]
            while let current = chunk {
                chunk = current.pointee.next
                munmap(current, Self.chunkBytes)
            }
        }
        var kept = spare
        while let current = kept {
            kept = current.pointee.next
            munmap(current, Self.chunkBytes)
        }
        open.deallocate()
        counts.deallocate()
    }

    /// The block a body of that length takes, in bytes.
    @inline(__always)
    public static func footprint(ofLength length: Int) -> UInt64 {
        let total = length + Body.headerBytes
        // Of a small one, which most are, the same in fewer steps.
        if length <= 256 { return UInt64((total + 7) & ~7) }
        return total > largestBlock ? UInt64(total) : UInt64(blockBytes(ofClass: sizeClass(of: total)))
    }

    /// A body of that length with one reference; its bytes are whatever lay there.
    ///
    /// Nil where the system has no memory.
    public mutating func allocate(_ length: Int) -> Body? {
        let total = length + Body.headerBytes
        let memory: UnsafeMutableRawPointer?
        if total > Self.largestBlock {
            memory = large.allocate(total)
            if memory != nil { liveBytes += UInt64(total) }
        } else {
            memory = block(ofClass: Self.sizeClass(of: total))
        }
        guard let memory else { return nil }
        let header = memory.bindMemory(to: Body.Header.self, capacity: 1)
        header.initialize(to: .init(references: 1, length: UInt32(length)))
        return Body(header: header)
    }

    /// A body with a copy of the bytes.
    ///
    /// Nil where the system has no memory.
    public mutating func copy(_ bytes: UnsafeRawBufferPointer) -> Body? {
        guard let body = allocate(bytes.count) else { return nil }
        body.mutableBytes.copyMemory(from: bytes)
        return body
    }

    /// Gives up one reference; the last one frees the memory.
    public mutating func release(_ body: Body) {
        body.header.pointee.references &-= 1
        if body.header.pointee.references == 0 { free(body) }
    }

    /// Changes the length of a large body that is still being received; its bytes move when they must.
    ///
    /// Both lengths must be over the largest block. Nil, with the body unchanged, where the system has no memory.
    mutating func resize(_ body: Body, to length: Int) -> Body? {
        let old = body.count + Body.headerBytes
        let new = length + Body.headerBytes
        precondition(old > Self.largestBlock && new > Self.largestBlock, "only large bodies can be resized")
        guard let memory = large.resize(UnsafeMutableRawPointer(body.header), to: new) else { return nil }
        liveBytes += UInt64(new)
        liveBytes -= UInt64(old)
        let header = memory.bindMemory(to: Body.Header.self, capacity: 1)
        header.pointee.length = UInt32(length)
        return Body(header: header)
    }

    private mutating func free(_ body: Body) {
        let total = body.count + Body.headerBytes
        let memory = UnsafeMutableRawPointer(body.header)
        if total > Self.largestBlock {
            liveBytes -= UInt64(total)
            large.free(memory, total)
            return
        }
        let address = UInt(bitPattern: memory) & ~UInt(Self.chunkBytes - 1)
        guard let chunk = Chunk(bitPattern: address) else { preconditionFailure("a body lies outside any chunk") }
        liveBytes -= UInt64(chunk.pointee.blockBytes)
        let wasFull = chunk.pointee.free == nil && isUntouchedUsedUp(chunk)
        memory.storeBytes(of: chunk.pointee.free, as: UnsafeMutableRawPointer?.self)
        chunk.pointee.free = memory
        chunk.pointee.live -= 1
        if wasFull { link(chunk) }
        if chunk.pointee.live == 0 { retire(chunk) }
    }

    // MARK: Blocks

    static func sizeClass(of total: Int) -> Int {
        let rounded = total - Body.headerBytes - 1
        if rounded < 256 { return (total + 7) / 8 - 1 }
        // Four classes for each doubling above 256: the two bits after the leading one choose among them.
        let exponent = Int.bitWidth - 1 - rounded.leadingZeroBitCount
        return smallClassCount + (exponent - 8) * 4 + ((rounded >> (exponent - 2)) & 3)
    }

    static func blockBytes(ofClass sizeClass: Int) -> Int {
        if sizeClass < smallClassCount { return (sizeClass + 1) * 8 }
        let (doubling, quarter) = (sizeClass - smallClassCount).quotientAndRemainder(dividingBy: 4)
        return Body.headerBytes + (256 << doubling) + (quarter + 1) * (64 << doubling)
    }

    /// How much of a chunk its blocks and the header take, in bytes: where a block doesn't fit any more nothing is ever
    /// touched.
    private static func usedBytes(ofChunksOf sizeClass: Int) -> Int {
        let block = blockBytes(ofClass: sizeClass)
        return firstBlock + (chunkBytes - firstBlock) / block * block
    }

    private mutating func block(ofClass sizeClass: Int) -> UnsafeMutableRawPointer? {
        guard let chunk = open[sizeClass] ?? newChunk(sizeClass) else { return nil }
        let memory: UnsafeMutableRawPointer
        if let free = chunk.pointee.free {
            memory = free
            chunk.pointee.free = free.load(as: UnsafeMutableRawPointer?.self)
        } else {
            memory = UnsafeMutableRawPointer(chunk) + Int(chunk.pointee.untouched)
            chunk.pointee.untouched += chunk.pointee.blockBytes
        }
        chunk.pointee.live += 1
        liveBytes += UInt64(chunk.pointee.blockBytes)
        if chunk.pointee.free == nil && isUntouchedUsedUp(chunk) { unlink(chunk) }
        return memory
    }

    private func isUntouchedUsedUp(_ chunk: Chunk) -> Bool {
        Int(chunk.pointee.untouched) + Int(chunk.pointee.blockBytes) > Self.chunkBytes
    }

    // MARK: Chunks

    private mutating func newChunk(_ sizeClass: Int) -> Chunk? {
        let chunk: Chunk
        if let kept = spare {
            spare = kept.pointee.next
            spareCount -= 1
            chunk = kept
        } else if let made = supply?() {
            chunk = made.bindMemory(to: ChunkHeader.self, capacity: 1)
        } else {
            guard let mapped = mapChunk(sizeClass) else { return nil }
            chunk = mapped.bindMemory(to: ChunkHeader.self, capacity: 1)
        }
        chunk.initialize(
            to: ChunkHeader(
                blockBytes: UInt32(Self.blockBytes(ofClass: sizeClass)), sizeClass: UInt32(sizeClass), live: 0,
                untouched: UInt32(Self.firstBlock), free: nil, previous: nil, next: nil))
        counts[sizeClass] += 1
        link(chunk)
        return chunk
    }

    private mutating func mapChunk(_ sizeClass: Int) -> UnsafeMutableRawPointer? {
        let isOneOfMany = counts[sizeClass] >= Self.populatedFrom
        if isOneOfMany, let memory = bulk?.take(Self.chunkBytes) { return memory }
        guard let memory = mapAligned(Self.chunkBytes) else { return nil }
        // A chunk of large blocks is full after a few bodies, and one of many is most likely filled: its pages come at
        // once, for half of what they cost one by one.
        if isOneOfMany || Self.blockBytes(ofClass: sizeClass) >= Self.populatedBlock {
            populate(memory, Self.usedBytes(ofChunksOf: sizeClass))
        }
        return memory
    }

    /// Begins a time in which new chunks are certain to be filled soon.
    ///
    /// `supply` answers chunks that somebody has made ahead; nil when none is ready.
    mutating func beginFilling(from supply: (() -> UnsafeMutableRawPointer?)?) {
        self.supply = supply
        bulk = BulkMemory()
    }

    /// Ends it.
    mutating func endFilling() {
        supply = nil
        bulk = nil
    }

    /// The memory of a chunk, for `Engine.recover`; nil where the system has none.
    ///
    /// Any thread may call it. What isn't used goes back by `returnChunk`.
    public static func makeChunk(of memory: inout BulkMemory) -> UnsafeMutableRawPointer? { memory.take(chunkBytes) }

    /// Gives the memory of a chunk that wasn't used back to the system.
    public static func returnChunk(_ memory: UnsafeMutableRawPointer) { munmap(memory, chunkBytes) }

    private mutating func retire(_ chunk: Chunk) {
        unlink(chunk)
        counts[Int(chunk.pointee.sizeClass)] -= 1
        if spareCount < Self.spareLimit {
            chunk.pointee.next = spare
            spare = chunk
            spareCount += 1
        } else {
            munmap(chunk, Self.chunkBytes)
        }
    }

    private func link(_ chunk: Chunk) {
        let sizeClass = Int(chunk.pointee.sizeClass)
        chunk.pointee.previous = nil
        chunk.pointee.next = open[sizeClass]
        open[sizeClass]?.pointee.previous = chunk
        open[sizeClass] = chunk
    }

    private func unlink(_ chunk: Chunk) {
        chunk.pointee.next?.pointee.previous = chunk.pointee.previous
        if let previous = chunk.pointee.previous {
            previous.pointee.next = chunk.pointee.next
        } else {
            open[Int(chunk.pointee.sizeClass)] = chunk.pointee.next
        }
        chunk.pointee.next = nil
        chunk.pointee.previous = nil
    }
}

/// Maps memory whose address is a multiple of its size (a power of two); nil where the system has none.
func mapAligned(_ bytes: Int) -> UnsafeMutableRawPointer? {
    guard let start = mapPages(2 * bytes) else { return nil }
    let skipped = (bytes - Int(bitPattern: start) & (bytes - 1)) & (bytes - 1)
    if skipped > 0 { munmap(start, skipped) }
    munmap(start + skipped + bytes, bytes - skipped)
    return start + skipped
}

/// Has the system give all the memory of a mapping at once, which costs it less than page by page as they are touched.
func populate(_ memory: UnsafeMutableRawPointer, _ bytes: Int) {
    // MADV_POPULATE_WRITE, since Linux 5.14; where it isn't known, pages come as they are touched.
    _ = madvise(memory, bytes, 23)
}

/// Maps zero-filled memory; nil where the system has none.
func mapPages(_ bytes: Int) -> UnsafeMutableRawPointer? {
    let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    return memory == MAP_FAILED ? nil : memory
}
