// SPDX-License-Identifier: MIT

import Glibc
import LiveServer
import Testing
import TrellisTestKit

/// A server is killed at any moment while clients work at full speed, and started again, over and over in one folder.
///
/// TRELLIS_CRASH_ROUNDS says how often in all, TRELLIS_CRASH_SEED which commands the clients send; when the server is
/// killed between them is never the same twice.
@Suite(.onThreads) struct CrashTests {
    struct Store: CustomTestStringConvertible, Sendable {
        var number: Int
        var sync: String
        var plugin: String

        var testDescription: String { "\(plugin), sync: \(sync)" }

        static let all = ["always", "50ms", "never"].flatMap { sync in
            ["use: binlog", "use: compressed-binlog, codec: zstd", "use: compressed-binlog, codec: lz4"].map {
                (sync, $0)
            }
        }.enumerated().map { Store(number: $0, sync: $1.0, plugin: $1.1) }
    }

    private static func variable(_ name: String) -> UInt64? {
        getenv(name).flatMap { UInt64(String(cString: $0)) }
    }

    private static let rounds = Int(variable("TRELLIS_CRASH_ROUNDS") ?? 50)
    private static let seed = variable("TRELLIS_CRASH_SEED") ?? UInt64.random(in: 1...999_999)

    @Test(arguments: Store.all)
    func nothingAcknowledgedIsLostAndNothingDeletedReturns(_ store: Store) async throws {
        let count = Store.all.count
        let rounds = Self.rounds / count + (store.number < Self.rounds % count ? 1 : 0)
        let server = try TrellisProcess(
            storage: "\(store.plugin), directory: FOLDER/data, segment-size: 1MiB, sync: \(store.sync)",
            limits: "job-size: 3MiB")
        var run = CrashRun(server, seed: Self.seed + UInt64(store.number))
        var place = "the start"
        var failures: [String] = []
        do {
            for round in 0..<rounds where run.failures.isEmpty {
                place = "round \(round)"
                try await run.round()
            }
            if run.failures.isEmpty { try run.finish() }
        } catch {
            failures.append("\(error)")
        }
        failures = run.failures + failures
        guard !failures.isEmpty else { return run.clean() }
        run.leave()
        for failure in failures {
            Issue.record("\(place): \(failure) [seed \(Self.seed); the server's folder \(server.folder) is kept]")
        }
    }
}
