// SPDX-License-Identifier: MIT

import Glibc
import PriorityScheduler
import Testing
import TrellisCore
import TrellisTestKit

@Suite struct SimulationTests {
    /// How many seeds a run takes; the environment raises it for a soak.
    static let seedCount = environment("TRELLIS_SIMULATION_SEEDS") ?? 300
    /// The first seed; the environment moves it, so that a soak covers new ground.
    static let firstSeed = environment("TRELLIS_SIMULATION_FIRST") ?? 1

    static func environment(_ name: String) -> UInt64? {
        getenv(name).flatMap { UInt64(String(cString: $0)) }
    }

    static var seeds: ClosedRange<UInt64> {
        if let one = environment("TRELLIS_SIMULATION_SEED") { return one...one }
        return firstSeed...firstSeed + max(1, seedCount) - 1
    }

    /// Stops at the first difference: the next ones are most likely the same.
    private func expectAgreement(_ simulation: Simulation) {
        for seed in Self.seeds {
            if let finding = simulation.run(seed: seed) {
                Issue.record("\(finding.report)")
                return
            }
        }
    }

    @Test func engineAgreesWithTheModel() {
        expectAgreement(Simulation(makeScheduler: { PriorityScheduler() }))
    }

    @Test func engineAgreesWhenLongWorkGoesInSmallSteps() {
        let limits = EngineLimits(jobBytes: 64, jobsPerStep: 2)
        expectAgreement(Simulation(limits: limits, makeScheduler: { PriorityScheduler() }))
    }

    @Test func sameStepsGiveTheSameRepliesInTheSameOrder() throws {
        let simulation = Simulation(makeScheduler: { PriorityScheduler() })
        for seed in Self.seeds.prefix(20) {
            let steps = simulation.workload(seed: seed)
            #expect(try simulation.transcript(of: steps) == simulation.transcript(of: steps), "seed \(seed)")
        }
    }

    @Test(arguments: FlawedScheduler.Flaw.allCases)
    func plantedBugIsFound(_ flaw: FlawedScheduler.Flaw) throws {
        let simulation = Simulation(makeScheduler: { FlawedScheduler(flaw) })
        let finding = try #require((1...100).lazy.compactMap { simulation.run(seed: $0) }.first)
        #expect(simulation.replay(finding.steps) != nil, "the shrunk steps still show the bug")
        #expect(finding.steps.count < 40, "\(finding.report)")
    }

    @Test func everyStepOfAWorkloadComesUpInTime() {
        let simulation = Simulation(makeScheduler: { PriorityScheduler() })
        var missing = Self.words
        for seed in 1...40 as ClosedRange<UInt64> {
            for case .perform(let command, _) in simulation.workload(seed: seed) { missing.remove(command.word) }
        }
        #expect(missing.isEmpty)
    }

    private static let words: Set<String> = [
        "put", "reserve", "reserve-with-timeout", "reserve-job", "delete", "release", "bury", "touch", "use", "watch",
        "ignore", "peek", "peek-ready", "peek-delayed", "peek-buried", "kick", "kick-job", "stats", "stats-job",
        "stats-tube", "list-tubes", "list-tube-used", "list-tubes-watched", "pause-tube", "quit",
    ]
}
