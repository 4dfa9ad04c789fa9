// SPDX-License-Identifier: MIT

import BeanstalkdBinlog
import Synchronization
import Testing
import TrellisCore
import TrellisFiles

/// Logs built byte by byte.
@Suite struct FormatTests {
    static let created: UInt64 = 1_700_000_000

    private func read(_ files: LogWriter...) throws -> Reading {
        var contents: [String: [UInt8]] = [:]
        for (index, file) in files.enumerated() { contents["binlog.\(index + 1)"] = file.bytes }
        return try Reading("log", files: MemoryFiles(contents))
    }

    @Test(arguments: [5, 7] as [UInt32]) func everyFieldIsRead(version: UInt32) throws {
        var log = LogWriter(version: version)
        var record = LogWriter.Record(9, .delayed)
        record.priority = 4_000_000_000
        record.delay = UInt64(UInt32.max) * log.second
        record.ttr = 120 * log.second
        record.createdAt = Self.created * log.second + 123_456
        record.deadline = (Self.created + 1000) * log.second + 1
        record.counts = [1, 2, 3, 4, 5]
        log.put(record, tube: "a-tube.of_(mine)/$;+", body: "hello\r\nworld")
        let reading = try read(log)
        let unit = Int64(1_000_000_000 / log.second)
        let job = try #require(reading.jobs[9])
        #expect(job.tube == "a-tube.of_(mine)/$;+" && reading.body(9) == "hello\r\nworld")
        #expect(job.state == .delayed && job.priority == 4_000_000_000 && job.delay == .max && job.ttr == 120)
        #expect(job.createdAt == Int64(Self.created) * 1_000_000_000 + 123_456 * unit)
        #expect(job.deadline == Int64(Self.created + 1000) * 1_000_000_000 + unit)
        var counters = JobCounters()
        (counters.reserves, counters.timeouts, counters.releases) = (1, 2, 3)
        (counters.buries, counters.kicks) = (4, 5)
        #expect(job.counters == counters)
        #expect(reading.summary.damage == [] && reading.summary.records == 1 && reading.summary.bodyBytes == 12)
    }

    @Test(arguments: [5, 7] as [UInt32]) func updatesChangeAndDelete(version: UInt32) throws {
        var first = LogWriter(version: version)
        for id in 1...4 { first.put(.init(UInt64(id)), body: "b\(id)") }
        first.zeroes(5000)
        // The files of both versions may lie side by side, after an upgrade.
        var second = LogWriter(version: version == 5 ? 7 : 5)
        second.update(.init(2, .invalid), bodySize: 4)
        var changed = LogWriter.Record(3, .buried)
        changed.priority = 77
        changed.counts = [1, 0, 0, 1, 0]
        second.update(changed, bodySize: 4)
        second.update(.init(900, .invalid))
        second.update(.init(800, .delayed))
        let reading = try read(first, second)
        #expect(Set(reading.jobs.keys) == [1, 3, 4])
        #expect(reading.jobs[3]?.state == .buried && reading.jobs[3]?.priority == 77)
        #expect(reading.body(3) == "b3" && reading.jobs[3]?.counters.buries == 1)
        let summary = reading.summary
        #expect(summary.highestID == JobID(900) && summary.deletedJobs == 1 && summary.changesOfUnknownJobs == 2)
        #expect(summary.files == 2 && summary.records == 8 && summary.damage == [])
    }

    @Test func filesAreReadByNumberNotByName() throws {
        var first = LogWriter(version: 7)
        first.put(.init(1))
        var second = LogWriter(version: 7)
        second.update(.init(1, .invalid))
        var others = LogWriter(version: 7)
        others.put(.init(5))
        let files = MemoryFiles([
            "binlog.9": first.bytes, "binlog.10": second.bytes, "binlog.011": others.bytes, "binlog.": others.bytes,
            "binlog.1x": others.bytes, "binlog.-1": others.bytes, "binlog.99999999999": others.bytes,
        ])
        let reading = try Reading("log", files: files)
        #expect(reading.jobs.isEmpty && reading.summary.files == 2 && reading.summary.damage == [])
    }

    @Test func buriedJobsKeepTheOrderOfTheirBurial() throws {
        var log = LogWriter(version: 7)
        for id in 1...5 { log.put(.init(UInt64(id))) }
        func bury(_ id: UInt64, _ count: UInt32) {
            var record = LogWriter.Record(id, .buried)
            record.counts[3] = count
            log.update(record)
        }
        for id in [4, 2, 5, 1] as [UInt64] { bury(id, 1) }
        // Buried, reserved by its id (which isn't logged), and buried again: it is last now.
        bury(2, 2)
        // Kicked and buried again: last.
        log.update(.init(5, .ready))
        bury(5, 2)
        // A copy, after a restart that counted one burial too many, moves nothing.
        var copy = LogWriter.Record(4, .buried)
        copy.counts[3] = 2
        log.put(copy)
        let reading = try read(log)
        #expect(reading.buried(in: "default") == [4, 1, 2, 5])
        #expect(reading.order == [3, 4, 1, 2, 5] && reading.jobs[4]?.counters.buries == 2)
    }

