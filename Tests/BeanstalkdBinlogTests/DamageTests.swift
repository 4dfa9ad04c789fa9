// SPDX-License-Identifier: MIT

import BeanstalkdBinlog
import Testing
import TrellisCore
import TrellisFiles

/// Records that can't be true, files that end early, bits that flipped.
@Suite struct DamageTests {
    /// Reads a file whose second part is bad, and after it a good file; answers the only damage there must be.
    private func damage(
        version: UInt32 = 7, _ spoil: (inout LogWriter) -> Void, _ location: SourceLocation = #_sourceLocation
    ) throws -> BeanstalkdBinlog.Damage? {
        var log = LogWriter(version: version)
        log.put(.init(1), body: "first")
        let offset = UInt64(log.bytes.count)
        spoil(&log)
        let size = UInt64(log.bytes.count)
        log.put(.init(50), body: "behind the damage")
        log.zeroes(100)
        var next = LogWriter(version: version)
        next.put(.init(2), body: "next")
        let reading = try Reading("log", files: MemoryFiles(["binlog.1": log.bytes, "binlog.2": next.bytes]))
        #expect(reading.order == [1, 2], sourceLocation: location)
        #expect(reading.body(1) == "first" && reading.body(2) == "next", sourceLocation: location)
        #expect(reading.summary.damage.count == 1, sourceLocation: location)
        let damage = reading.summary.damage.first
        #expect(damage?.file == "binlog.1" && damage?.offset == offset, sourceLocation: location)
        #expect((damage?.unreadBytes ?? 0) > size - offset, sourceLocation: location)
        return damage
    }

