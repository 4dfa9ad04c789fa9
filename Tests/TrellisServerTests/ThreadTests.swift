// SPDX-License-Identifier: MIT

import Foundation
import Synchronization
import Testing
import TrellisCore
import TrellisServer
import TrellisTestKit
import UnixTransport

/// What only a server with several loops can get wrong: connections go to the loop that has the fewest, so that
/// clients that come one after the other are on different ones.
@Suite struct ThreadTests {
    private static let threads = 4

    @Test func repliesOfEachConnectionComeInOrderWhateverOthersDo() throws {
        let server = try ServerHarness(threads: Self.threads)
        let clients = try (0..<8).map { _ in try server.connect() }
        let rounds = 200
        for (number, client) in clients.enumerated() {
            let tube = "tube-\(number)"
            var text = "use \(tube)\r\nwatch \(tube)\r\nignore default\r\n"
            for round in 0..<rounds {
                let body = "\(number)-\(round)"
                text += "put 0 0 60 \(body.utf8.count)\r\n\(body)\r\nreserve\r\nlist-tube-used\r\nnonsense\r\n"
            }
            client.send(text)
        }
        for (number, client) in clients.enumerated() {
            client.expect("USING tube-\(number)\r\nWATCHING 2\r\nWATCHING 1\r\n")
            let lines = try client.lines(5 * rounds)
            for round in 0..<rounds {
                let body = "\(number)-\(round)"
                let id = lines[5 * round].dropFirst("INSERTED ".count)
                #expect(
                    Array(lines[5 * round..<5 * round + 5]) == [
                        "INSERTED \(id)", "RESERVED \(id) \(body.utf8.count)", body, "USING tube-\(number)",
                        "UNKNOWN_COMMAND",
                    ])
            }
        }
        try server.stop()
    }

    @Test func workersOfAllLoopsAreServedInTheOrderInWhichTheyCame() throws {
        let server = try ServerHarness(threads: Self.threads)
        let producer = try server.connect()
        let workers = try (0..<10).map { _ in try server.connect() }
        for (number, worker) in workers.enumerated() {
            worker.send("reserve\r\n")
            try waitUntil("the worker waits") { (try? producer.statistic("current-waiting")) == number + 1 }
        }
        for number in workers.indices { producer.send("put \(100 - number) 0 60 1\r\n\(number)\r\n") }
        for (number, worker) in workers.enumerated() { worker.expect("RESERVED \(number + 1) 1\r\n\(number)\r\n") }
        for number in workers.indices { producer.expect("INSERTED \(number + 1)\r\n") }
        try server.stop()
    }

    @Test func jobWakesAWorkerOnAnotherLoopAtOnce() throws {
        let server = try ServerHarness(threads: Self.threads)
        let clients = try (0..<Self.threads).map { _ in try server.connect() }
        for round in 0..<200 {
            let worker = clients[round % clients.count]
            let producer = clients[(round + 1 + round / clients.count) % clients.count]
            guard worker.end !== producer.end else { continue }
            worker.send("reserve\r\n")
            try waitUntil("the worker waits") { (try? producer.statistic("current-waiting")) == 1 }
            producer.send("put 0 0 60 1\r\na\r\n")
            let reply = try #require(worker.end.receive(atMost: 100, seconds: patience), "the worker was not woken")
            let words = String(decoding: reply, as: UTF8.self).split(whereSeparator: \.isWhitespace)
            try #require(words.first == "RESERVED")
            producer.expect("INSERTED \(words[1])\r\n")
            worker.ask("delete \(words[1])\r\n", "DELETED\r\n")
        }
        try server.stop()
    }

    @Test func deadlinesAreKeptWhicheverLoopCameUponThem() throws {
        let server = try ServerHarness(threads: Self.threads)
        let clients = try (0..<Self.threads).map { _ in try server.connect() }
        for client in clients { client.send("reserve-with-timeout 1\r\n") }
        for client in clients { client.expect("TIMED_OUT\r\n") }
        for (number, client) in clients.enumerated() {
            let other = clients[(number + 1) % clients.count]
            other.send("reserve\r\n")
            client.ask("put 0 1 60 1\r\na\r\n", "INSERTED \(number + 1)\r\n")
            other.expect("RESERVED \(number + 1) 1\r\na\r\n")
        }
        try server.stop()
    }

    @Test func stopFindsEveryLoopsConnections() throws {
        let server = try ServerHarness(threads: Self.threads)
        let clients = try (0..<12).map { _ in try server.connect() }
        clients[0].ask("put 0 0 60 1\r\na\r\n", "INSERTED 1\r\n")
        clients[1].ask("reserve\r\n", "RESERVED 1 1\r\na\r\n")
        for client in clients[2...] { client.send("reserve\r\n") }
        try waitUntil("all wait") { (try? clients[0].statistic("current-waiting")) == 10 }
        try server.stop()
        // The job of the one that had it goes to none of those that waited.
        for client in clients { client.expectEnd() }
    }

    @Test func replyThatIsHeldOnAnyLoopIsRefusedWhenTheStoreFails() throws {
        let storage = DelayedStorage()
        let server = try ServerHarness(threads: Self.threads, storage: storage)
        let clients = try (0..<Self.threads).map { _ in try server.connect() }
        for (number, client) in clients.enumerated() {
            client.send("put 0 0 60 1\r\na\r\n")
            try waitUntil("the job is with the store") { storage.changes.count == number + 1 }
        }
        for client in clients { client.expectSilence() }
        storage.failCompletion()
        for client in clients {
            client.expect("INTERNAL_ERROR\r\n")
            client.expectEnd()
        }
        let error = try #require(try server.waitForEnd())
        #expect(error.exitStatus == 20)
        #expect(!storage.isOpen)
    }

    @Test func replyToAWorkerOnAnotherLoopWaitsForTheStoreToo() throws {
        let storage = DelayedStorage()
        let server = try ServerHarness(threads: Self.threads, storage: storage)
        let producer = try server.connect()
        let worker = try server.connect()
        worker.send("reserve\r\n")
        try waitUntil("the worker waits") { (try? producer.statistic("current-waiting")) == 1 }
        producer.send("put 0 0 60 1\r\na\r\n")
        let first = try #require(storage.waitForPending())
        worker.expectSilence()
        producer.expectSilence()
        storage.complete(upTo: first)
        worker.expect("RESERVED 1 1\r\na\r\n")
        producer.expect("INSERTED 1\r\n")
        try server.stop()
    }

    @Test func largeKickLetsTheOtherLoopsThrough() throws {
        var settings = ServerHarness.settings()
        settings.engine.jobsPerStep = 10
        let server = try ServerHarness(threads: Self.threads, settings: settings)
        let client = try server.connect()
        let other = try server.connect()
        let count = 5000
        client.send(String(repeating: "put 0 1000 60 0\r\n\r\n", count: count))
        for id in 1...count { client.expect("INSERTED \(id)\r\n") }
        client.send("kick 1000000\r\n")
        for _ in 0..<20 { other.ask("list-tube-used\r\n", "USING default\r\n") }
        client.expect("KICKED \(count)\r\n")
        #expect(try other.statistic("current-jobs-ready") == count)
        try server.stop()
    }
}
