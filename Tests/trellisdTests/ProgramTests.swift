// SPDX-License-Identifier: MIT

import Foundation
import Testing
import TrellisConfiguration
import TrellisCore

@testable import TrellisMain

/// The program as it is called: exit statuses and what goes where.
///
/// Nothing here makes it serve.
@Suite struct ProgramTests {
    private func withFile(_ text: String, _ body: (String) throws -> Void) throws {
        try withScratch { folder in
            let path = "\(folder)/trellis.yaml"
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
            try body(path)
        }
    }

    @Test func checkListsAllErrorsAndExitsWith78() throws {
        try withFile("storage:\n  use: memry\nlimits:\n  memory: 1\n") { path in
            let outcome = try runProgram("check", "--config", path)
            #expect(
                outcome.errors == """
                    trellis.yaml:2:8: unknown storage "memry"; did you mean "memory"? (known: memory, binlog, compressed-binlog)
                    trellis.yaml:4:11: limits.memory is "1"; it must be at least 1MiB and at most 1PiB (bytes)

                    """)
            #expect(outcome.status == 78)
            #expect(outcome.output == "")
            // The same without `check`: it must not serve.
            for arguments in [[], ["config", "--effective"]] {
                let other = try runProgram(arguments + ["--config", path])
                #expect(other == outcome)
            }
        }
    }

    @Test func checkPrintsOneLineWhereAllIsWell() throws {
        try withFile("user: me\n") { path in
            let fine = try runProgram("check", "--config", path)
            #expect(fine == Outcome(status: 0, output: "\(path): OK\n", errors: ""))
            let badFlag = try runProgram("check", "--config", path, "-zx")
            #expect(badFlag.status == 78)
            let badVariable = try runProgram("check", "--config", path, environment: ["TRELLIS_USR": "x"])
            #expect(badVariable.errors.hasPrefix("TRELLIS_USR: "))
        }
        let defaults = try runProgram("check")
        #expect(defaults == Outcome(status: 0, output: "configuration: OK\n", errors: ""))
    }

    @Test func checkShowsWhatHoldsForATube() throws {
        try withFile("tubes:\n  \"a*\": {weight: 3}\n") { path in
            let found = try runProgram("check", "--config", path, "--tube", "abc")
            #expect(found.status == 0 && found.output.hasPrefix("abc: \"a*\"") && found.output.contains("weight: 3"))
            #expect(try runProgram("check", "--config", path, "--tube", "b").output.contains("no pattern matches"))
            #expect(try runProgram("check", "--config", path, "--tube", "a b").status == 64)
        }
    }

    @Test func aMissingFileIsABadConfiguration() throws {
        let outcome = try runProgram("--config", "/nonexistent.yaml")
        #expect(outcome.status == 78)
        #expect(outcome.errors == "nonexistent.yaml: can't open /nonexistent.yaml: No such file or directory\n")
    }

    @Test func configPrintsDefaultsAndWhatHolds() throws {
        let page = Configuration.defaultsPage(plugins: builtInPlugins)
        #expect(try runProgram("config", "--defaults") == Outcome(status: 0, output: page, errors: ""))
        let effective = try runProgram(
            "config", "--effective", "-l", "unix:/s", "-z5", environment: ["TRELLIS_LOG__LEVEL": "error"])
        #expect(effective.status == 0)
        let lines = effective.output.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
        #expect(lines.contains("path: /s # flag -l"))
        #expect(lines.contains("job-size: 5 # flag -z"))
        #expect(lines.contains("level: error # environment TRELLIS_LOG__LEVEL"))
        #expect(try runProgram("config").status == 64)
        #expect(try runProgram("config", "--defaults", "--effective").status == 64)
    }

    @Test func pluginsAreListedAndShown() throws {
        let list = try runProgram("plugins")
        #expect(list.status == 0)
        #expect(list.output.split(separator: "\n").count == builtInPlugins.count)
        for descriptor in builtInPlugins.map(\.descriptor) {
            #expect(list.output.contains("\(descriptor.id) "))
            #expect(
                try runProgram("plugins", "show", descriptor.id)
                    == Outcome(status: 0, output: descriptor.page, errors: ""))
        }
        let unknown = try runProgram("plugins", "show", "transport.tpc")
        #expect(unknown.status == 64)
        #expect(unknown.errors.hasPrefix("trellisd: unknown plugin \"transport.tpc\"; did you mean \"transport.tcp\"?"))
    }

    @Test func theReferenceOfOptionsIsWhatThePluginsSay() throws {
        let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = try String(contentsOf: repository.appending(path: "docs/plugins/options.md"), encoding: .utf8)
        let outcome = try runProgram("plugins", "show", "--all", "--markdown")
        #expect(
            outcome.output == page,
            "run `.build/debug/trellisd plugins show --all --markdown >docs/plugins/options.md`")
    }

    @Test func aConfigurationReachesEachCommand() throws {
        try withFile("storage: {use: memory}\nlimits: {job-size: 7}\n") { path in
            let stat = try runProgram("storage", "stat", "--config", path)
            #expect(stat.status == 0 && stat.output.hasPrefix("storage.memory: jobs: 0, "), "\(stat)")
            #expect(try runProgram("config", "--effective", "--config", path).output.contains("job-size: 7"))
            #expect(try runProgram("check", "--config", path).status == 0)
            #expect(try runProgram("plugins", "--config", path).status == 0)
            #expect(try runProgram("plugins", "--config", "/nonexistent").status == 78)
        }
    }

    @Test func pluginsAreTheSameForPrograms() throws {
        let lines = try runProgram("plugins", "--json").output.split(separator: "\n")
        let objects = try lines.map { try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }
        #expect(objects.map { $0?["id"] as? String } == builtInPlugins.map(\.descriptor.id))
        #expect(objects.allSatisfy { $0?["origin"] as? String == "built-in" && $0?["options"] == nil })
        let all = try runProgram("plugins", "show", "--all", "--json").output.split(separator: "\n")
        #expect(all.count == builtInPlugins.count)
        #expect(try runProgram("plugins", "show").status == 64)
        #expect(try runProgram("plugins", "show", "--all", "tcp").status == 64)
        #expect(try runProgram("plugins", "show", "--all", "--json", "--markdown").status == 64)
    }

    @Test func versionAndHelp() throws {
        #expect(try runProgram("-v") == Outcome(status: 0, output: "trellisd \(trellisVersion)\n", errors: ""))
        #expect(try runProgram("-VVv") == Outcome(status: 0, output: "trellisd \(trellisVersion)\n", errors: ""))
        let help = try runProgram("-h")
        #expect(help.status == 0)
        let flags = [
            "--config", "-l <addr>", "-p <port>", "-b <dir>", "-f <ms>", "-F", "-s <bytes>", "-z <bytes>", "-u <user>",
            "-V", "-v",
        ]
        for flag in flags { #expect(help.output.contains("  \(flag) "), "\(flag)") }
        #expect(try runProgram("--help") == help)
        #expect(try runProgram("-V", "--help") == help)
        for command in [["storage"], ["storage", "dump"], ["check"], ["plugins", "show"]] {
            let page = try runProgram(command + ["-h"])
            #expect(page.status == 0 && page.output.contains("trellisd \(command.joined(separator: " "))"))
        }
    }

    @Test(arguments: [
        ["-x"], ["extra"], ["-p"], ["-p", "x"], ["-b"], ["-b", "/tmp", "-f", "x"], ["-V", "check"], ["plugins", "x"],
    ])
    func badUsageExitsWith64(arguments: [String]) throws {
        let outcome = try runProgram(arguments)
        #expect(outcome.status == 64)
        #expect(outcome.output == "")
        #expect(outcome.errors != "")
    }

    @Test func aFolderForTheBinlogMustBeThere() throws {
        #expect(
            try runProgram("-l", "127.0.0.1", "-p", "0", "-b", "/nonexistent/jobs")
                == Outcome(
                    status: 10, output: "",
                    errors: "trellisd: -b /nonexistent/jobs: there is no such folder; make it first\n"))
    }
}
