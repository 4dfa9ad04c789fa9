// SPDX-License-Identifier: MIT

import TrellisCore
import TrellisTestKit

/// Producers, and workers with watch lists of their own, on an engine with limits and any scheduler.
///
/// After each step it checks what must hold whatever the order of jobs is: no limit is exceeded, and no worker waits
/// without reason.
struct LimitedCrowd: ~Copyable {
    private struct Tube {
        var name: String
        var concurrency: Int?
        var rate: Rate?
        var ready: Set<UInt64> = []
        var reserved: Set<UInt64> = []
        var pausedUntil: Int64 = 0
        /// The times of all picks.
        var picks: [Int64] = []
    }

    private static let producer = 0
    private var driver: EngineDriver
    private var random: SeededGenerator
    private var now = EngineDriver.start
    private var tubes: [Tube]
    private var tubeOfJob: [UInt64: Int] = [:]
    /// For each worker, the tubes it watches, the jobs it has, and whether it waits; the first is no worker.
    private var lists: [[Int]] = [[]]
    private var jobs: [[UInt64]] = [[]]
    private var waits: [Bool] = [false]
    private(set) var picks = 0
    /// How often a worker was seen waiting where only a limit or a pause kept it from a job.
    private(set) var waitsAtLimits = 0

    init(seed: UInt64, scheduler: any Scheduler) throws {
        random = SeededGenerator(seed: seed)
        tubes = [
            Tube(name: "free"), Tube(name: "few", concurrency: 1 + Int(seed % 3)),
            Tube(name: "slow", rate: Rate(1 + UInt32(seed % 5), per: .second)),
            Tube(name: "both", concurrency: 2, rate: Rate(90, per: .minute)),
        ]
        let rules = tubes.map { tube in
            TubeRule(
                TubePattern(tube.name),
                TubeSettings(weight: 2, concurrency: tube.concurrency.map { UInt32($0) }, rate: tube.rate))
        }
        driver = EngineDriver(limits: EngineLimits(), tubeRules: TubeRules(rules), scheduler: scheduler)
        _ = try driver.apply(.connect(Self.producer))
        // The producer watches all, so that no tube goes.
        for tube in tubes { _ = try driver.apply(.perform(.watch(tube.name), by: Self.producer)) }
        for worker in 1...8 { try connect(worker) }
    }

    private mutating func connect(_ worker: Int) throws {
        _ = try driver.apply(.connect(worker))
        var list = tubes.indices.filter { _ in random.chance(percent: 50) }
        if list.isEmpty { list = [random.below(tubes.count)] }
        for tube in list { _ = try driver.apply(.perform(.watch(tubes[tube].name), by: worker)) }
        _ = try driver.apply(.perform(.ignore("default"), by: worker))
        lists.append(list)
        jobs.append([])
        waits.append(false)
    }

    /// Takes so many steps; answers what is wrong, nil where nothing is.
    mutating func run(steps: Int) throws -> String? {
        for step in 0..<steps {
            if let fault = try self.step() ?? idleWorker() { return "step \(step): \(fault)" }
        }
        return nil
    }

    private mutating func step() throws -> String? {
        switch random.below(10) {
        case 0...2: return try put()
        case 3...5: return try advance()
        case 6:
            let tube = random.below(tubes.count)
            let seconds = random.one(of: [0, 0, 1, 3] as [UInt32])
            tubes[tube].pausedUntil = now + Int64(seconds) * 1_000_000_000
            return try perform(.pauseTube(tubes[tube].name, seconds: seconds), by: Self.producer)
        default: return try work(1 + random.below(8))
        }
    }

    private mutating func put() throws -> String? {
        let tube = random.below(tubes.count)
        _ = try driver.apply(.perform(.use(tubes[tube].name), by: Self.producer))
        let line = ClientCommand.put(priority: UInt32(random.below(3)), delay: 0, ttr: 1_000_000, size: 0)
        _ = try driver.apply(.perform(line, by: Self.producer))
        let id = UInt64(tubeOfJob.count + 1)
        tubeOfJob[id] = tube
        tubes[tube].ready.insert(id)
        return try perform(.body([]), by: Self.producer)
    }

