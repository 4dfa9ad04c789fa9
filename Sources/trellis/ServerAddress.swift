// SPDX-License-Identifier: MIT

/// Where a server is: `HOST:PORT`, `HOST`, `[IPv6]:PORT` or `unix:PATH`.
enum ServerAddress: Equatable, CustomStringConvertible {
    /// A name or address, and a port or the name of one.
    case network(host: String, port: String)
    /// The path of a Unix socket.
    case unix(path: String)

    /// The port where none is said: the one of the protocol.
    static let defaultPort = "11300"

    /// Reads an address; nil where it is none.
    init?(_ text: String) {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst("unix:".count))
            if path.isEmpty { return nil }
            self = .unix(path: path)
        } else if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            let host = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            guard !host.isEmpty, rest.isEmpty || (rest.hasPrefix(":") && rest.count > 1) else { return nil }
            self = .network(host: String(host), port: rest.isEmpty ? Self.defaultPort : String(rest.dropFirst()))
        } else {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            // More than one colon outside of brackets is an IPv6 address without a port.
            guard parts.count <= 2 else {
                self = .network(host: text, port: Self.defaultPort)
                return
            }
            guard let host = parts.first, !host.isEmpty, parts.last?.isEmpty == false else { return nil }
            self = .network(host: String(host), port: parts.count == 2 ? String(parts[1]) : Self.defaultPort)
        }
    }

    var description: String {
        switch self {
        case .network(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}
