// SPDX-License-Identifier: MIT

internal import TrellisCore
internal import TrellisWire

/// A loop that shares its engine: decoding outside of it, performing inside.
extension EventLoop {
    /// Makes sure that the buffer has room for a read of the connection, and what it left over before it.
    mutating func makeRoomInBatch(for connection: UnsafeMutablePointer<Connection>) {
        let need = connection.pointee.leftover.count + Self.readBytes
        if exchange.batch.bytes + need > input.count { enter() }
    }

    /// The part of the buffer that no batch has taken.
    @inline(__always)
    var freeInput: UnsafeMutableRawBufferPointer {
        gate == nil ? input : UnsafeMutableRawBufferPointer(rebasing: input[exchange.batch.bytes...])
    }

    /// One read: into the batch; or, where a body is being received and has room, into the body first.
    ///
    /// A body grows inside. Large ones come straight to their place here, too, so that nobody waits for a copy of them.
    mutating func receiveIntoBatch(_ connection: UnsafeMutablePointer<Connection>) {
        let isLarge = connection.pointee.bodySize >= Self.largeBody
        if connection.pointee.decoder.bodyBytesLeft > 0 && connection.pointee.leftover.count == 0,
            connection.pointee.hasRoomForBody, let body = connection.pointee.body
        {
            receiveBodyFirst(body, connection, behind: isLarge ? Self.bytesBehindLargeBody : Self.readBytes)
            return
        }
        let kept = connection.pointee.leftover.count
        let most = isLarge ? Self.bytesBeforeLargeBody : Self.readBytes
        let buffer = freeInput
        if kept > 0 { buffer.copyMemory(from: connection.pointee.leftover.bytes) }
        let outcome = connection.pointee.read(
            into: UnsafeMutableRawBufferPointer(rebasing: buffer[kept..<kept + most]))
        if case .bytes(let count) = outcome {
            take(UnsafeRawBufferPointer(rebasing: buffer[..<(kept + count)]), from: connection)
        }
        conclude(outcome, connection)
    }

    private mutating func receiveBodyFirst(
        _ body: Body, _ connection: UnsafeMutablePointer<Connection>, behind most: Int
    ) {
        let free = UnsafeMutableRawBufferPointer(rebasing: body.mutableBytes[connection.pointee.bodyReceived...])
        let room = UnsafeMutableRawBufferPointer(rebasing: free.prefix(Self.bodyBytesPerTurn))
        let buffer = freeInput
        let behind = UnsafeMutableRawBufferPointer(rebasing: buffer[..<most])
        let isWhole = room.count == connection.pointee.decoder.bodyBytesLeft
        let outcome = isWhole ? connection.pointee.read(into: room, then: behind) : connection.pointee.read(into: room)
        if case .bytes(let count) = outcome {
            let ofBody = min(count, room.count)
            connection.pointee.bodyReceived += ofBody
            connection.pointee.decoder.tookBodyBytes(ofBody)
            if count > ofBody { take(UnsafeRawBufferPointer(rebasing: buffer[..<(count - ofBody)]), from: connection) }
        }
        conclude(outcome, connection)
    }

    private mutating func take(_ bytes: UnsafeRawBufferPointer, from connection: UnsafeMutablePointer<Connection>) {
        gather(connection, bytes)
        exchange.batch.bytes += bytes.count
    }

