// SPDX-License-Identifier: MIT

/// How the loop learns that a listener or a stream has something for it.
public enum Readiness {
    /// A file descriptor that the loop puts into its epoll set; it belongs to whoever gave it.
    case descriptor(Int32)
    /// A signal, for what has no descriptor (a stream in memory).
    case signal(any ReadinessSignal)
}

/// Tells the loop that a stream without a descriptor may be ready.
public protocol ReadinessSignal: AnyObject {
    /// Sets what to call, from any thread, when the stream may have become readable or writable. Called once, by the
    /// loop, before anything is read. A stream that is ready at that time calls at once.
    func onReady(_ call: @escaping @Sendable () -> Void)
}

/// Who is at the other end.
public enum Peer: Hashable, Sendable, CustomStringConvertible {
    /// A network address and port, as text.
    case address(String)
    /// A local process: its ids.
    case local(pid: Int32, uid: UInt32, gid: UInt32)
    /// Nothing is known.
    case unknown

    /// What the operator reads.
    public var description: String {
        switch self {
        case .address(let text): text
        case .local(let pid, let uid, let gid): "pid \(pid) uid \(uid) gid \(gid)"
        case .unknown: "unknown"
        }
    }
}

/// What one read or write came to.
public enum TransferOutcome: Hashable, Sendable {
    /// So many bytes went, at least one.
    case bytes(Int)
    /// The other end will send no more. Of reads only.
    case end
    /// Nothing now: try again once the stream is readable.
    case againWhenReadable
    /// Nothing now: try again once the stream is writable.
    case againWhenWritable
    /// The stream is broken; the number is an errno.
    case failed(Int32)
}

/// A stream of bytes that isn't simply a descriptor: TLS, or one in memory for tests.
///
/// It is used by one thread at a time; the one that accepts it may be another than the one that reads and writes.
public protocol ByteStream: AnyObject {
    /// How the loop learns of input and room.
    var readiness: Readiness { get }
    /// Whether bytes can be read that readiness won't tell of, because the stream has taken them in already.
    var hasBufferedInput: Bool { get }
    /// Reads at most as many bytes as there is room for.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> TransferOutcome
    /// Writes a beginning of the bytes.
    func write(_ bytes: UnsafeRawBufferPointer) -> TransferOutcome
    /// Lets go of it. Called once.
    func close()
}

/// What `accept` came to.
public enum AcceptOutcome {
    /// A connection whose bytes go through a non-blocking stream socket as it is. The loop owns it from now on.
    case descriptor(Int32, Peer)
    /// A connection whose bytes go through a stream.
    case stream(any ByteStream, Peer)
    /// None waits.
    case again
    /// No descriptor or memory is left for another one (the number is an errno); the loop pauses and tries again.
    case exhausted(Int32)
    /// That connection failed before it was accepted; others may wait.
    case failed(Int32)
}

/// One place where connections come in.
public protocol Listener: AnyObject {
    /// Where it listens, for people: `127.0.0.1:11300`, `unix:/run/trellis.sock`.
    var endpoint: String { get }
    /// How the loop learns that a connection waits.
    var readiness: Readiness { get }
    /// Takes the next connection.
    func accept() -> AcceptOutcome
    /// Stops listening and removes what it made (a socket file). May be called twice.
    func close()
}

/// Why a transport can't listen: a sentence for the operator, which says what to do.
public struct TransportError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The sentence.
    public var description: String

    /// Wraps a sentence.
    public init(_ description: String) { self.description = description }
}

/// Makes byte streams: binds, listens, accepts.
///
/// `open` is called once: before privileges are dropped; or, for one that was added to the configuration of a server that
/// runs, by a thread of its own beside the loop. What it made is closed through the listeners.
public protocol Transport: AnyObject {
    /// Binds and listens. Where it throws it has let go of all it took.
    func open() throws(TransportError) -> [any Listener]
}
