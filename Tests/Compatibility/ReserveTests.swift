// SPDX-License-Identifier: MIT

import LiveServer
import Testing

/// Reservations: who may take what, and what ends one.
@Suite(.server)
struct ReserveTests {
    @Test(arguments: Route.allCases)
    func timeoutZeroAnswersAtOnce(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        try client.call("reserve-with-timeout 0", "TIMED_OUT")
    }

    @Test(arguments: Route.allCases)
    func aTimeoutEndsAWait(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let start = monotonicSeconds()
        try client.call("reserve-with-timeout 1", "TIMED_OUT")
        let waited = monotonicSeconds() - start
        #expect(waited > 0.9 && waited < 10)
    }

    @Test(arguments: Route.allCases)
    func commandsBehindAWaitingReserveAreHeldBack(over route: Route) throws {
        let tube = newTube()
        let client = try connect(route, settledIn: tube)
        let producer = try connect(route, settledIn: tube)
        client.send("reserve\r\nlist-tube-used\r\n")
        try client.expectSilence(for: 0.3)
        let id = try producer.put()
        try client.expect("RESERVED \(id) 1\r\nx\r\nUSING \(tube)\r\n")
    }

    @Test(arguments: Route.allCases)
    func aWorkerThatHangsUpSwallowsNoJob(over route: Route) throws {
        let tube = newTube()
        let producer = try connect(route, settledIn: tube)
        let worker = try connect(route, settledIn: tube)
        worker.send("reserve\r\n")
        try waitUntilWaiting(1, on: tube, seenBy: producer)
        worker.close()
        try waitUntilWaiting(0, on: tube, seenBy: producer)
        let id = try producer.put()
        try producer.reserve(id)
    }

    @Test(arguments: Route.allCases)
    func aClientThatHalfClosesWhileItWaitsIsAnsweredTimedOut(over route: Route) throws {
        let tube = newTube()
        let observer = try connect(route, settledIn: tube)
        for command in ["reserve", "reserve-with-timeout 1000"] {
            let worker = try connect(route, settledIn: tube)
            worker.send("\(command)\r\n")
            try waitUntilWaiting(1, on: tube, seenBy: observer)
            worker.halfClose()
            try worker.expect("TIMED_OUT\r\n")
            try worker.expectEnd()
        }
    }

    @Test(arguments: Route.allCases)
    func aClientThatHalfClosesIsClosed(over route: Route) throws {
        let client = try connect(route)
        try client.call("list-tube-used", "USING default")
        client.halfClose()
        try client.expectEnd()
    }

    @Test(arguments: Route.allCases)
    func reserveJobTakesReadyDelayedAndBuriedJobsFromAnyTube(over route: Route) throws {
        let tube = newTube()
        let producer = try connect(route, settledIn: tube)
        let worker = try connect(route, settledIn: newTube())
        let buried = try producer.put("buried")
        try producer.reserve(buried, "buried")
        try producer.call("bury \(buried) 0", "BURIED")
        let ready = try producer.put("ready")
        let delayed = try producer.put("delayed", delay: 1000)
        try producer.call("pause-tube \(tube) 1000", "PAUSED")
        for (id, body) in [(ready, "ready"), (delayed, "delayed"), (buried, "buried")] {
            try worker.call("reserve-job \(id)", "RESERVED \(id) \(body.utf8.count)\r\n\(body)")
            #expect(try producer.statistics("stats-job \(id)")["state"] == "reserved")
            try worker.call("reserve-job \(id)", "NOT_FOUND")
            try producer.call("reserve-job \(id)", "NOT_FOUND")
        }
        #expect(try producer.statistics("stats-tube \(tube)")["current-jobs-reserved"] == "3")
        try worker.delete(ready)
        try worker.call("reserve-job \(ready)", "NOT_FOUND")
    }

    @Test(arguments: Route.allCases)
    func onlyTheHolderMayReleaseBuryAndTouch(over route: Route) throws {
        let tube = newTube()
        let holder = try connect(route, settledIn: tube)
        let other = try connect(route, settledIn: tube)
        let id = try holder.put()
        for line in ["release \(id) 0 0", "bury \(id) 0", "touch \(id)"] { try holder.call(line, "NOT_FOUND") }
        try holder.reserve(id)
        for line in ["release \(id) 0 0", "bury \(id) 0", "touch \(id)", "delete \(id)", "kick-job \(id)"] {
            try other.call(line, "NOT_FOUND")
        }
        try other.call("peek \(id)", "FOUND \(id) 1\r\nx")
        try holder.call("touch \(id)", "TOUCHED")
        try holder.call("bury \(id) 0", "BURIED")
        try other.delete(id)
    }

    @Test(arguments: Route.allCases)
    func anybodyMayDeleteReadyDelayedAndBuriedJobs(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let other = try connect(route)
        let buried = try client.put()
        try client.reserve(buried)
        try client.call("bury \(buried) 0", "BURIED")
        for id in [try client.put(), try client.put(delay: 1000), buried] {
            try other.delete(id)
            try other.call("delete \(id)", "NOT_FOUND")
        }
    }

