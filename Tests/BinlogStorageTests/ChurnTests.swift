// SPDX-License-Identifier: MIT

import CompressedBinlogStorage
import Foundation
import Testing
import TrellisCore
import TrellisTestKit

@testable import BinlogStorage

/// Changes without end over a fixed number of live jobs: the log must not grow.
@Suite struct ChurnTests {
    /// How many changes; the soak asks for 10^7.
    private static let changes =
        ProcessInfo.processInfo.environment["TRELLIS_CHURN_CHANGES"].flatMap { Int($0) } ?? 100_000

    /// How many of a hundred changes are updates; the others delete a job and put another.
    @Test(arguments: [0, 50, 100], [nil, "zstd"])
    func logStaysSmall(updates: Int, codec: String?) throws {
        let scratch = Scratch()
        var settings = LogSettings(directory: scratch.path, sync: .never, segmentBytes: 1 << 20)
        settings.codec = LogBench.codec(codec)
        settings.readableCodecs = [ZstdCodec()]
        let bench = LogBench(settings)
        try bench.open()
        var random = SeededGenerator(seed: UInt64(updates))
        let liveJobs = min(10_000, Self.changes / 10)
        var live: [UInt64] = []
        var nextID: UInt64 = 1
        func put() {
            bench.put(nextID, body: [UInt8](repeating: UInt8(truncatingIfNeeded: nextID), count: random.below(400)))
            live.append(nextID)
            nextID += 1
        }
        var largest: (log: UInt64, live: UInt64, ratio: Double) = (0, 0, 0)
        for change in 0..<Self.changes {
            // A tenth of the jobs stays for ever, beside the others that come and go.
            let place = liveJobs / 10 + random.below(max(1, liveJobs * 9 / 10))
            if live.count < liveJobs {
                put()
            } else if random.below(100) < updates {
                bench.update(live[random.below(2) == 0 ? 0 : place], .buried, priority: UInt32(change))
            } else {
                bench.delete(live[place])
                put()
                live[place] = live.removeLast()
            }
            guard change % 16 == 15 else { continue }
            try bench.commit()
            // A busy disk may be slower than the changes: then clients wait, as they do here.
            while bench.store.isCongested {
                usleep(100)
                try bench.commit()
            }
            let statistics = bench.store.statistics
            if change > liveJobs * 2 {
                let ratio = Double(statistics.logBytes) / Double(statistics.liveBytes)
                if ratio > largest.ratio { largest = (statistics.logBytes, statistics.liveBytes, ratio) }
                #expect(statistics.logBytes <= 2 * statistics.liveBytes + 2 * (1 << 20), "after \(change) changes")
            }
            if change % (Self.changes / 4) == Self.changes / 4 - 1 || change == Self.changes - 1 {
                print(
                    "churn: \(updates) % updates, \(codec ?? "plain"): after \(change + 1) changes the log has",
                    "\(statistics.logBytes) bytes, live \(statistics.liveBytes), copied \(statistics.recordsMigrated)")
            }
        }
        print("churn: \(updates) % updates, \(codec ?? "plain"): largest \(largest.log) bytes, live \(largest.live)")
        let expected = bench.jobs
        try bench.close()
        let again = LogBench(settings)
        let (jobs, highest) = try again.open()
        #expect(jobs == expected)
        #expect(highest == nextID - 1)
        #expect(again.store.statistics.liveBytes == bench.liveBytesAtClose)
        try again.close()
    }
}
