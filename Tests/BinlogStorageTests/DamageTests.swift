// SPDX-License-Identifier: MIT

import Testing
import TrellisCore
import TrellisFiles
import TrellisTestKit

@testable import BinlogStorage

/// Wrong bytes where the log was known to be on the disk: it is refused, with the place and what to do.
@Suite struct DamageTests {
    private func expectRefusal(
        _ log: MemoryLog, _ words: String..., location: SourceLocation = #_sourceLocation
    ) throws {
        let reason = try log.refusal(location)
        for word in words { #expect(reason.contains(word), "\(reason)", sourceLocation: location) }
        #expect(
            reason.contains("`trellisd storage verify --directory /log`")
                && reason.contains("`trellisd storage repair --directory /log --in-place`"), "\(reason)",
            sourceLocation: location)
        let before = try log.contents()
        let findings = try log.verify()
        #expect(
            findings.contains { finding in finding.isDamage && words.allSatisfy { finding.text.contains($0) } },
            "\(findings)", sourceLocation: location)
        #expect(try log.contents() == before, sourceLocation: location)
    }

    @Test(arguments: [nil, "zstd", "lz4"])
    func damageBeforeTheSyncedMarkIsRefused(codec: String?) throws {
        let log = try MemoryLog(codec: codec).fill(1...6, isKilled: true)
        let offset = try log.segment(1).groupOffsets()[2]
        for (at, reason) in [
            (0, "no group begins here"), (30, "no group begins here"), (70, "the checksum of group 3"),
        ] {
            let copy = log.after(log.files.killed())
            try copy.change(1) { $0.bytes[offset + at] ^= 0x10 }
            try expectRefusal(copy, "0000000001.log at byte \(offset)", reason)
        }
    }

    @Test func cleanStopMarksTheLastGroupAsSynced() throws {
        let log = try MemoryLog().fill(1...6)
        let offset = try log.segment(1).groupOffsets()[5]
        try log.change(1) { $0.zero(offset..<offset + 100) }
        try expectRefusal(log, "0000000001.log at byte \(offset)")
    }

    @Test func laterSegmentTellsThatAnEarlierOneWasSynced() throws {
        // Whole as files, the first ends too early: the head of the second knows of groups that are gone.
        let log = try MemoryLog().fill(1...60)
        let offsets = try log.segment(1).groupOffsets()
        let last = offsets[offsets.count - 2]
        try log.change(1) { $0.cut(at: last) }
        try expectRefusal(log, "0000000001.log at byte \(last)", "missing")
    }

    @Test func groupOutOfOrderIsDamage() throws {
        let log = try MemoryLog().fill(1...6)
        let offset = try log.segment(1).groupOffsets()[2]
        try log.change(1) { segment in try segment.changeGroup(2) { $0.number = 7 } }
        try expectRefusal(log, "0000000001.log at byte \(offset)", "group 7 stands where group 3 should be")
    }

    @Test func damagedHeadIsRefused() throws {
        let log = try MemoryLog().fill(1...60)
        for number in 1...3 as ClosedRange<UInt64> {
            let copy = log.after(log.files.killed())
            try copy.change(number) { $0.bytes[32] ^= 1 }
            try expectRefusal(copy, "000000000\(number).log at byte 0", "the segment's head can't be read")
        }
    }

    @Test func logWithoutAnyHeadIsRefused() throws {
        let log = try MemoryLog().fill(1...6)
        try log.change(1) { $0.zero(0..<4096) }
        try expectRefusal(log, "0000000001.log at byte 0", "the segment's head can't be read")
    }

    @Test(arguments: [0, 127, 128, 4095, 4096])
    func fileShorterThanItsHeadIsRefused(size: Int) throws {
        let log = try MemoryLog().fill(1...60)
        for number in 1...2 as ClosedRange<UInt64> {
            let copy = log.after(log.files.killed())
            try copy.change(number) { $0.cut(at: size, keepsSize: false) }
            try expectRefusal(copy, "000000000\(number).log")
        }
        // Nothing older knows of the newest one.
        try log.change(3) { $0.cut(at: size, keepsSize: false) }
        #expect(try log.open(.readOnly).ids.count > 30)
        _ = try log.verify()
        #expect(try log.open().ids.count > 30)
    }

    @Test func missingMiddleSegmentIsRefused() throws {
        let log = try MemoryLog().fill(1...90)
        try log.files.remove("/log/0000000002.log")
        try expectRefusal(log, "0000000002.log", "the segment is missing")
    }

    @Test func missingNewestSegmentIsNoticedOnlyByWhatWasSyncedBefore() throws {
        // A drawback that docs/binlog-format.md tells of: nothing older knows of the newest segment.
        let log = try MemoryLog().fill(1...60)
        let last = try log.open(.readOnly).ids.count
        try log.files.remove("/log/0000000003.log")
        let opened = try log.open(.readOnly)
        #expect(opened.ids.count > 30 && opened.ids.count < last && opened.warnings == [])
    }

    @Test func missingOldestSegmentLooksLikeOneThatWasCompacted() throws {
        // The other end of the same drawback; updates and deletes that hang in the air are all that tells of it.
        let log = try MemoryLog().fill(1...60)
        let bench = LogBench(log.settings)
        try bench.open()
        bench.update(1, .buried)
        bench.delete(2)
        try bench.commit()
        try bench.close()
        try log.files.remove("/log/0000000001.log")
        let opened = try log.open(.readOnly)
        #expect(opened.ids.count < 35 && opened.highest == 60)
        #expect(opened.warnings == ["changes were ignored whose jobs aren't in the log any more: 1"])
        #expect(
            try log.verify().map(\.text) == [
                "changes whose jobs aren't in the log: 1", "jobs that can be read: \(opened.ids.count)",
            ])
    }

    @Test func staleBytesOfARecycledFileAreRefused() throws {
        let log = try MemoryLog().fill(1...60, isKilled: true)
        // A file that is another one: its head says so.
        let copied = log.after(log.files.killed())
        copied.files.setContents("/log/0000000002.log", try log.segment(1).bytes)
        try expectRefusal(copied, "0000000002.log at byte 0", "the segment's head can't be read")
        // Groups of another segment behind the last one, with the number that is due: the seed tells.
        let old = try log.segment(2)
        let offsets = old.groupOffsets()
        let end = try #require(try log.segment(3).groupOffsets().last)
        let due = try #require(try log.segment(3).groupHeader(at: log.segment(3).groupOffsets().dropLast()[0])).number
        for isSameSegment in [false, true] {
            let next = due + UInt64(try log.segment(3).groupOffsets().count - 1)
            let copy = log.after(log.files.killed())
            try copy.change(3) { segment in
                segment.bytes.replaceSubrange(
                    end..<end + offsets[1] - offsets[0], with: old.bytes[offsets[0]..<offsets[1]])
                var header = try #require(old.groupHeader(at: offsets[0]))
                header.number = next
                let seed = isSameSegment ? segment.seed : old.seed
                segment.bytes.withUnsafeMutableBytes { bytes in
                    let stored = UnsafeRawBufferPointer(rebasing: bytes[end + 48..<end + 48 + header.storedBytes])
                    header.checksum = Checksum.crc32c(stored, after: seed)
                    header.encode(into: UnsafeMutableRawBufferPointer(rebasing: bytes[end..<end + 48]), seed: seed)
                }
            }
            // The control: with the right seed it is a group like any other.
            #expect(try copy.open(.readOnly).warnings.count == (isSameSegment ? 0 : 1))
        }
    }

    @Test func segmentOfAnotherStoreIsRefused() throws {
        let log = try MemoryLog().fill(1...60)
        let other = try MemoryLog().fill(1...60)
        log.files.setContents("/log/0000000002.log", try other.segment(2).bytes)
        let reason = try log.refusal()
        #expect(
            reason == "/log/0000000002.log and /log/0000000001.log belong to different stores; move away what isn't of "
                + "this one")
        let error = #expect(throws: StorageError.self) { try log.verify() }
        #expect(error == .corrupt(reason))
        #expect(throws: StorageError.corrupt(reason)) { try log.repair() }
    }
}
