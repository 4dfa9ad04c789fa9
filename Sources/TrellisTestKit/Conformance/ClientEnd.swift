// SPDX-License-Identifier: MIT

import Glibc

/// The client's end of a connection, as tests use it: every call waits, within limits.
public protocol ClientEnd: AnyObject {
    /// Sends all the bytes.
    func send(_ bytes: [UInt8])
    /// Waits for bytes and takes at most so many: none at the end, nil where nothing comes in time.
    func receive(atMost count: Int, seconds: Int) -> [UInt8]?
    /// Sends no more.
    func closeWrite()
    /// Closes both ways. Called once.
    func close()
}

extension ClientEnd {
    /// Receives exactly so many bytes, or what came before the end or in time.
    public func receive(exactly count: Int, seconds: Int = 10) -> [UInt8] {
        var all: [UInt8] = []
        while all.count < count, let some = receive(atMost: count - all.count, seconds: seconds), !some.isEmpty {
            all += some
        }
        return all
    }
}

/// The client's end of a TCP or Unix connection: blocking calls on a descriptor.
public final class SocketClient: ClientEnd {
    private let descriptor: Int32

    /// Takes over a connected stream socket that blocks.
    public init(descriptor: Int32) { self.descriptor = descriptor }

    /// Connects to an endpoint as listeners name theirs: `127.0.0.1:11300`, `[::1]:11300`, `unix:/run/trellis.sock`.
    ///
    /// Nil where nobody listens there, or the text is no endpoint.
    public convenience init?(connectingTo endpoint: String) {
        let descriptor =
            endpoint.hasPrefix("unix:")
            ? Self.connectUnix(String(endpoint.dropFirst(5))) : Self.connectTCP(endpoint)
        guard let descriptor else { return nil }
        self.init(descriptor: descriptor)
    }

    /// Sends all the bytes; what can't be sent because the server is gone is lost.
    public func send(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if sent <= 0 { return }
            rest = rest.dropFirst(sent)
        }
    }

    /// Waits for bytes and takes at most so many: none at the end or after a failure, nil where nothing comes in time.
    public func receive(atMost count: Int, seconds: Int) -> [UInt8]? {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&waiting, 1, Int32(seconds) * 1000) == 1 else { return nil }
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = max(0, recv(descriptor, buffer.baseAddress, buffer.count, 0))
        }
    }

    /// Sends no more; what the server still writes can be received.
    public func closeWrite() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Closes both ways.
    public func close() { Glibc.close(descriptor) }

    // MARK: Connecting

    private static func connectUnix(_ path: String) -> Int32? {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return withUnsafeBytes(of: &address) { connect(AF_UNIX, $0) }
    }

    private static func connectTCP(_ endpoint: String) -> Int32? {
        guard let colon = endpoint.lastIndex(of: ":"), let port = UInt16(endpoint[endpoint.index(after: colon)...])
        else { return nil }
        let host = endpoint[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            guard inet_pton(AF_INET6, String(host.dropFirst().dropLast()), &address.sin6_addr) == 1 else { return nil }
            return withUnsafeBytes(of: &address) { connect(AF_INET6, $0) }
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        guard inet_pton(AF_INET, String(host), &address.sin_addr) == 1 else { return nil }
        return withUnsafeBytes(of: &address) { connect(AF_INET, $0) }
    }

    private static func connect(_ family: Int32, _ address: UnsafeRawBufferPointer) -> Int32? {
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0, let start = address.bindMemory(to: sockaddr.self).baseAddress else { return nil }
        if Glibc.connect(descriptor, start, socklen_t(address.count)) == 0 { return descriptor }
        Glibc.close(descriptor)
        return nil
    }
}
