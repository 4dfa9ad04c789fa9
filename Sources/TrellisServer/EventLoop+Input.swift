// SPDX-License-Identifier: MIT

internal import CLinux
internal import Glibc
internal import TrellisCore
internal import TrellisWire

/// What comes in: reading, decoding, performing.
extension EventLoop {
    /// Whether nothing of the connection may be decoded now.
    @inline(__always)
    func mustWait(_ connection: UnsafeMutablePointer<Connection>) -> Bool {
        connection.pointee.isBlocked || connection.pointee.queuedBytes > settings.outputBytes
    }

    /// One read of a connection that is readable or has ended, and all commands in what came.
    mutating func receive(_ connection: UnsafeMutablePointer<Connection>) {
        if gate != nil {
            guard !connection.pointee.isInBatch else {
                // It is looked at in the next turn; or told of again, if it is a stream with a descriptor.
                if connection.pointee.mayHaveMore { markResumable(connection) }
                return
            }
            makeRoomInBatch(for: connection)
        }
        guard !connection.pointee.isClosing else { return }
        if connection.pointee.isFinishing || connection.pointee.hasEnded {
            if connection.pointee.isGone { markClosing(connection) }
            return
        }
        if mustWait(connection) {
            keepForLater(connection)
            // A worker that waits is told at once, even if commands that it sent ahead can't be read yet.
            if connection.pointee.mayHaveEnded && connection.pointee.isBlocked { endInput(of: connection) }
            if connection.pointee.isGone && mustWait(connection) { markClosing(connection) }
        } else if connection.pointee.isResumable {
            // What it left over comes first, and `resume` reads on by itself: reading on top of it would have no bound.
            return
        } else if gate != nil {
            receiveIntoBatch(connection)
        } else if connection.pointee.decoder.bodyBytesLeft > 0 && connection.pointee.leftover.count == 0 {
            receiveBody(connection)
        } else {
            receiveCommands(connection)
        }
        updateInterest(connection)
    }

    private mutating func receiveCommands(_ connection: UnsafeMutablePointer<Connection>) {
        let kept = connection.pointee.leftover.count
        if kept > 0 { input.copyMemory(from: connection.pointee.leftover.bytes) }
        // After a large body comes another one, often: it is to come straight to its place.
        let expectsLarge = connection.pointee.bodySize >= Self.largeBody
        let most = expectsLarge ? Self.bytesBeforeLargeBody : Self.readBytes
        let room = UnsafeMutableRawBufferPointer(rebasing: input[kept..<kept + most])
        let outcome = connection.pointee.read(into: room)
        guard case .bytes(let count) = outcome else { return conclude(outcome, connection) }
        decode(connection, UnsafeRawBufferPointer(rebasing: input[..<(kept + count)]))
        guard expectsLarge, count == most else { return conclude(outcome, connection) }
        if canReceiveBody(connection) {
            receiveBody(connection)
        } else {
            if connection.pointee.decoder.bodyBytesLeft == 0 { connection.pointee.bodySize = 0 }
            conclude(outcome, connection)
        }
    }

    /// Whether what comes next is a body and may be read now.
    private func canReceiveBody(_ connection: UnsafeMutablePointer<Connection>) -> Bool {
        connection.pointee.decoder.bodyBytesLeft > 0 && connection.pointee.leftover.count == 0 && !mustWait(connection)
    }

