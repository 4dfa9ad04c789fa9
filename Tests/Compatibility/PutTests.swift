// SPDX-License-Identifier: MIT

import LiveServer
import Testing

/// What put takes, what it refuses, and how much of the stream it swallows.
@Suite(.server)
struct PutTests {
    @Test(arguments: Route.allCases)
    func bodiesOfAllSizesComeBackAsTheyWere(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        for size in [0, 1, 2, 3, 100, 223, 224, 225, 1000, 4095, 4096, 4097, 16_384, 65_533, 65_534, 65_535] {
            let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
            client.send(bytes: Array("put 0 0 60 \(size)\r\n".utf8) + body + Array("\r\n".utf8))
            let id = Int(try client.line().dropFirst("INSERTED ".count)) ?? 0
            for (command, word) in [("peek \(id)", "FOUND"), ("reserve", "RESERVED")] {
                client.send("\(command)\r\n")
                try client.expect("\(word) \(id) \(size)\r\n")
                #expect(try client.bytes(size) == body)
                try client.expect("\r\n")
            }
            try client.delete(id)
        }
    }

    @Test(arguments: Route.allCases)
    func aBodyMayHoldAnything(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        for body in ["\r\n", "\r\n\r\n", "\0", "delete 1\r\n", "\r", "\n", "quit\r\nquit\r\n", "\u{1F600}"] {
            let id = try client.put(body)
            try client.reserve(id, body)
            try client.delete(id)
        }
    }

    @Test(arguments: Route.allCases)
    func aBodyMayComeByteByByte(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        for byte in "put 0 0 60 5\r\nhello\r\n".utf8 {
            client.send(bytes: [byte])
            pause(seconds: 0.003)
        }
        let id = Int(try client.line().dropFirst("INSERTED ".count)) ?? 0
        try client.reserve(id, "hello")
    }

