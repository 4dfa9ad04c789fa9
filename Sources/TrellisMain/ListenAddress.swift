// SPDX-License-Identifier: MIT

import TrellisConfiguration

/// Where `-l` says to listen.
enum ListenAddress: Equatable {
    case unix(path: String)
    /// The port is nil where `-l` has none, as in beanstalkd.
    case tcp(host: String, port: UInt16?)

    /// Reads `unix:PATH`, an address, or an address with a port.
    init(_ text: String) {
        if text.hasPrefix("unix:") {
            self = .unix(path: String(text.dropFirst("unix:".count)))
            return
        }
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            let host = String(text[text.index(after: text.startIndex)..<end])
            let rest = text[text.index(after: end)...]
            if rest.isEmpty {
                self = .tcp(host: host, port: nil)
                return
            }
            if rest.first == ":", let port = UInt16(rest.dropFirst()) {
                self = .tcp(host: host, port: port)
                return
            }
        }
        // One colon separates a port; more are an IPv6 address.
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        if parts.count == 2, let port = UInt16(parts[1]) {
            self = .tcp(host: String(parts[0]), port: port)
        } else {
            self = .tcp(host: text, port: nil)
        }
    }

    /// The transport that listens there.
    func transport(flag: String, port: UInt16?) -> FlagOverrides.Transport {
        switch self {
        case .unix(let path): FlagOverrides.Transport(flag: flag, use: "unix", options: ["path": path])
        case .tcp(let host, let ownPort):
            FlagOverrides.Transport(
                flag: flag, use: "tcp",
                options: ["listen": "\(host.contains(":") ? "[\(host)]" : host):\(ownPort ?? port ?? 11_300)"])
        }
    }
}
