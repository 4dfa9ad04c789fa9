// SPDX-License-Identifier: MIT

import Glibc
import LiveServer
import Testing

/// Writes and syncs that fail, wait or take long.
@Suite(.onThreads) struct FailingDiskTests {
    private static func storage(_ sync: String) -> String {
        "use: binlog, directory: FOLDER/data, segment-size: 1MiB, sync: \(sync)"
    }

    /// A server with faults, jobs that it acknowledged, and one that a client has reserved.
    private final class Scene {
        let faults: DiskFaults
        var server: TrellisProcess
        let client: Client
        let jobs: [Int]
        let reserved: Int

        init(sync: String, jobBytes: Int = 1000) throws {
            faults = try DiskFaults()
            server = try TrellisProcess(storage: storage(sync), shell: faults.shell)
            let client = try server.connect()
            let body = String(repeating: "b", count: jobBytes)
            self.client = client
            jobs = try (0..<100).map { _ in try client.put(body) }
            reserved = jobs[0]
            try client.call("reserve-job \(reserved)", "RESERVED \(reserved) \(jobBytes)\r\n\(body)")
        }

        func end() {
            faults.heal()
            server.kill()
            faults.remove()
        }

        /// The server must end because of its disk, and tell why.
        func expectFailure(_ reason: String) {
            #expect(server.process.waitForExit(seconds: 20) == 20)
            let lines = server.log.split(separator: "\n").filter { $0.contains(reason) }
            #expect(lines.count == 1, "the log has no line with \(reason): \(server.log)")
            #expect(lines.first?.hasPrefix("trellisd: the storage failed: ") == true)
        }

        /// A healthy server must have all that was acknowledged, and may have one job more.
        func expectAllAfterRestart() throws {
            server = try server.startAgain()
            let client = try server.connect(.tcp)
            for id in jobs { #expect(try client.statistics("stats-job \(id)").number("id") == id) }
            let more =
                try client.statistics().number("current-jobs-ready")
                + (try client.statistics().number("current-jobs-buried")) - jobs.count
            #expect(more == 0 || more == 1)
            #expect(try client.put() > (jobs.max() ?? 0))
        }
    }

    // MARK: Failures

    @Test(arguments: ["always", "50ms", "never"], ["pwrite", "fdatasync"])
    func aFailingDiskIsToldAndEndsTheServer(sync: String, call: String) throws {
        let scene = try Scene(sync: sync, jobBytes: 20_000)
        defer { scene.end() }
        let waiting = try scene.server.connect()
        waiting.send("watch nothing\r\nignore default\r\nreserve\r\n")
        try waiting.expect("WATCHING 2\r\nWATCHING 1\r\n")
        let producer = try scene.server.connect(.tcp)
        let reader = try scene.server.connect()
        // All three are at the server before the disk answers.
        if sync == "always" { try scene.faults.hold(call) }
        scene.client.send("bury \(scene.reserved) 5\r\n")
        if sync == "always" { try scene.client.expectSilence() }
        try scene.faults.fail(call, EIO)
        producer.send("put 0 0 60 5\r\nhello\r\n")
        reader.send("stats-job \(scene.reserved)\r\n")
        if sync == "always" { try reader.expectSilence() }
        scene.faults.goOn(call)
        if sync == "always" {
            for client in [scene.client, producer, reader] { try client.expect("INTERNAL_ERROR\r\n") }
            for client in [scene.client, producer, reader, waiting] { try client.expectEnd() }
        } else if call == "pwrite" {
            // The write before the answer is what fails.
            let line = (try? producer.line()) ?? "the end"
            #expect(["INTERNAL_ERROR", "the end"].contains(line))
        } else if sync == "never" {
            // The first sync is that of a full segment.
            producer.send(String(repeating: "put 0 0 60 5\r\nhello\r\n", count: 20_000))
        }
        scene.expectFailure("\(call) of \(scene.server.folder)/data/")
        #expect(scene.server.log.contains("Input/output error"))
        if sync == "never" && call == "fdatasync" { return }
        try scene.expectAllAfterRestart()
    }

