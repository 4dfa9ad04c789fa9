// SPDX-License-Identifier: MIT

import MemoryStorage
import Testing

@testable import TrellisCore

/// What becomes of jobs whose deliveries fail.
@Suite struct RetryTests {
    /// Ways for a delivery to fail.
    enum End: CaseIterable {
        case release, releaseWithDelay, expiry, disconnect
    }

    private func harness(
        _ settings: TubeSettings, storage: any Storage = MemoryStorage()
    ) -> EngineHarness {
        EngineHarness(tubeRules: TubeRules([TubeRule(TubePattern("default"), settings)]), storage: storage)
    }

    private func job(_ key: String, _ harness: EngineHarness, _ client: ConnectionID) -> String? {
        EngineHarness.value(key, in: harness.perform(.statsJob(JobID(1)), client))
    }

    private func tube(_ key: String, _ name: String, _ harness: EngineHarness, _ client: ConnectionID) -> String? {
        EngineHarness.value(key, in: harness.named(name, client) { .statsTube($0) })
    }

    /// Has job 1 delivered, and the delivery fail.
    private func fail(_ end: End, _ harness: EngineHarness) {
        let worker = harness.connect()
        #expect(harness.perform(.reserveJob(JobID(1)), worker) == ["RESERVED 1 x"])
        switch end {
        case .release: #expect(harness.perform(.release(JobID(1), priority: 3, delay: 0), worker) == ["released"])
        case .releaseWithDelay:
            #expect(harness.perform(.release(JobID(1), priority: 3, delay: 5), worker) == ["released"])
        case .expiry: harness.advance(seconds: 10)
        case .disconnect: harness.engine.pointee.disconnect(worker)
        }
    }

    @Test(arguments: End.allCases)
    func jobIsBuriedAfterOneFailureMoreThanItHasRetries(_ end: End) {
        let harness = harness(TubeSettings(retries: 2))
        let client = harness.connect()
        harness.put(client, priority: 3)
        for count in 1...2 {
            fail(end, harness)
            #expect(job("failures", harness, client) == "\(count)")
            #expect(job("state", harness, client) == (end == .releaseWithDelay ? "delayed" : "ready"))
        }
        fail(end, harness)
        #expect(job("state", harness, client) == "buried")
        #expect(job("buries", harness, client) == "1")
        #expect(job("failures", harness, client) == "3")
        #expect(tube("jobs-exhausted", "default", harness, client) == "1")
        #expect(tube("current-jobs-buried", "default", harness, client) == "1")
        #expect(tube("current-jobs-delayed", "default", harness, client) == "0")
    }

    @Test func deletesAndBurialsOfWorkersAreNoFailures() {
        let harness = harness(TubeSettings(retries: 0))
        let client = harness.connect()
        harness.put(client)
        harness.perform(.reserve, client)
        harness.perform(.bury(JobID(1), priority: 0), client)
        #expect(job("failures", harness, client) == "0")
        #expect(tube("jobs-exhausted", "default", harness, client) == "0")
        harness.perform(.kickJob(JobID(1)), client)
        harness.perform(.reserve, client)
        #expect(harness.perform(.delete(JobID(1)), client) == ["deleted"])
        #expect(harness.jobCount == 0)
    }

    @Test func kickLetsAJobBeginAnew() {
        let harness = harness(TubeSettings(retries: 1))
        let client = harness.connect()
        harness.put(client)
        for _ in 0..<2 { fail(.release, harness) }
        #expect(job("state", harness, client) == "buried")
        harness.perform(.kick(bound: 1), client)
        #expect(job("failures", harness, client) == "0")
        fail(.release, harness)
        #expect(job("state", harness, client) == "ready")
        fail(.release, harness)
        #expect(job("state", harness, client) == "buried")
    }

