// SPDX-License-Identifier: MIT

import Glibc
import LiveServer
import Testing

/// The same random commands to Trellis and to Debian's beanstalkd: the same replies.
///
/// TRELLIS_DIFFERENTIAL_SEEDS is how many seeds are tried over each route; TRELLIS_DIFFERENTIAL_SEED is one to try
/// again. The seeds are the same in every run, so that a failure is seen again; raise their number to search.
@Suite(.onThreads)
struct DifferentialTests {
    static let seeds: [UInt64] = {
        if let one = number("TRELLIS_DIFFERENTIAL_SEED") { return [one] }
        return Array(1...max(1, number("TRELLIS_DIFFERENTIAL_SEEDS") ?? 6))
    }()

    /// How many runs go on at once over each route.
    static let lanes = min(3, seeds.count)

    @Test(arguments: Route.allCases, 0..<lanes)
    func theSameCommandsGetTheSameReplies(over route: Route, lane: Int) throws {
        for place in stride(from: lane, to: Self.seeds.count, by: Self.lanes) {
            try compare(seed: Self.seeds[place], over: route)
        }
    }

    private func compare(seed: UInt64, over route: Route) throws {
        let settings = LiveServer.Settings(jobSize: DifferentialStream.jobSize)
        let theirs = try LiveServer.reference(settings)
        defer { try? theirs.stop() }
        let ours = try LiveServer(settings)
        do {
            try DifferentialRun(seed: seed, route: route, ours: ours, theirs: theirs).run(steps: 3000)
        } catch {
            try? ours.stop()
            throw error
        }
        try ours.stop()
    }

    private static func number(_ name: String) -> UInt64? {
        getenv(name).flatMap { UInt64(String(cString: $0)) }
    }
}
