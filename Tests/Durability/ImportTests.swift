// SPDX-License-Identifier: MIT

import Glibc
import LiveServer
import Testing
import TrellisTestKit

/// A folder that beanstalkd wrote: it is refused with the command that converts it, and that command converts it.
@Suite(.onThreads) struct ImportTests {
    /// Does everything that beanstalkd logs to jobs of several tubes.
    private static func work(_ client: Client, seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var live: [(id: Int, bytes: Int)] = []
        for number in 0..<200 {
            let tube = ["default", "mail", "video"][number % 3]
            try client.call("use \(tube)", "USING \(tube)")
            let body = String(repeating: "\(number) ", count: random.below(60))
            let delay = random.chance(percent: 20) ? 2000 + random.below(1000) : 0
            let id = try client.put(body, priority: random.below(3000), delay: delay, ttr: 100 + random.below(100))
            live.append((id, body.utf8.count))
        }
        for _ in 0..<250 {
            let place = random.below(live.count)
            let id = live[place].id
            let state = try client.statistics("stats-job \(id)")["state"]
            if random.chance(percent: 15) {
                try client.delete(id)
                live.remove(at: place)
            } else if state != "ready" {
                try client.call("kick-job \(id)", "KICKED")
            } else {
                client.send("reserve-job \(id)\r\n")
                guard try client.line() == "RESERVED \(id) \(live[place].bytes)" else {
                    throw Unexpected("job \(id) wasn't given")
                }
                _ = try client.bytes(live[place].bytes + 2)
                if random.chance(percent: 50) {
                    try client.call("bury \(id) \(random.below(3000))", "BURIED")
                } else {
                    try client.call("release \(id) \(random.below(3000)) \(2000 + random.below(1000))", "RELEASED")
                }
            }
        }
    }

    @Test(arguments: [1, 2] as [UInt64])
    func theCommandThatARefusalNamesConvertsTheFolder(seed: UInt64) throws {
        let folder = try makeTemporaryFolder()
        defer { removeFolder(folder) }
        let jobs = "\(folder)/jobs"
        let writer = try BeanstalkdProcess(jobs, ["-s", "16384"])
        do {
            defer { writer.end(seed == 1 ? SIGKILL : SIGTERM) }
            try Self.work(try Client(port: writer.port), seed: seed)
        }
        let copying = try ChildProcess(["/bin/cp", "-a", jobs, "\(folder)/copy"], log: "\(folder)/cp.log")
        #expect(copying.waitForExit(seconds: 30) == 0)

        let trellisd = "\(LiveServer.products)/trellisd"
        let refused = try ChildProcess(
            [trellisd, "-l", "unix:\(folder)/refused.sock", "-b", jobs], log: "\(folder)/refused.log")
        #expect(refused.waitForExit(seconds: 20) == 1)
        let said = refused.output()
        #expect(said.split(separator: "\n").count == 1 && said.contains("\(jobs) holds a binlog of beanstalkd"))
        let quoted = said.split(separator: "`", omittingEmptySubsequences: false)
        try #require(quoted.count == 3, "no command is named: \(said)")
        let command = quoted[1].split(separator: " ").map { $0 == "DIRECTORY" ? "\(folder)/new" : String($0) }
        #expect(command == ["trellisd", "storage", "import", jobs, "--to-directory", "\(folder)/new"])
        let importing = try ChildProcess([trellisd] + command.dropFirst(), log: "\(folder)/import.log")
        #expect(importing.waitForExit(seconds: 60) == 0, "\(importing.output())")

        let reference = try BeanstalkdProcess("\(folder)/copy")
        defer { reference.stop() }
        let server = try TrellisProcess(flags: ["-b", "\(folder)/new"])
        defer { server.kill() }
        try compare(try server.connect(), try Client(port: reference.port))
    }

    /// Both must have the same jobs.
    private func compare(_ ours: Client, _ theirs: Client) throws {
        for key in ["ready", "delayed", "buried"].map({ "current-jobs-\($0)" }) {
            let count = try theirs.statistics()[key]
            #expect(try ours.statistics()[key] == count)
            #expect(count != "0")
        }
        let mine = try Observation.all(Array(1...200), through: ours)
        let other = try Observation.all(Array(1...200), through: theirs)
        #expect(mine.keys.sorted() == other.keys.sorted())
        for (id, job) in mine {
            guard let expected = other[id]?.statistics else { continue }
            #expect(job.body == other[id]?.body, "job \(id)")
            for key in ["id", "state", "pri", "delay", "ttr", "reserves", "timeouts", "releases", "kicks"] {
                #expect(job.statistics[key] == expected[key], "\(key) of job \(id)")
            }
            // 1.12 doesn't quote names; a restart of it counts as a burial.
            #expect(job.statistics["tube"] == "\"\(expected["tube"])\"")
            let buries = expected.number("buries") - (expected["state"] == "buried" ? 1 : 0)
            #expect(job.statistics.number("buries") == buries, "buries of job \(id)")
            #expect(abs(job.statistics.number("time-left") - expected.number("time-left")) <= 5, "job \(id)")
            #expect(abs(job.statistics.number("age") - expected.number("age")) <= 5, "job \(id)")
        }
        #expect(try ours.put() == 201)
    }
}
