// SPDX-License-Identifier: MIT

/// One of the five counters of a job.
enum JobCounter: UInt64 {
    case reserves = 0
    case timeouts = 1
    case releases = 2
    case buries = 3
    case kicks = 4
}

/// A job's state, two flags and its counters in 8 bytes, where they took 22: a tenth of what a small job takes.
///
/// A counter has 11 bits, that of failures 4. Once one of a job outgrows them, all of its counters are kept elsewhere, which the second flag
/// says (`Engine.largeCounters`).
struct JobStatus {
    private static let stateMask: UInt64 = 0b111
    private static let unloggedFlag: UInt64 = 1 << 3
    private static let elsewhereFlag: UInt64 = 1 << 4
    private static let counterBits: UInt64 = 11
    private static let counterMask: UInt64 = (1 << counterBits) - 1
    private static let failureShift: UInt64 = 60
    private static let mostFailures: UInt8 = 15

    private var bits: UInt64

    /// Counters are all zero.
    init(_ state: JobState) { bits = UInt64(state.rawValue) }

    var state: JobState {
        @inline(__always)
        get { JobState(rawValue: UInt8(truncatingIfNeeded: bits & Self.stateMask)).unsafelyUnwrapped }
        @inline(__always)
        set { bits = bits & ~Self.stateMask | UInt64(newValue.rawValue) }
    }

    /// Whether counters changed since the job's newest record in the store.
    var hasUnloggedCounters: Bool {
        get { bits & Self.unloggedFlag != 0 }
        set { bits = newValue ? bits | Self.unloggedFlag : bits & ~Self.unloggedFlag }
    }

    /// Whether the counters are kept elsewhere.
    var countsElsewhere: Bool { bits & Self.elsewhereFlag != 0 }

    /// Whether there may be failures: a false is certain.
    var mayHaveFailures: Bool { bits >> Self.failureShift != 0 || countsElsewhere }

    /// The counters; of no meaning where they are kept elsewhere.
    var counters: JobCounters {
        var counters = JobCounters()
        counters.reserves = self[.reserves]
        counters.timeouts = self[.timeouts]
        counters.releases = self[.releases]
        counters.buries = self[.buries]
        counters.kicks = self[.kicks]
        counters.failures = UInt8(truncatingIfNeeded: bits >> Self.failureShift)
        return counters
    }

    /// Keeps the counters here where they fit; false, with them marked as kept elsewhere, where they don't.
    mutating func keep(_ counters: JobCounters) -> Bool {
        let largest = max(
            counters.reserves, counters.timeouts, counters.releases, counters.buries, counters.kicks)
        bits &= Self.stateMask | Self.unloggedFlag
        guard UInt64(largest) <= Self.counterMask, counters.failures <= Self.mostFailures else {
            bits |= Self.elsewhereFlag
            return false
        }
        bits |= UInt64(counters.reserves) << Self.shift(.reserves)
        bits |= UInt64(counters.timeouts) << Self.shift(.timeouts)
        bits |= UInt64(counters.releases) << Self.shift(.releases)
        bits |= UInt64(counters.buries) << Self.shift(.buries)
        bits |= UInt64(counters.kicks) << Self.shift(.kicks)
        bits |= UInt64(counters.failures) << Self.failureShift
        return true
    }

    /// Adds one to a counter; false, with nothing changed, where it doesn't fit or is kept elsewhere.
    @inline(__always)
    mutating func increment(_ counter: JobCounter) -> Bool {
        guard UInt64(self[counter]) < Self.counterMask, !countsElsewhere else { return false }
        bits += 1 << Self.shift(counter)
        return true
    }

    @inline(__always)
    private subscript(counter: JobCounter) -> UInt32 {
        UInt32(truncatingIfNeeded: bits >> Self.shift(counter) & Self.counterMask)
    }

    @inline(__always)
    private static func shift(_ counter: JobCounter) -> UInt64 { 5 + counter.rawValue * counterBits }
}

extension Engine {
    /// What happened to the job over its life.
    func counters(of slot: UInt32) -> JobCounters {
        let status = jobs[slot].pointee.status
        guard status.countsElsewhere else { return status.counters }
        guard let large = largeCounters[slot] else { preconditionFailure("a job's large counters are missing") }
        return large
    }

    /// One more of something that happened to the job.
    @inline(__always)
    mutating func count(_ counter: JobCounter, of slot: UInt32) {
        if !jobs[slot].pointee.status.increment(counter) { countLarge(counter, of: slot) }
    }

    /// Gives a job counters that it brings along.
    mutating func setCounters(_ counters: JobCounters, of slot: UInt32) {
        if !jobs[slot].pointee.status.keep(counters) { largeCounters[slot] = counters }
    }

    private mutating func countLarge(_ counter: JobCounter, of slot: UInt32) {
        var counters = counters(of: slot)
        switch counter {
        case .reserves: counters.reserves &+= 1
        case .timeouts: counters.timeouts &+= 1
        case .releases: counters.releases &+= 1
        case .buries: counters.buries &+= 1
        case .kicks: counters.kicks &+= 1
        }
        replaceCounters(counters, of: slot)
    }

    private mutating func replaceCounters(_ counters: JobCounters, of slot: UInt32) {
        largeCounters[slot] = nil
        setCounters(counters, of: slot)
    }

    /// One more delivery that failed; answers how many there are, of which 255 is the most that is counted.
    mutating func countFailure(of slot: UInt32) -> UInt8 {
        var counters = counters(of: slot)
        if counters.failures < .max { counters.failures += 1 }
        replaceCounters(counters, of: slot)
        return counters.failures
    }

    /// The job begins anew: a kick, or another tube.
    mutating func forgetFailures(of slot: UInt32) {
        guard jobs[slot].pointee.status.mayHaveFailures else { return }
        var counters = counters(of: slot)
        counters.failures = 0
        replaceCounters(counters, of: slot)
    }
}
