// SPDX-License-Identifier: MIT

import Testing

/// The rules, applied to what is there.
///
/// A failure names file and line.
struct RepositoryTests {
    private let repository: Repository

    init() throws { repository = try Repository() }

    private func expectNone(_ violations: [Violation], _ location: SourceLocation = #_sourceLocation) {
        for violation in violations { Issue.record(Comment(rawValue: "\(violation)"), sourceLocation: location) }
    }

    private func source(_ path: String) -> SourceText? { repository.files.first { $0.path == path } }

    /// Else the other tests would have nothing to look at.
    @Test func filesAreFound() {
        for path in ["Package.swift", "Makefile", ".ci/run", "Sources/TrellisCore/Body.swift", "Benchmarks/README.md"] {
            #expect(source(path) != nil, "\(path) was not looked at")
        }
        #expect(!repository.files.contains { $0.path.contains(".build") })
        #expect(!repository.files.contains { $0.path.contains("Corpus") })
    }

    @Test func importsFollowTheArrows() { expectNone(repository.files.flatMap(ImportRule.check)) }

    @Test func filesAreShortEnough() { expectNone(repository.files.flatMap(LengthRule.checkFile)) }

    @Test func functionsAreShortEnough() { expectNone(repository.files.flatMap(LengthRule.checkFunctions)) }

    @Test func noBannedWordStandsAnywhere() { expectNone(repository.files.flatMap(WordRule.check)) }

    @Test func everyFileNamesItsLicence() { expectNone(repository.files.flatMap(FileRules.checkLicence)) }

    @Test func everySourceFileBelongsToATarget() throws {
        let targets = FileRules.targets(inManifest: try #require(source("Package.swift")))
        #expect(targets.isSuperset(of: ["TrellisCore", "CLinux", "trellisd", "MemoryStorage", "Tidy"]))
        expectNone(repository.files.flatMap { FileRules.checkMembership($0, targets: targets) })
    }

    @Test func linksLeadSomewhere() {
        expectNone(repository.files.flatMap { LinkRule.check($0, read: repository.read) })
    }

    @Test func decisionsAreNumbered() {
        expectNone(FileRules.checkDecisions(repository.files.filter { $0.path.hasPrefix("docs/decisions/") }))
    }
}
