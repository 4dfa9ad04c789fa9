// SPDX-License-Identifier: MIT

internal import Glibc
public import TrellisCore
internal import TrellisSockets

/// Listens on a TCP port, IPv4 or IPv6, with TCP_NODELAY and keep-alive.
public final class TCPTransport: Transport {
    private let host: String
    private let port: UInt16

    /// Listens on that address once opened; the host is a name, an address, or `*` for all addresses.
    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// `transport.tcp`.
    public static let plugin = Plugin<any Transport>(
        PluginDescriptor(
            kind: .transport, name: "tcp", version: "1.0", summary: "Listens on a TCP port.",
            options: [
                Option(
                    "listen", .text, default: .text("127.0.0.1:11300"),
                    """
                    Address and port: 127.0.0.1:11300, [::1]:11300, localhost:11300, or *:11300 for all addresses. \
                    There are no passwords: listen only where every machine that can connect may use the queue.
                    """)
            ]),
        validate: { options in
            guard SocketAddress.split(options.text("listen") ?? "") == nil else { return [] }
            return [
                OptionFault(
                    key: "listen", message: "is no address with a port; write it like 127.0.0.1:11300 or [::1]:11300")
            ]
        },
        make: { options in
            let address = SocketAddress.split(options.text("listen") ?? "") ?? (host: "127.0.0.1", port: 11_300)
            return TCPTransport(host: address.host, port: address.port)
        })

    /// Listens on every address that the host stands for.
    public func open() throws(TransportError) -> [any Listener] {
        var listeners: [any Listener] = []
        var failure: Refusal?
        let addresses = try resolve()
        defer { freeaddrinfo(addresses) }
        var next: UnsafeMutablePointer<addrinfo>? = addresses
        var seen: Set<[UInt8]> = []
        while let info = next {
            next = info.pointee.ai_next
            // A name may be listed twice with one address.
            let bytes = UnsafeRawBufferPointer(start: info.pointee.ai_addr, count: Int(info.pointee.ai_addrlen))
            guard seen.insert(Array(bytes)).inserted else { continue }
            do throws(Refusal) {
                listeners.append(try listen(info.pointee))
            } catch {
                failure = error
                // A name may stand for addresses of which this machine has some only (localhost without IPv6). Any other
                // refusal ends the start: half of the clients would reach whoever else has the port.
                guard error.isLackOfAddress else { break }
            }
        }
        if let failure, listeners.isEmpty || !failure.isLackOfAddress {
            for listener in listeners { listener.close() }
            throw failure.error
        }
        return listeners
    }

    private func resolve() throws(TransportError) -> UnsafeMutablePointer<addrinfo> {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE
        var result: UnsafeMutablePointer<addrinfo>?
        let answer = getaddrinfo(host == "*" ? nil : host, String(port), &hints, &result)
        guard answer == 0, let result else {
            throw TransportError("can't find the address \(host): \(String(cString: gai_strerror(answer)))")
        }
        return result
    }

    private func listen(_ info: addrinfo) throws(Refusal) -> SocketListener {
        let type = info.ai_socktype | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(info.ai_family, type, info.ai_protocol)
        guard descriptor >= 0 else { throw failure("make a socket for") }
        setOption(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        if info.ai_family == AF_INET6 { setOption(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1) }
        guard bind(descriptor, info.ai_addr, info.ai_addrlen) == 0, Glibc.listen(descriptor, 1024) == 0 else {
            let error = failure("listen on")
            close(descriptor)
            throw error
        }
        return SocketListener(descriptor: descriptor, endpoint: SocketAddress.describe(localEndOf: descriptor))
    }

    /// Why one address can't be listened on.
    private struct Refusal: Error {
        var error: TransportError
        var number: Int32

        /// Whether this machine hasn't got the address, or its family.
        var isLackOfAddress: Bool { number == EADDRNOTAVAIL || number == EAFNOSUPPORT }
    }

    private func failure(_ what: String) -> Refusal {
        let number = errno
        let address = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        let advice =
            switch number {
            case EADDRINUSE: "; stop the server that uses the port, or choose another one"
            case EACCES: "; ports below 1024 need root"
            case EADDRNOTAVAIL: "; it is no address of this machine"
            default: ""
            }
        return Refusal(
            error: TransportError("can't \(what) \(address): \(describe(errorNumber: number))\(advice)"),
            number: number)
    }
}
