// SPDX-License-Identifier: MIT

import Glibc

/// A running server with a TCP port and a Unix socket of its own.
///
/// It is `trellisd` from the folder of the test bundle, unless TRELLIS_TEST_SERVER says otherwise: the path of another
/// `trellisd`, or `beanstalkd`, which tries the tests themselves on the reference. The reference listens in one
/// place only, so two of it are started then, and what one route does can't be seen over the other.
public final class LiveServer: Sendable {
    /// What differs from one server under test to another.
    public struct Settings: Sendable {
        /// The largest job body, in bytes.
        public var jobSize = 65_535
        /// More keys of the `limits` section, as the configuration file has them; the reference doesn't get them.
        public var limits: [String] = []
        /// Lines of further sections, as the configuration file has them; the reference doesn't get them.
        public var sections: [String] = []

        /// The settings of a server about which nothing is special.
        public init(jobSize: Int = 65_535, limits: [String] = [], sections: [String] = []) {
            self.jobSize = jobSize
            self.limits = limits
            self.sections = sections
        }
    }

    /// What TRELLIS_TEST_SERVER says.
    private static let override: String? = getenv("TRELLIS_TEST_SERVER").map { String(cString: $0) }.flatMap {
        $0.isEmpty ? nil : $0
    }

    /// Whether the tests run against the reference instead of Trellis.
    public static let isReference = override?.hasSuffix("beanstalkd") ?? false

    /// The folder of the programs that the build made: that of the test bundle.
    public static let products: String = {
        guard let resolved = realpath("/proc/self/exe", nil) else { return "." }
        defer { free(resolved) }
        let path = String(cString: resolved)
        return path.split(separator: "/").dropLast().reduce(into: "") { $0 += "/" + $1 }
    }()

    /// The TCP port on 127.0.0.1.
    public let port: UInt16
    /// The path of the Unix socket.
    public let socketPath: String
    private let processes: [ChildProcess]
    private let folder: String
    private let catchesSigterm: Bool

    /// Debian's beanstalkd, whatever TRELLIS_TEST_SERVER says; an error if the machine hasn't got it.
    public static func reference(_ settings: Settings = Settings()) throws(Unexpected) -> LiveServer {
        let program = "/usr/bin/beanstalkd"
        guard fileExists(program) else {
            throw Unexpected("\(program) is missing, and this test compares with it: apt-get install beanstalkd")
        }
        return try LiveServer(settings, reference: program)
    }

    /// Starts a server and waits until it accepts on both routes.
    public convenience init(_ settings: Settings = Settings()) throws(Unexpected) {
        try self.init(settings, reference: Self.isReference ? Self.override : nil)
    }

    private init(_ settings: Settings, reference: String?) throws(Unexpected) {
        folder = try makeTemporaryFolder()
        port = try Ports.next()
        socketPath = "\(folder)/t.sock"
        catchesSigterm = reference == nil
        do {
            processes =
                if let reference {
                    try Self.startReference(reference, settings, port, folder)
                } else {
                    try Self.startTrellis(Self.override ?? "\(Self.products)/trellisd", settings, port, folder)
                }
        } catch {
            removeFolder(folder)
            throw error
        }
        do {
            for route in Route.allCases { try waitUntilItAccepts(route) }
        } catch {
            for process in processes { process.signal(SIGKILL) }
            for process in processes { _ = process.waitForExit(seconds: 10) }
            removeFolder(folder)
            throw error
        }
    }

    /// Opens a connection.
    public func connect(_ route: Route) throws(Unexpected) -> Client {
        switch route {
        case .tcp: try Client(port: port)
        case .unix: try Client(path: socketPath)
        }
    }

    /// Waits until no thread of the server that serves the route is at work: all it was sent has been seen to.
    ///
    /// A round trip on another connection tells as much of a server with one thread. Each of several has connections of its
    /// own.
    public func waitUntilItRests(_ route: Route) throws(Unexpected) {
        let deadline = monotonicSeconds() + Client.patience
        var looks = 0
        while looks < 3 {
            looks = process(route).isAsleep ? looks + 1 : 0
            guard monotonicSeconds() < deadline else { throw Unexpected("the server doesn't come to rest") }
            pause(seconds: 0.0005)
        }
    }

    /// The process that serves the route.
    public func process(_ route: Route) -> ChildProcess {
        route == .tcp ? processes[0] : processes[processes.count - 1]
    }

    /// Stops it as a service manager does, with SIGTERM.
    ///
    /// It is an error if it doesn't exit with status 0 in 10 seconds. The reference doesn't catch SIGTERM, so that its
    /// status is no error.
    public func stop() throws(Unexpected) {
        defer { removeFolder(folder) }
        try terminate()
    }

    /// What `stop` does, but its folder stays until then.
    public func terminate() throws(Unexpected) {
        for process in processes { process.signal(SIGTERM) }
        for process in processes {
            guard let status = process.waitForExit(seconds: 10) else {
                process.signal(SIGKILL)
                _ = process.waitForExit(seconds: 10)
                throw Unexpected("the server still ran 10 s after SIGTERM; its output:\n\(process.output())")
            }
            guard status == 0 || !catchesSigterm else {
                throw Unexpected("the server ended with status \(status); its output:\n\(process.output())")
            }
        }
    }

    private static func startTrellis(
        _ program: String, _ settings: Settings, _ port: UInt16, _ folder: String
    ) throws(Unexpected) -> [ChildProcess] {
        let limits = ["job-size: \(settings.jobSize)"] + settings.limits
        let configuration = """
            storage: {use: memory}
            transports: [{use: tcp, listen: "127.0.0.1:\(port)"}, {use: unix, path: "\(folder)/t.sock"}]
            limits: {\(limits.joined(separator: ", "))}
            \(settings.sections.joined(separator: "\n"))

            """
        let file = "\(folder)/trellis.yaml"
        try writeFile(file, configuration)
        return [try ChildProcess([program, "--config", file], log: "\(folder)/server.log")]
    }

    private static func startReference(
        _ program: String, _ settings: Settings, _ port: UInt16, _ folder: String
    ) throws(Unexpected) -> [ChildProcess] {
        let size = ["-z", String(settings.jobSize)]
        return [
            try ChildProcess([program, "-l", "127.0.0.1", "-p", String(port)] + size, log: "\(folder)/tcp.log"),
            try ChildProcess([program, "-l", "unix:\(folder)/t.sock"] + size, log: "\(folder)/unix.log"),
        ]
    }

    private func waitUntilItAccepts(_ route: Route) throws(Unexpected) {
        let deadline = monotonicSeconds() + 20
        while true {
            if let client = try? connect(route) {
                // The connection is seen to go before a test counts connections; the command moves no counter.
                try client.call("barrier", "UNKNOWN_COMMAND")
                client.send("quit\r\n")
                try client.expectEnd()
                return
            }
            if let status = process(route).waitForExit(seconds: 0) {
                throw Unexpected("the server ended at once, status \(status):\n\(process(route).output())")
            }
            if monotonicSeconds() > deadline {
                throw Unexpected("the server didn't accept over \(route) in 20 s:\n\(process(route).output())")
            }
            pause(seconds: 0.005)
        }
    }
}
