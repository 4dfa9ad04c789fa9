// SPDX-License-Identifier: MIT

import LiveServer
import Synchronization
import Testing

/// Starts a server before what it is put on and stops it after.
///
/// On a suite, that is one for all its tests; on a test, one for each of its cases. The tests run on threads of their
/// own, since they block.
struct ServerTrait: SuiteTrait, TestTrait, TestScoping {
    @TaskLocal static var current: LiveServer?

    var settings: LiveServer.Settings

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await withTaskExecutorPreference(Threads.shared) {
            let server = try LiveServer(settings)
            do {
                try await Self.$current.withValue(server) { try await function() }
            } catch {
                try? server.stop()
                throw error
            }
            try server.stop()
        }
    }
}

extension Trait where Self == ServerTrait {
    /// A server about which nothing is special.
    static var server: Self { ServerTrait(settings: LiveServer.Settings()) }

    /// A server with settings of its own.
    static func server(jobSize: Int = 65_535, limits: [String] = [], sections: [String] = []) -> Self {
        ServerTrait(settings: LiveServer.Settings(jobSize: jobSize, limits: limits, sections: sections))
    }
}

extension Trait where Self == ConditionTrait {
    /// The reference doesn't do this; Trellis differs on purpose.
    static var oursDiffers: Self { .disabled(if: LiveServer.isReference, "the reference does otherwise") }

    /// 1.13 of the reference does this, Debian's 1.12 doesn't.
    static var since113: Self { .disabled(if: LiveServer.isReference, "1.12 does otherwise") }
}

/// The server of the running test.
func liveServer() throws -> LiveServer {
    guard let server = ServerTrait.current else { throw Unexpected("the test has no server trait") }
    return server
}

/// A connection to the server of the running test.
func connect(_ route: Route) throws -> Client { try liveServer().connect(route) }

/// A connection that uses and watches nothing but one tube.
func connect(_ route: Route, settledIn tube: String) throws -> Client {
    let client = try connect(route)
    try client.settle(tube)
    return client
}

private let tubeCounter = Atomic<Int>(0)

/// A tube name that no other test has.
func newTube() -> String { "tube-\(tubeCounter.wrappingAdd(1, ordering: .relaxed).newValue)" }

/// Waits until the job is in the state.
func waitForState(_ state: String, of id: Int, seenBy observer: Client) throws {
    let deadline = monotonicSeconds() + Client.patience
    while try observer.statistics("stats-job \(id)")["state"] != state {
        guard monotonicSeconds() < deadline else { throw Unexpected("job \(id) never became \(state)") }
        pause(seconds: 0.01)
    }
}

/// Waits until the server has the client's `reserve`, by the count of clients that wait on the tube.
func waitUntilWaiting(_ count: Int, on tube: String, seenBy observer: Client) throws {
    let deadline = monotonicSeconds() + Client.patience
    while try observer.statistics("stats-tube \(tube)").number("current-waiting") != count {
        guard monotonicSeconds() < deadline else { throw Unexpected("\(count) clients never waited on \(tube)") }
        pause(seconds: 0.005)
    }
}
