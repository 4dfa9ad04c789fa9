// SPDX-License-Identifier: MIT

import Glibc
import Synchronization

/// Hands out loopback TCP ports that nobody listens on.
///
/// They lie below the range from which the kernel takes the ports of outgoing connections, and no port is handed out
/// twice, so servers that tests start at the same time don't meet.
public enum Ports {
    private static let counter = Atomic<Int>(Int(getpid() % 1000) * 12)

    /// A port that could be bound a moment ago.
    public static func next() throws(Unexpected) -> UInt16 {
        for _ in 0..<1000 {
            let step = counter.wrappingAdd(1, ordering: .relaxed).oldValue
            let port = UInt16(20_000 + step % 12_000)
            if isFree(port) { return port }
        }
        throw Unexpected("no free TCP port between 20000 and 32000")
    }

    private static func isFree(_ port: UInt16) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = loopback(port)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}

/// The IPv4 address 127.0.0.1 with a port.
func loopback(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return address
}
