// SPDX-License-Identifier: MIT

import BeanstalkdBinlog
import Glibc
import LiveServer
import Testing
import TrellisCore
import TrellisFiles

/// Logs that Debian's beanstalkd writes during the test.
@Suite(.onThreads) struct LiveTests {
    /// The state of a job as stats-job and peek tell it.
    private struct Told: Equatable {
        var tube: String
        var state: StoredJob.State
        var priority: Int
        var delay: Int
        var ttr: Int
        var counters: [Int]
        var body: String
    }

    /// Everything that can happen to jobs of three tubes, with the last logged state of each job.
    private final class Scene {
        let server: BeanstalkdProcess
        let client: Client
        var random: Seeded
        /// What was true when a job was logged last.
        var logged: [Int: Told] = [:]
        /// Jobs that changed since without a record; the reference logs that too when it copies the job.
        var unlogged: Set<Int> = []
        var deleted: Set<Int> = []
        var buried: [String: [UInt64]] = [:]
        var deadlines: [Int: Double] = [:]

        init(_ server: BeanstalkdProcess, seed: UInt64) throws {
            self.server = server
            client = try Client(port: server.port)
            random = Seeded(state: seed)
            for tube in ["a", "b", "c"] {
                client.send("watch \(tube)\r\n")
                _ = try client.line()
            }
        }

        func log(_ id: Int) throws {
            let told = try LiveTests.tell(client, id)
            logged[id] = told
            unlogged.remove(id)
            deadlines[id] = nil
            if told?.state == .delayed {
                deadlines[id] = wallSeconds() + Double(try client.statistics("stats-job \(id)").number("time-left"))
            }
            for tube in buried.keys { buried[tube]?.removeAll { $0 == UInt64(id) } }
            if let told, told.state == .buried { buried[told.tube, default: []].append(UInt64(id)) }
        }

        func put(bytes: Int) throws {
            let tube = ["a", "b", "c"].randomElement(using: &random) ?? "a"
            try client.call("use \(tube)", "USING \(tube)")
            let isDelayed = Int.random(in: 0..<4, using: &random) == 0
            let id = try client.put(
                String(repeating: "\(bytes)/", count: bytes / 4), priority: Int.random(in: 0...2000, using: &random),
                delay: isDelayed ? Int.random(in: 1000...5000, using: &random) : 0,
                ttr: Int.random(in: 500...900, using: &random))
            try log(id)
        }

        /// One random command on a random job.
        func step() throws {
            let live = logged.keys.filter { !deleted.contains($0) }.sorted()
            guard let id = live.randomElement(using: &random) else { return }
            if Int.random(in: 0..<8, using: &random) == 0 {
                try client.delete(id)
                deleted.insert(id)
                try log(id)
                return
            }
            if let state = try LiveTests.tell(client, id)?.state, state != .ready, Bool.random(using: &random) {
                try client.call("kick-job \(id)", "KICKED")
                try log(id)
                return
            }
            client.send("reserve-job \(id)\r\n")
            if try client.line() == "NOT_FOUND" { return }
            _ = try client.bytes((logged[id]?.body.utf8.count ?? 0) + 2)
            unlogged.insert(id)
            let priority = Int.random(in: 0...5000, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0: try client.call("release \(id) \(priority) 0", "RELEASED")
            case 1:
                try client.call("release \(id) \(priority) \(2000 + priority)", "RELEASED")
                try log(id)
            case 2, 3:
                try client.call("bury \(id) \(priority)", "BURIED")
                try log(id)
            default: try client.call("touch \(id)", "TOUCHED")
            }
        }
    }

    private static func tell(_ client: Client, _ id: Int) throws -> Told? {
        client.send("peek \(id)\r\n")
        let line = try client.line()
        if line == "NOT_FOUND" { return nil }
        let size = try #require(Int(line.split(separator: " ").last ?? ""))
        let body = String(decoding: try client.bytes(size + 2).dropLast(2), as: UTF8.self)
        let told = try client.statistics("stats-job \(id)")
        let state: StoredJob.State =
            switch told["state"] {
            case "delayed": .delayed
            case "buried": .buried
            default: .ready
            }
        return Told(
            tube: String(told["tube"].filter { $0 != "\"" }), state: state, priority: told.number("pri"),
            delay: told.number("delay"), ttr: told.number("ttr"),
            counters: ["reserves", "timeouts", "releases", "buries", "kicks"].map(told.number), body: body)
    }

    private func told(_ job: ReadJob) -> Told {
        let counters = job.counters
        return Told(
            tube: job.tube, state: job.state, priority: Int(job.priority), delay: Int(job.delay), ttr: Int(job.ttr),
            counters: [counters.reserves, counters.timeouts, counters.releases, counters.buries, counters.kicks].map(
                Int.init),
            body: String(decoding: job.body, as: UTF8.self))
    }

