// SPDX-License-Identifier: MIT

import Foundation
import Logging
import MemoryStorage
import PriorityScheduler
import Synchronization
import Testing
import TrellisCore
import TrellisServer
import TrellisTestKit

/// A server on a thread of its own, with connections in memory.
final class ServerHarness: Sendable {
    private struct Finish {
        var isDone = false
        var error: ServerError?
    }

    let transport: MemoryTransport
    let control: Server.Control
    let log = MessageLog()
    private let finish = Mutex(Finish())

    /// Starts a server and waits until it serves.
    init(
        settings: ServerSettings = ServerHarness.settings(), storage: sending any Storage = MemoryStorage(),
        more: sending [any Transport] = []
    ) throws {
        let transport = MemoryTransport()
        self.transport = transport
        let log = log
        let logger = Logger(label: "test") { _ in MessageLog.Handler(log: log) }
        let server = Server(
            settings: settings, storage: storage, scheduler: PriorityScheduler(), transports: [transport] + more,
            logger: logger)
        control = server.control
        nonisolated(unsafe) let handedOver = server
        let thread = Thread { [self] in
            do throws(ServerError) {
                try handedOver.run()
                finish.withLock { $0.isDone = true }
            } catch {
                finish.withLock {
                    $0.isDone = true
                    $0.error = error
                }
            }
        }
        thread.start()
        try waitUntil("the server serves") { log.contains("listens on") || finish.withLock { $0.isDone } }
    }

    /// What holds in the tests unless they say otherwise.
    static func settings() -> ServerSettings { ServerSettings(connections: 100, version: "1", ownsProcess: false) }

    func connect() throws -> TestClient { TestClient(try #require(transport.connect())) }

    /// Waits for the end of `run`; nil where it returned by itself.
    @discardableResult
    func waitForEnd() throws -> ServerError? {
        try waitUntil("the server ends") { finish.withLock { $0.isDone } }
        return finish.withLock { $0.error }
    }

    /// Stops the server; it must end without an error.
    func stop() throws {
        control.stop()
        let error = try waitForEnd()
        #expect(error == nil)
    }
}

/// Waits until something holds, ten seconds at most.
func waitUntil(_ what: String, _ condition: () -> Bool) throws {
    let start = ContinuousClock.now
    while !condition() {
        try #require(ContinuousClock.now - start < .seconds(10), "waited in vain until \(what)")
        usleep(1000)
    }
}

/// What the server logs.
final class MessageLog: Sendable {
    private let messages = Mutex<[String]>([])

    var all: [String] { messages.withLock { $0 } }
    func contains(_ text: String) -> Bool { messages.withLock { $0.contains { $0.contains(text) } } }

    struct Handler: LogHandler {
        let log: MessageLog
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.notice

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            log.messages.withLock { $0.append("\(event.level): \(event.message)") }
        }
    }
}

/// A client that says what it expects.
struct TestClient {
    let end: MemoryClient

    init(_ end: MemoryClient) { self.end = end }

    func send(_ text: String) { end.send(text) }

    /// Reads as many bytes as the text has, and compares.
    func expect(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) {
        let wanted = Array(text.utf8)
        var got: [UInt8] = []
        while got.count < wanted.count {
            guard let part = end.receive(atMost: wanted.count - got.count), !part.isEmpty else { break }
            got += part
        }
        let isEqual = got == wanted
        #expect(
            isEqual, "got \(String(decoding: got.prefix(200), as: UTF8.self)) instead of \(text.prefix(200))",
            sourceLocation: sourceLocation)
    }

    func ask(_ text: String, _ reply: String, sourceLocation: SourceLocation = #_sourceLocation) {
        send(text)
        expect(reply, sourceLocation: sourceLocation)
    }

    /// Whether the server has nothing to say for a while.
    func expectSilence(sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(end.receive(atMost: 100, seconds: 0) == nil, sourceLocation: sourceLocation)
    }

    /// The server closes the connection.
    func expectEnd(sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(end.receive(atMost: 1) == [], sourceLocation: sourceLocation)
    }

    /// The value of a key in `stats`.
    func statistic(_ key: String) throws -> Int {
        send("stats\r\n")
        var text = ""
        while !text.hasSuffix("\r\n") || text.filter({ $0.isNewline }).count < 3 {
            let part = try #require(end.receive(atMost: 10_000))
            text += String(decoding: part, as: UTF8.self)
        }
        let line = try #require(text.split(whereSeparator: \.isNewline).first { $0.hasPrefix("\(key): ") })
        return try #require(Int(line.dropFirst(key.count + 2)))
    }
}
