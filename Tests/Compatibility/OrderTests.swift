// SPDX-License-Identifier: MIT

import LiveServer
import Testing

/// Which job comes next, and who gets it.
@Suite(.server)
struct OrderTests {
    @Test(arguments: Route.allCases)
    func readyJobsComeByPriorityThenID(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let priorities = [5, 4_294_967_295, 0, 5, 1024, 0, 1023, 5]
        let jobs = try priorities.map { (priority: $0, id: try client.put(priority: $0)) }
        let order = jobs.sorted { ($0.priority, $0.id) < ($1.priority, $1.id) }
        for job in order {
            try client.call("peek-ready", "FOUND \(job.id) 1\r\nx")
            try client.reserve(job.id)
        }
    }

    @Test(arguments: Route.allCases)
    func aReleasedJobGoesBackToItsIDsPlace(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let ids = try (0..<3).map { _ in try client.put(priority: 9) }
        try client.reserve(ids[0])
        try client.reserve(ids[1])
        try client.call("release \(ids[1]) 9 0", "RELEASED")
        try client.call("release \(ids[0]) 9 0", "RELEASED")
        for id in ids { try client.reserve(id) }
    }

    @Test(arguments: Route.allCases)
    func aKickedJobGoesBackToItsIDsPlace(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let ids = try (0..<3).map { _ in try client.put(priority: 9) }
        try client.reserve(ids[0])
        try client.call("bury \(ids[0]) 9", "BURIED")
        try client.call("kick-job \(ids[0])", "KICKED")
        for id in ids { try client.reserve(id) }
    }

    // The reference loses the expiry if the holder sends nothing more.
    @Test(.oursDiffers, arguments: Route.allCases)
    func anExpiredJobGoesBackToItsIDsPlace(over route: Route) throws {
        let tube = newTube()
        let holder = try connect(route, settledIn: tube)
        let worker = try connect(route, settledIn: tube)
        let first = try holder.put(priority: 9, ttr: 1)
        let second = try holder.put(priority: 9)
        try holder.reserve(first)
        try waitForState("ready", of: first, seenBy: worker)
        try worker.reserve(first)
        try worker.reserve(second)
    }

    @Test(arguments: Route.allCases)
    func releaseAndBuryChangeThePriority(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let first = try client.put(priority: 1)
        let second = try client.put(priority: 2)
        try client.reserve(first)
        try client.call("release \(first) 3 0", "RELEASED")
        try client.reserve(second)
        try client.call("bury \(second) 4", "BURIED")
        try client.call("kick 1", "KICKED 1")
        try client.reserve(first)
        try client.reserve(second)
        #expect(try client.statistics("stats-job \(first)")["pri"] == "3")
        #expect(try client.statistics("stats-job \(second)")["pri"] == "4")
    }

    @Test(arguments: Route.allCases)
    func reserveTakesTheBestOverAllWatchedTubes(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        var jobs: [(priority: Int, id: Int)] = []
        for number in 0..<12 {
            let tube = number % 3 == 0 ? newTube() : nil
            if let tube {
                try client.call("use \(tube)", "USING \(tube)")
                client.send("watch \(tube)\r\n")
                _ = try client.line()
            }
            let priority = [5, 3, 9, 3][number % 4]
            jobs.append((priority, try client.put(priority: priority)))
        }
        for job in jobs.sorted(by: { ($0.priority, $0.id) < ($1.priority, $1.id) }) { try client.reserve(job.id) }
    }

    @Test(arguments: Route.allCases)
    func onlyWatchedTubesAreServed(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let other = newTube()
        try client.call("use \(other)", "USING \(other)")
        let id = try client.put()
        try client.call("reserve-with-timeout 0", "TIMED_OUT")
        try client.call("watch \(other)", "WATCHING 2")
        try client.reserve(id)
        try client.call("release \(id) 0 0", "RELEASED")
        try client.call("ignore \(other)", "WATCHING 1")
        try client.call("reserve-with-timeout 0", "TIMED_OUT")
    }

    @Test(arguments: Route.allCases)
    func delayedJobsComeSoonestFirstThenByID(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let late = try client.put(delay: 300)
        // In one batch, so that they may share a deadline.
        client.send(String(repeating: "put 0 200 60 1\r\nx\r\n", count: 3))
        let equal = try (0..<3).map { _ in Int(try client.line().dropFirst("INSERTED ".count)) ?? 0 }
        let soon = try client.put(priority: 4_294_967_295, delay: 100)
        for id in [soon] + equal.sorted() + [late] {
            try client.call("peek-delayed", "FOUND \(id) 1\r\nx")
            try client.call("kick 1", "KICKED 1")
            #expect(try client.statistics("stats-job \(id)")["state"] == "ready")
        }
        try client.call("peek-delayed", "NOT_FOUND")
    }

