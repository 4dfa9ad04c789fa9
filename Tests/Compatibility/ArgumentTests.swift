// SPDX-License-Identifier: MIT

import LiveServer
import Testing

/// The arguments of a command line: numbers, names, spaces and what may trail.
@Suite(.server)
struct ArgumentTests {
    @Test(arguments: Route.allCases)
    func anyCountOfSpacesMayStandBeforeANumber(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        client.send("put     5     0   60      1\r\nx\r\n")
        let id = Int(try client.line().dropFirst("INSERTED ".count)) ?? 0
        #expect(try client.statistics("stats-job    \(id)")["pri"] == "5")
        try client.call("reserve-with-timeout    0", "RESERVED \(id) 1\r\nx")
        try client.call("touch     \(id)", "TOUCHED")
        try client.call("release    \(id)    1    0", "RELEASED")
        try client.call("reserve-job     \(id)", "RESERVED \(id) 1\r\nx")
        try client.call("bury    \(id)    2", "BURIED")
        try client.call("kick     1", "KICKED 1")
        try client.call("peek     \(id)", "FOUND \(id) 1\r\nx")
        try client.call("kick-job   \(id)", "NOT_FOUND")
        try client.call("delete     \(id)", "DELETED")
    }

    @Test(arguments: Route.allCases)
    func tabsAreNoSpacesBeforeANumber(over route: Route) throws {
        let client = try connect(route)
        for line in [
            "delete \t0", "peek \t0", "put 0 \t0 0 0", "put \t0 0 0 0", "release 0 \t0 0", "bury 0 \t0", "touch \t0",
            "stats-job \t0", "reserve-job \t0", "kick-job \t0", "pause-tube default \t0", "delete 0\t",
        ] {
            try client.call(line, "BAD_FORMAT")
        }
    }

    @Test(arguments: Route.allCases)
    func noSpaceIsSkippedBeforeATubeName(over route: Route) throws {
        let client = try connect(route)
        for command in ["use", "watch", "ignore", "stats-tube"] {
            try client.call("\(command)  default", "BAD_FORMAT")
            try client.call("\(command) \tdefault", "BAD_FORMAT")
        }
        try client.call("pause-tube  default 0", "PAUSED")
    }

    @Test(arguments: Route.allCases)
    func whatTrailsIsBadFormat(over route: Route) throws {
        let client = try connect(route)
        for line in [
            "delete 0", "peek 0", "release 0 0 0", "bury 0 0", "touch 0", "kick-job 0", "reserve-job 0", "stats-job 0",
            "pause-tube default 0", "use default", "watch default", "ignore default", "stats-tube default", "reserve",
            "list-tubes", "list-tube-used", "list-tubes-watched", "stats", "peek-ready", "peek-delayed", "peek-buried",
            "put 0 0 60 0",
        ] {
            for trail in [" ", "\t", " x", " 1", ","] { try client.call(line + trail, "BAD_FORMAT") }
        }
        for line in ["delete 0", "peek 0", "release 0 0 0", "touch 0", "stats-job 0", "pause-tube default 0"] {
            try client.call(line + "x", "BAD_FORMAT")
        }
    }

    @Test(arguments: Route.allCases)
    func kickAndReserveWithTimeoutTakeTrailingGarbage(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        try client.call("kick 1junk", "KICKED 0")
        try client.call("kick 1 ", "KICKED 0")
        try client.call("reserve-with-timeout 0x", "TIMED_OUT")
        try client.call("reserve-with-timeout 0 junk", "TIMED_OUT")
    }

    @Test(arguments: Route.allCases)
    func idsAreUnsigned64BitNumbers(over route: Route) throws {
        let client = try connect(route)
        let formats = [
            "delete N", "peek N", "release N 0 0", "bury N 0", "touch N", "kick-job N", "reserve-job N", "stats-job N",
        ]
        for format in formats {
            func line(_ id: String) -> String {
                format.split(separator: "N", omittingEmptySubsequences: false).joined(separator: id)
            }
            for id in ["0", "18446744073709551615", "00000000000000000000000000000"] {
                try client.call(line(id), "NOT_FOUND")
            }
            for id in ["18446744073709551616", "99999999999999999999999", "-1", "+1", "x", "0x1", "1.0", "", " "] {
                try client.call(line(id), "BAD_FORMAT")
            }
        }
    }

