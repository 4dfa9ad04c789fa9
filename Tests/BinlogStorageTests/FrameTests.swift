// SPDX-License-Identifier: MIT

import CompressedBinlogStorage
import Synchronization
import Testing
import TrellisCore
import TrellisFiles
import TrellisTestKit

@testable import BinlogStorage

/// Frames of a compressed log: each is read by itself, whatever became of the others.
@Suite struct FrameTests {
    /// A codec that notes how much memory its output took at most.
    private struct Measured: LogCodec {
        final class Decoder: LogDecoder {
            let inner: any LogDecoder
            let peak: Peak

            init(_ inner: any LogDecoder, _ peak: Peak) {
                self.inner = inner
                self.peak = peak
            }

            func decode(
                _ stored: UnsafeRawBufferPointer, plainBytes: Int, beginsFrame: Bool, into output: LogBuffer
            ) -> Bool {
                defer { _ = peak.bytes.max(output.count + output.tail(0).count, ordering: .relaxed) }
                return inner.decode(stored, plainBytes: plainBytes, beginsFrame: beginsFrame, into: output)
            }
        }

        final class Peak: Sendable { let bytes = Atomic<Int>(0) }

        let inner: any LogCodec
        let peak = Peak()

        var name: String { inner.name }
        func bound(_ plainBytes: Int) -> Int { inner.bound(plainBytes) }
        func makeEncoder() -> any LogEncoder { inner.makeEncoder() }
        func makeDecoder() -> any LogDecoder { Decoder(inner.makeDecoder(), peak) }
    }

    @Test(arguments: ["zstd", "lz4"])
    func whatIsSmallOnTheDiskStaysSmallInMemory(codec: String) throws {
        // A segment of a mebibyte that holds some hundred mebibytes of jobs, all alike.
        let measured = Measured(inner: try #require(LogBench.codec(codec)))
        var settings = LogSettings(
            directory: "/log", sync: .never, segmentBytes: 1 << 20, files: FaultyFileSystem(), hasThreads: false)
        settings.codec = measured
        settings.readableCodecs = [measured]
        let bench = LogBench(settings)
        try bench.open()
        let body = [UInt8](repeating: 7, count: 60_000)
        for id in 1...2000 as ClosedRange<UInt64> {
            #expect(bench.put(id, body: body))
            if id > 5 { bench.delete(id) }
            try bench.commit()
        }
        let segments = bench.store.statistics.currentSegment - bench.store.statistics.oldestSegment + 1
        #expect(segments < 3, "the jobs aren't packed as close as they should be")
        try bench.close()
        let again = LogBench(settings)
        let (jobs, highest) = try again.open()
        #expect(jobs.keys.sorted() == [1, 2, 3, 4, 5] && highest == 2000)
        try again.close()
        #expect(measured.peak.bytes.load(ordering: .relaxed) <= 4 << 20)
        #expect(try BinlogStorage(settings).verify { _, _ in } == [])
    }

    /// A log of seven frames in one segment, each of three jobs of 200,000 bytes.
    private func sevenFrames(_ codec: String) throws -> MemoryLog {
        let log = try MemoryLog(codec: codec, segmentBytes: 8 << 20).fill(1...21, bodyBytes: 200_000)
        let segment = try log.segment(1)
        let begins = segment.groupOffsets().dropLast().map { segment.groupHeader(at: $0)?.beginsFrame }
        #expect(Array(begins.prefix(21)) == (0..<21).map { $0 % 3 == 0 })
        return log
    }

    @Test(arguments: ["zstd", "lz4"])
    func damageCostsTheRestOfItsFrame(codec: String) throws {
        let log = try sevenFrames(codec)
        let offsets = try log.segment(1).groupOffsets()
        try log.change(1) { $0.bytes[offsets[4] + 1000] ^= 1 }
        #expect(
            try log.refusal().contains("0000000001.log at byte \(offsets[4]): the checksum of group 5 is wrong;"))
        #expect(
            try log.verify().map(\.text) == [
                "/log/0000000001.log at byte \(offsets[4]): the checksum of group 5 is wrong; unreadable up to byte "
                    + "\(offsets[5]), group 6",
                "/log/0000000001.log at byte \(offsets[5]): group 6 can't be decompressed", "jobs that can be read: 19",
            ])
        _ = try log.repair()
        #expect(try log.open().ids == Array(1...4) + Array(7...21))
    }

    @Test(arguments: ["zstd", "lz4"])
    func lostGroupsOfAFrameAreOneFinding(codec: String) throws {
        // The checksum of the group is right, but its content isn't what the codec made.
        let log = try sevenFrames(codec)
        let offsets = try log.segment(1).groupOffsets()
        try log.change(1) { segment in
            for offset in offsets[3] + 48..<offsets[3] + 60 { segment.bytes[offset] = 0xFF }
            try segment.changeGroup(3)
        }
        let reason = "0000000001.log at byte \(offsets[3]): group"
        #expect(try log.refusal().contains("\(reason) 4 can't be decompressed"))
        #expect(
            try log.verify().map(\.text) == [
                "/log/\(reason)s 4 to 6 can't be decompressed", "jobs that can be read: 18",
            ])
        _ = try log.repair()
        #expect(try log.open().ids == Array(1...3) + Array(7...21))
    }

    @Test(arguments: ["zstd", "lz4"])
    func frameThatDoesNotEndIsRefused(codec: String) throws {
        // No writer goes on in a frame of 512 KiB: a reader that would could be made to take any amount of memory.
        let log = try sevenFrames(codec)
        try log.change(1) { segment in try segment.changeGroup(3) { $0.beginsFrame = false } }
        #expect(try log.refusal().contains("group 4 can't be decompressed"))
    }
}
