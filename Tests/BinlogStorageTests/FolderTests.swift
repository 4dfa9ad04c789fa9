// SPDX-License-Identifier: MIT

import CompressedBinlogStorage
import Glibc
import Testing
import TrellisCore
import TrellisFiles
import TrellisTestKit

@testable import BinlogStorage

/// What lies in a log's folder, and who may use it.
@Suite struct FolderTests {
    @Test func newerFormatVersionIsRefusedWithBothNumbers() throws {
        let log = try MemoryLog().fill(1...60)
        for number in 1...3 as ClosedRange<UInt64> {
            let copy = log.after(log.files.killed())
            try copy.change(number) { segment in
                segment.bytes[8] = 2
                segment.sealHeader()
            }
            let reason = try copy.refusal()
            #expect(
                reason == "/log/000000000\(number).log has format 2, and this version of Trellis reads format 1")
            // Nothing is wrong with it: so it isn't mended, either.
            let before = try copy.contents()
            #expect(throws: StorageError.corrupt(reason)) { try copy.verify() }
            #expect(throws: StorageError.corrupt(reason)) { try copy.repair() }
            #expect(try copy.contents() == before)
        }
    }

    @Test func unknownCodecNamesThePlugin() throws {
        let log = try MemoryLog().fill(1...6)
        try log.change(1) { segment in
            try segment.changeHeader { header in
                header.codec = "brotli"
                header.pluginID = "storage.brotli-binlog"
            }
        }
        let reason = try log.refusal()
        #expect(
            reason
                == "/log/0000000001.log was written by storage.brotli-binlog with codec brotli, which storage.binlog "
                + "can't read; use storage.brotli-binlog")
        #expect(throws: StorageError.corrupt(reason)) { try log.repair() }
    }

    @Test(arguments: ["zstd", "lz4"])
    func aDirectoryOfTheOtherPluginOpensOrSaysWhichToUse(codec: String) throws {
        // The compressing plugin reads plain logs, and goes on in a segment of its own.
        var plain = try MemoryLog().fill(1...6)
        var compressed = plain.after(plain.files)
        compressed.settings.codec = LogBench.codec(codec)
        compressed.settings.pluginID = "storage.compressed-binlog"
        #expect(try compressed.open(.readOnly).ids == [1, 2, 3, 4, 5, 6])
        _ = try compressed.fill(7...9)
        #expect(try compressed.open().ids == Array(1...9))
        #expect(try compressed.segment(1).header().codec == "none")
        #expect(try compressed.segment(2).header().codec == codec)
        // The plain one knows no codec, and says who does.
        plain.settings.readableCodecs = []
        #expect(
            try plain.refusal() == "/log/0000000002.log was written by storage.compressed-binlog with codec \(codec), "
                + "which storage.binlog can't read; use storage.compressed-binlog")
        // With the other codec, too.
        compressed.settings.codec = LogBench.codec(codec == "zstd" ? "lz4" : "zstd")
        _ = try compressed.fill(10...12)
        #expect(try compressed.open().ids == Array(1...12) && compressed.verify() == [])
    }

    @Test func leftoverTemporaryFilesAreRemoved() throws {
        let log = try MemoryLog().fill(1...6)
        for name in ["next.tmp", "loop.tmp"] { log.files.setContents("/log/\(name)", [1, 2, 3]) }
        log.files.setContents("/log/notes.txt", [4])
        log.files.setContents("/log/0000000001.log.damaged", [5])
        let before = try log.contents()
        #expect(try log.open(.readOnly).ids.count == 6)
        #expect(try log.verify() == [] && log.repair() == [] && log.contents() == before, "a look changed the folder")
        #expect(try log.open().ids.count == 6)
        let names = try log.files.list("/log")
        #expect(!names.contains { $0.hasSuffix(".tmp") })
        #expect(names.contains("notes.txt") && names.contains("0000000001.log.damaged"), "what isn't ours is gone")
    }

    @Test func readingNeedsNoLockFile() throws {
        let log = try MemoryLog().fill(1...6)
        try log.files.remove("/log/lock")
        let before = try log.contents()
        #expect(try log.open(.readOnly).ids.count == 6)
        #expect(try log.verify() == [] && log.contents() == before, "a lock file was made")
    }

    @Test func readingNeedsNoWritableDisk() throws {
        // A snapshot, or a disk that was mounted to be read: no server can run there, and nothing can be locked.
        let log = try MemoryLog().fill(1...6)
        log.files.failNext(of: .open, .error(EROFS))
        #expect(try log.open(.readOnly).ids.count == 6)
        log.files.failNext(of: .open, .error(EROFS))
        #expect(try log.verify() == [])
        log.files.failNext(of: .open, .error(EROFS))
        #expect(throws: StorageError.fatal("open of /log/lock: Read-only file system")) { try log.open() }
        // Where it is only the user who may not write, a server may well run.
        log.files.failNext(of: .open, .error(EACCES))
        #expect(throws: StorageError.fatal("open of /log/lock: Permission denied")) { try log.open(.readOnly) }
    }

    @Test func anyCallMayFailWhileALogIsOpened() throws {
        // With a torn tail, so that there is something to mend; and with a compressed segment before it.
        let log = try MemoryLog(sync: .never).fill(1...60, isKilled: true)
        let hole = try log.segment(3).groupOffsets()[3]
        try log.change(3) { $0.bytes[hole + 60] ^= 1 }
        let expected = try log.open(.readOnly)
        #expect(expected.ids.count > 50)
        for access in [StorageAccess.readOnly, .readWrite] {
            for call in 1... {
                let copy = log.after(log.files.killed())
                copy.files.failCall(call, .error(EIO))
                let isDone: Bool
                do throws(StorageError) {
                    let opened = try copy.open(access)
                    isDone = copy.files.callCount < call
                    #expect(opened.jobs == expected.jobs, "call \(call) failed, and other jobs came")
                } catch {
                    isDone = false
                    guard case .fatal = error else {
                        Issue.record("call \(call): \(error)")
                        continue
                    }
                }
                #expect(try copy.after(copy.files.killed()).open().jobs == expected.jobs, "call \(call)")
                if isDone {
                    #expect(call > 10)
                    break
                }
            }
        }
    }
}
