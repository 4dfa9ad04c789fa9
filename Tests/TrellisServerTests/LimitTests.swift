// SPDX-License-Identifier: MIT

import Foundation
import TCPTransport
import Testing
import TrellisCore
import TrellisServer
import TrellisTestKit
import UnixTransport

@Suite struct LimitTests {
    @Test func connectionBeyondTheLimitWaitsForAPlace() throws {
        var settings = ServerHarness.settings()
        settings.connections = 2
        let server = try ServerHarness(settings: settings)
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

    @Test func acceptingGoesOnWhenDescriptorsAreThereAgain() throws {
        let server = try ServerHarness()
        server.transport.exhaustOnce()
        let client = try server.connect()
        client.ask("list-tube-used\r\n", "USING default\r\n")
        #expect(server.log.contains("accepting no connections for now"))
        #expect(server.log.contains("accepting connections again"))
        try server.stop()
    }

    @Test func putBeyondTheMemoryLimitIsSwallowedAndAllElseGoesOn() throws {
        var settings = ServerHarness.settings()
        settings.engine.memoryBytes = 100_000
        let server = try ServerHarness(settings: settings)
        let client = try server.connect()
        let body = String(repeating: "m", count: 60_000)
        client.ask("put 0 0 60 60000\r\n\(body)\r\n", "INSERTED 1\r\n")
        client.ask("put 0 0 60 60000\r\n\(body)\r\nlist-tube-used\r\n", "OUT_OF_MEMORY\r\nUSING default\r\n")
        client.ask("reserve\r\n", "RESERVED 1 60000\r\n\(body)\r\n")
        client.ask("delete 1\r\n", "DELETED\r\n")
        client.ask("put 0 0 60 60000\r\n\(body)\r\n", "INSERTED 2\r\n")
        try server.stop()
    }

    @Test func stopRemovesTheSocketFileAndClosesClients() throws {
        let path = "/tmp/trellis-server-\(getpid()).sock"
        let server = try ServerHarness(more: [
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

    @Test func addressInUseEndsTheStartAndOpensNothing() throws {
        let listeners = try TCPTransport(host: "127.0.0.1", port: 0).open()
        defer { for listener in listeners { listener.close() } }
        let port = try #require(listeners.first?.endpoint.split(separator: ":").last.flatMap { UInt16($0) })
        let path = "/tmp/trellis-second-\(getpid()).sock"
        let server = try ServerHarness(more: [
            UnixTransport(path: path, mode: 0o600, owner: nil), TCPTransport(host: "127.0.0.1", port: port),
        ])
        let error = try #require(try server.waitForEnd())
        #expect(error.description.contains("Address already in use"))
        #expect(error.exitStatus == 1)
        #expect(!FileManager.default.fileExists(atPath: path))
    }
}

@Suite struct CommitTests {
    @Test func repliesWaitUntilTheStoreHasMadeThemSafe() throws {
        let storage = DelayedStorage()
        let server = try ServerHarness(storage: storage)
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

    @Test func failedCommitIsToldToNobodyAsASuccess() throws {
        let storage = DelayedStorage()
        let server = try ServerHarness(storage: storage)
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

    @Test func commitThatFailsAtOnceStopsTheServerToo() throws {
        let storage = DelayedStorage()
        let server = try ServerHarness(storage: storage)
        let client = try server.connect()
        storage.failCommit(1)
        client.send("put 0 0 60 1\r\na\r\n")
        // The failing turn may have been the one before the put was read; the connection ends either way.
        let error = try #require(try server.waitForEnd())
        #expect(error.exitStatus == 20)
    }

    @Test func stopWaitsForTheStore() throws {
        let storage = DelayedStorage()
        let server = try ServerHarness(storage: storage)
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

    @Test func refusalOfTheStoreIsOutOfMemory() throws {
        let storage = DelayedStorage()
        let server = try ServerHarness(storage: storage)
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
}
