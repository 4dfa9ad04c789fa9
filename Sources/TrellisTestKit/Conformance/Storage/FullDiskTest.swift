// SPDX-License-Identifier: MIT

import CLinux
import Glibc
public import TrellisCore

/// Fills the disk under a store: puts must be refused, and nothing else may fail.
public struct FullDiskTest {
    /// The rule, as results name it.
    public static let rule = "a full disk refuses puts, and nothing else"
    private let diskBytes: UInt64
    private let makeStore: () -> any Storage
    private static let bodyBytes = 1000

    /// - Parameters:
    ///   - diskBytes: How much the disk holds.
    ///   - makeStore: Makes a store at one place on the disk, empty at first: another object at each call.
    public init(diskBytes: UInt64, makeStore: @escaping () -> any Storage) {
        self.diskBytes = diskBytes
        self.makeStore = makeStore
    }

    /// Makes a folder a small disk for this process alone, or where that is refused, limits the files that it may write.
    ///
    /// Lasts until the process ends. Answers what was done, in words.
    public static func limitDisk(_ folder: String, bytes: UInt64) -> String {
        let number = clinux_mount_small_disk(folder, bytes)
        if number == 0 { return "a tmpfs of \(bytes >> 20) MiB" }
        var limit = rlimit(rlim_cur: rlim_t(bytes), rlim_max: rlim_t(bytes))
        // Else the signal ends the process before the store sees the error.
        signal(SIGXFSZ, SIG_IGN)
        setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
        return "files of at most \(bytes >> 20) MiB (RLIMIT_FSIZE), since mounting a tmpfs is refused: "
            + String(cString: strerror(number))
    }

    /// Runs the test, and answers what it did.
    public func run(watch: @escaping (ConformanceProgress) -> Void = { _ in }) throws(ConformanceError) -> String {
        var findings = Findings(watch: watch)
        var note = ""
        findings.rule(Self.rule) { note = run(&$0) }
        try findings.finish()
        return note
    }

    private func run(_ findings: inout Findings) -> String {
        let bench = StorageBench(patience: 10, makeStore)
        // What is being done, for the message should it fail.
        var work = "open"
        do throws(StorageError) {
            _ = try bench.open()
            work = "a turn of puts that admit had promised room for"
            guard try fill(bench) else {
                try bench.close()
                return "never full: \(bench.expected.count) jobs of \(Self.bodyBytes) bytes were admitted; not tested"
            }
            let count = bench.expected.count
            findings.expect(count > 0, "not one job of \(Self.bodyBytes) bytes fits; try a larger --disk")
            work = "an update of one of \(count) jobs while the disk was full"
            for _ in 0..<3 {
                try each(bench) { StorageConformance.change(bench, $0, to: .buried) }
            }
            work = "a delete while the disk was full"
            try each(bench) { if $0 % 10 != 0 { bench.delete($0) } }
            work = "a turn after most jobs were deleted"
            if count > 1, !(try hasRoomAgain(bench)) {
                findings.fail("after nine of ten of \(count) jobs were deleted, puts are still refused")
            }
            work = "close"
            let expected = bench.expected
            work = "open, recover or close after the disk was full"
            let (jobs, highest) = try bench.reopen()
            for fault in PossibleJobs(Array(expected.values), highest: bench.highestID).faults(
                in: jobs, highest: highest)
            {
                findings.fail("after a restart \(fault)")
            }
            try bench.close()
            return "\(count) jobs filled it"
        } catch {
            findings.fail("\(work): \(error)")
            try? bench.close()
            return ""
        }
    }

    /// Puts jobs until they are refused for a while; false where that doesn't happen.
    private func fill(_ bench: StorageBench) throws(StorageError) -> Bool {
        var refusals = 0
        var id: UInt64 = 0
        let body = [UInt8](repeating: UInt8(ascii: "x"), count: Self.bodyBytes)
        while refusals < 20 {
            var wasRefused = false
            for _ in 0..<20 where !wasRefused {
                var job = KeptJob(id + 1)
                job.body = body
                if bench.put(job) { id += 1 } else { wasRefused = true }
            }
            _ = try bench.commitAndWait()
            refusals = wasRefused ? refusals + 1 : 0
            // A store may well look for room on a thread.
            if wasRefused { usleep(5000) }
            if id * UInt64(Self.bodyBytes) > diskBytes * 4 { return false }
        }
        return true
    }

    /// Does something with every live job, some in a turn.
    private func each(_ bench: StorageBench, _ act: (UInt64) -> Void) throws(StorageError) {
        for (index, id) in bench.expected.keys.sorted().enumerated() {
            act(id)
            if index % 20 == 19 { _ = try bench.commitAndWait() }
        }
        _ = try bench.commitAndWait()
    }

    private func hasRoomAgain(_ bench: StorageBench) throws(StorageError) -> Bool {
        for _ in 0..<400 {
            for _ in 0..<20 { _ = try bench.commitAndWait() }
            if bench.store.admit(bodyBytes: Self.bodyBytes, tubeNameBytes: 7) { return true }
            usleep(5000)
        }
        return false
    }
}
