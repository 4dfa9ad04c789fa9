// SPDX-License-Identifier: MIT

import Glibc
import LiveServer
import Testing

/// Policies of tubes, over the end of the server.
@Suite(.onThreads) struct PolicyRestartTests {
    private static let stores = ["use: binlog, sync: always", "use: binlog, sync: 50ms", "use: compressed-binlog"]

    private func start(_ plugin: String, _ tubes: String) throws -> TrellisProcess {
        try TrellisProcess(storage: "\(plugin), directory: FOLDER/data", more: "tubes: {\(tubes)}")
    }

    private func restart(_ server: TrellisProcess, by signal: Int32) throws -> TrellisProcess {
        server.process.signal(signal)
        _ = server.process.waitForExit(seconds: 20)
        return try server.startAgain()
    }

    /// A failure of each kind before each restart; what the restart itself ends is none.
    @Test(arguments: stores, [SIGTERM, SIGKILL])
    func failuresAreCountedOnAndMovedJobsStayMoved(plugin: String, signal: Int32) throws {
        var server = try start(plugin, "work: {retries: 2, dead-letter: dead}")
        defer { server.kill() }
        var client = try server.connect()
        try client.settle("work")
        try client.put("body", priority: 7, ttr: 1000)
        try client.call("reserve", "RESERVED 1 4\r\nbody")
        try client.call("release 1 7 0", "RELEASED")
        do {
            let lost = try server.connect()
            try lost.call("reserve-job 1", "RESERVED 1 4\r\nbody")
        }
        while try client.statistics("stats-job 1")["failures"] != "2" { pause(seconds: 0.05) }
        let worker = try server.connect()
        try worker.call("reserve-job 1", "RESERVED 1 4\r\nbody")
        server = try restart(server, by: signal)
        client = try server.connect()
        #expect(try client.statistics("stats-job 1")["failures"] == "2")
        #expect(try client.statistics("stats-job 1")["state"] == "ready")
        try client.call("reserve-job 1", "RESERVED 1 4\r\nbody")
        try client.call("release 1 9 50", "RELEASED")
        // Twice: what was kept must be kept again.
        for _ in 0..<2 {
            let job = try client.statistics("stats-job 1")
            #expect([job["tube"], job["state"], job["pri"], job["ttr"]] == ["\"dead\"", "ready", "9", "1000"])
            #expect(try client.statistics()["current-jobs-ready"] == "1")
            server = try restart(server, by: signal)
            client = try server.connect()
        }
        try client.settle("dead")
        try client.call("reserve", "RESERVED 1 4\r\nbody")
        try client.delete(1)
        server = try restart(server, by: signal)
        client = try server.connect()
        try client.call("peek 1", "NOT_FOUND")
    }

    @Test func timeGoesOnWhileNoServerRuns() throws {
        var server = try start("use: binlog", "short: {ttl: 3s}, \"long*\": {ttl: 1h}")
        defer { server.kill() }
        var client = try server.connect()
        let begin = monotonicSeconds()
        for tube in ["short", "long"] {
            try client.call("use \(tube)", "USING \(tube)")
            try client.put()
        }
        server.process.signal(SIGKILL)
        _ = server.process.waitForExit(seconds: 20)
        while monotonicSeconds() < begin + 3.2 { pause(seconds: 0.05) }
        server = try server.startAgain()
        client = try server.connect()
        let start = monotonicSeconds()
        while try client.statistics()["current-jobs-ready"] != "1", monotonicSeconds() < start + 20 {
            pause(seconds: 0.02)
        }
        try client.call("peek 1", "NOT_FOUND")
        #expect(try client.statistics("stats-job 2")["state"] == "ready")
    }
}
