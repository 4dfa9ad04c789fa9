// SPDX-License-Identifier: MIT

internal import CLinux
internal import Glibc
internal import TrellisCore
internal import TrellisWire

/// What goes out: effects become output, output is sent, connections close.
extension EventLoop {
    /// Takes all effects out of the engine and puts the replies where they are sent from.
    @inline(__always)
    mutating func deliver() {
        while let effect = engine.pointee.nextEffect() { deliver(effect) }
    }

    @inline(__always)
    private mutating func deliver(_ effect: Effect) {
        if let connection = queue(effect) { unblock(connection) }
    }

    /// Puts a reply behind what its connection is to be sent; nil where the connection is gone.
    @inline(__always)
    mutating func queue(_ effect: Effect) -> UnsafeMutablePointer<Connection>? {
        let index = Int(effect.connection.index)
        guard index < connections.count, let connection = connections[index],
            connection.pointee.id == effect.connection
        else {
            if let body = effect.reply.body { giveBack(body) }
            return nil
        }
        let output = connection.pointee.output ?? takeOutput(for: connection)
        if !output.pointee.append(effect.reply), let body = effect.reply.body { giveBack(body) }
        markDirty(connection)
        return connection
    }

    /// The reply that a connection waited for is there.
    @inline(__always)
    mutating func unblock(_ connection: UnsafeMutablePointer<Connection>) {
        guard connection.pointee.isBlocked else { return }
        connection.pointee.isBlocked = false
        if connection.pointee.leftover.count > 0 || connection.pointee.hasEnded || connection.pointee.mayHaveMore {
            markResumable(connection)
        }
    }

    /// Sends what may go on every connection with new output.
    mutating func flush() {
        swap(&dirty, &flushing)
        for position in flushing.indices {
            guard let connection = connections[Int(flushing[position])] else { continue }
            connection.pointee.isDirty = false
            if !connection.pointee.awaitsRoom && !connection.pointee.isClosing { send(connection) }
        }
        flushing.removeAll(keepingCapacity: true)
    }

    mutating func send(_ connection: UnsafeMutablePointer<Connection>) {
        guard let output = connection.pointee.output else { return }
        let wasOver = output.pointee.queuedBytes > settings.outputBytes
        var left = Self.bodyBytesPerTurn
        sending: while output.pointee.canSend {
            guard left > 0 else {
                markDirty(connection)
                break
            }
            let outcome = output.pointee.send(
                atMost: left, { connection.pointee.write($0, $1) }, done: { giveBack($0) })
            switch outcome {
            case .bytes(let count): left -= count
            case .againWhenWritable, .againWhenReadable:
                connection.pointee.awaitsRoom = true
                break sending
            case .failed, .end, nil:
                markClosing(connection)
                return
            }
        }
        if output.pointee.isEmpty {
            giveBackOutput(of: connection)
            if connection.pointee.isFinishing { markClosing(connection) }
        }
        if wasOver && connection.pointee.queuedBytes <= settings.outputBytes { markResumable(connection) }
        updateInterest(connection)
    }

    /// Asks epoll for what the connection can do with.
    @inline(__always)
    func updateInterest(_ connection: UnsafeMutablePointer<Connection>) {
        var wanted = connection.pointee.triggering
        if connection.pointee.awaitsRoom { wanted |= EPOLLOUT.rawValue }
        if !connection.pointee.hasEnded && !connection.pointee.isFinishing {
            let isHeldUp = connection.pointee.isBlocked || connection.pointee.queuedBytes > settings.outputBytes
            if !isHeldUp || connection.pointee.leftover.count < settings.inputBytes {
                wanted |= EPOLLIN.rawValue | EPOLLRDHUP.rawValue
            } else if connection.pointee.isBlocked {
                wanted |= EPOLLRDHUP.rawValue
            }
        }
        if wanted != connection.pointee.interest { setInterest(connection, wanted) }
    }

    private func setInterest(_ connection: UnsafeMutablePointer<Connection>, _ wanted: UInt32) {
        guard let descriptor = connection.pointee.descriptor, !connection.pointee.isClosing else { return }
        connection.pointee.interest = wanted
        _ = clinux_epoll_modify(poller, descriptor, wanted, Token.connection(connection.pointee.id))
    }

    // MARK: Lists

    mutating func markResumable(_ connection: UnsafeMutablePointer<Connection>) {
        guard !connection.pointee.isResumable else { return }
        connection.pointee.isResumable = true
        resumable.append(connection.pointee.id.index)
    }

    /// The connection closes at the end of the turn, whatever it was to be sent.
    mutating func markClosing(_ connection: UnsafeMutablePointer<Connection>) {
        guard !connection.pointee.isClosing else { return }
        connection.pointee.isClosing = true
        closing.append(connection.pointee.id.index)
    }

    /// The connection closes when it was sent all that it is to be sent; nothing more of it is read.
    mutating func finish(_ connection: UnsafeMutablePointer<Connection>) {
        connection.pointee.isFinishing = true
        if connection.pointee.queuedBytes == 0 { markClosing(connection) }
    }

    /// Closes the connections that were marked.
    ///
    /// What their jobs bring about goes out in the next turn.
    mutating func closeFinished() {
        guard !closing.isEmpty else { return }
        for index in closing {
            guard let connection = connections[Int(index)] else { continue }
            close(connection)
        }
        closing.removeAll(keepingCapacity: true)
        if gate == nil { deliver() }
        if acceptRetry != .never || !isAccepting { resumeAccepting() }
    }

    private mutating func close(_ connection: UnsafeMutablePointer<Connection>) {
        let id = connection.pointee.id
        switch connection.pointee.link {
        case .descriptor(let descriptor): _ = Glibc.close(descriptor)
        case .stream(let stream): stream.close()
        }
        if let body = connection.pointee.body { giveBack(body) }
        connection.pointee.leftover.clear()
        if let output = connection.pointee.output {
            for body in output.pointee.dismantle() { giveBack(body) }
            output.deinitialize(count: 1)
            output.deallocate()
        }
        connections[Int(id.index)] = nil
        connection.deinitialize(count: 1)
        connection.deallocate()
        guard gate == nil else {
            // Counted where all loops' connections are.
            exchange.gone.append(id)
            return
        }
        connectionCount -= 1
        engine.pointee.disconnect(id)
    }

    /// Closes every connection, at the end of the server.
    mutating func closeAll() {
        for case let connection? in connections { close(connection) }
        if let gate {
            leaveShared(gate)
        } else {
            while engine.pointee.hasWork { engine.pointee.step() }
            deliver()
        }
    }

    // MARK: Outputs

    private mutating func takeOutput(for connection: UnsafeMutablePointer<Connection>) -> UnsafeMutablePointer<Output> {
        let output: UnsafeMutablePointer<Output>
        if let spare = spareOutputs.popLast() {
            output = spare
        } else {
            output = .allocate(capacity: 1)
            output.initialize(to: Output())
        }
        output.pointee.begin(at: connection.pointee.outputEnd)
        connection.pointee.output = output
        return output
    }

    private mutating func giveBackOutput(of connection: UnsafeMutablePointer<Connection>) {
        guard let output = connection.pointee.output else { return }
        connection.pointee.outputEnd = output.pointee.mark
        connection.pointee.output = nil
        if output.pointee.isReusable && spareOutputs.count < Self.eventsPerWait {
            spareOutputs.append(output)
        } else {
            _ = output.pointee.dismantle()
            output.deinitialize(count: 1)
            output.deallocate()
        }
    }
}
