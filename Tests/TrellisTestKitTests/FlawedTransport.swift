// SPDX-License-Identifier: MIT

import Glibc
import TrellisCore
import TrellisTestKit

/// A transport in memory with one flaw, for the proof that the kit finds it.
final class FlawedTransport: Transport {
    enum Flaw: String, CaseIterable {
        case hidesItsEndpoint = "open gives listeners that name their endpoint"
        case failsForNobody = "accept answers again where nobody waits"
        case forgetsEarlyClients = "a waiting connection is told and accepted, with its peer"
        case blocks = "a descriptor doesn't block and isn't inherited"
        case turnsBytes = "bytes go both ways whole and in order"
        case takesQuietForTheEnd = "a read without input answers again, and input is told"
        case takesWithoutEnd = "a write without room answers again, and room is told"
        case boastsOfInput = "input that is left can be read, and is told of where it must be"
        case writesNothingAfterTheEnd = "a client that sends no more can still receive"
        case staysOpen = "each end sees the other's close"
        case answersTheLastClient = "connections don't mix"
        case listensAfterClose = "a listener that is closed, twice, leaves its place free"
    }

    private let memory: MemoryTransport
    private let flaw: Flaw

    init(_ memory: MemoryTransport, _ flaw: Flaw) {
        self.memory = memory
        self.flaw = flaw
    }

    func open() throws(TransportError) -> [any Listener] {
        var listeners: [any Listener] = []
        for listener in try memory.open() { listeners.append(FlawedListener(listener, flaw)) }
        return listeners
    }
}

private final class FlawedListener: Listener, ReadinessSignal {
    private let listener: any Listener
    private let flaw: FlawedTransport.Flaw
    private var lastStream: (any ByteStream)?

    init(_ listener: any Listener, _ flaw: FlawedTransport.Flaw) {
        self.listener = listener
        self.flaw = flaw
    }

    var endpoint: String { flaw == .hidesItsEndpoint ? "" : listener.endpoint }
    var readiness: Readiness { .signal(self) }

    func onReady(_ call: @escaping @Sendable () -> Void) {
        guard case .signal(let signal) = listener.readiness else { return }
        var isEarly = flaw == .forgetsEarlyClients
        if isEarly, case .again = listener.accept() { isEarly = false }
        if !isEarly { signal.onReady(call) }
    }

    func accept() -> AcceptOutcome {
        switch listener.accept() {
        case .again: return flaw == .failsForNobody ? .failed(ECONNABORTED) : .again
        case .stream(let stream, let peer):
            if flaw == .blocks { return blockingDescriptor() }
            defer { lastStream = stream }
            return .stream(FlawedStream(stream, flaw, earlier: lastStream), peer)
        case let other: return other
        }
    }

    private func blockingDescriptor() -> AcceptOutcome {
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else { return .exhausted(errno) }
        Glibc.close(ends[1])
        return .descriptor(ends[0], .unknown)
    }

    func close() {
        if flaw != .listensAfterClose { listener.close() }
    }
}

private final class FlawedStream: ByteStream {
    private let stream: any ByteStream
    private let flaw: FlawedTransport.Flaw
    private let earlier: (any ByteStream)?
    private var hasEnded = false

    init(_ stream: any ByteStream, _ flaw: FlawedTransport.Flaw, earlier: (any ByteStream)?) {
        self.stream = stream
        self.flaw = flaw
        self.earlier = earlier
    }

    var readiness: Readiness { stream.readiness }
    var hasBufferedInput: Bool { flaw == .boastsOfInput || stream.hasBufferedInput }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> TransferOutcome {
        let outcome = stream.read(into: buffer)
        switch outcome {
        case .againWhenReadable where flaw == .takesQuietForTheEnd: return .end
        case .bytes(let count) where flaw == .turnsBytes && count > 1: buffer.swapAt(0, 1)
        case .end: hasEnded = true
        default: break
        }
        return outcome
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> TransferOutcome {
        if flaw == .writesNothingAfterTheEnd, hasEnded { return .failed(EPIPE) }
        if flaw == .answersTheLastClient, let earlier { return earlier.write(bytes) }
        let outcome = stream.write(bytes)
        return flaw == .takesWithoutEnd && outcome == .againWhenWritable ? .bytes(bytes.count) : outcome
    }

    func close() {
        if flaw != .staysOpen { stream.close() }
    }
}
