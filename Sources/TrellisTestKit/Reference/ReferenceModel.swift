// SPDX-License-Identifier: MIT

public import TrellisCore

/// The whole server as its clients see it, in the slowest and most obvious way: the judge of the real engine.
///
/// Everything is an array that is walked from end to end; no code is shared with the engine. Replies are the bytes
/// that a client sees on the wire. Nothing is ever due by itself: the caller says what time it is (`advance`).
///
/// Where the real beanstalkd and Trellis differ, the model does as Trellis: waiting workers are served first come,
/// first served, `list-tubes` keeps the order of creation and `list-tubes-watched` that of watching, a half-received
/// job is visible to nobody. A closed connection gives its jobs back in the order of their deadlines.
public struct ReferenceModel: Sendable {
    /// Bytes for one client.
    public struct Answer: Hashable, Sendable {
        /// The client, as it was named when it connected.
        public var client: Int
        /// What it receives.
        public var bytes: [UInt8]

        /// Puts the two together.
        public init(client: Int, bytes: [UInt8]) {
            self.client = client
            self.bytes = bytes
        }

        /// The bytes as text, for messages.
        public var text: String { String(decoding: bytes, as: UTF8.self) }
    }

    enum State: String {
        case ready
        case delayed
        case reserved
        case buried
    }

    struct Job {
        var id: UInt64
        var tube: String
        var priority: UInt32
        var delay: UInt32
        var ttr: UInt32
        var body: [UInt8]
        var created: Int64
        var state: State
        /// When a delayed job is ready and a reserved one expires.
        var deadline: Int64 = 0
        /// The client that has reserved it.
        var holder: Int?
        /// Reserved jobs of a client that is gone go back in this order.
        var reservation = 0
        /// Buried jobs come out in this order.
        var burial = 0
        var reserves = 0
        var timeouts = 0
        var releases = 0
        var buries = 0
        var kicks = 0
        var failures = 0
    }

    struct Tube {
        var name: String
        /// Breaks ties between tubes for which something is due at the same time.
        var index: Int
        var pausedUntil: Int64?
        var pauseSeconds: UInt32 = 0
        var totalJobs = 0
        var deletes = 0
        var pauses = 0
        /// What was said of the tube by its name; nil where nothing was.
        var settings: TubeSettings?
        /// What has run into the tube's bucket since the time, in nanoseconds: an interval of the rate is a token.
        var level: (nanoseconds: Int64, since: Int64) = (0, 0)
        /// Whether no job is given out until the next token.
        var waitsForToken = false
        /// Whether it only stays until its bucket is full.
        var lingers = false
        /// What came of its policy.
        var outcomes = Outcomes()
    }

    /// What came of policies.
    struct Outcomes {
        var refused = 0
        var exhausted = 0
        var expired = 0
        var deadLettered = 0
    }

    /// What a put line announced, until its body is there.
    enum Announced {
        case job(Job)
        /// Nobody wants it; that is what is answered behind it.
        case refused(String)
    }

    struct Client {
        var name: Int
        /// Breaks ties between clients for which something is due at the same time.
        var index: Int
        var used = "default"
        var watched = ["default"]
        var isProducer = false
        var isWorker = false
        /// When the wait of a waiting client ends; nil where it doesn't wait.
        var waitsUntil: Int64?
        var announced: Announced?
    }

    /// How an index is given out: that which was given back last, else the next one.
    struct Indexes {
        var next = 0
        var free: [Int] = []

        mutating func take() -> Int {
            if let last = free.popLast() { return last }
            next += 1
            return next - 1
        }
    }

    static let never = Int64.max
    static let second: Int64 = 1_000_000_000

    let maxJobSize: UInt32
    let identity: ServerIdentity
    let start: Int64
    /// What holds for the tubes of these names.
    let tubeSettings: [String: TubeSettings]

    /// The time, in nanoseconds; `advance` sets it.
    public internal(set) var now: Int64

