// SPDX-License-Identifier: MIT

import FairScheduler
import KeyedSchedulers
import PriorityScheduler
import Testing
import TrellisCore

/// What must hold of the limits with every scheduler.
@Suite struct LimitPropertyTests {
    enum Kind: CaseIterable {
        case priority, fair, fairService, fifo, lifo, deadline, aging

        func make() -> any Scheduler {
            switch self {
            case .priority: PriorityScheduler()
            case .fair: FairScheduler()
            case .fairService: FairScheduler(cost: .service)
            case .fifo: KeyedScheduler(.fifo)
            case .lifo: KeyedScheduler(.lifo)
            case .deadline: KeyedScheduler(.deadline(otherwise: 1_000_000_000))
            case .aging: KeyedScheduler(.aging(pace: 1000))
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func limitsAreKeptAndNoWorkerWaitsInVain(_ kind: Kind) throws {
        var (picks, waits) = (0, 0)
        for seed in 1...6 as ClosedRange<UInt64> {
            var crowd = try LimitedCrowd(seed: seed, scheduler: kind.make())
            let fault = try crowd.run(steps: 1500)
            #expect(fault == nil, "seed \(seed)")
            picks += crowd.picks
            waits += crowd.waitsAtLimits
        }
        // A crowd that never comes up against a limit proves nothing.
        #expect(picks > 1000 && waits > 5000, "\(picks) picks, \(waits) waits")
    }

    @Test func schedulerThatServesHeldTubesIsFound() throws {
        let faults = try (1...10 as ClosedRange<UInt64>).compactMap { seed in
            var crowd = try LimitedCrowd(seed: seed, scheduler: FlawedScheduler(.ignoresEligibility))
            return try crowd.run(steps: 1500)
        }
        #expect(faults.contains { $0.contains("concurrency") } && faults.contains { $0.contains("rate") })
    }

    @Test func schedulerThatLetsWorkersWaitIsFound() throws {
        var crowd = try LimitedCrowd(seed: 1, scheduler: FlawedScheduler(.looksAtOneTube))
        #expect(try crowd.run(steps: 1500)?.contains("waits in vain") == true)
    }
}