    /// The system would end the process by SIGXFSZ, without a word to anybody.
    @Test(arguments: ["always", "50ms", "never"])
    func aLimitOfFileSizesIsAFailureLikeOthers(sync: String) throws {
        let scene = try Scene(sync: sync)
        defer { scene.end() }
        // Far below what is written, and far above what is logged.
        let limit = try ChildProcess(
            ["/usr/bin/prlimit", "--pid", "\(scene.server.process.pid)", "--fsize=50000"],
            log: "\(scene.server.folder)/prlimit.log")
        #expect(limit.waitForExit(seconds: 10) == 0, "\(limit.output())")
        scene.client.send("bury \(scene.reserved) 5\r\n")
        try scene.client.expect("INTERNAL_ERROR\r\n")
        try scene.client.expectEnd()
        scene.expectFailure("pwrite of \(scene.server.folder)/data/0000000001.log: File too large")
        try scene.expectAllAfterRestart()
    }

    // MARK: Waiting

    @Test func withSyncAlwaysNobodySeesWhatIsNotOnTheDisk() throws {
        let scene = try Scene(sync: "always")
        defer { scene.end() }
        let reader = try scene.server.connect()
        try scene.faults.hold("fdatasync")
        scene.client.send("bury \(scene.reserved) 5\r\nput 0 0 60 1\r\na\r\n")
        try scene.client.expectSilence()
        reader.send("peek-buried\r\n")
        try reader.expectSilence()
        // What wasn't answered may be lost, or not.
        scene.server.crash()
        scene.faults.heal()
        try scene.expectAllAfterRestart()
    }

    @Test(arguments: ["always", "50ms", "never"])
    func onlySyncAlwaysWaitsForTheDisk(sync: String) throws {
        let scene = try Scene(sync: sync)
        defer { scene.end() }
        try scene.faults.hold("fdatasync")
        scene.client.send("bury \(scene.reserved) 5\r\n")
        if sync == "always" { try scene.client.expectSilence() }
        if sync == "always" { scene.faults.goOn("fdatasync") }
        try scene.client.expect("BURIED\r\n")
        scene.faults.goOn("fdatasync")
    }

    @Test func aSlowDiskIsToldOfAndAStopWaitsForIt() throws {
        let scene = try Scene(sync: "always")
        defer { scene.end() }
        try scene.faults.slow("fdatasync", milliseconds: 400)
        scene.client.send("bury \(scene.reserved) 5\r\n")
        pause(seconds: 0.1)
        scene.server.process.signal(SIGTERM)
        try scene.client.expect("BURIED\r\n")
        #expect(scene.server.process.waitForExit(seconds: 20) == 0)
        #expect(scene.server.log.contains("the disk is slow or busy"))
        scene.faults.heal()
        scene.server = try scene.server.startAgain()
        #expect(try scene.server.connect().statistics("stats-job \(scene.reserved)")["state"] == "buried")
    }

    // MARK: Starting

    /// While the heads of all files are read, and while the files are.
    @Test(arguments: [(SIGTERM, "pread"), (SIGTERM, "pread-whole"), (SIGINT, "pread-whole")] as [(Int32, String)])
    func aStopDuringTheRecoveryIsAnsweredAtOnce(_ signal: Int32, _ slowCall: String) throws {
        let scene = try Scene(sync: "never", jobBytes: 60_000)
        defer { scene.end() }
        // A log of several files, each of which takes its time.
        scene.server.crash()
        try scene.faults.slow(slowCall, milliseconds: 500)
        scene.server = try scene.server.startAgain(waits: false, shell: scene.faults.shell)
        try scene.server.waitUntilItAccepts(scene.server.process)
        let early = try scene.server.connect()
        early.send("put 0 0 60 1\r\na\r\n")
        pause(seconds: 0.2)
        scene.server.process.signal(signal)
        #expect(scene.server.process.waitForExit(seconds: 20) == 0)
        try early.expectEnd()
        #expect(!fileExists(scene.server.socketPath))
        // One that went on to the end would say that it listens.
        let lines = scene.server.log.split(separator: "\n")
        #expect(lines.count == 1 && lines.first?.hasSuffix("stopped before the start was over") == true, "\(lines)")
        scene.faults.heal()
        try scene.expectAllAfterRestart()
    }
}
