// SPDX-License-Identifier: MIT

import MemoryStorage
import PriorityScheduler
import Testing

@testable import TrellisCore

/// The limits of tubes, as workers meet with them.
@Suite struct LimitTests {
    private func rules(_ settings: TubeSettings, _ pattern: String = "default") -> TubeRules {
        TubeRules([TubeRule(TubePattern(pattern), settings)])
    }

    private func limited(by harness: EngineHarness, _ client: ConnectionID) -> String? {
        EngineHarness.value("limited-by", in: harness.named("default", client) { .statsTube($0) })
    }

    private func state(_ id: UInt64, _ harness: EngineHarness, _ client: ConnectionID) -> String? {
        EngineHarness.value("state", in: harness.perform(.statsJob(JobID(id)), client))
    }

    // MARK: Concurrency

    /// Ways for the reservation of job 1 to end.
    enum End: CaseIterable {
        case delete, bury, release, releaseWithDelay, expiry, disconnect
    }

    @Test(arguments: End.allCases)
    func waiterIsServedAsSoonAsAReservationEnds(_ end: End) {
        let harness = EngineHarness(tubeRules: rules(TubeSettings(concurrency: 1)))
        let producer = harness.connect()
        let worker = harness.connect()
        let waiter = harness.connect()
        harness.put(producer, priority: 1)
        harness.put(producer, priority: 1)
        #expect(harness.perform(.reserve, worker) == ["RESERVED 1 x"])
        #expect(harness.perform(.reserve, waiter) == [])
        #expect(limited(by: harness, producer) == "concurrency")
        switch end {
        case .delete: harness.perform(.delete(JobID(1)), worker)
        case .bury: harness.perform(.bury(JobID(1), priority: 1), worker)
        case .release: harness.perform(.release(JobID(1), priority: 2, delay: 0), worker)
        case .releaseWithDelay: harness.perform(.release(JobID(1), priority: 1, delay: 5), worker)
        case .expiry: harness.advance(seconds: 10)
        case .disconnect: harness.engine.pointee.disconnect(worker)
        }
        let comesFirst = end == .expiry || end == .disconnect
        #expect(harness.take(waiter) == [comesFirst ? "RESERVED 1 x" : "RESERVED 2 x"])
        #expect(limited(by: harness, producer) == "concurrency")
    }

    @Test func limitedTubeIsPassedOver() {
        let harness = EngineHarness(tubeRules: rules(TubeSettings(concurrency: 2)))
        let client = harness.connect()
        for _ in 0..<3 { harness.put(client) }
        _ = harness.named("other", client) { .use($0) }
        _ = harness.named("other", client) { .watch($0) }
        harness.put(client, priority: 9)
        let replies = (0..<3).map { _ in harness.perform(.reserve, client) }
        #expect(replies == [["RESERVED 1 x"], ["RESERVED 2 x"], ["RESERVED 4 x"]])
        #expect(harness.perform(.reserveWithTimeout(seconds: 0), client) == ["TIMED_OUT"])
    }

    @Test func reserveByIDGoesPastTheLimitAndCounts() {
        let harness = EngineHarness(tubeRules: rules(TubeSettings(concurrency: 1)))
        let client = harness.connect()
        for _ in 0..<4 { harness.put(client) }
        #expect(harness.perform(.reserveJob(JobID(3)), client) == ["RESERVED 3 x"])
        #expect(harness.perform(.reserveWithTimeout(seconds: 0), client) == ["TIMED_OUT"])
        #expect(harness.perform(.reserveJob(JobID(4)), client) == ["RESERVED 4 x"])
        harness.perform(.delete(JobID(3)), client)
        #expect(harness.perform(.reserveWithTimeout(seconds: 0), client) == ["TIMED_OUT"])
        harness.perform(.delete(JobID(4)), client)
        #expect(harness.perform(.reserve, client) == ["RESERVED 1 x"])
    }

