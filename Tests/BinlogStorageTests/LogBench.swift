// SPDX-License-Identifier: MIT

import CompressedBinlogStorage
import Synchronization
import TrellisCore
import TrellisFiles
import TrellisTestKit

@testable import BinlogStorage

/// Drives a log as the engine does: keeps the jobs and their notes.
final class LogBench {
    struct Job: Equatable {
        var state = StoredJob.State.ready
        var priority: UInt32 = 0
        var sequence: UInt64 = 0
        var body: [UInt8]
    }

    let store: BinlogStorage
    private let settings: LogSettings
    private let notices = Notices()
    private(set) var jobs: [UInt64: Job] = [:]
    private var notes: [UInt64: StorageNote] = [:]
    private var sequence: UInt64 = 0

    /// What the store reported; it may do so from any thread.
    private final class Notices: Sendable {
        let lines = Mutex<[String]>([])
    }

    /// The warnings of the store so far.
    var warnings: [String] { notices.lines.withLock { $0 } }

    init(_ settings: LogSettings) {
        self.settings = settings
        store = BinlogStorage(settings)
    }

    static func codec(_ name: String?) -> (any LogCodec)? {
        switch name {
        case "zstd": ZstdCodec()
        case "lz4": LZ4Codec()
        default: nil
        }
    }

    @discardableResult
    func open(_ access: StorageAccess = .readWrite) throws(StorageError) -> (jobs: [UInt64: Job], highest: UInt64) {
        let notices = notices
        let host = StorageHost(
            wake: {},
            report: { level, line in
                if level == .warning { notices.lines.withLock { $0.append(line) } }
            })
        try store.open(access, host: host)
        let highest = try store.recover { job, note in
            jobs[job.id.rawValue] = Job(
                state: job.state, priority: job.priority, sequence: job.sequence, body: Array(job.body))
            notes[job.id.rawValue] = note
            sequence = max(sequence, job.sequence)
        }
        return (jobs, highest.rawValue)
    }

    /// Puts a job if the store admits it.
    @discardableResult
    func put(_ id: UInt64, body: [UInt8]) -> Bool {
        guard store.admit(bodyBytes: body.count, tubeNameBytes: 7) else { return false }
        sequence += 1
        jobs[id] = Job(sequence: sequence, body: body)
        show(id) { job, note in store.append(.put(job), note: &note) }
        return true
    }

    func update(_ id: UInt64, _ state: StoredJob.State, priority: UInt32 = 0) {
        sequence += 1
        jobs[id]?.state = state
        jobs[id]?.priority = priority
        jobs[id]?.sequence = sequence
        show(id) { job, note in store.append(.update(job), note: &note) }
    }

    func delete(_ id: UInt64) {
        sequence += 1
        show(id) { job, note in store.append(.delete(job), note: &note) }
        jobs[id] = nil
        notes[id] = nil
    }

    /// One turn's end, with a step of maintenance; answers whether there is more of that.
    @discardableResult
    func commit() throws(StorageError) -> Bool {
        let hasMore = try store.maintain { id, visit in
            guard jobs[id.rawValue] != nil else { return false }
            show(id.rawValue, visit)
            return true
        }
        _ = try store.commit()
        return hasMore
    }

    /// What the store counted as live when it was closed.
    private(set) var liveBytesAtClose: UInt64 = 0

    func close() throws(StorageError) {
        liveBytesAtClose = store.statistics.liveBytes
        try store.close()
    }

    private func show(_ id: UInt64, _ visit: (StoredJob, inout StorageNote) -> Void) {
        guard let job = jobs[id] else { return }
        var note = notes[id] ?? StorageNote()
        Array("default".utf8).withUnsafeBytes { name in
            job.body.withUnsafeBytes { body in
                visit(
                    StoredJob(
                        id: JobID(id), tube: BorrowedName(name), state: job.state, priority: job.priority, delay: 0,
                        ttr: 60, createdAt: 0, deadline: 0, sequence: job.sequence, counters: JobCounters(),
                        body: body), &note)
            }
        }
        notes[id] = note
    }

    /// What lies in the folder.
    func contents() throws -> [String: [UInt8]] {
        var result: [String: [UInt8]] = [:]
        for name in try settings.files.list(settings.directory) {
            let file = try settings.files.open(settings.directory + "/" + name, .read)
            var bytes = [UInt8](repeating: 0, count: Int(try file.size()))
            let count = try bytes.withUnsafeMutableBytes { try file.readAll(at: 0, into: $0) }
            result[name] = Array(bytes[..<count])
        }
        return result
    }
}

extension SeededGenerator {
    static func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
        var generator = SeededGenerator(seed: seed)
        return generator.bytes(count)
    }
}
