// SPDX-License-Identifier: MIT

import Foundation
import Testing
import TrellisFiles

@Suite struct LinuxFileSystemTests {
    private let files = LinuxFileSystem.shared

    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = "/tmp/trellis-files-\(getpid())-\(UInt64.random(in: 0...UInt64.max))"
        try files.makeFolder(folder + "/deep/er")
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder + "/deep/er")
    }

    private func bytes(of file: any File, at offset: UInt64, count: Int) throws -> [UInt8] {
        var buffer = [UInt8](repeating: 0xEE, count: count)
        let got = try buffer.withUnsafeMutableBytes { try file.readAll(at: offset, into: $0) }
        return Array(buffer[..<got])
    }

    @Test func whatIsWrittenIsReadAgain() throws {
        try withFolder { folder in
            let file = try files.open(folder + "/a", .create)
            try Array("hello world".utf8).withUnsafeBytes { try file.writeAll($0, at: 5) }
            try file.sync()
            try files.syncFolder(folder)
            #expect(try file.size() == 16)
            #expect(try bytes(of: file, at: 0, count: 100) == [0, 0, 0, 0, 0] + Array("hello world".utf8))
            #expect(try bytes(of: file, at: 16, count: 10) == [])
            try file.resize(to: 7)
            #expect(try bytes(of: files.open(folder + "/a", .read), at: 5, count: 10) == Array("he".utf8))
        }
    }

    @Test func namesAreListedRenamedAndRemoved() throws {
        try withFolder { folder in
            for name in ["b", "a", "c"] { _ = try files.open("\(folder)/\(name)", .create) }
            try files.rename(folder + "/c", to: folder + "/d")
            try files.remove(folder + "/a")
            #expect(try files.list(folder) == ["b", "d"])
            #expect(try files.freeBytes(folder) > 0)
        }
    }

    @Test func failuresNameTheCallThePathAndTheReason() throws {
        try withFolder { folder in
            let path = folder + "/missing"
            let error = try #require(throws: FileError.self) { try files.open(path, .update) }
            #expect(error.description == "open of \(path): No such file or directory")
            _ = try files.open(path, .create)
            #expect(throws: FileError.self) { try files.open(path, .create) }
            let readOnly = try files.open(path, .read)
            let refused = try #require(throws: FileError.self) {
                try [UInt8(1)].withUnsafeBytes { try readOnly.writeAll($0, at: 0) }
            }
            #expect(refused.call == "pwrite")
        }
    }

    @Test func lockIsHeldByOneFileAtATime() throws {
        try withFolder { folder in
            do {
                let first = try files.open(folder + "/lock", .create)
                #expect(try first.lock())
                let second = try files.open(folder + "/lock", .update)
                #expect(try !second.lock())
            }
            #expect(try files.open(folder + "/lock", .update).lock())
        }
    }

    @Test func lockExcludesARunningBeanstalkd() throws {
        let program = URL(fileURLWithPath: "/usr/bin/beanstalkd")
        guard FileManager.default.isExecutableFile(atPath: program.path) else { return }
        try withFolder { folder in
            let beanstalkd = Process()
            beanstalkd.executableURL = program
            beanstalkd.arguments = ["-b", folder, "-l", "unix:\(folder)/socket"]
            try beanstalkd.run()
            // It makes the socket, takes the lock, and only then makes its first log.
            for _ in 0..<1000 where !FileManager.default.fileExists(atPath: folder + "/binlog.1") { usleep(10_000) }
            #expect(try !files.open(folder + "/lock", .update).lock())
            // It inherits the test's signal mask, and would not hear a SIGTERM.
            kill(beanstalkd.processIdentifier, SIGKILL)
            beanstalkd.waitUntilExit()
            let lock = try files.open(folder + "/lock", .update)
            #expect(try lock.lock())
            let second = Process()
            second.executableURL = program
            second.arguments = ["-b", folder, "-l", "unix:\(folder)/other-socket"]
            second.standardError = FileHandle.nullDevice
            try second.run()
            for _ in 0..<1000 where second.isRunning { usleep(10_000) }
            #expect(!second.isRunning, "beanstalkd took a folder that is locked")
            if second.isRunning { kill(second.processIdentifier, SIGKILL) }
            second.waitUntilExit()
            lock.close()
        }
    }
}