    @Test(arguments: Route.allCases)
    func aClosedConnectionsJobsGoBackAndNoCounterMoves(over route: Route) throws {
        let tube = newTube()
        let observer = try connect(route, settledIn: tube)
        let holder = try connect(route, settledIn: tube)
        let ids = try (0..<3).map { _ in try observer.put() }
        for id in ids { try holder.reserve(id) }
        holder.close()
        try waitForState("ready", of: ids[2], seenBy: observer)
        for id in ids {
            let job = try observer.statistics("stats-job \(id)")
            #expect(job["state"] == "ready")
            #expect(job["reserves"] == "1")
            for counter in ["timeouts", "releases", "buries", "kicks"] { #expect(job[counter] == "0") }
            try observer.reserve(id)
        }
    }

    // One by one: a waiting worker gets the first, not the most urgent or the one that would have expired first.
    @Test(arguments: Route.allCases)
    func aClosedConnectionsJobsGoBackInTheOrderInWhichTheyWereReserved(over route: Route) throws {
        let tube = newTube()
        let observer = try connect(route, settledIn: tube)
        let holder = try connect(route)
        let worker = try connect(route, settledIn: tube)
        let ids = try [500, 100, 300].map { try observer.put(priority: $0, ttr: $0) }
        let order = [ids[0], ids[2], ids[1]]
        for id in order { try holder.call("reserve-job \(id)", "RESERVED \(id) 1\r\nx") }
        try holder.call("touch \(order[0])", "TOUCHED")
        worker.send("reserve\r\n")
        try waitUntilWaiting(1, on: tube, seenBy: observer)
        holder.close()
        try worker.expect("RESERVED \(order[0]) 1\r\nx\r\n")
    }

    @Test(arguments: Route.allCases)
    func aClosedConnectionsJobGoesToAWaitingWorker(over route: Route) throws {
        let tube = newTube()
        let holder = try connect(route, settledIn: tube)
        let worker = try connect(route, settledIn: tube)
        let observer = try connect(route)
        let id = try holder.put()
        try holder.reserve(id)
        worker.send("reserve\r\n")
        try waitUntilWaiting(1, on: tube, seenBy: observer)
        holder.send("quit\r\n")
        try worker.expect("RESERVED \(id) 1\r\nx\r\n")
    }

    // The reference loses the expiry, more often than not, if the holder sends nothing more.
    @Test(.oursDiffers, arguments: Route.allCases)
    func anExpiredReservationCountsATimeoutAndNoRelease(over route: Route) throws {
        let tube = newTube()
        let holder = try connect(route, settledIn: tube)
        let worker = try connect(route, settledIn: tube)
        let id = try holder.put(ttr: 1)
        try holder.reserve(id)
        worker.send("reserve-with-timeout 20\r\n")
        try worker.expect("RESERVED \(id) 1\r\nx\r\n")
        let job = try worker.statistics("stats-job \(id)")
        #expect(job["timeouts"] == "1")
        #expect(job["releases"] == "0")
        #expect(job["reserves"] == "2")
        try holder.call("release \(id) 0 0", "NOT_FOUND")
        try holder.call("delete \(id)", "NOT_FOUND")
        try worker.delete(id)
    }

    @Test(.oursDiffers, arguments: Route.allCases)
    func noExpiryIsLostAfterAReserveThatWasServedAtOnce(over route: Route) throws {
        let tube = newTube()
        let observer = try connect(route)
        for command in ["reserve-with-timeout 0", "reserve-with-timeout 1000", "reserve-job"] {
            let holder = try connect(route, settledIn: tube)
            let id = try holder.put(ttr: 1)
            try holder.call(command == "reserve-job" ? "reserve-job \(id)" : command, "RESERVED \(id) 1\r\nx")
            try waitForState("ready", of: id, seenBy: observer)
            #expect(try observer.statistics("stats-job \(id)")["timeouts"] == "1")
            try observer.delete(id)
        }
    }

    @Test(arguments: Route.allCases)
    func touchGivesTheFullTimeAgain(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let observer = try connect(route)
        let id = try client.put(ttr: 3)
        try client.reserve(id)
        for _ in 0..<3 {
            pause(seconds: 1.5)
            try client.call("touch \(id)", "TOUCHED")
        }
        let job = try observer.statistics("stats-job \(id)")
        #expect(job["state"] == "reserved")
        #expect(job["timeouts"] == "0")
        #expect(job.number("time-left") >= 1)
    }

    @Test(arguments: Route.allCases)
    func aDelayedJobBecomesReadyAndGoesToAWaitingWorker(over route: Route) throws {
        let tube = newTube()
        let producer = try connect(route, settledIn: tube)
        let worker = try connect(route, settledIn: tube)
        worker.send("reserve\r\n")
        try waitUntilWaiting(1, on: tube, seenBy: producer)
        let start = monotonicSeconds()
        let id = try producer.put(delay: 1)
        try worker.expect("RESERVED \(id) 1\r\nx\r\n")
        #expect(monotonicSeconds() - start > 0.9)
    }

    @Test(arguments: Route.allCases)
    func aReleaseMayDelay(over route: Route) throws {
        let client = try connect(route, settledIn: newTube())
        let id = try client.put()
        try client.reserve(id)
        try client.call("release \(id) 5 3", "RELEASED")
        let job = try client.statistics("stats-job \(id)")
        #expect(job["state"] == "delayed")
        #expect(job["delay"] == "3")
        #expect(job["pri"] == "5")
        #expect(job["releases"] == "1")
        try client.call("reserve-with-timeout 0", "TIMED_OUT")
        try client.call("reserve-with-timeout 20", "RESERVED \(id) 1\r\nx")
        #expect(try client.statistics("stats-job \(id)")["delay"] == "3", "delay keeps the last one asked for")
    }
}
