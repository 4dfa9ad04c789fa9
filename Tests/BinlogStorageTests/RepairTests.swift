// SPDX-License-Identifier: MIT

import CompressedBinlogStorage
import Glibc
import Testing
import TrellisCore
import TrellisFiles
import TrellisTestKit

@testable import BinlogStorage

@Suite struct RepairTests {
    /// A log of three segments and 60 jobs, ten of them deleted, each in a group of its own.
    private func makeLog(_ files: FaultyFileSystem, codec: (any LogCodec)?) throws -> LogSettings {
        var settings = LogSettings(directory: "/log", segmentBytes: 64 << 10, files: files, hasThreads: false)
        settings.codec = codec
        settings.readableCodecs = [ZstdCodec(), LZ4Codec()]
        let bench = LogBench(settings)
        _ = try bench.open()
        for id in 1...60 as ClosedRange<UInt64> {
            bench.put(id, body: SeededGenerator.bytes(2000, seed: id))
            try bench.commit()
        }
        for id in 51...60 as ClosedRange<UInt64> {
            bench.delete(id)
            try bench.commit()
        }
        try bench.close()
        return settings
    }

    @Test(arguments: [nil, "zstd", "lz4"])
    func soundLogHasNoFindings(codec: String?) throws {
        let files = FaultyFileSystem()
        let settings = try makeLog(files, codec: LogBench.codec(codec))
        #expect(try BinlogStorage(settings).verify { _, _ in } == [])
        #expect(try BinlogStorage(settings).repair { _, _ in } == [])
    }

    @Test(arguments: [nil, "zstd", "lz4"])
    func damageIsFoundAndCutOut(codec: String?) throws {
        for offset in [8, 5000, 20_000, 60_000] {
            let files = FaultyFileSystem()
            let settings = try makeLog(files, codec: LogBench.codec(codec))
            files.corrupt("/log/0000000001.log", at: UInt64(offset), xor: 0x40)
            let before = try LogBench(settings).contents()
            let findings = try BinlogStorage(settings).verify { _, _ in }
            #expect(findings.contains { $0.isDamage && $0.text.contains("0000000001.log at byte") }, "\(offset)")
            #expect(try LogBench(settings).contents() == before, "verify changed something")
            #expect(throws: StorageError.self) { try LogBench(settings).open() }
            let lines = try BinlogStorage(settings).repair { _, _ in }
            #expect(lines.contains { $0.contains("0000000001.log at byte") })
            let bench = LogBench(settings)
            let (jobs, highest) = try bench.open()
            #expect(highest == 60)
            // A frame of the codec is what one damage can cost, or the rest of a segment that lost its head.
            #expect(jobs.count >= (codec == nil && offset > 4096 ? 49 : 10), "\(offset): \(jobs.count)")
            for (id, job) in jobs {
                #expect(id <= 50)
                #expect(job.body == SeededGenerator.bytes(2000, seed: id))
            }
            #expect(try files.list("/log").contains("0000000001.log.damaged"))
            try bench.close()
            #expect(try BinlogStorage(settings).verify { _, _ in } == [])
        }
    }

    @Test func missingSegmentIsDamage() throws {
        let files = FaultyFileSystem()
        let settings = try makeLog(files, codec: nil)
        try files.remove("/log/0000000002.log")
        let error = #expect(throws: StorageError.self) { try LogBench(settings).open() }
        guard case .corrupt(let text) = error else {
            Issue.record("it is \(String(describing: error))")
            return
        }
        #expect(text.contains("0000000002.log") && text.contains("trellisd storage repair"))
        #expect(try BinlogStorage(settings).verify { _, _ in }.contains { $0.text.contains("missing") })
        _ = try BinlogStorage(settings).repair { _, _ in }
        let bench = LogBench(settings)
        let (jobs, highest) = try bench.open()
        #expect(jobs.count > 20 && jobs.count < 50 && highest == 60)
        try bench.close()
    }

    @Test func lockedLogIsLeftAlone() throws {
        let files = FaultyFileSystem()
        let settings = try makeLog(files, codec: nil)
        let bench = LogBench(settings)
        _ = try bench.open()
        let error = #expect(throws: StorageError.self) { try BinlogStorage(settings).verify { _, _ in } }
        guard case .locked = error else {
            Issue.record("it is \(String(describing: error))")
            return
        }
        try bench.close()
    }

    /// The files of segments that hold something.
    private func segments(_ settings: LogSettings) throws -> [String: [UInt8]] {
        try LogBench(settings).contents().filter { $0.key.hasSuffix(".log") && $0.value.contains { $0 != 0 } }
    }