    @Test(arguments: [5, 7] as [UInt32]) func impossibleNamesEndTheFile(version: UInt32) throws {
        for length in [201, -1, 2_000_000_000] {
            #expect(
                try damage(version: version) { $0.appendLength(length) }?.reason == "a tube name of \(length) bytes")
        }
        for name in ["-a", "a b", "a\0b", "ä"] {
            let reason = try damage(version: version) { $0.put(.init(3), tube: name) }?.reason
            #expect(reason == "job 3 is in a tube with an impossible name")
        }
    }

    @Test func impossibleFieldsEndTheFile() throws {
        func reason(_ spoil: (inout LogWriter.Record) -> Void) throws -> String? {
            var record = LogWriter.Record(3)
            spoil(&record)
            let spoilt = record
            let update = try damage { $0.update(spoilt) }?.reason
            #expect(try damage { $0.put(spoilt) }?.reason == update)
            return update
        }
        #expect(try reason { $0.id = 1 << 62 + 1 } == "the job id \(1 << 62 + 1)")
        #expect(try reason { $0.state = .copy } == "job 3 has the unknown state 5")
        #expect(try reason { $0.bodySize = -1 } == "job 3 has a body of -3 bytes")
        #expect(try reason { $0.bodySize = .min } == "job 3 has a body of -2147483650 bytes")
        #expect(try reason { $0.bodySize = 1 } == "job 3 has a body of -1 bytes")
        #expect(try reason { $0.bodySize = 1 << 30 + 3 } == "job 3 has a body of 1073741825 bytes")
        #expect(try reason { $0.delay = 4_294_967_296_000_000_000 } == "job 3 has an impossible delay")
        #expect(try reason { $0.ttr = .max } == "job 3 has an impossible time to run")
        #expect(try reason { $0.createdAt = 1 << 63 } == "job 3 has an impossible time of creation")
        #expect(
            try reason { ($0.deadline, $0.state) = (1 << 63, .delayed) } == "job 3 has an impossible deadline")
    }

    @Test func timesOfVersion5ThatDoNotFitEndTheFile() throws {
        var record = LogWriter.Record(3)
        record.createdAt = UInt64.max / 1000 + 1
        #expect(try damage(version: 5) { $0.put(record) }?.reason == "job 3 has an impossible time of creation")
        record.createdAt = UInt64(Int64.max) / 1000 + 1
        #expect(try damage(version: 5) { $0.put(record) }?.reason == "job 3 has an impossible time of creation")
    }

    @Test func recordsThatContradictWhatIsKnownEndTheFile() throws {
        #expect(try damage { $0.put(.init(1), body: "longer") }?.reason == "job 1 had 5 bytes, now 6")
        #expect(try damage { $0.update(.init(1, .invalid), bodySize: 6) }?.reason == "job 1 had 5 bytes, now 4")
        #expect(try damage { $0.put(.init(3, .invalid)) }?.reason == "job 3 is deleted and has a body")
        #expect(try damage { $0.put(.init(0)) }?.reason == "the job id 0")
    }

    @Test func aForgedSizeEndsTheFile() throws {
        var record = LogWriter.Record(3)
        record.bodySize = 1 << 30
        #expect(
            try damage { $0.put(record) }?.reason == "the file ends in the middle of the body of job 3")
    }

    @Test(arguments: [5, 7] as [UInt32]) func aFileThatEndsInARecordIsTold(version: UInt32) throws {
        var log = LogWriter(version: version)
        log.put(.init(1), body: "first")
        let end = log.bytes.count
        log.update(.init(1, .buried), bodySize: 7)
        log.put(.init(2), tube: "mail", body: "second")
        // From a byte that isn't 0 on, a piece of a record can't be taken for reserved space.
        let update = version == 5 ? 85 : 84
        for size in end + (version == 5 ? 9 : 5)..<log.bytes.count where size != end + update {
            let files = MemoryFiles(["binlog.1": Array(log.bytes[..<size])])
            let reading = try Reading("log", files: files)
            #expect(reading.order == [1])
            #expect(reading.summary.damage.count == 1, "cut at \(size)")
            let damage = reading.summary.damage.first
            #expect(damage?.offset == UInt64(size < end + update ? end : end + update))
            #expect(damage?.reason.hasPrefix("the file ends in the middle of ") == true)
        }
    }

    @Test func zeroesBeforeDataAreDamage() throws {
        let found = try damage { $0.zeroes(200_000) }
        #expect(found?.reason == "nothing is written where a record must begin, and data follows")
        #expect(
            found?.description
                == "binlog.1, byte 102: nothing is written where a record must begin, and data follows "
                + "(200110 bytes were not read)")
    }

    @Test func aBodyWithoutItsEndIsKeptAndTold() throws {
        var log = LogWriter(version: 7)
        log.put(.init(1), body: "first")
        let end = log.bytes.count
        log.put(.init(2), body: "second")
        var bytes = log.bytes
        bytes[end - 2] = 0
        let reading = try Reading("log", files: MemoryFiles(["binlog.1": bytes]))
        #expect(reading.body(1) == "first" && reading.body(2) == "second" && reading.summary.damage == [])
        #expect(reading.summary.unendedBodies == 1 && reading.summary.firstUnendedBody == JobID(1))
    }

    @Test func whatTheDiskDoesNotGiveIsTold() throws {
        var log = LogWriter(version: 7)
        log.put(.init(1), body: String(repeating: "a", count: 100_000))
        log.put(.init(2), body: String(repeating: "b", count: 300_000))
        log.put(.init(3), body: "c")
        let bad = UInt64(log.bytes.count) - 150_000
        let files = MemoryFiles(["binlog.1": log.bytes], badFrom: bad)
        let reading = try Reading("log", files: files)
        // The scan leaps over bodies and stops at the third record; the second body can't be fetched.
        #expect(reading.order == [1] && reading.jobs[1]?.body.count == 100_000)
        let reasons = reading.summary.damage.map(\.reason)
        let system = "pread of log/binlog.1: Input/output error"
        #expect(reasons == [system, "the body of job 2 can't be read: \(system)"])
        #expect(reading.summary.unreadableBodies == 1)
    }

    /// A log of both kinds of records with two files; the first is the one that gets damaged.
    static func sample(_ version: UInt32) -> (first: LogWriter, second: LogWriter) {
        var first = LogWriter(version: version)
        for id in 1...30 as ClosedRange<UInt64> {
            first.put(.init(id), tube: "tube\(id % 3)", body: "the body of \(id)")
            let size = "the body of \(id)".utf8.count + 2
            if id % 5 == 0 { first.update(.init(id, .buried), bodySize: size) }
            if id % 7 == 0 { first.update(.init(id - 1, .invalid), bodySize: "the body of \(id - 1)".utf8.count + 2) }
        }
        var second = LogWriter(version: version)
        second.put(.init(31), body: "the body of 31")
        second.update(.init(1, .invalid), bodySize: 15)
        return (first, second)
    }

    @Test(arguments: [5, 7] as [UInt32]) func aFileCutAnywhereGivesWhatIsBeforeTheCut(version: UInt32) throws {
        let (first, second) = Self.sample(version)
        let whole = try Reading("log", files: MemoryFiles(["binlog.1": first.bytes, "binlog.2": second.bytes]))
        #expect(whole.jobs.count == 26 && whole.summary.damage == [])
        var counts: Set<Int> = []
        for size in max(4, first.bytes.count - 2048)..<first.bytes.count {
            let cut = Array(first.bytes[..<size])
            let reading = try Reading("log", files: MemoryFiles(["binlog.1": cut, "binlog.2": second.bytes]))
            #expect(reading.summary.damage.count <= 1 && reading.jobs[31] != nil && reading.jobs[1] == nil)
            for (id, job) in reading.jobs { #expect(job.body == Array("the body of \(id)".utf8)) }
            // What is missing lies behind the cut: jobs come in the order of their ids.
            let highest = reading.order.filter { $0 <= 30 }.max() ?? 0
            let before = whole.order.filter { $0 <= highest }
            #expect(Set(reading.order).isSuperset(of: before))
            counts.insert(reading.jobs.count)
        }
        #expect(counts.count > 8)
    }

    @Test(arguments: [5, 7] as [UInt32]) func flippedBitsNeverCrashAndKeepWhatIsBefore(version: UInt32) throws {
        let (first, second) = Self.sample(version)
        let whole = try Reading("log", files: MemoryFiles(["binlog.1": first.bytes, "binlog.2": second.bytes]))
        // Where each job's record ends: a flip behind it can't take the job away, but for one in a record that changes
        // it or some other job.
        var ends: [UInt64: Int] = [:]
        for id in 2...30 as ClosedRange<UInt64> where whole.jobs[id] != nil {
            let body = Array("the body of \(id)\r\n".utf8)
            ends[id] = try #require(first.bytes.firstRange(of: body)).upperBound
        }
        for seed in 0..<4000 as Range<UInt64> {
            var random = Seeded(state: seed)
            var bytes = first.bytes
            var lowest = bytes.count
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 4..<bytes.count, using: &random)
                bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &random)
                lowest = min(lowest, place)
            }
            let reading = try Reading("log", files: MemoryFiles(["binlog.1": bytes, "binlog.2": second.bytes]))
            #expect(reading.jobs[31] != nil, "seed \(seed)")
            var missing = 0
            for (id, end) in ends where end <= lowest && reading.jobs[id]?.body != whole.jobs[id]?.body { missing += 1 }
            // Each flip may have made an update or a delete that names another job.
            #expect(missing <= 3, "seed \(seed)")
        }
    }
}
