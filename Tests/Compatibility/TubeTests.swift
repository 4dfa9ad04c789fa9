// SPDX-License-Identifier: MIT

import LiveServer
import Testing

/// How long a tube lives, what is used and watched, and the lists.
@Suite(.server)
struct TubeTests {
    @Test(arguments: Route.allCases)
    func aConnectionBeginsWithTheDefaultTube(over route: Route) throws {
        let client = try connect(route)
        try client.call("list-tube-used", "USING default")
        #expect(try client.list("list-tubes-watched") == ["default"])
        client.send("list-tubes-watched\r\n")
        try client.expect("OK 14\r\n---\n- default\n\r\n")
    }

    @Test(arguments: Route.allCases)
    func namesInListsAreNotQuoted(over route: Route) throws {
        let client = try connect(route)
        let name = "A-Za-z0-9-+/;.$_()"
        try client.call("watch \(name)", "WATCHING 2")
        #expect(try client.list("list-tubes-watched") == ["default", name])
        #expect(try client.list("list-tubes").contains(name))
    }

    @Test(arguments: Route.allCases)
    func watchingTwiceCountsOnce(over route: Route) throws {
        let client = try connect(route)
        let tube = newTube()
        try client.call("watch \(tube)", "WATCHING 2")
        try client.call("watch \(tube)", "WATCHING 2")
        try client.call("watch default", "WATCHING 2")
        try client.call("ignore \(newTube())", "WATCHING 2")
        try client.call("ignore default", "WATCHING 1")
        try client.call("ignore \(tube)", "NOT_IGNORED")
        try client.call("ignore \(newTube())", "WATCHING 1")
        try client.call("ignore default", "WATCHING 1")
    }

    @Test(arguments: Route.allCases)
    func oneConnectionMayWatchManyTubes(over route: Route) throws {
        let client = try connect(route)
        let tubes = (0..<300).map { _ in newTube() }
        for (place, tube) in tubes.enumerated() { try client.call("watch \(tube)", "WATCHING \(place + 2)") }
        #expect(try client.list("list-tubes-watched").sorted() == (["default"] + tubes).sorted())
        try client.call("use \(tubes[150])", "USING \(tubes[150])")
        let id = try client.put()
        try client.reserve(id)
    }

    @Test(arguments: Route.allCases)
    func aTubeLivesWhileItIsUsed(over route: Route) throws {
        let client = try connect(route)
        let observer = try connect(route)
        let tube = newTube()
        try observer.call("stats-tube \(tube)", "NOT_FOUND")
        try client.call("use \(tube)", "USING \(tube)")
        #expect(try observer.list("list-tubes").contains(tube))
        #expect(try observer.statistics("stats-tube \(tube)")["current-using"] == "1")
        try client.call("use default", "USING default")
        try observer.call("stats-tube \(tube)", "NOT_FOUND")
        #expect(try observer.list("list-tubes").contains(tube) == false)
    }

    @Test(arguments: Route.allCases)
    func aTubeLivesWhileItIsWatched(over route: Route) throws {
        let client = try connect(route)
        let observer = try connect(route)
        let tube = newTube()
        try client.call("watch \(tube)", "WATCHING 2")
        #expect(try observer.statistics("stats-tube \(tube)")["current-watching"] == "1")
        try client.call("ignore \(tube)", "WATCHING 1")
        try observer.call("stats-tube \(tube)", "NOT_FOUND")
        try client.call("watch \(tube)", "WATCHING 2")
        client.close()
        try waitUntilGone(tube, observer)
    }

    @Test(arguments: Route.allCases)
    func aTubeLivesWhileItHoldsAJobInAnyState(over route: Route) throws {
        let observer = try connect(route)
        let tube = newTube()
        let id = try observer.putAlone(in: tube)
        #expect(try observer.statistics("stats-tube \(tube)")["current-jobs-ready"] == "1")
        try observer.call("reserve-job \(id)", "RESERVED \(id) 1\r\nx")
        #expect(try observer.statistics("stats-tube \(tube)")["current-jobs-reserved"] == "1")
        try observer.call("bury \(id) 0", "BURIED")
        #expect(try observer.statistics("stats-tube \(tube)")["current-jobs-buried"] == "1")
        try observer.call("reserve-job \(id)", "RESERVED \(id) 1\r\nx")
        try observer.call("release \(id) 0 1000", "RELEASED")
        #expect(try observer.statistics("stats-tube \(tube)")["current-jobs-delayed"] == "1")
        try observer.delete(id)
        try observer.call("stats-tube \(tube)", "NOT_FOUND")
    }

    @Test(arguments: Route.allCases)
    func aTubesCountersGoWithIt(over route: Route) throws {
        let client = try connect(route)
        let tube = newTube()
        let id = try client.putAlone(in: tube)
        try client.call("pause-tube \(tube) 0", "PAUSED")
        #expect(try client.statistics("stats-tube \(tube)")["total-jobs"] == "1")
        try client.delete(id)
        try client.call("use \(tube)", "USING \(tube)")
        let stats = try client.statistics("stats-tube \(tube)")
        for key in ["total-jobs", "cmd-delete", "cmd-pause-tube", "pause"] { #expect(stats[key] == "0") }
    }

    @Test(.server, arguments: Route.allCases)
    func theDefaultTubeLivesAlways(over route: Route) throws {
        let client = try connect(route, settledIn: "other")
        #expect(try client.list("list-tubes").sorted() == ["default", "other"])
        #expect(try client.statistics("stats-tube default")["current-using"] == "0")
        #expect(try client.statistics()["current-tubes"] == "2")
        try client.call("use default", "USING default")
        try client.call("watch default", "WATCHING 2")
        try client.call("ignore other", "WATCHING 1")
        #expect(try client.list("list-tubes") == ["default"])
    }

    private func waitUntilGone(_ tube: String, _ observer: Client) throws {
        let deadline = monotonicSeconds() + Client.patience
        while true {
            observer.send("stats-tube \(tube)\r\n")
            let reply = try observer.line()
            if reply == "NOT_FOUND" { return }
            _ = try observer.bytes((Int(reply.dropFirst(3)) ?? 0) + 2)
            guard monotonicSeconds() < deadline else { throw Unexpected("\(tube) never went") }
            pause(seconds: 0.005)
        }
    }
}

extension Client {
    /// Puts a job into a tube that the connection doesn't use any more afterwards.
    fileprivate func putAlone(in tube: String) throws -> Int {
        try call("use \(tube)", "USING \(tube)")
        let id = try put()
        try call("use default", "USING default")
        return id
    }
}
