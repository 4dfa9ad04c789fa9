// SPDX-License-Identifier: MIT

import Glibc
import Testing
import TrellisFiles
import TrellisTestKit

@Suite struct FaultyFaultTests {
    private let disk = FaultyFileSystem(folders: ["/data"])

    private func number(_ body: () throws -> Void) throws -> Int32 {
        try #require(throws: FileError.self, performing: body).number
    }

    /// Makes each kind of call once, in the order of `Call.allCases`; an error ends it.
    private func life(on disk: FaultyFileSystem) throws {
        let file = try disk.open("/data/a", .create)
        _ = try file.bytes(1)
        try file.put([1, 2])
        try file.sync()
        try file.resize(to: 1)
        try file.reserve(2)
        _ = try file.lock()
        try disk.rename("/data/a", to: "/data/b")
        try disk.remove("/data/b")
        _ = try disk.list("/data")
        try disk.makeFolder("/data/c")
        try disk.syncFolder("/data")
    }

    @Test func everyCallIsCountedAndLogged() throws {
        disk.logsCalls = true
        try life(on: disk)
        #expect(
            disk.calls == [
                "open /data/a create", "read /data/a 1 at 0", "write /data/a 2 at 0", "sync /data/a",
                "resize /data/a to 1", "reserve /data/a 2", "lock /data/a", "rename /data/a to /data/b",
                "remove /data/b", "list /data", "makeFolder /data/c", "syncFolder /data",
            ])
        #expect(disk.callCount == 12)
        for call in FaultyFileSystem.Call.allCases { #expect(disk.callCount(of: call) == 1) }
    }

    @Test(arguments: 1...12)
    func theNumberedCallFails(_ call: Int) throws {
        disk.failCall(call, .error(EDQUOT))
        let error = try #require(throws: FileError.self) { try life(on: disk) }
        #expect(error.isFull)
        #expect(disk.callCount == call)
    }

    @Test func aFailedCallChangesNothing() throws {
        let file = try disk.open("/data/a", .create)
        try file.put([1, 2])
        for call in FaultyFileSystem.Call.allCases { disk.failAll(of: call, with: EIO) }
        #expect(throws: FileError.self) { try file.put([3]) }
        #expect(throws: FileError.self) { try file.resize(to: 1) }
        #expect(throws: FileError.self) { try file.reserve(10) }
        #expect(throws: FileError.self) { try file.lock() }
        #expect(throws: FileError.self) { try disk.rename("/data/a", to: "/data/b") }
        #expect(throws: FileError.self) { try disk.remove("/data/a") }
        #expect(throws: FileError.self) { try disk.makeFolder("/data/c") }
        #expect(throws: FileError.self) { try disk.open("/data/c", .create) }
        #expect(throws: FileError.self) { try disk.syncFolder("/data") }
        for call in FaultyFileSystem.Call.allCases { disk.lift(call) }
        #expect(try disk.list("/data") == ["a"])
        #expect(disk.contents(of: "/data/a") == [1, 2])
        #expect(try disk.open("/data/a", .update).lock())
        #expect(disk.crash(.nothing).contents(of: "/data/a") == nil)
    }

    @Test func theNextCallOfAKindFails() throws {
        let file = try disk.open("/data/a", .create)
        try file.sync()
        disk.failNext(2, of: .sync, .error(EIO))
        try file.sync()
        try file.put([1])
        #expect(try number { try file.sync() } == EIO)
        try file.sync()
    }

    @Test(arguments: [1, 2, 3, 1000])
    func aShortWriteWritesABeginning(_ count: Int) throws {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 + 1) }
        for before in 0..<8 {
            let disk = FaultyFileSystem(folders: ["/data"])
            let file = try disk.open("/data/a", .create)
            for _ in 0..<before { try file.sync() }
            disk.failNext(of: .write, .shortWrite)
            let written = try file.putOnce(bytes)
            #expect(written >= 1 && (written < count || count == 1))
            #expect(disk.contents(of: "/data/a") == Array(bytes[..<written]))
            try file.put(Array(bytes[written...]), at: UInt64(written))
            #expect(disk.contents(of: "/data/a") == bytes)
        }
    }

    @Test func aShortWriteIsNothingToOtherCalls() throws {
        for call in FaultyFileSystem.Call.allCases where call != .write { disk.failNext(of: call, .shortWrite) }
        try life(on: disk)
    }

    @Test func anErrorComesBehindAShortWrite() throws {
        let file = try disk.open("/data/a", .create)
        let other = try disk.open("/data/b", .create)
        disk.failNext(of: .write, .shortWriteThenError(ENOSPC))
        #expect(try number { try file.put([1, 2, 3, 4]) } == ENOSPC)
        let written = try file.size()
        #expect(written >= 1 && written < 4)
        try other.put([1])
        try file.put([9])
    }

    @Test func afterAPowerLossEveryCallFails() throws {
        let file = try disk.open("/data/a", .create)
        try file.put([1])
        disk.failCall(disk.callCount + 1, .powerLoss)
        #expect(!disk.hasLostPower)
        #expect(try number { try file.sync() } == EIO)
        #expect(disk.hasLostPower)
        #expect(try number { try life(on: disk) } == EIO)
        #expect(try number { _ = try file.size() } == EIO)
        #expect(try number { _ = try disk.freeBytes("/data") } == EIO)
        #expect(try number { try disk.syncFolder("/data") } == EIO)
        #expect(disk.crash(.nothing).paths == [])
        let found = disk.crash(.everything)
        #expect(found.contents(of: "/data/a") == [1])
        #expect(try found.open("/data/a", .update).lock())
    }

    @Test func aFailedSyncForgetsWhatItShouldHaveWritten() throws {
        let file = try disk.open("/data/a", .create)
        try file.put(pages(3, of: 1))
        try file.sync()
        try disk.syncFolder("/data")
        try file.put(pages(1, of: 2), at: 4096)
        try file.put(pages(1, of: 2), at: 8192)
        disk.failNext(of: .sync, .error(EIO))
        #expect(throws: FileError.self) { try file.sync() }
        try file.put([3], at: 8192)
        try file.sync()
        #expect(disk.contents(of: "/data/a") == pages(1, of: 1) + pages(1, of: 2) + [3] + pages(1, of: 2).dropLast())
        // The page that was written again is whole on the disk, the other one isn't there.
        let found = disk.crash(.nothing).contents(of: "/data/a")
        #expect(found == pages(2, of: 1) + [3] + pages(1, of: 2).dropLast())
        var unsynced: [FaultyFileSystem.Unsynced] = []
        _ = disk.crash {
            unsynced.append($0)
            return true
        }
        #expect(unsynced == [.page(file: "/data/a", offset: 4096)])
        #expect(disk.crash(.everything).contents(of: "/data/a") == disk.contents(of: "/data/a"))
    }
}
