// SPDX-License-Identifier: MIT

/// The bytes of a job, or of a text that a reply carries: immutable and counted.
///
/// A body is one pointer to memory of a `BodyAllocator`: a count and a length of 4 bytes each, then the bytes. The
/// count is changed by hand (`retain`, `BodyAllocator.release`): bodies live in records without Swift references, and
/// an automatic retain and release per job and reply was most of the cost of holding them in classes. The count isn't
/// atomic: a body belongs to whoever is inside of the engine.
public struct Body {
    @usableFromInline let header: UnsafeMutablePointer<Header>

    @usableFromInline
    struct Header {
        var references: UInt32
        var length: UInt32
    }

    /// The bytes that stand before the content: the count and the length.
    static let headerBytes = MemoryLayout<Header>.size

    /// How many bytes the body has.
    public var count: Int { Int(header.pointee.length) }

    /// The bytes.
    ///
    /// Valid while a reference is held.
    public var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: UnsafeRawPointer(header + 1), count: count)
    }

    /// The bytes, to fill a body that nobody else has seen yet.
    public var mutableBytes: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(header + 1), count: count)
    }

    /// Takes one more reference.
    public func retain() { header.pointee.references &+= 1 }
}
