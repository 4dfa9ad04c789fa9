// SPDX-License-Identifier: MIT

import Glibc
import LiveServer
import Testing

/// A disk that is really full.
@Suite(.onThreads, .serialized) struct FullDiskTests {
    static let plugins = ["use: binlog", "use: compressed-binlog, codec: zstd"]

    @Test(.needs(.tmpfs), arguments: plugins)
    func onAFullTmpfsOnlyPutsAreRefused(plugin: String) throws { try fillAndDrain(.tmpfs, plugin, laps: 3) }

    @Test(.needs(.ext4), arguments: plugins)
    func onAFullExt4OnlyPutsAreRefused(plugin: String) throws { try fillAndDrain(.ext4, plugin, laps: 1) }

    @Test(.needs(.tmpfs), arguments: plugins)
    func putsWorkAgainOnceOtherDataIsGone(plugin: String) throws {
        try withQueue(.tmpfs, plugin) { queue in
            try queue.put(100)
            try queue.disk.fill("other")
            try queue.fillUp()
            let held = queue.jobs.count
            try queue.changeEach()
            try queue.client.call("put 0 0 60 5\r\nabcde", "OUT_OF_MEMORY")
            #expect(queue.server.log.contains("no room on the disk"))
            queue.disk.remove("other")
            // Room is looked for now and then only, once there was none.
            let deadline = monotonicSeconds() + Client.patience
            while try queue.put(1) == 0, monotonicSeconds() < deadline { pause(seconds: 0.01) }
            #expect(try queue.put(500) == 500)
            #expect(queue.jobs.count == held + 501)
            try queue.restart(by: SIGKILL)
            try queue.compareAll()
        }
    }

    /// Large jobs that fill the disk, and a small one that changes again and again: what is cleared away is little each
    /// time, and each time nearly all of the log is copied for it.
    @Test(.needs(.tmpfs), arguments: plugins)
    func oneJobCanChangeForEverOnAFullDisk(plugin: String) throws {
        try withQueue(.tmpfs, plugin, bodyBytes: 60_000) { queue in
            let busy = try queue.client.put()
            try queue.fillUp()
            let lap = "reserve-job \(busy)\r\nbury \(busy) 1\r\nkick-job \(busy)\r\n"
            for _ in 0..<15 {
                queue.client.send(String(repeating: lap, count: 1000))
                for _ in 0..<1000 { try queue.client.expect("RESERVED \(busy) 1\r\nx\r\nBURIED\r\nKICKED\r\n") }
            }
            try queue.client.delete(busy)
            #expect(queue.server.log.split(separator: "\n").count { $0.contains("no room on the disk") } < 4)
            try queue.restart(by: SIGKILL)
            try queue.compareAll()
        }
    }

    private func fillAndDrain(_ kind: SmallDisk.Kind, _ plugin: String, laps: Int) throws {
        try withQueue(kind, plugin) { queue in
            try queue.fillUp()
            let first = queue.jobs.count
            #expect(first > 1000)
            #expect(queue.server.log.contains("no room on the disk"))
            // More changes than there is room for: their records are cleared away meanwhile.
            for _ in 0..<laps { try queue.changeEach() }
            try queue.deleteAll()
            try queue.fillUp()
            #expect(queue.jobs.count > first * 8 / 10, "\(first) jobs fitted at first, now \(queue.jobs.count) do")
            try queue.restart(by: SIGKILL)
            try queue.compareAll()
            try queue.changeEach()
            try queue.reserveAll()
            try queue.restart(by: SIGTERM)
            try queue.compareAll()
            for id in queue.jobs.keys.sorted().prefix(50) {
                // Twice by the changes, and once by the last one, which only the stop could note.
                #expect(try queue.client.statistics("stats-job \(id)")["reserves"] == "3")
            }
            try queue.deleteAll()
            #expect(try queue.put(100) == 100)
        }
    }

    private func withQueue(
        _ kind: SmallDisk.Kind, _ plugin: String, bodyBytes: Int = 5000, _ body: (FullQueue) throws -> Void
    ) throws {
        let disk = try SmallDisk(kind)
        do {
            let queue = try FullQueue(disk, plugin, bodyBytes: bodyBytes)
            defer { queue.server.kill() }
            do {
                try body(queue)
            } catch {
                // One that fails tells why when it has ended.
                _ = queue.server.process.waitForExit(seconds: 1)
                throw Unexpected("\(error); the server's log:\n\(queue.server.log)")
            }
        } catch {
            try? disk.remove()
            throw error
        }
        try disk.remove()
    }
}

