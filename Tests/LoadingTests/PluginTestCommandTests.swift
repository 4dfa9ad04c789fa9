// SPDX-License-Identifier: MIT

import Foundation
import LiveServer
import Testing

/// `trellisd plugins test` finds each fault by the rule for it, and by that alone.
@Suite struct PluginTestCommandTests {
    private let folder: PluginFolder
    private let faulty: String

    init() throws {
        folder = try PluginFolder()
        faulty = try folder.compile("Tests/LoadingTests/Plugins/faulty.c", to: "faulty")
    }

    private func test(_ arguments: String...) throws -> (outcome: Outcome, broken: [String]) { try test(arguments) }

    private func test(_ arguments: [String], kills: Int = 8) throws -> (outcome: Outcome, broken: [String]) {
        let outcome = try Outcome(
            [trellisd, "plugins", "test", "storage"] + arguments
                + ["--jobs", "2000", "--kills", "\(kills)", "--patience", "2", "--disk", "32"])
        let broken = outcome.output.split(separator: "\n").filter { $0.hasPrefix("BROKEN  ") }
        return (outcome, broken.map { String($0.dropFirst("BROKEN  ".count)) })
    }

    @Test(arguments: [
        ("invents-a-job", "a new place is empty"),
        ("joins-lines", "a job comes back whole"),
        ("cuts-numbers", "every state and extreme number comes back"),
        ("updates-lose-the-body", "an update changes what it may, and not the body"),
        ("moves-keep-the-tube", "a moved job is in its new tube, and nowhere else"),
        ("forgets-deletes", "a deleted job doesn't come back"),
        ("forgets-the-highest-id", "the highest id outlives all jobs"),
        ("loses-notes", "what came back can be changed, deleted and added to"),
        ("admissions-use-room", "admit changes nothing, and true is a promise"),
        ("completes-what-is-to-come", "every turn is closed, and tickets ascend to completion"),
        ("never-wakes", "wake is called when a ticket completes"),
        ("closes-in-a-hurry", "close may come twice, early, and makes safe what is pending"),
        ("counts-segments-backwards", "questions can be asked at any time"),
        ("shares-the-place", "a place in use is refused as locked"),
        ("reading-skips-buried", "a read-only open gives the same, and changes nothing"),
        ("reading-empties-the-file", "a read-only open gives the same, and changes nothing"),
        ("loses-the-fortieth-update", "a random life with restarts"),
        ("drops-high-ids", "many jobs come back, each once and as it was"),
        ("answers-too-soon", "what was acknowledged survives SIGKILL"),
        ("promises-room", "a full disk refuses puts, and nothing else"),
    ])
    func faultIsFoundByItsRule(fault: String, rule: String) throws {
        let (outcome, broken) = try test(faulty, "--options", "fault=\(fault)")
        #expect(broken == [rule], "\(outcome.output)")
        #expect(outcome.status == 1)
    }

    @Test func aSoundPluginKeepsAllRules() throws {
        let (outcome, broken) = try test(faulty)
        #expect(broken == [] && outcome.status == 0, "\(outcome.output)")
        #expect(outcome.output.contains("storage.faulty keeps the contract: 19 rules\n"))
        #expect(outcome.output.contains("the disk is a tmpfs of 32 MiB") || outcome.output.contains("RLIMIT_FSIZE"))
    }

