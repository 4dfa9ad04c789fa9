// SPDX-License-Identifier: MIT

import LiveServer
import Testing

/// Where a command line ends, how long it may be, and which command it is.
@Suite(.server)
struct LineTests {
    @Test(arguments: Route.allCases)
    func bareNewlineNeverEndsALine(over route: Route) throws {
        let client = try connect(route)
        client.send("list-tube-used\n")
        try client.expectSilence()
        client.send("\r\n")
        try client.expect("BAD_FORMAT\r\n")
        try client.call("use foo\nlist-tube-used", "BAD_FORMAT")
        try client.call("\nlist-tube-used", "UNKNOWN_COMMAND")
        try client.call("list-tube-used", "USING default")
    }

    @Test(arguments: Route.allCases)
    func aLineMayComeByteByByte(over route: Route) throws {
        let client = try connect(route)
        for byte in "list-tube-used\r\n".utf8 {
            client.send(bytes: [byte])
            pause(seconds: 0.005)
        }
        try client.expect("USING default\r\n")
        client.send("list-tube-used\r")
        try client.expectSilence()
        client.send("\n")
        try client.expect("USING default\r\n")
    }

    @Test(.oursDiffers, arguments: Route.allCases)
    func carriageReturnInsideALineIsBadFormat(over route: Route) throws {
        let client = try connect(route)
        try client.call("use fo\ro", "BAD_FORMAT")
        try client.call("\rlist-tube-used", "BAD_FORMAT")
        try client.call("list-tube-used\r", "BAD_FORMAT")
        try client.call("\r\r\r", "BAD_FORMAT")
        try client.call("list-tube-used", "USING default")
    }

    @Test(arguments: Route.allCases)
    func lineOf224BytesIsALine(over route: Route) throws {
        let client = try connect(route)
        let spaces = String(repeating: " ", count: 224 - "delete1\r\n".utf8.count)
        try client.call("delete\(spaces)0", "NOT_FOUND")
        try client.call("delete  \(spaces)0", "BAD_FORMAT")
        try client.call("delete\(spaces)0", "NOT_FOUND")
    }

    // The reference doesn't see the end of a line whose CR is its 224th byte.
    @Test(.oursDiffers, arguments: Route.allCases)
    func lineOf225BytesIsTooLong(over route: Route) throws {
        let client = try connect(route)
        let spaces = String(repeating: " ", count: 225 - "delete1\r\n".utf8.count)
        try client.call("delete\(spaces)0", "BAD_FORMAT")
        try client.call("list-tube-used", "USING default")
    }

    @Test(arguments: Route.allCases)
    func tooLongLineIsAnsweredOnceAndTheConnectionGoesOn(over route: Route) throws {
        let client = try connect(route)
        for length in [224, 225, 300, 446, 448, 449, 1000, 10_000] {
            try client.call(String(repeating: "x", count: length), "BAD_FORMAT")
            try client.expectSilence(for: 0.05)
            try client.call("list-tube-used", "USING default")
        }
    }

    @Test(.oursDiffers, arguments: Route.allCases)
    func tooLongLineSwallowsNothingOfTheNext(over route: Route) throws {
        let client = try connect(route)
        for length in 223...700 {
            client.send(String(repeating: "x", count: length) + "\r\nlist-tube-used\r\n")
            try client.expect("BAD_FORMAT\r\nUSING default\r\n")
        }
    }

    @Test(.oursDiffers, arguments: Route.allCases)
    func tooLongLineMayHoldCarriageReturnsNewlinesAndNULs(over route: Route) throws {
        let client = try connect(route)
        let part = String(repeating: "x\r\0\n", count: 100)
        client.send(part + "\r\nlist-tube-used\r\n")
        try client.expect("BAD_FORMAT\r\nUSING default\r\n")
    }

    @Test(arguments: Route.allCases)
    func nulByteIsBadFormatBeforeTheCommandIsLookedAt(over route: Route) throws {
        let client = try connect(route)
        try client.call("no-such\0command", "BAD_FORMAT")
        try client.call("\0", "BAD_FORMAT")
        try client.call("quit\0", "BAD_FORMAT")
        try client.call("list-tube-used\0", "BAD_FORMAT")
        try client.call("list-tube-used", "USING default")
    }

    @Test(arguments: Route.allCases)
    func quitClosesTheConnection(over route: Route) throws {
        let client = try connect(route)
        client.send("list-tube-used\r\nquit\r\nlist-tube-used\r\n")
        try client.expect("USING default\r\n")
        try client.expectEnd()
    }

    @Test(arguments: Route.allCases)
    func quitWithMoreLettersCloses(over route: Route) throws {
        let client = try connect(route)
        client.send("quitfoo\r\n")
        try client.expectEnd()
    }

    @Test(arguments: Route.allCases)
    func pauseTubeNeedsNoSpaceBeforeItsName(over route: Route) throws {
        let tube = newTube()
        let client = try connect(route, settledIn: tube)
        try client.call("pause-tube\(tube) 0", "PAUSED")
        try client.call("pause-tube   \(tube)   0", "PAUSED")
        #expect(try client.statistics("stats-tube \(tube)")["cmd-pause-tube"] == "2")
    }

    @Test(arguments: Route.allCases)
    func commandsAreKnownByTheirBeginning(over route: Route) throws {
        let client = try connect(route)
        let unknown = [
            "", " ", "x", "foo bar", "DELETE 1", " delete 1", "delete", "deletefoo", "put", "putx", "use", "watch",
            "ignore", "release", "bury", "touch", "peek", "peek-", "peek-x", "peekready", "kick", "kick-job", "kick5",
            "kick-job5", "list", "list-tube", "stat", "paus", "pause", "re", "rese", "qui", "\tlist-tubes", "use\tfoo",
        ]
        for line in unknown { try client.call(line, "UNKNOWN_COMMAND") }
        let bad = [
            "reserve-with-timeout", "reserve-job", "reserve-job5", "reserved", "reserve ", "stats-tube", "stats-job",
            "stats-jobx", "statsx", "stats ", "list-tubesx", "list-tubes ", "list-tube-usedx", "list-tube-used ",
            "list-tubes-watchedx", "list-tubes-watched ", "peek-readyx", "peek-ready ", "peek-delayed ",
            "peek-buried ", "pause-tube", "pause-tube ", "delete ", "use ", "watch ", "ignore ", "put ",
        ]
        for line in bad { try client.call(line, "BAD_FORMAT") }
        try client.call("list-tube-used", "USING default")
    }
}
