// SPDX-License-Identifier: MIT

import Glibc
import LiveServer

/// A Trellis server with settings that concern its process.
struct TrellisProcess {
    let process: ChildProcess
    let port: UInt16
    let folder: String

    var socketPath: String { "\(folder)/t.sock" }
    var log: String { process.output() }

    /// Starts a server and waits until it accepts.
    ///
    /// - Parameters:
    ///   - limits: What stands in the section `limits`.
    ///   - more: Further lines of the configuration.
    ///   - shell: What a shell does before it becomes the server.
    init(limits: String = "", more: String = "", shell: String = ":") throws {
        folder = try makeTemporaryFolder()
        port = try Ports.next()
        let configuration = """
            storage: {use: memory}
            transports: [{use: unix, path: "\(folder)/t.sock"}, {use: tcp, listen: "127.0.0.1:\(port)"}]
            limits: {\(limits)}
            \(more)

            """
        try writeFile("\(folder)/trellis.yaml", configuration)
        process = try ChildProcess(
            [
                "/bin/sh", "-c", "\(shell); exec \"$0\" \"$@\"", "\(LiveServer.products)/trellisd", "--config",
                "\(folder)/trellis.yaml",
            ], log: "\(folder)/log")
        try waitUntilItAccepts(process)
        // Clients are let in before the start is over: before it has become another user, for one.
        try waitForLog("listens on")
    }

    func connect(_ route: Route = .unix) throws -> Client {
        switch route {
        case .tcp: try Client(port: port)
        case .unix: try Client(path: socketPath)
        }
    }

    /// Starts another one, whose log lies in the same folder.
    func startAnother(_ arguments: [String]) throws -> ChildProcess {
        try ChildProcess(["\(LiveServer.products)/trellisd"] + arguments, log: "\(folder)/another.log")
    }

    func waitUntilItAccepts(_ process: ChildProcess) throws {
        let deadline = monotonicSeconds() + Client.patience
        while (try? connect()) == nil {
            if let status = process.waitForExit(seconds: 0) {
                throw Unexpected("the server ended with \(status): \(process.output())")
            }
            guard monotonicSeconds() < deadline else { throw Unexpected("the server never accepted") }
            pause(seconds: 0.005)
        }
    }

    func waitForLog(_ text: String) throws {
        let deadline = monotonicSeconds() + Client.patience
        while !log.contains(text) {
            guard monotonicSeconds() < deadline else { throw Unexpected("the log never said \(text): \(log)") }
            pause(seconds: 0.005)
        }
    }

    /// The processor time that the server uses meanwhile, in clock ticks (hundredths of a second).
    func ticksUsed(inSeconds seconds: Double) -> Int { Compatibility.ticksUsed(by: process.pid, inSeconds: seconds) }

    /// The memory that the server has at the moment, in bytes.
    var residentBytes: Int {
        let lines = readFile("/proc/\(process.pid)/status")?.split(separator: "\n") ?? []
        let words = lines.first { $0.hasPrefix("VmRSS:") }?.split(whereSeparator: \.isWhitespace) ?? []
        return words.count > 1 ? (Int(words[1]) ?? 0) << 10 : 0
    }

    /// Asks for more than the system's buffers take, and reads nothing of it.
    func fillOutput(of client: Client) throws { try Self.fillOutput(of: client) }

    static func fillOutput(of client: Client) throws {
        let body = String(repeating: "b", count: 60_000)
        let id = try client.put(body)
        client.send(String(repeating: "peek \(id)\r\n", count: 300))
        // Something of it is there: the server is at it.
        guard client.hasInput(within: Client.patience) else { throw Unexpected("the server sends nothing") }
        pause(seconds: 0.2)
    }

    /// Ends it as SIGTERM does; it must exit with status 0.
    func stop() throws {
        process.signal(SIGTERM)
        let status = process.waitForExit(seconds: 15)
        guard status == 0 else { throw Unexpected("the server ended with \(status ?? -1): \(log)") }
    }

    /// Ends it whatever state it is in, and removes its folder.
    func kill() {
        process.signal(SIGKILL)
        _ = process.waitForExit(seconds: 10)
        removeFolder(folder)
    }
}

/// States of a client in which something is always ready for a careless event loop.
enum OddState: CaseIterable {
    case halfClosed
    case halfClosedInABody
    case halfClosedInASwallowedBody
    case waiting
    case waitingWithFullInput
    case waitingWithFullInputHalfClosed
    case notReading
    case notReadingHalfClosed
    case notReadingWithFullInput
    case notReadingWithFullInputHalfClosed
    case notReadingAfterQuit

    func enter(_ client: Client, _ server: TrellisProcess) throws {
        switch self {
        case .halfClosed: client.halfClose()
        case .halfClosedInABody:
            client.send("put 0 0 1 1000\r\nabc")
            client.halfClose()
        case .halfClosedInASwallowedBody:
            client.send("put 0 0 1 1000000\r\nabc")
            client.halfClose()
        case .waiting: client.send("watch odd\r\nignore default\r\nreserve\r\n")
        case .waitingWithFullInput, .waitingWithFullInputHalfClosed:
            client.send("watch odd\r\nignore default\r\nreserve\r\n")
            client.sendUntilFull("reserve\r\n")
            if self == .waitingWithFullInputHalfClosed { client.halfClose() }
        case .notReading: try server.fillOutput(of: client)
        case .notReadingHalfClosed:
            try server.fillOutput(of: client)
            client.halfClose()
        case .notReadingWithFullInput, .notReadingWithFullInputHalfClosed:
            try server.fillOutput(of: client)
            client.sendUntilFull("peek-ready\r\n")
            if self == .notReadingWithFullInputHalfClosed { client.halfClose() }
        case .notReadingAfterQuit:
            try server.fillOutput(of: client)
            client.send("quit\r\n")
        }
    }
}

/// The processor time that a process uses meanwhile, in clock ticks (hundredths of a second).
///
/// One that spins uses a few at least in a second, however busy the machine is.
func ticksUsed(by pid: Int32, inSeconds seconds: Double) -> Int {
    let before = ticks(of: pid)
    pause(seconds: seconds)
    return ticks(of: pid) - before
}

private func ticks(of pid: Int32) -> Int {
    // The name in parentheses may hold anything; the 14th and the 15th field are those of user and system time.
    let fields = readFile("/proc/\(pid)/stat")?.split(separator: ")").last?.split(separator: " ") ?? []
    guard fields.count > 12, let user = Int(fields[11]), let system = Int(fields[12]) else { return -1 }
    return user + system
}

/// The permissions of a file; 0 where there is none.
func fileMode(_ path: String) -> UInt32 {
    var status = stat()
    return lstat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
}
