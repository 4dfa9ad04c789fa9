// SPDX-License-Identifier: MIT

import LiveServer
import Testing

/// The keys, their order and formats, and what moves which counter.
@Suite(.server)
struct StatisticsTests {
    static let serverKeys = [
        "current-jobs-urgent", "current-jobs-ready", "current-jobs-reserved", "current-jobs-delayed",
        "current-jobs-buried", "cmd-put", "cmd-peek", "cmd-peek-ready", "cmd-peek-delayed", "cmd-peek-buried",
        "cmd-reserve", "cmd-reserve-with-timeout", "cmd-delete", "cmd-release", "cmd-use", "cmd-watch", "cmd-ignore",
        "cmd-bury", "cmd-kick", "cmd-touch", "cmd-stats", "cmd-stats-job", "cmd-stats-tube", "cmd-list-tubes",
        "cmd-list-tube-used", "cmd-list-tubes-watched", "cmd-pause-tube", "job-timeouts", "total-jobs",
        "max-job-size", "current-tubes", "current-connections", "current-producers", "current-workers",
        "current-waiting", "total-connections", "pid", "version", "rusage-utime", "rusage-stime", "uptime",
        "binlog-oldest-index", "binlog-current-index", "binlog-records-migrated", "binlog-records-written",
        "binlog-max-size", "draining", "id", "hostname", "os", "platform",
    ]

    static let tubeKeys = [
        "name", "current-jobs-urgent", "current-jobs-ready", "current-jobs-reserved", "current-jobs-delayed",
        "current-jobs-buried", "total-jobs", "current-using", "current-watching", "current-waiting", "cmd-delete",
        "cmd-pause-tube", "pause", "pause-time-left",
    ]

    static let jobKeys = [
        "id", "tube", "state", "pri", "age", "delay", "ttr", "time-left", "file", "reserves", "timeouts", "releases",
        "buries", "kicks",
    ]

    // Keys of ours may follow the last old one, so that strict parsers keep working.
    @Test(arguments: Route.allCases)
    func theKeysOfStatsKeepTheirOrder(over route: Route) throws {
        let stats = try connect(route).statistics()
        #expect(Array(stats.keys.prefix(Self.serverKeys.count)) == Self.serverKeys)
        #expect(Set(stats.keys).count == stats.keys.count)
    }

    @Test(arguments: Route.allCases)
    func theKeysOfStatsTubeKeepTheirOrder(over route: Route) throws {
        let stats = try connect(route).statistics("stats-tube default")
        #expect(Array(stats.keys.prefix(Self.tubeKeys.count)) == Self.tubeKeys)
        #expect(Set(stats.keys).count == stats.keys.count)
    }

    @Test(arguments: Route.allCases)
    func theKeysOfStatsJobKeepTheirOrder(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let stats = try client.statistics("stats-job \(try client.put())")
        #expect(Array(stats.keys.prefix(Self.jobKeys.count)) == Self.jobKeys)
        #expect(Set(stats.keys).count == stats.keys.count)
    }

    @Test(arguments: Route.allCases)
    func theValuesOfStatsHaveTheirFormats(over route: Route) throws {
        let stats = try connect(route).statistics()
        let words: Set = ["version", "rusage-utime", "rusage-stime", "draining", "id", "hostname", "os", "platform"]
        for key in Self.serverKeys where !words.contains(key) {
            #expect(stats.number(key) >= 0, "\(key) is \(stats[key])")
        }
        for key in ["rusage-utime", "rusage-stime"] {
            #expect(stats[key].wholeMatch(of: /[0-9]+\.[0-9]{6}/) != nil, "\(key) is \(stats[key])")
        }
        #expect(stats["id"].wholeMatch(of: /[0-9a-f]{16}/) != nil)
        #expect(stats["draining"] == "false")
        #expect(stats["pid"] == String(try liveServer().process(route).pid))
    }

    @Test(.since113, arguments: Route.allCases)
    func textsInStatsAreQuoted(over route: Route) throws {
        let client = try connect(route)
        let stats = try client.statistics()
        for key in ["version", "hostname", "os", "platform"] {
            #expect(stats[key].wholeMatch(of: /"[^"]*"/) != nil, "\(key) is \(stats[key])")
        }
        #expect(stats["version"].hasPrefix("\"trellis"))
        let name = "A-Za-z0-9-+/;.$_()"
        try client.call("use \(name)", "USING \(name)")
        #expect(try client.statistics("stats-tube \(name)")["name"] == "\"\(name)\"")
        #expect(try client.statistics("stats-job \(try client.put())")["tube"] == "\"\(name)\"")
    }

    @Test(.since113, .server, arguments: Route.allCases)
    func statsJobIsWrittenToTheByte(over route: Route) throws {
        let client = try connect(route)
        let text = """
            ---\nid: 1\ntube: "default"\nstate: ready\npri: 7\nage: 0\ndelay: 0\nttr: 30\ntime-left: 0\nfile: 0
            reserves: 0\ntimeouts: 0\nreleases: 0\nburies: 0\nkicks: 0\n
            """
        client.send("put 7 0 30 1\r\nx\r\nstats-job 1\r\n")
        try client.expect("INSERTED 1\r\nOK \(text.utf8.count)\r\n\(text)\r\n")
    }

