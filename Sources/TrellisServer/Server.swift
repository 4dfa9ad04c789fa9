// SPDX-License-Identifier: MIT

internal import CLinux
internal import Glibc
public import Logging
internal import Synchronization
public import TrellisCore
internal import TrellisSockets

/// A work-queue server: an engine, a store, a scheduler and the places where clients come in.
///
/// `run` serves until somebody asks it to stop (`stop`, SIGTERM or SIGINT), on the thread that calls it.
public final class Server {
    private let settings: ServerSettings
    private let storage: any Storage
    private let scheduler: any Scheduler
    private let standIn: (any Scheduler)?
    private let transports: [any Transport]
    private let updates: UpdateSource?
    private let logger: Logger
    private let mailbox = Mailbox()

    /// How long a stop waits for the store and for clients to take their last replies, in nanoseconds.
    private static let stopNanoseconds: Int64 = 5_000_000_000

    /// The most loops where their number isn't configured: a cautious bound, for all of them enter one engine.
    private static let mostLoopsUnasked = 8

    /// Puts a server together; nothing is opened yet.
    ///
    /// A scheduler that was loaded needs a `standIn`, which takes over should it answer what can't be. On SIGHUP the server
    /// asks `updates` what to change; where that is nil, it says so and runs on.
    public init(
        settings: ServerSettings, storage: any Storage, scheduler: any Scheduler, standIn: (any Scheduler)? = nil,
        transports: [any Transport],
        updates: UpdateSource? = nil, logger: Logger
    ) {
        self.settings = settings
        self.storage = storage
        self.scheduler = scheduler
        self.standIn = standIn
        self.transports = transports
        self.updates = updates
        self.logger = logger
    }

    /// What other threads may use of a running server.
    public struct Control: Sendable {
        let mailbox: Mailbox

        /// Asks the server to stop: as SIGTERM does.
        public func stop() { mailbox.leave { $0.shouldStop = true } }

        /// Asks the server to refuse puts from now on: as SIGUSR1 does.
        public func drain() { mailbox.leave { $0.shouldDrain = true } }

        /// Asks the server to read its configuration again: as SIGHUP does.
        public func reload() { mailbox.leave { $0.shouldReload = true } }
    }

    /// The handle for other threads.
    public var control: Control { Control(mailbox: mailbox) }

    /// Opens everything, serves, and closes everything.
    ///
    /// Returns after a stop that was asked for.
    ///
    /// Order: listeners are opened first, so that a server which can't have its address disturbs nothing; then
    /// privileges are dropped; then the store is opened, as the user that will write it. A stop that is asked for while
    /// the store opens or recovers ends that, if the store asks.
    public func run() throws(ServerError) {
        let signals = settings.ownsProcess ? try SignalDescriptor() : nil
        if settings.ownsProcess { clinux_map_large_blocks(64 << 10) }
        let possibleConnections = Self.raiseDescriptorLimit()
        let connectionLimit = settings.connections ?? possibleConnections
        let listeners = try openListeners()
        defer { for entry in listeners { entry.listener.close() } }
        if let user = settings.user { try becomeUser(user) }
        try openScheduler()
        let stopRequest = StopRequest(signals, mailbox, logger)
        do throws(StorageError) {
            try storage.open(.readWrite, host: storageHost(stopRequest))
        } catch {
            return try giveUp(error)
        }
        let engine = UnsafeMutablePointer<Engine>.allocate(capacity: 1)
        engine.initialize(
            to: Engine(
                limits: settings.engine, tubeRules: settings.tubeRules, identity: identity(), storage: storage,
                scheduler: scheduler, start: Clock.now(), processorTime: processorTime))
        defer {
            engine.deinitialize(count: 1)
            engine.deallocate()
        }
        do throws(StorageError) {
            try recover(engine)
        } catch {
            return try giveUp(error)
        }
        let endpoints = listeners.map(\.listener.endpoint).joined(separator: ", ")
        logger.notice("trellis \(settings.version) listens on \(endpoints)")
        // One core is left to the kernel and to clients: with a loop on each they only take turns.
        let loops = settings.ioThreads ?? max(1, min(Self.mostLoopsUnasked, Int(clinux_processors()) - 1))
        if loops > 1 {
            try serveShared(
                engine, listeners, signals, stopRequest, connectionLimit: connectionLimit,
                count: min(loops, SharedEngine.mostLoops))
        } else {
            var loop = try EventLoop(
                engine: engine, storage: storage, settings: settings, logger: logger, mailbox: mailbox,
                signals: signals, connectionLimit: connectionLimit)
            prepare(&loop, listeners, stopRequest)
            var others: LoopThreads?
            try serve(&loop, &others)
        }
        logger.notice("stopped")
    }

