// SPDX-License-Identifier: MIT

import MemoryStorage
import Testing
import TrellisTestKit

@Suite struct StorageConformanceTests {
    @Test(arguments: [false, true])
    func correctStoresPass(isDelayed: Bool) throws {
        try StorageConformance(keepsJobs: true) {
            let place = Place()
            return { KeepingStorage(place, isDelayed: isDelayed) }
        }.run()
    }

    @Test(arguments: KeepingStorage.Manners.allCases)
    func everyAnswerToSecondOpensThatTheContractAllowsPasses(_ manners: KeepingStorage.Manners) throws {
        try StorageConformance(keepsJobs: true, patience: 1) {
            let place = Place()
            return { KeepingStorage(place, manners: manners) }
        }.run()
    }

    @Test func memoryStoragePasses() throws {
        try StorageConformance(keepsJobs: false) { { MemoryStorage() } }.run()
    }

    @Test func aStoreInMemoryThatKeepsJobsIsFound() {
        #expect(throws: ConformanceError.self) {
            try StorageConformance(keepsJobs: false) {
                let place = Place()
                return { KeepingStorage(place) }
            }.run()
        }
    }

    @Test func aStoreThatKeepsNothingIsFoundByEveryRuleOfKeeping() {
        let error = #expect(throws: ConformanceError.self) {
            try StorageConformance(keepsJobs: true) { { MemoryStorage() } }.run()
        }
        #expect(Set(error?.failures.map(\.rule) ?? []).count >= 8)
    }

    @Test(arguments: KeepingStorage.Flaw.allCases)
    func flawIsFoundByTheRuleForIt(_ flaw: KeepingStorage.Flaw) {
        let error = #expect(throws: ConformanceError.self) {
            try StorageConformance(keepsJobs: true, patience: 1) {
                let place = Place()
                return { KeepingStorage(place, flaw: flaw) }
                // What spoils a job spoils a random life, too; who may open a place is nothing to the other rules.
            }.run(endsAtTheFirst: !flaw.isOfAccess)
        }
        let rules = Set(error?.failures.map(\.rule) ?? [])
        #expect(rules == [flaw.rule])
    }
}
