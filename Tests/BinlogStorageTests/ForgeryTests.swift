// SPDX-License-Identifier: MIT

import CompressedBinlogStorage
import Testing
import TrellisCore
import TrellisTestKit

@testable import BinlogStorage

/// Bytes whose checksums are right and whose content isn't: made on purpose, or by a writer that errs.
@Suite struct ForgeryTests {
    /// Refuses the log for what stands in the third group of the first segment.
    private func expectRefusal(
        _ log: MemoryLog, _ words: String, _ location: SourceLocation = #_sourceLocation
    ) throws {
        let offset = try log.segment(1).groupOffsets()[2]
        let reason = try log.refusal(location)
        #expect(
            reason.contains("/log/0000000001.log at byte \(offset): \(words);"), "\(reason)", sourceLocation: location)
        let findings = try log.verify()
        #expect(
            findings.contains { $0.isDamage && $0.text == "/log/0000000001.log at byte \(offset): \(words)" },
            "\(findings)", sourceLocation: location)
        _ = try log.repair()
        let mended = try log.open()
        #expect(Set(mended.ids).isSuperset(of: [1, 2, 6]), "\(mended.ids)", sourceLocation: location)
        #expect(mended.warnings == [], sourceLocation: location)
    }

    @Test(
        arguments: [
            ("record 1 of group 3 is of the unknown kind 4", 8, [4]),
            ("record 1 of group 3 is of the unknown kind 0", 8, [0]),
            ("record 1 of group 3 has the unknown state 9", 9, [9]),
            ("record 1 of group 3 has the impossible job id 0", 16, [0]),
            ("record 1 of group 3 has the impossible job id 9223372036854775811", 23, [0x80]),
            ("record 1 of group 3 has the impossible sequence number 9223372036854775811", 31, [0x80]),
            ("record 1 of group 3 has the impossible length 31", 0, [31, 0]),
            ("record 1 of group 3 is cut off", 0, [0, 255]),
            ("record 1 of group 3 has lengths that don't add up", 10, [6]),
            ("record 1 of group 3 has lengths that don't add up", 10, [0]),
            ("record 1 of group 3 has lengths that don't add up", 79, [0xFF]),
            ("record 1 of group 3 has a tube of an impossible name", 80, [UInt8(ascii: "-")]),
            ("record 1 of group 3 has a tube of an impossible name", 81, [0]),
            ("record 1 of group 3 has a tube of an impossible name", 81, [UInt8(ascii: " ")]),
        ] as [(String, Int, [UInt8])])
    func impossibleRecordIsRefused(words: String, offset: Int, bytes: [UInt8]) throws {
        let log = try MemoryLog().fill(1...6)
        let start = try log.segment(1).groupOffsets()[2] + LogFormat.groupHeaderBytes
        try log.change(1) { segment in
            // The record's own checksum is made right for the length that it had.
            let length = segment.bytes[start..<start + 2]
            try segment.changeRecord(ofGroup: 2) { record in
                for (position, byte) in bytes.enumerated() { record[offset + position] = byte }
                if offset == 0 { record[0] = length[start] }
            }
            if offset == 0 { segment.bytes.replaceSubrange(start..<start + 2, with: bytes) }
            try segment.changeGroup(2)
        }
        try expectRefusal(log, words)
    }

    @Test func tubeOfTwoHundredAndOneBytesIsRefused() throws {
        let log = try MemoryLog().fill(1...6, bodyBytes: 500)
        try log.change(1) { segment in
            try segment.changeRecord(ofGroup: 2) { record in
                record[10] = 201
                record.put(UInt32(record.count - 80 - 201), at: 76)
                for offset in 80..<281 { record[offset] = UInt8(ascii: "t") }
            }
        }
        try expectRefusal(log, "record 1 of group 3 has a tube of an impossible name")
    }

    @Test func valuesThatMeanNothingAreReadAsTheyShouldBe() throws {
        let log = try MemoryLog().fill(1...1)
        try log.change(1) { segment in
            try segment.changeRecord(ofGroup: 0) { record in
                record.put(77 as UInt64, at: 40)
                record.put(0 as UInt32, at: 52)
            }
        }
        let store = BinlogStorage(log.settings)
        try store.open(.readOnly, host: StorageHost(wake: {}))
        var jobs = 0
        _ = try store.recover { job, _ in
            jobs += 1
            #expect(job.deadline == 0 && job.ttr == 1, "a ready job has no deadline, and a time to run")
        }
        #expect(jobs == 1)
        try store.close()
    }

    @Test(arguments: [0, 2])
    func wrongNumberOfRecordsIsRefused(records: Int) throws {
        let log = try MemoryLog().fill(1...6, bodyBytes: 100)
        try log.change(1) { segment in try segment.changeGroup(2) { $0.records = records } }
        if records == 0 {
            // Nothing of a group without records may be stored.
            #expect(try log.refusal().contains("no group begins here"))
        } else {
            try expectRefusal(log, "group 3 has 1 records and says 2")
        }
    }

    @Test(arguments: [-1, 1])
    func wrongPlainBytesOfPlainGroupAreRefused(difference: Int) throws {
        let log = try MemoryLog().fill(1...6)
        try log.change(1) { segment in try segment.changeGroup(2) { $0.plainBytes += difference } }
        try expectRefusal(log, "group 3 has another length than it says")
    }

    @Test(arguments: ["zstd", "lz4"], [-1, 1, 1000])
    func wrongPlainBytesOfCompressedGroup(codec: String, difference: Int) throws {
        let log = try MemoryLog(codec: codec).fill(1...6)
        try log.change(1) { segment in try segment.changeGroup(2) { $0.plainBytes += difference } }
        #expect(try log.refusal().contains("group 3 can't be decompressed"))
        #expect(try log.verify().contains { $0.isDamage && $0.text.contains("groups 3 to 6 can't be decompressed") })
    }

    @Test(arguments: ["zstd", "lz4"])
    func groupThatDoesNotBeginAFrameNeedsTheOneBefore(codec: String) throws {
        let log = try MemoryLog(codec: codec).fill(1...6)
        try log.change(1) { segment in try segment.changeGroup(0) { $0.beginsFrame = false } }
        #expect(try log.refusal().contains("group 1 can't be decompressed"))
    }

    @Test(arguments: ["zstd", "lz4"])
    func forgedPlainSizeTakesNoMemory(codec: String) throws {
        // A record of a gibibyte, a head says; and then there are a few bytes.
        let plain = SeededGenerator.bytes(100, seed: 1)
        let coding = try #require(LogBench.codec(codec))
        let stored = LogBuffer()
        plain.withUnsafeBytes { coding.makeEncoder().encode($0, beginsFrame: true, into: stored) }
        let output = LogBuffer()
        #expect(
            !coding.makeDecoder().decode(
                stored.bytes, plainBytes: LogFormat.largestGroupBytes, beginsFrame: true, into: output))
        #expect(output.count + output.tail(0).count < 1 << 20, "memory was taken for what a head promised")

        let log = try MemoryLog(codec: codec).fill(1...6)
        try log.change(1) { segment in
            try segment.changeGroup(2) { $0.plainBytes = LogFormat.largestGroupBytes }
        }
        #expect(try log.refusal().contains("group 3 can't be decompressed"))
        // And no head is believed that says more than a log ever writes.
        try log.change(1) { segment in
            try segment.changeGroup(2) { $0.plainBytes = LogFormat.largestGroupBytes + 1 }
        }
        #expect(try log.refusal().contains("no group begins here"))
    }

    @Test(arguments: ["zstd", "lz4"])
    func moreThanTheHeadSaysIsNotMade(codec: String) throws {
        // Some hundred bytes that become 16 MiB: a head that says less must stop them.
        let plain = [UInt8](repeating: 7, count: 16 << 20)
        let coding = try #require(LogBench.codec(codec))
        let stored = LogBuffer()
        plain.withUnsafeBytes { coding.makeEncoder().encode($0, beginsFrame: true, into: stored) }
        let output = LogBuffer()
        #expect(!coding.makeDecoder().decode(stored.bytes, plainBytes: 1000, beginsFrame: true, into: output))
        #expect(output.count <= 1000 && output.count + output.tail(0).count < 1 << 20)
    }

    @Test func numbersAtTheEndOfTheirRangeAreRefused() throws {
        let log = try MemoryLog().fill(1...6)
        for number in [.max, 1 << 63, 1 << 62 + 1, 0] as [UInt64] {
            let copy = log.after(log.files.killed())
            try copy.change(1) { segment in try segment.changeGroup(2) { $0.number = number } }
            #expect(try copy.refusal().contains("no group begins here"))
            #expect(try copy.verify().contains(where: \.isDamage))
            _ = try copy.repair()
            #expect(try copy.open().ids == [1, 2, 4, 5, 6])
        }
        let changes: [(inout SegmentHeader) -> Void] = [
            { $0.firstGroup = UInt64.max }, { $0.firstGroup = 0 }, { $0.syncedGroup = 1 },
            { $0.highestID = 1 << 62 + 1 },
        ]
        for change in changes {
            let copy = log.after(log.files.killed())
            try copy.change(1) { try $0.changeHeader(change) }
            #expect(try copy.refusal().contains("0000000001.log at byte 0: the segment's head can't be read"))
            #expect(try copy.verify().contains(where: \.isDamage))
            _ = try copy.repair()
            _ = try copy.open()
        }
        // A group that says of itself, or of a later one, that it had been on the disk before it was written.
        let copy = log.after(log.files.killed())
        try copy.change(1) { segment in try segment.changeGroup(2) { $0.syncedGroup = 3 } }
        #expect(try copy.refusal().contains("no group begins here"))
        // Segments are numbered from 1 to 2^62.
        #expect(LogFormat.segmentNumber("4611686018427387904.log") == 1 << 62)
        #expect(LogFormat.segmentNumber("4611686018427387905.log") == nil)
        #expect(LogFormat.segmentNumber("0000000000.log") == nil)
    }
}
