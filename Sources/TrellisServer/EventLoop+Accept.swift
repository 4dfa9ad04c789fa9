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
    mutating func add(_ listener: any Listener) {
        let index = listeners.count
        listeners.append(listener)
        startWatching(index)
    }

    private func startWatching(_ index: Int) {
        switch listeners[index].readiness {
        case .descriptor(let descriptor): watch(descriptor, Token.firstListener + UInt64(index))
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
            switch listeners[index].accept() {
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
        if case .signal = listeners[index].readiness { mailbox.leave { $0.listeners.append(index) } }
    }

    private mutating func open(_ link: Connection.Link, _ peer: Peer) {
        if hasWarnedOfPause {
            hasWarnedOfPause = false
            logger.notice("accepting connections again", metadata: ["connections": "\(connectionCount)"])
        }
        let id = engine.pointee.connect()
        let connection = UnsafeMutablePointer<Connection>.allocate(capacity: 1)
        connection.initialize(to: Connection(id: id, link: link))
        let index = Int(id.index)
        if index >= connections.count {
            connections.append(contentsOf: repeatElement(nil, count: index + 1 - connections.count))
        }
        connections[index] = connection
        connectionCount += 1
        let token = Token.connection(id)
        logger.trace("connected", metadata: ["peer": "\(peer)"])
        if let descriptor = connection.pointee.descriptor {
            connection.pointee.interest = EPOLLIN.rawValue | EPOLLRDHUP.rawValue
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
        for listener in listeners {
            if case .descriptor(let descriptor) = listener.readiness { _ = clinux_epoll_remove(poller, descriptor) }
        }
    }

    mutating func resumeAccepting() {
        guard !isAccepting, !isStopping, connectionCount < connectionLimit else { return }
        isAccepting = true
        acceptRetry = .never
        for (index, listener) in listeners.enumerated() {
            if case .descriptor(let descriptor) = listener.readiness {
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
        for listener in listeners { listener.close() }
        listeners.removeAll()
    }
}
