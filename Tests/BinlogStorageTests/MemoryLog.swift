// SPDX-License-Identifier: MIT

import CompressedBinlogStorage
import Testing
import TrellisCore
import TrellisTestKit

@testable import BinlogStorage

/// A log in the folder `/log` of files in memory, and what opening it gives.
struct MemoryLog {
    let files: FaultyFileSystem
    var settings: LogSettings

    init(
        on files: FaultyFileSystem = FaultyFileSystem(), sync: SyncPolicy = .always, codec: String? = nil,
        segmentBytes: UInt64 = 64 << 10
    ) {
        self.files = files
        settings = LogSettings(
            directory: "/log", sync: sync, segmentBytes: segmentBytes, files: files, hasThreads: false)
        settings.codec = LogBench.codec(codec)
        settings.pluginID = codec == nil ? "storage.binlog" : "storage.compressed-binlog"
        settings.readableCodecs = [ZstdCodec(), LZ4Codec()]
    }

    /// The same log after a power loss, or the end of the process.
    func after(_ files: FaultyFileSystem) -> MemoryLog {
        var copy = MemoryLog(on: files, sync: settings.sync, codec: settings.codec?.name)
        copy.settings.segmentBytes = settings.segmentBytes
        return copy
    }

    /// The body of a job that `fill` puts.
    static func body(_ id: UInt64, bytes: Int = 2000) -> [UInt8] { SeededGenerator.bytes(bytes, seed: id) }

    /// Puts jobs, each in a group of its own, and stops cleanly; or is killed, with all written and the last unsynced.
    func fill(_ ids: ClosedRange<UInt64>, bodyBytes: Int = 2000, isKilled: Bool = false) throws -> MemoryLog {
        let bench = LogBench(settings)
        try bench.open()
        for id in ids {
            #expect(bench.put(id, body: Self.body(id, bytes: bodyBytes)))
            try bench.commit()
        }
        if isKilled { return after(files.killed()) }
        try bench.close()
        return self
    }

    func segment(_ number: UInt64) throws -> SegmentImage { try SegmentImage(number, on: files) }

    /// Changes the bytes of a segment behind the store's back.
    func change(_ number: UInt64, _ change: (inout SegmentImage) throws -> Void) throws {
        var segment = try segment(number)
        try change(&segment)
        segment.save()
    }

    /// What opening the log gives: with which jobs and which warnings.
    struct Opened: Equatable {
        var jobs: [UInt64: LogBench.Job]
        var highest: UInt64
        var warnings: [String]

        var ids: [UInt64] { jobs.keys.sorted() }
    }

    func open(_ access: StorageAccess = .readWrite) throws(StorageError) -> Opened {
        let bench = LogBench(settings)
        do throws(StorageError) {
            let (jobs, highest) = try bench.open(access)
            try bench.close()
            return Opened(jobs: jobs, highest: highest, warnings: bench.warnings)
        } catch {
            try? bench.close()
            throw error
        }
    }

    /// Opens the log, which must fail for what is stored there, and changes nothing by it; answers the reason.
    func refusal(_ location: SourceLocation = #_sourceLocation) throws -> String {
        let before = try contents()
        for access in [StorageAccess.readOnly, .readWrite] {
            let error = #expect(throws: StorageError.self, sourceLocation: location) { try open(access) }
            guard case .corrupt(let reason) = error else {
                Issue.record("it is \(String(describing: error))", sourceLocation: location)
                return ""
            }
            #expect(try contents() == before, "a refused log was changed", sourceLocation: location)
            if access == .readWrite { return reason }
        }
        return ""
    }

    func contents() throws -> [String: [UInt8]] { try LogBench(settings).contents() }
    func verify() throws -> [StorageFinding] { try BinlogStorage(settings).verify { _, _ in } }
    func repair() throws -> [String] { try BinlogStorage(settings).repair { _, _ in } }
}
