// SPDX-License-Identifier: MIT

import CompressedBinlogStorage
import Foundation
import Testing
import TrellisCore
import TrellisFiles
import TrellisTestKit

@testable import BinlogStorage

/// A log on files that fail: power loss at each call, each call failing, a full disk.
@Suite struct FaultTests {
    private static let seeds =
        ProcessInfo.processInfo.environment["TRELLIS_STORAGE_SEEDS"].flatMap { UInt64($0) } ?? 4

    /// What a run was told: the jobs after each change, and how many changes were acknowledged.
    final class History {
        /// The jobs after 0, 1, 2, … changes.
        var states: [[UInt64: LogBench.Job]] = [[:]]
        var acknowledged = 0
        var highest: UInt64 = 0

        /// Whether the jobs are those after some number of changes, none acknowledged one left out.
        func allows(_ jobs: [UInt64: LogBench.Job]) -> Bool { states[acknowledged...].contains(jobs) }
    }

    /// Random changes in turns, to the end or until the store fails.
    private static func live(_ bench: LogBench, seed: UInt64, turns: Int, _ history: History) throws(StorageError) {
        var random = SeededGenerator(seed: seed)
        var nextID = history.highest + 1
        for _ in 0..<turns {
            for _ in 0..<random.below(5) {
                let live = bench.jobs.keys.sorted()
                switch random.below(6) {
                case 0 where !live.isEmpty, 1 where !live.isEmpty: bench.delete(random.one(of: live))
                case 2 where !live.isEmpty:
                    let state = random.one(of: [StoredJob.State.ready, .buried])
                    bench.update(random.one(of: live), state, priority: UInt32(random.below(100)))
                default:
                    guard bench.put(nextID, body: random.bytes(random.below(random.below(9) == 0 ? 9000 : 900))) else {
                        continue
                    }
                    nextID += 1
                }
                history.states.append(bench.jobs)
                history.highest = nextID - 1
            }
            try bench.commit()
            history.acknowledged = history.states.count - 1
        }
    }

    private static func settings(_ files: FaultyFileSystem, _ sync: SyncPolicy, _ codec: String?) -> LogSettings {
        var settings = LogSettings(
            directory: "/log", sync: sync, segmentBytes: 32 << 10, files: files, hasThreads: false)
        settings.codec = LogBench.codec(codec)
        settings.readableCodecs = [ZstdCodec(), LZ4Codec()]
        return settings
    }

    private static func run(_ files: FaultyFileSystem, _ sync: SyncPolicy, _ codec: String?, seed: UInt64) -> History {
        let history = History()
        let bench = LogBench(settings(files, sync, codec))
        do throws(StorageError) {
            try bench.open()
            try live(bench, seed: seed, turns: 60, history)
            try bench.close()
        } catch {
            try? bench.close()
        }
        return history
    }

    private static func opened(
        _ files: FaultyFileSystem, _ sync: SyncPolicy, _ codec: String?
    ) throws -> (
        jobs: [UInt64: LogBench.Job], highest: UInt64
    ) {
        let bench = LogBench(settings(files, sync, codec))
        let result = try bench.open()
        try bench.close()
        return result
    }

