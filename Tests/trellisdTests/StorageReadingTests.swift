// SPDX-License-Identifier: MIT

import BinlogStorage
import Foundation
import Testing
import TrellisCore

@testable import TrellisMain

/// `trellisd storage dump` and `stat`: what they print, of which store, and when they refuse.
@Suite struct StorageReadingTests {
    private func sorted(_ objects: [NSDictionary]) -> [NSDictionary] {
        objects.sorted { ($0["id"] as? Int ?? 0) < ($1["id"] as? Int ?? 0) }
    }

    @Test(arguments: [nil, "zstd", "lz4"])
    func dumpPrintsEveryFieldAsJSON(codec: String?) throws {
        try withScratch { folder in
            try SampleLog.make(folder, codec: codec)
            let before = try contents(of: folder)
            let outcome = try runProgram("storage", "dump", "--directory", folder, "--json")
            #expect(outcome.status == 0 && outcome.errors == "")
            #expect(try sorted(objects(outcome.lines)) == SampleJob.objects)
            #expect(try contents(of: folder) == before, "dump changed what it read")
        }
    }

    @Test func dumpPrintsLinesForPeople() throws {
        try withScratch { folder in
            try SampleLog.make(folder)
            let lines = [
                "1 default ready pri 0 delay 0 ttr 1 reserves 0 timeouts 4294967295 releases 0 buries 0 kicks 0 bytes 0",
                "2 \(String(repeating: "t", count: 200)) delayed pri 4294967295 delay 3600 ttr 4294967295 reserves 0 "
                    + "timeouts 0 releases 1 buries 0 kicks 0 bytes 4",
                "3 a-1+/;.$_() buried pri 1023 delay 0 ttr 61 reserves 11 timeouts 12 releases 13 buries 14 kicks 15 "
                    + "bytes 20",
                "4 default buried pri 1024 delay 0 ttr 60 reserves 0 timeouts 0 releases 0 buries 0 kicks 0 bytes 70000",
            ]
            let outcome = try runProgram("storage", "dump", "--directory", folder)
            #expect(outcome.lines.sorted() == lines && outcome.status == 0)
            let bodies = try runProgram("storage", "dump", "--directory", folder, "--bodies")
            let texts = ["\"\"", "base64:/wDDKA==", "\"grüße \\\"\\\\\\n\\r\\t\\u0000\\u007f \u{1F642}\""]
            #expect(bodies.lines.sorted().prefix(3) == zip(lines, texts).map { "\($0) \($1)" }[...])
        }
    }

    @Test func dumpPicksTubesAndStates() throws {
        try withScratch { folder in
            try SampleLog.make(folder)
            func ids(_ flags: String...) throws -> [Int] {
                let outcome = try runProgram(["storage", "dump", "--directory", folder, "--json"] + flags)
                #expect(outcome.status == 0)
                return try objects(outcome.lines).compactMap { $0["id"] as? Int }.sorted()
            }
            #expect(try ids("--tube", "default") == [1, 4])
            #expect(try ids("--state", "buried") == [3, 4])
            #expect(try ids("--state", "buried", "--tube", "default") == [4])
            #expect(try ids("--tube", "nobody") == [])
            let wrong = try runProgram("storage", "dump", "--directory", folder, "--state", "reserved")
            #expect(wrong.status == 64 && wrong.output == "")
            #expect(wrong.errors.contains("A stored job is ready, delayed or buried, not \"reserved\"."))
        }
    }

    @Test func dumpThatCannotBeWrittenFails() throws {
        try withScratch { folder in
            try SampleLog.make(folder)
            let outcome = try runProgram(["storage", "dump", "--directory", folder], outputFile: "/dev/full")
            #expect(outcome.status == 1)
            #expect(outcome.errors == "trellisd: can't write to standard output: No space left on device\n")
        }
    }

