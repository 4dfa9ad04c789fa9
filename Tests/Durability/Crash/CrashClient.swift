// SPDX-License-Identifier: MIT

import LiveServer
import TrellisTestKit

/// A connection that works on jobs as fast as it can, many commands at a time, until the server is gone.
///
/// In the shared tubes every client takes what it is given; in its own tube it is alone, so it can do several things
/// to one job without waiting for an answer, and knows which jobs a `kick` moves.
struct CrashClient {
    static let sharedTubes = ["shared-0", "shared-1"]
    /// With so many jobs there are no more puts for a while.
    private static let jobsAtMost = 700

    /// What a command sent is to be answered, and what that means: once it is answered, a job may go to the pool.
    private enum Answer {
        case text(String)
        case inserted(key: Int, isShared: Bool, isPooled: Bool)
        /// A change of a job.
        case changed(key: Int, command: Ledger.Command, reply: String, isPooled: Bool)
        case kicked([(key: Int, command: Ledger.Command)])
        case reserved
        case reservedJob(key: Int, command: Ledger.Command, isKept: Bool)
    }

    private let ledger: Ledger
    private let client: Client
    private let number: Int
    private let ownTube: String
    private var random: SeededGenerator
    private var used = "default"
    private var output: [UInt8] = []
    private var answers: [Answer] = []
    private var commands = 0
    /// Jobs that this client has reserved in shared tubes.
    private var hand: [Int] = []
    private var openReserves = 0
    /// Jobs in its own tube: ready and delayed ones, and buried ones in their order.
    private var idle: [Int] = []
    private var buried: [Int] = []

    init(_ number: Int, _ client: Client, _ ledger: Ledger, seed: UInt64) {
        self.number = number
        self.client = client
        self.ledger = ledger
        ownTube = "own-\(number)"
        random = SeededGenerator(seed: seed)
        let own = ledger.jobs.filter { $0.tube == ownTube }
        for job in own {
            if case .buried = job.current.standing { buried.append(job.key) } else { idle.append(job.key) }
        }
        func order(_ key: Int) -> Int {
            guard case .buried(let range) = ledger.job(key)?.current.standing else { return 0 }
            return range.lowerBound
        }
        buried.sort { order($0) < order($1) }
    }

    /// Works until the connection ends.
    mutating func run() {
        do throws(Unexpected) {
            for tube in Self.sharedTubes { send("watch \(tube)", .text("WATCHING")) }
            send("ignore default", .text("WATCHING"))
            while true {
                for _ in 0..<random.one(of: [1, 1, 1, 2, 4, 8, 16, 32]) { addStep() }
                client.send(bytes: output)
                output.removeAll(keepingCapacity: true)
                let expected = answers
                answers.removeAll(keepingCapacity: true)
                for answer in expected { try take(answer) }
            }
        } catch {
            if !client.isAtEnd { ledger.fail("client \(number): \(error)") }
        }
    }

    // MARK: Sending

    private mutating func send(_ command: String, _ answer: Answer) {
        output += Array(command.utf8) + [13, 10]
        answers.append(answer)
    }

    private mutating func nextCommand() -> Ledger.Command {
        commands += 1
        return Ledger.Command(connection: number, number: commands)
    }

    private mutating func use(_ tube: String) {
        guard used != tube else { return }
        used = tube
        send("use \(tube)", .text("USING \(tube)"))
    }

    private mutating func addStep() {
        let isCrowded = ledger.liveJobs > Self.jobsAtMost
        switch random.below(100) {
        case 0..<28 where !isCrowded: put(in: random.one(of: Self.sharedTubes))
        case 28..<45 where !isCrowded: put(in: ownTube)
        case 45..<60 where hand.count + openReserves < 12:
            ledger.reserveIsSent()
            openReserves += 1
            send("reserve-with-timeout 0", .reserved)
        case 60..<68: workOnPool()
        case 68..<84: workOnOwn()
        default: finishOne(isCrowded)
        }
    }

    private mutating func put(in tube: String) {
        use(tube)
        let isShared = tube != ownTube
        let priority = somePriority()
        let delay = someDelay(isShared: isShared)
        let ttr = 200 + random.below(1000)
        let size = someSize()
        let key = ledger.put(
            tube: tube, priority: priority, delay: delay, ttr: ttr, bodyBytes: { max(size, "\($0):".utf8.count) },
            by: nextCommand())
        let bytes = ledger.job(key)?.bodyBytes ?? 0
        output += Array("put \(priority) \(delay) \(ttr) \(bytes)\r\n".utf8) + Bodies.body(key: key, bytes: bytes)
        send("", .inserted(key: key, isShared: isShared, isPooled: isShared && delay > 1))
    }

    /// Does one of the things that a worker does with a job that it has reserved.
    private mutating func finishOne(_ isCrowded: Bool) {
        guard !hand.isEmpty else { return }
        let key = hand.remove(at: random.below(hand.count))
        if isCrowded || random.chance(percent: 40) {
            return change(key, "delete", "DELETED") { version, _ in version.delete() }
        }
        if random.chance(percent: 10), let id = ledger.job(key)?.id {
            hand.append(key)
            return send("touch \(id)", .text("TOUCHED"))
        }
        endReservation(key, isShared: true)
    }

    /// Buries or releases a job that is reserved by then.
    private mutating func endReservation(_ key: Int, isShared: Bool) {
        let priority = somePriority()
        if random.chance(percent: 50) {
            change(key, "bury", "BURIED", " \(priority)", isPooled: isShared) { $0.bury(priority, $1) }
            if !isShared { buried.append(key) }
        } else {
            let delay = someDelay(isShared: isShared)
            change(key, "release", "RELEASED", " \(priority) \(delay)", isPooled: isShared && delay > 1) {
                $0.release(priority, delay: delay, $1)
            }
            if !isShared { idle.append(key) }
        }
    }

