// SPDX-License-Identifier: MIT

import Glibc
import Testing
import TrellisFiles
import TrellisTestKit

@Suite struct FaultyFileSystemTests {
    private let disk = FaultyFileSystem(folders: ["/data"])

    private func number(_ body: () throws -> Void) throws -> Int32 {
        try #require(throws: FileError.self, performing: body).number
    }

    @Test func whatIsWrittenIsReadAgain() throws {
        let file = try disk.open("/data/a", .create)
        try file.put(Array("hello".utf8), at: 4094)
        #expect(try file.size() == 4099)
        #expect(try file.bytes(at: 4092, 100) == [0, 0] + Array("hello".utf8))
        #expect(try file.bytes(at: 4099, 1) == [])
        try file.put(pages(2, of: 7), at: 100)
        let other = try disk.open("data//a", .read)
        #expect(try other.bytes(at: 99, 8194) == [0] + pages(2, of: 7))
        #expect(disk.contents(of: "/data/a")?.count == 100 + 8192)
    }

    @Test func aFileIsCutAndExtendedByZeroes() throws {
        let file = try disk.open("/data/a", .create)
        try file.put(pages(3, of: 7))
        try file.resize(to: 5000)
        #expect(try file.size() == 5000)
        try file.resize(to: 12_000)
        #expect(disk.contents(of: "/data/a") == [UInt8](repeating: 7, count: 5000) + [UInt8](repeating: 0, count: 7000))
        #expect(disk.usedBytes == 8192)
    }

    @Test func reservedSpaceReadsAsZeroes() throws {
        let file = try disk.open("/data/a", .create)
        try file.put([1, 2, 3])
        try file.reserve(10_000)
        #expect(disk.contents(of: "/data/a") == [1, 2, 3] + [UInt8](repeating: 0, count: 9997))
        try file.reserve(5)
        #expect(try file.size() == 10_000)
        #expect(disk.usedBytes == 3 * 4096)
    }

    @Test func namesAreMadeRenamedListedAndRemoved() throws {
        try disk.makeFolder("/data/deep/er")
        for name in ["b", "a", "c"] { try disk.open("/data/\(name)", .create).put(Array(name.utf8)) }
        try disk.rename("/data/c", to: "/data/a")
        try disk.remove("/data/b")
        #expect(try disk.list("/data") == ["a", "deep"])
        #expect(try disk.list("/data/deep") == ["er"])
        #expect(disk.contents(of: "/data/a") == Array("c".utf8))
        #expect(disk.contents(of: "/data/b") == nil)
        #expect(disk.paths == ["/data/a"])
    }

    @Test func whatCannotBeIsRefusedAsLinuxDoes() throws {
        let file = try disk.open("/data/a", .create)
        #expect(try number { _ = try disk.open("/data/a", .create) } == EEXIST)
        #expect(try number { _ = try disk.open("/data/b", .update) } == ENOENT)
        #expect(try number { _ = try disk.open("/none/b", .create) } == ENOENT)
        #expect(try number { _ = try disk.open("/data", .read) } == EISDIR)
        #expect(try number { try disk.rename("/data/b", to: "/data/c") } == ENOENT)
        #expect(try number { try disk.rename("/data/a", to: "/a") } == EXDEV)
        #expect(try number { try disk.remove("/data/b") } == ENOENT)
        #expect(try number { _ = try disk.list("/none") } == ENOENT)
        #expect(try number { try disk.makeFolder("/data/a/b") } == EEXIST)
        #expect(try number { try disk.syncFolder("/none") } == ENOENT)
        #expect(try number { _ = try disk.freeBytes("/none") } == ENOENT)
        #expect(try number { try file.put([1], at: .max) } == EFBIG)
        let readOnly = try disk.open("/data/a", .read)
        #expect(try number { try readOnly.put([1]) } == EBADF)
        file.close()
        file.close()
        #expect(try number { _ = try file.size() } == EBADF)
        #expect(try number { _ = try file.bytes(1) } == EBADF)
    }

    @Test func aRemovedFileLivesUntilItIsClosed() throws {
        let file = try disk.open("/data/a", .create)
        try file.put(pages(1, of: 7))
        try disk.remove("/data/a")
        #expect(try file.bytes(4096) == pages(1, of: 7))
        #expect(disk.usedBytes == 4096)
        file.close()
        #expect(disk.usedBytes == 0)
    }

