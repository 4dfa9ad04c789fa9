// SPDX-License-Identifier: MIT

import FairScheduler
import KeyedSchedulers
import PriorityScheduler
import Testing
import TrellisTestKit

@Suite struct SchedulerConformanceTests {
    @Test func correctSchedulersPass() throws {
        try SchedulerConformance { FlawedScheduler() }.run()
        try PriorityOrder { FlawedScheduler() }.run()
    }

    @Test func prioritySchedulerPasses() throws {
        try SchedulerConformance { PriorityScheduler() }.run()
        try PriorityOrder { PriorityScheduler() }.run()
    }

    @Test(arguments: FairCost.allCases)
    func fairSchedulerPasses(_ cost: FairCost) throws {
        try SchedulerConformance { FairScheduler(cost: cost) }.run()
    }

    @Test(arguments: [
        KeyedScheduler.Order.fifo, .lifo, .deadline(otherwise: 10_000_000), .aging(pace: 1), .aging(pace: 60_000),
    ])
    func keyedSchedulersPass(_ order: KeyedScheduler.Order) throws {
        try SchedulerConformance { KeyedScheduler(order) }.run()
    }

    @Test func anotherOrderIsLawful() throws {
        try SchedulerConformance { FlawedScheduler(.isFirstInFirstOut) }.run()
    }

    @Test(arguments: FlawedScheduler.Flaw.allCases.filter { $0 != .isFirstInFirstOut })
    func flawIsFoundByTheRuleForIt(_ flaw: FlawedScheduler.Flaw) throws {
        let error = #expect(throws: ConformanceError.self) {
            try SchedulerConformance { FlawedScheduler(flaw) }.run()
        }
        let rules = error?.failures.map(\.rule) ?? []
        #expect(rules.contains(flaw.rawValue), "only found by \(rules)")
    }

    @Test func everyRuleOfPriorityOrderCanFail() throws {
        let error = #expect(throws: ConformanceError.self) {
            try PriorityOrder { FlawedScheduler(.isFirstInFirstOut) }.run()
        }
        let rules = Set(error?.failures.map(\.rule) ?? [])
        #expect(
            rules == [
                FlawedScheduler.Flaw.isFirstInFirstOut.rawValue, "a job that comes back has its id's place",
                "pick and peek agree with a sorted list over a random life",
            ])
    }

    @Test func failuresAreReadable() {
        let failure = ConformanceFailure(rule: "a rule", detail: "what was seen")
        #expect(ConformanceError(failures: [failure, failure]).description.split(separator: "\n").count == 2)
        #expect(failure.description == "a rule: what was seen")
    }
}