    @Test func deadlineSoonAndTimeoutsHoldWhileATubeIsAtItsLimit() {
        let harness = EngineHarness(tubeRules: rules(TubeSettings(concurrency: 1)))
        let worker = harness.connect()
        let waiter = harness.connect()
        harness.put(worker, ttr: 5)
        harness.put(worker)
        harness.perform(.reserve, worker)
        #expect(harness.perform(.reserveWithTimeout(seconds: 2), waiter) == [])
        #expect(harness.perform(.reserve, worker) == [])
        harness.advance(seconds: 2)
        #expect(harness.take(waiter) == ["TIMED_OUT"])
        harness.advance(seconds: 2)
        #expect(harness.take(worker) == ["DEADLINE_SOON"])
        #expect(harness.perform(.reserveWithTimeout(seconds: 0), worker) == ["DEADLINE_SOON"])
    }

    // MARK: Rate

    @Test func burstIsWhatASecondBringsThenWorkersWaitForTokens() {
        let harness = EngineHarness(tubeRules: rules(TubeSettings(rate: Rate(4, per: .second))))
        let client = harness.connect()
        let waiter = harness.connect()
        for _ in 0..<9 { harness.put(client) }
        for id in 1...4 { #expect(harness.perform(.reserve, client) == ["RESERVED \(id) x"]) }
        #expect(limited(by: harness, client) == "rate")
        #expect(harness.perform(.reserve, waiter) == [])
        #expect(harness.nextDeadline.nanoseconds == harness.nanoseconds + 250_000_000)
        harness.advance(seconds: 0.2499)
        #expect(harness.take(waiter) == [])
        harness.advance(seconds: 0.0001)
        #expect(harness.take(waiter) == ["RESERVED 5 x"])
        harness.advance(seconds: 60)
        let replies = (0..<5).map { _ in harness.perform(.reserveWithTimeout(seconds: 0), waiter).first ?? "" }
        #expect(replies == ["RESERVED 1 x", "RESERVED 2 x", "RESERVED 3 x", "RESERVED 4 x", "TIMED_OUT"])
    }

    @Test func reserveByIDTakesNoToken() {
        let harness = EngineHarness(tubeRules: rules(TubeSettings(rate: Rate(1, per: .hour))))
        let client = harness.connect()
        for _ in 0..<3 { harness.put(client) }
        #expect(harness.perform(.reserveJob(JobID(2)), client) == ["RESERVED 2 x"])
        #expect(harness.perform(.reserve, client) == ["RESERVED 1 x"])
        #expect(harness.perform(.reserveJob(JobID(3)), client) == ["RESERVED 3 x"])
    }

    /// A tube that goes when it is empty and comes back must not come back with a full bucket.
    @Test func rateOutlivesTheLastJobAndTheLastClientOfATube() {
        let harness = EngineHarness(tubeRules: rules(TubeSettings(rate: Rate(1, per: .minute)), "t"))
        func reserveOne() -> [String] {
            let client = harness.connect()
            defer { harness.engine.pointee.disconnect(client) }
            _ = harness.named("t", client) { .use($0) }
            _ = harness.named("t", client) { .watch($0) }
            guard let id = harness.put(client).first?.split(separator: " ").last.flatMap({ UInt64($0) }) else {
                return []
            }
            defer { harness.perform(.delete(JobID(id)), client) }
            return harness.perform(.reserveWithTimeout(seconds: 0), client).map { $0.split(separator: " ")[0] + "" }
        }
        #expect(reserveOne() == ["RESERVED"])
        #expect(harness.tubeCount == 2)
        harness.advance(seconds: 59)
        #expect(reserveOne() == ["TIMED_OUT"])
        harness.advance(seconds: 1)
        #expect(harness.tubeCount == 1)
        #expect(reserveOne() == ["RESERVED"])
        harness.advance(seconds: 60)
        #expect(harness.tubeCount == 1)
        #expect(harness.nextDeadline == .never)
    }

    // MARK: Several reasons at once

    @Test func tubeIsServedWhenTheLastReasonIsGone() {
        let settings = TubeSettings(concurrency: 1, rate: Rate(1, per: .second))
        let harness = EngineHarness(tubeRules: rules(settings))
        let client = harness.connect()
        let waiter = harness.connect()
        for _ in 0..<4 { harness.put(client, ttr: 100) }
        #expect(harness.perform(.reserve, client) == ["RESERVED 1 x"])
        _ = harness.named("default", client) { .pauseTube($0, seconds: 5) }
        harness.perform(.reserve, waiter)
        harness.perform(.delete(JobID(1)), client)
        harness.advance(seconds: 2)
        #expect(harness.take(waiter) == [])
        harness.advance(seconds: 3)
        #expect(harness.take(waiter) == ["RESERVED 2 x"])
        harness.perform(.reserve, client)
        harness.perform(.delete(JobID(2)), waiter)
        #expect(harness.take(client) == [])
        _ = harness.named("default", waiter) { .pauseTube($0, seconds: 0) }
        #expect(harness.take(client) == [])
        harness.advance(seconds: 1)
        #expect(harness.take(client) == ["RESERVED 3 x"])
    }

    @Test func firstRuleThatMatchesHolds() {
        let harness = EngineHarness(
            tubeRules: TubeRules([
                TubeRule(TubePattern("a.b*"), TubeSettings(weight: 5)),
                TubeRule(TubePattern("a.*"), TubeSettings(concurrency: 7)),
            ]))
        let client = harness.connect()
        func statistics(_ name: String) -> [String] {
            _ = harness.named(name, client) { .use($0) }
            return harness.named(name, client) { .statsTube($0) }
        }
        #expect(EngineHarness.value("rule", in: statistics("a.bc")) == "\"a.b*\"")
        #expect(EngineHarness.value("weight", in: statistics("a.bc")) == "5")
        #expect(EngineHarness.value("concurrency", in: statistics("a.bc")) == "0")
        #expect(EngineHarness.value("concurrency", in: statistics("a.c")) == "7")
        #expect(EngineHarness.value("rule", in: statistics("b")) == nil)
    }

    // MARK: Other rules

    @Test func higherLimitServesThoseWhoWait() {
        let harness = EngineHarness(tubeRules: rules(TubeSettings(concurrency: 1)))
        let client = harness.connect()
        let waiters = (0..<3).map { _ in harness.connect() }
        for _ in 0..<5 { harness.put(client) }
        harness.perform(.reserve, client)
        for waiter in waiters { harness.perform(.reserve, waiter) }
        harness.engine.pointee.exchange(rules(TubeSettings(concurrency: 3)))
        #expect(waiters.map { harness.take($0) } == [["RESERVED 2 x"], ["RESERVED 3 x"], []])
        harness.engine.pointee.exchange(rules(TubeSettings(concurrency: 1)))
        harness.perform(.delete(JobID(1)), client)
        harness.perform(.delete(JobID(2)), waiters[0])
        #expect(harness.take(waiters[2]) == [])
        harness.engine.pointee.exchange(TubeRules())
        #expect(harness.take(waiters[2]) == ["RESERVED 4 x"])
    }

    @Test func bucketIsKeptUnlessTheRateChanges() {
        let harness = EngineHarness(tubeRules: rules(TubeSettings(rate: Rate(1, per: .hour))))
        let client = harness.connect()
        for _ in 0..<5 { harness.put(client) }
        harness.perform(.reserve, client)
        harness.engine.pointee.exchange(rules(TubeSettings(weight: 2, rate: Rate(1, per: .hour))))
        #expect(harness.perform(.reserveWithTimeout(seconds: 0), client) == ["TIMED_OUT"])
        harness.engine.pointee.exchange(rules(TubeSettings(rate: Rate(2, per: .hour))))
        #expect(harness.perform(.reserve, client) == ["RESERVED 2 x"])
        #expect(limited(by: harness, client) == "rate")
        harness.engine.pointee.exchange(TubeRules())
        #expect(harness.perform(.reserve, client) == ["RESERVED 3 x"])
    }

    @Test func tubeThatOnlyWaitedForItsBucketGoesWithTheRule() {
        let harness = EngineHarness(tubeRules: rules(TubeSettings(rate: Rate(1, per: .day)), "t"))
        let client = harness.connect()
        _ = harness.named("t", client) { .use($0) }
        _ = harness.named("t", client) { .watch($0) }
        harness.put(client)
        harness.perform(.reserve, client)
        harness.perform(.delete(JobID(1)), client)
        harness.engine.pointee.disconnect(client)
        #expect(harness.tubeCount == 2)
        harness.engine.pointee.exchange(TubeRules())
        #expect(harness.tubeCount == 1)
    }
}
