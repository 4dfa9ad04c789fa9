// SPDX-License-Identifier: MIT

import BeanstalkdBinlog
import Testing
import TrellisCore
import TrellisFiles

/// Which directories are taken for one of beanstalkd.
@Suite struct DirectoryTests {
    private func find(_ contents: [String: [UInt8]]) throws -> BeanstalkdBinlog.Finding {
        try BeanstalkdBinlog.find(in: "log", files: MemoryFiles(contents))
    }

    private func openError(_ contents: [String: [UInt8]]) throws -> StorageError {
        let log = BeanstalkdBinlog(directory: "log", files: MemoryFiles(contents))
        return try #require(throws: StorageError.self) { try log.open() }
    }

    @Test func bothVersionsAreRecognised() throws {
        #expect(try find(["binlog.3": [7, 0, 0, 0]]) == .readable(file: "binlog.3", version: 7))
        #expect(try find(["binlog.3": [5, 0, 0, 0, 9]]) == .readable(file: "binlog.3", version: 5))
        // The first may be empty still.
        let contents: [String: [UInt8]] = ["binlog.1": [], "binlog.2": [0, 0, 0, 0, 0], "binlog.12": [7, 0, 0, 0]]
        #expect(try find(contents) == .readable(file: "binlog.12", version: 7))
        #expect(try BeanstalkdBinlog.isOne("log", files: MemoryFiles(contents)))
    }

    @Test func otherDirectoriesAreNot() throws {
        let other: [String: [UInt8]] = ["000001.log": [7, 0, 0, 0], "binlog": [7, 0, 0, 0], "lock": []]
        #expect(try find(other) == .nothing)
        #expect(try find(["binlog.1": [7, 0, 0]]) == .nothing)
        #expect(try find([:]) == .nothing)
        #expect(try !BeanstalkdBinlog.isOne("log", files: MemoryFiles(other)))
        #expect(throws: FileError.self) {
            try BeanstalkdBinlog.isOne("/nonexistent/folder", files: LinuxFileSystem.shared)
        }
        #expect(try openError(other) == .corrupt("log holds no log of beanstalkd: there is no file binlog.N in it"))
    }

    @Test func otherVersionsAreRefusedByTheirNumber() throws {
        let unknown = "it has the unknown version 6; 5 and 7 can be read"
        #expect(try find(["binlog.1": [6, 0, 0, 0]]) == .unreadable(file: "binlog.1", reason: unknown))
        #expect(try !BeanstalkdBinlog.isOne("log", files: MemoryFiles(["binlog.1": [6, 0, 0, 0]])))
        #expect(try openError(["binlog.1": [6, 0, 0, 0]]) == .corrupt("log/binlog.1: \(unknown)"))
        let swapped = "it was written on a big-endian machine (version 7, bytes swapped)"
        #expect(try openError(["binlog.1": [0, 0, 0, 7]]) == .corrupt("log/binlog.1: \(swapped)"))
    }

    @Test func oneFileOfAnotherVersionIsDamageOfThatFile() throws {
        var good = LogWriter(version: 7)
        good.put(.init(1))
        let files = MemoryFiles(["binlog.1": [6, 0, 0, 0, 1, 2, 3, 0, 0], "binlog.2": good.bytes])
        let reading = try Reading("log", files: files)
        #expect(reading.order == [1])
        let damage = "binlog.1, byte 0: it has the unknown version 6; 5 and 7 can be read (7 bytes were not read)"
        #expect(reading.summary.damage.map(\.description) == [damage])
    }

    @Test func nothingIsReadUnlessOpen() throws {
        let log = BeanstalkdBinlog(directory: "log", files: MemoryFiles(["binlog.1": [7, 0, 0, 0]]))
        #expect(throws: StorageError.self) { try log.read { _ in } }
        try log.open()
        #expect(try log.read { _ in }.jobs == 0)
        log.close()
        log.close()
        #expect(throws: StorageError.self) { try log.read { _ in } }
    }

    @Test func anErrorOfTheReceiverEndsTheReading() throws {
        var file = LogWriter(version: 7)
        for id in 1...3 { file.put(.init(UInt64(id))) }
        let log = BeanstalkdBinlog(directory: "log", files: MemoryFiles(["binlog.1": file.bytes]))
        try log.open()
        var count = 0
        let error = #expect(throws: StorageError.self) {
            try log.read { (_) throws(StorageError) in
                count += 1
                if count == 2 { throw .full("no room") }
            }
        }
        #expect(error == .full("no room") && count == 2)
    }
}
