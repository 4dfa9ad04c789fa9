// SPDX-License-Identifier: MIT

import CompressedBinlogStorage
import Glibc
import TrellisCore

@testable import BinlogStorage

/// With it a job that is fine counts as a fault, and the fuzzer must run into it: a proof that it can find anything.
private let isCanary = getenv("TRELLIS_FUZZ_CANARY") != nil

/// What a log gave when it was opened, checked for what must hold whatever the bytes are.
struct Reading: Equatable {
    struct Job: Equatable {
        var id: UInt64
        var tube: [UInt8]
        var state: StoredJob.State
        var numbers: [UInt64]
        var counters: JobCounters
        var body: [UInt8]
    }

    /// In the order in which they came.
    var jobs: [Job] = []
    var highest: UInt64 = 0

    /// The jobs by themselves: a log that was continued gives them in another order.
    var sortedJobs: [Job] { jobs.sorted { $0.id < $1.id } }

    /// Opens the log on a disk, and closes it after `use`; nil where it is refused.
    init?(
        _ disk: MemoryDisk, _ access: StorageAccess,
        use: (BinlogStorage, JobID) throws(StorageError) -> Void = { _, _ in }
    ) {
        let store = BinlogStorage(Self.settings(disk))
        do throws(StorageError) {
            try store.open(access, host: StorageHost(wake: {}))
            var ids: Set<UInt64> = []
            let highest = try store.recover { job, _ in
                Self.check(job)
                if !ids.insert(job.id.rawValue).inserted { fatalError("job \(job.id.rawValue) came twice") }
                jobs.append(Job(job))
            }
            self.highest = highest.rawValue
            if highest.rawValue > LogFormat.largestNumber { fatalError("the highest id is impossible") }
            if jobs.contains(where: { $0.id > highest.rawValue }) { fatalError("an id is above the highest") }
            try use(store, highest)
            try store.close()
        } catch {
            guard case .corrupt(let reason) = error, !reason.isEmpty else { fatalError("refused with \(error)") }
            try? store.close()
            return nil
        }
    }

    static func settings(_ disk: MemoryDisk) -> LogSettings {
        LogSettings(
            directory: "/log", segmentBytes: UInt64(SegmentInput.segmentBytes), pluginID: "storage.compressed-binlog",
            codec: ZstdCodec(), readableCodecs: [ZstdCodec(), LZ4Codec()], files: disk, hasThreads: false)
    }

    private static func check(_ job: StoredJob) {
        guard BorrowedName.isValid(job.tube.bytes) else { fatalError("the tube's name is impossible") }
        guard (1...LogFormat.largestNumber).contains(job.id.rawValue), job.sequence <= LogFormat.largestNumber else {
            fatalError("a number is out of its range")
        }
        guard job.ttr > 0, job.state == .delayed || job.deadline == 0 else { fatalError("a time makes no sense") }
        guard job.bodyBytes == job.body.count else { fatalError("the body has another length") }
        // The corpus has no such job.
        if isCanary, job.state == .buried, job.counters.kicks > 0 { fatalError("the canary was found") }
    }
}

extension Reading.Job {
    init(_ job: StoredJob) {
        id = job.id.rawValue
        tube = Array(job.tube.bytes)
        state = job.state
        numbers = [
            UInt64(job.priority), UInt64(job.delay), UInt64(job.ttr), UInt64(bitPattern: job.createdAt),
            UInt64(bitPattern: job.deadline), job.sequence,
        ]
        counters = job.counters
        body = Array(job.body)
    }
}
