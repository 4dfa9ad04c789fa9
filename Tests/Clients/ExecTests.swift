// SPDX-License-Identifier: MIT

import LiveServer
import Testing

/// `trellis reserve --exec`: a shell command as a worker.
@Suite
struct ExecTests {
    @Test
    func aCommandThatSucceedsDeletesTheJob() async throws {
        try await withServer { server in
            let body = String(repeating: "0123456789", count: 6000)
            _ = try server.trellis("put", input: body)
            let result = try server.trellis("reserve", "--exec", "cat; echo id=$TRELLIS_JOB_ID >&2")
            #expect(result.status == 0)
            #expect(result.output == body)
            #expect(result.errors == "id=1\n")
            try server.connect(.tcp).call("peek 1", "NOT_FOUND")
        }
    }

    @Test
    func aCommandNeedNotReadTheJob() async throws {
        try await withServer { server in
            _ = try server.trellis("put", input: String(repeating: "x", count: 65_000))
            #expect(try server.trellis("reserve", "--exec", "true").status == 0)
        }
    }

    @Test
    func aCommandThatFailsReleasesTheJob() async throws {
        try await withServer { server in
            _ = try server.trellis("put", "--pri", "7", "x")
            let result = try server.trellis("reserve", "--exec", "exit 3")
            #expect(result.status == 3)
            #expect(result.errors.contains("status 3") && result.errors.contains("released"))
            let job = try server.connect(.tcp).statistics("stats-job 1")
            #expect([job["state"], job["pri"], job["releases"]] == ["ready", "7", "1"])
        }
    }

    @Test
    func aReleasedJobMayBeDelayed() async throws {
        try await withServer { server in
            _ = try server.trellis("put", "x")
            #expect(try server.trellis("reserve", "--exec", "false", "--retry-delay", "1000").status == 1)
            let job = try server.connect(.tcp).statistics("stats-job 1")
            #expect([job["state"], job["delay"]] == ["delayed", "1000"])
        }
    }

    @Test
    func aCommandThatFailsMayBuryTheJob() async throws {
        try await withServer { server in
            _ = try server.trellis("put", "--pri", "7", "x")
            let result = try server.trellis("reserve", "--exec", "kill -9 $$", "--on-failure", "bury")
            #expect(result.status == 137)
            let job = try server.connect(.tcp).statistics("stats-job 1")
            #expect([job["state"], job["pri"]] == ["buried", "7"])
        }
    }

    @Test
    func theTimeOfAJobIsRenewedWhileTheCommandRuns() async throws {
        try await withServer { server in
            _ = try server.trellis("put", "--ttr", "2", "x")
            #expect(try server.trellis("reserve", "--exec", "sleep 4.5").status == 0)
            let stats = try server.connect(.tcp).statistics()
            #expect([stats["job-timeouts"], stats["cmd-delete"]] == ["0", "1"])
        }
    }
}
