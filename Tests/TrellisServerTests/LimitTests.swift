// SPDX-License-Identifier: MIT

import Foundation
import TCPTransport
import Testing
import TrellisCore
import TrellisServer
import TrellisTestKit
import UnixTransport

@Suite struct LimitTests {
    @Test(arguments: ServerHarness.threadCounts) func connectionBeyondTheLimitWaitsForAPlace(threads: Int) throws {
        var settings = ServerHarness.settings()
        settings.connections = 2
        let server = try ServerHarness(threads: threads, settings: settings)
        let first = try server.connect()
        let second = try server.connect()
        first.ask("list-tube-used\r\n", "USING default\r\n")
        second.ask("list-tube-used\r\n", "USING default\r\n")
        let third = try server.connect()
        third.send("list-tube-used\r\n")
        try waitUntil("the pause is logged") { server.log.contains("the limit of 2 connections is reached") }
        third.expectSilence()
        first.send("quit\r\n")
        third.expect("USING default\r\n")
        #expect(server.log.contains("accepting connections again"))
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts) func acceptingGoesOnWhenDescriptorsAreThereAgain(threads: Int) throws {
        let server = try ServerHarness(threads: threads)
        server.transport.exhaustOnce()
        let client = try server.connect()
        client.ask("list-tube-used\r\n", "USING default\r\n")
        #expect(server.log.contains("accepting no connections for now"))
        #expect(server.log.contains("accepting connections again"))
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts) func putBeyondTheMemoryLimitIsSwallowedAndAllElseGoesOn(
        threads: Int
    ) throws {
        var settings = ServerHarness.settings()
        settings.engine.memoryBytes = 100_000
        let server = try ServerHarness(threads: threads, settings: settings)
        let client = try server.connect()
        let body = String(repeating: "m", count: 60_000)
        client.ask("put 0 0 60 60000\r\n\(body)\r\n", "INSERTED 1\r\n")
        client.ask("put 0 0 60 60000\r\n\(body)\r\nlist-tube-used\r\n", "OUT_OF_MEMORY\r\nUSING default\r\n")
        client.ask("reserve\r\n", "RESERVED 1 60000\r\n\(body)\r\n")
        client.ask("delete 1\r\n", "DELETED\r\n")
        client.ask("put 0 0 60 60000\r\n\(body)\r\n", "INSERTED 2\r\n")
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts) func stopRemovesTheSocketFileAndClosesClients(threads: Int) throws {
        let path = "/tmp/trellis-server-\(getpid())-\(threads).sock"
        let server = try ServerHarness(
            threads: threads,
            more: [
                UnixTransport(path: path, mode: 0o600, owner: nil), TCPTransport(host: "127.0.0.1", port: 0),
            ])
        #expect(FileManager.default.fileExists(atPath: path))
        let client = try server.connect()
        client.send("reserve\r\n")
        try server.stop()
        client.expectEnd()
        #expect(!FileManager.default.fileExists(atPath: path))
        #expect(server.log.all.count == 2, "one line at the start, one at the stop: \(server.log.all)")
    }

    @Test(arguments: ServerHarness.threadCounts) func addressInUseEndsTheStartAndOpensNothing(threads: Int) throws {
        let listeners = try TCPTransport(host: "127.0.0.1", port: 0).open()
        defer { for listener in listeners { listener.close() } }
        let port = try #require(listeners.first?.endpoint.split(separator: ":").last.flatMap { UInt16($0) })
        let path = "/tmp/trellis-second-\(getpid())-\(threads).sock"
        let server = try ServerHarness(
            threads: threads,
            more: [
                UnixTransport(path: path, mode: 0o600, owner: nil), TCPTransport(host: "127.0.0.1", port: port),
            ])
        let error = try #require(try server.waitForEnd())
        #expect(error.description.contains("Address already in use"))
        #expect(error.exitStatus == 1)
        #expect(!FileManager.default.fileExists(atPath: path))
    }
}

