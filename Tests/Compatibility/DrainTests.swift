// SPDX-License-Identifier: MIT

import Glibc
import LiveServer
import Testing

/// After SIGUSR1 a server takes no more jobs and lets the rest be worked off.
@Suite
struct DrainTests {
    @Test(.server, arguments: Route.allCases)
    func drainingRefusesPutsAndNothingElse(over route: Route) throws {
        let client = try connect(route)
        #expect(try client.statistics()["draining"] == "false")
        try client.call("put 0 0 60 1\r\na", "INSERTED 1")
        try drain(route, client)
        try client.call("put 0 0 60 1\r\na", "DRAINING")
        try client.reserve(1, "a")
        try client.call("release 1 0 0", "RELEASED")
        try client.reserve(1, "a")
        try client.call("bury 1 0", "BURIED")
        try client.call("kick 1", "KICKED 1")
        try client.delete(1)
        try client.call("use other", "USING other")
        #expect(try client.statistics()["cmd-put"] == "2")
    }

    @Test(.server(jobSize: 5), arguments: Route.allCases)
    func theBodyIsReadFirstAndItsFaultsWinOverDraining(over route: Route) throws {
        let client = try connect(route)
        try drain(route, client)
        client.send("put 0 0 60 5\r\nhello\r\nlist-tube-used\r\n")
        try client.expect("DRAINING\r\nUSING default\r\n")
        client.send("put 0 0 60 5\r\nhello..list-tube-used\r\n")
        try client.expect("EXPECTED_CRLF\r\nUSING default\r\n")
        client.send("put 0 0 60 6\r\nhello!\r\nlist-tube-used\r\n")
        try client.expect("JOB_TOO_BIG\r\nUSING default\r\n")
        try client.call("put 0 0 60 5 junk", "BAD_FORMAT")
    }

    @Test(.server, arguments: Route.allCases)
    func aPutWhoseBodyComesAfterTheSignalIsRefused(over route: Route) throws {
        let slow = try connect(route)
        let observer = try connect(route)
        slow.send("put 0 0 60 5\r\nhel")
        while try observer.statistics()["cmd-put"] != "1" { pause(seconds: 0.005) }
        try drain(route, observer)
        slow.send("lo\r\n")
        try slow.expect("DRAINING\r\n")
        try observer.call("reserve-with-timeout 0", "TIMED_OUT")
    }

    private func drain(_ route: Route, _ client: Client) throws {
        try liveServer().process(route).signal(SIGUSR1)
        let deadline = monotonicSeconds() + Client.patience
        while try client.statistics()["draining"] != "true" {
            guard monotonicSeconds() < deadline else { throw Unexpected("the server never drained") }
            pause(seconds: 0.005)
        }
    }
}