    @Test func lockIsHeldByOneFileUntilItIsClosedOrGone() throws {
        let first = try disk.open("/data/lock", .create)
        let second = try disk.open("/data/lock", .update)
        #expect(try first.lock())
        #expect(try first.lock(), "it has the lock already")
        #expect(try !second.lock())
        first.close()
        #expect(try second.lock())
        do {
            let third = try disk.open("/data/other", .create)
            #expect(try third.lock())
        }
        #expect(try disk.open("/data/other", .update).lock())
        #expect(try !disk.open("/data/lock", .update).lock())
        #expect(try disk.killed().open("/data/lock", .update).lock())
    }

    // MARK: Room

    @Test func aFullDiskTakesWhatFitsAndThenNothing() throws {
        let disk = FaultyFileSystem(folders: ["/data"], capacity: 4 * 4096)
        let file = try disk.open("/data/a", .create)
        try file.reserve(2 * 4096)
        #expect(try disk.freeBytes("/data") == 8192)
        #expect(try number { try file.reserve(5 * 4096) } == ENOSPC)
        #expect(try file.size() == 2 * 4096)
        #expect(try file.putOnce(pages(4, of: 7), at: 4096) == 3 * 4096)
        #expect(try number { try file.put([7], at: 4 * 4096) } == ENOSPC)
        #expect(try file.size() == 4 * 4096)
        #expect(try disk.freeBytes("/data") == 0)
        try file.put(pages(4, of: 8))
        try file.resize(to: 1 << 30)
        #expect(disk.usedBytes == 4 * 4096)
        disk.capacity = 5 * 4096
        try file.put([7], at: 4 * 4096)
        disk.capacity = 4096
        #expect(try disk.freeBytes("/data") == 0)
        try file.put([7], at: 4 * 4096 + 100)
        #expect(try number { try file.put([7], at: 5 * 4096) } == ENOSPC)
        try disk.remove("/data/a")
        file.close()
        #expect(try disk.freeBytes("/data") == 4096)
    }

    @Test func capacityOutlivesACrash() throws {
        let disk = FaultyFileSystem(folders: ["/data"], capacity: 4096)
        #expect(disk.crash(.nothing).capacity == 4096)
        #expect(disk.killed().capacity == 4096)
    }

    // MARK: Behind the store's back

    @Test func bytesAreDamagedOnTheDiskAndInMemory() throws {
        disk.setContents("/data/a", pages(2, of: 0))
        disk.corrupt("/data/a", at: 4097, xor: 0x81)
        var expected = pages(2, of: 0)
        expected[4097] = 0x81
        #expect(disk.contents(of: "/data/a") == expected)
        #expect(disk.crash(.nothing).contents(of: "/data/a") == expected)
        disk.corrupt("/data/a", at: 4097, xor: 0x81)
        #expect(disk.contents(of: "/data/a") == pages(2, of: 0))
    }

    @Test func contentsThatATestSetsWereAlwaysThere() throws {
        disk.setContents("/new/folder/a", [1, 2, 3])
        let file = try disk.open("/new/folder/a", .update)
        disk.setContents("/new/folder/a", [4])
        #expect(try file.bytes(10) == [4])
        #expect(disk.crash(.nothing).contents(of: "/new/folder/a") == [4])
    }

    // MARK: Cost

    @Test func manyCrashesOfLargeFilesAreCheap() throws {
        var file = try disk.open("/data/0", .create)
        for name in 0..<8 {
            if name > 0 { file = try disk.open("/data/\(name)", .create) }
            try file.put([UInt8](repeating: 0, count: 16 << 20))
            try file.sync()
        }
        try disk.syncFolder("/data")
        var generator = SeededGenerator(seed: 1)
        var last = disk
        // As copies these would be 128 GiB.
        for round in 0..<1000 {
            try file.put([UInt8(truncatingIfNeeded: round)], at: UInt64(round) * 4096)
            last = disk.crash(&generator)
        }
        #expect(last.usedBytes == 128 << 20)
    }

    @Test func threadsDoNotDisturbEachOther() async throws {
        let disk = disk
        await withTaskGroup { group in
            for name in 0..<4 {
                group.addTask {
                    do {
                        let file = try disk.open("/data/\(name)", .create)
                        for page in 0..<100 {
                            try file.put(pages(1, of: UInt8(name)), at: UInt64(page) * 4096)
                            try file.sync()
                        }
                    } catch {
                        Issue.record(error)
                    }
                }
            }
        }
        #expect(disk.callCount == 4 * 201)
        for name in 0..<4 { #expect(disk.contents(of: "/data/\(name)") == pages(100, of: UInt8(name))) }
    }
}