    private func recover(_ engine: UnsafeMutablePointer<Engine>) throws(StorageError) {
        let supply = ChunkSupply()
        // With one processor nobody could do it meanwhile.
        if clinux_processors() > 1 { supply.start() }
        defer { supply.stop() }
        try engine.pointee.recover { supply.take() }
    }

    private func openScheduler() throws(ServerError) {
        guard let checked = scheduler as? any CheckedScheduler else { return }
        guard let standIn else {
            throw .scheduler(SchedulerError("this server has none to take over from a loaded one"))
        }
        let logger = logger
        do throws(SchedulerError) {
            try checked.open(standIn: standIn) { logger.error("\($0)") }
        } catch {
            throw .scheduler(error)
        }
    }

    /// Ends a start.
    private func giveUp(_ error: StorageError) throws(ServerError) {
        try? storage.close()
        guard error == .stopped else { throw .storage(error) }
        logger.notice("stopped before the start was over")
    }

    /// Serves with several loops; this thread has the first one.
    private func serveShared(
        _ engine: UnsafeMutablePointer<Engine>, _ listeners: [OpenListener], _ signals: SignalDescriptor?,
        _ stopRequest: StopRequest, connectionLimit: Int, count: Int
    ) throws(ServerError) {
        let mailboxes = [mailbox] + (1..<count).map { _ in Mailbox() }
        let gate = EngineGate(engine: engine, storage: storage, mailboxes: mailboxes)
        var loop = try EventLoop(
            engine: engine, gate: gate, storage: storage, settings: settings, logger: logger, mailbox: mailbox,
            signals: signals, connectionLimit: connectionLimit)
        var others: LoopThreads? = LoopThreads(behind: gate)
        for number in 1..<count {
            others?.add(
                try EventLoop(
                    engine: engine, gate: gate, number: number, storage: storage, settings: settings,
                    logger: logger, mailbox: mailboxes[number], signals: nil, connectionLimit: connectionLimit))
        }
        prepare(&loop, listeners, stopRequest)
        do throws(ServerError) {
            try others?.start()
        } catch {
            others?.join()
            try? storage.close()
            throw error
        }
        try serve(&loop, &others)
    }

    /// What only the first loop does.
    private func prepare(_ loop: inout EventLoop, _ listeners: [OpenListener], _ stopRequest: StopRequest) {
        for entry in listeners { loop.add(entry) }
        loop.reloading.source = updates
        loop.reloading.transportCount = transports.count
        loop.isStopping = stopRequest.isMade
    }

    private func storageHost(_ stopRequest: StopRequest) -> StorageHost {
        let mailbox = mailbox
        let logger = logger
        return StorageHost(
            wake: { mailbox.wake() },
            report: { level, text in
                switch level {
                case .info: logger.info("\(text)")
                case .warning: logger.warning("\(text)")
                }
            },
            shouldStop: { stopRequest.isMade })
    }

