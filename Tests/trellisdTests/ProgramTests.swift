// SPDX-License-Identifier: MIT

import Foundation
import Testing
import TrellisConfiguration
import TrellisCore

@testable import trellisd

/// The program as it is called: exit statuses and what goes where.
///
/// Nothing here makes it serve.
@Suite struct ProgramTests {
    struct Outcome: Equatable {
        var status: Int32
        var output: String
        var errors: String
    }

    /// Runs the program that was built beside the tests.
    private func run(_ arguments: String..., environment: [String: String] = [:]) throws -> Outcome {
        try run(arguments, environment: environment)
    }

    private func run(_ arguments: [String], environment: [String: String] = [:]) throws -> Outcome {
        let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent(
            "trellisd")
        process.arguments = arguments
        process.environment = environment
        let (output, errors) = (Pipe(), Pipe())
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        // What these commands print fits into a pipe, so that one can be read after the other.
        let outputText = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let errorText = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return Outcome(status: process.terminationStatus, output: outputText, errors: errorText)
    }

    private func withFile(_ text: String, _ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("trellis-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("trellis.yaml").path
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        try body(path)
    }

    @Test func checkListsAllErrorsAndExitsWith78() throws {
        try withFile("storage:\n  use: memry\nlimits:\n  memory: 1\n") { path in
            let outcome = try run("check", "--config", path)
            #expect(
                outcome.errors == """
                    trellis.yaml:2:8: unknown storage "memry"; did you mean "memory"? (known: memory)
                    trellis.yaml:4:11: limits.memory is "1"; it must be at least 1MiB and at most 1PiB (bytes)

                    """)
            #expect(outcome.status == 78)
            #expect(outcome.output == "")
            // The same without `check`: it must not serve.
            for arguments in [[], ["config", "--effective"]] {
                let other = try run(arguments + ["--config", path])
                #expect(other == outcome)
            }
        }
    }

    @Test func checkPrintsOneLineWhereAllIsWell() throws {
        try withFile("user: me\n") { path in
            let fine = try run("check", "--config", path)
            #expect(fine == Outcome(status: 0, output: "\(path): OK\n", errors: ""))
            let badFlag = try run("check", "--config", path, "-zx")
            #expect(badFlag.status == 78)
            let badVariable = try run("check", "--config", path, environment: ["TRELLIS_USR": "x"])
            #expect(badVariable.errors.hasPrefix("TRELLIS_USR: "))
        }
        let defaults = try run("check")
        #expect(defaults == Outcome(status: 0, output: "configuration: OK\n", errors: ""))
    }

    @Test func aMissingFileIsABadConfiguration() throws {
        let outcome = try run("--config", "/nonexistent.yaml")
        #expect(outcome.status == 78)
        #expect(outcome.errors == "nonexistent.yaml: can't open /nonexistent.yaml: No such file or directory\n")
    }

    @Test func configPrintsDefaultsAndWhatHolds() throws {
        let page = Configuration.defaultsPage(plugins: builtInPlugins)
        #expect(try run("config", "--defaults") == Outcome(status: 0, output: page, errors: ""))
        let effective = try run(
            "config", "--effective", "-l", "unix:/s", "-z5", environment: ["TRELLIS_LOG__LEVEL": "error"])
        #expect(effective.status == 0)
        let lines = effective.output.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
        #expect(lines.contains("path: /s # flag -l"))
        #expect(lines.contains("job-size: 5 # flag -z"))
        #expect(lines.contains("level: error # environment TRELLIS_LOG__LEVEL"))
        #expect(try run("config").status == 64)
        #expect(try run("config", "--defaults", "--effective").status == 64)
    }

    @Test func pluginsAreListedAndShown() throws {
        let list = try run("plugins")
        #expect(list.status == 0)
        #expect(list.output.split(separator: "\n").count == builtInPlugins.count)
        for descriptor in builtInPlugins.map(\.descriptor) {
            #expect(list.output.contains("\(descriptor.id) "))
            #expect(
                try run("plugins", "show", descriptor.id) == Outcome(status: 0, output: descriptor.page, errors: ""))
        }
        let unknown = try run("plugins", "show", "transport.tpc")
        #expect(unknown.status == 64)
        #expect(unknown.errors.hasPrefix("trellisd: unknown plugin \"transport.tpc\"; did you mean \"transport.tcp\"?"))
    }

    @Test func versionAndHelp() throws {
        #expect(try run("-v") == Outcome(status: 0, output: "trellisd \(trellisVersion)\n", errors: ""))
        #expect(try run("-VVv") == Outcome(status: 0, output: "trellisd \(trellisVersion)\n", errors: ""))
        let help = try run("-h")
        #expect(help.status == 0)
        for flag in ["--config", "-l <addr>", "-p <port>", "-z <bytes>", "-u <user>", "-V", "-v"] {
            #expect(help.output.contains("  \(flag) "), "\(flag)")
        }
    }

    @Test(arguments: [
        ["-x"], ["extra"], ["-p"], ["-p", "x"], ["-b", "/tmp"], ["-F"], ["-V", "check"], ["plugins", "x"],
    ])
    func badUsageExitsWith64(arguments: [String]) throws {
        let outcome = try run(arguments)
        #expect(outcome.status == 64)
        #expect(outcome.output == "")
        #expect(outcome.errors != "")
    }

    @Test func theBinlogIsRefusedInOneLine() throws {
        #expect(
            try run("-b", "/tmp", "-f50")
                == Outcome(
                    status: 64, output: "",
                    errors: "trellisd: -b -f: the binlog is not there yet; jobs are kept in memory only\n"))
    }
}
