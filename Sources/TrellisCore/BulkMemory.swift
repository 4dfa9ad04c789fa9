// SPDX-License-Identifier: MIT

import Glibc

/// Memory that is certain to be filled soon, as it is while a store is being read: the system gives it 2 MiB at a time.
///
/// That takes it two thirds of the time that it needs for it page by page, and fewer mappings, for which threads have to
/// wait for each other. What is taken goes back to the system by itself.
///
/// Not as large pages (`MADV_HUGEPAGE`): under a host that takes free memory away and gives it back as it is touched, as
/// clouds do, it took a start with 10^6 jobs three times as long, since the large pieces are those that were free longest.
/// A system that gives large pages unasked gives them here, too.
public struct BulkMemory: ~Copyable {
    private static let pieceBytes = 2 << 20

    private var next: UnsafeMutableRawPointer?
    private var left = 0

    /// None yet.
    public init() {}

    deinit {
        if left > 0 { munmap(next, left) }
    }

    /// So many bytes, zero-filled, at most 2 MiB; nil where the system has none, or its pages are larger than what divides
    /// the bytes.
    ///
    /// Where all that is taken has one size, a power of two, its address is a multiple of it.
    mutating func take(_ bytes: Int) -> UnsafeMutableRawPointer? {
        guard bytes % Int(getpagesize()) == 0 else { return nil }
        if bytes > left {
            guard let piece = mapAligned(Self.pieceBytes) else { return nil }
            if left > 0 { munmap(next, left) }
            populate(piece, Self.pieceBytes)
            next = piece
            left = Self.pieceBytes
        }
        defer {
            next = next.map { $0 + bytes }
            left -= bytes
        }
        return next
    }
}