    @Test func aCopyReplacesTheBodyAndKeepsTheTube() throws {
        var first = LogWriter(version: 7)
        first.put(.init(1), tube: "one", body: "aa")
        first.put(.init(2), body: "live")
        var second = LogWriter(version: 7)
        second.put(.init(1, .reserved), tube: "two", body: "bb")
        let reading = try read(first, second)
        #expect(reading.body(1) == "bb" && reading.jobs[1]?.tube == "one" && reading.jobs[1]?.state == .ready)
        #expect(reading.order == [2, 1])
    }

    @Test func anIdThatIsGivenOutAgainIsANewJob() throws {
        var log = LogWriter(version: 7)
        log.put(.init(1), tube: "one", body: "first")
        log.update(.init(1, .invalid), bodySize: 7)
        log.put(.init(1), tube: "two", body: "another")
        let reading = try read(log)
        #expect(reading.body(1) == "another" && reading.jobs[1]?.tube == "two")
    }

    @Test func tubesComeAndGo() throws {
        var log = LogWriter(version: 7)
        for (id, tube) in zip(1...6 as ClosedRange<UInt64>, ["a", "b", "a", "c", "b", "a"]) {
            log.put(.init(id), tube: tube)
            if id < 5 { log.update(.init(id, .invalid)) }
        }
        log.put(.init(7), tube: "c")
        let reading = try read(log)
        #expect(reading.order == [5, 6, 7])
        #expect(reading.order.map { reading.jobs[$0]?.tube } == ["b", "a", "c"])
    }

    @Test func timesAreCutToWholeSecondsAndATimeToRunIsOneAtLeast() throws {
        var log = LogWriter(version: 7)
        var record = LogWriter.Record(1)
        (record.delay, record.ttr) = (1_999_999_999, 999)
        // Where the state isn't "delayed", the deadline is whatever was there before.
        record.deadline = .max
        log.put(record)
        let job = try #require(try read(log).jobs[1])
        #expect(job.delay == 1 && job.ttr == 1 && job.deadline == 0)
    }

    @Test func bodiesLargerThanTheBufferAndScatteredOnesAreRead() throws {
        var log = LogWriter(version: 7)
        var sizes: [UInt64: Int] = [:]
        for id in 1...60 as ClosedRange<UInt64> {
            let size = id % 20 == 0 ? 3_000_000 : Int(id) * 997
            sizes[id] = size
            log.put(.init(id), body: String(repeating: "\(id % 10)", count: size))
        }
        // Buried backwards, so that the bodies are fetched backwards.
        for id in (1...60 as ClosedRange<UInt64>).reversed() where id % 3 == 0 {
            log.update(.init(id, .buried), bodySize: (sizes[id] ?? 0) + 2)
        }
        let reading = try read(log)
        #expect(reading.jobs.count == 60 && reading.summary.damage == [])
        for (id, size) in sizes {
            let digit = UInt8(ascii: "0") + UInt8(id % 10)
            #expect(reading.jobs[id]?.body.count == size && reading.jobs[id]?.body.allSatisfy { $0 == digit } == true)
        }
        #expect(reading.buried(in: "default").first == 60)
    }

    @Test func readsAreLarge() throws {
        var log = LogWriter(version: 7)
        for id in 1...5000 as ClosedRange<UInt64> { log.put(.init(id), body: "body") }
        let files = MemoryFiles(["binlog.1": log.bytes])
        #expect(try Reading("log", files: files).jobs.count == 5000)
        // Two passes over half a megabyte; these files give 4,097 bytes at a time.
        #expect(files.reads.load(ordering: .relaxed) < 2 * log.bytes.count / 4097 + 100)
    }

    @Test func emptyAndPreallocatedFilesAreNoDamage() throws {
        var log = LogWriter(version: 7)
        log.put(.init(1))
        // Too short for a record.
        log.zeroes(50)
        let contents: [String: [UInt8]] = [
            "binlog.1": log.bytes, "binlog.2": LogWriter(version: 5).bytes, "binlog.3": [], "binlog.4": [0, 0],
            "binlog.5": [UInt8](repeating: 0, count: 100_000),
        ]
        let reading = try Reading("log", files: MemoryFiles(contents))
        #expect(reading.jobs.count == 1 && reading.summary.damage == [] && reading.summary.files == 5)
    }
}
