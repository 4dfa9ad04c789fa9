// SPDX-License-Identifier: MIT

import Glibc
import TrellisCore

/// Waits for what a listener or stream says of its readiness: polls its descriptor, or counts its signals.
final class ReadinessWatch {
    private let descriptor: Int32?
    private let signals = Monitor(0)
    private let patience: Int
    private var seen = 0

    /// Watches; a `wait` takes at most `patience` seconds.
    init(_ readiness: Readiness, patience: Int) {
        self.patience = patience
        switch readiness {
        case .descriptor(let descriptor): self.descriptor = descriptor
        case .signal(let signal):
            descriptor = nil
            let signals = signals
            signal.onReady { signals.withLock { $0 += 1 } }
        }
    }

    var isSignal: Bool { descriptor == nil }

    /// Waits until it may be readable (or writable); false where that isn't told in time.
    func wait(forWriting: Bool = false) -> Bool {
        if let descriptor {
            var waiting = pollfd(fd: descriptor, events: Int16(forWriting ? POLLOUT : POLLIN), revents: 0)
            return poll(&waiting, 1, Int32(patience) * 1000) == 1
        }
        let before = seen
        guard let now = signals.wait(seconds: patience, until: { $0 > before ? $0 : nil }) else { return false }
        seen = now
        return true
    }
}

/// A listener and those who come in by it, as the loop sees them.
final class ListenerEnd {
    let listener: any Listener
    private let watch: ReadinessWatch
    private let patience: Int

    init(_ listener: any Listener, patience: Int) {
        self.listener = listener
        self.patience = patience
        watch = ReadinessWatch(listener.readiness, patience: patience)
    }

    /// The next connection; nil where none comes in time.
    func accept() -> ServerEnd? {
        // A listener that is ready for ever and has nobody must not hold up the kit for ever.
        for _ in 0..<1000 {
            switch listener.accept() {
            case .descriptor(let descriptor, let peer):
                return ServerEnd(descriptor: descriptor, peer, patience: patience)
            case .stream(let stream, let peer): return ServerEnd(stream, peer, patience: patience)
            case .again, .exhausted, .failed: if !watch.wait() { return nil }
            }
        }
        return nil
    }
}

/// The server's end of a connection, as the loop uses it, whether that is a descriptor or a stream.
final class ServerEnd {
    private enum Way {
        case descriptor(Int32)
        case stream(any ByteStream)
    }

    private let way: Way
    private let watch: ReadinessWatch
    let peer: Peer
    /// Whether the descriptor blocked as it came; false of streams.
    let blocked: Bool
    /// Whether a program that is started would inherit the descriptor; false of streams.
    let wasInherited: Bool

    init(descriptor: Int32, _ peer: Peer, patience: Int) {
        way = .descriptor(descriptor)
        watch = ReadinessWatch(.descriptor(descriptor), patience: patience)
        self.peer = peer
        let flags = fcntl(descriptor, F_GETFL)
        blocked = flags & O_NONBLOCK == 0
        wasInherited = fcntl(descriptor, F_GETFD) & FD_CLOEXEC == 0
        // One rule is enough to tell of it; the others must not hang.
        if blocked { _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) }
    }

    init(_ stream: any ByteStream, _ peer: Peer, patience: Int) {
        way = .stream(stream)
        watch = ReadinessWatch(stream.readiness, patience: patience)
        self.peer = peer
        blocked = false
        wasInherited = false
    }

    var hasBufferedInput: Bool {
        if case .stream(let stream) = way { stream.hasBufferedInput } else { false }
    }

    /// Whether readiness is a signal, which comes once for all that there is.
    var tellsOnce: Bool { watch.isSignal }

    func read(_ count: Int) -> (outcome: TransferOutcome, bytes: [UInt8]) {
        var outcome = TransferOutcome.end
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            let memory = UnsafeMutableRawBufferPointer(buffer)
            switch way {
            case .stream(let stream): outcome = stream.read(into: memory)
            case .descriptor(let descriptor):
                let result = Glibc.read(descriptor, memory.baseAddress, memory.count)
                outcome = result == 0 ? .end : Self.outcome(result, again: .againWhenReadable)
            }
            if case .bytes(let got) = outcome { filled = min(got, count) }
        }
        return (outcome, bytes)
    }

    func write(_ bytes: [UInt8]) -> TransferOutcome {
        bytes.withUnsafeBytes { memory in
            switch way {
            case .stream(let stream): stream.write(memory)
            case .descriptor(let descriptor):
                Self.outcome(
                    send(descriptor, memory.baseAddress, memory.count, Int32(MSG_NOSIGNAL)), again: .againWhenWritable)
            }
        }
    }

    private static func outcome(_ result: Int, again: TransferOutcome) -> TransferOutcome {
        if result >= 0 { return .bytes(result) }
        return errno == EAGAIN ? again : .failed(errno)
    }

    /// Waits until the connection says that it may be ready.
    func wait(forWriting: Bool = false) -> Bool { watch.wait(forWriting: forWriting) }

    /// Reads so many bytes, waiting where it must, by at most `piece` at a time; less at the end or out of time.
    func readAll(_ count: Int, piece: Int = 65_536) -> [UInt8] {
        var all: [UInt8] = []
        var tries = 0
        while all.count < count, tries < 1_000_000 {
            tries += 1
            let (outcome, bytes) = read(min(piece, count - all.count))
            all += bytes
            switch outcome {
            case .bytes(let got): if got == 0 { return all }
            case .againWhenReadable: if !wait() { return all }
            case .againWhenWritable: if !wait(forWriting: true) { return all }
            case .end, .failed: return all
            }
        }
        return all
    }

    /// Writes all the bytes, waiting where it must; false where it can't.
    func writeAll(_ bytes: [UInt8]) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            switch write(rest) {
            case .bytes(let count) where count > 0: rest.removeFirst(count)
            case .againWhenWritable: if !wait(forWriting: true) { return false }
            case .againWhenReadable: if !wait() { return false }
            case .bytes, .end, .failed: return false
            }
        }
        return true
    }

    /// What a read comes to once it is more than "again"; nil out of time.
    func readOutcome() -> TransferOutcome? {
        for _ in 0..<1000 {
            let (outcome, _) = read(16)
            guard outcome == .againWhenReadable else { return outcome }
            if !wait() { return nil }
        }
        return nil
    }

    func close() {
        switch way {
        case .descriptor(let descriptor): Glibc.close(descriptor)
        case .stream(let stream): stream.close()
        }
    }
}