@Suite struct CommitTests {
    @Test(arguments: ServerHarness.threadCounts) func repliesWaitUntilTheStoreHasMadeThemSafe(threads: Int) throws {
        let storage = DelayedStorage()
        let server = try ServerHarness(threads: threads, storage: storage)
        let producer = try server.connect()
        let reader = try server.connect()
        producer.send("put 0 0 60 1\r\na\r\n")
        let first = try #require(storage.waitForPending())
        producer.expectSilence()
        // A read would tell of a job that a crash could take back: it waits too.
        let commits = storage.commitCount
        reader.send("peek 1\r\n")
        try waitUntil("the read was performed") { storage.commitCount > commits }
        reader.expectSilence()
        producer.expectSilence()
        storage.complete(upTo: first)
        producer.expect("INSERTED 1\r\n")
        reader.expect("FOUND 1 1\r\na\r\n")
        producer.send("put 0 0 60 1\r\nb\r\n")
        let second = try #require(storage.waitForPending(above: first))
        producer.expectSilence()
        storage.complete(upTo: second)
        producer.expect("INSERTED 2\r\n")
        try server.stop()
        #expect(!storage.isOpen)
    }

    @Test(arguments: ServerHarness.threadCounts) func failedCommitIsToldToNobodyAsASuccess(threads: Int) throws {
        let storage = DelayedStorage()
        let server = try ServerHarness(threads: threads, storage: storage)
        let client = try server.connect()
        client.send("put 0 0 60 1\r\na\r\n")
        _ = try #require(storage.waitForPending())
        storage.failCompletion()
        client.expect("INTERNAL_ERROR\r\n")
        client.expectEnd()
        let error = try #require(try server.waitForEnd())
        #expect(error.exitStatus == 20)
        #expect(error.description.contains("the disk is gone"))
        #expect(!storage.isOpen)
    }

    @Test(arguments: ServerHarness.threadCounts) func commitThatFailsAtOnceStopsTheServerToo(threads: Int) throws {
        let storage = DelayedStorage()
        let server = try ServerHarness(threads: threads, storage: storage)
        let client = try server.connect()
        storage.failCommit(1)
        client.send("put 0 0 60 1\r\na\r\n")
        // The failing turn may have been the one before the put was read; the connection ends either way.
        let error = try #require(try server.waitForEnd())
        #expect(error.exitStatus == 20)
    }

    @Test(arguments: ServerHarness.threadCounts) func stopWaitsForTheStore(threads: Int) throws {
        let storage = DelayedStorage()
        let server = try ServerHarness(threads: threads, storage: storage)
        let client = try server.connect()
        client.send("put 0 0 60 1\r\na\r\n")
        _ = try #require(storage.waitForPending())
        server.control.stop()
        client.expectSilence()
        storage.complete()
        client.expect("INSERTED 1\r\n")
        client.expectEnd()
        #expect(try server.waitForEnd() == nil)
    }

    @Test(arguments: ServerHarness.threadCounts) func refusalOfTheStoreIsOutOfMemory(threads: Int) throws {
        let storage = DelayedStorage()
        let server = try ServerHarness(threads: threads, storage: storage)
        let client = try server.connect()
        storage.setAdmitsPuts(false)
        client.ask("put 0 0 60 1\r\na\r\n", "OUT_OF_MEMORY\r\n")
        storage.setAdmitsPuts(true)
        client.send("put 0 0 60 1\r\na\r\n")
        _ = try #require(storage.waitForPending())
        storage.complete()
        client.expect("INSERTED 2\r\n")
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts) func noClientIsReadWhileTheStoreIsCongested(threads: Int) throws {
        let storage = DelayedStorage()
        let server = try ServerHarness(threads: threads, storage: storage)
        let clients = try (0..<4).map { _ in try server.connect() }
        for client in clients { client.ask("list-tube-used\r\n", "USING default\r\n") }
        storage.setCongested(true)
        // Each loop finds it out at the end of a turn, so that its client may be answered once more.
        for client in clients {
            var answers = 0
            repeat {
                client.send("list-tube-used\r\n")
                guard client.end.receive(atMost: 100, seconds: 1) != nil else { break }
                answers += 1
            } while answers < 3
            #expect(answers <= 1)
        }
        storage.setCongested(false)
        for client in clients { client.expect("USING default\r\n") }
        try server.stop()
    }
}
