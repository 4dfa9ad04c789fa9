// SPDX-License-Identifier: MIT

/// Memory for the content of a segment and for what is found in it, which scans use one after the other.
///
/// Unchecked, as the compiler can't see that it has one owner at a time: the thread that fills it by a scan, then whoever
/// replays that scan. Between the two it goes through the lock of `SegmentScans`, and back. An object, so that its memory
/// is never shared with a copy: the records of a segment would then be copied as they are found.
final class SegmentRoom: @unchecked Sendable {
    /// A record: what it takes to see whether it counts.
    struct Mark {
        var id: UInt64
        var offset: Int
        var kind: LogRecord.Kind
    }

    let content: LogBuffer
    var records: [Mark] = []

    /// Room for so many bytes, which grows.
    init(bytes: Int = 64 << 10) { content = LogBuffer(capacity: bytes) }

    /// Empties it and keeps its memory.
    func empty() {
        content.empty()
        records.removeAll(keepingCapacity: true)
    }
}