    @Test(arguments: Route.allCases)
    func bodyOfExactlyTheMaximumIsAccepted(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        #expect(try client.statistics()["max-job-size"] == "65535")
        let body = String(repeating: "m", count: 65_535)
        let id = try client.put(body)
        try client.reserve(id, body)
        client.send("put 0 0 60 65536\r\n\(body)+\r\n")
        try client.expect("JOB_TOO_BIG\r\n")
        try client.call(
            "list-tube-used", "USING \(try client.statistics("stats-job \(id)")["tube"].filter { $0 != "\"" })")
    }

    @Test(.server(jobSize: 10), arguments: Route.allCases)
    func theMaximumIsASetting(over route: Route) throws {
        let client = try connect(route)
        #expect(try client.statistics()["max-job-size"] == "10")
        try client.call("put 0 0 60 10\r\n0123456789", "INSERTED 1")
        try client.call("put 0 0 60 11\r\n0123456789a", "JOB_TOO_BIG")
        try client.call("put 0 0 60 10\r\n0123456789", "INSERTED 2")
    }

    @Test(.server(jobSize: 1_048_576), arguments: Route.allCases)
    func largeBodiesComeBackAsTheyWere(over route: Route) throws {
        let client = try connect(route)
        let body = String(repeating: "0123456789abcdef", count: 65_536)
        for _ in 0..<5 { try client.put(body) }
        for id in 1...5 {
            try client.reserve(id, body)
            try client.delete(id)
        }
    }

    @Test(.server(jobSize: 0), arguments: Route.allCases)
    func aMaximumOfZeroTakesEmptyBodies(over route: Route) throws {
        let client = try connect(route)
        try client.call("put 0 0 60 1\r\nx", "JOB_TOO_BIG")
        try client.call("put 0 0 60 0\r\n", "INSERTED 1")
        try client.reserve(1, "")
    }

    @Test(.server, arguments: Route.allCases)
    func tooBigSwallowsSizePlusTwoBytesCountsAndUsesUpNoID(over route: Route) throws {
        let client = try connect(route)
        let body = String(repeating: "b", count: 65_536)
        // Decided from the size alone, so what trails the size doesn't matter.
        for line in ["put 0 0 60 65536", "put 0 0 60 65536 junk", "put 0 0 60 65536x", "put 0 0 60 65536 "] {
            client.send("\(line)\r\n\(body)\r\nlist-tube-used\r\n")
            try client.expect("JOB_TOO_BIG\r\nUSING default\r\n")
        }
        // The last two bytes needn't be CR LF.
        client.send("put 0 0 60 65536\r\n\(body)zzlist-tube-used\r\n")
        try client.expect("JOB_TOO_BIG\r\nUSING default\r\n")
        #expect(try client.statistics()["cmd-put"] == "5")
        #expect(try client.put() == 1)
    }

    @Test(arguments: Route.allCases)
    func tooBigIsAnsweredOnceTheBodyWasSwallowed(over route: Route) throws {
        let client = try connect(route)
        client.send("put 0 0 60 65536\r\n" + String(repeating: "b", count: 65_536))
        try client.expectSilence()
        client.send("\r")
        try client.expectSilence()
        client.send("\n")
        try client.expect("JOB_TOO_BIG\r\n")
    }

    @Test(arguments: Route.allCases)
    func aHugeDeclaredSizeIsSwallowedToo(over route: Route) throws {
        let client = try connect(route)
        let size = 5_000_000
        client.send("put 0 0 60 \(size)\r\n" + String(repeating: "b", count: size) + "\r\nlist-tube-used\r\n")
        try client.expect("JOB_TOO_BIG\r\nUSING default\r\n")
    }

    @Test(.server, arguments: Route.allCases)
    func afterTrailingGarbageTheBodyIsReadAsCommands(over route: Route) throws {
        let client = try connect(route)
        client.send("put 0 0 60 16 junk\r\nlist-tube-used\r\n\r\n")
        try client.expect("BAD_FORMAT\r\nUSING default\r\nUNKNOWN_COMMAND\r\n")
        client.send("put 0 0 60 1x\r\nwatch a\r\n")
        try client.expect("BAD_FORMAT\r\nWATCHING 2\r\n")
        #expect(try client.statistics()["cmd-put"] == "2", "a put with trailing garbage counts")
    }

    @Test(.server, arguments: Route.allCases)
    func afterABadNumberTheBodyIsReadAsCommandsAndNothingCounts(over route: Route) throws {
        let client = try connect(route)
        for line in ["put", "put ", "put 0", "put 0 0", "put 0 0 0", "put a 0 0 1", "put 0 -1 0 1", "put 0 0 0 -1"] {
            client.send("\(line)\r\nlist-tube-used\r\n")
            try client.expect(line == "put" ? "UNKNOWN_COMMAND\r\n" : "BAD_FORMAT\r\n")
            try client.expect("USING default\r\n")
        }
        #expect(try client.statistics()["cmd-put"] == "0")
        #expect(try client.put() == 1)
    }

    @Test(.server, arguments: Route.allCases)
    func withoutCRLFAfterTheBodySizePlusTwoBytesAreReadAndTheIDIsUsedUp(over route: Route) throws {
        let client = try connect(route)
        client.send("put 0 0 60 1\r\nabclist-tube-used\r\n")
        try client.expect("EXPECTED_CRLF\r\nUSING default\r\n")
        client.send("put 0 0 60 1\r\na\r.list-tube-used\r\n")
        try client.expect("EXPECTED_CRLF\r\nUSING default\r\n")
        client.send("put 0 0 60 1\r\na.\nlist-tube-used\r\n")
        try client.expect("EXPECTED_CRLF\r\nUSING default\r\n")
        // A size that is one too large takes the CR of the line's end into the body.
        client.send("put 0 0 60 2\r\na\r\n")
        try client.expectSilence()
        client.send("x")
        try client.expect("EXPECTED_CRLF\r\n")
        #expect(try client.put() == 5)
        try client.call("peek 1", "NOT_FOUND")
        let stats = try client.statistics()
        #expect(stats["cmd-put"] == "5")
        #expect(stats["total-jobs"] == "1")
    }

    @Test(.server, arguments: Route.allCases)
    func theIDAndThePlaceAreGivenWhenTheLineIsRead(over route: Route) throws {
        let slow = try connect(route)
        let quick = try connect(route)
        slow.send("put 7 0 60 4\r\n")
        let before = try waitForPuts(1, quick)
        #expect(before["current-producers"] == "1", "the connection is a producer from the line on")
        #expect(before["total-jobs"] == "0")
        #expect(before["current-jobs-ready"] == "0")
        #expect(try quick.put("fast", priority: 7) == 2)
        slow.send("slow\r\n")
        try slow.expect("INSERTED 1\r\n")
        try quick.reserve(1, "slow")
        try quick.reserve(2, "fast")
    }

    @Test(.server, arguments: Route.allCases)
    func aPutThatNeverCompletesUsesUpItsID(over route: Route) throws {
        let observer = try connect(route)
        let gone = try connect(route)
        gone.send("put 0 0 60 4\r\nab")
        _ = try waitForPuts(1, observer)
        gone.close()
        try observer.call("list-tube-used", "USING default")
        #expect(try observer.put() == 2)
        #expect(try observer.statistics()["total-jobs"] == "1")
    }

    @Test(.oursDiffers, .server, arguments: Route.allCases)
    func aHalfReceivedJobIsVisibleToNobody(over route: Route) throws {
        let slow = try connect(route)
        let observer = try connect(route)
        slow.send("put 0 0 60 4\r\nab")
        _ = try waitForPuts(1, observer)
        for command in ["peek", "stats-job", "delete", "reserve-job", "kick-job", "touch"] {
            try observer.call("\(command) 1", "NOT_FOUND")
        }
        try observer.call("peek-ready", "NOT_FOUND")
        try observer.call("reserve-with-timeout 0", "TIMED_OUT")
        slow.send("cd\r\n")
        try slow.expect("INSERTED 1\r\n")
        try observer.call("peek 1", "FOUND 1 4\r\nabcd")
    }

    @Test(arguments: Route.allCases)
    func aTTROfZeroBecomesOne(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let id = try client.put(ttr: 0)
        #expect(try client.statistics("stats-job \(id)")["ttr"] == "1")
    }

    @Test(arguments: Route.allCases)
    func theAgeCountsFromTheLine(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        client.send("put 0 0 60 1\r\n")
        pause(seconds: 2.1)
        client.send("x\r\n")
        let id = try client.line().dropFirst("INSERTED ".count)
        #expect(try client.statistics("stats-job \(id)").number("age") >= 2)
    }

    /// The statistics once so many put lines have been read.
    private func waitForPuts(_ count: Int, _ observer: Client) throws -> Statistics {
        let deadline = monotonicSeconds() + Client.patience
        while true {
            let stats = try observer.statistics()
            if stats.number("cmd-put") == count { return stats }
            guard monotonicSeconds() < deadline else { throw Unexpected("the put line was never counted") }
            pause(seconds: 0.005)
        }
    }
}
