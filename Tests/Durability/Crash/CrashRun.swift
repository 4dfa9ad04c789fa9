// SPDX-License-Identifier: MIT

import Glibc
import LiveServer
import TrellisTestKit

/// Rounds of work, crash and restart in one folder.
struct CrashRun {
    private static let clients = 4

    private let ledger = Ledger()
    private var server: TrellisProcess
    private var random: SeededGenerator

    init(_ server: TrellisProcess, seed: UInt64) {
        self.server = server
        random = SeededGenerator(seed: seed)
    }

    var failures: [String] { ledger.failures }

    /// Lets clients work, ends the server somehow, starts it again and looks at everything.
    mutating func round() async throws {
        let highestBefore = ledger.highestID
        try await work()
        guard ledger.failures.isEmpty else { return }
        ledger.end()
        if random.chance(percent: 30) { try verify() }
        // A start that is cut short must do no harm.
        while random.chance(percent: 30) {
            server = try server.startAgain(waits: false)
            pause(seconds: Double(random.below(60)) / 1000)
            server.crash()
        }
        server = try server.startAgain()
        var inspection = Inspection(ledger, try server.connect(), highestBefore: highestBefore)
        try inspection.run()
        guard ledger.failures.isEmpty, random.chance(percent: 30) else { return }
        // The highest id is that of a job that is gone: nothing but the log's own note of it can tell.
        server.crash()
        server = try server.startAgain()
        try Inspection(ledger, try server.connect(), highestBefore: highestBefore).takeNextID()
    }

    private mutating func work() async throws {
        let clients = try (0..<Self.clients).map { number in
            CrashClient(
                number, try server.connect(number % 2 == 0 ? .unix : .tcp), ledger, seed: random.next())
        }
        let isStopped = random.chance(percent: 20)
        let changes = ledger.changes + random.below(random.chance(percent: 30) ? 200 : 5000)
        let secondsMore = Double(random.below(20)) / 1000
        let secondsToStop = Double(random.below(30)) / 1000
        await withTaskGroup(of: Void.self) { group in
            for client in clients {
                nonisolated(unsafe) var client = client
                group.addTask(executorPreference: Threads.shared) { client.run() }
            }
            let process = server.process
            let ledger = ledger
            await withTaskExecutorPreference(Threads.shared) {
                let deadline = monotonicSeconds() + 5
                while ledger.changes < changes, ledger.failures.isEmpty, monotonicSeconds() < deadline {
                    pause(seconds: 0.001)
                }
                pause(seconds: secondsMore)
                // A stop that is cut short is a crash, too.
                if isStopped {
                    process.signal(SIGTERM)
                    pause(seconds: secondsToStop)
                }
                process.signal(SIGKILL)
            }
        }
        guard let status = server.process.waitForExit(seconds: 20) else { throw Unexpected("SIGKILL didn't end it") }
        guard status == 128 + SIGKILL || (isStopped && status == 0) else {
            throw Unexpected("the server ended with \(status): \(server.log)")
        }
    }

    /// The files must be sound, whenever the server was killed.
    private func verify() throws {
        let process = try server.startAnother(["storage", "verify", "--directory", "\(server.folder)/data"])
        guard process.waitForExit(seconds: 60) == 0 else {
            throw Unexpected("after a crash, verify says:\n\(process.output())")
        }
    }

    /// Ends the last server as it should be, and checks that there was something to be seen.
    mutating func finish() throws {
        let oldest = try server.connect().statistics().number("binlog-oldest-index")
        try server.stop()
        try verify()
        if ledger.changes > 8000, oldest < 2 {
            ledger.fail("after \(ledger.changes) changes no segment was ever removed: the log isn't compacted here")
        }
    }

    /// Removes everything.
    func clean() { server.kill() }

    /// Ends the server and leaves its files.
    func leave() { server.crash() }
}
