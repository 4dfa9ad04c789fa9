// SPDX-License-Identifier: MIT

import MemoryStorage
import Testing

@testable import TrellisCore

/// What becomes of jobs that wait too long.
@Suite struct TimeToLiveTests {
    private static let minute: Int64 = 60_000_000_000

    private func rules(_ settings: TubeSettings, _ pattern: String = "default") -> TubeRules {
        TubeRules([TubeRule(TubePattern(pattern), settings)])
    }

    private func harness(_ settings: TubeSettings, storage: any Storage = MemoryStorage()) -> EngineHarness {
        EngineHarness(tubeRules: rules(settings), storage: storage)
    }

    private func value(_ key: String, _ harness: EngineHarness, _ client: ConnectionID) -> String? {
        EngineHarness.value(key, in: harness.named("default", client) { .statsTube($0) })
    }

    private func tubeOfJob(_ id: UInt64, _ harness: EngineHarness, _ client: ConnectionID) -> String? {
        EngineHarness.value("tube", in: harness.perform(.statsJob(JobID(id)), client))
    }

    @Test func readyJobGoesWhenItsTimeIsOver() {
        let harness = harness(TubeSettings(ttlNanoseconds: Self.minute))
        let client = harness.connect()
        harness.put(client)
        harness.advance(seconds: 20)
        harness.put(client)
        #expect(harness.nextDeadline.nanoseconds == harness.nanoseconds + 40_000_000_000)
        harness.advance(seconds: 39.999)
        #expect(harness.perform(.peekReady, client) == ["FOUND 1"])
        harness.advance(seconds: 0.001)
        #expect(harness.perform(.peek(JobID(1)), client) == ["notFound"])
        #expect(harness.perform(.peekReady, client) == ["FOUND 2"])
        harness.advance(seconds: 20)
        #expect(harness.jobCount == 0 && harness.jobMemory == 0 && harness.nextDeadline == .never)
        #expect(value("jobs-expired", harness, client) == "2")
        #expect(value("ttl", harness, client) == "60")
        // Nobody deleted them.
        #expect(value("cmd-delete", harness, client) == "0")
        #expect(EngineHarness.value("jobs-expired", in: harness.perform(.stats, client)) == "2")
    }

    @Test func jobsThatAreNotReadyStayUntilTheyAre() {
        let harness = harness(TubeSettings(ttlNanoseconds: Self.minute))
        let client = harness.connect()
        let waiter = harness.connect()
        harness.put(client, ttr: 1000)
        harness.put(client, ttr: 1000)
        harness.put(client, delay: 100)
        harness.put(client, ttr: 1000)
        for _ in 0..<3 { harness.perform(.reserve, client) }
        harness.perform(.bury(JobID(2), priority: 0), client)
        harness.perform(.reserve, waiter)
        harness.advance(seconds: 70)
        #expect(harness.jobCount == 4)
        // Whoever waits isn't given what is too old, however it becomes ready.
        harness.perform(.release(JobID(1), priority: 0, delay: 0), client)
        harness.perform(.kick(bound: 1), client)
        harness.advance(seconds: 30)
        #expect(harness.take(waiter) == [])
        #expect(harness.jobCount == 1)
        harness.engine.pointee.disconnect(client)
        #expect(harness.take(waiter) == [] && harness.jobCount == 0)
    }

    @Test func pauseAndLimitsStopNoClock() {
        let harness = harness(TubeSettings(concurrency: 1, ttlNanoseconds: Self.minute))
        let client = harness.connect()
        harness.put(client, ttr: 1000)
        harness.put(client)
        harness.perform(.reserve, client)
        _ = harness.named("default", client) { .pauseTube($0, seconds: 1000) }
        harness.advance(seconds: 60)
        #expect(harness.perform(.peek(JobID(2)), client) == ["notFound"])
        #expect(harness.perform(.delete(JobID(1)), client) == ["deleted"])
    }

