// SPDX-License-Identifier: MIT

internal import CLinux
internal import Glibc
internal import Logging
internal import TrellisCore
internal import TrellisSockets

/// New connections.
extension EventLoop {
    /// How many connections of one listener are taken in one turn.
    private static var acceptsPerTurn: Int { 128 }
    /// How long accepting pauses when descriptors have run out, in nanoseconds; a closed connection ends it earlier.
    private static var retryNanoseconds: Int64 { 500_000_000 }

    /// How often a pause is told of at the most, in nanoseconds: at the limit, each closed connection ends one.
    private static var warningNanoseconds: Int64 { 10_000_000_000 }

    /// Adds a listener and begins to accept.
    mutating func add(_ listener: OpenListener) {
        // The place of one that was closed, so that many reloads don't make the list longer.
        let index = listeners.firstIndex { $0.listener is ClosedListener } ?? listeners.count
        if index == listeners.count { listeners.append(listener) } else { listeners[index] = listener }
        startWatching(index)
    }

    private func startWatching(_ index: Int) {
        switch listeners[index].listener.readiness {
        case .descriptor(let descriptor):
            if isAccepting { watch(descriptor, Token.firstListener + UInt64(index)) }
        case .signal(let signal):
            let mailbox = mailbox
            signal.onReady { mailbox.leave { $0.listeners.append(index) } }
        }
    }

    mutating func accept(from index: Int) {
        guard isAccepting, !isStopping, index < listeners.count else { return }
        for _ in 0..<Self.acceptsPerTurn {
            guard connectionCount < connectionLimit else {
                pauseAccepting("the limit of \(connectionLimit) connections is reached", retry: .never)
                return
            }
            switch listeners[index].listener.accept() {
            case .descriptor(let descriptor, let peer): open(.descriptor(descriptor), peer)
            case .stream(let stream, let peer): open(.stream(stream), peer)
            case .again: return
            case .failed: continue
            case .exhausted(let number):
                let retry = Instant(nanoseconds: now.nanoseconds + Self.retryNanoseconds)
                pauseAccepting("\(TrellisSockets.describe(errorNumber: number))", retry: retry)
                return
            }
        }
        // More may wait; descriptors tell again, what has none doesn't.
        if case .signal = listeners[index].listener.readiness { mailbox.leave { $0.listeners.append(index) } }
    }

    private mutating func open(_ link: Connection.Link, _ peer: Peer) {
        if hasWarnedOfPause {
            hasWarnedOfPause = false
            logger.notice("accepting connections again", metadata: ["connections": "\(connectionCount)"])
        }
        logger.trace("connected", metadata: ["peer": "\(peer)"])
        if gate == nil {
            admit(engine.pointee.connect(), link)
        } else {
            exchange.accepted.append(link)
        }
        connectionCount += 1
    }

    /// Serves a connection that the engine knows from now on.
    mutating func admit(_ id: ConnectionID, _ link: Connection.Link) {
        let connection = UnsafeMutablePointer<Connection>.allocate(capacity: 1)
        connection.initialize(to: Connection(id: id, link: link))
        let index = Int(id.index)
        if index >= connections.count {
            connections.append(contentsOf: repeatElement(nil, count: index + 1 - connections.count))
        }
        connections[index] = connection
        let token = Token.connection(id)
        if let descriptor = connection.pointee.descriptor {
            connection.pointee.interest = EPOLLIN.rawValue | EPOLLRDHUP.rawValue | connection.pointee.triggering
            if clinux_epoll_add(poller, descriptor, connection.pointee.interest, token) != 0 { markClosing(connection) }
        } else if case .stream(let stream) = link, case .signal(let signal) = stream.readiness {
            let mailbox = mailbox
            signal.onReady { mailbox.leave { $0.streams.append(token) } }
        }
    }

    /// Connections wait in the system's queue from now on.
    private mutating func pauseAccepting(_ reason: String, retry: Instant) {
        if nextPauseWarning <= now {
            logger.warning(
                "accepting no connections for now: \(reason)", metadata: ["connections": "\(connectionCount)"])
            nextPauseWarning = Instant(nanoseconds: now.nanoseconds + Self.warningNanoseconds)
            hasWarnedOfPause = true
        }
        isAccepting = false
        acceptRetry = retry
        unwatchListeners()
    }

    private func unwatchListeners() {
        for index in listeners.indices { unwatch(index) }
    }

    private func unwatch(_ index: Int) {
        guard case .descriptor(let descriptor) = listeners[index].listener.readiness else { return }
        _ = clinux_epoll_remove(poller, descriptor)
    }

    mutating func resumeAccepting() {
        guard !isAccepting, !isStopping, connectionCount < connectionLimit else { return }
        isAccepting = true
        acceptRetry = .never
        for (index, entry) in listeners.enumerated() {
            if case .descriptor(let descriptor) = entry.listener.readiness {
                watch(descriptor, Token.firstListener + UInt64(index))
            } else {
                mailbox.leave { $0.listeners.append(index) }
            }
        }
    }

    /// Stops listening for good; socket files are removed.
    mutating func closeListeners() {
        isAccepting = false
        acceptRetry = .never
        // A socket that the service manager has open, too, would stay in the set when it is closed here.
        unwatchListeners()
        for entry in listeners { entry.listener.close() }
        listeners.removeAll()
    }

    /// Stops listening at the places of a transport; connections that came in there stay.
    mutating func closeListeners(of transport: Int) {
        for index in listeners.indices where listeners[index].transport == transport {
            if isAccepting { unwatch(index) }
            listeners[index].listener.close()
            listeners[index] = OpenListener(ClosedListener(), transport: nil)
        }
    }
}