    @Test(arguments: [SyncPolicy.always, .never], [nil, "zstd"])
    func powerLossAtAnyCallLosesNothingAcknowledged(sync: SyncPolicy, codec: String?) throws {
        for seed in 1...Self.seeds {
            let whole = FaultyFileSystem()
            _ = Self.run(whole, sync, codec, seed: seed)
            var random = SeededGenerator(seed: seed &* 977)
            // Every third call, each time from another beginning: all in some seeds.
            for call in stride(from: 1 + Int(seed) % 3, through: whole.callCount, by: 3) {
                let files = FaultyFileSystem()
                files.failCall(call, .powerLoss)
                let history = Self.run(files, sync, codec, seed: seed)
                let after = [files.crash(.nothing), files.crash(.everything), files.crash(&random)]
                for (mode, found) in after.enumerated() {
                    let (jobs, highest) = try Self.opened(found, sync, codec)
                    let place = "seed \(seed), call \(call), mode \(mode)"
                    if sync == .always {
                        #expect(history.allows(jobs), "\(place): acknowledged changes are lost, or others are there")
                        #expect(highest >= (history.states[history.acknowledged].keys.max() ?? 0), "\(place)")
                    } else {
                        #expect(history.states.contains(jobs), "\(place): not what was there at any time")
                    }
                    // Once more, from what the first start left unsynced.
                    let again = try Self.opened(found.crash(&random), sync, codec)
                    #expect(again.jobs == jobs, "\(place): the second start found something else")
                }
                let killed = try Self.opened(files.killed(), sync, codec)
                #expect(
                    history.allows(killed.jobs), "seed \(seed), call \(call): the end of the process cost something")
            }
        }
    }

    @Test(arguments: [SyncPolicy.always, .every(1), .never])
    func anyCallMayFail(sync: SyncPolicy) throws {
        for seed in 1...Self.seeds {
            let whole = FaultyFileSystem()
            _ = Self.run(whole, sync, nil, seed: seed)
            var random = SeededGenerator(seed: seed)
            for call in stride(from: 1 + Int(seed) % 2, through: whole.callCount, by: 2) {
                let fault = random.one(of: [
                    FaultyFileSystem.Fault.error(EIO), .error(ENOSPC), .shortWrite, .shortWriteThenError(EIO),
                    .shortWriteThenError(ENOSPC),
                ])
                let files = FaultyFileSystem()
                files.failCall(call, fault)
                let history = Self.run(files, sync, nil, seed: seed)
                let place = "seed \(seed), call \(call), \(fault)"
                let killed = try Self.opened(files.killed(), sync, nil)
                #expect(history.allows(killed.jobs), "\(place): acknowledged changes are lost")
                guard sync == .always else { continue }
                // A failed sync may have cost what it was to bring to the disk.
                let (jobs, _) = try Self.opened(files.crash(.nothing), sync, nil)
                #expect(history.allows(jobs), "\(place): acknowledged changes are lost with the power")
            }
        }
    }

    /// One thread reads ahead while another replays: neither may take what lies behind a failed read for what was wanted.
    @Test func aReadThatFailsIsToldAsThatAndNotAsDamage() throws {
        let files = FaultyFileSystem()
        let bench = LogBench(Self.settings(files, .never, nil))
        try bench.open()
        for id in 1...60 {
            bench.put(UInt64(id), body: [UInt8](repeating: 1, count: 3000))
            try bench.commit()
        }
        try bench.close()

        func recover(_ files: FaultyFileSystem, failing number: Int?) throws -> Int {
            var settings = Self.settings(files, .never, nil)
            settings.hasThreads = true
            let store = BinlogStorage(settings)
            defer { try? store.close() }
            try store.open(.readOnly, host: StorageHost(wake: {}, report: { _, _ in }))
            let before = files.callCount(of: .read)
            if let number { files.failNext(number, of: .read, .error(EIO)) }
            // So slowly that the other thread is ahead.
            _ = try store.recover { _, _ in usleep(500) }
            return files.callCount(of: .read) - before
        }

        let reads = try recover(files.killed(), failing: nil)
        #expect(reads >= 5)
        for number in 1...reads {
            let error = #expect(throws: StorageError.self, "read \(number)") {
                try recover(files.killed(), failing: number)
            }
            let words = error.map { "\($0)" } ?? ""
            #expect(words.contains("Input/output error"), "read \(number): \(words)")
        }
    }

    @Test func fullDiskRefusesPutsAndNothingElse() throws {
        for seed in 1...Self.seeds {
            let files = FaultyFileSystem()
            files.capacity = 600 << 10
            let bench = LogBench(Self.settings(files, .always, nil))
            try bench.open()
            var random = SeededGenerator(seed: seed)
            var nextID: UInt64 = 1
            for cycle in 0..<4 {
                var refusals = 0
                while refusals < 20 {
                    if bench.put(nextID, body: random.bytes(random.below(800))) { nextID += 1 } else { refusals += 1 }
                    try bench.commit()
                }
                #expect(bench.jobs.count > 100, "cycle \(cycle)")
                // Each job several times, as a worker that releases and buries would.
                for round in 0..<6 {
                    for id in bench.jobs.keys.sorted() {
                        bench.update(id, round % 2 == 0 ? .buried : .ready, priority: UInt32(round))
                        try bench.commit()
                    }
                }
                let all = bench.jobs.keys.sorted()
                for id in cycle % 2 == 0 ? all : all.reversed() where random.below(10) > 0 {
                    bench.delete(id)
                    try bench.commit()
                }
                for _ in 0..<50 { try bench.commit() }
            }
            let expected = bench.jobs
            try bench.close()
            #expect(try Self.opened(files, .always, nil).jobs == expected)
        }
    }

    @Test func roomThatComesBackIsUsed() throws {
        let files = FaultyFileSystem()
        files.capacity = 300 << 10
        let bench = LogBench(Self.settings(files, .never, nil))
        try bench.open()
        var nextID: UInt64 = 1
        func fill() throws -> Int {
            var count = 0
            while bench.put(nextID, body: [UInt8](repeating: 1, count: 500)) {
                nextID += 1
                count += 1
                try bench.commit()
            }
            return count
        }
        #expect(try fill() > 50)
        files.capacity = 900 << 10
        // New room is looked for again after 50 ms.
        usleep(100_000)
        #expect(try fill() > 50)
        try bench.close()
    }

    @Test(arguments: [nil, "zstd", "lz4"])
    func damageIsNeverSilent(codec: String?) throws {
        let files = FaultyFileSystem()
        let history = Self.run(files, .always, codec, seed: 5)
        let jobs = history.states[history.acknowledged]
        let names = try files.list("/log").filter { $0.hasSuffix(".log") }
        var random = SeededGenerator(seed: 11)
        var (tried, refused) = (0, 0)
        for flip in 0..<(300 * Int(Self.seeds)) {
            let copy = files.killed()
            let name = "/log/" + random.one(of: names)
            let used = (copy.contents(of: name) ?? []).lastIndex { $0 != 0 } ?? 0
            // Segments that are kept ready are empty.
            guard used > 0 else { continue }
            tried += 1
            // Only what is used: a change behind it means nothing and is looked at with the rest.
            let offset = random.below(used + 1)
            copy.corrupt(name, at: UInt64(offset), xor: UInt8(1 << random.below(8)))
            do {
                let found = try Self.opened(copy, .always, codec)
                #expect(found.jobs == jobs, "flip \(flip) at \(name) \(offset): other jobs came without an error")
            } catch StorageError.corrupt(let text) {
                refused += 1
                #expect(text.contains("/log/") && text.contains("trellisd storage"), "\(text)")
            }
        }
        #expect(tried > 50)
        #expect(refused > tried / 2)
    }

    @Test func logCutAnywhereInItsEndOpens() throws {
        let files = FaultyFileSystem()
        let settings = Self.settings(files, .never, nil)
        let bench = LogBench(settings)
        try bench.open()
        let history = History()
        try Self.live(bench, seed: 3, turns: 20, history)
        let name = "/log/" + LogFormat.segmentName(bench.store.statistics.currentSegment)
        // The process is killed, so nothing says that the end was synced.
        let content = try #require(files.killed().contents(of: name))
        let end = (content.lastIndex { $0 != 0 } ?? 0) + 1
        for cut in max(0, end - 4096)..<end {
            let copy = files.killed()
            copy.setContents(name, Array(content[..<cut]) + [UInt8](repeating: 0, count: content.count - cut))
            let jobs = try Self.opened(copy, .never, nil).jobs
            #expect(history.states.contains(jobs), "cut at \(cut)")
        }
    }

    @Test func tornGroupsNeverComeBack() throws {
        for seed in 1...(10 * Self.seeds) {
            let files = FaultyFileSystem()
            var random = SeededGenerator(seed: seed)
            var settings = Self.settings(files, .never, nil)
            var bench = LogBench(settings)
            try bench.open()
            let history = History()
            try Self.live(bench, seed: seed, turns: 10, history)
            var current = files
            for life in 1...4 as ClosedRange<UInt64> {
                current = current.crash(&random)
                settings = Self.settings(current, .never, nil)
                bench = LogBench(settings)
                let (jobs, _) = try bench.open()
                #expect(history.states.contains(jobs), "seed \(seed), life \(life)")
                history.states = [jobs]
                try Self.live(bench, seed: seed &* 31 &+ life, turns: 6, history)
            }
        }
    }
}
