// SPDX-License-Identifier: MIT

/// The number of a job: unique for the life of a store, given out in ascending order, never 0.
public struct JobID: Hashable, Comparable, Sendable, BitwiseCopyable {
    /// The number as clients see it.
    public let rawValue: UInt64

    /// Wraps a number that came from a client or a store.
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// Whether the left one comes before the right one.
    public static func < (left: JobID, right: JobID) -> Bool { left.rawValue < right.rawValue }
}

/// The place of a job in the engine's slab: small, dense and reused after the job is gone.
///
/// A scheduler may index arrays of its own by it, from a job's `ready` until it is `removed` or its reservation is
/// `finished`.
public struct JobSlot: Hashable, Sendable, BitwiseCopyable {
    /// The index, from 0.
    public let index: UInt32

    /// Wraps an index.
    public init(_ index: UInt32) { self.index = index }
}

/// The place of a tube in the engine's table: small, dense and reused after the tube is gone.
public struct TubeIndex: Hashable, Sendable, BitwiseCopyable {
    /// The index, from 0.
    ///
    /// The tube `default` has 0 and keeps it.
    public let index: UInt32

    /// Wraps an index.
    public init(_ index: UInt32) { self.index = index }

    /// The tube that every connection starts with and that is never removed.
    public static let defaultTube = TubeIndex(0)
}

/// A client connection, as the engine knows it.
///
/// The index is reused after `disconnect`; the generation tells the uses apart, so that a late effect
/// can't reach the wrong client.
public struct ConnectionID: Hashable, Sendable, BitwiseCopyable {
    /// The place in the engine's table, from 0, reused.
    public let index: UInt32
    /// How often the place was used before.
    public let generation: UInt32

    /// Puts the two parts together.
    public init(index: UInt32, generation: UInt32) {
        self.index = index
        self.generation = generation
    }
}

/// A point in time: nanoseconds of a clock that never goes back (CLOCK_BOOTTIME in the server).
public struct Instant: Hashable, Comparable, Sendable, BitwiseCopyable {
    /// Nanoseconds since the clock's own zero.
    public var nanoseconds: Int64

    /// Wraps a reading of the clock.
    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// Later than every deadline that can be asked for.
    public static let never = Instant(nanoseconds: .max)

    /// The instant `seconds` from here; saturates at `never`.
    public func advanced(bySeconds seconds: UInt32) -> Instant {
        let (sum, overflow) = nanoseconds.addingReportingOverflow(Int64(seconds) * 1_000_000_000)
        return overflow ? .never : Instant(nanoseconds: sum)
    }

    /// Whether the left one comes before the right one.
    public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }
}

/// One reading of both clocks, taken once a turn.
///
/// Deadlines run on `monotonic`; only records that outlive the process hold the wall clock.
public struct Moment: Sendable, BitwiseCopyable {
    /// What deadlines are measured against.
    public var monotonic: Instant
    /// Nanoseconds since 1970 (CLOCK_REALTIME).
    public var wallNanoseconds: Int64

    /// Puts the two readings together.
    public init(monotonic: Instant, wallNanoseconds: Int64) {
        self.monotonic = monotonic
        self.wallNanoseconds = wallNanoseconds
    }
}
