// SPDX-License-Identifier: MIT

import PriorityScheduler
import Testing
import TrellisTestKit

/// Scenes that a simulation found once, by name.
@Suite struct SceneTests {
    private static let second: Int64 = 1_000_000_000

    private func expectAgreement(_ steps: [WorkloadStep], _ last: String) throws {
        let simulation = Simulation(makeScheduler: { PriorityScheduler() })
        #expect(simulation.replay(steps)?.what == nil)
        #expect(try simulation.transcript(of: steps).last == last)
    }

    private func put(_ body: String, priority: UInt32 = 0, delay: UInt32 = 0, ttr: UInt32 = 60) -> [WorkloadStep] {
        let bytes = Array(body.utf8)
        return [
            .perform(.put(priority: priority, delay: delay, ttr: ttr, size: UInt32(bytes.count)), by: 1),
            .perform(.body(bytes), by: 1),
        ]
    }

    /// The safety margin began a second before the expiry, so the wait ended then, however late the turn comes.
    @Test func waiterIsNotGivenItsOwnExpiredJobWhenTheTurnIsLate() throws {
        var steps: [WorkloadStep] = [.connect(1), .connect(2)]
        steps += put("a", ttr: 3)
        steps += [.perform(.reserve, by: 2), .perform(.reserve, by: 2)]
        steps += [.advance(to: EngineDriver.start + 100 * Self.second)]
        try expectAgreement(steps, #"2: "DEADLINE_SOON\r\n""#)
    }

    @Test func timeoutBeforeTheMarginIsATimeoutWhenTheTurnIsLate() throws {
        var steps: [WorkloadStep] = [.connect(1), .connect(2)]
        steps += put("a", ttr: 10)
        steps += [.perform(.reserve, by: 2), .perform(.reserveWithTimeout(seconds: 5), by: 2)]
        steps += [.advance(to: EngineDriver.start + 100 * Self.second)]
        try expectAgreement(steps, #"2: "TIMED_OUT\r\n""#)
    }

    @Test func delayThatEndsAfterAPauseDoesNotCompeteForItsFirstWaiter() throws {
        var steps: [WorkloadStep] = [.connect(1), .connect(2)]
        steps += [.perform(.pauseTube("default", seconds: 2), by: 1), .perform(.reserve, by: 2)]
        steps += put("late", priority: 0, delay: 5)
        steps += put("early", priority: 9)
        steps += [.advance(to: EngineDriver.start + 100 * Self.second)]
        try expectAgreement(steps, #"2: "RESERVED 2 5\r\nearly\r\n""#)
    }
}
