// SPDX-License-Identifier: MIT

import Foundation
import LiveServer
import Testing

/// What the process does beside answering commands: descriptors, users, signals, exit statuses, processor time.
@Suite(.onThreads, .disabled(if: LiveServer.isReference, "the reference does otherwise"))
struct ProcessTests {
    /// How many threads the servers have: all tests may be run with several.
    private static let threads = getenv("TRELLIS_IO_THREADS").flatMap { Int(String(cString: $0)) } ?? 1

    // MARK: Descriptors

    @Test func configuredConnectionsLiftTheSoftLimitOfDescriptors() throws {
        let server = try TrellisProcess(limits: "connections: 200", shell: "ulimit -Sn 64")
        defer { server.kill() }
        let clients = try (0..<120).map { _ in try server.connect() }
        for client in clients { try client.call("list-tube-used", "USING default") }
        try server.stop()
    }

    @Test func withoutDescriptorsClientsWaitUntilSomeAreThere() throws {
        let server = try TrellisProcess(limits: "connections: 1000", shell: "ulimit -n 64")
        defer { server.kill() }
        var clients = try (0..<100).map { _ in try server.connect() }
        try server.waitForLog("accepting no connections for now: Too many open files")
        #expect(server.ticksUsed(inSeconds: 1) <= 2)
        for client in clients[..<60] { client.close() }
        clients.removeFirst(60)
        for client in clients { try client.call("list-tube-used", "USING default") }
        let lines = server.log.split(separator: "\n")
        #expect(lines.count { $0.contains("accepting no connections") } == 1)
        try server.stop()
    }

    @Test func stopWhileDescriptorsAreMissingUsesNoProcessorTime() throws {
        let server = try TrellisProcess(limits: "connections: 1000", shell: "ulimit -n 48")
        defer { server.kill() }
        let slow = try server.connect()
        try server.fillOutput(of: slow)
        let others = try (0..<80).map { _ in try server.connect() }
        try server.waitForLog("accepting no connections for now")
        server.process.signal(SIGTERM)
        pause(seconds: 0.7)
        #expect(server.ticksUsed(inSeconds: 1) <= 2)
        #expect(server.process.waitForExit(seconds: 15) == 0)
        for client in others { client.close() }
    }

    // MARK: States in which epoll could tell for ever

    @Test(arguments: Route.allCases)
    func clientsInOddStatesCostNoProcessorTime(over route: Route) throws {
        let server = try TrellisProcess()
        defer { server.kill() }
        var clients: [Client] = []
        for state in OddState.allCases {
            let client = try server.connect(route)
            try state.enter(client, server)
            clients.append(client)
        }
        // What they sent is done first: thousands of commands, which several loops decode more than once.
        pause(seconds: Self.threads > 1 ? 6 : 0.5)
        #expect(server.ticksUsed(inSeconds: 1) <= 2)
        for client in clients { client.close() }
        let observer = try server.connect()
        let deadline = monotonicSeconds() + 10
        while try observer.statistics().number("current-connections") > 1, monotonicSeconds() < deadline {
            pause(seconds: 0.02)
        }
        #expect(try observer.statistics()["current-connections"] == "1")
        try server.stop()
    }

    @Test(arguments: Route.allCases)
    func commandsAheadOfAReaderAreAllAnswered(over route: Route) throws {
        let server = try TrellisProcess(limits: "output: 1KiB")
        defer { server.kill() }
        let client = try server.connect(route)
        let body = String(repeating: "b", count: 100)
        try client.put(body)
        let commands = 60_000
        client.send(String(repeating: "peek 1\r\n", count: commands))
        for _ in 0..<commands / 100 {
            try client.expect(String(repeating: "FOUND 1 100\r\n\(body)\r\n", count: 100))
        }
        try server.stop()
    }

    @Test func drainedQueueOfLargeJobsGivesItsMemoryBack() throws {
        let server = try TrellisProcess(limits: "job-size: 1MiB")
        defer { server.kill() }
        let client = try server.connect()
        try client.put("x")
        let before = server.residentBytes
        for _ in 0..<3 {
            var ids: [Int] = []
            for index in 0..<600 {
                ids.append(try client.put(String(repeating: "b", count: 70_000 + index * 37 % 100 * 2000)))
            }
            #expect(server.residentBytes > before + 80 << 20)
            // A few stay, as in a queue that is in use.
            for (index, id) in ids.enumerated() where index % 100 != 0 { try client.delete(id) }
        }
        #expect(server.residentBytes < before + 40 << 20)
        try server.stop()
    }

    // MARK: Stopping

    @Test func stopEndsInBoundedTimeThoughAClientDoesNotRead() throws {
        let server = try TrellisProcess()
        defer { server.kill() }
        let slow = try server.connect(.tcp)
        try server.fillOutput(of: slow)
        server.process.signal(SIGTERM)
        pause(seconds: 0.3)
        server.process.signal(SIGTERM)
        #expect(server.process.waitForExit(seconds: 15) == 0)
        #expect(!fileExists(server.socketPath))
        #expect(server.log.contains("haven't taken their last replies"))
        slow.close()
    }

    @Test(arguments: [SIGTERM, SIGINT])
    func stopIsQuietAndClean(_ signal: Int32) throws {
        let server = try TrellisProcess()
        defer { server.kill() }
        let client = try server.connect()
        client.send("reserve\r\n")
        server.process.signal(signal)
        #expect(server.process.waitForExit(seconds: 10) == 0)
        #expect(!fileExists(server.socketPath))
        let lines = server.log.split(separator: "\n")
        #expect(lines.count == 2, "one line at the start, one at the stop: \(lines)")
    }

