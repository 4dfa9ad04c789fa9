// SPDX-License-Identifier: MIT

import Foundation
import TrellisCore
import TrellisTestKit

@testable import BinlogStorage

/// A job as Golden/version1/expected.json describes it.
struct GoldenJob: Codable, Equatable {
    var id: UInt64
    var tube: String
    var state: String
    var priority: UInt32 = 0
    var delay: UInt32 = 0
    var ttr: UInt32 = 60
    var createdAt: Int64
    var deadline: Int64 = 0
    var sequence: UInt64 = 0
    var reserves: UInt32 = 0
    var timeouts: UInt32 = 0
    var releases: UInt32 = 0
    var buries: UInt32 = 0
    var kicks: UInt32 = 0
    /// Where it is text; else it is in the next field.
    var body: String?
    var bodyBase64: String?

    init(_ id: UInt64, _ tube: String, _ bytes: [UInt8], at second: Int64 = 0) {
        self.id = id
        self.tube = tube
        state = "ready"
        createdAt = 1_700_000_000_123_456_789 + second * 1_000_000_000
        body = String(validating: bytes, as: UTF8.self)
        if body == nil { bodyBase64 = Data(bytes).base64EncodedString() }
    }

    init(_ job: StoredJob) {
        self.init(job.id.rawValue, String(decoding: job.tube.bytes, as: UTF8.self), Array(job.body))
        state = job.state == .ready ? "ready" : job.state == .delayed ? "delayed" : "buried"
        (priority, delay, ttr) = (job.priority, job.delay, job.ttr)
        (createdAt, deadline, sequence) = (job.createdAt, job.deadline, job.sequence)
        let counters = job.counters
        (reserves, timeouts, releases) = (counters.reserves, counters.timeouts, counters.releases)
        (buries, kicks) = (counters.buries, counters.kicks)
    }

    /// The body.
    var bytes: [UInt8] { body.map { Array($0.utf8) } ?? Data(base64Encoded: bodyBase64 ?? "").map(Array.init) ?? [] }

    /// Shows it as a store takes it.
    func show<Result>(_ take: (StoredJob) -> Result) -> Result {
        var counters = JobCounters()
        (counters.reserves, counters.timeouts, counters.releases) = (reserves, timeouts, releases)
        (counters.buries, counters.kicks) = (buries, kicks)
        return Array(tube.utf8).withUnsafeBytes { name in
            bytes.withUnsafeBytes { body in
                take(
                    StoredJob(
                        id: JobID(id), tube: BorrowedName(name),
                        state: state == "ready" ? .ready : state == "delayed" ? .delayed : .buried,
                        priority: priority, delay: delay, ttr: ttr, createdAt: createdAt, deadline: deadline,
                        sequence: sequence, counters: counters, body: body))
            }
        }
    }
}

/// What a folder of golden files must be read as.
struct GoldenContent: Codable, Equatable {
    var highestID: UInt64
    /// In the order of their ids.
    var jobs: [GoldenJob]
}

/// The life of the golden log: all kinds of changes, in turns, over three small segments.
///
/// It must stay as it is: Golden/version1 was written by it.
final class GoldenLife {
    static let segmentBytes: UInt64 = 8192
    private let store: BinlogStorage
    private var jobs: [UInt64: GoldenJob] = [:]
    private var notes: [UInt64: StorageNote] = [:]
    private var sequence: UInt64 = 0

    init(_ store: BinlogStorage) { self.store = store }

    /// Lives it on a store that was opened and holds nothing.
    func run() throws {
        var ready = GoldenJob(1, "default", Array("first".utf8))
        ready.ttr = 1
        try turn { put(ready) }
        var delayed = GoldenJob(2, String(repeating: "t", count: 200), Array(0...255), at: 1)
        (delayed.priority, delayed.ttr, delayed.delay) = (.max, .max, 3600)
        (delayed.state, delayed.deadline) = ("delayed", delayed.createdAt + 3_600_000_000_000)
        var buried = GoldenJob(3, "a-Z0+/;.$_()", Array("grüße \u{2603}\r\n\0".utf8), at: 2)
        (buried.state, buried.priority) = ("buried", 1023)
        (buried.reserves, buried.timeouts, buried.releases, buried.buries, buried.kicks) = (1, 2, 3, 4, .max)
        try turn {
            put(delayed)
            put(buried)
            put(GoldenJob(4, "default", [], at: 3))
        }
        try turn {
            update(1) { ($0.state, $0.priority, $0.reserves, $0.buries) = ("buried", 7, 1, 1) }
            put(GoldenJob(5, "default", Array("gone".utf8), at: 4))
        }
        try turn { delete(5) }
        // These fill the rest of the first segment, and the second.
        for id in 10...17 as ClosedRange<UInt64> {
            try turn { put(GoldenJob(id, "fill", SeededGenerator.bytes(700, seed: id), at: Int64(id))) }
        }
        try turn {
            update(3) { ($0.state, $0.kicks) = ("ready", 0) }
            delete(10)
        }
        try turn {
            update(1) { ($0.state, $0.priority, $0.kicks) = ("ready", 7, 1) }
            update(2) { ($0.delay, $0.deadline, $0.releases) = (7200, $0.createdAt + 7_200_000_000_000, 1) }
            update(11) { ($0.state, $0.buries) = ("buried", 1) }
        }
        // As compaction copies a job: put once more, as it stands.
        try turn { putAgain(3) }
        try turn { delete(12) }
        // The third segment: the last changes, and an id that nobody has any more.
        try turn { put(GoldenJob(20, "fill", SeededGenerator.bytes(700, seed: 20), at: 20)) }
        try turn { put(GoldenJob(21, "default", Array("last".utf8), at: 21)) }
        try turn { delete(21) }
        // A counter that changed without a record is handed over at a clean stop: the sequence number stays.
        try turn { updateCounters(20) { ($0.reserves, $0.timeouts) = (2, 1) } }
    }

    private func turn(_ changes: () -> Void) throws {
        changes()
        _ = try store.commit()
    }

    private func put(_ job: GoldenJob) {
        jobs[job.id] = job
        append(job.id) { .put($0) }
    }

    private func putAgain(_ id: UInt64) {
        guard let job = jobs[id] else { return }
        var note = notes[id] ?? StorageNote()
        job.show { store.append(.put($0), note: &note) }
        notes[id] = note
    }

    private func update(_ id: UInt64, _ change: (inout GoldenJob) -> Void) {
        guard var job = jobs[id] else { return }
        change(&job)
        jobs[id] = job
        append(id) { .update($0) }
    }

    private func updateCounters(_ id: UInt64, _ change: (inout GoldenJob) -> Void) {
        let kept = sequence
        sequence = (jobs[id]?.sequence ?? 1) - 1
        update(id, change)
        sequence = kept
    }

    private func delete(_ id: UInt64) {
        append(id) { .delete($0) }
        jobs[id] = nil
    }

    private func append(_ id: UInt64, _ change: (StoredJob) -> Change) {
        sequence += 1
        jobs[id]?.sequence = sequence
        var note = notes[id] ?? StorageNote()
        jobs[id]?.show { store.append(change($0), note: &note) }
        notes[id] = note
    }
}