    private mutating func advance() throws -> String? {
        // Far away, times to run end.
        let due = driver.nextDeadline.map { min(3_000_000_000, max(0, $0 - now)) } ?? 0
        now += random.chance(percent: 50) ? due : Int64(random.below(700_000_000))
        return try take(driver.apply(.advance(to: now)), byID: false)
    }

    private mutating func work(_ worker: Int) throws -> String? {
        if waits[worker] { return nil }
        if random.chance(percent: 60) || jobs[worker].isEmpty {
            if random.chance(percent: 10), let id = tubes[random.below(tubes.count)].ready.min() {
                return try perform(.reserveJob(id), by: worker, byID: true)
            }
            waits[worker] = true
            return try perform(.reserve, by: worker)
        }
        let id = jobs[worker].removeFirst()
        guard let tube = tubeOfJob[id] else { return "job \(id) was never put" }
        tubes[tube].reserved.remove(id)
        switch random.below(4) {
        case 0:
            tubes[tube].ready.insert(id)
            return try perform(.release(id, priority: 1, delay: 0), by: worker)
        case 1: return try perform(.bury(id, priority: 0), by: worker)
        default: return try perform(.delete(id), by: worker)
        }
    }

    private mutating func perform(_ command: ClientCommand, by client: Int, byID: Bool = false) throws -> String? {
        try take(driver.apply(.perform(command, by: client)), byID: byID)
    }

    /// Books the reservations among the replies.
    private mutating func take(_ received: Received, byID: Bool) -> String? {
        for (client, bytes) in received.sorted(by: { $0.key < $1.key }) {
            for line in String(decoding: bytes, as: UTF8.self).split(separator: "\r\n")
            where line.hasPrefix("RESERVED ") {
                guard let id = UInt64(line.split(separator: " ")[1]), let tube = tubeOfJob[id] else { return "\(line)" }
                waits[client] = false
                jobs[client].append(id)
                guard tubes[tube].ready.remove(id) != nil else { return "job \(id) was given out and isn't ready" }
                tubes[tube].reserved.insert(id)
                if byID { continue }
                picks += 1
                tubes[tube].picks.append(now)
                if let fault = exceeded(tubes[tube]) { return "\(fault) by job \(id) in \(tubes[tube].name)" }
            }
        }
        return nil
    }

    private func exceeded(_ tube: borrowing Tube) -> String? {
        if tube.pausedUntil > now { return "the pause was broken" }
        if let most = tube.concurrency, tube.reserved.count > most { return "the concurrency was exceeded" }
        guard let rate = tube.rate else { return nil }
        // In any stretch of time up to now: a second's worth, and what the rate brings.
        for (back, start) in tube.picks.reversed().prefix(100).enumerated()
        where back + 1 > burst(rate) + Int((now - start) / interval(rate)) {
            return "the rate was exceeded"
        }
        return nil
    }

    private func interval(_ rate: Rate) -> Int64 {
        let span: Int64 = rate.span == .second ? 1_000_000_000 : 60_000_000_000
        return (span + Int64(rate.count) - 1) / Int64(rate.count)
    }

    private func burst(_ rate: Rate) -> Int { max(1, Int(rate.count) / (rate.span == .second ? 1 : 60)) }

    /// Whether one more job of the tube would exceed nothing.
    private func mayBeServed(_ tube: borrowing Tube) -> Bool {
        if tube.pausedUntil > now || tube.reserved.count >= tube.concurrency ?? .max { return false }
        guard let rate = tube.rate else { return true }
        return !tube.picks.reversed().prefix(100).enumerated().contains { back, start in
            back + 2 > burst(rate) + Int((now - start) / interval(rate))
        }
    }

    /// No worker waits while there is a job in a tube that it watches and that may be served.
    private mutating func idleWorker() -> String? {
        for worker in 1..<lists.count where waits[worker] {
            for tube in lists[worker] where !tubes[tube].ready.isEmpty {
                if mayBeServed(tubes[tube]) { return "worker \(worker) waits in vain for jobs of \(tubes[tube].name)" }
                waitsAtLimits += 1
            }
        }
        return nil
    }
}