    @Test func whereAnUnknownPluginMayBeIsTold() throws {
        let outcome = try Outcome([trellisd, "plugins", "test", "storage", "elsewhere"])
        #expect(outcome.status == 64)
        #expect(
            outcome.output.hasSuffix(
                """
                trellisd: a plugin that is compiled in is tested by the program that has it; a loaded one is named by its file

                """), "\(outcome.output)")
    }

    @Test func aCrashOfThePluginIsAFailureOfTheRule() throws {
        let (outcome, broken) = try test(faulty, "--options", "fault=crashes")
        #expect(broken == ["a deleted job doesn't come back"] && outcome.status == 1)
        #expect(outcome.output.contains("the plugin ended the process: Segmentation fault"))
    }

    @Test func aCallThatDoesNotReturnIsAFailureOfTheRule() throws {
        let place = try makeTemporaryFolder()
        defer { removeFolder(place) }
        let arguments = [faulty, "--options", "fault=sleeps", "--call-limit", "1", "--folder", place]
        let (outcome, broken) = try test(arguments)
        #expect(broken == ["a job comes back whole"] && outcome.status == 1, "\(outcome.output)")
        #expect(outcome.output.contains("\n        `commit` hasn't returned for 1 s: the test ended the process\n"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: place) == [])
    }

    @Test(arguments: [SIGINT, SIGTERM]) func aSignalEndsTheTestAndLeavesNothing(signal: Int32) throws {
        let place = try makeTemporaryFolder()
        defer { removeFolder(place) }
        let process = try ChildProcess(
            [trellisd, "plugins", "test", "storage", faulty, "--options", "fault=sleeps", "--folder", place],
            log: "\(folder.path)/log")
        // The second rule is the one that sleeps.
        for _ in 0..<600 where !process.output().contains("kept    a new place is empty") { usleep(100_000) }
        process.signal(signal)
        let status = process.waitForExit(seconds: 60)
        #expect(status == 128 + signal, "\(process.output())")
        #expect(try FileManager.default.contentsOfDirectory(atPath: place) == [])
    }

    @Test func theEndOfTheReaderEndsTheTestAndLeavesNothing() throws {
        let place = try makeTemporaryFolder()
        defer { removeFolder(place) }
        let process = try ChildProcess(
            [
                "/bin/sh", "-c", "(\"$0\" \"$@\"; echo ended with $? >&2) | head -n 1", trellisd, "plugins", "test",
                "storage", faulty, "--folder", place,
            ], log: "\(folder.path)/log")
        #expect(process.waitForExit(seconds: 60) == 0)
        #expect(process.output().hasSuffix("ended with \(128 + SIGTERM)\n"), "\(process.output())")
        #expect(try FileManager.default.contentsOfDirectory(atPath: place) == [])
    }

    @Test func aStoreThatIsTooSmallIsToldSo() throws {
        // So many kills that one of the lives before them comes to a fifth job, however slow the machine is.
        let (outcome, broken) = try test([faulty, "--options", "slots=4", "--keep-going"], kills: 50)
        let rules = ["a moved job is in its new tube, and nowhere else", "what was acknowledged survives SIGKILL"]
        #expect(broken == rules && outcome.status == 1, "\(outcome.output)")
        #expect(outcome.output.contains(" bytes wasn't admitted beside 4 small ones\n"), "\(outcome.output)")
        #expect(outcome.output.contains("\n        The store has no room for this test, which keeps up to 300 jobs"))
    }

    @Test func aBuiltInStoreIsTestedByItsName() throws {
        let (outcome, broken) = try test("memory", "--keeps-nothing")
        #expect(broken == [] && outcome.status == 0, "\(outcome.output)")
        let (kept, wrong) = try test("memory")
        #expect(wrong == ["a job comes back whole"] && kept.status == 1)
    }

    @Test func badUsageIsTold() throws {
        let option = try test(faulty, "--options", "slotz=1").outcome
        #expect(option.status == 64)
        #expect(option.output == "trellisd: storage.faulty has no option \"slotz\"; did you mean \"slots\"?\n")
        let value = try test(faulty, "--options", "slots=13").outcome
        #expect(value.status == 78)
        #expect(value.output == "--options: storage.faulty.slots is 13, which brings bad luck\n")
        let file = try test("/nonexistent/lib.so").outcome
        #expect(file.status == 78)
        #expect(file.output == "trellisd: plugin file /nonexistent/lib.so can't be found: No such file or directory\n")
        #expect(try test("nothing").outcome.status == 64)
    }
}
