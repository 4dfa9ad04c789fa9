// SPDX-License-Identifier: MIT

import Glibc
public import TrellisCore
import TrellisFiles

/// Has every call of a store on its files fail, tear or be the last before the power goes: for stores that write through
/// `TrellisFiles`, and so can be given files that do.
///
///     try FaultyFilesTest { files in MyStorage(directory: "/jobs", files: files) }.run()
///
/// A call is found by its number, so the store must make the same calls each time: without threads of its own.
///
/// A life is 60 turns. Give the store sizes at which it compacts in that time, and admits every put: where it refuses one,
/// or fails, though no call failed, what would come after isn't tested, and that breaks the rule.
public struct FaultyFilesTest {
    private let seeds: UInt64
    private let stride: Int
    private let capacity: UInt64
    private let makeStore: (FaultyFileSystem) -> any Storage
    private static let turns = 60

    /// - Parameters:
    ///   - seeds: How many random lives are tried; each takes as many runs as it makes calls.
    ///   - stride: How many calls lie between two that are tried.
    ///   - capacity: What the disk holds in the test of a full one; what a store makes at the start has to fit.
    ///   - makeStore: Makes a store that keeps its jobs on those files, always at the same place.
    public init(
        seeds: UInt64 = 2, stride: Int = 3, capacity: UInt64 = 600 << 10,
        makeStore: @escaping (FaultyFileSystem) -> any Storage
    ) {
        self.seeds = max(1, seeds)
        self.stride = max(1, stride)
        self.capacity = capacity
        self.makeStore = makeStore
    }

    /// What is tested.
    public enum Rule: String, CaseIterable, Sendable {
        /// The power goes at each call, and what wasn't synced is lost, kept, or half of it kept.
        case powerLoss = "power loss at any call costs nothing that was acknowledged"
        /// Each call fails, or writes only a part.
        case failingCalls = "any call may fail or be cut short, and costs nothing that was acknowledged"
        /// The disk fills.
        case fullDisk = "a full disk refuses puts, and nothing else"
    }

    /// Runs rules, and throws all the failures at the end.
    public func run(
        _ rules: Set<Rule> = Set(Rule.allCases), watch: @escaping (ConformanceProgress) -> Void = { _ in }
    ) throws(ConformanceError) {
        var findings = Findings(watch: watch)
        if rules.contains(.powerLoss) { findings.rule(Rule.powerLoss.rawValue) { checkPowerLoss(&$0) } }
        if rules.contains(.failingCalls) { findings.rule(Rule.failingCalls.rawValue) { checkErrors(&$0) } }
        guard rules.contains(.fullDisk) else { return try findings.finish() }
        findings.rule(Rule.fullDisk.rawValue) { findings in
            let files = FaultyFileSystem()
            files.capacity = capacity
            do throws(ConformanceError) {
                _ = try FullDiskTest(diskBytes: capacity) { makeStore(files) }.run()
            } catch {
                for failure in error.failures { findings.fail(failure.detail) }
            }
        }
        try findings.finish()
    }

    private func checkPowerLoss(_ findings: inout Findings) {
        for seed in 1...seeds {
            guard let calls = callCount(seed, &findings) else { return }
            var random = SeededGenerator(seed: seed &* 977)
            for call in Swift.stride(from: 1 + Int(seed) % stride, through: max(1, calls), by: stride) {
                let files = FaultyFileSystem()
                files.failCall(call, .powerLoss)
                let possible = live(files, seed: seed)
                let place = "power loss at call \(call) of seed \(seed)"
                for found in [files.crash(.nothing), files.crash(.everything), files.crash(&random)] {
                    check(found, possible, place, &findings)
                }
            }
        }
    }

    private func checkErrors(_ findings: inout Findings) {
        for seed in 1...seeds {
            guard let calls = callCount(seed, &findings) else { return }
            var random = SeededGenerator(seed: seed)
            for call in Swift.stride(from: 1 + Int(seed) % stride, through: max(1, calls), by: stride) {
                let fault = random.one(of: [
                    FaultyFileSystem.Fault.error(EIO), .error(ENOSPC), .shortWrite, .shortWriteThenError(EIO),
                    .shortWriteThenError(ENOSPC),
                ])
                let files = FaultyFileSystem()
                files.failCall(call, fault)
                let possible = live(files, seed: seed)
                let place = "\(fault) at call \(call) of seed \(seed)"
                check(files.killed(), possible, "\(place), and the process ended", &findings)
                // A failed sync may have cost what it was to bring to the disk.
                check(files.crash(.nothing), possible, "\(place), and the power went", &findings)
            }
        }
    }

    /// The calls of a life without faults; nil where it isn't a whole one.
    private func callCount(_ seed: UInt64, _ findings: inout Findings) -> Int? {
        let files = FaultyFileSystem()
        var end: String?
        _ = live(files, seed: seed) { end = $0 }
        guard let end else { return files.callCount }
        findings.fail("without any fault the life of seed \(seed) came to its end \(end)")
        return nil
    }

    /// Lives until the end or the first error, which it tells, and answers what may be there then.
    private func live(
        _ files: FaultyFileSystem, seed: UInt64, whereCutShort tell: (String) -> Void = { _ in }
    ) -> PossibleJobs {
        let bench = StorageBench(patience: 10) { makeStore(files) }
        var possible = PossibleJobs()
        var place = "in its open"
        do throws(StorageError) {
            _ = try bench.open()
            var life = StorageLife(seed: seed)
            for turn in 1...Self.turns {
                place = "in turn \(turn) of \(Self.turns)"
                for change in life.turn() {
                    // A disk that seems full refuses; the life can't go on as planned.
                    possible.issue(change)
                    if !bench.make(change) {
                        throw .full("a job of \(change.job.body.count) bytes wasn't admitted")
                    }
                }
                guard try bench.commitAndWait() else { throw .fatal("a commit wasn't complete in time") }
                possible.acknowledge()
            }
            place = "in its close"
            try bench.close()
        } catch {
            tell("\(place): \(error)")
            try? bench.close()
        }
        return possible
    }

    private func check(
        _ files: FaultyFileSystem, _ possible: PossibleJobs, _ place: String, _ findings: inout Findings
    ) {
        let bench = StorageBench(patience: 10) { makeStore(files) }
        do throws(StorageError) {
            let (jobs, highest) = try bench.open()
            for fault in possible.faults(in: jobs, highest: highest) { findings.fail("\(place): \(fault)") }
            try bench.close()
        } catch {
            findings.fail("\(place): the store doesn't open again: \(error)")
            try? bench.close()
        }
    }
}
