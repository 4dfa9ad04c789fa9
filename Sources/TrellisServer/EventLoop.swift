// SPDX-License-Identifier: MIT

internal import CLinux
internal import Glibc
internal import Logging
internal import TrellisCore
internal import TrellisWire

/// The loop: waits for events, runs commands on the engine, lets replies out when the store has made them safe.
///
/// One turn: due timers; one read for each readable connection, or another one behind a full one, its commands decoded
/// and performed; one commit; one write for each connection with new output. Kept behind a pointer, as the engine is.
///
/// A loop has its engine alone, or shares it with others (`EventLoop+Shared`): then the commands of a turn are gathered
/// first and performed together, and nothing but what is said to be inside touches the engine.
struct EventLoop: ~Copyable {
    static var eventsPerWait: Int { 256 }
    /// The most that one read takes.
    static var readBytes: Int { 64 << 10 }
    /// The most of a large body that is read, or written, for a connection before others have their turn.
    ///
    /// A peer on another core may keep up with the loop, so that the system's buffers alone set no bound.
    static var bodyBytesPerTurn: Int { 256 << 10 }
    /// Bodies from this size on come straight to their place: a copy of them costs more than another read.
    static var largeBody: Int { 16 << 10 }
    /// What is read where such a body is expected: its command, and its first bytes with it.
    static var bytesBeforeLargeBody: Int { 4 << 10 }
    /// What is read behind such a body: the end of its line and a command.
    static var bytesBehindLargeBody: Int { 512 }

    /// What an epoll token stands for.
    ///
    /// Connections have their id; the rest has the highest bit.
    enum Token {
        static let mailbox: UInt64 = 1 << 63
        static let signals: UInt64 = 1 << 63 | 1
        static let firstListener: UInt64 = 1 << 63 | 2

        static func connection(_ id: ConnectionID) -> UInt64 {
            UInt64(id.generation & 0x7FFF_FFFF) << 32 | UInt64(id.index)
        }
    }

    /// The room made for a body that comes in parts, if it is that large, before it grows.
    ///
    /// The system gives memory when it is written to, so a size that was only announced takes none.
    static var bodyBytesAtFirst: Int { 4 << 20 }

    let engine: UnsafeMutablePointer<Engine>
    /// What it has in common with other loops; nil where it has the engine alone.
    let gate: EngineGate?
    /// The loop's number; the one that accepts, and answers signals, has 0.
    let number: Int
    let storage: any Storage
    var settings: ServerSettings
    let logger: Logger
    let mailbox: Mailbox
    let poller: Int32
    let signals: SignalDescriptor?
    var connectionLimit: Int
    /// How the configuration is read again, and what is going on of it.
    var reloading = Reloading()

    var listeners: [OpenListener] = []
    var isAccepting = true
    /// When accepting is tried again after descriptors ran out.
    var acceptRetry = Instant.never
    /// A pause before this isn't told of: the last one just was.
    var nextPauseWarning = Instant(nanoseconds: .min)
    var hasWarnedOfPause = false

    /// Connections by the index of their id.
    var connections: [UnsafeMutablePointer<Connection>?] = []
    var connectionCount = 0
    var dirty: [UInt32] = []
    /// The ones of `dirty` while they are being sent to.
    var flushing: [UInt32] = []
    var resumable: [UInt32] = []
    var closing: [UInt32] = []
    var held = HeldReplies()
    /// Outputs that no connection has at the moment.
    var spareOutputs: [UnsafeMutablePointer<Output>] = []
    /// What goes to a shared engine and comes from it.
    var exchange = Exchange()
    /// Connections with replies that don't know yet what they wait for.
    var fresh: [UInt32] = []

    /// Room for what a connection left over and one read behind it; for a batch of them where the engine is shared.
    var input: UnsafeMutableRawBufferPointer
    let events: UnsafeMutablePointer<epoll_event>

    var now: Instant
    var isStopping = false
    /// Whether the store has more to do at once.
    var hasMaintenance = false
    /// Whether the store can take no more, so that no client is read.
    var isCongested = false

    init(
        engine: UnsafeMutablePointer<Engine>, gate: EngineGate? = nil, number: Int = 0,
        storage: any Storage, settings: ServerSettings, logger: Logger, mailbox: Mailbox, signals: SignalDescriptor?,
        connectionLimit: Int
    ) throws(ServerError) {
        self.engine = engine
        self.gate = gate
        self.number = number
        self.storage = storage
        self.settings = settings
        self.logger = logger
        self.mailbox = mailbox
        self.signals = signals
        self.connectionLimit = connectionLimit
        now = Clock.now().monotonic
        input = .allocate(byteCount: Self.inputRoom(settings, isShared: gate != nil), alignment: 64)
        events = .allocate(capacity: Self.eventsPerWait)
        poller = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard poller >= 0 else { throw .system("can't make an epoll set", errno) }
        watch(mailbox.descriptor, Token.mailbox)
        if let signals { watch(signals.descriptor, Token.signals) }
    }

