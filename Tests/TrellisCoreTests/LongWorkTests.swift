// SPDX-License-Identifier: MIT

import Testing

@testable import TrellisCore

@Suite struct LongWorkTests {
    @Test func kickCoversAllDelayedJobsHoweverManyAreDelayedMeanwhile() {
        let harness = EngineHarness(limits: EngineLimits(jobsPerStep: 10))
        let client = harness.connect()
        let other = harness.connect()
        for _ in 0..<50 { harness.put(client, delay: 1000) }
        #expect(harness.perform(.kick(bound: 50), client) == [])
        // More than fit into a step, all due before the jobs that are to be kicked.
        for _ in 0..<35 { harness.put(other, delay: 5) }
        let steps = harness.finishWork()
        #expect(steps < 20)
        #expect(harness.take(client) == ["KICKED 50"])
        let stats = harness.perform(.stats, client)
        #expect(EngineHarness.value("current-jobs-delayed", in: stats) == "35")
        harness.advance(seconds: 6)
        #expect(EngineHarness.value("current-jobs-ready", in: harness.perform(.stats, client)) == "85")
    }

    @Test func jobOfAClosedConnectionCountsNoTimeoutWhileItIsGivenBack() {
        let harness = EngineHarness(limits: EngineLimits(jobsPerStep: 2))
        let worker = harness.connect()
        let other = harness.connect()
        for _ in 0..<9 { harness.put(worker, ttr: 1) }
        for _ in 0..<9 { harness.perform(.reserve, worker) }
        harness.engine.pointee.disconnect(worker)
        harness.advance(seconds: 2)
        _ = harness.finishWork()
        let stats = harness.perform(.stats, other)
        #expect(EngineHarness.value("job-timeouts", in: stats) == "0")
        #expect(EngineHarness.value("current-jobs-ready", in: stats) == "9")
        #expect(harness.nextDeadline == .never)
    }

    @Test func pauseThatIsOverdueHasNoTimeLeft() {
        let harness = EngineHarness()
        let client = harness.connect()
        _ = harness.named("default", client) { .pauseTube($0, seconds: 1) }
        for _ in 0..<Engine.eventsPerTurn { harness.put(client, delay: 1) }
        // More is due than one turn handles: the end of the pause has to wait.
        harness.advance(seconds: 5)
        let stats = harness.named("default", client) { .statsTube($0) }
        #expect(EngineHarness.value("pause-time-left", in: stats) == "0")
    }

    @Test func timersThatCameUpTooEarlyAreSetRightInBoundedSteps() {
        let harness = EngineHarness()
        let producer = harness.connect()
        for id in 0...UInt64(Engine.eventsPerTurn) {
            let worker = harness.connect()
            harness.put(producer, ttr: 1)
            harness.perform(.reserve, worker)
            harness.perform(.delete(JobID(id + 1)), worker)
        }
        harness.advance(seconds: 2)
        #expect(harness.nextDeadline != .never)
        harness.advance(seconds: 0)
        #expect(harness.nextDeadline == .never)
    }
}
