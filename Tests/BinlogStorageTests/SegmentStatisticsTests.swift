// SPDX-License-Identifier: MIT

import Testing
import TrellisCore
import TrellisTestKit

@testable import BinlogStorage

/// What a look at a log tells of its segments.
@Suite struct SegmentStatisticsTests {
    @Test(arguments: [nil, "zstd"], [1, 2, 3] as [UInt64])
    func segmentsAddUpToWhatTheLogCounts(codec: String?, seed: UInt64) throws {
        let log = MemoryLog(sync: .never, codec: codec, segmentBytes: 32 << 10)
        let bench = LogBench(log.settings)
        try bench.open()
        var random = SeededGenerator(seed: seed)
        var nextID: UInt64 = 1
        for _ in 0..<400 {
            let live = bench.jobs.keys.sorted()
            switch random.below(4) {
            case 0 where !live.isEmpty: bench.delete(random.one(of: live))
            case 1 where !live.isEmpty: bench.update(random.one(of: live), .buried)
            default:
                bench.put(nextID, body: random.bytes(random.below(600)))
                nextID += 1
            }
            try bench.commit()
        }
        let jobs = bench.jobs.count
        try bench.close()

        let store = BinlogStorage(log.settings)
        try store.open(.readOnly, host: StorageHost(wake: {}))
        _ = try store.recover { _, _ in }
        let (segments, statistics) = (store.recoveredSegments, store.statistics)
        try store.close()
        let used = segments.filter { $0.usedBytes > 0 }
        #expect(used.count > 1 && used.map(\.number) == Array(statistics.oldestSegment...statistics.currentSegment))
        #expect(used.reduce(0) { $0 + $1.jobs } == jobs)
        #expect(used.reduce(0) { $0 + $1.liveBytes } == statistics.liveBytes)
        #expect(used.reduce(0) { $0 + $1.usedBytes } == statistics.logBytes)
        #expect(used.allSatisfy { $0.liveBytes <= $0.recordBytes && $0.fileBytes == 32 << 10 })
        #expect(used.allSatisfy { $0.codec == codec ?? "none" })
        // Those that are kept ready come last and hold nothing.
        let names = try log.files.list("/log").filter { $0.hasSuffix(".log") }
        #expect(segments.map { LogFormat.segmentName($0.number) } == names)
        for segment in segments.dropFirst(used.count) {
            #expect(segment.jobs == 0 && segment.recordBytes == 0 && segment.fileBytes == 32 << 10)
        }
    }
}
