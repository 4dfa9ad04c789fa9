// SPDX-License-Identifier: MIT

import Glibc
import LiveServer
import Testing

/// What lies there at once, of which epoll tells once: more than a read takes, and an end right behind it.
@Suite(.onThreads, .disabled(if: LiveServer.isReference, "the test stops the server's process"))
struct ArrivalTests {
    /// Twice what a read takes, and what is kept of a client that waits.
    private static let commandCount = 2 * 65_536 / 16
    private static let commands = String(repeating: "list-tube-used\r\n", count: commandCount)
    private static let replies = String(repeating: "USING default\r\n", count: commandCount)
    private static let someCommands = String(repeating: "list-tube-used\r\n", count: 200)
    private static let someReplies = String(repeating: "USING default\r\n", count: 200)
    /// Several loops keep what waits and what is decoded apart from each other.
    private static let settings = Route.allCases.flatMap {
        [Setting(route: $0, threads: 1), Setting(route: $0, threads: 4)]
    }

    struct Setting {
        var route: Route
        var threads: Int

        func start() throws -> TrellisProcess {
            try TrellisProcess(limits: "job-size: 1MiB", more: "io-threads: \(threads)")
        }
    }

    @Test(arguments: settings)
    func moreThanAReadTakesIsDoneThoughNothingFollows(_ setting: Setting) throws {
        let server = try setting.start()
        defer { server.kill() }
        let client = try server.connect(setting.route)
        try server.meetAtOnce(client) { client.send(Self.commands) }
        try client.expect(Self.replies)
        try server.stop()
    }

    @Test(arguments: settings)
    func moreThanAReadTakesIsDoneBehindAReserveThatWaits(_ setting: Setting) throws {
        let server = try setting.start()
        defer { server.kill() }
        let client = try server.connect(setting.route)
        let producer = try server.connect()
        try server.meetAtOnce(client) { client.send("reserve\r\n" + Self.commands) }
        try waitUntilWaiting(1, on: "default", seenBy: producer)
        try producer.put("x")
        try client.expect("RESERVED 1 1\r\nx\r\n" + Self.replies)
        try server.stop()
    }

    /// Such a body is read to where it belongs, by reads of its own.
    @Test(arguments: settings)
    func largeBodyIsTakenWithWhatIsBehindIt(_ setting: Setting) throws {
        let server = try setting.start()
        defer { server.kill() }
        let client = try server.connect(setting.route)
        let body = String(repeating: "b", count: 100_000)
        try client.put(body)
        try server.meetAtOnce(client) { client.send("put 0 0 60 100000\r\n\(body)\r\nlist-tube-used\r\n") }
        try client.expect("INSERTED 2\r\nUSING default\r\n")
        try server.meetAtOnce(client) { client.send("put 0 0 60 100000\r\n\(body)\r\n") }
        try client.expect("INSERTED 3\r\n")
        try server.stop()
    }

    @Test(
        arguments: settings,
        [
            ("", ""),
            ("list-tube-used\r\n", "USING default\r\n"),
            ("put 0 0 60 1\r\nx\r\n", "INSERTED 1\r\n"),
            ("put 0 0 60 3\r\nx", ""),
            ("reserve\r\n", "TIMED_OUT\r\n"),
            ("reserve\r\nlist-tube-used\r\n", "TIMED_OUT\r\nUSING default\r\n"),
            ("reserve\r\n" + commands, "TIMED_OUT\r\n" + replies),
            (
                "reserve\r\n\(someCommands)reserve\r\n\(commands)",
                "TIMED_OUT\r\n\(someReplies)TIMED_OUT\r\n\(replies)"
            ),
        ])
    func clientThatAsksAndHalfClosesAtOnceIsAnsweredAndClosed(
        _ setting: Setting, _ exchange: (commands: String, replies: String)
    ) throws {
        let server = try setting.start()
        defer { server.kill() }
        let client = try server.connect(setting.route)
        try server.meetAtOnce(client) {
            client.send(exchange.commands)
            client.halfClose()
        }
        try client.expect(exchange.replies)
        try client.expectEnd()
        try server.stop()
    }

    @Test(arguments: settings)
    func clientThatAsksAndIsGoneAtOnceHoldsNothing(_ setting: Setting) throws {
        let server = try setting.start()
        defer { server.kill() }
        let observer = try server.connect()
        let client = try server.connect(setting.route)
        try server.meetAtOnce(client) {
            client.send("reserve\r\n")
            client.close()
        }
        let deadline = monotonicSeconds() + Client.patience
        while try observer.statistics()["current-connections"] != "1" {
            try #require(monotonicSeconds() < deadline, "the client was never closed")
            pause(seconds: 0.005)
        }
        let id = try observer.put("x")
        try observer.reserve(id, "x")
        try server.stop()
    }
}

extension TrellisProcess {
    /// Does what a client does while the server stands still, so that it finds all of it at once.
    fileprivate func meetAtOnce(_ client: Client, _ action: () -> Void) throws {
        // It knows the client: what comes is news of a connection that it watches.
        try client.call("list-tube-used", "USING default")
        process.signal(SIGSTOP)
        defer { process.signal(SIGCONT) }
        let deadline = monotonicSeconds() + Client.patience
        while readFile("/proc/\(process.pid)/stat")?.contains(") T ") != true {
            guard monotonicSeconds() < deadline else { throw Unexpected("the server was not stopped") }
            pause(seconds: 0.001)
        }
        action()
    }
}
