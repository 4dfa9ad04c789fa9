// SPDX-License-Identifier: MIT

import LiveServer
import Testing

/// `DEADLINE_SOON`: a worker isn't made to wait in the last second of a reservation that it holds.
@Suite(.server)
struct DeadlineTests {
    @Test(arguments: Route.allCases)
    func deadlineSoonWinsOverTimedOut(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        try client.reserve(try client.put(ttr: 1))
        client.send("reserve-with-timeout 0\r\n")
        try client.expect("DEADLINE_SOON\r\n")
    }

    @Test(arguments: Route.allCases)
    func outsideTheMarginTimedOutIsAnswered(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        try client.reserve(try client.put(ttr: 60))
        try client.call("reserve-with-timeout 0", "TIMED_OUT")
    }

    @Test(arguments: Route.allCases)
    func reserveWithoutTimeoutIsAnsweredDeadlineSoonToo(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        try client.reserve(try client.put(ttr: 1))
        let start = monotonicSeconds()
        try client.call("reserve", "DEADLINE_SOON")
        #expect(monotonicSeconds() - start < 0.9, "at once, not at the expiry")
    }

    @Test(arguments: Route.allCases)
    func aReadyJobWinsOverDeadlineSoon(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let urgent = try client.put(ttr: 1)
        let ready = try client.put()
        try client.reserve(urgent)
        try client.reserve(ready)
        try client.call("reserve-with-timeout 0", "DEADLINE_SOON")
    }

    @Test(arguments: Route.allCases)
    func reserveJobNeverAnswersDeadlineSoon(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let held = try client.put(ttr: 1)
        let other = try client.put(delay: 1000)
        try client.reserve(held)
        try client.call("reserve-job \(held)", "NOT_FOUND")
        try client.call("reserve-job \(other)", "RESERVED \(other) 1\r\nx")
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
        try client.call("reserve-with-timeout 20", "DEADLINE_SOON")
        let waited = monotonicSeconds() - start
        #expect(waited > 1.5 && waited < 2.9)
        #expect(try client.statistics("stats-job \(short)")["state"] == "reserved")
    }

    @Test(arguments: Route.allCases)
    func aReadyJobInAPausedTubeDoesNotSuppressIt(over route: Route) throws {
        let tube = newTube()
        let client = try connect(route, settledIn: tube)
        let held = try client.put(ttr: 1)
        try client.put()
        try client.reserve(held)
        try client.call("pause-tube \(tube) 1000", "PAUSED")
        let start = monotonicSeconds()
        try client.call("reserve", "DEADLINE_SOON")
        #expect(monotonicSeconds() - start < 0.9)
    }

    @Test(arguments: Route.allCases)
    func afterTheExpiryTheHolderGetsTheJobAgain(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let id = try client.put(ttr: 1)
        try client.reserve(id)
        try client.call("reserve", "DEADLINE_SOON")
        pause(seconds: 1.5)
        try client.call("touch \(id)", "NOT_FOUND")
        try client.reserve(id)
        #expect(try client.statistics("stats-job \(id)")["timeouts"] == "1")
    }

    @Test(.server, arguments: Route.allCases)
    func expiriesCountAsJobTimeouts(over route: Route) throws {
        let client = try connect(route)
        for _ in 0..<3 {
            let id = try client.put(ttr: 1)
            try client.reserve(id)
        }
        pause(seconds: 1.8)
        #expect(try client.statistics()["job-timeouts"] == "3")
        #expect(try client.statistics()["current-jobs-ready"] == "3")
    }
}
