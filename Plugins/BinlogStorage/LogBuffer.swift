// SPDX-License-Identifier: MIT

/// Bytes on their way to the log, in memory that grows.
///
/// One owner at a time: the loop fills it and hands it over whole.
public final class LogBuffer: @unchecked Sendable {
    private struct Fields {
        var base: UnsafeMutableRawPointer
        var capacity: Int
        var count: Int
    }

    /// Behind a pointer: fields of the object itself would cost an exclusivity check at each access.
    private let fields: UnsafeMutablePointer<Fields>

    /// An empty buffer.
    public init(capacity: Int = 64 << 10) {
        fields = .allocate(capacity: 1)
        fields.initialize(
            to: Fields(base: .allocate(byteCount: capacity, alignment: 16), capacity: capacity, count: 0))
    }

    deinit {
        fields.pointee.base.deallocate()
        fields.deallocate()
    }

    /// How many bytes are in it.
    public var count: Int { fields.pointee.count }

    /// The bytes in it, to be read.
    public var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: fields.pointee.base, count: fields.pointee.count)
    }

    /// The bytes in it, to be written.
    public var mutableBytes: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: fields.pointee.base, count: fields.pointee.count)
    }

    /// The memory behind the bytes, at least so much of it; `append` makes it part of them.
    public func tail(_ room: Int) -> UnsafeMutableRawBufferPointer {
        if count + room > fields.pointee.capacity { grow(to: count + room) }
        return UnsafeMutableRawBufferPointer(
            start: fields.pointee.base + count, count: fields.pointee.capacity - count)
    }

    /// Makes so many bytes of the tail part of the buffer.
    public func append(_ added: Int) {
        precondition(count + added <= fields.pointee.capacity, "more bytes were added than there is room for")
        fields.pointee.count += added
    }

    /// Adds bytes whose content is whatever lay there, and lends them.
    @inline(__always)
    func extend(_ added: Int) -> UnsafeMutableRawBufferPointer {
        if count + added > fields.pointee.capacity { grow(to: count + added) }
        let start = fields.pointee.base + count
        fields.pointee.count += added
        return UnsafeMutableRawBufferPointer(start: start, count: added)
    }

    /// Empties it and keeps its memory.
    func empty() { fields.pointee.count = 0 }

    /// Empties it; memory beyond what most commits need is given back.
    public func clear() {
        fields.pointee.count = 0
        guard fields.pointee.capacity > 4 << 20 else { return }
        fields.pointee.base.deallocate()
        fields.pointee.capacity = 64 << 10
        fields.pointee.base = .allocate(byteCount: fields.pointee.capacity, alignment: 16)
    }

    private func grow(to need: Int) {
        let larger = max(need, fields.pointee.capacity * 2)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
        memory.copyMemory(from: fields.pointee.base, byteCount: count)
        fields.pointee.base.deallocate()
        fields.pointee.base = memory
        fields.pointee.capacity = larger
    }
}
