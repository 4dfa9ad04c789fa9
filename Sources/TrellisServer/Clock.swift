// SPDX-License-Identifier: MIT

internal import Glibc
internal import TrellisCore

/// The machine's clocks.
enum Clock {
    /// Both clocks, read one after the other.
    static func now() -> Moment {
        Moment(monotonic: Instant(nanoseconds: read(CLOCK_BOOTTIME)), wallNanoseconds: read(CLOCK_REALTIME))
    }

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
