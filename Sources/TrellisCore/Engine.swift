// SPDX-License-Identifier: MIT

/// The work queue itself: jobs, tubes, watch lists and waiting workers, and every command on them.
///
/// The engine is one serial owner of all state. It knows no file, socket, clock or thread: commands and times go in,
/// effects come out, and the same commands and times give the same effects. It knows connections by id only.
///
/// One turn: `advance(to:)`; any number of `connect`, `perform`, `completePut`, `disconnect`; one `step` if `hasWork`;
/// `commit`. Effects can be taken out with `nextEffect` at any time; replies may be let out when the store says that
/// what was appended before is safe.
///
/// It is a struct that can't be copied and is best kept behind a `let` pointer: method calls on a class, or on a
/// variable of one, pay for an exclusivity check at each access (905 instead of 704 instructions a request).
///
/// - Complexity: no command costs in proportion to the number of tubes, connections, waiters or jobs; the depth of a
///   queue costs a logarithm. Listing costs the length of the list; `watch`, `ignore`, a wait and a disconnection at
///   most the length of the client's own watch list.
public struct Engine: ~Copyable {
    var limits: EngineLimits
    let identity: ServerIdentity
    let storage: any Storage
    /// Whether the store is told of changes.
    let isLogged: Bool
    let scheduler: any Scheduler
    /// Whether the answers of the scheduler are checked.
    var isSchedulerChecked: Bool
    var tubeRules: TubeRules
    let processorTime: () -> ProcessorTime
    let startedAt: Instant

    var bodies = BodyAllocator()
    var jobs = JobSlab()
    var index = JobIndex()
    var tubes = Table<TubeRecord>()
    var sessions = Table<SessionRecord>()
    var watchSets = Table<WatchSetRecord>()
    /// How often each index of a connection was used.
    var generations: [UInt32] = []
    /// Tubes by the hash of their name, watch sets by that of their list; equal hashes are chained.
    var tubesByHash: [Int: UInt32] = [:]
    var setsByHash: [UInt64: UInt32] = [:]
    /// Tubes that a closing connection watched.
    var pendingTubes: [UInt32] = []
    var oldestTube = none
    var newestTube = none

    var now: Instant
    /// What must be added to an instant to get the wall clock's time, in nanoseconds.
    var wallOffset: Int64
    let timers: UnsafeMutablePointer<QuaternaryHeap<TimerEntry>>
    var work: [LongWork] = []
    var effects = EffectQueue()

    var nextJobID: UInt64 = 1
    var nextWaiterNumber: UInt64 = 1
    /// The number of the change made last.
    var sequence: UInt64 = 0
    /// The memory of all jobs and of bodies that were announced, in bytes, as it counts against the limit.
    var jobMemory: UInt64 = 0

    var counters = CommandCounters()
    /// The counters of jobs, by slot, that don't fit into their records.
    var largeCounters: [UInt32: JobCounters] = [:]
    var timeouts: UInt64 = 0
    var totalJobs: UInt64 = 0
    var totalConnections: UInt64 = 0
    var connectionCount = 0
    var producerCount = 0
    var workerCount = 0
    var waitingCount = 0
    var totals = StateCounts()
    var outcomes = PolicyCounters()

    /// In drain mode every put is refused; all else goes on.
    public var isDraining = false

    /// The server stops: that it closes a connection is no failure of the jobs which go back.
    public var isStopping = false

    /// An engine without jobs.
    ///
    /// The store must be open; call `recover` next.
    public init(
        limits: EngineLimits, tubeRules: TubeRules = TubeRules(), identity: ServerIdentity, storage: any Storage,
        scheduler: any Scheduler, start: Moment, processorTime: @escaping () -> ProcessorTime
    ) {
        self.limits = limits
        self.tubeRules = tubeRules
        self.identity = identity
        self.storage = storage
        isLogged = storage.keepsJobs
        self.scheduler = scheduler
        isSchedulerChecked = scheduler is any CheckedScheduler
        self.processorTime = processorTime
        now = start.monotonic
        startedAt = start.monotonic
        wallOffset = start.wallNanoseconds - start.monotonic.nanoseconds
        timers = .allocate(capacity: 1)
        timers.initialize(to: QuaternaryHeap())
        scheduler.advance(to: now)
        makeDefaults()
    }

    /// Bodies that somebody still holds go with it: release them before.
    deinit {
        timers.pointee.deallocate()
        timers.deallocate()
        for index in 0..<tubes.end where Self.isAlive(tubes[index]) || index == 0 {
            Self.dismantle(tubes[index])
        }
        // The heap of a connection that is gone has no memory.
        for index in 0..<sessions.end { sessions[index].pointee.reservations.deallocate() }
        for first in setsByHash.values {
            var set = first
            while set != none {
                watchSets[set].pointee.deallocate()
                set = watchSets[set].pointee.nextSameHash
            }
        }
        Self.releaseBodies(bodies, ofJobs: index, in: jobs, ofReplies: effects)
    }

