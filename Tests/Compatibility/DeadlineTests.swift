// SPDX-License-Identifier: MIT

import LiveServer
import Testing

/// `DEADLINE_SOON`: a worker isn't made to wait in the last second of a reservation that it holds.
@Suite(.server)
struct DeadlineTests {
    // What must happen within the margin is sent at once, so that a slow machine fails no test.

    @Test(arguments: Route.allCases)
    func deadlineSoonWinsOverTimedOut(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let id = try client.put(ttr: 1)
        client.send("reserve\r\nreserve-with-timeout 0\r\n")
        try client.expect("RESERVED \(id) 1\r\nx\r\nDEADLINE_SOON\r\n")
    }

    @Test(arguments: Route.allCases)
    func outsideTheMarginTimedOutIsAnswered(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        try client.reserve(try client.put(ttr: 60))
        try client.call("reserve-with-timeout 0", "TIMED_OUT")
    }

    @Test(arguments: Route.allCases)
    func insideTheMarginReserveIsAnsweredAtOnce(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let id = try client.put(ttr: 1)
        client.send("reserve\r\nreserve\r\n")
        try client.expect("RESERVED \(id) 1\r\nx\r\nDEADLINE_SOON\r\n")
        client.send("reserve-with-timeout 1000\r\ntouch \(id)\r\n")
        try client.expect("DEADLINE_SOON\r\n")
        try client.expect("TOUCHED\r\n")
    }

    @Test(arguments: Route.allCases)
    func aReadyJobWinsOverDeadlineSoon(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let urgent = try client.put(ttr: 1)
        let ready = try client.put()
        client.send("reserve\r\nreserve\r\nreserve\r\n")
        try client.expect("RESERVED \(urgent) 1\r\nx\r\nRESERVED \(ready) 1\r\nx\r\nDEADLINE_SOON\r\n")
    }

    @Test(arguments: Route.allCases)
    func reserveJobNeverAnswersDeadlineSoon(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let held = try client.put(ttr: 1)
        let other = try client.put(delay: 1000)
        client.send("reserve\r\nreserve-job \(held)\r\nreserve-job \(other)\r\n")
        try client.expect("RESERVED \(held) 1\r\nx\r\nNOT_FOUND\r\nRESERVED \(other) 1\r\nx\r\n")
    }

    @Test(arguments: Route.allCases)
    func aWaitingWorkerGetsItWhenTheMarginBegins(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        // The one that expires first counts, whichever was reserved first.
        let long = try client.put(ttr: 60)
        let short = try client.put(ttr: 3)
        try client.reserve(long)
        try client.reserve(short)
        let start = monotonicSeconds()
        client.send("reserve-with-timeout 20\r\ntouch \(short)\r\n")
        try client.expect("DEADLINE_SOON\r\nTOUCHED\r\n")
        #expect(monotonicSeconds() - start > 1.5)
    }

    @Test(arguments: Route.allCases)
    func aReadyJobInAPausedTubeDoesNotSuppressIt(over route: Route) throws {
        let tube = newTube()
        let client = try connect(route, settledIn: tube)
        let held = try client.put(ttr: 1)
        try client.put()
        client.send("reserve\r\npause-tube \(tube) 1000\r\nreserve\r\ntouch \(held)\r\n")
        try client.expect("RESERVED \(held) 1\r\nx\r\nPAUSED\r\nDEADLINE_SOON\r\nTOUCHED\r\n")
    }

    @Test(arguments: Route.allCases)
    func afterTheExpiryTheHolderGetsTheJobAgain(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let id = try client.put(ttr: 1)
        try client.reserve(id)
        try waitForState("ready", of: id, seenBy: client)
        try client.call("touch \(id)", "NOT_FOUND")
        try client.reserve(id)
        #expect(try client.statistics("stats-job \(id)")["timeouts"] == "1")
    }

    @Test(.server, arguments: Route.allCases)
    func expiriesCountAsJobTimeouts(over route: Route) throws {
        let client = try connect(route)
        for id in 1...3 {
            // Reserved by its id: one that has expired already would come first.
            try client.put(ttr: 1)
            try client.call("reserve-job \(id)", "RESERVED \(id) 1\r\nx")
        }
        for id in 1...3 { try waitForState("ready", of: id, seenBy: client) }
        #expect(try client.statistics()["job-timeouts"] == "3")
        #expect(try client.statistics()["current-jobs-ready"] == "3")
    }
}