    @Test(arguments: [nil, "zstd"])
    func oldFilesAreKeptByteByByte(codec: String?) throws {
        let files = FaultyFileSystem()
        let settings = try makeLog(files, codec: LogBench.codec(codec))
        files.corrupt("/log/0000000001.log", at: 20_000, xor: 0x40)
        let before = try LogBench(settings).contents()
        let lines = try BinlogStorage(settings).repair { _, _ in }
        let after = try LogBench(settings).contents()
        // Files that are ready and hold nothing aren't worth keeping.
        let used = before.filter { $0.key.hasSuffix(".log") && $0.value.contains { $0 != 0 } }
        let kept = after.filter { $0.key.hasSuffix(".damaged") }
        #expect(Dictionary(uniqueKeysWithValues: used.map { ($0.key + ".damaged", $0.value) }) == kept)
        #expect(
            lines.last
                == "the \(used.count) old files are kept with names that end in .damaged; remove them when all is well")
        #expect(lines.contains { $0.contains(" jobs are in the mended log") })
        // A second one finds nothing to do, and a third damage doesn't touch what was put aside.
        #expect(try BinlogStorage(settings).repair { _, _ in } == [])
        #expect(try LogBench(settings).contents() == after)
        let first = try #require(after.keys.filter { $0.hasSuffix(".log") }.min())
        files.corrupt("/log/\(first)", at: 5000, xor: 1)
        _ = try BinlogStorage(settings).repair { _, _ in }
        let again = try LogBench(settings).contents().filter { kept.keys.contains($0.key) }
        #expect(again == kept)
    }

    @Test func tornTailIsCutAsAStartDoes() throws {
        // Damage in the first segment, and a hole before groups that were never synced in the last.
        let log = try MemoryLog(sync: .never).fill(1...60, isKilled: true)
        let hole = try log.segment(3).groupOffsets()[3]
        try log.change(3) { $0.bytes[hole + 60] ^= 1 }
        let sound = try log.open(.readOnly)
        let lost = try log.segment(1).groupOffsets()[2]
        // The checksums are right, so that it isn't seen where the end is looked for.
        try log.change(1) { segment in try segment.changeRecord(ofGroup: 2) { $0[8] = 9 } }
        let findings = try log.verify()
        #expect(findings.map(\.isDamage) == [true, false, false])
        #expect(findings[0].text.contains("0000000001.log at byte \(lost)"))
        #expect(findings[1].text.contains("0000000003.log at byte \(hole)"))
        _ = try log.repair()
        #expect(try log.open().ids == sound.ids.filter { $0 != 3 })
    }

    @Test(arguments: [nil, "zstd"], [20_000, 70_000, 110_000])
    func powerLossAtAnyCallOfARepairCostsNothing(codec: String?, offset: Int) throws {
        let intact = FaultyFileSystem()
        let settings = try makeLog(intact, codec: LogBench.codec(codec))
        let number = offset / (64 << 10) + 1
        intact.corrupt("/log/000000000\(number).log", at: UInt64(offset % (64 << 10)), xor: 0x40)
        func log(_ files: FaultyFileSystem) -> LogSettings {
            var copy = settings
            copy.files = files
            return copy
        }
        let whole = intact.killed()
        _ = try BinlogStorage(log(whole)).repair { _, _ in }
        let expected = try LogBench(log(whole)).open()
        #expect(expected.jobs.count >= 20 && expected.jobs.count < 50 && expected.highest == 60)
        var random = SeededGenerator(seed: UInt64(offset))
        for call in 1... {
            let files = intact.killed()
            files.failCall(call, .powerLoss)
            let isDone = (try? BinlogStorage(log(files)).repair { _, _ in }) != nil && !files.hasLostPower
            for found in [files.crash(.nothing), files.crash(.everything), files.crash(&random)] {
                // Either it is refused as before, or it is mended.
                if (try? LogBench(log(found.killed())).open()) == nil {
                    _ = try BinlogStorage(log(found)).repair { _, _ in }
                }
                let opened = try LogBench(log(found)).open()
                #expect(opened.jobs == expected.jobs && opened.highest == expected.highest, "call \(call)")
            }
            if isDone { break }
        }
    }

    @Test(arguments: [EIO, ENOSPC])
    func failedRepairLeavesTheOldFiles(number: Int32) throws {
        let intact = FaultyFileSystem()
        var settings = try makeLog(intact, codec: nil)
        intact.corrupt("/log/0000000001.log", at: 20_000, xor: 0x40)
        let before = try segments(settings)
        for call in [FaultyFileSystem.Call.write, .sync] {
            for time in 1...3 {
                let files = intact.killed()
                settings.files = files
                files.failNext(time, of: call, .error(number))
                #expect(throws: StorageError.self) { try BinlogStorage(settings).repair { _, _ in } }
                #expect(try segments(settings) == before, "\(call) \(time)")
                _ = try BinlogStorage(settings).repair { _, _ in }
                #expect(try LogBench(settings).open().jobs.count == 49)
            }
        }
    }

    @Test func repairOnAFullDiskLeavesTheOldFiles() throws {
        let files = FaultyFileSystem()
        let settings = try makeLog(files, codec: nil)
        files.corrupt("/log/0000000001.log", at: 20_000, xor: 0x40)
        let before = try segments(settings)
        files.capacity = files.usedBytes + (40 << 10)
        let text = "the disk of /log has no room for the mended log beside the old one"
        #expect(throws: StorageError.full(text)) { try BinlogStorage(settings).repair { _, _ in } }
        #expect(try segments(settings) == before)
        #expect(try files.list("/log") == before.keys.sorted() + ["lock"], "what was begun takes room")
        files.capacity = nil
        _ = try BinlogStorage(settings).repair { _, _ in }
        #expect(try LogBench(settings).open().jobs.count == 49)
    }
}
