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

    /// How many threads tests are run with: a loop that has its engine alone, and four that share it.
    static let threadCounts = [1, 4]

    /// Starts a server and waits until it serves, unless the test doesn't want that.
    init(
        threads: Int, settings: ServerSettings = ServerHarness.settings(),
        storage: sending any Storage = MemoryStorage(), more: sending [any Transport] = [],
        updates: UpdateSource? = nil, waits: Bool = true
    ) throws {
        let transport = MemoryTransport()
        self.transport = transport
        let log = log
        let logger = Logger(label: "test") { _ in MessageLog.Handler(log: log) }
        var settings = settings
        settings.ioThreads = threads
        let server = Server(
            settings: settings, storage: storage, scheduler: PriorityScheduler(), transports: [transport] + more,
            updates: updates, logger: logger)
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
        guard waits else { return }
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

/// How long a test waits for what must come, in seconds: others may have the cores, and a sanitizer slows all down.
let patience = 60

/// Waits until something holds, but no longer than that.
func waitUntil(_ what: String, _ condition: () -> Bool) throws {
    let start = ContinuousClock.now
    while !condition() {
        try #require(ContinuousClock.now - start < .seconds(patience), "waited in vain until \(what)")
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
            guard let part = end.receive(atMost: wanted.count - got.count, seconds: patience), !part.isEmpty else {
                break
            }
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
        #expect(end.receive(atMost: 1, seconds: patience) == [], sourceLocation: sourceLocation)
    }

    /// So many lines, without their ends.
    func lines(_ count: Int) throws -> [String] {
        var bytes: [UInt8] = []
        while bytes.count(where: { $0 == 10 }) < count {
            let part = try #require(end.receive(atMost: 100_000, seconds: patience))
            try #require(!part.isEmpty, "the server closed the connection")
            bytes += part
        }
        return bytes.split(separator: 10).map { String(decoding: $0.dropLast(), as: UTF8.self) }
    }

    /// The value of a key in `stats`.
    func statistic(_ key: String) throws -> Int {
        send("stats\r\n")
        var text = ""
        while !text.hasSuffix("\r\n") || text.filter({ $0.isNewline }).count < 3 {
            let part = try #require(end.receive(atMost: 10_000, seconds: patience))
            text += String(decoding: part, as: UTF8.self)
        }
        let line = try #require(text.split(whereSeparator: \.isNewline).first { $0.hasPrefix("\(key): ") })
        return try #require(Int(line.dropFirst(key.count + 2)))
    }
}
