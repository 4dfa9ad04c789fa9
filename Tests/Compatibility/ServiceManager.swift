// SPDX-License-Identifier: MIT

import Glibc
import LiveServer

/// Starts servers as systemd does with socket activation: it listens, and hands the sockets over as descriptors from 3
/// on.
final class ServiceManager {
    let path: String
    private let folder: String
    private var port: UInt16 = 0
    private var sockets: [Int32] = []

    /// Listens on a port of 127.0.0.1 and on a Unix socket in the folder.
    init(folder: String) throws {
        self.folder = folder
        path = "\(folder)/managed.sock"
        port = try Ports.next()
        var network = sockaddr_in()
        network.sin_family = sa_family_t(AF_INET)
        network.sin_port = port.bigEndian
        network.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        try listen(AF_INET, network)
        var local = sockaddr_un()
        local.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &local.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
        try listen(AF_UNIX, local)
    }

    deinit { for socket in sockets { close(socket) } }

    private func listen<Address>(_ family: Int32, _ address: Address) throws {
        let made = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        // Far from 3, so that handing one over doesn't hide the other.
        let descriptor = fcntl(made, F_DUPFD_CLOEXEC, 200)
        close(made)
        let status = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<Address>.size))
            }
        }
        guard status == 0, Glibc.listen(descriptor, 100) == 0 else { throw Unexpected("can't listen in \(folder)") }
        sockets.append(descriptor)
    }

    func connect(_ route: Route) throws -> Client {
        switch route {
        case .tcp: try Client(port: port)
        case .unix: try Client(path: path)
        }
    }

    /// Starts a server that is configured to listen elsewhere.
    func start() throws -> ManagedProcess {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (index, socket) in sockets.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, socket, 3 + Int32(index))
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let script = "export LISTEN_PID=$$ LISTEN_FDS=\(sockets.count); exec \"$0\" \"$@\" 2>\(folder)/log"
        let arguments = [
            "/bin/sh", "-c", script, "\(LiveServer.products)/trellisd", "-l", "unix:\(folder)/unused.sock",
        ]
        var vector: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for pointer in vector { free(pointer) } }
        var variables = ChildProcess.inheritedVariables + [nil]
        var pid = pid_t()
        guard posix_spawn(&pid, "/bin/sh", &actions, &attributes, &vector, &variables) == 0 else {
            throw Unexpected("can't start a server")
        }
        return ManagedProcess(pid: pid)
    }
}

/// A process that a `ServiceManager` started.
final class ManagedProcess {
    let pid: Int32
    private var status: Int32?

    init(pid: Int32) { self.pid = pid }

    func signal(_ number: Int32) {
        if status == nil { Glibc.kill(pid, number) }
    }

    /// The exit status, 128 and the signal for one that a signal ended; nil where it still runs then.
    func waitForExit(seconds: Double) -> Int32? {
        let deadline = monotonicSeconds() + seconds
        while status == nil {
            var word: Int32 = 0
            if waitpid(pid, &word, WNOHANG) == pid {
                let signal = word & 0x7F
                status = signal == 0 ? (word >> 8) & 0xFF : 128 + signal
            } else if monotonicSeconds() >= deadline {
                break
            } else {
                pause(seconds: 0.005)
            }
        }
        return status
    }

    /// Ends it whatever state it is in.
    func kill() {
        signal(SIGKILL)
        _ = waitForExit(seconds: 10)
    }
}
