// SPDX-License-Identifier: MIT

import Foundation
import Testing

/// `trellisd storage verify` and `repair`: a damaged log, from the first look to the next start.
@Suite struct StorageMendingTests {
    private func ids(_ folder: String) throws -> [Int] {
        let outcome = try runProgram("storage", "dump", "--directory", folder, "--json")
        #expect(outcome.status == 0 && outcome.errors == "")
        return try objects(outcome.lines).compactMap { $0["id"] as? Int }.sorted()
    }

    @Test(arguments: [nil, "zstd", "lz4"])
    func soundLogsAreLeftAlone(codec: String?) throws {
        try withScratch { folder in
            try SampleLog.makeTwoSegments(folder, codec: codec)
            let before = try contents(of: folder)
            let verified = try runProgram("storage", "verify", "--directory", folder)
            #expect(verified == Outcome(status: 0, output: "sound\n", errors: ""))
            let looked = try runProgram("storage", "repair", "--directory", folder)
            #expect(looked == Outcome(status: 0, output: "nothing is damaged\n", errors: ""))
            let mended = try runProgram("storage", "repair", "--directory", folder, "--in-place")
            #expect(mended == Outcome(status: 0, output: "nothing is damaged; nothing was changed\n", errors: ""))
            #expect(try contents(of: folder) == before)
        }
    }

    @Test func damageIsFoundAndMendedOnlyInPlace() throws {
        try withScratch { folder in
            try SampleLog.makeTwoSegments(folder)
            // In the body of job 15, whose group is the fifteenth of the first segment.
            let place = 4096 + 14 * 2136
            try flip("\(folder)/0000000001.log", at: UInt64(place + 1000))
            let before = try contents(of: folder)
            let finding = """
                damaged: \(folder)/0000000001.log at byte \(place): the checksum of group 15 is wrong; unreadable up to \
                byte \(place + 2136), group 16
                note: jobs that can be read: 29

                """
            let verified = try runProgram("storage", "verify", "--directory", folder)
            #expect(
                verified
                    == Outcome(
                        status: 65,
                        output: finding
                            + "damaged places: 1; `trellisd storage repair` with --in-place keeps all else\n",
                        errors: ""))
            let looked = try runProgram("storage", "repair", "--directory", folder)
            #expect(
                looked
                    == Outcome(
                        status: 65, output: finding + "nothing was changed; with --in-place all else is kept\n",
                        errors: ""))
            #expect(try contents(of: folder) == before, "a look changed the log")
            try checkRefusal(folder, place)
            #expect(try contents(of: folder) == before)

