// SPDX-License-Identifier: MIT

import Glibc
import LiveServer
import Testing

/// SIGHUP, which beanstalkd doesn't catch: the configuration file is read again.
@Suite struct ReloadTests {
    private static func file(_ server: TrellisProcess, _ more: String, transports: String = "") -> String {
        """
        storage: {use: memory}
        transports: [{use: unix, path: "\(server.socketPath)"}, {use: tcp, listen: "127.0.0.1:\(server.port)"}\(transports)]
        \(more)

        """
    }

    private func reload(_ server: TrellisProcess, _ text: String, until line: String) throws {
        try writeFile("\(server.folder)/trellis.yaml", text)
        server.process.signal(SIGHUP)
        try server.waitForLog(line)
    }

    @Test func rulesLimitsAndTheLogLevelAreTakenOver() throws {
        let server = try TrellisProcess(more: "tubes: {\"d*\": {concurrency: 1}}")
        defer { server.kill() }
        let client = try server.connect()
        try client.call("put 0 0 60 1\r\na", "INSERTED 1")
        try client.call("put 0 0 60 1\r\nb", "INSERTED 2")
        try client.reserve(1, "a")
        let worker = try server.connect(.tcp)
        worker.send("reserve\r\n")
        try worker.expectSilence()
        let text = Self.file(
            server,
            "tubes: {\"d*\": {concurrency: 2}}\nlimits: {job-size: 3}\nlog: {level: info}\nscheduler: {use: fifo}")
        try reload(server, text, until: "reloaded; changed: 3; waiting for a restart: 1\n")
        try worker.expect("RESERVED 2 1\r\nb\r\n")
        try client.call("put 0 0 60 4\r\nabcd", "JOB_TOO_BIG")
        for line in [
            "notice trellisd: reload: tubes.\"d*\".concurrency is 2 now; it was 1\n",
            "notice trellisd: reload: limits.job-size is 3 now; it was 65535\n",
            "notice trellisd: reload: log.level is info now; it was notice\n",
            "warning trellisd: reload: scheduler needs a restart to become fifo; it stays priority\n",
        ] {
            #expect(server.log.contains(line), "\(server.log)")
        }
        server.process.signal(SIGHUP)
        try server.waitForLog("info trellisd: got SIGHUP")
        try server.stop()
        #expect(server.log.contains("info trellisd: got SIGTERM"))
    }

    @Test func listenersAreAddedAndRemoved() throws {
        let server = try TrellisProcess()
        defer { server.kill() }
        let (other, port) = ("\(server.folder)/other.sock", try Ports.next())
        let more = ", {use: unix, path: \"\(other)\", mode: \"0600\"}, {use: tcp, listen: \"127.0.0.1:\(port)\"}"
        try reload(server, Self.file(server, "", transports: more), until: "reloaded; changed: 2\n")
        #expect(fileMode(other) == 0o600)
        let client = try Client(path: other)
        try client.call("list-tube-used", "USING default")
        try Client(port: port).call("list-tube-used", "USING default")
        try server.connect(.tcp).call("list-tube-used", "USING default")
        try reload(server, Self.file(server, "limits: {job-size: 7}"), until: "reloaded; changed: 3\n")
        #expect(!fileExists(other))
        #expect(throws: Unexpected.self) { try Client(port: port) }
        try client.call("list-tube-used", "USING default")
        try server.connect(.tcp).call("list-tube-used", "USING default")
        try server.stop()
    }

    @Test func aFaultyFileChangesNothing() throws {
        let server = try TrellisProcess()
        defer { server.kill() }
        let client = try server.connect()
        try reload(
            server, Self.file(server, "limits: {job-size: 2, memry: 1GiB}"),
            until: "the configuration stays as it was, since the new one can't be used\n")
        #expect(server.log.contains("error trellisd: trellis.yaml:3:23: unknown key \"memry\" in limits"))
        try client.call("put 0 0 60 5\r\nhello", "INSERTED 1")
        // Neither does one that has a listener which can't be opened.
        let taken = ", {use: unix, path: /nonexistent/t.sock}"
        try reload(
            server, Self.file(server, "limits: {job-size: 2}", transports: taken),
            until: "can't listen on unix:/nonexistent/t.sock")
        try client.call("put 0 0 60 5\r\nhello", "INSERTED 2")
        unlink("\(server.folder)/trellis.yaml")
        server.process.signal(SIGHUP)
        try server.waitForLog("can't open \(server.folder)/trellis.yaml: No such file")
        try client.call("put 0 0 60 5\r\nhello", "INSERTED 3")
        try reload(server, Self.file(server, "limits: {job-size: 2}"), until: "reloaded; changed: 1\n")
        try client.call("put 0 0 60 5\r\nhello", "JOB_TOO_BIG")
        try server.stop()
    }

    @Test func flagsStillGoBeforeTheFile() throws {
        let server = try TrellisProcess()
        defer { server.kill() }
        let path = "\(server.folder)/flags.sock"
        let file = "\(server.folder)/trellis.yaml"
        let other = try server.startAnother(["--config", file, "-l", "unix:\(path)", "-z", "9"])
        defer { other.signal(SIGKILL) }
        let deadline = monotonicSeconds() + Client.patience
        while !other.output().contains("listens on"), monotonicSeconds() < deadline { pause(seconds: 0.005) }
        try writeFile(file, Self.file(server, "limits: {job-size: 3, output: 2MiB}"))
        other.signal(SIGHUP)
        while !other.output().contains("reloaded; changed: 1\n"), monotonicSeconds() < deadline {
            pause(seconds: 0.005)
        }
        #expect(other.output().contains("limits.output is 2MiB now; it was 1MiB"), "\(other.output())")
        try Client(path: path).call("put 0 0 60 5\r\nhello", "INSERTED 1")
        other.signal(SIGTERM)
        #expect(other.waitForExit(seconds: 10) == 0)
        try server.stop()
    }

    @Test func aServerWithFlagsOnlyHasNothingToReadAndRunsOn() throws {
        let server = try TrellisProcess(flags: [])
        defer { server.kill() }
        server.process.signal(SIGHUP)
        try server.waitForLog("got SIGHUP: there is no configuration file to read again; nothing is changed")
        try server.connect().call("list-tube-used", "USING default")
        try server.stop()
    }
}
