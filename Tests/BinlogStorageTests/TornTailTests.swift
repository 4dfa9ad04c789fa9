// SPDX-License-Identifier: MIT

import Testing
import TrellisCore
import TrellisTestKit

@testable import BinlogStorage

/// Ends of a log that were never known to be on the disk: they are cut, and nothing else is.
@Suite struct TornTailTests {
    /// The log that was cut opens with those jobs, tells where, and goes on.
    private func expectCut(
        _ log: MemoryLog, at place: String, leaves ids: ClosedRange<UInt64>,
        _ location: SourceLocation = #_sourceLocation
    ) throws {
        let before = try log.contents()
        let looked = try log.open(.readOnly)
        #expect(looked.ids == Array(ids), sourceLocation: location)
        #expect(try log.contents() == before, "a look changed the log", sourceLocation: location)
        let findings = try log.verify()
        #expect(findings.count == 1 && !findings[0].isDamage, "\(findings)", sourceLocation: location)
        #expect(findings.allSatisfy { $0.text.contains(place) }, "\(findings)", sourceLocation: location)
        #expect(try log.repair() == [], sourceLocation: location)
        #expect(try log.contents() == before, sourceLocation: location)

        let opened = try log.open()
        #expect(opened.jobs == looked.jobs && opened.highest == looked.highest, sourceLocation: location)
        #expect(
            opened.warnings.count == 1 && opened.warnings[0].contains(place), "\(opened.warnings)",
            sourceLocation: location)
        // What follows must not be mixed up with what was cut.
        _ = try log.fill(1001...1003, bodyBytes: 1)
        let again = try log.open()
        #expect(again.ids == Array(ids) + [1001, 1002, 1003], sourceLocation: location)
        #expect(again.warnings == [], sourceLocation: location)
        #expect(try log.verify() == [], sourceLocation: location)
    }

    @Test(arguments: [nil, "zstd", "lz4"], [true, false])
    func truncatedTailIsCut(codec: String?, keepsSize: Bool) throws {
        let log = try MemoryLog(codec: codec).fill(1...5, isKilled: true)
        let offsets = try log.segment(1).groupOffsets()
        for cut in [offsets[4] + 1, offsets[4] + 47, offsets[4] + 48, offsets[5] - 20] {
            let copy = log.after(log.files.killed())
            try copy.change(1) { $0.cut(at: cut, keepsSize: keepsSize) }
            try expectCut(copy, at: "0000000001.log at byte \(offsets[4])", leaves: 1...4)
        }
        // Where nothing of a group is there, nobody can tell that there was one.
        try log.change(1) { $0.cut(at: offsets[4], keepsSize: keepsSize) }
        let opened = try log.open()
        #expect(opened.ids == [1, 2, 3, 4] && opened.warnings == [])
    }

    @Test func wrongChecksumAtTheEndIsCut() throws {
        let log = try MemoryLog().fill(1...5, isKilled: true)
        let offset = try log.segment(1).groupOffsets()[4]
        try log.change(1) { $0.bytes[offset + 500] ^= 1 }
        try expectCut(log, at: "0000000001.log at byte \(offset): the checksum of group 5 is wrong", leaves: 1...4)
    }

    @Test(arguments: [nil, "zstd"])
    func holeBeforeValidGroupsIsTornTail(codec: String?) throws {
        // Without syncs no group says of another that it was on the disk: a page in the middle may be missing.
        let log = try MemoryLog(sync: .never, codec: codec).fill(1...9, isKilled: true)
        let offsets = try log.segment(1).groupOffsets()
        try log.change(1) { $0.zero(offsets[4]..<offsets[5]) }
        try expectCut(log, at: "0000000001.log at byte \(offsets[4])", leaves: 1...4)
    }

    @Test func groupsBehindAHoleMeanNothing() throws {
        // The put of job 5 is gone, its update and its delete are there; and a put that was never answered.
        let log = MemoryLog(sync: .never)
        let bench = LogBench(log.settings)
        try bench.open()
        for id in 1...6 as ClosedRange<UInt64> {
            bench.put(id, body: [1])
            try bench.commit()
        }
        bench.update(5, .buried)
        try bench.commit()
        bench.delete(1)
        try bench.commit()
        let killed = log.after(log.files.killed())
        let offsets = try killed.segment(1).groupOffsets()
        try killed.change(1) { $0.zero(offsets[4]..<offsets[5]) }
        try expectCut(killed, at: "0000000001.log at byte \(offsets[4])", leaves: 1...4)
    }

    @Test func bytesBehindTheLastGroupAreCut() throws {
        let log = try MemoryLog().fill(1...5)
        let end = try #require(try log.segment(1).groupOffsets().last)
        try log.change(1) { $0.bytes[$0.bytes.count - 1] = 1 }
        let opened = try log.open()
        #expect(opened.ids == [1, 2, 3, 4, 5])
        #expect(opened.warnings.count == 1 && opened.warnings[0].contains("0000000001.log at byte \(end)"))
        #expect(try log.segment(1).bytes[end...].allSatisfy { $0 == 0 })
    }

    @Test(arguments: [true, false])
    func segmentThatLostItsHeadIsTornWhereItWasNotSynced(isZero: Bool) throws {
        // 60 jobs fill two segments and a part of a third one; no group says that the third was there.
        let log = try MemoryLog(sync: .never).fill(1...60, isKilled: true)
        try log.change(3) { segment in
            if isZero { segment.zero(0..<4096) } else { segment.bytes[20] ^= 1 }
        }
        let kept = try log.open(.readOnly)
        #expect(kept.ids == Array(1...UInt64(kept.ids.count)) && kept.ids.count > 50 && kept.ids.count < 60)
        try expectCut(log, at: "0000000003.log at byte 0", leaves: 1...UInt64(kept.ids.count))
    }

    @Test func bytesInAReadyFileAreNotTakenForEmpty() throws {
        // The power fails while two segments are on their way: of the first nothing has come to the disk, of the second
        // all but its head. The next life writes the very same groups there, but for the last ones.
        let log = try MemoryLog(sync: .never).fill(1...60, isKilled: true)
        try log.change(2) { $0.zero(0..<$0.bytes.count) }
        try log.change(3) { $0.zero(0..<4096) }
        let first = try log.open(.readOnly)
        #expect(first.ids == Array(1...UInt64(first.ids.count)) && first.ids.count < 35)
        let next = try log.fill(UInt64(first.ids.count + 1)...57, isKilled: true)
        #expect(try next.open().ids == Array(1...57), "jobs of a life that is over have come back")
    }

    @Test func tailOfALogThatIsRefusedStays() throws {
        // The damage comes to light only when the oldest segment is read.
        let log = try MemoryLog(sync: .never).fill(1...60, isKilled: true)
        let hole = try log.segment(3).groupOffsets()[3]
        try log.change(3) { $0.bytes[hole + 60] ^= 1 }
        try log.change(1) { segment in try segment.changeRecord(ofGroup: 2) { $0[8] = 9 } }
        log.files.setContents("/log/next.tmp", [1])
        #expect(try log.refusal().contains("record 1 of group 3 is of the unknown kind 9"))
    }

    @Test func tailMayReachOverSegments() throws {
        let log = try MemoryLog(sync: .never).fill(1...90, isKilled: true)
        // As if nothing of it had been synced: then the hole in the second costs the third and the fourth, too.
        for number in 2...4 as ClosedRange<UInt64> {
            try log.change(number) { segment in
                try segment.changeHeader { $0.syncedGroup = 0 }
                for position in segment.groupOffsets().indices.dropLast() {
                    try segment.changeGroup(position) { $0.syncedGroup = 0 }
                }
            }
        }
        let hole = try log.segment(2).groupOffsets()[3]
        try log.change(2) { $0.bytes[hole + 100] ^= 1 }
        let kept = UInt64(try log.open(.readOnly).ids.count)
        #expect(kept > 30 && kept < 40)
        try expectCut(log, at: "0000000002.log at byte \(hole)", leaves: 1...kept)
        #expect(try log.open().warnings == [])
    }
}
