// SPDX-License-Identifier: MIT

import BinlogStorage
import Foundation
import Testing
import TrellisCore

/// Which store a command of `trellisd storage` works on, and which it refuses: exit statuses and words.
@Suite struct StorageSelectionTests {
    private static let reading = [["dump"], ["stat"], ["verify"], ["repair"], ["repair", "--in-place"]]

    @Test func everyWayToNameAStoreLeadsToIt() throws {
        try withScratch { folder in
            let directory = "\(folder)/log"
            try SampleLog.make(directory, codec: "lz4")
            let file = "\(folder)/trellis.yaml"
            let text = "storage: {use: compressed-binlog, directory: \(directory), codec: lz4}\n"
            try Data(text.utf8).write(to: URL(fileURLWithPath: file))
            let ways = [
                ["--config", file], ["--directory", directory],
                ["--use", "compressed-binlog", "--set", "directory=\(directory)", "--set", "codec=zstd"],
                ["--config", file, "--set", "sync=never"],
            ]
            for way in ways {
                let outcome = try runProgram(["storage", "stat", "--json"] + way)
                #expect(outcome.status == 0 && outcome.output.contains("\"highest-id\": 9"), "\(way): \(outcome)")
            }
        }
    }

    @Test(arguments: [
        ([], "Say one of --config, --directory and --use."),
        (["--use", "memory", "--directory", "x"], "Say one of --config, --directory and --use."),
        (["--use", "binlog", "--set", "directory"], "--set needs KEY=VALUE, and \"directory\" isn't."),
        (["--use", "binlog", "--set", "=x"], "--set needs KEY=VALUE, and \"=x\" isn't."),
        (["--use", "memory", "--unknown"], "Unknown option '--unknown'"),
    ])
    func badUsageExitsWith64(flags: [String], words: String) throws {
        for command in Self.reading {
            let outcome = try runProgram(["storage"] + command + flags)
            #expect(outcome.status == 64 && outcome.output == "")
            #expect(outcome.errors.hasPrefix("Error: \(words)"), "\(outcome.errors)")
        }
    }

    @Test(arguments: [
        (["--use", "binlok"], "--use: unknown storage \"binlok\"; did you mean \"binlog\"?"),
        (
            ["--use", "binlog", "--set", "directry=x"],
            "--set: unknown key \"directry\" in storage.binlog; did you mean"
        ),
        (["--use", "binlog", "--set", "sync=often"], "--set: storage.binlog.sync is \"often\"; it must be"),
        (["--config", "/nonexistent.yaml"], "nonexistent.yaml: can't open /nonexistent.yaml: No such file"),
    ])
    func badConfigurationExitsWith78(flags: [String], words: String) throws {
        for command in Self.reading {
            let outcome = try runProgram(["storage"] + command + flags)
            #expect(outcome.status == 78 && outcome.output == "")
            #expect(outcome.errors.hasPrefix(words), "\(outcome.errors)")
        }
    }

