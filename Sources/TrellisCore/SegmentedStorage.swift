// SPDX-License-Identifier: MIT

/// What one segment of a store held when `recover` read it.
public struct SegmentStatistics: Hashable, Sendable {
    /// Its number.
    public var number: UInt64
    /// The size of its file, in bytes.
    public var fileBytes: UInt64 = 0
    /// What of its file is written, in bytes; 0 for one that is kept ready.
    public var usedBytes: UInt64 = 0
    /// Its records before compression, in bytes.
    public var recordBytes: UInt64 = 0
    /// Those of them that live jobs need, in bytes.
    public var liveBytes: UInt64 = 0
    /// Live jobs whose newest whole record lies in it.
    public var jobs = 0
    /// How it is compressed; `none` where it isn't.
    public var codec = "none"

    /// A segment that holds nothing.
    public init(number: UInt64) { self.number = number }

    /// Records that nobody needs any more, in bytes.
    public var deadBytes: UInt64 { recordBytes - liveBytes }
}

/// What a store may have beside the contract: it is made of segments, and can tell what each holds.
public protocol SegmentedStorage: Storage {
    /// The segments, oldest first, those last that are kept ready: as `recover` found them.
    ///
    /// What the store did since isn't in it: it is for tools, which only read.
    var recoveredSegments: [SegmentStatistics] { get }
}