    @Test(arguments: [(1, SIGKILL), (2, SIGKILL), (3, SIGTERM), (4, SIGINT)] as [(UInt64, Int32)])
    func aLogIsReadAsItWasWritten(seed: UInt64, signal: Int32) throws {
        try withFolder { folder in
            let server = try BeanstalkdProcess(folder + "/log", ["-s", "8192"])
            defer { server.stop() }
            let scene = try Scene(server, seed: seed)
            for _ in 0..<120 { try scene.put(bytes: Int.random(in: 0...800, using: &scene.random)) }
            for _ in 0..<160 { try scene.step() }
            for _ in 0..<5 { try scene.put(bytes: 40) }
            server.end(signal)
            #expect(try LinuxFileSystem.shared.list(folder + "/log").count > 4)

            #expect(try BeanstalkdBinlog.isOne(folder + "/log", files: LinuxFileSystem.shared))
            let reading = try Reading(folder + "/log")
            #expect(reading.summary.damage == [] && reading.summary.unendedBodies == 0)
            #expect(
                Set(reading.jobs.keys.map(Int.init)) == Set(scene.logged.keys.filter { !scene.deleted.contains($0) }))
            #expect(reading.summary.highestID == JobID(125))
            var compared = 0
            for (id, expected) in scene.logged where !scene.unlogged.contains(id) {
                let job = try #require(reading.jobs[UInt64(id)])
                #expect(told(job) == expected, "job \(id), seed \(seed)")
                let now = wallSeconds()
                #expect(abs(Double(job.createdAt) / 1e9 - now) < 300)
                if let deadline = scene.deadlines[id] { #expect(abs(Double(job.deadline) / 1e9 - deadline) < 60) }
                compared += 1
            }
            #expect(compared > 40)
            for (tube, ids) in scene.buried {
                let known = ids.filter { !scene.unlogged.contains(Int($0)) }
                #expect(reading.buried(in: tube).filter(known.contains) == known, "seed \(seed)")
            }
            try compareWithARestart(reading, folder)
        }
    }

    /// What the reference says after a restart on a copy of the log must be what was read.
    private func compareWithARestart(_ reading: Reading, _ folder: String) throws {
        try copyFolder(folder + "/log", to: folder + "/copy")
        defer { removeFolder(folder + "/copy") }
        let server = try BeanstalkdProcess(folder + "/copy", [])
        defer { server.end(SIGKILL) }
        let client = try Client(port: server.port)
        #expect(
            try client.statistics().number("current-jobs-buried") == reading.jobs.values.count { $0.state == .buried })
        for id in 1...reading.summary.highestID.rawValue {
            var theirs = try Self.tell(client, Int(id))
            // The restart itself counts as a burial there.
            if theirs?.state == .buried { theirs?.counters[3] -= 1 }
            #expect(reading.jobs[id].map(told) == theirs, "job \(id)")
        }
    }

    @Test func largeJobsThatARestartDropsAreRead() throws {
        try withFolder { folder in
            let server = try BeanstalkdProcess(folder + "/log", [])
            defer { server.stop() }
            let client = try Client(port: server.port)
            let bodies = [65_533, 65_534, 65_535, 10].map { String(repeating: "z", count: $0) }
            for body in bodies { try client.put(body) }
            server.end(SIGKILL)
            let reading = try Reading(folder + "/log")
            #expect((1...4).map { reading.body($0) } == bodies && reading.summary.damage == [])
            // That the reference does worse is why this is worth a test.
            try copyFolder(folder + "/log", to: folder + "/copy")
            defer { removeFolder(folder + "/copy") }
            let restarted = try BeanstalkdProcess(folder + "/copy", [])
            defer { restarted.end(SIGKILL) }
            let other = try Client(port: restarted.port)
            #expect(try other.statistics().number("current-jobs-ready") == 1)
        }
    }

    @Test func aRunningServerIsLeftAlone() throws {
        try withFolder { folder in
            let server = try BeanstalkdProcess(folder + "/log", [])
            defer { server.stop() }
            let log = BeanstalkdBinlog(directory: folder + "/log")
            let text = "\(folder)/log is in use: a running beanstalkd has locked \(folder)/log/lock"
            #expect(throws: StorageError.locked(text)) { try log.open() }
            server.end(SIGKILL)
            try log.open()
            // While it is open here, no beanstalkd can start there.
            let second = try ChildProcess(BeanstalkdProcess.arguments(folder + "/log", 1), log: folder + "/second.log")
            defer {
                second.signal(SIGKILL)
                _ = second.waitForExit(seconds: 10)
            }
            #expect(second.waitForExit(seconds: 20) == 10)
            log.close()
        }
    }
}

/// The wall clock, in seconds.
private func wallSeconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}