    @Test(arguments: End.allCases)
    func deadLetterIsReadyInItsTubeAsItWas(_ end: End) {
        let harness = harness(TubeSettings(retries: 0, deadLetter: "dead"))
        let client = harness.connect()
        let waiter = harness.connect()
        _ = harness.named("dead", waiter) { .watch($0) }
        _ = harness.named("default", waiter) { .ignore($0) }
        harness.put(client, priority: 3)
        harness.put(client)
        harness.perform(.reserve, waiter)
        harness.advance(seconds: 7)
        fail(end, harness)
        #expect(harness.take(waiter) == ["RESERVED 1 x"])
        for (key, value) in [
            "tube": "\"dead\"", "pri": "3", "ttr": "10", "age": end == .expiry ? "17" : "7", "state": "reserved",
        ] { #expect(job(key, harness, client) == value, "\(key)") }
        // The other tube has no retries.
        #expect(job("failures", harness, client) == nil)
        #expect(tube("jobs-dead-lettered", "default", harness, client) == "1")
        #expect(tube("total-jobs", "dead", harness, client) == "1")
        harness.perform(.delete(JobID(1)), waiter)
        harness.perform(.delete(JobID(2)), client)
        #expect(harness.jobCount == 0 && harness.jobMemory == 0)
        #expect(EngineHarness.value("current-jobs-ready", in: harness.perform(.stats, client)) == "0")
        #expect(EngineHarness.value("jobs-exhausted", in: harness.perform(.stats, client)) == "1")
    }

    @Test func tubesOfDeadLettersCanFollowEachOther() {
        let rules = TubeRules([
            TubeRule(TubePattern("default"), TubeSettings(retries: 1, deadLetter: "slow")),
            TubeRule(TubePattern("slow"), TubeSettings(retries: 1, deadLetter: "dead")),
        ])
        let harness = EngineHarness(tubeRules: rules)
        let client = harness.connect()
        harness.put(client)
        var way: [String] = []
        for _ in 0..<5 {
            fail(.release, harness)
            way.append(job("tube", harness, client) ?? "")
        }
        #expect(way == ["\"default\"", "\"slow\"", "\"slow\"", "\"dead\"", "\"dead\""])
        harness.engine.pointee.disconnect(client)
        #expect(harness.tubeCount == 2)
    }

    @Test func moreFailuresThanAJobsRecordHolds() {
        let harness = harness(TubeSettings(retries: 250))
        let client = harness.connect()
        harness.put(client)
        for count in 1...250 {
            fail(.release, harness)
            #expect(job("failures", harness, client) == "\(count)")
        }
        #expect(job("state", harness, client) == "ready")
        fail(.release, harness)
        #expect(job("state", harness, client) == "buried")
        #expect(job("releases", harness, client) == "251")
        harness.perform(.kickJob(JobID(1)), client)
        #expect(job("failures", harness, client) == "0")
        #expect(job("reserves", harness, client) == "251")
    }

    @Test func stopOfTheServerIsNoFailure() {
        let harness = harness(TubeSettings(retries: 0))
        let (client, worker) = (harness.connect(), harness.connect())
        harness.put(client)
        harness.perform(.reserve, worker)
        harness.engine.pointee.isStopping = true
        harness.engine.pointee.disconnect(worker)
        #expect(job("state", harness, client) == "ready")
        #expect(job("failures", harness, client) == "0")
    }

    // MARK: The store

    @Test func storeHearsOfFailedDeliveriesOnlyWhereTheyCount() {
        for retries in [nil, 3] as [UInt8?] {
            let storage = ScriptedStorage()
            let harness = harness(TubeSettings(weight: 2, retries: retries), storage: storage)
            harness.put(harness.connect())
            storage.log = []
            fail(.expiry, harness)
            fail(.disconnect, harness)
            let update = "update 1 ready note 10"
            #expect(storage.log == (retries == nil ? [] : [update, update]))
            #expect(storage.failures == (retries == nil ? [] : [1, 2]))
        }
    }

    @Test func moveIsOneChangeOfTheStore() {
        let storage = ScriptedStorage()
        let harness = harness(TubeSettings(retries: 0, deadLetter: "dead"), storage: storage)
        harness.put(harness.connect())
        storage.log = []
        fail(.release, harness)
        #expect(storage.log == ["move 1 from default to dead note 10"])
    }

    @Test func jobThatTheStoreCannotMoveIsBuriedWhereItIs() {
        let storage = ScriptedStorage()
        let harness = harness(TubeSettings(retries: 0, deadLetter: "dead"), storage: storage)
        let client = harness.connect()
        harness.put(client)
        storage.log = []
        storage.admits = false
        fail(.expiry, harness)
        #expect(storage.log == ["update 1 buried note 10"])
        #expect(job("tube", harness, client) == "\"default\"")
        #expect(harness.tubeCount == 1)
    }

    @Test func failuresOutliveARestart() throws {
        let storage = ScriptedStorage()
        storage.kept = [.init(id: 1, state: .ready, failures: 2)]
        let harness = harness(TubeSettings(retries: 2), storage: storage)
        try harness.engine.pointee.recover()
        let client = harness.connect()
        #expect(job("failures", harness, client) == "2")
        harness.perform(.reserve, client)
        harness.perform(.release(JobID(1), priority: 0, delay: 0), client)
        #expect(job("state", harness, client) == "buried")
    }
}