    /// Decodes what came into the batch; answers how many steps it gave.
    @discardableResult
    mutating func gather(
        _ connection: UnsafeMutablePointer<Connection>, _ bytes: UnsafeRawBufferPointer, atMost limit: Int = .max
    ) -> Int {
        let first = exchange.batch.steps.count
        var decoder = connection.pointee.decoder
        var offset = 0
        var count = 0
        loop: while count < limit {
            let work: Batch.Work
            switch decoder.next(bytes, &offset) {
            case .needsMore: break loop
            case .command(.put(let line)): work = decodeBody(of: line, &decoder, bytes, &offset)
            case .command(let command): work = .command(command)
            case .fault(let fault): work = .fault(fault)
            case .bodyBytes(let part): work = .bodyBytes(part)
            case .bodyEnd(let endsWithCRLF): work = .bodyEnd(endsWithCRLF: endsWithCRLF)
            case .swallowed: work = .swallowed
            }
            exchange.batch.steps.append(Batch.Step(work: work, end: offset))
            count += 1
        }
        connection.pointee.decoder = decoder
        connection.pointee.isInBatch = true
        exchange.batch.segments.append(
            Batch.Segment(
                connection: connection, bytes: bytes, steps: first..<first + count, used: offset,
                isCut: count == limit))
        return count
    }