    @Test func deadLettersTakeWhatIsTooOld() {
        let rules = TubeRules([
            TubeRule(TubePattern("default"), TubeSettings(ttlNanoseconds: Self.minute, deadLetter: "old")),
            TubeRule(TubePattern("old"), TubeSettings(ttlNanoseconds: 2 * Self.minute, deadLetter: "older")),
            TubeRule(TubePattern("older"), TubeSettings(ttlNanoseconds: Self.minute, deadLetter: "oldest")),
        ])
        let harness = EngineHarness(tubeRules: rules)
        let (client, waiter) = (harness.connect(), harness.connect())
        harness.put(client, priority: 7)
        harness.advance(seconds: 60)
        #expect(tubeOfJob(1, harness, client) == "\"old\"")
        // In the third it is too old at once.
        _ = harness.named("older", waiter) { .watch($0) }
        _ = harness.named("oldest", waiter) { .watch($0) }
        harness.perform(.reserve, waiter)
        harness.advance(seconds: 60)
        #expect(tubeOfJob(1, harness, client) == "\"oldest\"")
        #expect(harness.take(waiter) == ["RESERVED 1 x"])
        #expect(EngineHarness.value("jobs-dead-lettered", in: harness.perform(.stats, client)) == "3")
        #expect(EngineHarness.value("pri", in: harness.perform(.statsJob(JobID(1)), client)) == "7")
    }

    @Test func storeHearsOfIt() {
        for target in [nil, "dead"] as [String?] {
            let storage = ScriptedStorage()
            let harness = harness(TubeSettings(ttlNanoseconds: Self.minute, deadLetter: target), storage: storage)
            harness.put(harness.connect())
            storage.log = []
            harness.advance(seconds: 60)
            #expect(storage.log == [target == nil ? "delete 1 note 10" : "move 1 from default to dead note 10"])
        }
    }

    /// The age counts on while no server runs.
    @Test func ageOutlivesARestart() throws {
        let storage = ScriptedStorage()
        // The wall clock reads 0 now.
        storage.kept = [
            .init(id: 1, state: .ready, createdAt: -59_000_000_000),
            .init(id: 2, state: .ready, createdAt: -61_000_000_000),
            .init(id: 3, state: .ready, createdAt: .min), .init(id: 4, state: .ready, createdAt: .max),
            .init(id: 5, state: .buried, createdAt: -61_000_000_000),
        ]
        let harness = harness(TubeSettings(ttlNanoseconds: Self.minute), storage: storage)
        try harness.engine.pointee.recover()
        let client = harness.connect()
        harness.engine.pointee.advance(
            to: Moment(monotonic: Instant(nanoseconds: harness.nanoseconds), wallNanoseconds: 0))
        let found = (1...5 as ClosedRange<UInt64>).filter { harness.perform(.peek(JobID($0)), client) != ["notFound"] }
        // Times that can't be are taken for now, as ever.
        #expect(found == [1, 3, 4, 5])
        harness.advance(seconds: 1)
        #expect(harness.perform(.peek(JobID(1)), client) == ["notFound"])
        #expect(harness.perform(.peek(JobID(4)), client) == ["FOUND 4"])
    }

    @Test func manyThatGoAtOnceGoInBoundedTurns() {
        let harness = harness(TubeSettings(ttlNanoseconds: Self.minute))
        let client = harness.connect()
        let count = Engine.eventsPerTurn + 10
        for _ in 0..<count { harness.put(client) }
        harness.advance(seconds: 61)
        #expect(harness.jobCount == 10)
        harness.advance(seconds: 0)
        #expect(harness.jobCount == 0)
    }

    // MARK: Other rules

    @Test func otherRulesHoldForJobsThatAreThere() {
        let harness = EngineHarness()
        let client = harness.connect()
        harness.put(client)
        harness.advance(seconds: 30)
        harness.put(client)
        harness.put(client, priority: 9)
        harness.perform(.reserveJob(JobID(3)), client)
        func exchange(_ ttl: Int64?) {
            harness.engine.pointee.exchange(rules(TubeSettings(weight: 2, ttlNanoseconds: ttl)))
        }
        exchange(Self.minute)
        #expect(harness.nextDeadline.nanoseconds <= harness.nanoseconds + 30_000_000_000)
        exchange(nil)
        harness.advance(seconds: 31)
        #expect(harness.jobCount == 3)
        exchange(2 * Self.minute)
        harness.advance(seconds: 0)
        #expect(harness.jobCount == 3)
        exchange(Self.minute)
        harness.advance(seconds: 0)
        #expect(harness.perform(.peek(JobID(1)), client) == ["notFound"])
        #expect(harness.perform(.reserve, client) == ["RESERVED 2 x"])
        harness.engine.pointee.exchange(TubeRules())
        harness.advance(seconds: 100_000)
        #expect(harness.jobCount == 2)
    }
}
