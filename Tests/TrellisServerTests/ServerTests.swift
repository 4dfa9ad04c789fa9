// SPDX-License-Identifier: MIT

import Testing
import TrellisCore
import TrellisServer
import TrellisTestKit

@Suite struct ServerTests {
    @Test(arguments: ServerHarness.threadCounts) func jobGoesRound(threads: Int) throws {
        let server = try ServerHarness(threads: threads)
        let client = try server.connect()
        client.ask("put 0 0 10 5\r\nhello\r\n", "INSERTED 1\r\n")
        client.ask("reserve\r\n", "RESERVED 1 5\r\nhello\r\n")
        client.ask("delete 1\r\n", "DELETED\r\n")
        client.send("quit\r\n")
        client.expectEnd()
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts) func sameBytesGiveTheSameRepliesHoweverTheyAreCut(threads: Int) throws
    {
        let server = try ServerHarness(threads: threads)
        let stream =
            "use t\r\nput 0 0 10 5\r\nhello\r\nnonsense\r\nput 0 0 10 3\r\nabcdewatch t\r\nignore default\r\n"
            + "reserve\r\ndelete ID\r\nput 0 0 1 70000\r\n" + String(repeating: "z", count: 70_002)
            + String(repeating: "l", count: 500) + "\r\nput 0 0 1 0\r\n\r\npeek-ready\r\nkick 5\r\n"
        for (round, size) in [1_000_000, 1, 7, 4096, 65_536].enumerated() {
            let client = try server.connect()
            let first = round * 3 + 1
            let bytes = Array(stream.replacing("ID", with: "\(first)").utf8)
            for start in stride(from: 0, to: bytes.count, by: size) {
                client.end.send(Array(bytes[start..<min(start + size, bytes.count)]))
            }
            client.expect("USING t\r\nINSERTED \(first)\r\nUNKNOWN_COMMAND\r\nEXPECTED_CRLF\r\n")
            client.expect("WATCHING 2\r\nWATCHING 1\r\nRESERVED \(first) 5\r\nhello\r\nDELETED\r\n")
            client.expect(
                "JOB_TOO_BIG\r\nBAD_FORMAT\r\nINSERTED \(first + 2)\r\nFOUND \(first + 2) 0\r\n\r\nKICKED 0\r\n")
            client.ask("delete \(first + 2)\r\n", "DELETED\r\n")
            client.end.close()
        }
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts) func bodyLargerThanABufferComesBackWhole(threads: Int) throws {
        var settings = ServerHarness.settings()
        settings.engine.jobBytes = 10 << 20
        let server = try ServerHarness(threads: threads, settings: settings)
        let client = try server.connect()
        let other = try server.connect()
        var number = 0
        for size in [8 << 10, 65_527, 65_528, 65_529, 131_072, 3_000_000] {
            let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
            client.send("put 0 0 10 \(size)\r\n")
            var sent = 0
            while sent < size {
                let end = min(size, sent + 50_000)
                client.end.send(Array(body[sent..<end]))
                sent = end
                // A body that is on its way holds nobody up, and nobody sees it.
                other.ask("peek-ready\r\n", "NOT_FOUND\r\n")
            }
            client.send("\r\n")
            number += 1
            client.expect("INSERTED \(number)\r\n")
            other.end.limitWrites(toBytes: 10_000)
            other.ask("reserve\r\n", "RESERVED \(number) \(size)\r\n")
            var got: [UInt8] = []
            while got.count < size + 2 {
                let part = try #require(other.end.receive(atMost: size + 2 - got.count))
                try #require(!part.isEmpty)
                got += part
            }
            #expect(got == body + [13, 10])
            other.ask("delete \(number)\r\n", "DELETED\r\n")
        }
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts) func commandsBehindABlockedReserveWaitForIt(threads: Int) throws {
        let server = try ServerHarness(threads: threads)
        let worker = try server.connect()
        let producer = try server.connect()
        worker.send("reserve\r\nuse other\r\nlist-tube-used\r\nreserve\r\nstats-tube nowhere\r\n")
        try waitUntil("the worker waits") { (try? producer.statistic("current-waiting")) == 1 }
        worker.expectSilence()
        producer.ask("put 0 0 60 1\r\na\r\n", "INSERTED 1\r\n")
        worker.expect("RESERVED 1 1\r\na\r\nUSING other\r\nUSING other\r\n")
        worker.expectSilence()
        producer.ask("put 0 0 60 1\r\nb\r\n", "INSERTED 2\r\n")
        worker.expect("RESERVED 2 1\r\nb\r\nNOT_FOUND\r\n")
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts) func inputBehindABlockedReserveIsReadUpToTheLimitOnly(
        threads: Int
    ) throws {
        var settings = ServerHarness.settings()
        settings.inputBytes = 1000
        let server = try ServerHarness(threads: threads, settings: settings)
        let worker = try server.connect()
        let other = try server.connect()
        worker.send("reserve\r\n")
        try waitUntil("the worker waits") { (try? other.statistic("current-waiting")) == 1 }
        let commands = 5000
        for _ in 0..<commands { worker.send("list-tube-used\r\n") }
        other.ask("put 0 0 60 1\r\na\r\n", "INSERTED 1\r\n")
        worker.expect("RESERVED 1 1\r\na\r\n" + String(repeating: "USING default\r\n", count: commands))
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts) func clientThatDoesNotReadIsNotServedBeyondTheLimit(
        threads: Int
    ) throws {
        var settings = ServerHarness.settings()
        settings.outputBytes = 100_000
        let server = try ServerHarness(threads: threads, settings: settings)
        let slow = try server.connect()
        let other = try server.connect()
        let body = String(repeating: "b", count: 20_000)
        other.ask("put 0 0 60 20000\r\n\(body)\r\n", "INSERTED 1\r\n")
        slow.end.setRoom(0)
        let commands = 200
        for _ in 0..<commands { slow.send("peek 1\r\n") }
        var served = 0
        try waitUntil("the server stops serving the slow client") {
            let before = served
            served = (try? other.statistic("cmd-peek")) ?? 0
            return served > 0 && served == before
        }
        #expect(served <= 100_000 / 20_000 + 2)
        slow.end.setRoom(1 << 20)
        for _ in 0..<commands { slow.expect("FOUND 1 20000\r\n\(body)\r\n") }
        #expect(try other.statistic("cmd-peek") == commands)
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts) func clientThatHalfClosesWhileWaitingIsToldAndClosed(
        threads: Int
    ) throws {
        let server = try ServerHarness(threads: threads)
        let worker = try server.connect()
        let other = try server.connect()
        worker.send("reserve\r\n")
        try waitUntil("the worker waits") { (try? other.statistic("current-waiting")) == 1 }
        worker.end.closeWrite()
        worker.expect("TIMED_OUT\r\n")
        worker.expectEnd()
        #expect(try other.statistic("current-waiting") == 0)
        // The loop of the one may close its socket before it takes its turn in the engine, in which the other asks.
        try waitUntil("the connection is gone") { (try? other.statistic("current-connections")) == 1 }
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts) func commandsSentBeforeAHalfCloseAreDone(threads: Int) throws {
        let server = try ServerHarness(threads: threads)
        let client = try server.connect()
        client.send("put 0 0 60 1\r\na\r\nreserve\r\nreserve\r\nlist-tube-used\r\nuse t\r\nlist-tu")
        client.end.closeWrite()
        client.expect("INSERTED 1\r\nRESERVED 1 1\r\na\r\nTIMED_OUT\r\nUSING default\r\nUSING t\r\n")
        client.expectEnd()
        let other = try server.connect()
        #expect(try other.statistic("current-jobs-ready") == 1)
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts) func brokenConnectionGivesItsJobsBack(threads: Int) throws {
        let server = try ServerHarness(threads: threads)
        let worker = try server.connect()
        let other = try server.connect()
        worker.ask("put 0 0 60 1\r\na\r\n", "INSERTED 1\r\n")
        worker.ask("reserve\r\n", "RESERVED 1 1\r\na\r\n")
        other.send("reserve\r\n")
        worker.end.fail(104)
        other.expect("RESERVED 1 1\r\na\r\n")
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts) func streamThatTakesInAheadIsReadToItsEnd(threads: Int) throws {
        let server = try ServerHarness(threads: threads)
        let client = try server.connect()
        client.end.setTakesInAhead(true)
        client.end.limitWrites(toBytes: 3)
        let commands = 3000
        client.send(String(repeating: "list-tube-used\r\n", count: commands))
        client.expect(String(repeating: "USING default\r\n", count: commands))
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts) func drainingRefusesPuts(threads: Int) throws {
        let server = try ServerHarness(threads: threads)
        let client = try server.connect()
        client.ask("put 0 0 1 1\r\na\r\n", "INSERTED 1\r\n")
        server.control.drain()
        try waitUntil("the server drains") { server.log.contains("draining") }
        client.ask("put 0 0 1 1\r\na\r\n", "DRAINING\r\n")
        client.ask("put 0 0 1 1\r\nabc", "EXPECTED_CRLF\r\n")
        client.ask("reserve\r\n", "RESERVED 1 1\r\na\r\n")
        try server.stop()
    }
}