    /// What follows a put line, as the engine most likely finds, too.
    private func decodeBody(
        of line: PutLine, _ decoder: inout Decoder, _ bytes: UnsafeRawBufferPointer, _ offset: inout Int
    ) -> Batch.Work {
        if line.size > settings.engine.jobBytes {
            decoder.swallow(UInt64(line.size) + 2)
            return .putLine(line, .unwanted)
        }
        if line.hasTrailingBytes { return .putLine(line, .line) }
        let size = Int(line.size)
        if bytes.count - offset >= size + 2 {
            let body = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + size])
            offset += size + 2
            let endsWithCRLF = bytes[offset - 2] == 13 && bytes[offset - 1] == 10
            return .put(line, body: body, endsWithCRLF: endsWithCRLF)
        }
        decoder.expectBody(line.size)
        return .putLine(line, .body)
    }

    /// Decodes what connections left over, and reads those that won't be told of.
    mutating func gatherLeftovers() {
        guard !resumable.isEmpty else { return }
        let ready = resumable
        resumable.removeAll(keepingCapacity: true)
        for index in ready {
            guard let connection = connections[Int(index)], connection.pointee.isResumable else { continue }
            guard !connection.pointee.isInBatch else {
                // Its turn is the next one.
                resumable.append(index)
                continue
            }
            connection.pointee.isResumable = false
            guard !connection.pointee.isClosing, !connection.pointee.isFinishing else { continue }
            if mustWait(connection) {
                if connection.pointee.mayHaveMore { receive(connection) }
                continue
            }
            if connection.pointee.leftover.count > 0 {
                let bytes = connection.pointee.leftover.bytes
                if gather(connection, bytes, atMost: Exchange.stepsFromLeftover) > 0 { continue }
                // Nothing but the beginning of a line, or bytes that nobody wants.
                let segment = exchange.batch.segments.removeLast()
                connection.pointee.leftover.replace(with: UnsafeRawBufferPointer(rebasing: bytes[segment.used...]))
                connection.pointee.isInBatch = false
            }
            if connection.pointee.hasEnded {
                finish(connection)
            } else if connection.pointee.mayHaveMore {
                receive(connection)
            }
            updateInterest(connection)
        }
    }

    // MARK: Inside

    /// Performs the batch; the caller is inside of the engine.
    mutating func performBatch(_ shared: inout SharedEngine) {
        for position in exchange.batch.segments.indices { performSegment(position, &shared) }
    }

    private mutating func performSegment(_ position: Int, _ shared: inout SharedEngine) {
        let segment = exchange.batch.segments[position]
        let connection = segment.connection
        let id = connection.pointee.id
        // What is queued, and what its replies will add at most: it is counted before they are written.
        var queued = connection.pointee.queuedBytes
        var end = 0
        for index in segment.steps {
            let step = exchange.batch.steps[index]
            let isOver = queued > settings.outputBytes
            if step.work.isLine && (isOver || connection.pointee.isFinishing) {
                stop(position, at: end, isCut: isOver)
                return
            }
            let progress = perform(step.work, connection)
            end = step.end
            while let effect = engine.pointee.nextEffect() {
                if effect.connection == id {
                    queued += ReplyEncoder.headBytes + (effect.reply.body?.count ?? 0)
                }
                shared.post(effect)
            }
            switch progress {
            case .next: break
            case .again(let decoder):
                stop(position, at: end, isCut: true, decoder)
                return
            case .wait:
                let place = shared.port(number).pointee.delivery.effects.count
                exchange.batch.waits.append(Batch.Wait(connection: connection, place: place))
                stop(position, at: end, isCut: false)
                if connection.pointee.hasEnded {
                    engine.pointee.inputEnded(id)
                    shared.collect()
                }
                return
            }
        }
    }

    /// Leaves the rest of a segment for later: it is decoded again from there.
    private mutating func stop(_ position: Int, at end: Int, isCut: Bool, _ decoder: Decoder = Decoder()) {
        exchange.batch.segments[position].used = end
        exchange.batch.segments[position].isCut = isCut
        exchange.batch.segments[position].connection.pointee.decoder = decoder
    }

    private mutating func perform(
        _ work: Batch.Work, _ connection: UnsafeMutablePointer<Connection>
    ) -> Batch.Progress {
        let id = connection.pointee.id
        switch work {
        case .command(let command): return perform(command, connection)
        case .putLine(let line, let behind): return perform(line, behind, connection)
        case .put(let line, let bytes, let endsWithCRLF):
            switch engine.pointee.perform(.put(line), from: id) {
            case .body:
                connection.pointee.bodySize = bytes.count
                guard let body = engine.pointee.makeBody(bytes.count) else {
                    engine.pointee.abandonPut(id)
                    engine.pointee.send(.outOfMemory, to: id)
                    break
                }
                body.mutableBytes.copyMemory(from: bytes)
                engine.pointee.completePut(id, body: body, endsWithCRLF: endsWithCRLF)
            case .swallow(_, let reply): engine.pointee.send(reply, to: id)
            case .next, .wait, .close: preconditionFailure("the engine takes a put for another one than the decoder")
            }
        case .fault(let fault): engine.pointee.refuse(fault, from: id)
        case .bodyBytes(let part): if connection.pointee.swallowReply == nil { takeBodyBytes(part, connection) }
        case .bodyEnd(let endsWithCRLF):
            if !answerSwallowed(connection) { completePut(connection, endsWithCRLF: endsWithCRLF) }
        case .swallowed: answerSwallowed(connection)
        }
        return .next
    }

    private mutating func perform(
        _ command: Command, _ connection: UnsafeMutablePointer<Connection>
    ) -> Batch.Progress {
        // Who asks for something else than puts may send much of it: read with the whole buffer.
        connection.pointee.bodySize = 0
        switch engine.pointee.perform(command, from: connection.pointee.id) {
        case .next: return .next
        case .wait: return .wait
        case .close:
            connection.pointee.isFinishing = true
            return .next
        case .body, .swallow: preconditionFailure("the engine wants a body behind what is no put")
        }
    }

    /// Performs the line of a put; where the decoder took what is behind it for something else, it has to begin again.
    private mutating func perform(
        _ line: PutLine, _ behind: Batch.Behind, _ connection: UnsafeMutablePointer<Connection>
    ) -> Batch.Progress {
        var decoder = Decoder()
        switch engine.pointee.perform(.put(line), from: connection.pointee.id) {
        case .body(let size):
            connection.pointee.bodySize = Int(size)
            connection.pointee.bodyReceived = 0
            if behind == .body { return .next }
            decoder.expectBody(size)
        case .swallow(let count, let reply):
            connection.pointee.swallowReply = reply
            // A body that was expected passes by, too.
            if behind != .line { return .next }
            decoder.swallow(count)
        case .next: if behind == .line { return .next }
        case .wait, .close: preconditionFailure("the engine answers a put line as no put line is answered")
        }
        return .again(decoder)
    }
}
