// SPDX-License-Identifier: MIT

/// The client's end of a connection in memory.
public final class MemoryClient: ClientEnd, Sendable {
    private let stream: MemoryStream

    init(_ stream: MemoryStream) { self.stream = stream }

    /// Changes the connection, and wakes the loop where the server's end is ready then.
    private func change(_ body: (inout MemoryPipe) -> Void) {
        let onReady = stream.pipe.withLock { pipe in
            let couldWrite = pipe.isWritable
            body(&pipe)
            return pipe.isReadable || (pipe.isWritable && !couldWrite) ? pipe.onReady : nil
        }
        onReady?()
    }

    // MARK: What clients do

    /// Sends bytes, which are lost where the server has closed the connection.
    public func send(_ bytes: [UInt8]) {
        change { if $0.serverIsOpen { $0.toServer += bytes } }
    }

    /// Sends a text.
    public func send(_ text: String) { send(Array(text.utf8)) }

    /// Waits for bytes and takes at most so many: none where the server has closed the connection, nil where nothing
    /// comes in time.
    public func receive(atMost count: Int, seconds: Int = 10) -> [UInt8]? {
        let taken = stream.pipe.wait(seconds: seconds) { pipe -> [UInt8]? in
            if pipe.toClient.isEmpty { return pipe.serverIsOpen && pipe.failure == nil ? nil : [] }
            return Array(pipe.toClient.prefix(count))
        }
        guard let taken else { return nil }
        change { $0.toClient.removeFirst(taken.count) }
        return taken
    }

    /// Sends no more; what the server still writes can be received.
    public func closeWrite() { change { $0.clientSendsMore = false } }

    /// Closes both ways.
    public func close() { change { $0.clientIsOpen = false } }

    // MARK: What tests let happen

    /// Lets each write of the server take at most so many bytes.
    public func limitWrites(toBytes count: Int) { change { $0.bytesPerWrite = max(1, count) } }

    /// Lets the server's writes wait while so many bytes or more are under way; 0 lets them wait until it is raised.
    public func setRoom(_ bytes: Int) { change { $0.room = bytes } }

    /// Lets the server's end take in all input at each read, as a TLS library does, and hand it out piece by piece.
    public func setTakesInAhead(_ takesInAhead: Bool) { change { $0.takesInAhead = takesInAhead } }

    /// Breaks the connection: the server's reads and writes answer that errno.
    public func fail(_ errno: Int32) { change { $0.failure = errno } }

    /// Whether the server has closed its end.
    public var isClosedByServer: Bool { stream.pipe.withLock { !$0.serverIsOpen } }
}
