// SPDX-License-Identifier: MIT

/// Makes up what clients do, from a seed: few clients, few tubes, few priorities, so that they get in each other's way;
/// numbers at the edges; time that likes to land on a deadline or beside it.
///
/// Each seed has a character of its own: some commands are switched off, others come more often (swarm testing, Groce
/// and others, ISSTA 2012): a bug that needs a long queue isn't found where every other command is a delete.
public struct WorkloadGenerator: Sendable {
    private enum Kind: CaseIterable {
        case put
        case reserve
        case reserveWithTimeout
        case reserveJob
        case delete
        case release
        case bury
        case touch
        case use
        case watch
        case ignore
        case peek
        case kick
        case kickJob
        case serverStatistics
        case otherStatistics
        case lists
        case pauseTube
        case nonsense
        case quit
    }

    private static let names = [
        "default", "a", "b", "mail", "x-1+/;.$_()", String(repeating: "n", count: 200),
    ]

    private var random: SeededGenerator
    /// Each kind as often as it weighs.
    private var kinds: [Kind] = []
    private let tubes: [String]
    private let mostClients: Int
    /// How many steps in a hundred let time pass.
    private let timePercent: Int
    private let delays: [UInt32]
    private let ttrs: [UInt32]
    private let priorities: [UInt32]
    private let maxJobSize: UInt32
    private var lastClient = 0

    /// The workload of a seed, for a server with that limit.
    public init(seed: UInt64, maxJobSize: UInt32) {
        var random = SeededGenerator(seed: seed)
        self.maxJobSize = maxJobSize
        for kind in Kind.allCases where !random.chance(percent: 25) {
            let weight = kind == .put || kind == .reserve ? 6 : kind == .quit ? 1 : 3
            kinds += Array(repeating: kind, count: 1 + random.below(weight))
        }
        if !kinds.contains(.put) { kinds += [.put, .put] }
        tubes = Array(Self.names.prefix(1 + random.below(Self.names.count)))
        mostClients = 1 + random.below(7)
        timePercent = random.one(of: [2, 10, 30])
        delays = random.one(of: [[0], [0, 0, 0, 1, 2, 5], [0, 1, 3, .max], [1, 2]])
        ttrs = random.one(of: [[0, 1], [1, 2, 3], [0, 2, 60, .max], [120]])
        priorities = random.one(of: [[7], [0, 1, 2], [1023, 1024, 1025], [0, 5, 1023, 1024, .max - 1, .max]])
        self.random = random
    }

    /// What happens next, given how things stand.
    public mutating func next(_ model: ReferenceModel) -> WorkloadStep {
        let clients = model.clientNames
        if clients.isEmpty || (clients.count < mostClients && random.chance(percent: 8)) {
            lastClient += 1
            return .connect(lastClient)
        }
        if random.chance(percent: timePercent) { return .advance(to: time(model)) }
        if random.below(200) == 0 { return .drain(!model.isDraining) }
        let client = random.one(of: clients)
        if random.below(60) == 0 { return random.chance(percent: 60) ? .disconnect(client) : .endInput(client) }
        if model.isWaiting(client) { return .advance(to: time(model)) }
        if let size = model.announcedSize(by: client) {
            return .perform(.body(random.bytes(size), endsWithCRLF: !random.chance(percent: 4)), by: client)
        }
        return .perform(command(model, client), by: client)
    }

    // MARK: Time

    /// A time at or after now, often a deadline, the start of a safety margin, or a nanosecond beside one.
    private mutating func time(_ model: ReferenceModel) -> Int64 {
        let second: Int64 = 1_000_000_000
        let now = model.now
        var target: Int64
        switch random.below(10) {
        case 0: target = now
        case 1: target = now + 1
        case 2: target = now + Int64(random.below(1_000_000_000))
        case 3: target = now + second * Int64(1 + random.below(10))
        case 4: target = now + (random.chance(percent: 20) ? 86_400 * second : second)
        default:
            let times = model.eventTimes
            target = times.isEmpty ? now + second : random.chance(percent: 70) ? times[0] : random.one(of: times)
            if random.chance(percent: 20) { target -= second }
            if random.chance(percent: 30) { target += random.chance(percent: 50) ? 1 : -1 }
        }
        // Some decades are enough; later ones would bring deadlines beyond what the clock can count.
        target = min(target, 1 << 60)
        return max(target, now)
    }

    // MARK: Commands

    private mutating func command(_ model: ReferenceModel, _ client: Int) -> ClientCommand {
        switch random.one(of: kinds) {
        case .put: put()
        case .reserve: .reserve
        case .reserveWithTimeout: .reserveWithTimeout(seconds: random.one(of: [0, 0, 1, 2, 5, 2_147_483_647]))
        case .reserveJob: .reserveJob(id(model, client))
        case .delete: .delete(id(model, client))
        case .release:
            .release(id(model, client), priority: random.one(of: priorities), delay: random.one(of: delays))
        case .bury: .bury(id(model, client), priority: random.one(of: priorities))
        case .touch: .touch(id(model, client))
        case .use: .use(random.one(of: tubes))
        case .watch: .watch(random.one(of: tubes))
        case .ignore: .ignore(random.one(of: tubes))
        case .peek: random.one(of: [.peek(id(model, client)), .peekReady, .peekDelayed, .peekBuried])
        case .kick: .kick(bound: random.one(of: [0, 1, 2, 3, 100, .max]))
        case .kickJob: .kickJob(id(model, client))
        case .serverStatistics: .stats
        case .otherStatistics:
            random.chance(percent: 60) ? .statsJob(id(model, client)) : .statsTube(random.one(of: tubes + ["none"]))
        case .lists: random.one(of: [.listTubes, .listTubeUsed, .listTubesWatched])
        case .pauseTube: .pauseTube(random.one(of: tubes + ["none"]), seconds: random.one(of: [0, 0, 1, 2, 3, 60]))
        case .nonsense: random.one(of: [.malformed, .unknown, .pauseTubeMisnamed])
        case .quit: random.chance(percent: 10) ? .quit : .listTubeUsed
        }
    }

    private mutating func put() -> ClientCommand {
        let sizes = [0, 1, 2, 5, maxJobSize - 1, maxJobSize, maxJobSize + 1, .max]
        let size = random.chance(percent: 60) ? UInt32(random.below(9)) : random.one(of: sizes)
        return .put(
            priority: random.one(of: priorities), delay: random.one(of: delays), ttr: random.one(of: ttrs),
            size: min(size, size > maxJobSize ? .max : maxJobSize), hasTrailingBytes: random.chance(percent: 2))
    }

    /// The id of a job: mostly one that there is, mostly of the client's own, sometimes one that never was.
    private mutating func id(_ model: ReferenceModel, _ client: Int) -> UInt64 {
        let own = model.reservedIDs(by: client)
        if !own.isEmpty, random.chance(percent: 60) { return random.one(of: own) }
        let all = model.jobIDs
        if !all.isEmpty, random.chance(percent: 80) { return random.one(of: all) }
        return random.one(of: [0, 1, model.highestID, model.highestID + 1, .max, UInt64(random.below(20))])
    }
}
