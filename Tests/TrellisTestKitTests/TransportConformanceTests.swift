// SPDX-License-Identifier: MIT

import Glibc
import TCPTransport
import Testing
import TrellisCore
import TrellisTestKit
import UnixTransport

@Suite struct TransportConformanceTests {
    @Test func memoryTransportPasses() throws {
        let transport = MemoryTransport()
        try TransportConformance(make: { transport }, connect: { _ in transport.connect() }).run()
    }

    @Test func memoryTransportPassesWithSmallWrites() throws {
        let transport = MemoryTransport()
        try TransportConformance(
            make: { transport },
            connect: { _ in
                let client = transport.connect()
                client?.limitWrites(toBytes: 1000)
                return client
            }
        ).run()
    }

    @Test func memoryTransportPassesWithInputTakenInAhead() throws {
        let transport = MemoryTransport()
        try TransportConformance(
            make: { transport },
            connect: { _ in
                let client = transport.connect()
                client?.setTakesInAhead(true)
                return client
            }
        ).run()
    }

    @Test func tcpPasses() throws {
        try TransportConformance(
            make: { TCPTransport(host: "127.0.0.1", port: 0) },
            connect: { SocketClient(connectingTo: $0) }
        ).run()
    }

    @Test func unixPasses() throws {
        let path = "/tmp/trellis-kit-\(getpid()).sock"
        defer { unlink(path) }
        try TransportConformance(
            make: { UnixTransport(path: path, mode: 0o600, owner: nil) },
            connect: { SocketClient(connectingTo: $0) }
        ).run()
    }

    @Test(arguments: FlawedTransport.Flaw.allCases)
    func flawIsFoundByTheRuleForIt(_ flaw: FlawedTransport.Flaw) {
        let memory = MemoryTransport()
        let error = #expect(throws: ConformanceError.self) {
            try TransportConformance(
                patience: 1,
                make: { FlawedTransport(memory, flaw) },
                connect: { _ in memory.connect() }
            ).run()
        }
        let rules = error?.failures.map(\.rule) ?? []
        #expect(rules.contains(flaw.rawValue), "only found by \(rules)")
    }
}