    /// How large `input` must be.
    var inputRoom: Int { Self.inputRoom(settings, isShared: gate != nil) }

    private static func inputRoom(_ settings: ServerSettings, isShared: Bool) -> Int {
        settings.inputBytes + 2 * readBytes + (isShared ? Exchange.batchBytes : 0)
    }

    deinit {
        for case let connection? in connections {
            connection.deinitialize(count: 1)
            connection.deallocate()
        }
        for output in spareOutputs {
            _ = output.pointee.dismantle()
            output.deinitialize(count: 1)
            output.deallocate()
        }
        input.deallocate()
        events.deallocate()
        close(poller)
    }

    /// Runs turns until somebody asks to stop.
    ///
    /// Throws when the store can't go on.
    mutating func run() throws(ServerError) {
        while !isStopping { try turn() }
    }

    /// One turn.
    ///
    /// It waits for something to do, but no longer than the time given, in milliseconds.
    mutating func turn(waitAtMost limit: Int32 = .max) throws(ServerError) {
        guard gate == nil else { return try turnShared(waitAtMost: limit) }
        let wait = waitMilliseconds()
        let timeout = limit == .max ? wait : wait < 0 ? limit : min(wait, limit)
        let count = waitForEvents(timeout)
        let moment = Clock.now()
        now = moment.monotonic
        engine.pointee.advance(to: moment)
        deliver()
        if count > 0 {
            for position in 0..<Int(count) { handle(events[position]) }
        }
        if acceptRetry <= now { resumeAccepting() }
        if !isCongested { resume() }
        if engine.pointee.hasWork {
            engine.pointee.step()
            deliver()
        }
        try commit()
        flush()
        closeFinished()
    }

    func waitForEvents(_ timeout: Int32) -> Int32 {
        isCongested ? waitForStore(timeout) : epoll_wait(poller, events, Int32(Self.eventsPerWait), timeout)
    }

    /// Waits while the store can take no more: for the store itself, signals and other threads, not for clients.
    private func waitForStore(_ timeout: Int32) -> Int32 {
        var wanted = [
            pollfd(fd: mailbox.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: signals?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
        ]
        guard poll(&wanted, 2, timeout) > 0 else { return 0 }
        var count = 0
        for (entry, token) in zip(wanted, [Token.mailbox, Token.signals]) where entry.revents != 0 {
            events[count] = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(u64: token))
            count += 1
        }
        return Int32(count)
    }

    func waitMilliseconds() -> Int32 {
        if !dirty.isEmpty || (!resumable.isEmpty && !isCongested) { return 0 }
        let next: Instant
        if gate == nil {
            if engine.pointee.hasWork || hasMaintenance { return 0 }
            next = engine.pointee.nextDeadline
        } else {
            if exchange.isUrgent { return 0 }
            next = exchange.alarm
        }
        let deadline = min(next, acceptRetry)
        guard deadline != .never else { return -1 }
        let left = deadline.nanoseconds - Clock.now().monotonic.nanoseconds
        if left <= 0 { return 0 }
        // Rounded up: waking a little early would mean turns that do nothing until the deadline is there.
        return Int32(clamping: (left + 999_999) / 1_000_000)
    }

    mutating func handle(_ event: epoll_event) {
        let token = event.data.u64
        guard token & (1 << 63) == 0 else {
            switch token {
            case Token.mailbox: readMail()
            case Token.signals: readSignals()
            default: accept(from: Int(token - Token.firstListener))
            }
            return
        }
        guard let connection = find(token) else { return }
        let happened = event.events
        if happened & EPOLLOUT.rawValue != 0 {
            connection.pointee.awaitsRoom = false
            markDirty(connection)
        }
        guard happened & ~EPOLLOUT.rawValue != 0 else { return }
        connection.pointee.hasUnread = true
        if happened & ~(EPOLLIN.rawValue | EPOLLOUT.rawValue) != 0 {
            connection.pointee.mayHaveEnded = true
            if happened & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 { connection.pointee.isGone = true }
        }
        receive(connection)
    }

    private mutating func readMail() {
        let notes = mailbox.take()
        if notes.shouldStop { isStopping = true }
        if notes.shouldDrain { drain() }
        if notes.shouldReload { reload() }
        if let outcome = notes.reloaded { finishReload(outcome) }
        for index in notes.listeners { accept(from: index) }
        for token in notes.streams {
            guard let connection = find(token) else { continue }
            connection.pointee.awaitsRoom = false
            markDirty(connection)
            if isCongested {
                // It isn't told of again: it is read with those that left something over.
                markResumable(connection)
            } else {
                receive(connection)
            }
        }
    }