    @Test func statTellsLiveAndDeadBytesOfEachSegment() throws {
        try withScratch { folder in
            try SampleLog.makeTwoSegments(folder)
            let before = try contents(of: folder)
            let outcome = try runProgram("storage", "stat", "--directory", folder, "--json")
            #expect(outcome.status == 0 && outcome.errors == "" && outcome.lines.count == 1)
            let put = 80 + 7 + 2000
            let group = 48 + 2088
            // 28 groups of a put fit behind the head. In the second segment are 12 more, ten deletes in groups of their
            // own, an update, and the mark of the clean stop.
            let first: [String: Any] = [
                "segment": 1, "codec": "none", "jobs": 18, "file-bytes": 65_536, "written-bytes": 4096 + 28 * group,
                "record-bytes": 28 * put, "live-bytes": 18 * put, "dead-bytes": 10 * put, "ratio": 0.91,
            ]
            let written = 4096 + 12 * group + 10 * (48 + 32) + (48 + 80) + 48
            let second: [String: Any] = [
                "segment": 2, "codec": "none", "jobs": 12, "file-bytes": 65_536, "written-bytes": written,
                "record-bytes": 12 * put + 320 + 80, "live-bytes": 12 * put + 80, "dead-bytes": 320, "ratio": 0.83,
            ]
            let tube: [String: Any] = [
                "tube": "default", "jobs": 30, "ready": 29, "delayed": 0, "buried": 1, "body-bytes": 60_000,
            ]
            let ready = before.count { $0.key.hasSuffix(".log") } - 2
            let expected: [String: Any] = [
                "storage": "storage.binlog", "jobs": 30, "ready": 29, "delayed": 0, "buried": 1, "body-bytes": 60_000,
                "highest-id": 40, "tubes": [tube], "segments": 2, "file-bytes": 2 * 65_536,
                "written-bytes": 4096 + 28 * group + written, "record-bytes": 40 * put + 400,
                "live-bytes": 30 * put + 80, "dead-bytes": 10 * put + 320, "ratio": 0.89, "ready-segments": ready,
                "ready-bytes": ready * 65_536, "segment-list": [first, second],
            ]
            #expect(try objects(outcome.lines) == [NSDictionary(dictionary: expected)])
            #expect(try contents(of: folder) == before, "stat changed what it read")
            try checkText(folder, ready: ready, written: written)
        }
    }

    private func checkText(_ folder: String, ready: Int, written: Int) throws {
        let outcome = try runProgram("storage", "stat", "--directory", folder)
        #expect(outcome.status == 0)
        let lines = outcome.lines.map { $0.split(separator: " ").joined(separator: " ") }
        #expect(
            lines == [
                "storage.binlog: jobs: 30, ready: 29, delayed: 0, buried: 1; bytes of bodies: 60000; highest id: 40",
                "jobs ready delayed buried body bytes tube",
                "30 29 0 1 60000 default",
                "segment file bytes written records live dead live % ratio jobs codec",
                "1 65536 63904 58436 37566 20870 64 0.91 18 none",
                "2 65536 \(written) 25444 25124 320 98 0.83 12 none",
                "all 131072 \(63_904 + written) 83880 62690 21190 74 0.89 30",
                "segments in use: 2; ready for use: \(ready), \(ready * 65_536) bytes",
            ])
    }

    @Test(arguments: ["zstd", "lz4"])
    func statTellsTheRatioOfACompressedLog(codec: String) throws {
        try withScratch { folder in
            try SampleLog.make(folder, codec: codec)
            let outcome = try runProgram("storage", "stat", "--directory", folder, "--json")
            let object = try #require(try objects(outcome.lines).first)
            #expect(object["storage"] as? String == "storage.compressed-binlog")
            #expect(object["highest-id"] as? Int == 9 && object["jobs"] as? Int == 4)
            let segment = try #require((object["segment-list"] as? [NSDictionary])?.first)
            #expect(segment["codec"] as? String == codec)
            let (records, bytes) = (segment["record-bytes"] as? Double ?? 0, segment["written-bytes"] as? Double ?? 0)
            #expect(records > 70_000 && bytes < 10_000)
            #expect(abs((segment["ratio"] as? Double ?? 0) - records / bytes) < 0.006)
        }
    }

    @Test func storesThatHaveNoSegmentsAreCounted() throws {
        let outcome = try runProgram("storage", "stat", "--use", "memory", "--json")
        let expected: [String: Any] = [
            "storage": "storage.memory", "jobs": 0, "ready": 0, "delayed": 0, "buried": 0, "body-bytes": 0,
            "highest-id": 0, "tubes": [NSDictionary](),
        ]
        #expect(try objects(outcome.lines) == [NSDictionary(dictionary: expected)] && outcome.status == 0)
        let text = try runProgram("storage", "stat", "--use", "memory")
        #expect(
            text.output
                == "storage.memory: jobs: 0, ready: 0, delayed: 0, buried: 0; bytes of bodies: 0; highest id: 0\n")
        #expect(try runProgram("storage", "dump", "--use", "memory") == Outcome(status: 0, output: "", errors: ""))
    }
}
