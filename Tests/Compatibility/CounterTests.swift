// SPDX-License-Identifier: MIT

import LiveServer
import Testing

/// The counters of the whole server; each test has one of its own, so that nobody else moves them.
@Suite
struct CounterTests {
    @Test(.server, arguments: Route.allCases)
    func eachCommandMovesItsOwnCounter(over route: Route) throws {
        let client = try connect(route)
        // Each line with the one counter that it moves. A command that finds nothing counts too.
        let script: [(line: String, key: String)] = [
            ("put 0 0 60 1\r\nx", "cmd-put"), ("peek 1", "cmd-peek"), ("peek 99", "cmd-peek"),
            ("peek-ready", "cmd-peek-ready"), ("peek-delayed", "cmd-peek-delayed"),
            ("peek-buried", "cmd-peek-buried"), ("reserve", "cmd-reserve"),
            ("reserve-with-timeout 0", "cmd-reserve-with-timeout"), ("release 99 0 0", "cmd-release"),
            ("release 1 0 0", "cmd-release"), ("use a", "cmd-use"), ("use default", "cmd-use"),
            ("watch a", "cmd-watch"), ("ignore a", "cmd-ignore"), ("ignore default", "cmd-ignore"),
            ("bury 99 0", "cmd-bury"), ("kick 1", "cmd-kick"), ("touch 99", "cmd-touch"),
            ("stats-job 99", "cmd-stats-job"), ("stats-tube nowhere", "cmd-stats-tube"),
            ("list-tube-used", "cmd-list-tube-used"), ("pause-tube nowhere 1", "cmd-pause-tube"),
            ("delete 99", "cmd-delete"), ("delete 1", "cmd-delete"),
        ]
        for (line, key) in script {
            let before = try client.statistics()
            client.send(line + "\r\n")
            let reply = try client.line()
            if reply.hasPrefix("RESERVED") || reply.hasPrefix("FOUND") { _ = try client.bytes(3) }
            let after = try client.statistics()
            for name in after.keys where name.hasPrefix("cmd-") && name != "cmd-stats" {
                let moved = after.number(name) - before.number(name)
                #expect(moved == (name == key ? 1 : 0), "\(line) moved \(name) by \(moved)")
            }
        }
        for command in ["list-tubes", "list-tubes-watched", "stats"] {
            let before = try client.statistics().number("cmd-\(command)")
            if command == "stats" { _ = try client.statistics() } else { _ = try client.list(command) }
            #expect(try client.statistics().number("cmd-\(command)") == before + (command == "stats" ? 2 : 1))
        }
    }

    @Test(.server, arguments: Route.allCases)
    func reserveJobAndKickJobHaveNoCounters(over route: Route) throws {
        let client = try connect(route)
        try client.put(delay: 1000)
        let before = try client.statistics()
        try client.call("reserve-job 1", "RESERVED 1 1\r\nx")
        try client.call("reserve-job 2", "NOT_FOUND")
        try client.call("kick-job 1", "NOT_FOUND")
        let after = try client.statistics()
        for key in after.keys where key.hasPrefix("cmd-") && key != "cmd-stats" {
            #expect(after[key] == before[key], "\(key)")
        }
        #expect(
            after.keys.prefix(StatisticsTests.serverKeys.count).contains { $0.contains("-job") && $0.contains("kick") }
                == false)
    }

    @Test(.server, arguments: Route.allCases)
    func badFormatIsNotCounted(over route: Route) throws {
        let client = try connect(route)
        let before = try client.statistics()
        for line in [
            "delete x", "peek x", "peek-ready x", "peek-delayed x", "peek-buried x", "reserve x", "release 1 1",
            "use *", "watch *", "ignore *", "bury 1", "kick x", "touch x", "stats-job x", "stats-tube *",
            "list-tubes x", "list-tube-used x", "list-tubes-watched x", "pause-tube *", "pause-tube a* 1",
            "pause-tube default x", "put 0 0 x", "stats x",
        ] {
            try client.call(line, "BAD_FORMAT")
        }
        let after = try client.statistics()
        for key in after.keys where key.hasPrefix("cmd-") && key != "cmd-stats" {
            #expect(after[key] == before[key], "\(key)")
        }
        #expect(after.number("cmd-stats") == before.number("cmd-stats") + 1)
    }

    @Test(.server, arguments: Route.allCases)
    func aMisnamedPauseTubeCounts(over route: Route) throws {
        let client = try connect(route)
        try client.call("pause-tube -a 1", "BAD_FORMAT")
        #expect(try client.statistics()["cmd-pause-tube"] == "1")
        try client.call("pause-tube \(String(repeating: "a", count: 201)) 1", "BAD_FORMAT")
        #expect(try client.statistics()["cmd-pause-tube"] == "2")
    }

    @Test(.server, arguments: Route.allCases)
    func connectionsProducersWorkersAndWaitersAreCounted(over route: Route) throws {
        let observer = try connect(route)
        let start = try observer.statistics()
        let total = start.number("total-connections")
        func counts() throws -> [Int] {
            let stats = try observer.statistics()
            return ["connections", "producers", "workers", "waiting"].map { stats.number("current-\($0)") }
        }
        #expect(try counts() == [1, 0, 0, 0])
        let producer = try connect(route)
        try producer.put()
        #expect(try counts() == [2, 1, 0, 0])
        try producer.put()
        #expect(try counts() == [2, 1, 0, 0])
        let worker = try connect(route)
        try worker.reserve(1)
        try worker.reserve(2)
        #expect(try counts() == [3, 1, 1, 0])
        worker.send("reserve-with-timeout 4\r\n")
        try waitUntilWaiting(1, on: "default", seenBy: observer)
        #expect(try counts() == [3, 1, 1, 1])
        try worker.expect("TIMED_OUT\r\n")
        #expect(try counts() == [3, 1, 1, 0])
        producer.send("quit\r\n")
        try producer.expectEnd()
        #expect(try counts() == [2, 0, 1, 0])
        #expect(try observer.statistics().number("total-connections") == total + 2)
    }

    @Test(.server, arguments: Route.allCases)
    func reserveJobMakesAWorkerToo(over route: Route) throws {
        let client = try connect(route)
        try client.put()
        let before = try client.statistics()["current-workers"]
        try client.call("reserve-job 1", "RESERVED 1 1\r\nx")
        let after = try client.statistics()["current-workers"]
        #expect([before, after] == ["0", "1"])
    }

    @Test(.server, arguments: Route.allCases)
    func jobsAreCountedByState(over route: Route) throws {
        let client = try connect(route)
        for _ in 0..<4 { try client.put() }
        try client.put(delay: 1000)
        try client.reserve(1)
        try client.reserve(2)
        try client.call("bury 2 0", "BURIED")
        try client.delete(3)
        let stats = try client.statistics()
        let expected = [
            "current-jobs-ready": 1, "current-jobs-reserved": 1, "current-jobs-delayed": 1, "current-jobs-buried": 1,
            "total-jobs": 5, "current-tubes": 1,
        ]
        for (key, value) in expected { #expect(stats.number(key) == value, "\(key)") }
    }

    @Test(.server, arguments: Route.allCases)
    func uptimeGoesOn(over route: Route) throws {
        let client = try connect(route)
        let early = try client.statistics()
        #expect((0...60).contains(early.number("uptime")))
        pause(seconds: 1.5)
        let late = try client.statistics()
        #expect(late.number("uptime") > early.number("uptime"))
        #expect(late["id"] == early["id"])
    }
}