    /// The body comes first, straight to where it belongs; what is behind it goes to the buffer.
    ///
    /// Behind a large body only as much is read as the next command takes, so that a large body behind it comes straight
    /// to its place as well, in the same turn while more is there.
    private mutating func receiveBody(_ connection: UnsafeMutablePointer<Connection>) {
        var turnBytes = Self.bodyBytesPerTurn
        while turnBytes > 0 {
            guard growBody(of: connection, for: 1), let body = connection.pointee.body else { break }
            let isLarge = connection.pointee.bodySize >= Self.largeBody
            let free = UnsafeMutableRawBufferPointer(rebasing: body.mutableBytes[connection.pointee.bodyReceived...])
            let room = UnsafeMutableRawBufferPointer(rebasing: free.prefix(turnBytes))
            let behind = UnsafeMutableRawBufferPointer(
                rebasing: input[..<(isLarge ? Self.bytesBehindLargeBody : Self.readBytes)])
            let isWhole = room.count == free.count
            let outcome =
                isWhole ? connection.pointee.read(into: room, then: behind) : connection.pointee.read(into: room)
            guard case .bytes(let count) = outcome else { return conclude(outcome, connection) }
            let ofBody = min(count, room.count)
            connection.pointee.bodyReceived += ofBody
            connection.pointee.decoder.tookBodyBytes(ofBody)
            if count > ofBody { decode(connection, UnsafeRawBufferPointer(rebasing: input[..<(count - ofBody)])) }
            turnBytes -= count
            // A full read says that there may be more.
            let isFull = count == room.count + (isWhole ? behind.count : 0)
            guard isFull, canReceiveBody(connection) else { return conclude(outcome, connection) }
        }
        readOnLater(connection)
    }

    /// Where nobody will tell that there is more to read, the loop sees to it by itself.
    private mutating func readOnLater(_ connection: UnsafeMutablePointer<Connection>) {
        if connection.pointee.mayHaveMore { markResumable(connection) }
    }

    mutating func conclude(_ outcome: TransferOutcome, _ connection: UnsafeMutablePointer<Connection>) {
        switch outcome {
        case .bytes: readOnLater(connection)
        case .againWhenReadable, .againWhenWritable: break
        case .end: endInput(of: connection, isKnown: true)
        case .failed: markClosing(connection)
        }
    }

