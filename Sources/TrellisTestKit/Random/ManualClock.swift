// SPDX-License-Identifier: MIT

import Synchronization
public import TrellisCore

/// A clock that a test moves, from any thread.
public final class ManualClock: Sendable {
    private let moment: Mutex<Moment>

    /// A clock that stands at that time: by default one second after its zero, in September 2001.
    public init(
        _ start: Moment = Moment(
            monotonic: Instant(nanoseconds: 1_000_000_000), wallNanoseconds: 1_000_000_000_000_000_000)
    ) {
        moment = Mutex(start)
    }

    /// What the clock shows.
    public var now: Moment { moment.withLock { $0 } }

    /// Lets time pass on both clocks.
    public func advance(bySeconds seconds: Int64 = 0, nanoseconds: Int64 = 0) {
        let step = seconds * 1_000_000_000 + nanoseconds
        precondition(step >= 0, "the clock never goes back")
        moment.withLock {
            $0.monotonic.nanoseconds += step
            $0.wallNanoseconds += step
        }
    }

    /// Sets the wall clock alone forward, or back with a negative number, as an operator may.
    public func setWall(bySeconds seconds: Int64) {
        moment.withLock { $0.wallNanoseconds += seconds * 1_000_000_000 }
    }
}
