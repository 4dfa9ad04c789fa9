// SPDX-License-Identifier: MIT

import TrellisTestKit

/// What one step of a differential run sends on one connection.
struct DifferentialStep {
    /// The bytes.
    var text: String
    /// How many replies they get.
    var replies = 1
    /// Whether the one reply may come much later.
    var mayBlock = false
    /// Whether the connection closes then.
    var closes = false
    /// Whether it may stand in a batch with others, or be sent in two parts.
    var isPlain = true
}

/// Makes up the commands of a differential run, from a seed and what the replies have told so far.
///
/// Nothing in it depends on the clock: delays, pauses and times to run are 0 or far longer than a run, and no two
/// delays are near each other. What is known to differ from the reference is left out at the source; the reasons stand
/// in `KnownDifference.notGenerated`.
struct DifferentialStream {
    /// The largest body that the servers take; small, so that too big ones are cheap.
    static let jobSize = 200
    /// How many connections may wait in `reserve`.
    ///
    /// Their watch lists have no tube in common, because the reference doesn't keep the order of several that wait on one.
    static let workers = 3
    /// All connections.
    static let connections = 6

    private var random: SeededGenerator
    private var delays = 0
    /// The highest id that a reply has named.
    var highestID = 0
    /// The jobs that each connection holds.
    var held = [Set<Int>](repeating: [], count: Self.connections)
    /// The ids that may not be named: their puts are half received, and the reference shows what it shouldn't.
    var hiddenIDs: Set<Int> = []

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    private static let tubes = ["default", "a", "b", "w0-x", "w1-x", "w2-x", "w0-y", "w1-y", "w2-y"]
    private static let oddTubes = [
        "A-Za-z0-9-+/;.$_()", "+", ";", "a-", "$", String(repeating: "n", count: 200), "0", "()", "default2",
    ]
    private static let badTubes = [
        "-a", "-", "a*b", "", "a b", String(repeating: "n", count: 201), "a\u{1}", "\u{e9}", "a,b",
    ]

    // MARK: - Choices

    mutating func chance(_ percent: Int) -> Bool { random.chance(percent: percent) }

    mutating func below(_ bound: Int) -> Int { random.below(bound) }

    private mutating func pick<T>(_ choices: [T]) -> T { random.one(of: choices) }

    private mutating func spaces() -> String { chance(5) ? String(repeating: " ", count: 1 + below(4)) : " " }

    private mutating func priority() -> String {
        pick(["0", "1", "2", "5", "1023", "1024", "1025", "65536", "4294967295", "007"])
    }

    private mutating func delay() -> String {
        if chance(70) { return "0" }
        delays += 1
        // Near each other in no order, and yet never less than 100 s apart.
        return String(100_000 + (delays * 7919 % 10_007) * 100)
    }

    private mutating func timeToRun() -> String { pick(["1000", "5000", "4294967295", "100000"]) }

    private mutating func id(_ connection: Int) -> String {
        let mine = held[connection].sorted()
        if !mine.isEmpty, chance(60) { return String(pick(mine)) }
        if chance(5) { return pick(["0", "18446744073709551615", "99999999", "00"]) }
        let number = max(1, highestID - below(12) + 1)
        return hiddenIDs.contains(number) ? "0" : String(number)
    }

    private mutating func tube() -> String {
        let odd = below(20)
        return odd == 0 ? pick(Self.badTubes) : odd < 3 ? pick(Self.oddTubes) : pick(Self.tubes)
    }

    /// A tube that the connection may watch.
    private mutating func watchable(_ connection: Int) -> String {
        guard connection < Self.workers else { return tube() }
        return chance(8) ? pick(Self.badTubes) : "w\(connection)-\(pick(["x", "y", "z"]))"
    }

    private mutating func body(_ size: Int) -> String {
        if chance(20) { return String(repeating: "\r\n\0", count: size / 3) + String(repeating: "z", count: size % 3) }
        return String((0..<size).map { _ in Character(Unicode.Scalar(UInt8(below(94) + 33))) })
    }

    // MARK: - Steps

    /// What a connection sends before everything else.
    func opening(_ connection: Int) -> DifferentialStep {
        guard connection < Self.workers else { return DifferentialStep(text: "use a\r\n") }
        return DifferentialStep(text: "watch w\(connection)-x\r\nignore default\r\n", replies: 2)
    }

    /// The next thing for a connection that doesn't wait.
    mutating func step(_ connection: Int) -> DifferentialStep {
        switch below(100) {
        case 0..<24: return putStep()
        case 24..<40: return reserveStep(connection)
        case 40..<50: return malformedStep(connection)
        case 50..<51: return DifferentialStep(text: pick(["quit\r\n", "quitfoo\r\n"]), replies: 0, closes: true)
        default: return DifferentialStep(text: plainLine(connection) + "\r\n")
        }
    }

    /// A put that is sent in two parts, with steps of other connections between.
    mutating func interruptedPut() -> (String, String) {
        let size = below(50)
        return (
            "put 1 0 1000 \(size)\r\n" + (size > 3 ? "abc" : ""),
            String(repeating: "d", count: size > 3 ? size - 3 : size) + "\r\n"
        )
    }

