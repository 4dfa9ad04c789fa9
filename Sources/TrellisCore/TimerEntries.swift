// SPDX-License-Identifier: MIT

/// A job in a queue that is ordered by deadline: the delayed jobs of a tube, the reserved ones of a connection.
struct DeadlineEntry: HeapEntry {
    var deadline: Instant
    var id: JobID
    var slot: UInt32
    /// Reserved: how long the job had been so, in milliseconds, when its time to run was last started again by a touch.
    ///
    /// It lies where there would be padding.
    var earlierMilliseconds: UInt32 = 0

    @inline(__always)
    static func precedes(_ left: DeadlineEntry, _ right: DeadlineEntry) -> Bool {
        left.deadline != right.deadline ? left.deadline < right.deadline : left.id < right.id
    }
}

/// A connection or a tube that something will happen to.
///
/// The time is a lower bound: when a job is deleted before its time to run is over, the entry stays as it was, and is
/// set right when it comes up. A worker that goes round reserve and delete so touches the heap once in a time to run,
/// and not twice a job.
struct TimerEntry: HeapEntry {
    enum Kind: UInt8 {
        case session
        case tube
    }

    /// What the entry is for: a connection or a tube, by its index.
    struct Source: BitwiseCopyable {
        var kind: Kind
        var index: UInt32

        static func session(_ index: UInt32) -> Source { Source(kind: .session, index: index) }
        static func tube(_ index: UInt32) -> Source { Source(kind: .tube, index: index) }

        /// Connections come before tubes, and lower indexes before higher ones.
        var rank: UInt64 { UInt64(kind.rawValue) << 32 | UInt64(index) }
    }

    var time: Instant
    var source: Source

    @inline(__always)
    static func precedes(_ left: TimerEntry, _ right: TimerEntry) -> Bool {
        left.time != right.time ? left.time < right.time : left.source.rank < right.source.rank
    }
}

/// A watch set with waiters, in the queue of a tube that it watches.
///
/// The number is a lower bound: that of a waiter of the set who has been served since, perhaps.
struct WaitingSetEntry: HeapEntry {
    var waiterNumber: UInt64
    var set: UInt32
    /// Where the tube stands in the list of the set.
    var position: UInt32

    @inline(__always)
    static func precedes(_ left: WaitingSetEntry, _ right: WaitingSetEntry) -> Bool {
        left.waiterNumber < right.waiterNumber
    }
}
