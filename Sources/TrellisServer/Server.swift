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
    private let transports: [any Transport]
    private let logger: Logger
    private let mailbox = Mailbox()

    /// How long a stop waits for the store and for clients to take their last replies, in nanoseconds.
    private static let stopNanoseconds: Int64 = 5_000_000_000

    /// Puts a server together; nothing is opened yet.
    public init(
        settings: ServerSettings, storage: any Storage, scheduler: any Scheduler, transports: [any Transport],
        logger: Logger
    ) {
        self.settings = settings
        self.storage = storage
        self.scheduler = scheduler
        self.transports = transports
        self.logger = logger
    }

    /// What other threads may use of a running server.
    public struct Control: Sendable {
        let mailbox: Mailbox

        /// Asks the server to stop: as SIGTERM does.
        public func stop() { mailbox.leave { $0.shouldStop = true } }

        /// Asks the server to refuse puts from now on: as SIGUSR1 does.
        public func drain() { mailbox.leave { $0.shouldDrain = true } }
    }

    /// The handle for other threads.
    public var control: Control { Control(mailbox: mailbox) }

    /// Opens everything, serves, and closes everything.
    ///
    /// Returns after a stop that was asked for.
    ///
    /// Order: listeners are opened first, so that a server which can't have its address disturbs nothing; then
    /// privileges are dropped; then the store is opened, as the user that will write it.
    public func run() throws(ServerError) {
        let signals = settings.ownsProcess ? try SignalDescriptor() : nil
        if settings.ownsProcess { clinux_map_large_blocks(64 << 10) }
        let possibleConnections = raiseDescriptorLimit()
        let connectionLimit = settings.connections ?? possibleConnections
        let listeners = try openListeners()
        defer { for listener in listeners { listener.close() } }
        if let user = settings.user { try becomeUser(user) }
        let mailbox = mailbox
        do throws(StorageError) {
            try storage.open(wake: { mailbox.wake() })
        } catch {
            try? storage.close()
            throw .storage(error)
        }
        let engine = UnsafeMutablePointer<Engine>.allocate(capacity: 1)
        engine.initialize(
            to: Engine(
                limits: settings.engine, identity: identity(), storage: storage, scheduler: scheduler,
                start: Clock.now(), processorTime: processorTime))
        defer {
            engine.deinitialize(count: 1)
            engine.deallocate()
        }
        do throws(StorageError) {
            try engine.pointee.recover()
        } catch {
            try? storage.close()
            throw .storage(error)
        }
        var loop = try EventLoop(
            engine: engine, storage: storage, settings: settings, logger: logger, mailbox: mailbox, signals: signals,
            connectionLimit: connectionLimit)
        for listener in listeners { loop.add(listener) }
        let endpoints = listeners.map(\.endpoint).joined(separator: ", ")
        logger.notice("trellis \(settings.version) listens on \(endpoints)")
        try serve(&loop)
        logger.notice("stopped")
    }

    private func serve(_ loop: inout EventLoop) throws(ServerError) {
        do throws(ServerError) {
            try loop.run()
            loop.closeListeners()
            try loop.windUp(until: Clock.now().monotonic.nanoseconds + Self.stopNanoseconds)
            loop.closeAll()
        } catch {
            loop.closeListeners()
            loop.closeAll()
            try? storage.close()
            throw error
        }
        do throws(StorageError) { try storage.close() } catch { throw .storage(error) }
    }

    private func openListeners() throws(ServerError) -> [any Listener] {
        if settings.ownsProcess {
            let inherited = InheritedSockets.take()
            if !inherited.isEmpty {
                logger.info("the service manager handed over \(inherited.count) sockets; the transports aren't opened")
                return inherited
            }
        }
        var listeners: [any Listener] = []
        for transport in transports {
            do throws(TransportError) {
                listeners += try transport.open()
            } catch {
                for listener in listeners { listener.close() }
                throw .transport(error)
            }
        }
        return listeners
    }

    /// Lifts the soft limit of descriptors to the hard one and answers how many connections fit below it.
    private func raiseDescriptorLimit() -> Int {
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
        for case let connection? in connections where !connection.pointee.isClosing {
            // The jobs of those that close first, and delayed ones, would be given to those that still wait.
            engine.pointee.cancelWait(of: connection.pointee.id)
            guard !connection.pointee.isFinishing else { continue }
            connection.pointee.isFinishing = true
            updateInterest(connection)
        }
        while Clock.now().monotonic.nanoseconds < deadline {
            try turn(waitAtMost: 50)
            let isSending = connections.contains { ($0?.pointee.queuedBytes ?? 0) > 0 }
            if held.isEmpty && !isSending && !engine.pointee.hasWork { return }
        }
        logger.warning("stopping although some clients haven't taken their last replies")
    }
}