    @Test(.since113, arguments: Route.allCases)
    func statsTubeIsWrittenToTheByte(over route: Route) throws {
        let client = try connect(route)
        let tube = newTube()
        try client.call("use \(tube)", "USING \(tube)")
        try client.put(priority: 7)
        let text = """
            ---\nname: "\(tube)"\ncurrent-jobs-urgent: 1\ncurrent-jobs-ready: 1\ncurrent-jobs-reserved: 0
            current-jobs-delayed: 0\ncurrent-jobs-buried: 0\ntotal-jobs: 1\ncurrent-using: 1\ncurrent-watching: 0
            current-waiting: 0\ncmd-delete: 0\ncmd-pause-tube: 0\npause: 0\npause-time-left: 0\n
            """
        client.send("stats-tube \(tube)\r\n")
        try client.expect("OK \(text.utf8.count)\r\n\(text)\r\n")
    }

    @Test(arguments: Route.allCases)
    func aJobsCountersFollowItsLife(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let id = try client.put(priority: 3, ttr: 50)
        func check(_ state: String, _ counters: [Int]) throws {
            let job = try client.statistics("stats-job \(id)")
            #expect(job["state"] == state)
            let keys = ["reserves", "timeouts", "releases", "buries", "kicks"]
            #expect(keys.map { job.number($0) } == counters)
        }
        try check("ready", [0, 0, 0, 0, 0])
        try client.reserve(id)
        try check("reserved", [1, 0, 0, 0, 0])
        try client.call("release \(id) 3 0", "RELEASED")
        try check("ready", [1, 0, 1, 0, 0])
        try client.reserve(id)
        try client.call("bury \(id) 3", "BURIED")
        try check("buried", [2, 0, 1, 1, 0])
        try client.call("kick 1", "KICKED 1")
        try check("ready", [2, 0, 1, 1, 1])
        try client.reserve(id)
        try client.call("release \(id) 3 1000", "RELEASED")
        try check("delayed", [3, 0, 2, 1, 1])
        try client.call("kick-job \(id)", "KICKED")
        try check("ready", [3, 0, 2, 1, 2])
        try client.call("reserve-job \(id)", "RESERVED \(id) 1\r\nx")
        try check("reserved", [4, 0, 2, 1, 2])
        try client.delete(id)
        try client.call("stats-job \(id)", "NOT_FOUND")
    }

    @Test(arguments: Route.allCases)
    func timeLeftIsWholeSecondsRoundedDownForDelayedAndReservedJobsOnly(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let id = try client.put(delay: 100, ttr: 50)
        pause(seconds: 0.05)
        var job = try client.statistics("stats-job \(id)")
        #expect((95...99).contains(job.number("time-left")))
        #expect(job["delay"] == "100")
        try client.call("kick 1", "KICKED 1")
        job = try client.statistics("stats-job \(id)")
        #expect(job["time-left"] == "0")
        #expect(job["delay"] == "100", "delay keeps the last one asked for")
        try client.reserve(id)
        pause(seconds: 0.05)
        #expect((45...49).contains(try client.statistics("stats-job \(id)").number("time-left")))
        try client.call("bury \(id) 0", "BURIED")
        job = try client.statistics("stats-job \(id)")
        #expect(job["time-left"] == "0")
        #expect(job["delay"] == "100")
    }

    @Test(.server, arguments: Route.allCases)
    func onlyReadyJobsWithAPriorityBelow1024AreUrgent(over route: Route) throws {
        let client = try connect(route)
        func urgent(_ count: Int) throws {
            #expect(try client.statistics().number("current-jobs-urgent") == count)
            #expect(try client.statistics("stats-tube default").number("current-jobs-urgent") == count)
        }
        try client.put(priority: 1024)
        try urgent(0)
        let id = try client.put(priority: 1023)
        try client.put(priority: 0, delay: 1000)
        try urgent(1)
        try client.reserve(id)
        try urgent(0)
        try client.call("release \(id) 5 0", "RELEASED")
        try urgent(1)
        try client.reserve(id)
        try client.call("bury \(id) 5", "BURIED")
        try urgent(0)
        try client.call("kick 1", "KICKED 1")
        try urgent(1)
        try client.call("kick 1", "KICKED 1")
        try urgent(2)
        try client.delete(id)
        try urgent(1)
    }

    @Test(arguments: Route.allCases)
    func aTubesCountersFollowItsJobsAndClients(over route: Route) throws {
        let tube = newTube()
        let client = try connect(route, settledIn: tube)
        let worker = try connect(route, settledIn: tube)
        let ids = try (0..<4).map { _ in try client.put() }
        try client.put(delay: 1000)
        try client.reserve(ids[0])
        try client.reserve(ids[1])
        try client.call("bury \(ids[1]) 0", "BURIED")
        try client.call("delete \(ids[2])", "DELETED")
        try client.call("delete \(ids[2])", "NOT_FOUND")
        try client.call("pause-tube \(tube) 1000", "PAUSED")
        worker.send("reserve\r\n")
        try waitUntilWaiting(1, on: tube, seenBy: client)
        let stats = try client.statistics("stats-tube \(tube)")
        let expected = [
            "current-jobs-urgent": 1, "current-jobs-ready": 1, "current-jobs-reserved": 1, "current-jobs-delayed": 1,
            "current-jobs-buried": 1, "total-jobs": 5, "current-using": 2, "current-watching": 2, "current-waiting": 1,
            "cmd-delete": 1, "cmd-pause-tube": 1, "pause": 1000,
        ]
        for (key, value) in expected { #expect(stats.number(key) == value, "\(key)") }
    }
}
