// SPDX-License-Identifier: MIT

import BinlogStorage
import CompressedBinlogStorage
import Foundation
import TrellisCore

/// A job with a value of its own in each field, to be stored and compared.
struct SampleJob: Equatable {
    var id: UInt64
    var tube = "default"
    var state = StoredJob.State.ready
    var priority: UInt32 = 0
    var delay: UInt32 = 0
    var ttr: UInt32 = 60
    var createdAt: Int64 = 1_700_000_000_000_000_000
    var deadline: Int64 = 0
    var sequence: UInt64 = 1
    var counters = JobCounters()
    var body: [UInt8] = []

    /// Shows it as a store takes it.
    func show(_ take: (StoredJob) -> Void) {
        Array(tube.utf8).withUnsafeBytes { name in
            body.withUnsafeBytes { body in
                take(
                    StoredJob(
                        id: JobID(id), tube: BorrowedName(name), state: state, priority: priority, delay: delay,
                        ttr: ttr, createdAt: createdAt, deadline: deadline, sequence: sequence, counters: counters,
                        body: body))
            }
        }
    }

    /// What `dump --json` must print of it.
    func object(created: String, readyAt: String? = nil, body: (key: String, text: String)) -> NSDictionary {
        var object: [String: Any] = [
            "id": id, "tube": tube, "pri": priority, "delay": delay, "ttr": ttr, "created": created,
            "sequence": sequence, "reserves": counters.reserves, "timeouts": counters.timeouts,
            "releases": counters.releases, "buries": counters.buries, "kicks": counters.kicks, body.key: body.text,
        ]
        object["state"] = state == .ready ? "ready" : state == .delayed ? "delayed" : "buried"
        object["ready-at"] = readyAt
        return NSDictionary(dictionary: object)
    }

    /// Jobs that have everything a job can have: extremes, all states, bodies that are no text.
    static let all: [SampleJob] = {
        var empty = SampleJob(id: 1, ttr: 1, createdAt: 0, sequence: 3)
        empty.counters.timeouts = .max
        var delayed = SampleJob(
            id: 2, tube: String(repeating: "t", count: 200), state: .delayed, priority: .max, delay: 3600, ttr: .max,
            createdAt: 1_700_000_000_123_456_789, deadline: 1_700_003_600_000_000_001, sequence: 9,
            body: [0xFF, 0, 0xC3, 0x28])
        delayed.counters.releases = 1
        var buried = SampleJob(
            id: 3, tube: "a-1+/;.$_()", state: .buried, priority: 1023, ttr: 61, sequence: 8,
            body: Array("grüße \"\\\n\r\t\u{0}\u{7F} \u{1F642}".utf8))
        buried.counters.reserves = 11
        buried.counters.timeouts = 12
        buried.counters.releases = 13
        buried.counters.buries = 14
        buried.counters.kicks = 15
        let earlier = SampleJob(
            id: 4, state: .buried, priority: 1024, sequence: 7,
            body: [UInt8](repeating: UInt8(ascii: "x"), count: 70_000))
        return [empty, delayed, buried, earlier]
    }()

    /// What the objects of `all` are in JSON, in their order.
    static var objects: [NSDictionary] {
        [
            all[0].object(created: "1970-01-01T00:00:00.000000000Z", body: ("body", "")),
            all[1].object(
                created: "2023-11-14T22:13:20.123456789Z", readyAt: "2023-11-14T23:13:20.000000001Z",
                body: ("body-base64", "/wDDKA==")),
            all[2].object(
                created: "2023-11-14T22:13:20.000000000Z", body: ("body", "grüße \"\\\n\r\t\u{0}\u{7F} \u{1F642}")),
            all[3].object(
                created: "2023-11-14T22:13:20.000000000Z", body: ("body", String(repeating: "x", count: 70_000))),
        ]
    }
}

/// A log that a test makes for the program to work on.
final class SampleLog {
    private let store: BinlogStorage
    private var notes: [UInt64: StorageNote] = [:]
    private var jobs: [UInt64: SampleJob] = [:]

    init(_ directory: String, codec: String? = nil, segmentBytes: UInt64 = 1 << 20) throws {
        var settings = LogSettings(directory: directory, segmentBytes: segmentBytes, hasThreads: false)
        switch codec {
        case "zstd": settings.codec = ZstdCodec()
        case "lz4": settings.codec = LZ4Codec()
        default: break
        }
        if codec != nil { settings.pluginID = "storage.compressed-binlog" }
        settings.readableCodecs = [ZstdCodec(), LZ4Codec()]
        store = BinlogStorage(settings)
        try store.open(.readWrite, host: StorageHost(wake: {}))
        _ = try store.recover { _, _ in }
    }

    /// Puts a job into a group of its own.
    func put(_ job: SampleJob) throws {
        guard store.admit(bodyBytes: job.body.count, tubeNameBytes: job.tube.utf8.count) else { return }
        jobs[job.id] = job
        try append(job) { .put($0) }
    }

    func update(_ id: UInt64, _ change: (inout SampleJob) -> Void) throws {
        guard var job = jobs[id] else { return }
        change(&job)
        jobs[id] = job
        try append(job) { .update($0) }
    }

    func delete(_ id: UInt64) throws {
        guard let job = jobs.removeValue(forKey: id) else { return }
        try append(job) { .delete($0) }
    }

    private func append(_ job: SampleJob, _ change: (StoredJob) -> Change) throws {
        var note = notes[job.id] ?? StorageNote()
        job.show { store.append(change($0), note: &note) }
        notes[job.id] = note
        _ = try store.commit()
    }

    func close() throws { try store.close() }

    /// A log of the jobs of `SampleJob.all`, and of a ninth one that is gone.
    static func make(_ directory: String, codec: String? = nil) throws {
        let log = try SampleLog(directory, codec: codec)
        for job in SampleJob.all { try log.put(job) }
        try log.put(SampleJob(id: 9, sequence: 10))
        try log.delete(9)
        try log.close()
    }

    /// A log of two segments, forty jobs of 2000 bytes, ten of them deleted and one buried by an update.
    static func makeTwoSegments(_ directory: String, codec: String? = nil) throws {
        let log = try SampleLog(directory, codec: codec, segmentBytes: 64 << 10)
        var random = SystemRandomNumberGenerator()
        for id in 1...40 as ClosedRange<UInt64> {
            let body = (0..<2000).map { _ in UInt8.random(in: 0...255, using: &random) }
            try log.put(SampleJob(id: id, sequence: id, body: body))
        }
        for id in 1...10 as ClosedRange<UInt64> { try log.delete(id) }
        try log.update(11) { job in
            job.state = .buried
            job.sequence = 60
        }
        try log.close()
    }
}

/// The objects of lines of JSON.
func objects(_ lines: [String]) throws -> [NSDictionary] {
    try lines.map { line in
        let value = try JSONSerialization.jsonObject(with: Data(line.utf8))
        guard let object = value as? NSDictionary else { throw CocoaError(.propertyListReadCorrupt) }
        return object
    }
}
