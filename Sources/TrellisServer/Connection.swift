// SPDX-License-Identifier: MIT

internal import CLinux
internal import Glibc
internal import TrellisCore
internal import TrellisWire

/// What the loop knows of one connection.
///
/// An idle one owns no buffer.
struct Connection {
    /// Where bytes come from and go to.
    enum Link {
        case descriptor(Int32)
        case stream(any ByteStream)
    }

    let id: ConnectionID
    let link: Link
    /// What epoll tells of; nil for a stream that signals by itself.
    let descriptor: Int32?
    var decoder = Decoder()
    /// Input that wasn't decoded yet: the beginning of a line, or commands behind a blocked one.
    var leftover = Leftover()
    /// The body being received, with room for a part of it at least.
    var body: Body?
    /// The whole size of the body being received, and how much of it is there.
    var bodySize = 0
    var bodyReceived = 0
    /// The answer to a body that is being swallowed.
    var swallowReply: Reply?
    /// What is to be sent; nil where nothing is.
    var output: UnsafeMutablePointer<Output>?
    /// How far the output had come when it was last gone: replies that are held are told apart by such marks.
    var outputEnd = Output.Mark()
    /// What epoll was asked for.
    var interest: UInt32 = 0
    /// How epoll tells of input: of a socket once, when something comes, and not again while it lies there.
    ///
    /// That spares a look at each socket in the turn after the one that read it: handoffs per second over TCP rose by 4 %.
    /// A stream is told of as long as its descriptor is readable: only it knows what it has read.
    let triggering: UInt32
    /// Something came that no read of the socket has taken yet, as far as is known.
    var hasUnread = false
    /// Epoll told that the peer sends no more, or that it is gone.
    var mayHaveEnded = false
    var isGone = false
    /// No command is decoded before the reply to the last one is there.
    var isBlocked = false
    /// The peer will send no more.
    var hasEnded = false
    /// Nothing more is decoded; the connection closes when its output is gone.
    var isFinishing = false
    /// The last write found no room.
    var awaitsRoom = false
    /// It stands in the list of connections with new output, of those to decode further, of those to close.
    var isDirty = false
    var isResumable = false
    var isClosing = false
    /// It has commands in the batch of its loop: nothing more is read before they are performed.
    var isInBatch = false

    /// What is to be sent, in bytes.
    var queuedBytes: Int { output.map { $0.pointee.queuedBytes } ?? 0 }

    init(id: ConnectionID, link: Link) {
        self.id = id
        self.link = link
        switch link {
        case .descriptor(let descriptor):
            self.descriptor = descriptor
            triggering = EPOLLET.rawValue
        case .stream(let stream):
            triggering = 0
            if case .descriptor(let descriptor) = stream.readiness {
                self.descriptor = descriptor
            } else {
                descriptor = nil
            }
        }
    }

    /// Whether a part of the body that is being received can be read to where it belongs.
    var hasRoomForBody: Bool { body.map { $0.count > bodyReceived } ?? false }

    /// Whether there is input that nobody will tell of: a socket and what signals by itself do so once and are asked until
    /// they have nothing; a stream may have taken in more than it gave.
    var mayHaveMore: Bool {
        switch link {
        case .descriptor: hasUnread
        case .stream(let stream): descriptor == nil || stream.hasBufferedInput
        }
    }

    // MARK: Transfers

    mutating func read(into buffer: UnsafeMutableRawBufferPointer) -> TransferOutcome {
        switch link {
        case .stream(let stream): return stream.read(into: buffer)
        case .descriptor(let descriptor):
            return outcome(of: buffer.count) { recv(descriptor, buffer.baseAddress, buffer.count, 0) }
        }
    }

    /// Reads into two places, the first one first.
    mutating func read(
        into first: UnsafeMutableRawBufferPointer, then second: UnsafeMutableRawBufferPointer
    ) -> TransferOutcome {
        switch link {
        case .stream(let stream): return stream.read(into: first)
        case .descriptor(let descriptor):
            let vector = (
                iovec(iov_base: first.baseAddress, iov_len: first.count),
                iovec(iov_base: second.baseAddress, iov_len: second.count)
            )
            return withUnsafeBytes(of: vector) { bytes in
                outcome(of: first.count + second.count) {
                    readv(descriptor, bytes.assumingMemoryBound(to: iovec.self).baseAddress, 2)
                }
            }
        }
    }

    func write(_ vector: UnsafeMutablePointer<iovec>, _ count: Int) -> TransferOutcome {
        switch link {
        case .stream(let stream):
            return stream.write(UnsafeRawBufferPointer(start: vector[0].iov_base, count: vector[0].iov_len))
        case .descriptor(let descriptor):
            var message = msghdr()
            message.msg_iov = vector
            message.msg_iovlen = count
            // MSG_NOSIGNAL: a peer that is gone is an answer, not a signal.
            let flags = Int32(MSG_NOSIGNAL)
            while true {
                let sent =
                    count == 1
                    ? send(descriptor, vector[0].iov_base, vector[0].iov_len, flags)
                    : sendmsg(descriptor, &message, flags)
                if sent >= 0 { return .bytes(sent) }
                if errno != EINTR { return errno == EAGAIN ? .againWhenWritable : .failed(errno) }
            }
        }
    }

    /// What came of a read of a socket that had room for so many bytes.
    ///
    /// A short one took all that was there, and what comes later is told of; but behind it may be the end, which isn't.
    /// (Behind an urgent byte or a passed descriptor, which no client sends, a read stops short of the rest: that waits for
    /// what comes next.)
    private mutating func outcome(of room: Int, _ transfer: () -> Int) -> TransferOutcome {
        var count = transfer()
        while count < 0 && errno == EINTR { count = transfer() }
        if count > 0 {
            if count < room && !mayHaveEnded { hasUnread = false }
            return .bytes(count)
        }
        hasUnread = false
        if count == 0 { return .end }
        return errno == EAGAIN ? .againWhenReadable : .failed(errno)
    }
}

/// Bytes that a connection keeps from one turn to the next.
struct Leftover {
    private(set) var start: UnsafeMutableRawPointer?
    private(set) var count = 0
    private var capacity = 0

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }

    /// Keeps just these bytes, which may be a part of what is kept now.
    mutating func replace(with bytes: UnsafeRawBufferPointer) {
        guard let from = bytes.baseAddress, !bytes.isEmpty else {
            clear()
            return
        }
        reserve(bytes.count)
        if let start { memmove(start, from, bytes.count) }
        count = bytes.count
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let from = bytes.baseAddress else { return }
        reserve(count + bytes.count)
        if let start { memcpy(start + count, from, bytes.count) }
        count += bytes.count
    }

    mutating func clear() {
        free(start)
        start = nil
        count = 0
        capacity = 0
    }

    private mutating func reserve(_ need: Int) {
        guard need > capacity else { return }
        capacity = Swift.max(64, need)
        guard let memory = realloc(start, capacity) else { preconditionFailure("the system has no memory for input") }
        start = memory
    }
}
