// SPDX-License-Identifier: MIT

import Testing

@testable import TrellisCore

@Suite struct TubeRuleTests {
    private func matches(_ pattern: String, _ name: String) -> Bool {
        Array(name.utf8).withUnsafeBytes { TubePattern(pattern).matches($0) }
    }

    @Test(arguments: [
        ("email", "email"), ("email.*", "email."), ("email.*", "email.a.b"), ("*", "x"), ("*.low", "a.b.low"),
        ("a?c", "abc"), ("a*b*c", "aXbYbc"), ("**", "x"), ("*a*a*a", "aaaa"), ("?*?", "ab"), ("a*", "a"),
    ])
    func matching(_ pattern: String, _ name: String) { #expect(matches(pattern, name)) }

    @Test(arguments: [
        ("email", "emails"), ("email", "emai"), ("email.*", "email"), ("*.low", "a.lowly"), ("a?c", "ac"),
        ("?", "ab"), ("a*b*c", "abd"), ("?*?", "a"), ("", "x"), ("*a*a*a", "aa"), ("Email", "email"),
    ])
    func notMatching(_ pattern: String, _ name: String) { #expect(!matches(pattern, name)) }

    /// The slowest pattern that fits into a name must not be slow.
    @Test func longestPatternsEnd() {
        let name = String(repeating: "a", count: 200)
        #expect(!matches(String(repeating: "a*", count: 99) + "b", name))
        #expect(matches(String(repeating: "*a", count: 100), name))
    }

    @Test func coveringPatternsAreKnown() {
        func covers(_ one: String, _ other: String) -> Bool { TubePattern(one).covers(TubePattern(other)) }
        #expect(covers("*", "email.*") && covers("email.*", "email.x*") && covers("email.*", "email.??"))
        #expect(covers("a?", "ab") && covers("*", "*") && covers("?*", "?a"))
        #expect(!covers("email.*", "email*") && !covers("a?", "a*") && !covers("*?", "*") && !covers("x*", "*x"))
    }

    @Test func rates() throws {
        #expect(Rate(0, per: .second) == nil)
        #expect(Rate(1_000_001, per: .second) == nil)
        let fast = try #require(Rate(1_000_000, per: .second))
        #expect((fast.intervalNanoseconds, fast.burst) == (1000, 1_000_000))
        #expect(Rate(600, per: .minute)?.burst == 10)
        #expect(Rate(5, per: .hour)?.burst == 1)
        #expect(Rate(7, per: .second)?.intervalNanoseconds == 142_857_143)
        #expect("\(fast) \(try #require(Rate(5, per: .day)))" == "1000000/s 5/d")
    }

    /// In every stretch of time, no more than the burst and what the rate brings.
    @Test(arguments: [Rate(10, per: .second), Rate(7, per: .second), Rate(90, per: .minute), Rate(3, per: .hour)])
    func bucketNeverGivesMoreThanItsRate(_ rate: Rate?) throws {
        let rate = try #require(rate)
        var bucket = TokenBucket(rate)
        var now: Int64 = 5_000_000_000
        var state: UInt64 = 1
        var taken: [Int64] = []
        for _ in 0..<3000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            // Steps from nothing to three intervals, half of them nothing.
            if state >> 63 == 0 { now += Int64(state >> 16) % (3 * rate.intervalNanoseconds) }
            if bucket.nextToken.nanoseconds <= now {
                bucket.take(at: Instant(nanoseconds: now))
                taken.append(now)
            }
        }
        #expect(taken.count > 500)
        for (index, start) in taken.enumerated() {
            for other in index..<min(taken.count, index + 200) {
                let most = rate.burst + (taken[other] - start) / rate.intervalNanoseconds
                #expect(Int64(other - index + 1) <= most)
            }
        }
    }
}