/// A server whose log is on a small disk, and the jobs it has.
final class FullQueue {
    let disk: SmallDisk
    private(set) var server: TrellisProcess
    private(set) var client: Client
    /// The keys of their bodies by their ids.
    private(set) var jobs: [Int: Int] = [:]
    private var nextKey = 1
    private let bodyBytes: Int

    init(_ disk: SmallDisk, _ plugin: String, bodyBytes: Int) throws {
        self.bodyBytes = bodyBytes
        self.disk = disk
        server = try TrellisProcess(
            storage: "\(plugin), directory: \(disk.path)/data, segment-size: 1MiB, sync: always")
        client = try server.connect()
    }

    /// Odd keys are those of bodies that can't be compressed.
    private func body(_ key: Int) -> [UInt8] { Bodies.body(key: key * 2 + 1, bytes: bodyBytes) }

    /// Tries so many puts; answers how many were taken.
    @discardableResult
    func put(_ count: Int) throws -> Int {
        let keys = Array(nextKey..<nextKey + count)
        nextKey += count
        var taken = 0
        for start in stride(from: 0, to: count, by: 50) {
            let part = keys[start..<min(start + 50, count)]
            let line = Array("put 0 0 60 \(bodyBytes)\r\n".utf8)
            client.send(bytes: part.reduce(into: []) { $0 += line + body($1) + [13, 10] })
            for key in part {
                let line = try client.line()
                if line == "OUT_OF_MEMORY" { continue }
                guard line.hasPrefix("INSERTED "), let id = Int(line.dropFirst(9)) else {
                    throw Unexpected("put was answered \(line): \(server.log)")
                }
                jobs[id] = key
                taken += 1
            }
        }
        return taken
    }

    /// Puts until puts are refused for good: after deletes it takes a moment until there is room again.
    func fillUp() throws {
        var taken = monotonicSeconds()
        while monotonicSeconds() < taken + 0.5 {
            if try put(50) > 0 { taken = monotonicSeconds() } else { pause(seconds: 0.02) }
        }
    }

    /// Sends the command for each job, many at a time; each must be answered like that, or with the job.
    private func all(_ command: (Int) -> String, _ reply: String, withBody: Bool = false) throws {
        let ids = jobs.keys.sorted()
        for start in stride(from: 0, to: ids.count, by: 100) {
            let part = ids[start..<min(start + 100, ids.count)]
            client.send(part.map { command($0) + "\r\n" }.joined())
            for id in part {
                guard withBody else {
                    try client.expect(reply + "\r\n")
                    continue
                }
                let head = Array("\(reply) \(id) \(bodyBytes)\r\n".utf8)
                try client.expect(bytes: head + body(jobs[id] ?? 0) + [13, 10])
            }
        }
    }

    func reserveAll() throws {
        try all({ "reserve-job \($0)" }, "RESERVED", withBody: true)
    }

    /// Buries, kicks, releases with a delay and kicks every job.
    func changeEach() throws {
        try reserveAll()
        try all({ "bury \($0) 7" }, "BURIED")
        try all({ "kick-job \($0)" }, "KICKED")
        try reserveAll()
        try all({ "release \($0) 8 1000" }, "RELEASED")
        try client.call("kick 1000000", "KICKED \(jobs.count)")
    }

    func deleteAll() throws {
        try all({ "delete \($0)" }, "DELETED")
        jobs = [:]
    }

    /// Every job must be there, and no other.
    func compareAll() throws {
        try all({ "peek \($0)" }, "FOUND", withBody: true)
        let there = try client.statistics().number("current-jobs-ready")
        guard there == jobs.count else { throw Unexpected("\(there) jobs are ready and not \(jobs.count)") }
    }

    /// Ends the server by a signal and starts another.
    func restart(by signal: Int32) throws {
        server.process.signal(signal)
        guard let status = server.process.waitForExit(seconds: 30), signal == SIGKILL || status == 0 else {
            throw Unexpected("the server didn't end well: \(server.log)")
        }
        server = try server.startAgain()
        client = try server.connect()
    }
}