    private mutating func putStep() -> DifferentialStep {
        let size = chance(10) ? Self.jobSize - below(3) : chance(10) ? 0 : below(60)
        let head = "put\(spaces())\(priority())\(spaces())\(delay())\(spaces())\(timeToRun())"
        switch below(30) {
        case 0:  // Too big: size + 2 bytes go, whatever they are.
            let large = Self.jobSize + 1 + below(300)
            return DifferentialStep(
                text: "\(head) \(large)\(pick(["", " x", "x", " "]))\r\n" + body(large) + pick(["\r\n", "ab"]))
        case 1:  // The body is longer than said: what is left is a line of its own.
            return DifferentialStep(
                text: "\(head) \(size)\r\n" + String(repeating: "z", count: size) + "yyyy\r\n", replies: 2)
        case 2:  // The body is shorter than said.
            return DifferentialStep(
                text: "\(head) \(size + 4)\r\n" + String(repeating: "z", count: size) + "\r\n\r\nab")
        case 3:  // Garbage after the size: the body is read as a command.
            return DifferentialStep(
                text:
                    "\(head) \(size)\(pick([" x", "x", " ", "\t", " 5"]))\r\n\(pick(["zzz", "list-tube-used", "delete x"]))\r\n",
                replies: 2)
        case 4:
            return DifferentialStep(
                text: pick([
                    "put\r\n", "put \r\n", "put 0 0 10\r\n", "put 0 0 10 \r\n", "put 4294967296 0 10 1\r\n",
                    "put -1 0 10 1\r\n",
                    "put 0 4294967296 10 1\r\n", "put 0 0 4294967296 1\r\n", "put 0 0 10 4294967296\r\n",
                    "put a b c d\r\n",
                    "put 0 0 10 -1\r\n", "put\t0 0 10 0\r\n", "put 0\t0 10 0\r\n", "put 0 0 10 x\r\n",
                    "put 0,0,10,1\r\n",
                ]))
        default:
            return DifferentialStep(text: "\(head) \(size)\r\n" + body(size) + "\r\n")
        }
    }

    private mutating func reserveStep(_ connection: Int) -> DifferentialStep {
        if connection < Self.workers, chance(40) {
            let line = pick(["reserve", "reserve-with-timeout 10000", "reserve-with-timeout 2147483647"])
            return DifferentialStep(text: line + "\r\n", mayBlock: true, isPlain: false)
        }
        let line =
            chance(30)
            ? "reserve-job\(spaces())\(id(connection))" : pick(["reserve-with-timeout 0", "reserve-with-timeout   0"])
        return DifferentialStep(text: line + "\r\n")
    }

    private mutating func plainLine(_ connection: Int) -> String {
        let job = spaces() + id(connection)
        switch below(50) {
        case 0..<7: return "delete" + job
        case 7..<13: return "release\(job)\(spaces())\(priority())\(spaces())\(delay())"
        case 13..<17: return "bury\(job)\(spaces())\(priority())"
        case 17..<19: return "touch" + job
        case 19..<23:
            return "kick "
                + pick(["1", "2", "10", "0", "-1", "+1", " \t1", "4294967296", "1junk", "x", "99999999999999999999"])
        case 23..<26: return "kick-job" + job
        case 26..<28: return "peek" + job
        case 28..<32: return pick(["peek-ready", "peek-delayed", "peek-buried"])
        case 32..<35: return "use " + tube()
        case 35..<38: return "watch " + watchable(connection)
        case 38..<40: return "ignore " + watchable(connection)
        case 40..<43: return "stats-job" + job
        case 43..<45: return "stats-tube " + tube()
        case 45: return "stats"
        case 46..<48: return pick(["list-tubes", "list-tube-used", "list-tubes-watched"])
        default: return "pause-tube\(spaces())\(tube())\(spaces())\(pick(["0", "0", "1000000"]))"
        }
    }

    private mutating func malformedStep(_ connection: Int) -> DifferentialStep {
        switch below(6) {
        case 0:
            // The reference overlooks the end of a line whose CR is the last byte of its window of 224.
            let length = 220 + below(600)
            return DifferentialStep(
                text: String(repeating: "x", count: length % 224 == 223 ? length + 1 : length) + "\r\n", isPlain: false)
        case 1:
            return DifferentialStep(
                text: pick([
                    "", " ", "x", "DELETE 1", "delete", "deletefoo", "reserved", "reserve ", "reserve-job",
                    "reserve-jobs",
                    "reserve-with-timeout", "reserve-with-timeout 0x", "reserve-with-timeout 0 junk", "stats-tube",
                    "stats-job",
                    "statsx", "list-tubesx", "list-tube-used ", "peek-", "peek-readyx", "kick", "kick ", "pause-tube",
                    "pause-tube ",
                    "pause-tubea 0", "pause-tube a", "pause-tube -a 0", "touch", "bury 1", "release 1 1", "\tuse a",
                    "use\ta",
                    "use  a", "watch  a", "stats-tube  a", "no\0such", "\0", "use a\0", "qui", "foo\nbar", "use\na",
                    "pause-tube \(String(repeating: "a", count: 201)) 0",
                ]) + "\r\n")
        default:
            return DifferentialStep(text: mutated(plainLine(connection)) + "\r\n", isPlain: false)
        }
    }

    /// A line with one small fault, which may make another good line of it.
    private mutating func mutated(_ line: String) -> String {
        var bytes = Array(line.utf8)
        let place = below(bytes.count)
        switch below(7) {
        case 0: bytes.removeLast()
        case 1: bytes.insert(UInt8(ascii: " "), at: place)
        case 2: bytes[place] = UInt8(ascii: "\t")
        case 3: bytes += Array(pick([" ", "x", " x", " 1", "\t"]).utf8)
        case 4: bytes.insert(UInt8(ascii: "-"), at: place)
        case 5: bytes[place] = 0
        default: bytes[place] ^= 0x20
        }
        // A byte may have become one that ends a line, or another command that waits for more.
        let text = String(decoding: bytes.map { $0 == 13 ? 46 : $0 }, as: UTF8.self)
        return text.hasPrefix("reserve-with") ? "reserve-with-timeout" : text
    }
}
