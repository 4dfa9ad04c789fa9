// SPDX-License-Identifier: MIT

import Testing

@testable import TrellisCore

@Suite struct JobStatusTests {
    private func counters(_ values: [UInt32]) -> JobCounters {
        var counters = JobCounters()
        counters.reserves = values[0]
        counters.timeouts = values[1]
        counters.releases = values[2]
        counters.buries = values[3]
        counters.kicks = values[4]
        return counters
    }

    @Test func fieldsDoNotTouchEachOther() {
        var random = TestGenerator(seed: 3)
        for _ in 0..<1000 {
            var status = JobStatus(.incoming)
            let values = (0..<5).map { _ in UInt32(random.next(below: 2048)) }
            let fits = status.keep(counters(values))
            #expect(fits && !status.countsElsewhere)
            status.state = .buried
            status.hasUnloggedCounters = true
            #expect(status.counters == counters(values))
            status.hasUnloggedCounters = false
            #expect(status.state == .buried && !status.hasUnloggedCounters)
            status.state = .ready
            #expect(status.state == .ready && status.counters == counters(values))
        }
    }

    @Test(arguments: [JobCounter.reserves, .timeouts, .releases, .buries, .kicks])
    func aCounterStopsAtItsLimitAndSpillsIntoNone(counter: JobCounter) {
        var status = JobStatus(.reserved)
        for _ in 0..<2047 {
            let fits = status.increment(counter)
            #expect(fits)
        }
        let before = status.counters
        let fits = status.increment(counter)
        #expect(!fits && status.counters == before && status.state == .reserved)
        let sum = before.reserves + before.timeouts + before.releases + before.buries + before.kicks
        #expect(sum == 2047)
    }

    @Test func recordsStaySmall() { #expect(MemoryLayout<JobRecord>.stride == 72) }

    @Test func countersGoOnBeyondWhatARecordHolds() {
        let harness = EngineHarness()
        let client = harness.connect()
        harness.put(client, ttr: 1000)
        for _ in 0..<5000 {
            harness.perform(.reserve, client)
            #expect(harness.perform(.release(JobID(1), priority: 0, delay: 0), client) == ["released"])
        }
        let statistics = harness.perform(.statsJob(JobID(1)), client)
        #expect(EngineHarness.value("reserves", in: statistics) == "5000")
        #expect(EngineHarness.value("releases", in: statistics) == "5000")
        #expect(EngineHarness.value("kicks", in: statistics) == "0")
        harness.perform(.delete(JobID(1)), client)
        // The next job may have the same record, and nothing of the old one's past.
        harness.put(client)
        let next = harness.perform(.statsJob(JobID(2)), client)
        #expect(EngineHarness.value("reserves", in: next) == "0")
        #expect(harness.engine.pointee.largeCounters.isEmpty)
    }
}
