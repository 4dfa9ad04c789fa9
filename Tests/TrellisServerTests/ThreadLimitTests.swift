// SPDX-License-Identifier: MIT

import Testing
import TrellisCore
import TrellisServer
import TrellisTestKit

/// Limits, draining and stopping where those who cause a change and those who are to hear of it are on different loops.
@Suite struct ThreadLimitTests {
    private static let threads = 4

    private func server(_ tube: TubeSettings, threads: Int = threads) throws -> ServerHarness {
        var settings = ServerHarness.settings()
        settings.tubeRules = TubeRules([TubeRule(TubePattern("limited"), tube)])
        return try ServerHarness(threads: threads, settings: settings)
    }

    /// Clients that use and watch the limited tube, one on each loop.
    private func clients(of server: ServerHarness) throws -> [TestClient] {
        try (0..<Self.threads).map { _ in
            let client = try server.connect()
            client.ask(
                "use limited\r\nwatch limited\r\nignore default\r\n", "USING limited\r\nWATCHING 2\r\nWATCHING 1\r\n")
            return client
        }
    }

    @Test func workerAtALimitOfConcurrencyIsServedWhenAnotherLoopFreesAPlace() throws {
        let server = try server(TubeSettings(concurrency: 1))
        let clients = try clients(of: server)
        clients[0].ask("put 0 0 60 1\r\na\r\nput 0 0 60 1\r\nb\r\n", "INSERTED 1\r\nINSERTED 2\r\n")
        clients[0].ask("reserve\r\n", "RESERVED 1 1\r\na\r\n")
        clients[1].send("reserve\r\n")
        try waitUntil("the worker waits") { (try? clients[2].statistic("current-waiting")) == 1 }
        clients[1].expectSilence()
        clients[0].ask("delete 1\r\n", "DELETED\r\n")
        clients[1].expect("RESERVED 2 1\r\nb\r\n")
        // Whoever has the place is gone: the same.
        clients[3].ask("put 0 0 60 1\r\nc\r\n", "INSERTED 3\r\n")
        clients[2].send("reserve\r\n")
        try waitUntil("the worker waits") { (try? clients[3].statistic("current-waiting")) == 1 }
        clients[1].send("delete 2\r\nquit\r\n")
        clients[2].expect("RESERVED 3 1\r\nc\r\n")
        try server.stop()
    }

    @Test func tokenOfARateServesAWorkerThoughNobodyComesBy() throws {
        let server = try server(TubeSettings(rate: Rate(2, per: .second)))
        let clients = try clients(of: server)
        let jobs = 6
        for id in 1...jobs { clients[0].ask("put 0 0 60 1\r\na\r\n", "INSERTED \(id)\r\n") }
        // More than there are tokens: all loops sleep until the next one.
        let start = ContinuousClock.now
        for id in 1...jobs { clients[id % Self.threads].ask("reserve\r\n", "RESERVED \(id) 1\r\na\r\n") }
        let taken = ContinuousClock.now - start
        #expect(taken > .milliseconds(1500), "\(jobs) jobs came after \(taken), at two a second")
        try server.stop()
    }

    /// A loop decodes before the engine says that the tube takes no such job.
    @Test(arguments: ServerHarness.threadCounts) func bodyThatATubeRefusesIsSkippedWhateverTheLineLooksLike(
        threads: Int
    ) throws {
        let server = try server(TubeSettings(maxJobBytes: 4), threads: threads)
        let client = try server.connect()
        client.ask("use limited\r\n", "USING limited\r\n")
        for line in ["put 0 0 60 21", "put 0 0 60 21 more"] {
            // The body looks like commands.
            let text = "\(line)\r\ndelete 1\r\nuse default\r\nlist-tube-used\r\n"
            client.ask(text, "JOB_TOO_BIG\r\nUSING limited\r\n")
            for byte in text.utf8 { client.end.send([byte]) }
            client.expect("JOB_TOO_BIG\r\nUSING limited\r\n")
        }
        client.ask("put 0 0 60 4 more\r\nput 0 0 60 4\r\nbody\r\n", "BAD_FORMAT\r\nINSERTED 1\r\n")
        try server.stop()
    }

    @Test func drainingHoldsOnAllLoops() throws {
        let server = try ServerHarness(threads: Self.threads)
        let clients = try (0..<Self.threads).map { _ in try server.connect() }
        clients[0].ask("put 0 0 60 1\r\na\r\n", "INSERTED 1\r\n")
        server.control.drain()
        try waitUntil("the server drains") { server.log.contains("draining") }
        for client in clients { client.ask("put 0 0 60 1\r\na\r\n", "DRAINING\r\n") }
        clients[1].ask("reserve\r\ndelete 1\r\n", "RESERVED 1 1\r\na\r\nDELETED\r\n")
        try server.stop()
    }

    @Test func memoryThatOneLoopTookIsMissingOnTheOthers() throws {
        var settings = ServerHarness.settings()
        settings.engine.memoryBytes = 100_000
        let server = try ServerHarness(threads: Self.threads, settings: settings)
        let clients = try (0..<Self.threads).map { _ in try server.connect() }
        let put = "put 0 0 60 60000\r\n\(String(repeating: "m", count: 60_000))\r\n"
        clients[0].ask(put, "INSERTED 1\r\n")
        for client in clients { client.ask(put, "OUT_OF_MEMORY\r\n") }
        // A body that has just begun has its memory set aside already.
        clients[1].ask("delete 1\r\n", "DELETED\r\n")
        clients[2].send(String(put.prefix(1000)))
        try waitUntil("the line is read") { (try? clients[3].statistic("cmd-put")) == Self.threads + 2 }
        clients[3].ask(put, "OUT_OF_MEMORY\r\n")
        clients[2].ask(String(put.dropFirst(1000)), "INSERTED 2\r\n")
        try server.stop()
    }
}
