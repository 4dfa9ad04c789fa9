// SPDX-License-Identifier: MIT

internal import CLinux
internal import Glibc
public import TrellisCore

/// A listening socket of any family, as a transport's listener.
///
/// Accepted connections are plain descriptors: non-blocking, closed on exec.
public final class SocketListener: Listener {
    /// Where it listens, for people.
    public let endpoint: String
    private var descriptor: Int32
    private let family: Int32
    private let onClose: () -> Void

    /// Takes over a socket that listens already.
    ///
    /// `onClose` is called once, when the listener closes.
    public init(descriptor: Int32, endpoint: String, onClose: @escaping () -> Void = {}) {
        self.descriptor = descriptor
        self.endpoint = endpoint
        self.onClose = onClose
        family = SocketAddress.family(of: descriptor)
        setNonBlocking(descriptor)
    }

    deinit { close() }

    /// The socket: it is readable when a connection waits.
    public var readiness: Readiness { .descriptor(descriptor) }

    /// Takes the next connection; TCP connections get TCP_NODELAY and keep-alive.
    public func accept() -> AcceptOutcome {
        var storage = sockaddr_storage()
        var length = socklen_t()
        let accepted = clinux_accept(descriptor, &storage, &length)
        guard accepted >= 0 else {
            switch -accepted {
            case EAGAIN: return .again
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted(-accepted)
            default: return .failed(-accepted)
            }
        }
        guard family == AF_UNIX else {
            setOption(accepted, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
            setKeepAlive(accepted)
            return .descriptor(accepted, .address(SocketAddress.describe(&storage)))
        }
        var pid: Int32 = 0
        var uid: UInt32 = 0
        var gid: UInt32 = 0
        let isKnown = clinux_peer(accepted, &pid, &uid, &gid) == 0
        return .descriptor(accepted, isKnown ? .local(pid: pid, uid: uid, gid: gid) : .unknown)
    }

    /// Closes the socket.
    public func close() {
        guard descriptor >= 0 else { return }
        _ = Glibc.close(descriptor)
        descriptor = -1
        onClose()
    }

    /// A worker whose machine is gone would hold its place in line, and a job, for ever: it is found dead in two minutes.
    private func setKeepAlive(_ socket: Int32) {
        setOption(socket, SOL_SOCKET, SO_KEEPALIVE, 1)
        setOption(socket, Int32(IPPROTO_TCP), TCP_KEEPIDLE, 60)
        setOption(socket, Int32(IPPROTO_TCP), TCP_KEEPINTVL, 15)
        setOption(socket, Int32(IPPROTO_TCP), TCP_KEEPCNT, 4)
    }
}

/// Sets an option of a socket that takes a whole number.
///
/// A refusal changes no behaviour that a client could rely on.
public func setOption(_ socket: Int32, _ level: Int32, _ name: Int32, _ value: Int32) {
    var value = value
    _ = setsockopt(socket, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
}

/// Makes reads, writes and accepts on a descriptor return at once.
public func setNonBlocking(_ descriptor: Int32) {
    let flags = fcntl(descriptor, F_GETFL)
    if flags >= 0 { _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) }
}

/// The system's words for an error number.
public func describe(errorNumber: Int32) -> String { String(cString: strerror(errorNumber)) }
