// SPDX-License-Identifier: MIT

import Testing
import TrellisTestKit

/// The test with files that fail finds each flaw by the rule for it.
@Suite struct FaultyFilesTestTests {
    private func test(_ flaw: SnapshotStorage.Flaw, seeds: UInt64 = 1, stride: Int = 2) -> FaultyFilesTest {
        FaultyFilesTest(seeds: seeds, stride: stride, capacity: 200 << 10) { SnapshotStorage($0, flaw: flaw) }
    }

    @Test func aSoundStorePasses() throws {
        try test(.none).run()
        try StorageConformance(keepsJobs: true) {
            let files = FaultyFileSystem()
            return { SnapshotStorage(files) }
        }.run()
    }

    @Test(arguments: [
        (SnapshotStorage.Flaw.forgetsToSync, FaultyFilesTest.Rule.powerLoss),
        (.ignoresShortWrites, .failingCalls), (.promisesRoom, .fullDisk),
    ])
    func flawIsFound(flaw: SnapshotStorage.Flaw, rule: FaultyFilesTest.Rule) {
        // Each commit writes all anew, so only a fault in the last one shows: every call of several lives is tried.
        let test = flaw == .ignoresShortWrites ? test(flaw, seeds: 4, stride: 1) : test(flaw)
        let error = #expect(throws: ConformanceError.self) { try test.run([rule]) }
        #expect(error?.failures.first?.rule == rule.rawValue)
    }

    @Test(
        arguments: [SnapshotStorage.Flaw.refusesAll, .refusesTheTwentieth],
        [FaultyFilesTest.Rule.powerLoss, .failingCalls])
    func aLifeThatIsCutShortIsNoProof(flaw: SnapshotStorage.Flaw, rule: FaultyFilesTest.Rule) {
        let error = #expect(throws: ConformanceError.self) { try test(flaw).run([rule]) }
        let details = error?.failures.map(\.detail) ?? []
        let beginning = "without any fault the life of seed 1 came to its end in turn "
        let isTold = details.allSatisfy { $0.hasPrefix(beginning) && $0.hasSuffix(" bytes wasn't admitted") }
        #expect(details.count == 1 && isTold, "\(details)")
    }

    @Test func whoWatchesHearsOfEachRule() throws {
        var heard: [ConformanceProgress] = []
        try test(.none).run([.fullDisk]) { heard.append($0) }
        let rule = FaultyFilesTest.Rule.fullDisk.rawValue
        #expect(heard == [.begins(rule: rule), .ends(rule: rule, [])])
    }

    @Test func theFirstBrokenRuleMayEndARun() {
        var rules: [String] = []
        let error = #expect(throws: ConformanceError.self) {
            try StorageConformance(keepsJobs: true) {
                let place = Place()
                return { KeepingStorage(place, flaw: .deletesAreForgotten) }
            }.run(endsAtTheFirst: true) { if case .begins(let rule) = $0 { rules.append(rule) } }
        }
        #expect(Set(error?.failures.map(\.rule) ?? []) == ["a deleted job doesn't come back"])
        #expect(rules.last == "a deleted job doesn't come back")
    }
}