            let mended = try runProgram("storage", "repair", "--directory", folder, "--in-place")
            #expect(
                mended
                    == Outcome(
                        status: 0,
                        output: """
                            \(folder)/0000000001.log at byte \(place): the checksum of group 15 is wrong; unreadable up to \
                            byte \(place + 2136), group 16
                            changes that stood there are lost: jobs put there are gone, jobs deleted there may be back
                            29 jobs are in the mended log
                            the 2 old files are kept with names that end in .damaged; remove them when all is well

                            """, errors: ""))
            let after = try contents(of: folder)
            for name in ["0000000001.log", "0000000002.log"] { #expect(after[name + ".damaged"] == before[name]) }
            #expect(try ids(folder) == Array(11...14) + Array(16...40))
            let again = try runProgram("storage", "verify", "--directory", folder)
            #expect(again == Outcome(status: 0, output: "sound\n", errors: ""))
        }
    }

    /// What the commands that read say of the damage.
    private func checkRefusal(_ folder: String, _ place: Int) throws {
        let error =
            "trellisd: the storage can't be used: \(folder)/0000000001.log at byte \(place): the checksum of group 15 is "
            + "wrong; `trellisd storage verify --directory \(folder)` shows all of it, `trellisd storage repair "
            + "--directory \(folder) --in-place` keeps what can be read\n"
        let stat = try runProgram("storage", "stat", "--directory", folder)
        #expect(stat == Outcome(status: 65, output: "", errors: error))
        // The second segment is sound, and read first.
        let dump = try runProgram("storage", "dump", "--directory", folder, "--json")
        #expect(dump.status == 65 && dump.errors == error)
        #expect(try objects(dump.lines).compactMap { $0["id"] as? Int } == Array(29...40))
        let target = folder + "-copy"
        let convert = try runProgram("storage", "convert", "--directory", folder, "--to-directory", target)
        defer { try? FileManager.default.removeItem(atPath: target) }
        #expect(convert.status == 65 && convert.output == "")
        #expect(convert.errors == error.dropLast() + "; the copy is not whole: remove it before you try again\n")
    }

    @Test(arguments: ["zstd", "lz4"])
    func mendedLogKeepsItsCodec(codec: String) throws {
        try withScratch { folder in
            try SampleLog.makeTwoSegments(folder, codec: codec)
            try flip("\(folder)/0000000001.log", at: 40_000)
            #expect(try runProgram("storage", "verify", "--directory", folder).status == 65)
            let mended = try runProgram("storage", "repair", "--directory", folder, "--in-place")
            #expect(mended.status == 0 && mended.errors == "")
            let stat = try runProgram("storage", "stat", "--directory", folder, "--json")
            let segments = try objects(stat.lines)[0]["segment-list"] as? [NSDictionary]
            #expect(segments?.allSatisfy { $0["codec"] as? String == codec } == true)
            #expect(try ids(folder).count > 10)
        }
    }

    @Test func tornTailIsNoDamage() throws {
        try withScratch { folder in
            let log = try SampleLog(folder)
            for id in 1...5 as ClosedRange<UInt64> { try log.put(SampleJob(id: id, sequence: id, body: [1, 2, 3])) }
            // As the process would leave it if it were killed, with the last write there in part.
            let copy = folder + "/copy"
            try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: false)
            for name in ["0000000001.log", "lock"] {
                try FileManager.default.copyItem(atPath: "\(folder)/\(name)", toPath: "\(copy)/\(name)")
            }
            try log.close()
            let place = 4096 + 4 * (48 + 96)
            try flip("\(copy)/0000000001.log", at: UInt64(place + 60))
            let before = try contents(of: copy)
            let reason = "\(copy)/0000000001.log at byte \(place): the checksum of group 5 is wrong"
            let verified = try runProgram("storage", "verify", "--directory", copy)
            #expect(
                verified
                    == Outcome(
                        status: 0,
                        output: "note: \(reason); written last and never synced, a start ends the log there\nsound\n",
                        errors: ""))
            let mended = try runProgram("storage", "repair", "--directory", copy, "--in-place")
            #expect(mended.status == 0 && mended.output == "nothing is damaged; nothing was changed\n")
            let dump = try runProgram("storage", "dump", "--directory", copy)
            #expect(dump.status == 0 && dump.lines.count == 4)
            #expect(
                dump.errors
                    == "trellisd: warning: \(reason); this was written last and not synced, so the log ends there\n")
            #expect(try contents(of: copy) == before)
        }
    }

    @Test func progressIsShownWhereItIsAskedFor() throws {
        try withScratch { folder in
            try SampleLog.makeTwoSegments(folder)
            let verified = try runProgram("storage", "verify", "--directory", folder, "--progress")
            #expect(verified.output == "sound\n" && verified.status == 0)
            #expect(verified.errors == "verify: 50 % of 131072 bytes\nverify: done\n")
            let repaired = try runProgram("storage", "repair", "--directory", folder, "--progress")
            #expect(repaired.errors == "repair: 50 % of 131072 bytes\nrepair: done\n")
            let converted = try runProgram(
                "storage", "convert", "--directory", folder, "--to-directory", "\(folder)/copy", "--progress")
            #expect(converted.errors == "convert: jobs copied: 1\nconvert: done\n")
        }
    }
}
