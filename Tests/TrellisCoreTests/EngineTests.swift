// SPDX-License-Identifier: MIT

import Testing

@testable import TrellisCore

@Suite struct EngineTests {
    @Test func jobGoesFromProducerToWorker() {
        let harness = EngineHarness()
        let client = harness.connect()
        #expect(harness.put(client, "hello") == ["INSERTED 1"])
        #expect(harness.perform(.reserve, client) == ["RESERVED 1 hello"])
        #expect(harness.perform(.delete(JobID(1)), client) == ["deleted"])
        #expect(harness.perform(.delete(JobID(1)), client) == ["notFound"])
    }

    @Test func waitersAreServedFirstComeFirstServedOverDifferentWatchLists() {
        let harness = EngineHarness()
        let producer = harness.connect()
        let workers = (0..<6).map { _ in harness.connect() }
        // Three different lists, all with `default`, in turn.
        for (index, worker) in workers.enumerated() where index % 3 > 0 {
            _ = harness.named(index % 3 == 1 ? "a" : "b", worker) { .watch($0) }
        }
        for worker in workers { #expect(harness.perform(.reserve, worker) == []) }
        for (index, worker) in workers.enumerated() {
            harness.put(producer, "job")
            #expect(harness.take(worker) == ["RESERVED \(index + 1) job"])
        }
    }

    @Test func waiterThatWaitsAgainStandsAtTheEndOfTheLine() {
        let harness = EngineHarness()
        let producer = harness.connect()
        let first = harness.connect()
        let second = harness.connect()
        _ = harness.named("other", second) { .watch($0) }
        harness.perform(.reserve, first)
        harness.perform(.reserve, second)
        harness.put(producer)
        #expect(harness.take(first) == ["RESERVED 1 x"])
        harness.perform(.reserve, first)
        harness.put(producer)
        #expect(harness.take(second) == ["RESERVED 2 x"])
        harness.put(producer)
        #expect(harness.take(first) == ["RESERVED 3 x"])
    }

    @Test func largeKickGoesInStepsAndCoversWhatWasThere() {
        let harness = EngineHarness(limits: EngineLimits(jobsPerStep: 10))
        let worker = harness.connect()
        let other = harness.connect()
        for _ in 0..<105 { harness.put(worker) }
        for id in 1...100 as ClosedRange<UInt64> {
            harness.perform(.reserveJob(JobID(id)), worker)
            harness.perform(.bury(JobID(id), priority: 0), worker)
        }
        #expect(harness.perform(.kick(bound: 1000), worker) == [])
        // Others go on meanwhile; what they bury now is not part of the kick.
        #expect(harness.perform(.reserveJob(JobID(101)), other) == ["RESERVED 101 x"])
        #expect(harness.perform(.bury(JobID(101), priority: 0), other) == ["buried"])
        let steps = harness.finishWork()
        #expect(steps >= 9)
        #expect(harness.take(worker) == ["KICKED 100"])
        #expect(harness.perform(.peekBuried, worker) == ["FOUND 101"])
    }

    @Test func kickOfDelayedJobsGoesInStepsToo() {
        let harness = EngineHarness(limits: EngineLimits(jobsPerStep: 10))
        let client = harness.connect()
        let other = harness.connect()
        for index in 0..<50 { harness.put(client, delay: UInt32(1000 + index)) }
        #expect(harness.perform(.kick(bound: 45), client) == [])
        // Due first, but delayed after the kick began.
        harness.put(other, delay: 1)
        _ = harness.finishWork()
        #expect(harness.take(client) == ["KICKED 45"])
        #expect(harness.perform(.peekDelayed, client) == ["FOUND 51"])
        harness.advance(seconds: 2)
        #expect(harness.perform(.peekDelayed, client) == ["FOUND 46"])
    }

    @Test func closedWorkerGivesManyJobsBackInSteps() {
        let harness = EngineHarness(limits: EngineLimits(jobsPerStep: 10))
        let worker = harness.connect()
        let other = harness.connect()
        for _ in 0..<95 { harness.put(other) }
        for _ in 0..<95 { harness.perform(.reserve, worker) }
        harness.engine.pointee.disconnect(worker)
        #expect(harness.hasWork)
        #expect(harness.perform(.reserve, other) == ["RESERVED 1 x"])
        #expect(harness.finishWork() == 9)
        #expect(EngineHarness.value("current-jobs-ready", in: harness.perform(.stats, other)) == "94")
        #expect(EngineHarness.value("current-jobs-reserved", in: harness.perform(.stats, other)) == "1")
    }

    @Test func kickOutlivesItsClient() {
        let harness = EngineHarness(limits: EngineLimits(jobsPerStep: 2))
        let client = harness.connect()
        let other = harness.connect()
        _ = harness.named("t", client) { .use($0) }
        for _ in 0..<9 { harness.put(client, delay: 100) }
        #expect(harness.perform(.kick(bound: 9), client) == [])
        harness.engine.pointee.disconnect(client)
        let successor = harness.connect()
        _ = harness.finishWork()
        #expect(harness.take(successor) == [])
        #expect(EngineHarness.value("current-jobs-ready", in: harness.perform(.stats, other)) == "9")
    }

    @Test func memoryLimitRefusesPutsAndNothingElse() {
        let harness = EngineHarness(limits: EngineLimits(jobBytes: 100_000, memoryBytes: 50_000))
        let client = harness.connect()
        let body = String(repeating: "b", count: 10_000)
        var inserted = 0
        while harness.put(client, body).first?.hasPrefix("INSERTED") == true { inserted += 1 }
        #expect((3...4).contains(inserted))
        #expect(harness.put(client, body) == ["OUT_OF_MEMORY"])
        #expect(harness.perform(.reserve, client).first?.hasPrefix("RESERVED 1 ") == true)
        #expect(harness.perform(.release(JobID(1), priority: 1, delay: 0), client) == ["released"])
        #expect(harness.perform(.delete(JobID(1)), client) == ["deleted"])
        #expect(harness.put(client, body) == ["INSERTED \(inserted + 1)"])
    }

    @Test func announcedBodyCountsAgainstTheLimitUntilItsConnectionCloses() {
        let harness = EngineHarness(limits: EngineLimits(jobBytes: 100_000, memoryBytes: 50_000))
        let client = harness.connect()
        let other = harness.connect()
        let line = PutLine(priority: 0, delay: 0, ttr: 1, size: 40_000)
        guard case .body(40_000) = harness.engine.pointee.perform(.put(line), from: client) else {
            Issue.record("the put was refused")
            return
        }
        #expect(harness.put(other, String(repeating: "b", count: 20_000)) == ["OUT_OF_MEMORY"])
        harness.engine.pointee.disconnect(client)
        #expect(harness.put(other, String(repeating: "b", count: 20_000)) == ["INSERTED 2"])
    }

    @Test func drainedEngineKeepsNoBodies() {
        let harness = EngineHarness()
        let client = harness.connect()
        for _ in 0..<5000 { harness.put(client, "some bytes of a body") }
        #expect(harness.liveBytes > 0)
        for id in 1...5000 as ClosedRange<UInt64> { harness.perform(.delete(JobID(id)), client) }
        #expect(harness.liveBytes == 0)
        #expect(harness.jobMemory == 0)
        #expect(harness.jobCount == 0)
    }

    @Test func tubesComeAndGo() {
        let harness = EngineHarness()
        let client = harness.connect()
        for round in 0..<300 {
            _ = harness.named("tube-\(round)", client) { .use($0) }
            _ = harness.named("watched-\(round)", client) { .watch($0) }
            if round > 0 { _ = harness.named("watched-\(round - 1)", client) { .ignore($0) } }
        }
        #expect(harness.tubeCount == 3)
        harness.engine.pointee.disconnect(client)
        #expect(harness.tubeCount == 1)
        #expect(harness.watchSetCount == 1)
    }

    @Test func equalWatchListsAreOneSet() {
        let harness = EngineHarness()
        let workers = (0..<20).map { _ in harness.connect() }
        for worker in workers {
            for tube in ["a", "b", "c"] { _ = harness.named(tube, worker) { .watch($0) } }
        }
        #expect(harness.watchSetCount == 2)
        #expect(harness.named("b", workers[0]) { .ignore($0) } == ["WATCHING 3"])
        #expect(harness.watchSetCount == 3)
        for worker in workers { harness.engine.pointee.disconnect(worker) }
        #expect(harness.watchSetCount == 1)
        #expect(harness.tubeCount == 1)
    }

    @Test func deadlineSoonComesWhenTheMarginBegins() {
        let harness = EngineHarness()
        let worker = harness.connect()
        harness.put(worker, ttr: 5)
        harness.perform(.reserve, worker)
        #expect(harness.perform(.reserve, worker) == [])
        harness.advance(seconds: 3.999)
        #expect(harness.take(worker) == [])
        harness.advance(seconds: 0.001)
        #expect(harness.take(worker) == ["DEADLINE_SOON"])
    }

    @Test func nextDeadlineIsNeverLaterThanTheNextEvent() {
        let harness = EngineHarness()
        let client = harness.connect()
        #expect(harness.nextDeadline == .never)
        harness.put(client, delay: 30)
        #expect(harness.nextDeadline.nanoseconds == harness.nanoseconds + 30_000_000_000)
        harness.put(client, delay: 10)
        #expect(harness.nextDeadline.nanoseconds == harness.nanoseconds + 10_000_000_000)
        harness.advance(seconds: 31)
        #expect(harness.nextDeadline == .never)
        #expect(harness.perform(.peekReady, client) == ["FOUND 1"])
    }

    @Test func recordedDeadlineThatHasPassedBringsNoEvent() {
        let harness = EngineHarness()
        let client = harness.connect()
        harness.put(client, ttr: 5)
        harness.perform(.reserve, client)
        harness.perform(.touch(JobID(1)), client)
        harness.advance(seconds: 3)
        harness.perform(.touch(JobID(1)), client)
        harness.advance(seconds: 3)
        #expect(EngineHarness.value("state", in: harness.perform(.statsJob(JobID(1)), client)) == "reserved")
        harness.advance(seconds: 2)
        #expect(EngineHarness.value("state", in: harness.perform(.statsJob(JobID(1)), client)) == "ready")
        #expect(EngineHarness.value("timeouts", in: harness.perform(.statsJob(JobID(1)), client)) == "1")
    }

    @Test func longestDelaysDontOverflow() {
        let harness = EngineHarness()
        let client = harness.connect()
        harness.put(client, delay: .max, ttr: .max)
        let stats = harness.perform(.statsJob(JobID(1)), client)
        #expect(EngineHarness.value("time-left", in: stats) == "4294967295")
        #expect(EngineHarness.value("state", in: stats) == "delayed")
    }
}
