// SPDX-License-Identifier: MIT

import Glibc
import LiveServer
import Testing

/// What a clean stop keeps, and the flags of beanstalkd that say how the log is kept.
@Suite(.onThreads) struct RestartTests {
    @Test(arguments: ["use: binlog, sync: always", "use: binlog, sync: never", "use: compressed-binlog, codec: lz4"])
    func aCleanStopKeepsEverything(plugin: String) throws {
        var server = try TrellisProcess(storage: "\(plugin), directory: FOLDER/data")
        defer { server.kill() }
        let client = try server.connect()
        try client.settle("work")
        for priority in 1...6 { try client.put("x", priority: priority, ttr: priority == 6 ? 1 : 100) }
        try client.call("reserve-job 1", "RESERVED 1 1\r\nx")
        try client.call("release 1 11 0", "RELEASED")
        try client.call("reserve-job 1", "RESERVED 1 1\r\nx")
        try client.call("touch 1", "TOUCHED")
        for id in [2, 3] {
            try client.call("reserve-job \(id)", "RESERVED \(id) 1\r\nx")
            try client.call("bury \(id) 2\(id)", "BURIED")
        }
        try client.call("kick-job 2", "KICKED")
        try client.call("reserve-job 4", "RESERVED 4 1\r\nx")
        try client.call("release 4 44 1000", "RELEASED")
        try client.delete(5)
        // Its time to run is over once, then it is reserved again.
        let other = try server.connect()
        try other.call("reserve-job 6", "RESERVED 6 1\r\nx")
        try client.call("watch work", "WATCHING 1")
        while try client.statistics("stats-job 6")["timeouts"] != "1" { pause(seconds: 0.05) }
        try other.call("reserve-job 6", "RESERVED 6 1\r\nx")

        let keys = ["id", "tube", "pri", "delay", "ttr", "reserves", "timeouts", "releases", "buries", "kicks"]
        let expected = [
            1: ("ready", ["1", "\"work\"", "11", "0", "100", "2", "0", "1", "0", "0"]),
            2: ("ready", ["2", "\"work\"", "22", "0", "100", "1", "0", "0", "1", "1"]),
            3: ("buried", ["3", "\"work\"", "23", "0", "100", "1", "0", "0", "1", "0"]),
            4: ("delayed", ["4", "\"work\"", "44", "1000", "100", "1", "0", "1", "0", "0"]),
            6: ("ready", ["6", "\"work\"", "6", "0", "1", "2", "1", "0", "0", "0"]),
        ]
        // Twice: what was kept must be kept again.
        for _ in 0..<2 {
            try server.stop()
            server = try server.startAgain()
            let client = try server.connect()
            for (id, (state, values)) in expected {
                let statistics = try client.statistics("stats-job \(id)")
                #expect(statistics["state"] == state, "job \(id)")
                #expect(keys.map { statistics[$0] } == values, "job \(id)")
            }
            try client.call("peek 5", "NOT_FOUND")
            #expect((900...1000).contains(try client.statistics("stats-job 4").number("time-left")))
            #expect(try client.statistics()["current-jobs-ready"] == "3")
        }
        #expect(try server.connect().put() == 7)
    }

    @Test(arguments: [SIGTERM, SIGKILL])
    func delaysGoOnWhileNoServerRuns(signal: Int32) throws {
        var server = try TrellisProcess(storage: "use: binlog, directory: FOLDER/data")
        defer { server.kill() }
        var client = try server.connect()
        let start = monotonicSeconds()
        try client.put("short", delay: 1)
        try client.put("middle", delay: 8)
        try client.put("long", delay: 3000)
        server.process.signal(signal)
        _ = server.process.waitForExit(seconds: 20)
        while monotonicSeconds() < start + 5 { pause(seconds: 0.05) }
        server = try server.startAgain()
        client = try server.connect()
        try client.reserve(1, "short")
        #expect(try client.statistics("stats-job 3").number("time-left") <= 2995)
        #expect(try client.statistics("stats-job 3").number("time-left") > 2900)
        try client.call("reserve", "RESERVED 2 6\r\nmiddle")
        // Not before its time, and not as long after the restart as it was to be after the put.
        let waited = monotonicSeconds() - start
        #expect(waited > 7.9)
        #expect(waited < 12.5, "it came \(waited) s after it was put")
        #expect(try client.statistics("stats-job 3")["state"] == "delayed")
    }

    // MARK: Flags

    /// The sync policy that flags ask for is seen by who waits for the disk.
    @Test(arguments: [
        (["-f0"], "16777216", true), (["-f", "0", "-s", "2097152"], "2097152", true), ([], "16777216", false),
        (["-f", "100", "-s1048577"], "1052672", false), (["-F"], "16777216", false),
        (["-F", "-f0", "-s", "1"], "1048576", false),
    ])
    func beanstalkdsFlagsKeepALog(flags: [String], segmentBytes: String, waits: Bool) throws {
        let faults = try DiskFaults()
        defer { faults.remove() }
        var server = try TrellisProcess(flags: ["-b", "FOLDER"] + flags, shell: faults.shell)
        defer { server.kill() }
        defer { faults.heal() }
        var client = try server.connect()
        #expect(try client.statistics()["binlog-max-size"] == segmentBytes)
        #expect(try client.statistics()["binlog-current-index"] == "1")
        #expect(fileExists("\(server.folder)/0000000001.log"))
        // Once a put was taken, there is room for the next one without another file.
        try client.put()
        try faults.hold("fdatasync")
        client.send("put 0 0 60 1\r\nx\r\n")
        if waits {
            try client.expectSilence()
            faults.goOn("fdatasync")
        }
        try client.expect("INSERTED 2\r\n")
        server.crash()
        faults.heal()
        server = try server.startAgain()
        client = try server.connect()
        for id in 1...2 { try client.reserve(id) }
    }
}
