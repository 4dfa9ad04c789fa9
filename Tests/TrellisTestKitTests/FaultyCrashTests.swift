// SPDX-License-Identifier: MIT

import Testing
import TrellisFiles
import TrellisTestKit

@Suite struct FaultyCrashTests {
    private let disk = FaultyFileSystem(folders: ["/data"])

    /// A file of pages of 1, synced, its name too.
    private func syncedFile(_ count: Int = 3) throws -> any File {
        let file = try disk.open("/data/a", .create)
        try file.put(pages(count, of: 1))
        try file.sync()
        try disk.syncFolder("/data")
        return file
    }

    private func randomCrashes(_ count: Int = 300) -> [FaultyFileSystem] {
        var generator = SeededGenerator(seed: 42)
        return (0..<count).map { _ in disk.crash(&generator) }
    }

    @Test func syncedBytesSurviveAndOthersMay() throws {
        let file = try syncedFile()
        try file.put([2, 2], at: 4095)
        #expect(disk.crash(.nothing).contents(of: "/data/a") == pages(3, of: 1))
        #expect(disk.crash(.everything).contents(of: "/data/a") == disk.contents(of: "/data/a"))
        try file.sync()
        for found in randomCrashes(20) { #expect(found.contents(of: "/data/a") == disk.contents(of: "/data/a")) }
    }

    @Test func anySubsetOfTheUnsyncedPagesSurvives() throws {
        let file = try syncedFile()
        try file.put(pages(3, of: 2))
        var seen: Set<[UInt8]> = []
        var tornSectors = false
        for found in randomCrashes() {
            let content = try #require(found.contents(of: "/data/a"))
            try #require(content.count == 3 * 4096 && content.allSatisfy { $0 == 1 || $0 == 2 })
            let firsts = (0..<24).map { content[$0 * 512] }
            // What comes through is never less than a sector.
            for sector in 0..<24 {
                #expect(content[sector * 512..<(sector + 1) * 512].allSatisfy { $0 == firsts[sector] })
            }
            let isWhole = (0..<3).allSatisfy { page in Set(firsts[page * 8..<page * 8 + 8]).count == 1 }
            if isWhole { seen.insert([firsts[0], firsts[8], firsts[16]]) } else { tornSectors = true }
        }
        #expect(seen.count == 8)
        #expect(tornSectors)
    }

    @Test func unsyncedSizesMayBeThere() throws {
        let file = try syncedFile()
        try file.put(pages(3, of: 1), at: 3 * 4096)
        let grown = Set(randomCrashes().map { $0.contents(of: "/data/a")?.count ?? -1 })
        #expect(grown == [3 * 4096, 4 * 4096, 5 * 4096, 6 * 4096])
        try file.sync()
        try file.resize(to: 100)
        let cut = Set(randomCrashes().map { $0.contents(of: "/data/a")?.count ?? -1 })
        #expect(cut == [100, 6 * 4096])
        try file.sync()
        #expect(disk.crash(.nothing).contents(of: "/data/a")?.count == 100)
        // What was cut off doesn't come back when the file grows again.
        try file.resize(to: 6 * 4096)
        try file.sync()
        let expected = [UInt8](repeating: 1, count: 100) + [UInt8](repeating: 0, count: 6 * 4096 - 100)
        #expect(disk.crash(.nothing).contents(of: "/data/a") == expected)
    }

    @Test func whatIsCutAndExtendedInOneGoIsZeroOnceItIsSynced() throws {
        let file = try syncedFile()
        try file.resize(to: 100)
        try file.resize(to: 3 * 4096)
        let expected = [UInt8](repeating: 1, count: 100) + [UInt8](repeating: 0, count: 3 * 4096 - 100)
        #expect(disk.crash(.nothing).contents(of: "/data/a") == pages(3, of: 1))
        try file.sync()
        #expect(disk.crash(.nothing).contents(of: "/data/a") == expected)
    }

    @Test func aReservationIsDurableAfterSync() throws {
        let file = try syncedFile()
        try file.reserve(10 * 4096)
        #expect(disk.crash(.nothing).usedBytes == 3 * 4096)
        #expect(disk.crash(.everything).usedBytes == 10 * 4096)
        try file.sync()
        let found = disk.crash(.nothing)
        #expect(found.usedBytes == 10 * 4096)
        #expect(found.contents(of: "/data/a") == pages(3, of: 1) + pages(7, of: 0))
        found.capacity = 0
        try found.open("/data/a", .update).put(pages(10, of: 2))
    }

    @Test func aPrefixOfTheFoldersChangesSurvives() throws {
        _ = try syncedFile()
        _ = try disk.open("/data/b", .create)
        try disk.rename("/data/a", to: "/data/c")
        try disk.remove("/data/b")
        let lists = try Set(randomCrashes().map { try $0.list("/data") })
        #expect(lists == [["a"], ["a", "b"], ["b", "c"], ["c"]])
        #expect(try disk.crash(.nothing).list("/data") == ["a"])
        #expect(try disk.crash(.everything).list("/data") == ["c"])
        try disk.syncFolder("/data")
        #expect(try disk.crash(.nothing).list("/data") == ["c"])
        #expect(disk.crash(.nothing).contents(of: "/data/c") == pages(3, of: 1))
    }

    @Test func aRemovedFileComesBackWithWhatWasSynced() throws {
        let file = try syncedFile()
        try file.put(pages(1, of: 2))
        try disk.remove("/data/a")
        file.close()
        #expect(disk.crash(.nothing).contents(of: "/data/a") == pages(3, of: 1))
        try disk.syncFolder("/data")
        #expect(disk.crash(.nothing).paths == [])
    }

    @Test func aFolderIsThereOnceTheOneAboveWasSynced() throws {
        try disk.makeFolder("/data/deep/er")
        disk.setContents("/data/a", [])
        try disk.open("/data/deep/er/a", .create).sync()
        try disk.syncFolder("/data/deep/er")
        #expect(try disk.crash(.nothing).list("/data/deep") == [])
        try disk.syncFolder("/data/deep")
        #expect(disk.crash(.nothing).paths == ["/data/a", "/data/deep/er/a"])
    }

    @Test func aTestCanSayWhatSurvives() throws {
        let file = try syncedFile(1)
        try file.put(pages(3, of: 2))
        try disk.rename("/data/a", to: "/data/b")
        try disk.remove("/data/b")
        var asked: [FaultyFileSystem.Unsynced] = []
        let found = disk.crash { piece in
            asked.append(piece)
            return piece != .page(file: "/data/b", offset: 4096) && piece != .change(folder: "/data", "remove b")
        }
        #expect(
            asked == [
                .change(folder: "/data", "rename a to b"), .change(folder: "/data", "remove b"),
                .page(file: "/data/b", offset: 0), .page(file: "/data/b", offset: 4096),
                .page(file: "/data/b", offset: 8192), .size(file: "/data/b"),
            ])
        #expect(found.contents(of: "/data/b") == pages(1, of: 2) + pages(1, of: 0) + pages(1, of: 2))
    }