    @Test func replacesAStaleSocketAndRefusesALiveOne() throws {
        let first = try TrellisProcess()
        defer { first.kill() }
        let second = try first.startAnother(["-l", "unix:\(first.socketPath)"])
        #expect(second.waitForExit(seconds: 10) == 1)
        #expect(second.output().contains("a live server listens there"))
        try first.connect().call("list-tube-used", "USING default")
        first.process.signal(SIGKILL)
        _ = first.process.waitForExit(seconds: 10)
        #expect(fileExists(first.socketPath))
        let third = try first.startAnother(["-l", "unix:\(first.socketPath)"])
        defer { third.signal(SIGKILL) }
        try first.waitUntilItAccepts(third)
        #expect(fileMode(first.socketPath) == 0o660)
        third.signal(SIGTERM)
        #expect(third.waitForExit(seconds: 10) == 0)
        #expect(!fileExists(first.socketPath))
    }

    // MARK: Users

    @Test(.enabled(if: geteuid() == 0, "only root can become another user"))
    func becomesTheUserWithNoOtherGroups() throws {
        let server = try TrellisProcess(more: "user: nobody")
        defer { server.kill() }
        let entry = try #require(getpwnam("nobody"))
        let (user, group) = (entry.pointee.pw_uid, entry.pointee.pw_gid)
        let status = try #require(readFile("/proc/\(server.process.pid)/status"))
        let fields = status.split(separator: "\n").map { $0.split(whereSeparator: \.isWhitespace) }
        let all = { (id: UInt32) in [Substring](repeating: "\(id)", count: 4) }
        #expect(fields.first { $0.first == "Uid:" }?.dropFirst().elementsEqual(all(user)) == true)
        #expect(fields.first { $0.first == "Gid:" }?.dropFirst().elementsEqual(all(group)) == true)
        #expect(fields.first { $0.first == "Groups:" }?.dropFirst().elementsEqual(["\(group)"]) == true)
        try server.connect(.tcp).call("list-tube-used", "USING default")
        try server.stop()
    }

    @Test func unknownUserEndsTheStart() throws {
        let folder = try makeTemporaryFolder()
        defer { removeFolder(folder) }
        let path = "\(folder)/t.sock"
        let process = try ChildProcess(
            ["\(LiveServer.products)/trellisd", "-l", "unix:\(path)", "-u", "no-such-user"], log: "\(folder)/log")
        #expect(process.waitForExit(seconds: 10) == 1)
        #expect(process.output().contains("there is no such user"))
        #expect(!fileExists(path))
    }

    // MARK: Exit statuses

    @Test func exitStatusesTellWhatIsWrong() throws {
        let server = try TrellisProcess()
        defer { server.kill() }
        let statuses: [([String], Int32)] = [
            (["-l", "127.0.0.1:\(server.port)"], 1), (["--config", "/nonexistent/trellis.yaml"], 78),
            (["--no-such-flag"], 64), (["-l", "unix:/nonexistent/t.sock"], 1), (["-v"], 0),
        ]
        for (arguments, status) in statuses {
            let process = try server.startAnother(arguments)
            #expect(process.waitForExit(seconds: 10) == status, "\(arguments): \(process.output())")
        }
        try server.stop()
    }

    // MARK: Threads

    @Test func hasAsManyThreadsAsAreConfigured() throws {
        let server = try TrellisProcess()
        defer { server.kill() }
        try server.waitForThreads(Self.threads)
        let other = try TrellisProcess(more: "io-threads: 3", shell: "unset TRELLIS_IO_THREADS")
        defer { other.kill() }
        try other.waitForThreads(3)
        let automatic = try TrellisProcess(more: "io-threads: auto", shell: "unset TRELLIS_IO_THREADS")
        defer { automatic.kill() }
        try automatic.waitForThreads(max(1, min(8, ProcessInfo.processInfo.activeProcessorCount - 1)))
    }

    // MARK: Socket activation

    @Test func takesSocketsFromTheServiceManagerAndLeavesTheirFiles() throws {
        let folder = try makeTemporaryFolder()
        defer { removeFolder(folder) }
        let manager = try ServiceManager(folder: folder)
        let process = try manager.start()
        defer { process.kill() }
        for route in Route.allCases {
            try manager.connect(route).call("list-tube-used", "USING default")
        }
        #expect(!fileExists("\(folder)/unused.sock"), "with sockets handed over the transports aren't opened")
        process.signal(SIGTERM)
        #expect(process.waitForExit(seconds: 10) == 0)
        #expect(fileExists(manager.path))
        // The sockets are the manager's: a client that comes now waits for the next server.
        let early = try manager.connect(.unix)
        early.send("list-tube-used\r\n")
        let next = try manager.start()
        defer { next.kill() }
        try early.expect("USING default\r\n")
        next.signal(SIGTERM)
        #expect(next.waitForExit(seconds: 10) == 0)
    }

    @Test func connectionsThatComeDuringTheStopCostNoProcessorTime() throws {
        let folder = try makeTemporaryFolder()
        defer { removeFolder(folder) }
        let manager = try ServiceManager(folder: folder)
        let process = try manager.start()
        defer { process.kill() }
        let slow = try manager.connect(.unix)
        try TrellisProcess.fillOutput(of: slow)
        process.signal(SIGTERM)
        pause(seconds: 0.3)
        let early = try manager.connect(.unix)
        #expect(ticksUsed(by: process.pid, inSeconds: 1) <= 2)
        #expect(process.waitForExit(seconds: 15) == 0)
        early.close()
        slow.close()
    }
}