    /// Reads what a connection sends while nothing of it may be decoded, up to the limit.
    private mutating func keepForLater(_ connection: UnsafeMutablePointer<Connection>) {
        let room = min(settings.inputBytes - connection.pointee.leftover.count, Self.readBytes)
        guard room > 0 else { return }
        let buffer = UnsafeMutableRawBufferPointer(rebasing: freeInput[..<room])
        let outcome = connection.pointee.read(into: buffer)
        if case .bytes(let count) = outcome {
            connection.pointee.leftover.append(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
        conclude(outcome, connection)
    }

    /// The peer will send no more.
    ///
    /// What it sent before is still done.
    private mutating func endInput(of connection: UnsafeMutablePointer<Connection>, isKnown: Bool = false) {
        if isKnown { connection.pointee.hasEnded = true }
        if connection.pointee.isBlocked {
            guard gate == nil else {
                exchange.ended.append(connection.pointee.id)
                return
            }
            engine.pointee.inputEnded(connection.pointee.id)
            deliver()
        } else if isKnown {
            markResumable(connection)
        }
    }

    /// Decodes what connections left over while they were blocked, and reads those that won't be told of.
    mutating func resume() {
        guard !resumable.isEmpty else { return }
        let ready = resumable
        resumable.removeAll(keepingCapacity: true)
        for index in ready {
            guard let connection = connections[Int(index)], connection.pointee.isResumable else { continue }
            connection.pointee.isResumable = false
            guard !connection.pointee.isClosing, !connection.pointee.isFinishing else { continue }
            if mustWait(connection) {
                // Its end is behind what waits, perhaps, and who waits is to be told of that.
                if connection.pointee.mayHaveMore { receive(connection) }
                continue
            }
            if connection.pointee.leftover.count > 0 { decode(connection, connection.pointee.leftover.bytes) }
            if connection.pointee.hasEnded {
                if !mustWait(connection) { finish(connection) }
            } else if connection.pointee.mayHaveMore {
                receive(connection)
            }
            updateInterest(connection)
        }
    }

    /// Performs all commands in the bytes, as far as the connection may go on, and keeps the rest.
    private mutating func decode(_ connection: UnsafeMutablePointer<Connection>, _ bytes: UnsafeRawBufferPointer) {
        var offset = 0
        loop: while !mustWait(connection) && !connection.pointee.isFinishing {
            switch connection.pointee.decoder.next(bytes, &offset) {
            case .needsMore: break loop
            case .command(let command): perform(command, connection, bytes, &offset)
            case .fault(let fault): engine.pointee.refuse(fault, from: connection.pointee.id)
            case .bodyBytes(let part): takeBodyBytes(part, connection)
            case .bodyEnd(let endsWithCRLF): completePut(connection, endsWithCRLF: endsWithCRLF)
            case .swallowed: answerSwallowed(connection)
            }
            deliver()
        }
        connection.pointee.leftover.replace(with: UnsafeRawBufferPointer(rebasing: bytes[offset...]))
    }

    private mutating func perform(
        _ command: Command, _ connection: UnsafeMutablePointer<Connection>, _ bytes: UnsafeRawBufferPointer,
        _ offset: inout Int
    ) {
        switch engine.pointee.perform(command, from: connection.pointee.id) {
        case .next: break
        case .wait:
            connection.pointee.isBlocked = true
            if connection.pointee.hasEnded { engine.pointee.inputEnded(connection.pointee.id) }
        case .body(let size):
            let whole = Int(size) + 2
            if bytes.count - offset >= whole, let body = engine.pointee.makeBody(Int(size)) {
                let start = offset
                offset += whole
                body.mutableBytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + Int(size)]))
                engine.pointee.completePut(
                    connection.pointee.id, body: body,
                    endsWithCRLF: bytes[offset - 2] == 13 && bytes[offset - 1] == 10)
            } else {
                connection.pointee.decoder.expectBody(size)
                connection.pointee.bodySize = Int(size)
                connection.pointee.bodyReceived = 0
            }
        case .swallow(let count, let reply):
            connection.pointee.decoder.swallow(count)
            connection.pointee.swallowReply = reply
        case .close: finish(connection)
        }
    }

    /// Sends the answer to a body that nobody wanted; false where there is none to be sent.
    @discardableResult
    mutating func answerSwallowed(_ connection: UnsafeMutablePointer<Connection>) -> Bool {
        guard let reply = connection.pointee.swallowReply else { return false }
        engine.pointee.send(reply, to: connection.pointee.id)
        connection.pointee.swallowReply = nil
        return true
    }

    // MARK: Bodies in parts

    mutating func takeBodyBytes(_ part: UnsafeRawBufferPointer, _ connection: UnsafeMutablePointer<Connection>) {
        guard growBody(of: connection, for: part.count), let body = connection.pointee.body else { return }
        let room = UnsafeMutableRawBufferPointer(rebasing: body.mutableBytes[connection.pointee.bodyReceived...])
        room.copyMemory(from: part)
        connection.pointee.bodyReceived += part.count
    }

    /// Makes room for so many more bytes of the body.
    ///
    /// A large body grows as it comes: that a client announces a size takes no memory yet. False, with the put given
    /// up, where the system has none.
    private mutating func growBody(of connection: UnsafeMutablePointer<Connection>, for count: Int) -> Bool {
        let size = connection.pointee.bodySize
        let need = connection.pointee.bodyReceived + count
        let grown: Body?
        if let body = connection.pointee.body {
            if body.count >= need { return true }
            grown = engine.pointee.resizeBody(body, to: min(size, max(need, body.count * 2)))
        } else {
            grown = engine.pointee.makeBody(min(size, max(need, Self.bodyBytesAtFirst)))
        }
        guard let grown else {
            abandonBody(of: connection, missing: connection.pointee.decoder.bodyBytesLeft)
            return false
        }
        connection.pointee.body = grown
        return true
    }

    private mutating func abandonBody(of connection: UnsafeMutablePointer<Connection>, missing: Int) {
        if let body = connection.pointee.body { engine.pointee.release(body) }
        connection.pointee.body = nil
        engine.pointee.abandonPut(connection.pointee.id)
        // A decoder that is ahead of the engine goes on with the body, whose bytes are then ignored.
        if gate == nil { connection.pointee.decoder.swallow(UInt64(missing) + 2) }
        connection.pointee.swallowReply = .outOfMemory
    }

    mutating func completePut(_ connection: UnsafeMutablePointer<Connection>, endsWithCRLF: Bool) {
        guard let body = connection.pointee.body ?? engine.pointee.makeBody(0) else {
            engine.pointee.abandonPut(connection.pointee.id)
            engine.pointee.send(.outOfMemory, to: connection.pointee.id)
            return
        }
        connection.pointee.body = nil
        engine.pointee.completePut(connection.pointee.id, body: body, endsWithCRLF: endsWithCRLF)
    }
}
