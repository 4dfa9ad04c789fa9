// SPDX-License-Identifier: MIT

import CLZ4
import CZstd
import Foundation
import Testing
import TrellisCore

@testable import BinlogStorage

/// A decoder that was written from docs/binlog-format.md and knows nothing of the plugin: so the page is true.
@Suite struct FormatTests {
    @Test(arguments: GoldenTests.kinds)
    func goldenLogIsAsThePageSays(kind: String) throws {
        let expected = try GoldenTests.expected(1)
        let files = try GoldenTests.files(1, kind)
        var decoder = PageDecoder(codec: kind == "plain" ? "none" : kind)
        for name in files.keys.sorted() { try decoder.read(name, try #require(files[name])) }
        #expect(decoder.jobs.values.sorted { $0.id < $1.id } == expected.jobs)
        #expect(decoder.highestID == expected.highestID)
        // All kinds of records are there, a mark of the clean stop at the end, and a put of an id that was put before.
        #expect(decoder.kinds == [1: 16, 2: 6, 3: 4] && decoder.marks == 1 && decoder.copies == 1)
    }

    @Test func failuresAndMovesAreAsThePageSays() throws {
        let scratch = Scratch()
        let store = BinlogStorage(LogSettings(directory: scratch.path, segmentBytes: 8192, hasThreads: false))
        try store.open(.readWrite, host: StorageHost(wake: {}))
        _ = try store.recover { _, _ in }
        var notes = [StorageNote(), StorageNote()]
        var work = GoldenJob(1, "work", Array("body".utf8))
        let other = GoldenJob(2, "work", [])
        work.show { store.append(.put($0), note: &notes[0]) }
        other.show { store.append(.put($0), note: &notes[1]) }
        for (job, index) in [(work, 0), (other, 1)] {
            job.show { job in
                var failed = job
                failed.counters.failures = index == 0 ? 3 : 255
                store.append(.update(failed), note: &notes[index])
            }
        }
        work.tube = "a-tube-for-dead-letters"
        work.show { job in
            Array("work".utf8).withUnsafeBytes { store.append(.move(job, from: BorrowedName($0)), note: &notes[0]) }
        }
        _ = try store.commit()
        try store.close()
        var decoder = PageDecoder(codec: "none")
        let name = "0000000001.log"
        try decoder.read(name, try Self.withoutZeroes("\(scratch.path)/\(name)"))
        #expect(decoder.jobs == [1: work, 2: other])
        #expect(decoder.failures == [1: 0, 2: 255])
        #expect(decoder.kinds == [1: 3, 2: 2] && decoder.copies == 1)
    }

    /// A segment up to the end of its last group.
    private static func withoutZeroes(_ path: String) throws -> [UInt8] {
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        var end = 4096
        while end < bytes.count, bytes[end] != 0 {
            let stored = (0..<4).reduce(0) { $0 | Int(bytes[end + 24 + $1]) << (8 * $1) }
            end = (end + 48 + stored + 7) / 8 * 8
        }
        return Array(bytes[..<end])
    }

    @Test func checksumIsThatOfTheRFC() {
        // The vectors of RFC 3720, appendix B.4.
        #expect(PageDecoder.crc32c([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(PageDecoder.crc32c([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(PageDecoder.crc32c(Array(0..<32)) == 0x46DD_794E)
        // Begun with the checksum of the bytes before.
        #expect(PageDecoder.crc32c(Array(10..<32), begunWith: PageDecoder.crc32c(Array(0..<10))) == 0x46DD_794E)
    }
}

/// What docs/binlog-format.md tells, as plainly as it can be written.
private struct PageDecoder {
    let codec: String
    private(set) var jobs: [UInt64: GoldenJob] = [:]
    private(set) var highestID: UInt64 = 0
    private(set) var kinds: [UInt8: Int] = [:]
    private(set) var failures: [UInt64: UInt8] = [:]
    private(set) var marks = 0
    private(set) var copies = 0
    private var seen: Set<UInt64> = []
    private var storeID: UInt64?
    private var nextSegment: UInt64?
    private var nextGroup: UInt64 = 1
    private var syncedGroup: UInt64 = 0
    private var frame = Frame()

    init(codec: String) { self.codec = codec }

    // MARK: The head of a segment

    mutating func read(_ name: String, _ bytes: [UInt8]) throws {
        #expect(Array("TRELLIS\n".utf8) == Array(bytes[0..<8]))
        #expect(number(bytes, 8, 4) == 1)
        #expect(number(bytes, 12, 4) == 4096)
        let segment = number(bytes, 16, 8)
        #expect(name == String(repeating: "0", count: 10 - "\(segment)".count) + "\(segment).log")
        #expect(nextSegment == nil || segment == nextSegment)
        nextSegment = segment + 1
        let store = number(bytes, 24, 8)
        #expect(storeID == nil || storeID == store)
        storeID = store
        #expect(number(bytes, 32, 8) >= highestID)
        highestID = number(bytes, 32, 8)
        #expect(number(bytes, 40, 8) == nextGroup)
        #expect(number(bytes, 48, 8) >= syncedGroup && number(bytes, 48, 8) < nextGroup)
        #expect(Int64(bitPattern: number(bytes, 56, 8)) > 1_700_000_000_000_000_000)
        #expect(number(bytes, 64, 8) == 8192)
        let plugin = codec == "none" ? "storage.binlog" : "storage.compressed-binlog"
        #expect(text(bytes, 72, 32) == plugin && text(bytes, 104, 16) == codec)
        #expect(number(bytes, 120, 4) == 0)
        #expect(number(bytes, 124, 4) == UInt64(Self.crc32c(Array(bytes[..<124]))))
        #expect(bytes[128..<4096].allSatisfy { $0 == 0 })
        let seed = Self.crc32c(Array(bytes[24..<32]) + Array(bytes[16..<24]))
        var offset = 4096
        while offset < bytes.count { offset = try readGroup(bytes, offset, seed, isFirst: offset == 4096) }
        #expect(offset == bytes.count)
    }

    // MARK: Groups

    private mutating func readGroup(_ bytes: [UInt8], _ start: Int, _ seed: UInt32, isFirst: Bool) throws -> Int {
        #expect(start % 8 == 0 && Array(bytes[start..<start + 4]) == Array("grp\n".utf8))
        #expect(
            number(bytes, start + 4, 4) == UInt64(Self.crc32c(Array(bytes[start + 8..<start + 48]), begunWith: seed)))
        #expect(number(bytes, start + 8, 8) == nextGroup)
        nextGroup += 1
        let synced = number(bytes, start + 16, 8)
        #expect(synced >= syncedGroup && synced < nextGroup - 1)
        syncedGroup = synced
        let storedBytes = Int(number(bytes, start + 24, 4))
        let plainBytes = Int(number(bytes, start + 28, 4))
        let records = Int(number(bytes, start + 32, 4))
        let stored = Array(bytes[start + 48..<start + 48 + storedBytes])
        #expect(number(bytes, start + 36, 4) == UInt64(Self.crc32c(stored, begunWith: seed)))
        let flags = number(bytes, start + 40, 4)
        #expect(number(bytes, start + 44, 4) == 0 && flags <= 1)
        let end = (start + 48 + storedBytes + 7) / 8 * 8
        #expect(bytes[start + 48 + storedBytes..<end].allSatisfy { $0 == 0 })
        if records == 0 {
            #expect(storedBytes == 0 && plainBytes == 0 && synced == nextGroup - 2)
            marks += 1
            return end
        }
        // A frame begins with each segment; these are too small for a second one.
        #expect((flags == 1) == (codec != "none" && isFirst))
        if flags == 1 { frame = Frame() }
        let plain = codec == "none" ? stored : frame.next(stored, codec, plainBytes)
        #expect(plain.count == plainBytes)
        var offset = 0
        for _ in 0..<records { offset = try readRecord(plain, offset, seed) }
        #expect(offset == plainBytes)
        return end
    }

    // MARK: Records

    private mutating func readRecord(_ bytes: [UInt8], _ start: Int, _ seed: UInt32) throws -> Int {
        let length = Int(number(bytes, start, 4))
        let record = Array(bytes[start..<start + length])
        #expect(number(record, 4, 4) == UInt64(Self.crc32c(Array(record[8...]), begunWith: seed)))
        let kind = record[8]
        kinds[kind, default: 0] += 1
        #expect((1...3).contains(record[9]) && (kind != 3 || record[11] == 0))
        let id = number(record, 16, 8)
        highestID = max(highestID, id)
        switch kind {
        case 1:
            let name = Int(record[10])
            #expect(length == 80 + name + Int(number(record, 76, 4)))
            var job = GoldenJob(id, text(record, 80, name), Array(record[(80 + name)...]))
            change(&job, record)
            if jobs[id] != nil { copies += 1 } else { #expect(seen.insert(id).inserted) }
            jobs[id] = job
        case 2:
            var job = try #require(jobs[id])
            #expect(length == 80 && record[10] == 0 && number(record, 76, 4) == UInt64(job.bytes.count))
            change(&job, record)
            jobs[id] = job
        case 3:
            #expect(length == 32 && record[10] == 0)
            #expect(jobs.removeValue(forKey: id) != nil)
        default: Issue.record("a record of kind \(kind)")
        }
        return start + length
    }

    private mutating func change(_ job: inout GoldenJob, _ record: [UInt8]) {
        failures[job.id] = record[11]
        job.state = ["", "ready", "delayed", "buried"][Int(record[9])]
        job.priority = UInt32(number(record, 12, 4))
        job.sequence = number(record, 24, 8)
        job.createdAt = Int64(bitPattern: number(record, 32, 8))
        job.deadline = Int64(bitPattern: number(record, 40, 8))
        job.delay = UInt32(number(record, 48, 4))
        job.ttr = UInt32(number(record, 52, 4))
        let counters = (0..<5).map { UInt32(number(record, 56 + 4 * $0, 4)) }
        (job.reserves, job.timeouts, job.releases) = (counters[0], counters[1], counters[2])
        (job.buries, job.kicks) = (counters[3], counters[4])
    }

    // MARK: Numbers

    /// Little-endian and unsigned.
    private func number(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> UInt64 {
        bytes[offset..<offset + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private func text(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> String {
        String(decoding: bytes[offset..<offset + count].prefix { $0 != 0 }, as: UTF8.self)
    }

    /// Bit by bit, with the polynomial 0x1EDC6F41 reflected.
    static func crc32c(_ bytes: [UInt8], begunWith before: UInt32 = 0) -> UInt32 {
        var crc = ~before
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
        }
        return ~crc
    }
}

/// A frame that comes in pieces: what the library makes of all pieces so far, less what it made before.
private struct Frame {
    private var stored: [UInt8] = []
    private var made = 0

    mutating func next(_ piece: [UInt8], _ codec: String, _ plainBytes: Int) -> [UInt8] {
        stored += piece
        var plain = [UInt8](repeating: 0, count: made + plainBytes + 1)
        let count = codec == "zstd" ? unpackZstd(&plain) : unpackLZ4(&plain)
        let new = Array(plain[made..<count])
        made = count
        return new
    }

    private func unpackZstd(_ plain: inout [UInt8]) -> Int {
        let context = ZSTD_createDCtx()
        defer { ZSTD_freeDCtx(context) }
        return stored.withUnsafeBytes { stored in
            plain.withUnsafeMutableBytes { plain in
                var source = ZSTD_inBuffer(src: stored.baseAddress, size: stored.count, pos: 0)
                var target = ZSTD_outBuffer(dst: plain.baseAddress, size: plain.count, pos: 0)
                #expect(ZSTD_isError(ZSTD_decompressStream(context, &target, &source)) == 0)
                #expect(source.pos == stored.count)
                return target.pos
            }
        }
    }

    private func unpackLZ4(_ plain: inout [UInt8]) -> Int {
        var context: OpaquePointer?
        LZ4F_createDecompressionContext(&context, UInt32(LZ4F_VERSION))
        defer { LZ4F_freeDecompressionContext(context) }
        return stored.withUnsafeBytes { stored in
            plain.withUnsafeMutableBytes { plain in
                var (made, taken) = (plain.count, stored.count)
                let result = LZ4F_decompress(
                    context, plain.baseAddress, &made, stored.baseAddress, &taken, nil)
                #expect(LZ4F_isError(result) == 0 && taken == stored.count)
                return made
            }
        }
    }
}
