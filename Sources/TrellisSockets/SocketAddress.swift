// SPDX-License-Identifier: MIT

internal import Glibc

/// Addresses as people write them.
public enum SocketAddress {
    /// Splits `127.0.0.1:11300`, `[::1]:11300`, `localhost:11300` or `*:11300` into host and port; nil where it is none of
    /// these, or the port isn't 0…65535.
    public static func split(_ text: String) -> (host: String, port: UInt16)? {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        return host.isEmpty ? nil : (String(host), port)
    }

    /// The address family of a socket.
    static func family(of descriptor: Int32) -> Int32 {
        var family: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &length) == 0 ? family : AF_UNSPEC
    }

    /// Where a socket is bound, for people.
    public static func describe(localEndOf descriptor: Int32) -> String {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let answer = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        return answer == 0 ? describe(&storage) : "descriptor \(descriptor)"
    }

    static func describe(_ storage: inout sockaddr_storage) -> String {
        switch Int32(storage.ss_family) {
        case AF_INET, AF_INET6: return numeric(&storage)
        case AF_UNIX:
            return withUnsafeBytes(of: &storage) { bytes in
                let path = bytes[MemoryLayout<sa_family_t>.size...].prefix { $0 != 0 }
                return "unix:" + String(decoding: path, as: UTF8.self)
            }
        default: return "unknown"
        }
    }

    private static func numeric(_ storage: inout sockaddr_storage) -> String {
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        var port = [CChar](repeating: 0, count: Int(NI_MAXSERV))
        let length = socklen_t(
            storage.ss_family == sa_family_t(AF_INET)
                ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size)
        let answer = withUnsafePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getnameinfo(
                    $0, length, &host, socklen_t(host.count), &port, socklen_t(port.count),
                    NI_NUMERICHOST | NI_NUMERICSERV)
            }
        }
        guard answer == 0 else { return "unknown" }
        let name = String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let number = String(decoding: port.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return storage.ss_family == sa_family_t(AF_INET6) ? "[\(name)]:\(number)" : "\(name):\(number)"
    }
}