    @Test func aMissingFolderIsNoEmptyStore() throws {
        try withScratch { folder in
            for command in Self.reading {
                let missing = try runProgram(["storage"] + command + ["--directory", "\(folder)/nowhere"])
                #expect(
                    missing
                        == Outcome(
                            status: 1, output: "", errors: "trellisd: \(folder)/nowhere: No such file or directory\n"))
                let configured = try runProgram(
                    ["storage"] + command + ["--use", "binlog", "--set", "directory=\(folder)/nowhere"])
                #expect(configured.status == 1 && configured.output == "")
                #expect(configured.errors.contains("\(folder)/nowhere: No such file or directory"))
                let empty = try runProgram(["storage"] + command + ["--directory", folder])
                #expect(
                    empty
                        == Outcome(
                            status: 1, output: "",
                            errors: "trellisd: \(folder) holds no log: there is no file in it such as 0000000001.log\n")
                )
            }
            #expect(try contents(of: folder) == [:])
        }
    }

    @Test func aLogOfBeanstalkdNamesTheImport() throws {
        try withScratch { folder in
            try Data([7, 0, 0, 0]).write(to: URL(fileURLWithPath: "\(folder)/binlog.1"))
            for command in Self.reading {
                let outcome = try runProgram(["storage"] + command + ["--directory", folder])
                #expect(
                    outcome
                        == Outcome(
                            status: 65, output: "",
                            errors:
                                "trellisd: the storage can't be used: \(folder) holds a binlog of beanstalkd; `trellisd "
                                + "storage import \(folder) --to-directory DIRECTORY` makes a new one of it\n"))
            }
            #expect(try contents(of: folder) == ["binlog.1": Data([7, 0, 0, 0])])
        }
    }

    @Test func aStoreInUseIsRefusedWith10() throws {
        try withScratch { folder in
            let log = try SampleLog(folder)
            for job in SampleJob.all { try log.put(job) }
            let before = try contents(of: folder)
            let convert = ["convert", "--to-use", "memory"]
            for command in Self.reading + [convert] {
                let outcome = try runProgram(["storage"] + command + ["--directory", folder])
                #expect(
                    outcome
                        == Outcome(
                            status: 10, output: "",
                            errors:
                                "trellisd: the storage is in use: \(folder) is locked by another server; stop it first\n"
                        ))
            }
            let target = try runProgram("storage", "convert", "--use", "memory", "--to-directory", folder)
            #expect(target.status == 10)
            #expect(try contents(of: folder) == before)
            try log.close()
            #expect(try runProgram("storage", "verify", "--directory", folder).status == 0)
        }
    }

    @Test func whatAStoreCannotDoExitsWith69() throws {
        for command in [["verify"], ["repair"], ["repair", "--in-place"]] {
            let outcome = try runProgram(["storage"] + command + ["--use", "memory"])
            #expect(
                outcome
                    == Outcome(
                        status: 69, output: "",
                        errors:
                            "trellisd: storage.memory can't check what it stores; dump and convert work with any store\n"
                    ))
        }
    }

    @Test func aLogOfAnotherPluginIsToldFromDamage() throws {
        try withScratch { folder in
            try SampleLog.make(folder, codec: "zstd")
            let outcome = try runProgram("storage", "stat", "--use", "binlog", "--set", "directory=\(folder)")
            #expect(
                outcome
                    == Outcome(
                        status: 65, output: "",
                        errors: "trellisd: the storage can't be used: \(folder)/0000000001.log was written by "
                            + "storage.compressed-binlog with codec zstd, which storage.binlog can't read; use "
                            + "storage.compressed-binlog\n"))
        }
    }

    @Test func aLogThatNobodyMayWriteToCanBeRead() throws {
        try withScratch { folder in
            try SampleLog.make("\(folder)/log")
            try FileManager.default.removeItem(atPath: "\(folder)/log/lock")
            // Root may write anywhere: so this is another user where it is root who tests.
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder)
            for name in try FileManager.default.contentsOfDirectory(atPath: "\(folder)/log") {
                try FileManager.default.setAttributes(
                    [.posixPermissions: 0o444], ofItemAtPath: "\(folder)/log/\(name)")
            }
            try FileManager.default.setAttributes([.posixPermissions: 0o555], ofItemAtPath: "\(folder)/log")
            let before = try contents(of: "\(folder)/log")
            for command in [["dump", "--json"], ["stat"], ["verify"]] {
                let outcome = try runAsNobody(["storage"] + command + ["--directory", "\(folder)/log"])
                #expect(outcome.status == 0 && outcome.errors == "", "\(outcome)")
            }
            #expect(try contents(of: "\(folder)/log") == before)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(folder)/log")
        }
    }

    /// Runs the program as a user without rights.
    private func runAsNobody(_ arguments: [String]) throws -> Outcome {
        guard geteuid() == 0 else { return try runProgram(arguments) }
        return try runProgram(
            ["--reuid=65534", "--regid=65534", "--clear-groups", try builtProgram()] + arguments,
            program: "/usr/bin/setpriv")
    }
}
