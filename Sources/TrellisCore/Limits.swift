// SPDX-License-Identifier: MIT

/// The numbers that the protocol fixes.
///
/// They can't be configured: clients rely on them.
public enum ProtocolLimits {
    /// The longest command line, in bytes, its `\r\n` included.
    public static let lineBytes = 224
    /// The longest tube name, in bytes.
    public static let tubeNameBytes = 200
    /// Ready jobs with a priority below this count as urgent.
    public static let urgentPriority: UInt32 = 1024
    /// The last seconds of a reservation in which a worker isn't made to wait for another job.
    public static let safetyMarginSeconds: UInt32 = 1
    /// The longest timeout of `reserve-with-timeout`, in seconds.
    public static let reserveTimeoutSeconds: UInt32 = 2_147_483_647
    /// The largest job body that any configuration may allow, in bytes (1 GiB).
    public static let largestJobBytes: UInt32 = 1 << 30
    /// The largest job body unless configured, in bytes.
    public static let defaultJobBytes: UInt32 = 65_535
}

/// What an engine may take, from the configuration.
public struct EngineLimits: Sendable {
    /// The largest job body that `put` accepts, in bytes.
    public var jobBytes: UInt32
    /// The most memory that jobs may hold, bodies and records together, in bytes.
    ///
    /// Beyond it `put` is answered `OUT_OF_MEMORY`.
    public var memoryBytes: UInt64
    /// How many jobs one step of long work (a large kick, the close of a worker with many jobs) may touch.
    public var jobsPerStep: Int

    /// The values that hold where nothing is configured.
    public init(
        jobBytes: UInt32 = ProtocolLimits.defaultJobBytes,
        memoryBytes: UInt64 = 4 << 30,
        jobsPerStep: Int = 1000
    ) {
        self.jobBytes = jobBytes
        self.memoryBytes = memoryBytes
        self.jobsPerStep = max(1, jobsPerStep)
    }
}