    /// Whether the server takes no new jobs.
    public var isDraining = false

    /// In ascending order of id.
    var jobs: [Job] = []
    /// In order of creation.
    var tubes: [Tube] = []
    var clients: [Client] = []
    /// The names of waiting clients, first come first.
    var waiters: [Int] = []
    /// How many reservations there were.
    var reservations = 0

    var lastID: UInt64 = 0
    var lastBurial = 0
    var tubeIndexes = Indexes(next: 1)
    var clientIndexes = Indexes()
    var answers: [Answer] = []

    /// How often each command came, by its word.
    var counts: [String: Int] = [:]
    var timeouts = 0
    var totalJobs = 0
    var totalConnections = 0
    var outcomes = Outcomes()

    /// A server that starts now, without jobs or clients.
    public init(
        maxJobSize: UInt32 = 65_535, tubeSettings: [String: TubeSettings] = [:], identity: ServerIdentity,
        now: Int64 = 0
    ) {
        self.maxJobSize = maxJobSize
        self.tubeSettings = tubeSettings
        self.identity = identity
        self.start = now
        self.now = now
        makeTube("default", index: 0)
    }

    // MARK: Clients

    /// A client connects, under a name that the caller gives it and that no connected client has.
    public mutating func connect(_ name: Int) {
        precondition(!clientNames.contains(name), "client \(name) is connected already")
        totalConnections += 1
        clients.append(Client(name: name, index: clientIndexes.take()))
    }

    /// A client is gone; its jobs go back.
    public mutating func disconnect(_ name: Int) -> [Answer] {
        guard let place = clients.firstIndex(where: { $0.name == name }) else { return [] }
        waiters.removeAll { $0 == name }
        let client = clients.remove(at: place)
        // An index given back last is the first taken again, so the order is the engine's: the used tube goes first,
        // unless it is watched too.
        if !client.watched.contains(client.used) { removeTubeIfUnneeded(client.used) }
        for tube in client.watched.reversed() { removeTubeIfUnneeded(tube) }
        while let job = firstReserved(by: name) { takeBack(job.id) }
        clientIndexes.free.append(client.index)
        return takeAnswers()
    }

    /// A client will send no more; the caller disconnects it when it has had its last answer.
    public mutating func endInput(_ name: Int) -> [Answer] {
        if waiters.contains(name) {
            stopWaiting(name)
            answer(name, "TIMED_OUT")
        }
        return takeAnswers()
    }

    /// Whether the client is connected and the server would look at this next from it: nothing while it waits, a body
    /// after the line of a put and only then.
    public func canPerform(_ command: ClientCommand, by name: Int) -> Bool {
        guard let client = clients.first(where: { $0.name == name }), !waiters.contains(name) else { return false }
        if case .body = command { return client.announced != nil }
        return client.announced == nil
    }

    // MARK: What the driver of a simulation may want to know

    /// The names of the clients, in order of connection.
    public var clientNames: [Int] { clients.map(\.name) }
    /// Whether the client waits for a job.
    public func isWaiting(_ name: Int) -> Bool { waiters.contains(name) }
    /// The size of the body that the client has announced; nil where the next thing from it is a command.
    public func announcedSize(by name: Int) -> Int? {
        guard let announced = clients.first(where: { $0.name == name })?.announced else { return nil }
        switch announced {
        case .job(let job): return job.body.count
        case .refused: return 0
        }
    }
    /// The ids of all jobs, ascending.
    public var jobIDs: [UInt64] { jobs.map(\.id) }
    /// The ids of the jobs that the client has reserved, ascending.
    public func reservedIDs(by name: Int) -> [UInt64] { jobs.filter { $0.holder == name }.map(\.id) }
    /// The highest id given out.
    public var highestID: UInt64 { lastID }
    /// The names of all tubes, in order of creation.
    public var tubeNames: [String] { tubes.map(\.name) }
}
