// SPDX-License-Identifier: MIT

import LiveServer

/// A job as a server shows it.
struct Observation: CustomStringConvertible {
    let id: Int
    let body: [UInt8]
    let statistics: Statistics
    /// When it was looked at, in seconds.
    let at: ClosedRange<Double>

    /// Looks at all jobs of these ids that there are, many at a time.
    static func all(_ ids: [Int], through client: Client) throws(Unexpected) -> [Int: Observation] {
        var found: [Int: Observation] = [:]
        for start in stride(from: 0, to: ids.count, by: 100) {
            let part = ids[start..<min(start + 100, ids.count)]
            client.send(part.map { "peek \($0)\r\n" }.joined())
            var bodies: [(id: Int, body: [UInt8])] = []
            for id in part {
                let line = try client.line()
                if line == "NOT_FOUND" { continue }
                let words = line.split(separator: " ")
                guard words.count == 3, words[0] == "FOUND", words[1] == "\(id)", let size = Int(words[2]) else {
                    throw Unexpected("peek \(id) was answered \(line)")
                }
                bodies.append((id, Array(try client.bytes(size + 2).dropLast(2))))
            }
            let begin = monotonicSeconds()
            client.send(bodies.map { "stats-job \($0.id)\r\n" }.joined())
            for (id, body) in bodies {
                let statistics = try client.readStatistics("stats-job \(id)")
                found[id] = Observation(
                    id: id, body: body, statistics: statistics, at: begin...monotonicSeconds())
            }
        }
        return found
    }

    private func number(_ key: String) -> Int { statistics.number(key) }

    /// What differs from the version; nil where nothing does.
    func difference(from version: Version, of job: LedgerJob, reservesAtMost: Int) -> String? {
        let expected: [(String, Int)] = [
            ("pri", version.priority), ("delay", version.delay), ("releases", version.releases),
            ("buries", version.buries), ("kicks", version.kicks), ("timeouts", 0), ("ttr", job.ttr),
        ]
        for (key, value) in expected where number(key) != value { return "\(key) is \(number(key)) and not \(value)" }
        if statistics["tube"] != "\"\(job.tube)\"" && statistics["tube"] != job.tube { return "the tube is wrong" }
        guard (version.reserves...max(version.reserves, reservesAtMost)).contains(number("reserves")) else {
            return "reserves is \(number("reserves")) and not \(version.reserves) to \(reservesAtMost)"
        }
        let age = Double(number("age"))
        if age > at.upperBound - job.putAt.lowerBound + 1 || age < at.lowerBound - job.putAt.upperBound - 2 {
            return "the age is wrong"
        }
        return differenceInState(from: version)
    }

    private func differenceInState(from version: Version) -> String? {
        let state = statistics["state"]
        switch version.standing {
        case .absent: return "it is there"
        case .ready: return state == "ready" ? nil : "it isn't ready"
        case .buried: return state == "buried" ? nil : "it isn't buried"
        case .delayed(let range):
            if state == "ready" { return range.lowerBound < at.upperBound + 1 ? nil : "it is ready too early" }
            guard state == "delayed" else { return "it isn't delayed" }
            // Whole seconds are told, and the clocks are read one after the other.
            let left = Double(number("time-left"))
            let isRight = left < range.upperBound - at.lowerBound + 1 && left > range.lowerBound - at.upperBound - 2
            return isRight ? nil : "\(left) s are left and not up to \(range.upperBound - at.lowerBound)"
        }
    }

    /// The version as it is now, with what can't be known otherwise.
    func settled(_ version: Version) -> Version {
        var settled = version
        settled.reserves = number("reserves")
        settled.isCertain = true
        (settled.connection, settled.command) = (-1, -1)
        if statistics["state"] == "ready" { settled.standing = .ready }
        return settled
    }

    var description: String {
        statistics.entries.map { "\($0.key) \($0.value)" }.joined(separator: ", ") + ", \(body.count) bytes"
    }
}
