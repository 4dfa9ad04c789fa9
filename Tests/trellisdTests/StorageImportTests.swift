// SPDX-License-Identifier: MIT

import Foundation
import LiveServer
import Testing

/// `trellisd storage import`: what Debian's beanstalkd wrote becomes a log of ours.
@Suite struct StorageImportTests {
    /// Lets beanstalkd write a log: of six jobs the first is deleted, the third buried, and the fourth delayed.
    private func makeLog(_ folder: String, _ body: (Client) throws -> Void = { _ in }) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let port = try Ports.next()
        let arguments = ["/usr/bin/beanstalkd", "-b", folder, "-f0", "-l", "127.0.0.1", "-p", String(port)]
        let server = try ChildProcess(arguments, log: folder + ".out")
        defer {
            server.signal(SIGKILL)
            _ = server.waitForExit(seconds: 10)
        }
        let client = try connect(port)
        for (position, tube) in ["default", "mail", "mail", "default", "a-1", "default"].enumerated() {
            try client.call("use \(tube)", "USING \(tube)")
            try client.put("body \(position + 1)", priority: 10 * position, delay: position == 3 ? 3600 : 0, ttr: 61)
        }
        try client.delete(1)
        client.send("reserve-job 3\r\n")
        _ = try client.line()
        _ = try client.bytes(8)
        try client.call("bury 3 7", "BURIED")
        try body(client)
    }

    private func connect(_ port: UInt16) throws -> Client {
        let deadline = monotonicSeconds() + 20
        while true {
            do {
                let client = try Client(port: port)
                try client.call("barrier", "UNKNOWN_COMMAND")
                return client
            } catch {
                guard monotonicSeconds() < deadline else { throw error }
                pause(seconds: 0.05)
            }
        }
    }

    @Test(arguments: [[], ["--to-use", "compressed-binlog", "--to-set"]])
    func allJobsComeOver(target: [String]) throws {
        try withScratch { folder in
            let (source, copy) = ("\(folder)/old", "\(folder)/new")
            try makeLog(source)
            let before = try contents(of: source)
            let to = target.isEmpty ? ["--to-directory", copy] : target + ["directory=\(copy)"]
            let outcome = try runProgram(["storage", "import", source] + to)
            let plugin = target.isEmpty ? "storage.binlog" : "storage.compressed-binlog"
            #expect(
                outcome
                    == Outcome(
                        status: 0,
                        output: """
                            read from \(source): files: 1, records: 8, deleted jobs: 1
                            jobs written to \(plugin): 5; the highest id is 6

                            """, errors: ""))
            #expect(try contents(of: source) == before, "the import changed what it read")
            let dump = try runProgram("storage", "dump", "--directory", copy, "--bodies")
            let lines = [
                "2 mail ready pri 10 delay 0 ttr 61 reserves 0 timeouts 0 releases 0 buries 0 kicks 0 bytes 6 \"body 2\"",
                "3 mail buried pri 7 delay 0 ttr 61 reserves 1 timeouts 0 releases 0 buries 1 kicks 0 bytes 6 \"body 3\"",
                "4 default delayed pri 30 delay 3600 ttr 61 reserves 0 timeouts 0 releases 0 buries 0 kicks 0 bytes 6 "
                    + "\"body 4\"",
                "5 a-1 ready pri 40 delay 0 ttr 61 reserves 0 timeouts 0 releases 0 buries 0 kicks 0 bytes 6 \"body 5\"",
                "6 default ready pri 50 delay 0 ttr 61 reserves 0 timeouts 0 releases 0 buries 0 kicks 0 bytes 6 \"body 6\"",
            ]
            #expect(dump.lines.sorted() == lines)
            #expect(try runProgram("storage", "verify", "--directory", copy).output == "sound\n")
            // Once more isn't twice as good.
            let again = try runProgram(["storage", "import", source] + to)
            #expect(again.status == 1 && again.errors.contains("isn't empty: jobs: 5, highest id: 6"))
            // Nor can a log of ours be imported.
            let ours = try runProgram("storage", "import", copy, "--to-directory", "\(folder)/other")
            #expect(
                ours
                    == Outcome(
                        status: 65, output: "",
                        errors:
                            "trellisd: the storage can't be used: \(copy) holds no log of beanstalkd: there is no file "
                            + "binlog.N in it\n"))
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/other"))
        }
    }

    @Test func aRunningServerIsLeftAlone() throws {
        try withScratch { folder in
            let source = "\(folder)/old"
            try makeLog(source) { _ in
                let outcome = try runProgram("storage", "import", source, "--to-directory", "\(folder)/new")
                #expect(
                    outcome
                        == Outcome(
                            status: 10, output: "",
                            errors:
                                "trellisd: the storage is in use: \(source) is in use: a running beanstalkd has locked "
                                + "\(source)/lock\n"))
                #expect(!FileManager.default.fileExists(atPath: "\(folder)/new"))
            }
        }
    }

    @Test func whatCannotBeReadIsToldAndAllElseComesOver() throws {
        try withScratch { folder in
            let source = "\(folder)/old"
            try makeLog(source)
            // The first byte of the state of job 6's record: the name's length, the name, 76 bytes.
            let bytes = try Data(contentsOf: URL(fileURLWithPath: "\(source)/binlog.1"))
            let place = try #require(bytes.range(of: Data("body 6".utf8))).lowerBound - 4
            try flip("\(source)/binlog.1", at: UInt64(place))
            let before = try contents(of: source)
            let outcome = try runProgram("storage", "import", source, "--to-directory", "\(folder)/new", "--progress")
            #expect(outcome.status == 65)
            let errors = outcome.errors.split(separator: "\n")
            #expect(errors.count == 3 && errors[0].hasPrefix("import: 100 % of ") && errors[1] == "import: done")
            #expect(errors[2].hasPrefix("trellisd: warning: \(source)/binlog.1, byte "), "\(outcome.errors)")
            // The delete of job 1 stood behind it.
            #expect(outcome.lines.last == "jobs written to storage.binlog: 5; the highest id is 5")
            #expect(try contents(of: source) == before)
        }
    }

    @Test func badUsageAndMissingFolders() throws {
        try withScratch { folder in
            let nowhere = try runProgram("storage", "import", "--to-directory", "\(folder)/new")
            #expect(nowhere.status == 64 && nowhere.errors.hasPrefix("Error: Missing expected argument '<dir>'"))
            let noTarget = try runProgram("storage", "import", folder)
            #expect(noTarget.status == 64)
            #expect(noTarget.errors.hasPrefix("Error: Say one of --to-config, --to-directory and --to-use."))
            let missing = try runProgram("storage", "import", "\(folder)/old", "--to-directory", "\(folder)/new")
            #expect(missing.status == 1 && missing.errors.contains("\(folder)/old: No such file or directory"))
            #expect(try contents(of: folder) == [:])
        }
    }
}
