// SPDX-License-Identifier: MIT

import Foundation
import Synchronization
import Testing
import TrellisCore
import TrellisServer
import TrellisTestKit

/// A client that takes whatever it is sent at once, as a quick reader on another core does.
///
/// When it gets the first bytes it lets another client ask something, and it notes whether that one was answered before
/// it had got everything itself. Once it is handed over, only the loop's thread touches it.
private final class GreedyStream: ByteStream, ReadinessSignal, @unchecked Sendable {
    private var input: [UInt8]
    private var taken = 0
    private let total: Int
    private let other: MemoryClient
    private let note: @Sendable (Bool) -> Void

    init(asking command: String, total: Int, other: MemoryClient, note: @escaping @Sendable (Bool) -> Void) {
        input = Array(command.utf8)
        self.total = total
        self.other = other
        self.note = note
    }

    var readiness: Readiness { .signal(self) }
    var hasBufferedInput: Bool { !input.isEmpty }

    func onReady(_ call: @escaping @Sendable () -> Void) { call() }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> TransferOutcome {
        guard !input.isEmpty else { return .againWhenReadable }
        let count = min(buffer.count, input.count)
        buffer.copyBytes(from: input.prefix(count))
        input.removeFirst(count)
        return .bytes(count)
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> TransferOutcome {
        if taken == 0 { other.send("list-tube-used\r\n") }
        // What is written last was asked for last: by then the other one must have its answer.
        if taken < total && taken + bytes.count >= total { note(other.receive(atMost: 100, seconds: 0) != nil) }
        taken += bytes.count
        return .bytes(bytes.count)
    }

    func close() {}
}

/// Has one connection, which comes when the test lets it.
private final class SingleTransport: Transport, Listener, ReadinessSignal, Sendable {
    private let stream = Mutex<GreedyStream?>(nil)
    private let call = Mutex<(@Sendable () -> Void)?>(nil)

    func connect(_ greedy: GreedyStream) {
        stream.withLock { $0 = greedy }
        call.withLock { $0 }?()
    }

    func open() throws(TransportError) -> [any Listener] { [self] }
    var endpoint: String { "single" }
    var readiness: Readiness { .signal(self) }
    func onReady(_ call: @escaping @Sendable () -> Void) { self.call.withLock { $0 = call } }

    func accept() -> AcceptOutcome {
        let next = stream.withLock { stream in
            defer { stream = nil }
            return stream
        }
        return next.map { .stream($0, .unknown) } ?? .again
    }

    func close() {}
}

/// Whether something happened, once it is known.
private final class Answer: Sendable {
    private let value = Mutex<Bool?>(nil)

    func set(_ answer: Bool) { value.withLock { $0 = answer } }
    func get() -> Bool? { value.withLock { $0 } }
}

@Suite struct FairnessTests {
    /// With one loop: on another one the other client is served whatever this one writes, but not within a given time.
    @Test func largeReplyToAQuickReaderLetsOthersThrough() throws {
        var settings = ServerHarness.settings()
        settings.engine.jobBytes = 32 << 20
        let transport = SingleTransport()
        let server = try ServerHarness(threads: 1, settings: settings, more: [transport])
        let other = try server.connect()
        let size = 20 << 20
        other.end.send(Array("put 0 0 60 \(size)\r\n".utf8) + [UInt8](repeating: 98, count: size) + [13, 10])
        other.expect("INSERTED 1\r\n")
        let wasAnswered = Answer()
        transport.connect(GreedyStream(asking: "peek 1\r\n", total: size, other: other.end) { wasAnswered.set($0) })
        try waitUntil("the large reply is there") { wasAnswered.get() != nil }
        #expect(wasAnswered.get() == true, "20 MiB were written in one turn")
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts) func stopGivesNoJobsToWorkersThatWait(threads: Int) throws {
        let server = try ServerHarness(threads: threads)
        let busy = try server.connect()
        let waiting = try server.connect()
        busy.ask("put 0 0 60 1\r\na\r\n", "INSERTED 1\r\n")
        busy.ask("reserve\r\n", "RESERVED 1 1\r\na\r\n")
        waiting.send("reserve\r\n")
        try waitUntil("the worker waits") { (try? busy.statistic("current-waiting")) == 1 }
        busy.end.setRoom(0)
        busy.send("use t\r\n")
        usleep(50_000)
        server.control.stop()
        usleep(200_000)
        busy.end.setRoom(1 << 20)
        busy.expect("USING t\r\n")
        busy.expectEnd()
        // The job of the one that was closed first stays where it is.
        waiting.expectEnd()
        #expect(try server.waitForEnd() == nil)
    }
}

@Suite struct HeldReplyTests {
    @Test(arguments: ServerHarness.threadCounts) func replyOfALaterTicketDoesNotGoWithAnEarlierOne(threads: Int) throws
    {
        let storage = DelayedStorage()
        let server = try ServerHarness(threads: threads, storage: storage)
        let client = try server.connect()
        let other = try server.connect()
        client.send("put 0 0 60 1\r\na\r\n")
        let first = try #require(storage.waitForPending())
        other.send("put 0 0 60 1\r\nb\r\n")
        let second = try #require(storage.waitForPending(above: first))
        // The connection is looked at again while its reply is held: with the ticket that is the newest now.
        let commits = storage.commitCount
        client.send("p")
        try waitUntil("the connection was looked at") { storage.commitCount > commits }
        storage.complete(upTo: first)
        client.expect("INSERTED 1\r\n")
        client.send("ut 0 0 60 1\r\nc\r\n")
        let third = try #require(storage.waitForPending(above: second))
        storage.complete(upTo: second)
        other.expect("INSERTED 2\r\n")
        client.expectSilence()
        storage.complete(upTo: third)
        client.expect("INSERTED 3\r\n")
        try server.stop()
    }
}