    @Test func theSameSeedGivesTheSameCrash() throws {
        for name in 0..<20 {
            try disk.open("/data/\(name)", .create).put(pages(3, of: 2))
        }
        func outcome(_ seed: UInt64) -> [String: [UInt8]] {
            var generator = SeededGenerator(seed: seed)
            let found = disk.crash(&generator)
            return Dictionary(uniqueKeysWithValues: found.paths.map { ($0, found.contents(of: $0) ?? []) })
        }
        #expect(outcome(1) == outcome(1))
        #expect(Set((0..<20).map { outcome($0).count }).count > 1)
    }

    @Test func theTwoGoOnByThemselves() throws {
        let file = try syncedFile()
        let found = disk.crash(.everything)
        try found.open("/data/a", .update).put(pages(1, of: 2))
        try file.put(pages(1, of: 3))
        #expect(found.contents(of: "/data/a") == pages(1, of: 2) + pages(2, of: 1))
        #expect(disk.contents(of: "/data/a") == pages(1, of: 3) + pages(2, of: 1))
        #expect(found.callCount == 2)
    }

    @Test func aKilledProcessLosesNothingUntilThePowerFails() throws {
        let file = try syncedFile()
        try file.put(pages(1, of: 2))
        disk.failAll(of: .open, with: 5)
        _ = try file.lock()
        let found = disk.killed()
        #expect(found.contents(of: "/data/a") == pages(1, of: 2) + pages(2, of: 1))
        #expect(found.crash(.nothing).contents(of: "/data/a") == pages(3, of: 1))
        let again = try found.open("/data/a", .update)
        #expect(try again.lock())
        try again.sync()
        #expect(found.crash(.nothing).contents(of: "/data/a") == pages(1, of: 2) + pages(2, of: 1))
        #expect(disk.crash(.nothing).contents(of: "/data/a") == pages(3, of: 1))
    }

    // MARK: What it is for

    private enum Care: CaseIterable {
        case none, content, contentAndName
    }

    /// Replaces a file by the usual way round: a new file, renamed.
    private func replace(on disk: FaultyFileSystem, with bytes: [UInt8], _ care: Care) throws {
        let file = try disk.open("/data/new", .create)
        try file.put(bytes)
        if care != .none { try file.sync() }
        file.close()
        try disk.rename("/data/new", to: "/data/config")
        if care == .contentAndName { try disk.syncFolder("/data") }
    }

    /// What is found in the file after any number of calls and a power loss, and whether it was replaced by then.
    private func outcomes(_ care: Care) throws -> Set<[UInt8]> {
        var found: Set<[UInt8]> = []
        var generator = SeededGenerator(seed: 7)
        for number in 1... {
            let disk = FaultyFileSystem()
            disk.setContents("/data/config", pages(2, of: 1))
            disk.failCall(number, .powerLoss)
            let isDone = (try? replace(on: disk, with: pages(2, of: 2), care)) != nil
            var after: Set<[UInt8]> = []
            for _ in 0..<100 { after.insert(disk.crash(&generator).contents(of: "/data/config") ?? []) }
            found.formUnion(after)
            if isDone {
                #expect(!disk.hasLostPower)
                // Whoever has synced the name, too, can promise that the new content is there.
                #expect((after == [pages(2, of: 2)]) == (care == .contentAndName))
                break
            }
        }
        return found
    }

    @Test func aCarelessWriterLosesItsContentAndACarefulOneNever() throws {
        let whole: Set<[UInt8]> = [pages(2, of: 1), pages(2, of: 2)]
        let careless = try outcomes(.none)
        #expect(careless.contains([]), "the new name with none of its content")
        #expect(careless.contains { $0.count == 8192 && !whole.contains($0) }, "the new name with holes in its content")
        #expect(try outcomes(.content) == whole)
        #expect(try outcomes(.contentAndName) == whole)
    }
}
