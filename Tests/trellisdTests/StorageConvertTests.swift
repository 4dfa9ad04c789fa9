// SPDX-License-Identifier: MIT

import Foundation
import Testing

/// `trellisd storage convert`: every field of every job, from any store to any other.
@Suite struct StorageConvertTests {
    private static let kinds = ["binlog", "zstd", "lz4"]

    /// What names a store as the source, or with the prefix `to-` as the target.
    private func flags(_ kind: String, _ folder: String, prefix: String = "") -> [String] {
        let set = "--\(prefix)set"
        let use = ["--\(prefix)use", kind == "binlog" ? "binlog" : "compressed-binlog"]
        let options = [set, "directory=\(folder)", set, "segment-size=1MiB"]
        return use + options + (kind == "binlog" ? [] : [set, "codec=\(kind)"])
    }

    private func dump(_ folder: String) throws -> [NSDictionary] {
        let outcome = try runProgram("storage", "dump", "--directory", folder, "--json")
        #expect(outcome.status == 0 && outcome.errors == "")
        return try objects(outcome.lines).sorted { ($0["id"] as? Int ?? 0) < ($1["id"] as? Int ?? 0) }
    }

    private func stat(_ folder: String) throws -> NSDictionary {
        try #require(try objects(runProgram("storage", "stat", "--directory", folder, "--json").lines).first)
    }

    @Test(arguments: kinds, kinds)
    func everyFieldComesOverAndBack(from: String, to: String) throws {
        try withScratch { folder in
            let (source, copy, back) = ("\(folder)/source", "\(folder)/copy", "\(folder)/back")
            try SampleLog.make(source, codec: from == "binlog" ? nil : from)
            let before = try contents(of: source)
            let there = try runProgram(
                ["storage", "convert", "--directory", source] + flags(to, copy, prefix: "to-"))
            let plugin = to == "binlog" ? "storage.binlog" : "storage.compressed-binlog"
            #expect(
                there
                    == Outcome(
                        status: 0, output: "jobs written to \(plugin): 4; the highest id is 9\n", errors: ""))
            #expect(try contents(of: source) == before, "the source was changed")
            #expect(try dump(copy) == SampleJob.objects)
            let copied = try stat(copy)
            #expect(copied["highest-id"] as? Int == 9 && copied["storage"] as? String == plugin)
            let codecs = (copied["segment-list"] as? [NSDictionary])?.compactMap { $0["codec"] as? String }
            #expect(codecs == [to == "binlog" ? "none" : to])
            #expect(try runProgram("storage", "verify", "--directory", copy).output == "sound\n")

            let again = try runProgram(
                ["storage", "convert"] + flags(to, copy) + flags(from, back, prefix: "to-"))
            #expect(again.status == 0 && again.errors == "")
            #expect(try dump(back) == SampleJob.objects && stat(back)["highest-id"] as? Int == 9)
        }
    }

    @Test func updatesAndDeletesComeOverAsTheJobsThatTheyMade() throws {
        try withScratch { folder in
            let (source, copy) = ("\(folder)/source", "\(folder)/copy")
            try SampleLog.makeTwoSegments(source)
            let outcome = try runProgram("storage", "convert", "--directory", source, "--to-directory", copy)
            #expect(
                outcome
                    == Outcome(
                        status: 0, output: "jobs written to storage.binlog: 30; the highest id is 40\n", errors: ""))
            #expect(try dump(copy) == dump(source))
            #expect(try stat(copy)["dead-bytes"] as? Int == 0)
        }
    }

    @Test func anEmptyStoreKeepsItsHighestID() throws {
        try withScratch { folder in
            let log = try SampleLog("\(folder)/source")
            try log.put(SampleJob(id: 77))
            try log.delete(77)
            try log.close()
            let outcome = try runProgram(
                "storage", "convert", "--directory", "\(folder)/source", "--to-directory", "\(folder)/copy")
            #expect(outcome.output == "jobs written to storage.binlog: 0; the highest id is 77\n")
            #expect(try stat("\(folder)/copy")["highest-id"] as? Int == 77)
        }
    }

    @Test(arguments: ["jobs", "an id"])
    func aTargetThatIsNotEmptyIsLeftAlone(what: String) throws {
        try withScratch { folder in
            let (source, target) = ("\(folder)/source", "\(folder)/target")
            try SampleLog.make(source)
            let log = try SampleLog(target)
            try log.put(SampleJob(id: 5, body: [1]))
            if what == "an id" { try log.delete(5) }
            try log.close()
            // What a start would tidy up stays as well.
            try Data([1]).write(to: URL(fileURLWithPath: "\(target)/next.tmp"))
            let (before, other) = (try contents(of: target), try contents(of: source))
            let outcome = try runProgram("storage", "convert", "--directory", source, "--to-directory", target)
            #expect(
                outcome
                    == Outcome(
                        status: 1, output: "",
                        errors:
                            "trellisd: the store to write to isn't empty: jobs: \(what == "jobs" ? 1 : 0), highest id: 5; "
                            + "nothing was written\n"))
            #expect(try contents(of: target) == before && contents(of: source) == other)
        }
    }

    @Test func aTargetThatWasMadeAndNotUsedIsEmpty() throws {
        try withScratch { folder in
            try SampleLog.make("\(folder)/source")
            try SampleLog("\(folder)/copy").close()
            let outcome = try runProgram(
                "storage", "convert", "--directory", "\(folder)/source", "--to-directory", "\(folder)/copy")
            #expect(outcome.status == 0 && outcome.errors == "")
            #expect(try dump("\(folder)/copy") == SampleJob.objects)
        }
    }

    @Test func nothingIsMadeForASourceThatCannotBeRead() throws {
        try withScratch { folder in
            let copy = "\(folder)/copy"
            let missing = try runProgram(
                ["storage", "convert"] + flags("binlog", "\(folder)/nowhere") + ["--to-directory", copy])
            #expect(missing.status == 1 && missing.output == "")
            #expect(!FileManager.default.fileExists(atPath: copy))
            let log = try SampleLog("\(folder)/source")
            let used = try runProgram("storage", "convert", "--directory", "\(folder)/source", "--to-directory", copy)
            #expect(used.status == 10 && !FileManager.default.fileExists(atPath: copy))
            try log.close()
        }
    }

    @Test(arguments: [
        (["--directory", "/tmp"], "Say one of --to-config, --to-directory and --to-use."),
        (["--to-directory", "/tmp/x"], "Say one of --config, --directory and --use."),
        (
            ["--directory", "/tmp", "--to-directory", "/tmp/../tmp/"],
            "--directory and --to-directory are the same folder"
        ),
    ])
    func badUsageExitsWith64(flags: [String], words: String) throws {
        let outcome = try runProgram(["storage", "convert"] + flags)
        #expect(outcome.status == 64 && outcome.output == "" && outcome.errors.hasPrefix("Error: \(words)"))
    }

    @Test func aConfigurationMayBeTheTarget() throws {
        try withScratch { folder in
            try SampleLog.make("\(folder)/source")
            let file = "\(folder)/new.yaml"
            let text = "storage: {use: compressed-binlog, directory: \(folder)/copy, codec: lz4}\n"
            try Data(text.utf8).write(to: URL(fileURLWithPath: file))
            let outcome = try runProgram("storage", "convert", "--directory", "\(folder)/source", "--to-config", file)
            #expect(outcome.status == 0 && outcome.errors == "")
            #expect(try dump("\(folder)/copy") == SampleJob.objects)
        }
    }
}
