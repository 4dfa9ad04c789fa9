// SPDX-License-Identifier: MIT

import LiveServer
import Testing

/// `trellis`, as a shell sees it: what it prints where, and its exit status.
@Suite
struct CommandLineTests {
    @Test(arguments: Route.allCases)
    func aJobIsPutAndTakenAndDeleted(over route: Route) async throws {
        try await withServer { server in
            let put = try server.trellis("put", "hello", over: route)
            #expect(put.status == 0 && put.output == "1\n" && put.errors == "")
            let taken = try server.trellis("reserve", "--delete", over: route)
            #expect(taken.status == 0)
            #expect(taken.output == "hello", "the body and nothing else")
            #expect(taken.errors == "1\n")
            try server.connect(route).call("peek 1", "NOT_FOUND")
        }
    }

    @Test
    func putTakesTubePriorityDelayAndTimeToRun() async throws {
        try await withServer { server in
            let put = try server.trellis("put", "--tube", "a", "--pri", "7", "--delay", "1000", "--ttr", "9", "x")
            #expect(put.status == 0)
            let job = try server.connect(.tcp).statistics("stats-job 1")
            #expect(["tube", "pri", "delay", "ttr"].map { job[$0] } == ["\"a\"", "7", "1000", "9"])
        }
    }

    @Test
    func putReadsStandardInputToTheByte() async throws {
        try await withServer { server in
            let text = String(repeating: "line\r\n\n", count: 5000)
            #expect(try server.trellis("put", input: text).output == "1\n")
            #expect(try server.trellis("put", "-", input: text).output == "2\n")
            #expect(try server.trellis("put", input: "").output == "3\n")
            let client = try server.connect(.tcp)
            try client.reserve(1, text)
            try client.reserve(2, text)
            try client.reserve(3, "")
        }
    }

    @Test
    func aJobThatCannotBePrintedGoesBack() async throws {
        try await withServer { server in
            _ = try server.trellis("put", "x")
            let taken = try server.trellis("reserve", "--delete", output: "/dev/full")
            #expect(taken.status == 1)
            #expect(taken.errors.contains("can't write the output"))
            try server.connect(.tcp).call("reserve", "RESERVED 1 1\r\nx")
        }
    }

    @Test
    func reserveMustSayWhatBecomesOfTheJob() async throws {
        try await withServer { server in
            for arguments in [["reserve"], ["reserve", "--delete", "--exec", "true"]] {
                let result = try runTrellis(arguments, environment: ["TRELLIS_SERVER=\(server.address(.tcp))"])
                #expect(result.status == 64)
                #expect(result.errors.contains("--delete") && result.errors.contains("--exec"))
            }
        }
    }

    @Test
    func reserveWaitsAtMostTheTimeout() async throws {
        try await withServer { server in
            let result = try server.trellis("reserve", "--delete", "--timeout", "0")
            #expect(result.status == 75)
            #expect(result.output == "" && result.errors.contains("no job in time"))
        }
    }

    @Test
    func reserveTakesFromTheNamedTubesOnly() async throws {
        try await withServer { server in
            for (tube, body) in [("default", "0"), ("a", "1"), ("b", "2"), ("c", "3")] {
                _ = try server.trellis("put", "--tube", tube, body)
            }
            func take(_ tubes: [String]) throws -> String {
                let options = tubes.flatMap { ["--tube", $0] }
                return try runTrellis(
                    ["reserve", "--delete", "--timeout", "0"] + options,
                    environment: ["TRELLIS_SERVER=\(server.address(.tcp))"]
                ).output
            }
            #expect(try take(["b", "c"]) == "2")
            #expect(try take(["b", "c"]) == "3")
            #expect(try take(["b", "c"]) == "")
            #expect(try take(["a", "default"]) == "0")
            #expect(try take([]) == "")
            #expect(try take(["a", "default"]) == "1")
        }
    }

    @Test
    func deleteTriesAllAndTellsWhichFailed() async throws {
        try await withServer { server in
            for _ in 0..<3 { _ = try server.trellis("put", "x") }
            let result = try server.trellis("delete", "1", "99", "3")
            #expect(result.status == 1)
            #expect(result.errors.contains("99") && result.errors.contains("NOT_FOUND"))
            #expect(try server.trellis("delete", "2").status == 0)
            #expect(try server.connect(.tcp).statistics()["current-jobs-ready"] == "0")
        }
    }

    @Test
    func statsShowsTheServerATubeOrAJob() async throws {
        try await withServer { server in
            _ = try server.trellis("put", "--tube", "a", "x")
            #expect(try server.trellis("stats").output.hasPrefix("current-jobs-urgent: 0\ncurrent-jobs-ready: 1\n"))
            #expect(try server.trellis("stats", "--tube", "a").output.hasPrefix("name: \"a\"\n"))
            #expect(try server.trellis("stats", "--job", "1").output.hasPrefix("id: 1\ntube: \"a\"\nstate: ready\n"))
            #expect(try server.trellis("stats", "--job", "1", "--tube", "a").status == 64)
            for arguments in [["stats", "--job", "9"], ["stats", "--tube", "nowhere"]] {
                let result = try runTrellis(arguments, environment: ["TRELLIS_SERVER=\(server.address(.tcp))"])
                #expect(result.status == 1 && result.output == "" && result.errors.contains("NOT_FOUND"))
            }
        }
    }

    @Test
    func theServerIsNamedBeforeOrBehindTheCommandOrInTheEnvironment() async throws {
        try await withServer { server in
            let nowhere = ["TRELLIS_SERVER=127.0.0.1:1"]
            for route in Route.allCases {
                let address = server.address(route)
                let before = try runTrellis(["--server", address, "stats"], environment: nowhere)
                let behind = try runTrellis(["stats", "--server", address], environment: nowhere)
                let surrounding = try runTrellis(["stats"], environment: ["TRELLIS_SERVER=\(address)"])
                #expect([before, behind, surrounding].map(\.status) == [0, 0, 0])
            }
            let named = try runTrellis(["stats", "--server", "localhost:\(server.port)"])
            #expect(named.status == 0)
        }
    }

    @Test
    func refusalsAreToldInWords() async throws {
        try await withServer { server in
            let large = try server.trellis("put", input: String(repeating: "x", count: 65_536))
            #expect(large.status == 1 && large.output == "" && large.errors.contains("JOB_TOO_BIG"))
            let misnamed = try server.trellis("put", "--tube", "a*", "x")
            #expect(misnamed.status == 1 && misnamed.errors.contains("tube name"))
            // What would be a second command never gets to the server.
            #expect(try server.trellis("put", "--tube", "a\r\nput 0 0 1 0", "x").status == 64)
            #expect(try server.connect(.tcp).statistics()["cmd-put"] == "1")
        }
    }

    @Test
    func withoutAServerItSaysWhereItLookedAndHowToStartOne() async throws {
        try await withTaskExecutorPreference(Threads.shared) {
            let port = try Ports.next()
            for address in ["127.0.0.1:\(port)", "unix:/nowhere/t.sock", "unix:/" + String(repeating: "n", count: 200)]
            {
                let result = try runTrellis(["--server", address, "put", "x"])
                #expect(result.status == 69)
                #expect(result.errors.contains(address) && result.errors.contains("trellisd"))
            }
            for address in [":1", "host:", "unix:", "[::1", "[::1]x"] {
                let result = try runTrellis(["--server", address, "put", "x"])
                #expect(result.status == 64)
            }
        }
    }
}
