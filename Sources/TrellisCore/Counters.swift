// SPDX-License-Identifier: MIT

/// How often each command was taken, as `stats` shows it.
struct CommandCounters {
    var put: UInt64 = 0
    var peek: UInt64 = 0
    var peekReady: UInt64 = 0
    var peekDelayed: UInt64 = 0
    var peekBuried: UInt64 = 0
    var reserve: UInt64 = 0
    var reserveWithTimeout: UInt64 = 0
    var delete: UInt64 = 0
    var release: UInt64 = 0
    var use: UInt64 = 0
    var watch: UInt64 = 0
    var ignore: UInt64 = 0
    var bury: UInt64 = 0
    var kick: UInt64 = 0
    var touch: UInt64 = 0
    var stats: UInt64 = 0
    var statsJob: UInt64 = 0
    var statsTube: UInt64 = 0
    var listTubes: UInt64 = 0
    var listTubeUsed: UInt64 = 0
    var listTubesWatched: UInt64 = 0
    var pauseTube: UInt64 = 0
}

/// What came of the policies of tubes, as `stats` and `stats-tube` show it.
struct PolicyCounters {
    /// Puts that were refused because the tube has as many jobs as it may, or the body was too large for it.
    var refused: UInt64 = 0
    /// Jobs whose deliveries failed more often than `retries` allows.
    var exhausted: UInt64 = 0
    /// Jobs that waited longer than `ttl` allows.
    var expired: UInt64 = 0
    /// Jobs that were moved to the tube of `dead-letter`.
    var deadLettered: UInt64 = 0
}

/// How many jobs there are in each state, over all tubes.
struct StateCounts {
    var urgent: UInt64 = 0
    var ready: UInt64 = 0
    var reserved: UInt64 = 0
    var delayed: UInt64 = 0
    var buried: UInt64 = 0
}
