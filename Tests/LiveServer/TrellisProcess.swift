// SPDX-License-Identifier: MIT

import Glibc

/// A Trellis server with settings that concern its process.
public struct TrellisProcess {
    /// The process itself.
    public let process: ChildProcess
    /// Its TCP port on 127.0.0.1.
    public let port: UInt16
    /// Where its configuration, its log, its socket and a store's files are.
    public let folder: String

    /// The path of its Unix socket.
    public var socketPath: String { "\(folder)/t.sock" }
    /// What it has logged.
    public var log: String { process.output() }

    private let arguments: [String]

    /// Starts a server and waits until it serves.
    ///
    /// - Parameters:
    ///   - storage: What stands in the section `storage`; FOLDER in it becomes the server's folder.
    ///   - limits: What stands in the section `limits`.
    ///   - more: Further lines of the configuration.
    ///   - shell: What a shell does before it becomes the server.
    public init(
        storage: String = "use: memory", limits: String = "", more: String = "", shell: String = ":"
    ) throws(Unexpected) {
        let folder = try makeTemporaryFolder()
        let port = try Ports.next()
        let configuration = """
            storage: {\(Self.fill(storage, folder))}
            transports: [{use: unix, path: "\(folder)/t.sock"}, {use: tcp, listen: "127.0.0.1:\(port)"}]
            limits: {\(limits)}
            \(more)

            """
        do {
            try writeFile("\(folder)/trellis.yaml", configuration)
            try self.init(folder: folder, port: port, arguments: ["--config", "\(folder)/trellis.yaml"], shell: shell)
            try waitUntilItServes()
        } catch {
            removeFolder(folder)
            throw error
        }
    }

    /// Starts a server that is configured by beanstalkd's flags, on its Unix socket alone; FOLDER in them becomes the
    /// server's folder.
    public init(flags: [String], shell: String = ":") throws(Unexpected) {
        let folder = try makeTemporaryFolder()
        let filled = ["-l", "unix:\(folder)/t.sock"] + flags.map { Self.fill($0, folder) }
        do {
            try self.init(folder: folder, port: 0, arguments: filled, shell: shell)
            try waitUntilItServes()
        } catch {
            removeFolder(folder)
            throw error
        }
    }

    private static func fill(_ text: String, _ folder: String) -> String {
        text.split(separator: "FOLDER", omittingEmptySubsequences: false).joined(separator: folder)
    }

    private init(folder: String, port: UInt16, arguments: [String], shell: String) throws(Unexpected) {
        self.folder = folder
        self.port = port
        self.arguments = arguments
        process = try ChildProcess(
            ["/bin/sh", "-c", "\(shell); exec \"$0\" \"$@\"", "\(LiveServer.products)/trellisd"] + arguments,
            log: "\(folder)/log")
    }

    /// Starts another server where this one was, which has ended, with the same configuration; its log begins anew.
    ///
    /// With `waits` false it answers at once, however far the start has come.
    public func startAgain(waits: Bool = true, shell: String = ":") throws(Unexpected) -> TrellisProcess {
        let next = try TrellisProcess(folder: folder, port: port, arguments: arguments, shell: shell)
        if waits { try next.waitUntilItServes() }
        return next
    }

    /// Opens a connection.
    public func connect(_ route: Route = .unix) throws(Unexpected) -> Client {
        switch route {
        case .tcp: try Client(port: port)
        case .unix: try Client(path: socketPath)
        }
    }

    /// Starts another one, whose log lies in the same folder.
    public func startAnother(_ arguments: [String]) throws(Unexpected) -> ChildProcess {
        try ChildProcess(["\(LiveServer.products)/trellisd"] + arguments, log: "\(folder)/another.log")
    }

    /// Waits until the start is over; one that doesn't come so far is ended.
    ///
    /// Clients are let in before: before it has become another user, for one.
    public func waitUntilItServes() throws(Unexpected) {
        do {
            try waitUntilItAccepts(process)
            try waitForLog("listens on")
        } catch {
            process.signal(SIGKILL)
            _ = process.waitForExit(seconds: 10)
            throw error
        }
    }

    /// Waits until somebody listens on the Unix socket, which the process given is to do.
    public func waitUntilItAccepts(_ process: ChildProcess) throws(Unexpected) {
        let deadline = monotonicSeconds() + Client.patience
        while (try? connect()) == nil {
            if let status = process.waitForExit(seconds: 0) {
                throw Unexpected("the server ended with \(status): \(process.output())")
            }
            guard monotonicSeconds() < deadline else { throw Unexpected("the server never accepted") }
            pause(seconds: 0.005)
        }
    }

    /// Waits until the log has a text.
    public func waitForLog(_ text: String) throws(Unexpected) {
        let deadline = monotonicSeconds() + Client.patience
        while !log.contains(text) {
            if let status = process.waitForExit(seconds: 0), !log.contains(text) {
                throw Unexpected("the server ended with \(status): \(log)")
            }
            guard monotonicSeconds() < deadline else { throw Unexpected("the log never said \(text): \(log)") }
            pause(seconds: 0.005)
        }
    }

    /// The processor time that the server uses meanwhile, in clock ticks (hundredths of a second).
    public func ticksUsed(inSeconds seconds: Double) -> Int {
        LiveServer::ticksUsed(by: process.pid, inSeconds: seconds)
    }

    /// The memory that the server has at the moment, in bytes.
    public var residentBytes: Int {
        (Int(status("VmRSS")) ?? 0) << 10
    }

    /// Waits until the server has so many threads, and no more.
    public func waitForThreads(_ count: Int) throws(Unexpected) {
        let deadline = monotonicSeconds() + Client.patience
        while status("Threads") != String(count) {
            guard monotonicSeconds() < deadline else {
                throw Unexpected("the server has \(status("Threads")) threads instead of \(count)")
            }
            pause(seconds: 0.01)
        }
    }

    /// What the system says of the process: the first word behind a key of /proc/PID/status.
    private func status(_ key: String) -> String {
        let lines = readFile("/proc/\(process.pid)/status")?.split(separator: "\n") ?? []
        let words = lines.first { $0.hasPrefix("\(key):") }?.split(whereSeparator: \.isWhitespace) ?? []
        return words.count > 1 ? String(words[1]) : ""
    }

    /// Ends it as SIGTERM does; it must exit with status 0.
    public func stop() throws(Unexpected) {
        process.signal(SIGTERM)
        let status = process.waitForExit(seconds: 15)
        guard status == 0 else { throw Unexpected("the server ended with \(status ?? -1): \(log)") }
    }

    /// Ends it by SIGKILL, whatever state it is in; its folder stays.
    public func crash() {
        process.signal(SIGKILL)
        _ = process.waitForExit(seconds: 10)
    }

    /// Ends it whatever state it is in, and removes its folder.
    public func kill() {
        crash()
        removeFolder(folder)
    }
}

/// The processor time that a process uses meanwhile, in clock ticks (hundredths of a second).
///
/// One that spins uses a few at least in a second, however busy the machine is.
public func ticksUsed(by pid: Int32, inSeconds seconds: Double) -> Int {
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
public func fileMode(_ path: String) -> UInt32 {
    var status = stat()
    return lstat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
}
