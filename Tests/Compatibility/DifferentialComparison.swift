// SPDX-License-Identifier: MIT

import LiveServer

/// One reply of a server.
struct DifferentialReply: Equatable {
    /// Its line, without `\r\n`; "(end)" where the connection was closed instead.
    var line: String
    /// What follows the line, without its `\r\n`.
    var chunk: [UInt8]?

    /// Reads one.
    init(from client: Client) throws {
        line = try client.line()
        let words = line.split(separator: " ")
        guard let first = words.first, ["OK", "FOUND", "RESERVED"].contains(first),
            let size = words.last.flatMap({ Int($0) })
        else { return }
        chunk = try client.bytes(size)
        try client.expect("\r\n")
    }

    var description: String { chunk.map { "\(line) + \(quoted($0))" } ?? line }
}

/// What Trellis is known to do otherwise than Debian's beanstalkd 1.12, and why that is right.
enum KnownDifference {
    /// What the streams don't hold, because the two servers would go on from different states.
    static let notGenerated: [(what: String, reason: String)] = [
        ("reserve-with-timeout with a bad or too large number", "1.12 takes it, 1.13 and Trellis answer BAD_FORMAT"),
        ("CR inside a line", "the reference doesn't answer such a line"),
        (
            "a long line with a command right behind, or whose CR ends a window of 224",
            "the reference swallows too much"
        ),
        ("several waiters on one tube", "the reference's order drifts, Trellis's is first come, first served"),
        ("commands about a job whose body is still coming", "the reference shows uninitialised memory"),
        ("short delays, pauses and times to run", "two servers' clocks can't be compared to the tick"),
    ]

    /// Keys of stats whose values belong to the process, not to what clients did.
    static let identity: [(key: String, reason: String)] = [
        ("pid", "another process"), ("version", "another program"), ("rusage-utime", "another process"),
        ("rusage-stime", "another process"), ("uptime", "started at another time"), ("id", "random"),
        ("total-connections", "the test knocks once on each route of Trellis, and the reference has one"),
        ("binlog-oldest-index", "the number of a segment of ours"),
        ("binlog-current-index", "the number of a segment of ours"),
        ("binlog-max-size", "the size of a segment of ours; 0 without a log"),
    ]

    /// Keys whose values move with the clock: they may differ by a second.
    static let clocks: Set = ["age", "time-left", "pause-time-left"]

    /// Keys whose text 1.13 and Trellis put in double quotes and 1.12 doesn't.
    static let quotedSince113: Set = ["version", "hostname", "os", "platform", "name", "tube"]

    /// Why the replies differ for no known reason; nil where they are the same but for what is known.
    static func unknown(ours: DifferentialReply, theirs: DifferentialReply) -> String? {
        if ours == theirs { return nil }
        guard let ourChunk = ours.chunk, let theirChunk = theirs.chunk, ours.line.hasPrefix("OK "),
            theirs.line.hasPrefix("OK ")
        else { return "the replies differ" }
        let ourLines = lines(ourChunk)
        let theirLines = lines(theirChunk)
        if theirLines.dropFirst().allSatisfy({ $0.hasPrefix("- ") }) {
            // The reference moves the last entry into a hole.
            return ourLines.sorted() == theirLines.sorted() ? nil : "the lists differ"
        }
        return differenceOfStatistics(ourLines, theirLines)
    }

    private static func differenceOfStatistics(_ ours: [String], _ theirs: [String]) -> String? {
        // Keys of ours may follow the last old one.
        guard ours.count >= theirs.count else { return "keys are missing" }
        for (our, their) in zip(ours, theirs) where our != their {
            let ourPair = pair(our)
            let theirPair = pair(their)
            let key = ourPair.key
            guard key == theirPair.key else { return "the key \(theirPair.key) is \(key) in ours" }
            if identity.contains(where: { $0.key == key }) { continue }
            if quotedSince113.contains(key), ourPair.value == "\"\(theirPair.value)\"" { continue }
            if clocks.contains(key), let our = Int(ourPair.value), let their = Int(theirPair.value),
                abs(our - their) <= 1
            {
                continue
            }
            return "\(key) differs"
        }
        return nil
    }

    private static func lines(_ chunk: [UInt8]) -> [String] {
        chunk.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
    }

    private static func pair(_ line: String) -> (key: String, value: String) {
        guard let colon = line.firstIndex(of: ":") else { return (line, "") }
        return (String(line[..<colon]), String(line[colon...].dropFirst(2)))
    }
}
