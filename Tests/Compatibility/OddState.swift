// SPDX-License-Identifier: MIT

import LiveServer

/// States of a client in which something is always ready for a careless event loop.
enum OddState: CaseIterable {
    case halfClosed
    case halfClosedInABody
    case halfClosedInASwallowedBody
    case waiting
    case waitingWithFullInput
    case waitingWithFullInputHalfClosed
    case notReading
    case notReadingHalfClosed
    case notReadingWithFullInput
    case notReadingWithFullInputHalfClosed
    case notReadingAfterQuit

    func enter(_ client: Client, _ server: TrellisProcess) throws {
        switch self {
        case .halfClosed: client.halfClose()
        case .halfClosedInABody:
            client.send("put 0 0 1 1000\r\nabc")
            client.halfClose()
        case .halfClosedInASwallowedBody:
            client.send("put 0 0 1 1000000\r\nabc")
            client.halfClose()
        case .waiting: client.send("watch odd\r\nignore default\r\nreserve\r\n")
        case .waitingWithFullInput, .waitingWithFullInputHalfClosed:
            client.send("watch odd\r\nignore default\r\nreserve\r\n")
            client.sendUntilFull("reserve\r\n")
            if self == .waitingWithFullInputHalfClosed { client.halfClose() }
        case .notReading: try server.fillOutput(of: client)
        case .notReadingHalfClosed:
            try server.fillOutput(of: client)
            client.halfClose()
        case .notReadingWithFullInput, .notReadingWithFullInputHalfClosed:
            try server.fillOutput(of: client)
            client.sendUntilFull("peek-ready\r\n")
            if self == .notReadingWithFullInputHalfClosed { client.halfClose() }
        case .notReadingAfterQuit:
            try server.fillOutput(of: client)
            client.send("quit\r\n")
        }
    }
}

extension TrellisProcess {
    /// Asks for more than the system's buffers take, and reads nothing of it.
    func fillOutput(of client: Client) throws { try Self.fillOutput(of: client) }

    static func fillOutput(of client: Client) throws {
        let body = String(repeating: "b", count: 60_000)
        let id = try client.put(body)
        client.send(String(repeating: "peek \(id)\r\n", count: 300))
        try client.waitUntilFull()
    }
}