    private mutating func workOnPool() {
        guard let key = ledger.takeFromPool(random.below(1 << 30)) else { return }
        switch random.below(3) {
        case 0: change(key, "kick-job", "KICKED") { version, _ in version.kick() }
        case 1: change(key, "delete", "DELETED") { version, _ in version.delete() }
        default: reserveJob(key, isKept: true)
        }
    }

    private mutating func workOnOwn() {
        if !buried.isEmpty, random.chance(percent: 40) { return kickOwn() }
        guard !idle.isEmpty || !buried.isEmpty else { return }
        let place = random.below(idle.count + buried.count)
        let key = place < idle.count ? idle.remove(at: place) : buried.remove(at: place - idle.count)
        let isReady = ledger.job(key)?.current.standing == .ready
        switch random.below(10) {
        case 0..<3: change(key, "delete", "DELETED") { version, _ in version.delete() }
        case 3 where !isReady:
            change(key, "kick-job", "KICKED") { version, _ in version.kick() }
            idle.append(key)
        default:
            reserveJob(key, isKept: false)
            endReservation(key, isShared: false)
        }
    }

    private mutating func kickOwn() {
        use(ownTube)
        let bound = 1 + random.below(buried.count + 2)
        var kicked: [(key: Int, command: Ledger.Command)] = []
        for key in buried.prefix(bound) {
            let command = nextCommand()
            _ = ledger.change(key, by: command) { version, _ in version.kick() }
            kicked.append((key, command))
        }
        idle += buried.prefix(bound)
        buried.removeFirst(kicked.count)
        send("kick \(bound)", .kicked(kicked))
    }

    private mutating func reserveJob(_ key: Int, isKept: Bool) {
        let command = nextCommand()
        let id = ledger.reserveJob(key, by: command)
        send("reserve-job \(id)", .reservedJob(key: key, command: command, isKept: isKept))
    }

    private mutating func change(
        _ key: Int, _ verb: String, _ reply: String, _ arguments: String = "", isPooled: Bool = false,
        _ edit: (inout Version, Now) -> Void
    ) {
        let command = nextCommand()
        let id = ledger.change(key, by: command, edit)
        send(
            "\(verb) \(id)\(arguments)", .changed(key: key, command: command, reply: reply, isPooled: isPooled))
    }

    // MARK: Chance

    private mutating func somePriority() -> Int { random.below(random.chance(percent: 50) ? 10 : 1 << 32) }

    /// Jobs of the client's own are never delayed for a short time: it must know what they are.
    private mutating func someDelay(isShared: Bool) -> Int {
        switch random.below(10) {
        case 0..<7: 0
        case 7 where isShared: 1
        default: 1000 + random.below(4000)
        }
    }

    private mutating func someSize() -> Int {
        switch random.below(1000) {
        case 0..<700: random.below(200)
        case 700..<950: random.below(4000)
        case 950..<999: random.below(60_000)
        default: random.below(Bodies.largest)
        }
    }

    // MARK: Answers

    private mutating func take(_ answer: Answer) throws(Unexpected) {
        let line = try client.line()
        switch answer {
        case .text(let text): guard line.hasPrefix(text) else { return complain(line, text) }
        case .inserted(let key, let isShared, let isPooled):
            guard line.hasPrefix("INSERTED "), let id = Int(line.dropFirst(9)) else {
                return complain(line, "INSERTED")
            }
            ledger.inserted(key, id: id)
            if !isShared { idle.append(key) }
            if isPooled { ledger.addToPool(key) }
        case .changed(let key, let command, let reply, let isPooled):
            guard line == reply else { return complain(line, "\(reply) of job \(ledger.job(key)?.id ?? 0)") }
            ledger.confirm(key, command)
            if isPooled { ledger.addToPool(key) }
        case .kicked(let jobs):
            guard line == "KICKED \(jobs.count)" else { return complain(line, "KICKED \(jobs.count)") }
            for (key, command) in jobs { ledger.confirm(key, command) }
        case .reserved: try takeReserved(line)
        case .reservedJob(let key, let command, let isKept):
            guard line.hasPrefix("RESERVED ") else { return complain(line, "RESERVED") }
            let (id, body) = try body(behind: line)
            let job = ledger.job(key)
            guard job?.id == id, body == Bodies.body(key: key, bytes: job?.bodyBytes ?? 0) else {
                return complain(line, "job \(job?.id ?? 0) with its body")
            }
            ledger.confirm(key, command)
            if isKept { hand.append(key) }
        }
    }

    private mutating func takeReserved(_ line: String) throws(Unexpected) {
        if line == "TIMED_OUT" {
            openReserves -= 1
            return ledger.reserveIsAnswered()
        }
        guard line.hasPrefix("RESERVED ") else { return complain(line, "RESERVED or TIMED_OUT") }
        let (id, body) = try body(behind: line)
        guard let key = Bodies.key(of: body) else { return complain(line, "a body with a key") }
        if let fault = ledger.given(key, id: id, body: body) { ledger.fail("client \(number): \(fault)") }
        openReserves -= 1
        ledger.reserveIsAnswered()
        hand.append(key)
    }

    private func body(behind line: String) throws(Unexpected) -> (id: Int, body: [UInt8]) {
        let words = line.split(separator: " ")
        guard words.count == 3, let id = Int(words[1]), let count = Int(words[2]) else {
            throw Unexpected("not a job: \(line)")
        }
        return (id, Array(try client.bytes(count + 2).dropLast(2)))
    }

    private func complain(_ line: String, _ expected: String) {
        ledger.fail("client \(number): \(line) instead of \(expected)")
    }
}
