// SPDX-License-Identifier: MIT

import LiveServer
import Testing

/// Clients that people use, over the network and over a Unix socket.
@Suite
struct ClientTests {
    @Test(arguments: Route.allCases)
    func greenstalkWorks(over route: Route) async throws {
        try await withServer { server in
            let python = "\(Repository.root)/.venv/bin/python3"
            guard fileExists(python) else {
                throw Unexpected("\(python) is missing: run `make test`, or `.ci/setup test`, which makes it")
            }
            try runClient([python, "\(Repository.root)/Tests/Clients/greenstalk_client.py"], route, server)
        }
    }

    @Test(arguments: Route.allCases)
    func pheanstalkWorks(over route: Route) async throws {
        try await withServer { server in
            guard fileExists("/usr/share/php/Pheanstalk/autoload.php"), fileExists("/usr/bin/php") else {
                throw Unexpected("Pheanstalk is missing: apt-get install php-cli php-pda-pheanstalk")
            }
            try runClient(["/usr/bin/php", "\(Repository.root)/Tests/Clients/pheanstalk_client.php"], route, server)
        }
    }

    /// Runs a client's script, which says in its last line how it went.
    private func runClient(_ command: [String], _ route: Route, _ server: LiveServer) throws {
        let place = route == .tcp ? ["127.0.0.1", String(server.port)] : [server.socketPath]
        let folder = try makeTemporaryFolder()
        defer { removeFolder(folder) }
        let client = try ChildProcess(command + place, log: "\(folder)/client.log")
        guard let status = client.waitForExit(seconds: 120) else {
            client.signal(9)
            _ = client.waitForExit(seconds: 10)
            throw Unexpected("the client didn't come to an end:\n\(client.output())")
        }
        let last = client.output().split(separator: "\n").last.map { String($0) } ?? ""
        guard status == 0, last.hasSuffix(" passed, 0 failed"), !last.hasPrefix("0 ") else {
            throw Unexpected("the client ended with status \(status):\n\(client.output())")
        }
    }
}
