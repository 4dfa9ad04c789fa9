// SPDX-License-Identifier: MIT

import LiveServer
import Testing

/// A paused tube serves nobody until its time is up.
@Suite(.server)
struct PauseTests {
    @Test(arguments: Route.allCases)
    func aPausedTubeIsServedWhenItsTimeIsUp(over route: Route) throws {
        let tube = newTube()
        let client = try connect(route, settledIn: tube)
        let id = try client.put()
        let start = monotonicSeconds()
        client.send("pause-tube \(tube) 1\r\nreserve-with-timeout 0\r\n")
        try client.expect("PAUSED\r\nTIMED_OUT\r\n")
        try client.call("reserve", "RESERVED \(id) 1\r\nx")
        #expect(monotonicSeconds() - start > 0.9)
        let stats = try client.statistics("stats-tube \(tube)")
        #expect(stats["pause"] == "0")
        #expect(stats["pause-time-left"] == "0")
    }

    @Test(arguments: Route.allCases)
    func aPauseOfZeroResumesAtOnce(over route: Route) throws {
        let tube = newTube()
        let worker = try connect(route, settledIn: tube)
        let client = try connect(route, settledIn: tube)
        try client.call("pause-tube \(tube) 1000", "PAUSED")
        let id = try client.put()
        worker.send("reserve\r\n")
        try worker.expectSilence()
        try client.call("pause-tube \(tube) 0", "PAUSED")
        try worker.expect("RESERVED \(id) 1\r\nx\r\n")
        #expect(try client.statistics("stats-tube \(tube)")["pause"] == "0")
    }

    @Test(arguments: Route.allCases)
    func aNewPauseReplacesTheOld(over route: Route) throws {
        let tube = newTube()
        let client = try connect(route, settledIn: tube)
        let id = try client.put()
        try client.call("pause-tube \(tube) 1000", "PAUSED")
        #expect(try client.statistics("stats-tube \(tube)")["pause"] == "1000")
        try client.call("pause-tube \(tube) 3", "PAUSED")
        #expect(try client.statistics("stats-tube \(tube)")["pause"] == "3")
        try client.call("reserve-with-timeout 20", "RESERVED \(id) 1\r\nx")
    }

    @Test(arguments: Route.allCases)
    func pausingDoesNotStopReserveJobPeekKickAndPut(over route: Route) throws {
        let tube = newTube()
        let client = try connect(route, settledIn: tube)
        try client.call("pause-tube \(tube) 1000", "PAUSED")
        let id = try client.put()
        let delayed = try client.put(delay: 1000)
        try client.call("peek-ready", "FOUND \(id) 1\r\nx")
        try client.call("reserve-job \(id)", "RESERVED \(id) 1\r\nx")
        try client.call("bury \(id) 0", "BURIED")
        try client.call("kick 1", "KICKED 1")
        try client.call("kick-job \(delayed)", "KICKED")
        #expect(try client.statistics("stats-tube \(tube)")["current-jobs-ready"] == "2")
        try client.call("reserve-with-timeout 0", "TIMED_OUT")
        try client.delete(id)
    }

    @Test(arguments: Route.allCases)
    func otherTubesAreServedMeanwhile(over route: Route) throws {
        let paused = newTube()
        let client = try connect(route, settledIn: paused)
        try client.put(priority: 0)
        try client.call("pause-tube \(paused) 1000", "PAUSED")
        let open = newTube()
        try client.call("watch \(open)", "WATCHING 2")
        try client.call("use \(open)", "USING \(open)")
        let id = try client.put(priority: 9)
        try client.reserve(id)
    }

    @Test(arguments: Route.allCases)
    func onlyATubeThatExistsCanBePaused(over route: Route) throws {
        let client = try connect(route)
        try client.call("pause-tube \(newTube()) 1", "NOT_FOUND")
        try client.call("pause-tube default", "BAD_FORMAT")
    }

    @Test(arguments: Route.allCases)
    func theTimeLeftOfAPauseCountsDown(over route: Route) throws {
        let tube = newTube()
        let client = try connect(route, settledIn: tube)
        try client.call("pause-tube \(tube) 1000", "PAUSED")
        let early = try client.statistics("stats-tube \(tube)").number("pause-time-left")
        #expect((995...1000).contains(early))
        pause(seconds: 1.2)
        let stats = try client.statistics("stats-tube \(tube)")
        #expect((990...998).contains(stats.number("pause-time-left")))
        #expect(stats["pause"] == "1000")
    }
}
