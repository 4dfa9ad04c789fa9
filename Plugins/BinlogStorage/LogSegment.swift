// SPDX-License-Identifier: MIT

internal import TrellisCore

/// What is kept in memory of a segment in use.
struct LogSegment {
    var file: SegmentFile
    /// Live jobs whose newest put record lies here.
    var jobs = 0
    /// The ids of all put records written here; of the live ones, where it was read at the start.
    var ids = IDList()
    /// What it counts in the bound that compaction keeps: the bytes of its groups, as they would be without compression.
    ///
    /// A group that takes more than its records have, for its head, counts what it takes.
    var weight: UInt64 = 0
    /// The bytes of the file that are used.
    var usedBytes = UInt64(LogFormat.segmentHeaderBytes)

    var number: UInt64 { file.number }
}

/// What the log keeps with each job: the segment of its newest put record, and whether an update followed.
struct LogNote {
    var segment: UInt64
    var hasUpdate: Bool

    init(segment: UInt64, hasUpdate: Bool = false) {
        self.segment = segment
        self.hasUpdate = hasUpdate
    }

    init(_ note: StorageNote) {
        segment = note.rawValue & ~(1 << 63)
        hasUpdate = note.rawValue >> 63 != 0
    }

    var note: StorageNote { StorageNote(segment | (hasUpdate ? 1 << 63 : 0)) }
}
