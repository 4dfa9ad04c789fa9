// SPDX-License-Identifier: MIT

import Glibc
public import TrellisCore

/// A transport without sockets: connections are bytes in memory, and tests hold the client's ends.
///
/// Its streams have no descriptor, so a server is tested with signals too; they can be told to take few bytes at a
/// time, to take none, and to take input in ahead. Everything may be called from any thread.
public final class MemoryTransport: Transport, Sendable {
    private let listener: MemoryListener

    /// A transport that will listen under that name.
    public init(endpoint: String = "memory:test") { listener = MemoryListener(endpoint: endpoint) }

    /// Opens the one listener, and throws when it was opened before and not closed.
    public func open() throws(TransportError) -> [any Listener] {
        let wasOpen = listener.state.withLock { state in
            defer { state.isOpen = true }
            return state.isOpen
        }
        if wasOpen { throw TransportError("\(listener.endpoint) is in use; close the other server first") }
        return [listener]
    }

    /// Connects a client; nil where nobody listens.
    public func connect(as peer: Peer = .unknown) -> MemoryClient? {
        let stream = MemoryStream()
        let (isOpen, onReady) = listener.state.withLock { state in
            if state.isOpen { state.waiting.append((stream, peer)) }
            return (state.isOpen, state.onReady)
        }
        guard isOpen else { return nil }
        onReady?()
        return MemoryClient(stream)
    }

    /// Makes the next `accept` answer that no descriptor is left (`EMFILE`), and wakes the loop.
    public func exhaustOnce() {
        let onReady = listener.state.withLock { state in
            state.exhaustion = EMFILE
            return state.onReady
        }
        onReady?()
    }
}

/// Where clients of a `MemoryTransport` come in.
final class MemoryListener: Listener, ReadinessSignal, Sendable {
    struct State {
        var isOpen = false
        var waiting: [(stream: MemoryStream, peer: Peer)] = []
        var exhaustion: Int32?
        var onReady: (@Sendable () -> Void)?
    }

    let endpoint: String
    let state = Monitor(State())

    init(endpoint: String) { self.endpoint = endpoint }

    var readiness: Readiness { .signal(self) }

    func onReady(_ call: @escaping @Sendable () -> Void) {
        let isReady = state.withLock { state in
            state.onReady = call
            return !state.waiting.isEmpty
        }
        if isReady { call() }
    }

    func accept() -> AcceptOutcome {
        state.withLock { state in
            if let errno = state.exhaustion {
                state.exhaustion = nil
                return .exhausted(errno)
            }
            if state.waiting.isEmpty { return .again }
            let (stream, peer) = state.waiting.removeFirst()
            return .stream(stream, peer)
        }
    }

    /// Refuses new connections, and those that wait.
    func close() {
        let refused = state.withLock { state in
            defer { state = State() }
            return state.waiting
        }
        for (stream, _) in refused { stream.close() }
    }
}

/// The server's end of a connection in memory.
final class MemoryStream: ByteStream, ReadinessSignal, Sendable {
    let pipe = Monitor(MemoryPipe())

    var readiness: Readiness { .signal(self) }

    var hasBufferedInput: Bool { pipe.withLock { !$0.takenIn.isEmpty } }

    func onReady(_ call: @escaping @Sendable () -> Void) {
        let isReady = pipe.withLock { pipe in
            pipe.onReady = call
            return pipe.isReadable
        }
        if isReady { call() }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> TransferOutcome {
        pipe.withLock { pipe in
            if let failure = pipe.failure { return .failed(failure) }
            if pipe.takesInAhead {
                pipe.takenIn += pipe.toServer
                pipe.toServer = []
            }
            let available = pipe.takenIn.isEmpty ? pipe.toServer : pipe.takenIn
            let count = min(buffer.count, available.count)
            buffer.copyBytes(from: available.prefix(count))
            if pipe.takenIn.isEmpty { pipe.toServer.removeFirst(count) } else { pipe.takenIn.removeFirst(count) }
            if count > 0 { return .bytes(count) }
            return pipe.clientSendsMore && pipe.clientIsOpen ? .againWhenReadable : .end
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> TransferOutcome {
        pipe.withLock { pipe in
            if let failure = pipe.failure { return .failed(failure) }
            if !pipe.clientIsOpen { return .failed(EPIPE) }
            let count = min(bytes.count, pipe.bytesPerWrite, max(0, pipe.room - pipe.toClient.count))
            pipe.toClient += bytes.prefix(count)
            return count > 0 ? .bytes(count) : .againWhenWritable
        }
    }

    func close() {
        pipe.withLock { pipe in
            pipe.serverIsOpen = false
            pipe.onReady = nil
        }
    }
}
