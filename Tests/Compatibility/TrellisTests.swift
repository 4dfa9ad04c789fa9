// SPDX-License-Identifier: MIT

import LiveServer
import Testing

/// What the reference can't do: limits of its own, two routes into one server, a clean stop.
@Suite(.oursDiffers, .onThreads)
struct TrellisTests {
    @Test(.server)
    func bothRoutesLeadToTheSameJobs() throws {
        let network = try connect(.tcp)
        let local = try connect(.unix)
        try network.put("from afar")
        try local.reserve(1, "from afar")
        local.close()
        try network.call("reserve", "RESERVED 1 9\r\nfrom afar")
    }

    @Test(.server(limits: ["memory: 1MiB"]), arguments: Route.allCases)
    func withoutMemoryABodyIsSwallowedAndEverythingElseGoesOn(over route: Route) throws {
        let client = try connect(route)
        let body = String(repeating: "m", count: 60_000)
        var stored = 0
        while stored < 100 {
            client.send("put 0 0 60 60000\r\n\(body)\r\n")
            let reply = try client.line()
            if reply == "OUT_OF_MEMORY" { break }
            try #require(reply.hasPrefix("INSERTED "))
            stored += 1
        }
        #expect((2...18).contains(stored), "\(stored) jobs of 60 kB went into 1 MiB")
        client.send("put 0 0 60 60000\r\n\(body)\r\nlist-tube-used\r\n")
        try client.expect("OUT_OF_MEMORY\r\nUSING default\r\n")
        try client.reserve(1, body)
        try client.delete(1)
        client.send("put 0 0 60 60000\r\n\(body)\r\n")
        try #require(try client.line().hasPrefix("INSERTED "))
    }

    @Test(arguments: Route.allCases)
    func stoppingClosesConnectionsAndRemovesTheSocket(over route: Route) throws {
        let server = try LiveServer()
        let waiting = try server.connect(route)
        waiting.send("reserve\r\n")
        let idle = try server.connect(route)
        try idle.put()
        try waiting.expect("RESERVED 1 1\r\nx\r\n")
        try server.terminate()
        try idle.expectEnd()
        #expect(throws: Unexpected.self) { try server.connect(.unix) }
        #expect(fileExists(server.socketPath) == false, "the socket file is still there")
        try server.stop()
    }
}