    @Test(arguments: Route.allCases)
    func buriedJobsComeFirstBuriedFirst(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let ids = try (0..<4).map { _ in try client.put() }
        for id in ids { try client.reserve(id) }
        let order = [ids[2], ids[0], ids[3], ids[1]]
        for (place, id) in order.enumerated() { try client.call("bury \(id) \(100 - place)", "BURIED") }
        for id in order {
            try client.call("peek-buried", "FOUND \(id) 1\r\nx")
            try client.call("kick 1", "KICKED 1")
            #expect(try client.statistics("stats-job \(id)")["state"] == "ready")
        }
        try client.call("peek-buried", "NOT_FOUND")
        try client.call("kick 10", "KICKED 0")
    }

    @Test(arguments: Route.allCases)
    func kickTakesBuriedJobsElseDelayedOnesNeverBoth(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        for _ in 0..<3 { try client.put(delay: 1000) }
        for _ in 0..<2 {
            let id = try client.put()
            try client.reserve(id)
            try client.call("bury \(id) 0", "BURIED")
        }
        try client.call("kick 10", "KICKED 2")
        try client.call("kick 2", "KICKED 2")
        try client.call("kick 10", "KICKED 1")
        try client.call("kick 10", "KICKED 0")
    }

    @Test(arguments: Route.allCases)
    func kickServesTheUsedTubeOnly(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let id = try client.put(delay: 1000)
        let other = newTube()
        try client.call("use \(other)", "USING \(other)")
        try client.call("kick 10", "KICKED 0")
        try client.call("peek-delayed", "NOT_FOUND")
        try client.call("kick-job \(id)", "KICKED")
        try client.call("kick-job \(id)", "NOT_FOUND")
        try client.reserve(id)
        try client.call("kick-job \(id)", "NOT_FOUND")
    }

    @Test(arguments: Route.allCases)
    func aSingleWaitingWorkerGetsTheJobAtOnce(over route: Route) throws {
        let tube = newTube()
        let worker = try connect(route, settledIn: tube)
        let producer = try connect(route, settledIn: tube)
        worker.send("reserve\r\n")
        try waitUntilWaiting(1, on: tube, seenBy: producer)
        let id = try producer.put("work")
        try worker.expect("RESERVED \(id) 4\r\nwork\r\n")
    }

    @Test(.oursDiffers, arguments: Route.allCases)
    func waitingWorkersAreServedFirstComeFirstServed(over route: Route) throws {
        let tube = newTube()
        let producer = try connect(route, settledIn: tube)
        let workers = try (0..<12).map { _ in try connect(route, settledIn: tube) }
        for (place, worker) in workers.enumerated() {
            worker.send(place % 2 == 0 ? "reserve\r\n" : "reserve-with-timeout 60\r\n")
            try waitUntilWaiting(place + 1, on: tube, seenBy: producer)
        }
        for worker in workers {
            let id = try producer.put()
            try worker.expect("RESERVED \(id) 1\r\nx\r\n")
        }
    }

    @Test(.oursDiffers, arguments: Route.allCases)
    func workersOfDifferentWatchListsAreServedFirstComeFirstServed(over route: Route) throws {
        let tube = newTube()
        let producer = try connect(route, settledIn: tube)
        let workers = try (0..<6).map { place in
            let worker = try connect(route, settledIn: tube)
            if place % 2 == 1 { try worker.call("watch \(newTube())", "WATCHING 2") }
            worker.send("reserve\r\n")
            try waitUntilWaiting(place + 1, on: tube, seenBy: producer)
            return worker
        }
        for worker in workers {
            let id = try producer.put()
            try worker.expect("RESERVED \(id) 1\r\nx\r\n")
        }
    }

    @Test(.oursDiffers, .server, arguments: Route.allCases)
    func listTubesKeepsTheOrderOfCreation(over route: Route) throws {
        let client = try connect(route)
        let names = ["c", "a", "d", "b", "e"]
        for (place, name) in names.enumerated() { try client.call("watch \(name)", "WATCHING \(place + 2)") }
        #expect(try client.list("list-tubes") == ["default"] + names)
        try client.call("ignore a", "WATCHING 5")
        #expect(try client.list("list-tubes") == ["default", "c", "d", "b", "e"])
        #expect(try client.list("list-tubes-watched") == ["default", "c", "d", "b", "e"])
        try client.call("ignore default", "WATCHING 4")
        #expect(try client.list("list-tubes-watched") == ["c", "d", "b", "e"])
        try client.call("watch a", "WATCHING 5")
        #expect(try client.list("list-tubes-watched") == ["c", "d", "b", "e", "a"])
        #expect(try client.list("list-tubes") == ["default", "c", "d", "b", "e", "a"])
    }
}
