// SPDX-License-Identifier: MIT

import BeanstalkdBinlog
import Testing
import TrellisCore

/// Logs that were made once and must be read the same for ever; Golden/README.md says how they were made.
@Suite struct GoldenTests {
    private let folder = #filePath.split(separator: "/").dropLast().reduce(into: "") { $0 += "/" + $1 } + "/Golden"

    @Test func version7() throws {
        let reading = try Reading("\(folder)/version7")
        #expect(reading.order == [2, 4, 5, 6, 3])
        #expect(reading.summary.damage == [] && reading.summary.unendedBodies == 0)
        #expect(reading.summary.files == 2 && reading.summary.records == 11 && reading.summary.deletedJobs == 1)
        #expect(reading.summary.highestID == JobID(6) && reading.summary.bodyBytes == 10 + 4 + 1500 + 1500)

        let delayed = try #require(reading.jobs[2])
        #expect(delayed.tube == "mail" && delayed.state == .delayed && delayed.priority == 20)
        #expect(delayed.delay == 3000 && delayed.ttr == 61 && reading.body(2) == "two\r\nlines")
        #expect(delayed.createdAt == 0x18EA_D963_CF3E_BD08 && delayed.deadline == 0x18EA_DC1E_4D2D_F0F0)
        #expect(delayed.counters == JobCounters())

        let buried = try #require(reading.jobs[3])
        #expect(buried.state == .buried && buried.priority == 31 && buried.ttr == 62 && buried.body == [])
        #expect(buried.counters.reserves == 1 && buried.counters.buries == 1 && buried.deadline == 0)

        let kicked = try #require(reading.jobs[4])
        #expect(kicked.state == .ready && kicked.priority == 41 && reading.body(4) == "four")
        #expect(kicked.counters.buries == 1 && kicked.counters.kicks == 1)

        let released = try #require(reading.jobs[6])
        #expect(released.tube == "default" && released.state == .delayed && released.delay == 4000)
        #expect(released.deadline == 0x18EA_DD07_45D7_8228 && released.counters.releases == 1)
        #expect(released.body == [UInt8](repeating: UInt8(ascii: "y"), count: 1500))
    }

    @Test func version5() throws {
        let reading = try Reading("\(folder)/version5")
        let created: Int64 = 1_400_000_000_000_000_000
        #expect(reading.order == [2, 4, 3] && reading.buried(in: "mail") == [4, 3])
        #expect(reading.summary.damage == [] && reading.summary.records == 7 && reading.summary.deletedJobs == 1)
        let delayed = try #require(reading.jobs[2])
        #expect(delayed.tube == "mail" && delayed.state == .delayed && delayed.priority == 20 && delayed.delay == 30)
        #expect(delayed.createdAt == created + 2000 && delayed.deadline == created + 30_000_002_000)
        #expect(delayed.ttr == 60 && reading.body(2) == "two\r\nlines")
        #expect(reading.body(4) == "four" && reading.jobs[4]?.priority == 41)
        #expect(reading.jobs[4]?.state == .buried)
        #expect(reading.body(3) == "" && reading.jobs[3]?.priority == 31 && reading.jobs[3]?.state == .buried)
        #expect(reading.jobs[3]?.counters.reserves == 2 && reading.jobs[3]?.counters.timeouts == 1)
    }
}
