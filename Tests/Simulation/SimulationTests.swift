// SPDX-License-Identifier: MIT

import Glibc
import PriorityScheduler
import Testing
import TrellisCore
import TrellisTestKit

@Suite struct SimulationTests {
    /// How many seeds a run takes; the environment raises it for a soak.
    static let seedCount = environment("TRELLIS_SIMULATION_SEEDS") ?? 100
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

    /// Limits of every kind, in tubes that the workloads use.
    static let limits: [[String: TubeSettings]] = [
        ["default": TubeSettings(concurrency: 1), "a": TubeSettings(concurrency: 2), "mail": TubeSettings(weight: 3)],
        ["default": TubeSettings(rate: Rate(1, per: .second)), "a": TubeSettings(rate: Rate(3, per: .second))],
        [
            "default": TubeSettings(concurrency: 2, rate: Rate(40, per: .minute)),
            "a": TubeSettings(concurrency: 1, rate: Rate(7, per: .second)),
            "b": TubeSettings(concurrency: 1, rate: Rate(5, per: .hour), objectiveNanoseconds: 90_000_000_000),
        ],
    ]

    @Test(arguments: limits)
    func engineAgreesWithTheModelAboutLimits(_ settings: [String: TubeSettings]) {
        let limits = EngineLimits(jobBytes: 64, jobsPerStep: 20)
        expectAgreement(
            Simulation(limits: limits, tubeSettings: settings, makeScheduler: { PriorityScheduler() }))
    }

    /// Policies of every kind, in tubes that the workloads use.
    static let policies: [[String: TubeSettings]] = [
        [
            "default": TubeSettings(maxJobs: 2), "a": TubeSettings(maxJobs: 5, maxJobBytes: 3),
            "b": TubeSettings(concurrency: 1, maxJobBytes: 0), "mail": TubeSettings(maxJobBytes: 1 << 30),
        ],
        ["default": TubeSettings(retries: 0), "a": TubeSettings(retries: 2), "b": TubeSettings(retries: 250)],
        [
            "default": TubeSettings(retries: 1, deadLetter: "a"),
            "a": TubeSettings(concurrency: 1, retries: 0, deadLetter: "mail", maxJobs: 3),
            "b": TubeSettings(rate: Rate(3, per: .second), retries: 0, deadLetter: "nobody-uses-this"),
        ],
        [
            "default": TubeSettings(ttlNanoseconds: 3_000_000_000),
            "a": TubeSettings(ttlNanoseconds: 86_400_000_000_000),
            "b": TubeSettings(concurrency: 1, retries: 1, ttlNanoseconds: 1_000_000_000),
        ],
        [
            "default": TubeSettings(retries: 1, ttlNanoseconds: 2_000_000_000, deadLetter: "a"),
            "a": TubeSettings(concurrency: 2, ttlNanoseconds: 5_000_000_000, deadLetter: "b"),
            "b": TubeSettings(ttlNanoseconds: 1_000_000_000, deadLetter: "mail"),
            "mail": TubeSettings(rate: Rate(2, per: .second), ttlNanoseconds: 20_000_000_000, maxJobs: 3),
        ],
    ]

    @Test(arguments: policies)
    func engineAgreesWithTheModelAboutPolicies(_ settings: [String: TubeSettings]) {
        let limits = EngineLimits(jobBytes: 64, jobsPerStep: 20)
        expectAgreement(
            Simulation(limits: limits, tubeSettings: settings, makeScheduler: { PriorityScheduler() }))
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

    /// A workload that never gets as far proves nothing.
    @Test func everyCommandAndReplyComesUp() throws {
        let simulation = Simulation(makeScheduler: { PriorityScheduler() })
        var missing = Self.commands.union(Self.replies)
        for seed in 1...40 as ClosedRange<UInt64> {
            let steps = simulation.workload(seed: seed)
            for case .perform(let command, _) in steps { missing.remove(command.word) }
            for reply in try simulation.transcript(of: steps) {
                missing.remove(String(reply.drop { !$0.isUppercase }.prefix { $0.isUppercase || $0 == "_" }))
            }
        }
        #expect(missing.isEmpty)
    }

    private static let replies: Set<String> = [
        "INSERTED", "EXPECTED_CRLF", "JOB_TOO_BIG", "DRAINING", "USING", "RESERVED", "DEADLINE_SOON", "TIMED_OUT",
        "NOT_FOUND", "DELETED", "RELEASED", "BURIED", "TOUCHED", "WATCHING", "NOT_IGNORED", "FOUND", "KICKED", "OK",
        "PAUSED", "BAD_FORMAT", "UNKNOWN_COMMAND",
    ]

    private static let commands: Set<String> = [
        "put", "reserve", "reserve-with-timeout", "reserve-job", "delete", "release", "bury", "touch", "use", "watch",
        "ignore", "peek", "peek-ready", "peek-delayed", "peek-buried", "kick", "kick-job", "stats", "stats-job",
        "stats-tube", "list-tubes", "list-tube-used", "list-tubes-watched", "pause-tube", "quit",
    ]
}