    @Test(arguments: Route.allCases)
    func theOtherNumbersAreUnsigned32Bit(over route: Route) throws {
        let client = try connect(route)
        let formats = [
            "put N 0 0 0", "put 0 N 0 0", "put 0 0 N 0", "put 0 0 0 N", "release 0 N 0", "release 0 0 N", "bury 0 N",
            "pause-tube default N",
        ]
        for format in formats {
            for number in ["4294967296", "18446744073709551616", "-1", "+1", "x", "", " "] {
                let line = format.split(separator: "N", omittingEmptySubsequences: false).joined(separator: number)
                try client.call(line, "BAD_FORMAT")
            }
        }
        try client.call("release 0 4294967295 4294967295", "NOT_FOUND")
        try client.call("bury 0 4294967295", "NOT_FOUND")
    }

    @Test(arguments: Route.allCases)
    func theLargestNumbersOfAPutAreKept(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let id = try client.put(priority: 4_294_967_295, delay: 4_294_967_295, ttr: 4_294_967_295)
        let job = try client.statistics("stats-job \(id)")
        #expect(job["pri"] == "4294967295")
        #expect(job["delay"] == "4294967295")
        #expect(job["ttr"] == "4294967295")
        #expect(job["state"] == "delayed")
        #expect(job.number("time-left") >= 4_294_967_290)
        try client.delete(id)
    }

    @Test(.since113, arguments: Route.allCases)
    func theReserveTimeoutIsAtMost31Bits(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let id = try client.put()
        try client.call("reserve-with-timeout 2147483647", "RESERVED \(id) 1\r\nx")
        for timeout in ["2147483648", "4294967295", "4294967296", "99999999999999999999", "-1", "+1", "x", "", " "] {
            try client.call("reserve-with-timeout \(timeout)", "BAD_FORMAT")
        }
    }

    @Test(arguments: Route.allCases)
    func theBoundOfKickIsReadAsStrtoulReads(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        for _ in 0..<6 { try client.put(delay: 1000) }
        try client.call("kick 0", "KICKED 0")
        try client.call("kick 4294967296", "KICKED 0")
        try client.call("kick \t 1", "KICKED 1")
        try client.call("kick +1", "KICKED 1")
        try client.call("kick 4294967297", "KICKED 1")
        try client.call("kick 18446744073709551616", "BAD_FORMAT")
        for bound in ["x", "", " ", "-", "+", "--1"] { try client.call("kick \(bound)", "BAD_FORMAT") }
        try client.call("kick -4294967295", "KICKED 1")
        try client.call("kick -1", "KICKED 2")
        try client.put(delay: 1000)
        try client.call("kick 18446744073709551615", "KICKED 1")
    }

    @Test(arguments: Route.allCases)
    func tubeNamesHaveOneTo200GoodBytes(over route: Route) throws {
        let client = try connect(route)
        let good = [
            "a", "0", "A-Za-z0-9-+/;.$_()", "a-", "+-", String(repeating: "n", count: 200), ";", "$", "()", "_", ".",
            "/",
        ]
        for name in good {
            try client.call("use \(name)", "USING \(name)")
            try client.call("watch \(name)", "WATCHING 2")
            #expect(try client.statistics("stats-tube \(name)").entries.isEmpty == false)
            try client.call("pause-tube \(name) 0", "PAUSED")
            try client.call("ignore \(name)", "WATCHING 1")
        }
        for name in [
            "-", "-a", "--", String(repeating: "n", count: 201), "a b", "a*", "a,", "a:", "a=", "\u{e9}", "a\t",
        ] {
            for line in [
                "use \(name)", "watch \(name)", "ignore \(name)", "stats-tube \(name)", "pause-tube \(name) 0",
            ] {
                try client.call(line, "BAD_FORMAT")
            }
        }
    }

    @Test(arguments: Route.allCases)
    func eachByteIsEitherGoodInANameOrBadFormat(over route: Route) throws {
        let client = try connect(route)
        let good = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-+/;.$_()".utf8)
        for byte in UInt8.min...UInt8.max where byte != UInt8(ascii: "\r") {
            client.send(bytes: Array("use a".utf8) + [byte] + Array("\r\n".utf8))
            if good.contains(byte) {
                try client.expect("USING a\(Unicode.Scalar(byte))\r\n")
            } else {
                try client.expect("BAD_FORMAT\r\n")
            }
        }
    }
}
