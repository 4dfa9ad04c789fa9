// SPDX-License-Identifier: MIT

import CompressedBinlogStorage
import Foundation
import Testing
import TrellisCore
import TrellisFiles
import TrellisTestKit

@testable import BinlogStorage

/// Logs that were written once and must be read the same for ever; Golden/README.md says how they were made.
@Suite struct GoldenTests {
    static let kinds = ["plain", "zstd", "lz4"]
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Golden")

    static func expected(_ version: Int) throws -> GoldenContent {
        let file = folder.appendingPathComponent("version\(version)/expected.json")
        return try JSONDecoder().decode(GoldenContent.self, from: Data(contentsOf: file))
    }

    /// The files of a golden log, by name.
    static func files(_ version: Int, _ kind: String) throws -> [String: [UInt8]] {
        let folder = folder.appendingPathComponent("version\(version)/\(kind)")
        var result: [String: [UInt8]] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
            result[name] = Array(try Data(contentsOf: folder.appendingPathComponent(name)))
        }
        return result
    }

    private func settings(_ directory: String, _ kind: String, _ files: any FileSystem) -> LogSettings {
        var settings = LogSettings(
            directory: directory, segmentBytes: GoldenLife.segmentBytes, files: files, hasThreads: false)
        settings.codec = LogBench.codec(kind)
        settings.readableCodecs = [ZstdCodec(), LZ4Codec()]
        if kind != "plain" { settings.pluginID = "storage.compressed-binlog" }
        return settings
    }

    private func content(_ settings: LogSettings, _ access: StorageAccess) throws -> GoldenContent {
        let store = BinlogStorage(settings)
        let host = StorageHost(wake: {}, report: { _, text in Issue.record("\(text)") })
        try store.open(access, host: host)
        var jobs: [GoldenJob] = []
        let highest = try store.recover { job, _ in jobs.append(GoldenJob(job)) }
        try store.close()
        return GoldenContent(highestID: highest.rawValue, jobs: jobs.sorted { $0.id < $1.id })
    }

    @Test(arguments: kinds)
    func version1IsRead(kind: String) throws {
        let expected = try Self.expected(1)
        #expect(expected.jobs.count == 11 && expected.highestID == 21)
        let folder = Self.folder.appendingPathComponent("version1/\(kind)").path
        let settings = settings(folder, kind, LinuxFileSystem.shared)
        #expect(try content(settings, .readOnly) == expected)
        #expect(try BinlogStorage(settings).verify { _, _ in } == [])
        #expect(try Self.files(1, kind).keys.sorted() == ["0000000001.log", "0000000002.log", "0000000003.log"])
    }

    @Test(arguments: kinds)
    func version1IsContinued(kind: String) throws {
        let disk = FaultyFileSystem()
        for (name, bytes) in try Self.files(1, kind) { disk.setContents("/log/\(name)", bytes) }
        let settings = settings("/log", kind, disk)
        #expect(try content(settings, .readWrite) == Self.expected(1))
        let store = BinlogStorage(settings)
        try store.open(.readWrite, host: StorageHost(wake: {}))
        #expect(try store.recover { _, _ in } == JobID(21))
        var note = StorageNote()
        var added = GoldenJob(22, "default", [1])
        added.sequence = 100
        #expect(store.admit(bodyBytes: 1, tubeNameBytes: 7))
        added.show { store.append(.put($0), note: &note) }
        _ = try store.commit()
        try store.close()
        var expected = try Self.expected(1)
        expected.jobs.append(added)
        expected.highestID = 22
        #expect(try content(settings, .readOnly) == expected)
    }

    /// The head of the first segment gives the store its id; all else must come out as it stands there, but for the
    /// times at which segments were begun, and the zeroes at their ends, which the golden files lack.
    @Test func version1IsStillWritten() throws {
        let golden = try Self.files(1, "plain")
        let first = try #require(golden["0000000001.log"])
        let disk = FaultyFileSystem()
        disk.setContents(
            "/log/0000000001.log",
            first[..<4096] + [UInt8](repeating: 0, count: Int(GoldenLife.segmentBytes) - 4096))
        let store = BinlogStorage(settings("/log", "plain", disk))
        try store.open(.readWrite, host: StorageHost(wake: {}))
        _ = try store.recover { _, _ in }
        try GoldenLife(store).run()
        try store.close()
        for (name, bytes) in golden {
            var written = try #require(disk.contents(of: "/log/\(name)"))
            #expect(written[bytes.count...].allSatisfy { $0 == 0 } && written.count == GoldenLife.segmentBytes)
            // The time, and the checksum that covers it.
            for offset in Array(56..<64) + Array(124..<128) { written[offset] = bytes[offset] }
            #expect(Array(written[..<bytes.count]) == bytes, "\(name) is written differently")
        }
        let used = disk.paths.filter { disk.contents(of: $0)?.contains { $0 != 0 } ?? false }
        #expect(used == golden.keys.sorted().map { "/log/\($0)" })
    }

    /// With TRELLIS_GOLDEN_FOLDER it also writes the files there: for a new version of the format.
    @Test func version1IsWhatItsLifeMakes() throws {
        let target = ProcessInfo.processInfo.environment["TRELLIS_GOLDEN_FOLDER"]
        var found: GoldenContent?
        for kind in Self.kinds {
            let disk = FaultyFileSystem()
            let settings = settings("/log", kind, disk)
            let store = BinlogStorage(settings)
            try store.open(.readWrite, host: StorageHost(wake: {}))
            _ = try store.recover { _, _ in }
            try GoldenLife(store).run()
            try store.close()
            let content = try content(settings, .readOnly)
            found = content
            guard let target else {
                #expect(try content == Self.expected(1))
                continue
            }
            try FileManager.default.createDirectory(atPath: "\(target)/\(kind)", withIntermediateDirectories: true)
            for number in 1...3 as ClosedRange<UInt64> {
                let segment = try SegmentImage(number, on: disk)
                let bytes = segment.bytes[..<(segment.groupOffsets().last ?? 0)]
                let name = LogFormat.segmentName(number)
                try Data(bytes).write(to: URL(fileURLWithPath: "\(target)/\(kind)/\(name)"))
            }
        }
        guard let target, let found else { return }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try (encoder.encode(found) + Data("\n".utf8)).write(to: URL(fileURLWithPath: "\(target)/expected.json"))
    }
}
