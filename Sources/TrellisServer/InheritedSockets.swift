// SPDX-License-Identifier: MIT

internal import Glibc
internal import TrellisCore
internal import TrellisSockets

/// Sockets that a service manager has opened already (systemd's socket activation, sd_listen_fds(3)).
enum InheritedSockets {
    private static let first: Int32 = 3

    /// Takes the sockets that were handed to this process; none where it wasn't started that way.
    static func take() -> [any Listener] {
        guard let pid = variable("LISTEN_PID"), pid == getpid(), let count = variable("LISTEN_FDS"), count > 0 else {
            return []
        }
        for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsetenv(name) }
        var listeners: [any Listener] = []
        for descriptor in first..<first + count where isListening(descriptor) && isStream(descriptor) {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            let endpoint = SocketAddress.describe(localEndOf: descriptor)
            listeners.append(SocketListener(descriptor: descriptor, endpoint: endpoint))
        }
        return listeners
    }

    private static func variable(_ name: String) -> Int32? {
        getenv(name).flatMap { Int32(String(cString: $0)) }
    }

    private static func isListening(_ descriptor: Int32) -> Bool { option(SO_ACCEPTCONN, of: descriptor) == 1 }

    /// Whether it has no packets: a read is to take all that is there.
    private static func isStream(_ descriptor: Int32) -> Bool {
        option(SO_TYPE, of: descriptor) == Int32(SOCK_STREAM.rawValue)
    }

    private static func option(_ name: Int32, of descriptor: Int32) -> Int32? {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
    }
}