    private mutating func readSignals() {
        guard let signals else { return }
        while let signal = signals.next() {
            switch signal {
            case SIGUSR1: drain()
            case SIGHUP: reload()
            default:
                logger.info("got \(signal == SIGINT ? "SIGINT" : "SIGTERM")")
                isStopping = true
            }
        }
    }

    private mutating func drain() {
        let engine = engine
        func begin() -> Bool {
            defer { engine.pointee.isDraining = true }
            return !engine.pointee.isDraining
        }
        guard gate?.enter(as: number, { _ in begin() }) ?? begin() else { return }
        logger.notice("draining: puts are refused from now on; restart to end it")
    }

    // MARK: Commit

    private mutating func commit() throws(ServerError) {
        let answer: Commit
        do throws(StorageError) {
            hasMaintenance = try engine.pointee.maintain()
            answer = try engine.pointee.commit()
            isCongested = storage.isCongested
            if !held.isEmpty { letOut(upTo: answer == .durable ? Ticket(.max) : try storage.completed()) }
        } catch {
            refuseHeld()
            throw .storage(error)
        }
        switch answer {
        case .durable:
            for index in dirty {
                guard let output = connections[Int(index)]?.pointee.output else { continue }
                output.pointee.release(upTo: output.pointee.mark)
            }
        case .pending(let ticket):
            for index in dirty {
                guard let connection = connections[Int(index)], let output = connection.pointee.output,
                    output.pointee.mark != output.pointee.releasedMark
                else { continue }
                hold(connection, ticket)
            }
        }
    }

    /// Keeps what the connection is to be sent until the ticket is complete.
    mutating func hold(_ connection: UnsafeMutablePointer<Connection>, _ ticket: Ticket) {
        guard let output = connection.pointee.output else { return }
        held.append(.init(ticket: ticket, connection: connection.pointee.id, mark: output.pointee.mark))
    }

    mutating func letOut(upTo ticket: Ticket) {
        while let reply = held.popFirst(upTo: ticket) {
            guard let connection = find(Token.connection(reply.connection)), let output = connection.pointee.output
            else { continue }
            output.pointee.release(upTo: reply.mark)
            markDirty(connection)
        }
    }

    /// The store failed: nobody is told that a change was made which may not have been.
    mutating func refuseHeld() {
        for case let connection? in connections {
            guard let output = connection.pointee.output else { continue }
            let hadUnreleased = output.pointee.mark != output.pointee.releasedMark
            for body in output.pointee.dropUnreleased() { giveBack(body) }
            guard hadUnreleased else { continue }
            _ = output.pointee.append(.internalError)
            output.pointee.release(upTo: output.pointee.mark)
            send(connection)
        }
    }

    // MARK: Helpers

    /// Gives up a reference to a body, at once or at the next entry into a shared engine.
    @inline(__always)
    mutating func giveBack(_ body: Body) {
        if gate == nil { engine.pointee.release(body) } else { exchange.giveBack(body) }
    }

    /// The connection of a token, if it is still there.
    @inline(__always)
    func find(_ token: UInt64) -> UnsafeMutablePointer<Connection>? {
        let index = Int(truncatingIfNeeded: token & 0xFFFF_FFFF)
        guard index < connections.count, let connection = connections[index],
            Token.connection(connection.pointee.id) == token
        else { return nil }
        return connection
    }

    @inline(__always)
    mutating func markDirty(_ connection: UnsafeMutablePointer<Connection>) {
        guard !connection.pointee.isDirty else { return }
        connection.pointee.isDirty = true
        dirty.append(connection.pointee.id.index)
    }

    /// Puts a descriptor into the epoll set, for input.
    func watch(_ descriptor: Int32, _ token: UInt64) {
        _ = clinux_epoll_add(poller, descriptor, EPOLLIN.rawValue, token)
    }
}

/// Replies that wait for the store, oldest first.
struct HeldReplies {
    struct Reply {
        var ticket: Ticket
        var connection: ConnectionID
        var mark: Output.Mark
    }

    private var replies: [Reply] = []
    private var head = 0

    var isEmpty: Bool { head == replies.count }

    mutating func append(_ reply: Reply) { replies.append(reply) }

    /// The oldest one, if its ticket is complete.
    mutating func popFirst(upTo ticket: Ticket) -> Reply? {
        guard head < replies.count, replies[head].ticket <= ticket else { return nil }
        let first = replies[head]
        head += 1
        if head == replies.count {
            replies.removeAll(keepingCapacity: true)
            head = 0
        } else if head > 4096 && head * 2 > replies.count {
            replies.removeFirst(head)
            head = 0
        }
        return first
    }
}