    private func serve(_ loop: inout EventLoop, _ others: inout LoopThreads?) throws(ServerError) {
        do throws(ServerError) {
            try loop.run()
            loop.closeListeners()
            try loop.windUp(until: Clock.now().monotonic.nanoseconds + Self.stopNanoseconds)
            others?.join()
            loop.closeAll()
            try loop.logCounters()
        } catch {
            loop.closeListeners()
            others?.join()
            loop.engine.pointee.isStopping = true
            loop.closeAll()
            try? storage.close()
            throw error
        }
        do throws(StorageError) { try storage.close() } catch { throw .storage(error) }
    }

    private func openListeners() throws(ServerError) -> [OpenListener] {
        if settings.ownsProcess {
            let inherited = InheritedSockets.take()
            if !inherited.isEmpty {
                logger.info("the service manager handed over \(inherited.count) sockets; the transports aren't opened")
                return inherited.map { OpenListener($0, transport: nil) }
            }
        }
        do throws(TransportError) {
            return try OpenListener.open(transports, firstNumber: 0)
        } catch {
            throw .transport(error)
        }
    }

    /// Lifts the soft limit of descriptors to the hard one and answers how many connections fit below it.
    static func raiseDescriptorLimit() -> Int {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(resource, &limit) == 0 else { return 1000 }
        limit.rlim_cur = limit.rlim_max
        if setrlimit(resource, &limit) != 0 { _ = getrlimit(resource, &limit) }
        // Some are kept for the log, the store and the listeners themselves.
        return max(16, Int(clamping: limit.rlim_cur) - 64)
    }

    private func identity() -> ServerIdentity {
        var names = utsname()
        uname(&names)
        var generator = SystemRandomNumberGenerator()
        let digits = String(generator.next(), radix: 16)
        return ServerIdentity(
            processID: getpid(), version: "trellis \(settings.version)",
            instanceID: String(repeating: "0", count: 16 - digits.count) + digits,
            hostname: text(&names.nodename), operatingSystem: text(&names.version), platform: text(&names.machine))
    }

    private func text<Field>(_ field: inout Field) -> String {
        withUnsafeBytes(of: &field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}

/// The processor time that this process has used.
private func processorTime() -> ProcessorTime {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return ProcessorTime(
        userMicroseconds: Int64(usage.ru_utime.tv_sec) * 1_000_000 + Int64(usage.ru_utime.tv_usec),
        systemMicroseconds: Int64(usage.ru_stime.tv_sec) * 1_000_000 + Int64(usage.ru_stime.tv_usec))
}

extension EventLoop {
    /// The last turns: no new work is taken; the store is given time to make safe what was done, and clients to take
    /// their replies.
    mutating func windUp(until deadline: Int64) throws(ServerError) {
        let isDone =
            if let gate { try windUpShared(gate, until: deadline) } else { try windUpAlone(until: deadline) }
        if !isDone { logger.warning("stopping although some clients haven't taken their last replies") }
    }

    private mutating func windUpAlone(until deadline: Int64) throws(ServerError) -> Bool {
        engine.pointee.isStopping = true
        // The jobs of those that close first, and delayed ones, would be given to those that still wait.
        engine.pointee.cancelWaits()
        finishAll()
        while Clock.now().monotonic.nanoseconds < deadline {
            try turn(waitAtMost: 50)
            if held.isEmpty && !isSending && !engine.pointee.hasWork { return true }
        }
        return false
    }

    /// Whether any client is still to be sent something.
    var isSending: Bool { connections.contains { ($0?.pointee.queuedBytes ?? 0) > 0 } }

    /// Nothing more is read of any client.
    mutating func finishAll() {
        for case let connection? in connections where !connection.pointee.isClosing {
            guard !connection.pointee.isFinishing else { continue }
            connection.pointee.isFinishing = true
            updateInterest(connection)
        }
    }

    /// Has the store keep the counters that changed since it heard of their jobs.
    mutating func logCounters() throws(ServerError) {
        let engine = engine
        gate?.enter(as: number) { $0.finish() }
        do throws(StorageError) {
            try engine.pointee.logCounters { () throws(StorageError) in _ = try storage.commit() }
        } catch {
            throw .storage(error)
        }
    }
}