    private static func isAlive(_ tube: UnsafeMutablePointer<TubeRecord>) -> Bool {
        tube.pointee.isNeeded || tube.pointee.lingers
    }

    private static func releaseBodies(
        _ bodies: consuming BodyAllocator, ofJobs index: borrowing JobIndex, in jobs: borrowing JobSlab,
        ofReplies effects: consuming EffectQueue
    ) {
        index.forEachSlot { slot in
            if let body = jobs[slot].pointee.body { bodies.release(body) }
        }
        while let effect = effects.popFirst() {
            if let body = effect.reply.body { bodies.release(body) }
        }
    }

    private mutating func makeDefaults() {
        let name: StaticString = "default"
        let index = name.withUTF8Buffer { findOrMakeTube(BorrowedName(UnsafeRawBufferPointer($0))) }
        precondition(index == TubeIndex.defaultTube.index, "the default tube must be the first")
        let list = [TubeIndex.defaultTube]
        let set = list.withUnsafeBufferPointer { list in
            watchSets.allocate { _ in WatchSetRecord(copying: list, hash: WatchSetRecord.extend(0, index)) }
        }
        precondition(set == Self.defaultWatchSet, "the default watch set must be the first")
        setsByHash[watchSets[set].pointee.hash] = set
    }

    /// What was decoded for a connection, done.
    public mutating func perform(_ command: Command, from connection: ConnectionID) -> Verdict {
        let session = open(connection)
        let client = connection.index
        switch command {
        case .put(let line): return beginPut(line, session, client)
        case .reserve: return reserve(session, client, until: .never)
        case .reserveWithTimeout(let seconds):
            counters.reserveWithTimeout += 1
            return reserve(session, client, until: now.advanced(bySeconds: seconds), hasTimeout: true)
        case .reserveJob(let id): reserveJob(id, client)
        case .delete(let id): delete(id, client)
        case .release(let id, let priority, let delay): release(id, priority, delay, client)
        case .bury(let id, let priority): bury(id, priority, client)
        case .touch(let id): touch(id, client)
        case .use(let name): use(name, session, client)
        case .watch(let name):
            counters.watch += 1
            push(.watching(watch(findOrMakeTube(name), by: session)), to: client)
        case .ignore(let name): ignore(name, session, client)
        case .peek(let id):
            counters.peek += 1
            show(index.slot(of: id), client)
        case .peekReady:
            counters.peekReady += 1
            show(peek(session.pointee.used), client)
        case .peekDelayed:
            counters.peekDelayed += 1
            show(tubes[session.pointee.used].pointee.delays.first?.slot, client)
        case .peekBuried:
            counters.peekBuried += 1
            let first = tubes[session.pointee.used].pointee.firstBuried
            show(first == none ? nil : first, client)
        case .kick(let bound): return kick(bound, session, client)
        case .kickJob(let id): kickJob(id, client)
        case .stats, .statsJob, .statsTube, .listTubes, .listTubeUsed, .listTubesWatched:
            answerQuestion(command, session, client)
        case .pauseTube(let name, let seconds): pause(name, seconds, client)
        case .pauseTubeMisnamed:
            counters.pauseTube += 1
            push(.badFormat, to: client)
        case .quit: return .close
        }
        return .next
    }

    /// Answers a line that is no command.
    public mutating func refuse(_ fault: SyntaxFault, from connection: ConnectionID) {
        switch fault {
        case .badFormat: send(.badFormat, to: connection)
        case .unknownCommand: send(.unknownCommand, to: connection)
        }
    }

    /// Adds a reply of the caller's to the effects; the end of a swallowed body is the occasion.
    public mutating func send(_ reply: Reply, to connection: ConnectionID) {
        effects.append(Effect(connection: connection, reply: reply))
    }

    /// The oldest effect that wasn't taken out yet.
    ///
    /// Whoever takes it out releases its body.
    @inline(__always)
    public mutating func nextEffect() -> Effect? { effects.popFirst() }

    /// A body to receive bytes into, with one reference; nil where the system has no memory.
    public mutating func makeBody(_ count: Int) -> Body? { bodies.allocate(count) }

    /// Changes the length of a body that is still being received and longer than 64 KiB both before and after.
    public mutating func resizeBody(_ body: Body, to count: Int) -> Body? { bodies.resize(body, to: count) }

    /// Gives up a reference to a body.
    @inline(__always)
    public mutating func release(_ body: Body) { bodies.release(body) }

    /// Closes the turn: answers whether the replies made in it may go out.
    public mutating func commit() throws(StorageError) -> Commit { try storage.commit() }

    @inline(__always)
    mutating func push(_ reply: Reply, to client: UInt32) {
        effects.append(
            Effect(
                connection: ConnectionID(index: client, generation: sessions[client].pointee.generation),
                reply: reply))
    }
}
