// SPDX-License-Identifier: MIT

import MemoryStorage
import Testing

@testable import TrellisCore

/// The bounds of tubes, as producers meet with them.
@Suite struct PolicyTests {
    private func harness(_ settings: TubeSettings, limits: EngineLimits = EngineLimits()) -> EngineHarness {
        EngineHarness(limits: limits, tubeRules: TubeRules([TubeRule(TubePattern("default"), settings)]))
    }

    private func value(_ key: String, _ harness: EngineHarness, _ client: ConnectionID) -> String? {
        EngineHarness.value(key, in: harness.named("default", client) { .statsTube($0) })
    }

    @Test func fullTubeTakesNoPutWhateverStateItsJobsAreIn() {
        let harness = harness(TubeSettings(maxJobs: 4))
        let client = harness.connect()
        for delay in [0, 0, 0, 100] as [UInt32] { harness.put(client, delay: delay) }
        harness.perform(.reserve, client)
        harness.perform(.reserve, client)
        harness.perform(.bury(JobID(1), priority: 0), client)
        #expect(harness.put(client) == ["OUT_OF_MEMORY"])
        _ = harness.named("other", client) { .use($0) }
        #expect(harness.put(client) == ["INSERTED 5"])
        _ = harness.named("default", client) { .use($0) }
        harness.perform(.delete(JobID(1)), client)
        #expect(harness.put(client) == ["INSERTED 6"])
        #expect(harness.put(client) == ["OUT_OF_MEMORY"])
        #expect(value("puts-refused", harness, client) == "2")
        #expect(value("max-jobs", harness, client) == "4")
        #expect(EngineHarness.value("puts-refused", in: harness.perform(.stats, client)) == "2")
        // What is refused leaves nothing behind.
        for id in [2, 3, 4, 5, 6] { harness.perform(.delete(JobID(UInt64(id))), client) }
        #expect(harness.jobMemory == 0 && harness.jobCount == 0)
    }

    /// Bodies that are on their way at the same time don't get past the bound together.
    @Test func bodyThatCompletesInATubeThatHasFilledUpIsRefused() {
        let harness = harness(TubeSettings(maxJobs: 1))
        let (early, late) = (harness.connect(), harness.connect())
        let line = PutLine(priority: 0, delay: 0, ttr: 1, size: 1)
        guard case .body = harness.engine.pointee.perform(.put(line), from: late) else {
            Issue.record("the tube isn't full yet")
            return
        }
        #expect(harness.put(early) == ["INSERTED 2"])
        guard let body = harness.engine.pointee.makeBody(1) else { preconditionFailure("the system has no memory") }
        harness.engine.pointee.completePut(late, body: body, endsWithCRLF: true)
        #expect(harness.take(late) == ["OUT_OF_MEMORY"])
        #expect(value("puts-refused", harness, early) == "1")
        harness.perform(.delete(JobID(2)), early)
        #expect(harness.jobMemory == 0)
    }

    @Test func lesserOfBothSizesHolds() {
        let harness = harness(TubeSettings(maxJobBytes: 2), limits: EngineLimits(jobBytes: 4))
        let client = harness.connect()
        #expect(harness.put(client, "ab") == ["INSERTED 1"])
        let line = PutLine(priority: 0, delay: 0, ttr: 1, size: 3)
        guard case .swallow(5, .jobTooBig) = harness.engine.pointee.perform(.put(line), from: client) else {
            Issue.record("a body that is too large must be swallowed, and its end with it")
            return
        }
        #expect(harness.put(client, "abcde") == ["jobTooBig"])
        // The second was the server's limit.
        #expect(value("puts-refused", harness, client) == "1")
        #expect(value("max-job-size", harness, client) == "2")
        _ = harness.named("other", client) { .use($0) }
        #expect(harness.put(client, "abcd") == ["INSERTED 2"])
    }

    @Test func keysOfPoliciesAreThereOnlyWhereTheyAreSet() {
        let harness = harness(TubeSettings(weight: 2))
        let client = harness.connect()
        let keys = ["max-jobs", "max-job-size", "puts-refused"]
        for key in keys { #expect(value(key, harness, client) == nil) }
        #expect(EngineHarness.value("puts-refused", in: harness.perform(.stats, client)) == nil)
    }

    @Test func otherRulesHoldFromTheNextPutOn() {
        let harness = harness(TubeSettings(maxJobs: 1))
        let client = harness.connect()
        harness.put(client)
        #expect(harness.put(client) == ["OUT_OF_MEMORY"])
        harness.engine.pointee.exchange(TubeRules([TubeRule(TubePattern("*"), TubeSettings(maxJobs: 2))]))
        #expect(harness.put(client) == ["INSERTED 2"])
        #expect(harness.put(client) == ["OUT_OF_MEMORY"])
        harness.engine.pointee.exchange(TubeRules())
        #expect(harness.put(client) == ["INSERTED 3"])
    }
}
