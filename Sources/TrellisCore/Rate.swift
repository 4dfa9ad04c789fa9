// SPDX-License-Identifier: MIT

/// So many in a span of time: `10/s`, `600/m`, `5/h`.
public struct Rate: Hashable, Sendable, CustomStringConvertible {
    /// The span that the number is for.
    public enum Span: String, CaseIterable, Sendable {
        case second = "s"
        case minute = "m"
        case hour = "h"
        case day = "d"

        var nanoseconds: Int64 {
            switch self {
            case .second: 1_000_000_000
            case .minute: 60_000_000_000
            case .hour: 3_600_000_000_000
            case .day: 86_400_000_000_000
            }
        }
    }

    /// The largest rate, a second: with more, the nanoseconds between two jobs would be too few to be exact.
    public static let mostPerSecond: Int64 = 1_000_000

    /// How many, from 1.
    public let count: UInt32
    /// In what time.
    public let span: Span

    /// Puts the two together; nil for 0, and for more than a million a second.
    public init?(_ count: UInt32, per span: Span) {
        guard count > 0, Int64(count) <= Self.mostPerSecond * (span.nanoseconds / Span.second.nanoseconds) else {
            return nil
        }
        self.count = count
        self.span = span
    }

    /// `10/s`.
    public var description: String { "\(count)/\(span.rawValue)" }

    /// The time between two of them, rounded up: the rate is never exceeded.
    var intervalNanoseconds: Int64 { (span.nanoseconds + Int64(count) - 1) / Int64(count) }

    /// How many may come at once after a pause: what one second brings, and at least 1.
    var burst: Int64 { max(1, Int64(count) * Span.second.nanoseconds / span.nanoseconds) }
}

/// A token bucket, kept as one instant: when it will be full again if nothing more is taken.
///
/// That instant is the "theoretical arrival time" of the generic cell rate algorithm (ITU-T I.371, annex A), which
/// admits exactly what a bucket of `burst` tokens with one token an interval does.
struct TokenBucket: Hashable {
    private let interval: Int64
    private let capacity: Int64
    /// When all tokens are there if none is taken before.
    private(set) var fullAt = Instant(nanoseconds: .min)

    /// A full bucket.
    init(_ rate: Rate) {
        interval = rate.intervalNanoseconds
        capacity = rate.burst * interval
    }

    /// When there is a token; at or before now where there is one already.
    var nextToken: Instant {
        let (sum, overflow) = fullAt.nanoseconds.subtractingReportingOverflow(capacity - interval)
        return Instant(nanoseconds: overflow ? .min : sum)
    }

    /// Takes a token that is there.
    mutating func take(at now: Instant) {
        fullAt = Instant(nanoseconds: max(fullAt.nanoseconds, now.nanoseconds) + interval)
    }
}
