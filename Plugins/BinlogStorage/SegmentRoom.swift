// SPDX-License-Identifier: MIT

/// Memory for the content of a segment and for what is found in it, which scans use one after the other.
///
/// One owner at a time, as a buffer has.
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
