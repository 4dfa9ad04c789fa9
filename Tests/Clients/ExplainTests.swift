// SPDX-License-Identifier: MIT

import LiveServer
import Testing

/// `trellis explain`: each reason for which a job waits.
@Suite
struct ExplainTests {
    private static let settings = LiveServer.Settings(sections: [
        #"tubes: {"few*": {concurrency: 1}, "seldom": {rate: 1/d}}"#
    ])

    private func explain(_ id: Int, _ server: LiveServer, over route: Route = .tcp) throws -> [String] {
        let result = try server.trellis("explain", String(id), over: route)
        #expect(result.status == 0 && result.errors == "")
        return result.output.split(separator: "\n").map { String($0) }
    }

    @Test(arguments: Route.allCases)
    func jobsThatAreNotReady(over route: Route) async throws {
        try await withServer { server in
            let client = try server.connect(.tcp)
            let delayed = try client.put(delay: 1000)
            #expect(try explain(delayed, server, over: route)[0].contains("is delayed: it will be ready in 99"))
            let id = try client.put(ttr: 1000)
            try client.reserve(id)
            #expect(try explain(id, server, over: route)[0].contains("is reserved: a worker has it, for 99"))
            try client.call("bury \(id) 0", "BURIED")
            #expect(try explain(id, server, over: route)[0].contains("is buried"))
            let none = try server.trellis("explain", "99", over: route)
            #expect(none.status == 1 && none.output == "" && none.errors.contains("NOT_FOUND"))
        }
    }

    @Test
    func pauseOtherJobsAndMissingWorkers() async throws {
        try await withServer { server in
            let client = try server.connect(.tcp)
            try client.call("use a", "USING a")
            let first = try client.put()
            let alone = try explain(first, server)
            #expect(alone.count == 2)
            #expect(alone[0].hasPrefix("Job 1 in the tube a is ready (priority 0, put "))
            #expect(alone[0].hasSuffix(" ago), and waits:"))
            #expect(alone[1] == "- No worker watches the tube.")
            try client.call("watch a", "WATCHING 2")
            let second = try client.put(priority: 9)
            try client.call("pause-tube a 1000", "PAUSED")
            let lines = try explain(second, server)
            #expect(lines.count == 3)
            #expect(lines[1].hasPrefix("- The tube is paused for 9"))
            #expect(lines[2].hasPrefix("- Job 1 (priority 0, put "))
            #expect(lines[2].hasSuffix(" ago) is next in the tube; 2 jobs are ready there."))
            try client.call("pause-tube a 0", "PAUSED")
            #expect(try explain(first, server)[1].hasPrefix("- None of the 1 connections that watch the tube waits"))
        }
    }

    @Test
    func limits() async throws {
        try await withServer(Self.settings) { server in
            let client = try server.connect(.tcp)
            for tube in ["few.a", "seldom"] {
                try client.settle(tube)
                let taken = try client.put()
                try client.reserve(taken)
                let waiting = try client.put()
                let lines = try explain(waiting, server)
                #expect(
                    lines.dropFirst() == [
                        tube == "seldom"
                            ? "- The tube has used up its rate: the rule \"seldom\" allows 1/d."
                            : "- 1 of the tube's jobs are reserved, and the rule \"few*\" allows 1 at once: one of them "
                                + "must be finished first."
                    ])
                try client.call("watch default", "WATCHING 2")
                try client.call("ignore \(tube)", "WATCHING 1")
            }
        }
    }

    @Test
    func policies() async throws {
        let tubes =
            #"tubes: {"a": {retries: 1, dead-letter: dead}, "b*": {retries: 0, ttl: 1h}, "c": {ttl: 2h, dead-letter: d}}"#
        try await withServer(LiveServer.Settings(sections: [tubes])) { server in
            let client = try server.connect(.tcp)
            for (tube, lines) in [
                ("a", ["Deliveries that failed: 1; the rule \"a\" allows 1 retries, after which it goes to dead."]),
                ("bb", ["Deliveries that failed: 1; the rule \"b*\" allows 0 retries, after which it is buried."]),
            ] {
                try client.settle(tube)
                let id = try client.put()
                try client.reserve(id)
                try client.call("release \(id) 0 0", "RELEASED")
                #expect(Array(try explain(id, server).dropFirst(tube == "a" ? 2 : 1)) == lines)
                try client.call("watch default", "WATCHING 2")
                try client.call("ignore \(tube)", "WATCHING 1")
            }
            for (tube, start, end) in [
                ("b", "It is dropped in 3", " unless it is taken: the rule \"b*\" has a ttl of 3600 seconds."),
                ("c", "It goes to d in 7", " unless it is taken: the rule \"c\" has a ttl of 7200 seconds."),
            ] {
                try client.call("use \(tube)", "USING \(tube)")
                let last = try explain(client.put(), server).last ?? ""
                #expect(last.hasPrefix(start) && last.hasSuffix(end), "\(last)")
            }
        }
    }

    /// Over the whole way: a worker that waits gets its job when a slot is there.
    @Test
    func waitingWorkerIsServedWhenASlotIsThere() async throws {
        try await withServer(Self.settings) { server in
            let (busy, waiting) = (try server.connect(.tcp), try server.connect(.unix))
            try busy.settle("few")
            try waiting.settle("few")
            for _ in 0..<2 { try busy.put() }
            try busy.reserve(1)
            waiting.send("reserve\r\n")
            try waiting.expectSilence()
            try busy.delete(1)
            try waiting.expect("RESERVED 2 1\r\nx\r\n")
        }
    }
}
