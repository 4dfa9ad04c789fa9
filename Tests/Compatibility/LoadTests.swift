// SPDX-License-Identifier: MIT

import LiveServer
import Testing

/// Many commands, jobs and connections.
@Suite
struct LoadTests {
    @Test(.server, arguments: Route.allCases)
    func aHundredThousandJobsComeAndGo(over route: Route) throws {
        let client = try connect(route)
        let count = 100_000
        for start in stride(from: 1, through: count, by: 1000) {
            let ids = start..<start + 1000
            client.send(ids.reduce(into: "") { $0 += "put \($1 % 7) 0 60 1\r\nx\r\n" })
            try client.expect(ids.reduce(into: "") { $0 += "INSERTED \($1)\r\n" })
        }
        #expect(try client.statistics()["current-jobs-ready"] == String(count))
        let order = (0..<7).flatMap { priority in stride(from: priority == 0 ? 7 : priority, through: count, by: 7) }
        for start in stride(from: 0, to: count, by: 1000) {
            let ids = order[start..<start + 1000]
            client.send(ids.reduce(into: "") { text, id in text += "reserve\r\ndelete \(id)\r\n" })
            try client.expect(ids.reduce(into: "") { $0 += "RESERVED \($1) 1\r\nx\r\nDELETED\r\n" })
        }
        let stats = try client.statistics()
        #expect(stats["current-jobs-ready"] == "0")
        #expect(stats["cmd-delete"] == String(count))
    }

    @Test(.server, arguments: Route.allCases)
    func manyPipelinedCommandsAreAnsweredInOrder(over route: Route) throws {
        let client = try connect(route)
        var commands = ""
        var replies = ""
        for id in 1...2000 {
            commands += "use tube-\(id % 10)\r\nput 0 0 60 4\r\nbody\r\nreserve-job \(id)\r\nbury \(id) 1\r\n"
            commands += "nonsense\r\npeek \(id)\r\nkick-job \(id)\r\ndelete \(id)\r\n"
            replies += "USING tube-\(id % 10)\r\nINSERTED \(id)\r\nRESERVED \(id) 4\r\nbody\r\nBURIED\r\n"
            replies += "UNKNOWN_COMMAND\r\nFOUND \(id) 4\r\nbody\r\nKICKED\r\nDELETED\r\n"
        }
        client.send(commands)
        try client.expect(replies)
    }

    @Test(.server, arguments: Route.allCases)
    func repliesOfManyMegabytesComeWhole(over route: Route) throws {
        let client = try connect(route)
        let body = String(repeating: "0123456789abcdef", count: 4000)
        try client.put(body)
        client.send(String(repeating: "peek 1\r\n", count: 500))
        for _ in 0..<500 { try client.expect("FOUND 1 \(body.utf8.count)\r\n\(body)\r\n") }
    }

    @Test(.server, arguments: Route.allCases)
    func bodiesOfAllSizesComeWholeAmongOtherCommands(over route: Route) throws {
        let client = try connect(route)
        // Large ones behind one another, behind small ones, before none, with commands of many lengths between.
        let sizes = [
            40_000, 65_535, 16_383, 16_384, 0, 1, 33_000, 20_000, 20_000, 480, 65_000, 509, 510, 511, 512, 30_000,
        ]
        var commands = ""
        var replies = ""
        var jobs: [(id: Int, body: String)] = []
        for round in 0..<20 {
            for (place, size) in sizes.enumerated() {
                let id = jobs.count + 1
                let letter = Character(UnicodeScalar(UInt8(97 + id % 26)))
                let body =
                    "\(id)".utf8.count <= size
                    ? "\(id)" + String(repeating: letter, count: size - "\(id)".utf8.count) : ""
                jobs.append((id, body))
                commands += "put 0 0 600 \(body.utf8.count)\r\n\(body)\r\n"
                replies += "INSERTED \(id)\r\n"
                for _ in 0..<(round * place % 7) {
                    let name = String(repeating: "n", count: 1 + (round * 37 + place) % 190)
                    commands += "use \(name)\r\nuse default\r\n"
                    replies += "USING \(name)\r\nUSING default\r\n"
                }
            }
        }
        client.send(commands)
        try client.expect(replies)
        for job in jobs {
            client.send("peek \(job.id)\r\n")
            try client.expect("FOUND \(job.id) \(job.body.utf8.count)\r\n\(job.body)\r\n")
        }
    }

    @Test(.server, arguments: Route.allCases)
    func kickingManyJobsKicksThemAll(over route: Route) throws {
        let client = try connect(route)
        client.send(String(repeating: "put 0 1000 60 0\r\n\r\n", count: 20_000))
        for id in 1...20_000 { try client.expect("INSERTED \(id)\r\n") }
        try client.call("kick 1000000", "KICKED 20000")
        #expect(try client.statistics()["current-jobs-ready"] == "20000")
    }

    @Test(.server, arguments: Route.allCases)
    func manyWorkersShareTheJobsAndNoneIsLostOrGivenTwice(over route: Route) throws {
        let producer = try connect(route)
        let workers = try (0..<100).map { _ in try connect(route) }
        for worker in workers { worker.send("reserve\r\n") }
        try waitUntilWaiting(workers.count, on: "default", seenBy: producer)
        for _ in workers { try producer.put() }
        var ids: [Int] = []
        for worker in workers {
            let words = try worker.line().split(separator: " ")
            #expect(words.first == "RESERVED")
            ids.append(words.count > 1 ? Int(words[1]) ?? 0 : 0)
            try worker.expect("x\r\n")
        }
        #expect(ids.sorted() == Array(1...workers.count))
    }

    @Test(.server, arguments: Route.allCases)
    func aSlowBigBodyHoldsUpNobody(over route: Route) throws {
        let slow = try connect(route)
        let quick = try connect(route)
        slow.send("put 0 0 60 60000\r\n" + String(repeating: "s", count: 30_000))
        let id = try quick.put()
        try quick.reserve(id)
        slow.send(String(repeating: "s", count: 30_000) + "\r\n")
        try #require(try slow.line().hasPrefix("INSERTED "))
    }
}
