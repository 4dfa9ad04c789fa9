// SPDX-License-Identifier: MIT

import Foundation
import Synchronization
import Testing
import TrellisCore
import TrellisServer
import TrellisTestKit
import UnixTransport

/// Many clients at once on a server with several loops: no job is lost or given twice, and under the thread sanitizer
/// nothing is touched by two threads.
@Suite struct ThreadLoadTests {
    private static let clients = 12
    private static let rounds = 20
    private static let inFlight = 8

    @Test func jobsGoRoundOnceEachWithManyClientsAtOnce() throws {
        let path = "/tmp/trellis-threads-\(getpid()).sock"
        let server = try ServerHarness(threads: 4, more: [UnixTransport(path: path, mode: 0o600, owner: nil)])
        let seen = Mutex<Set<Int>>([])
        let ended = Mutex(0)
        for number in 0..<Self.clients {
            let thread = Thread {
                do {
                    for _ in 0..<2 {
                        // Half of them over descriptors; all of them come twice.
                        let ids =
                            if number % 2 == 0 {
                                try Self.cycle(number, SocketEnd(path: path))
                            } else {
                                try Self.cycle(number, MemoryEnd(client: try #require(server.transport.connect())))
                            }
                        seen.withLock { seen in
                            for id in ids { #expect(seen.insert(id).inserted, "the job \(id) was given twice") }
                        }
                    }
                } catch {
                    Issue.record(error, "client \(number)")
                }
                ended.withLock { $0 += 1 }
            }
            thread.start()
        }
        let start = ContinuousClock.now
        while ended.withLock({ $0 }) < Self.clients {
            try #require(ContinuousClock.now - start < .seconds(120), "the clients didn't come to their end")
            usleep(1000)
        }
        let client = try server.connect()
        let jobs = 2 * Self.clients * Self.rounds * Self.inFlight
        #expect(seen.withLock { $0.count } == jobs)
        #expect(try client.statistic("total-jobs") == jobs)
        #expect(try client.statistic("current-jobs-ready") == 0)
        #expect(try client.statistic("current-jobs-reserved") == 0)
        try server.stop()
    }

    /// Puts, reserves and deletes, some at a time; jobs may be others'.
    ///
    /// Answers the ids that it got.
    private static func cycle(_ number: Int, _ end: some LineEnd) throws -> [Int] {
        // Some bodies are copied, some go by reference, some come in parts.
        let size = [10, 300, 9_000, 65_000][number % 4]
        let body = String(repeating: "x", count: size)
        var ids: [Int] = []
        for round in 0..<rounds {
            try end.send(String(repeating: "put \(round) 0 60 \(size)\r\n\(body)\r\n", count: inFlight))
            for _ in 0..<inFlight { try #require(try end.line().hasPrefix("INSERTED ")) }
            // Every client has put its jobs before it takes any: nobody waits for ever.
            try end.send(String(repeating: "reserve\r\n", count: inFlight))
            var batch: [Int] = []
            for _ in 0..<inFlight {
                let words = try end.line().split(separator: " ")
                try #require(words.count == 3 && words[0] == "RESERVED")
                batch.append(try #require(Int(words[1])))
                let got = try end.line()
                try #require(got.utf8.count == Int(words[2]) && got.utf8.allSatisfy { $0 == UInt8(ascii: "x") })
            }
            try end.send(batch.map { "delete \($0)\r\n" }.joined())
            for _ in batch { try #require(try end.line() == "DELETED") }
            ids += batch
        }
        try end.send("quit\r\n")
        return ids
    }
}

/// A client's end that reads lines.
private protocol LineEnd: AnyObject {
    func send(_ text: String) throws
    func read() throws -> [UInt8]
    var buffer: [UInt8] { get set }
    var position: Int { get set }
}

extension LineEnd {
    /// The next line, without its end.
    fileprivate func line() throws -> String {
        var from = position
        while true {
            if let newline = buffer[from...].firstIndex(of: 10) {
                let line = String(decoding: buffer[position..<newline - 1], as: UTF8.self)
                position = newline + 1
                if position == buffer.count {
                    buffer.removeAll(keepingCapacity: true)
                    position = 0
                }
                return line
            }
            from = buffer.count
            let part = try read()
            try #require(!part.isEmpty, "the server closed the connection")
            buffer += part
        }
    }
}

private final class MemoryEnd: LineEnd {
    private let client: MemoryClient
    var buffer: [UInt8] = []
    var position = 0

    init(client: MemoryClient) { self.client = client }

    func send(_ text: String) { client.send(text) }
    func read() throws -> [UInt8] { try #require(client.receive(atMost: 100_000, seconds: patience)) }
}

private final class SocketEnd: LineEnd {
    private let descriptor: Int32
    var buffer: [UInt8] = []
    var position = 0
    private var room = [UInt8](repeating: 0, count: 100_000)

    init(path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let result = withUnsafeBytes(of: &address) { bytes -> Int32 in
            guard let start = bytes.baseAddress else { return -1 }
            return connect(
                descriptor, start.assumingMemoryBound(to: sockaddr.self), socklen_t(MemoryLayout<sockaddr_un>.size))
        }
        try #require(result == 0, "connect: \(errno)")
    }

    deinit { close(descriptor) }

    func send(_ text: String) throws {
        // The replies of a batch fit into the socket's buffers or are read by the server's turn: it may write at once.
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            try #require(count > 0, "write: \(errno)")
            rest = rest.dropFirst(count)
        }
    }

    func read() throws -> [UInt8] {
        var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        try #require(poll(&wait, 1, 60_000) == 1, "nothing came for a minute")
        let count = Glibc.read(descriptor, &room, room.count)
        return Array(room[..<max(0, count)])
    }
}
