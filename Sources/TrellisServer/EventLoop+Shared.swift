// SPDX-License-Identifier: MIT

internal import Glibc
internal import TrellisCore

/// A loop that shares its engine with others: its turn, and what it does in the engine and behind it.
extension EventLoop {
    /// One turn: wait, read and decode; in the engine, perform and commit; outside again, write.
    mutating func turnShared(waitAtMost limit: Int32) throws(ServerError) {
        let wait = waitMilliseconds()
        var timeout = limit == .max ? wait : wait < 0 ? limit : min(wait, limit)
        if !exchange.spent.isEmpty {
            timeout = timeout < 0 ? Exchange.returnMilliseconds : min(timeout, Exchange.returnMilliseconds)
        }
        // Whoever leaves something for a loop that sleeps wakes it.
        if timeout != 0 && !mailbox.fallAsleep() { timeout = 0 }
        let count = waitForEvents(timeout)
        mailbox.getUp()
        now = Clock.now().monotonic
        if count > 0 {
            for position in 0..<Int(count) { handle(events[position]) }
        }
        if acceptRetry <= now { resumeAccepting() }
        if !isCongested { gatherLeftovers() }
        enter()
        flush()
        closeFinished()
        if let failure = exchange.failure {
            refuseHeld()
            throw failure
        }
    }

    /// Goes into the engine: hands over what was gathered, takes what lies ready, and sees to it outside.
    mutating func enter() {
        guard let gate else { return }
        let moment = Clock.now()
        exchange.saidQuiet = exchange.phase != .serving && isQuiet
        gate.enter(as: number) { handOver(&$0, moment) }
        takeUp()
    }

    // MARK: Inside

    private mutating func handOver(_ shared: inout SharedEngine, _ moment: Moment) {
        returnSpent()
        if shared.failure == nil {
            shared.advance(to: moment)
            disconnectGone(&shared)
            for link in exchange.accepted { shared.connect(link) }
            for id in exchange.ended { engine.pointee.inputEnded(id) }
            shared.collect()
            if shared.phase == .serving { performBatch(&shared) }
            commit(&shared)
        }
        exchange.accepted.removeAll(keepingCapacity: true)
        exchange.ended.removeAll(keepingCapacity: true)
        take(&shared)
    }

    private mutating func commit(_ shared: inout SharedEngine) {
        let works = shared.isWorker(number)
        if works && engine.pointee.hasWork {
            engine.pointee.step()
            shared.collect()
        }
        do throws(StorageError) {
            let hasMaintenance = try shared.commit(maintaining: works)
            exchange.mustReturn = shared.keepWorking(number, hasMaintenance: hasMaintenance)
        } catch {
            shared.fail(.storage(error))
        }
        exchange.alarm = shared.setAlarm(number)
    }

    private mutating func returnSpent() {
        for body in exchange.spent { engine.pointee.release(body) }
        exchange.spent.removeAll(keepingCapacity: true)
        exchange.spentBytes = 0
    }

    private mutating func disconnectGone(_ shared: inout SharedEngine) {
        guard !exchange.gone.isEmpty else { return }
        for id in exchange.gone { shared.disconnect(id) }
        exchange.gone.removeAll(keepingCapacity: true)
        shared.collect()
    }

    /// Takes what lies at the port, and notes how things stand.
    private mutating func take(_ shared: inout SharedEngine) {
        let port = shared.port(number)
        mailbox.look()
        swap(&exchange.delivery, &port.pointee.delivery)
        exchange.completedTicket = shared.completedTicket
        port.pointee.toldTicket = exchange.completedTicket
        isCongested = shared.isCongested
        exchange.phase = shared.phase
        exchange.failure = shared.failure
        connectionCount = shared.connectionCount
        if exchange.settingsCount != shared.settingsCount {
            exchange.settingsCount = shared.settingsCount
            exchange.newSettings = shared.settings
        }
        if exchange.phase != .serving {
            exchange.saidQuiet = exchange.saidQuiet && exchange.delivery.isEmpty
            if exchange.saidQuiet != port.pointee.isQuiet { shared.nudge(0) }
            port.pointee.isQuiet = exchange.saidQuiet
            exchange.isAllQuiet = shared.isQuiet
        }
        guard number == 0 else { return }
        shared.isAccepting = isAccepting
        // A descriptor is free, or a place below the limit.
        if !isAccepting && exchange.closedCount != shared.closedCount { acceptRetry = now }
        exchange.closedCount = shared.closedCount
    }

    // MARK: Outside

    /// Sees to what was brought from the engine: new connections, replies, and what is left of the batch.
    private mutating func takeUp() {
        for segment in exchange.batch.segments {
            let rest = UnsafeRawBufferPointer(rebasing: segment.bytes[segment.used...])
            segment.connection.pointee.leftover.replace(with: rest)
            segment.connection.pointee.isInBatch = false
        }
        for arrival in exchange.delivery.arrivals { admit(arrival.id, arrival.link) }
        deliverBrought()
        for segment in exchange.batch.segments { conclude(segment) }
        exchange.batch.clear()
        exchange.delivery.clear()
        if !held.isEmpty { letOut(upTo: exchange.completedTicket) }
        if let settings = exchange.newSettings {
            exchange.newSettings = nil
            takeOver(settings)
        }
    }

    private mutating func deliverBrought() {
        var position = 0
        var wait = 0
        for run in exchange.delivery.runs {
            deliverBrought(from: &position, to: run.end, &wait)
            settle(run.ticket)
        }
        // The store failed before it said what these wait for.
        deliverBrought(from: &position, to: exchange.delivery.effects.count, &wait)
        fresh.removeAll(keepingCapacity: true)
        while wait < exchange.batch.waits.count {
            exchange.batch.waits[wait].connection.pointee.isBlocked = true
            wait += 1
        }
    }

    private mutating func deliverBrought(from position: inout Int, to end: Int, _ wait: inout Int) {
        while position < end {
            while wait < exchange.batch.waits.count, exchange.batch.waits[wait].place <= position {
                exchange.batch.waits[wait].connection.pointee.isBlocked = true
                wait += 1
            }
            let effect = exchange.delivery.effects[position]
            position += 1
            guard let connection = queue(effect) else { continue }
            if fresh.last != effect.connection.index { fresh.append(effect.connection.index) }
            unblock(connection)
        }
    }

    /// Lets the replies that were queued since the last call go, or holds them until their ticket is complete.
    private mutating func settle(_ ticket: Ticket?) {
        for index in fresh {
            guard let connection = connections[Int(index)], let output = connection.pointee.output,
                output.pointee.mark != output.pointee.releasedMark
            else { continue }
            if let ticket {
                hold(connection, ticket)
            } else {
                output.pointee.release(upTo: output.pointee.mark)
            }
        }
        fresh.removeAll(keepingCapacity: true)
    }

    /// What is left to do with a connection whose commands were performed.
    private mutating func conclude(_ segment: Batch.Segment) {
        let connection = segment.connection
        guard !connection.pointee.isClosing else { return }
        if connection.pointee.isFinishing {
            finish(connection)
        } else if connection.pointee.mayHaveMore
            || (!mustWait(connection) && (segment.isCut || connection.pointee.hasEnded))
        {
            // Its end may be there to be read, of which who waits is to be told, too.
            markResumable(connection)
        }
        updateInterest(connection)
    }

    // MARK: The end

    /// Nothing of the loop's is on its way to a client or to the engine.
    private var isQuiet: Bool {
        held.isEmpty && exchange.gone.isEmpty && !isSending
    }

    /// Runs turns until the server stops, and then until its replies are gone; closes what it has.
    ///
    /// This is all that a loop does that isn't the first one.
    mutating func runBeside() {
        do throws(ServerError) {
            while exchange.phase == .serving { try turn() }
            finishAll()
            while exchange.phase != .closing { try turn(waitAtMost: stopWait) }
        } catch {
            // The first loop comes upon the same error, and tells of it.
        }
        closeAll()
    }

    /// The last turns of the first loop, with those of all others.
    mutating func windUpShared(_ gate: EngineGate, until deadline: Int64) throws(ServerError) -> Bool {
        gate.enter(as: number) { $0.beginStop() }
        finishAll()
        while Clock.now().monotonic.nanoseconds < deadline {
            try turn(waitAtMost: stopWait)
            if exchange.isAllQuiet { return true }
        }
        return false
    }

    /// How long a turn may wait while the server stops: not at all, if there is something to say.
    private var stopWait: Int32 { exchange.saidQuiet == isQuiet ? 50 : 0 }

    /// The last entry of a loop that has closed its connections.
    mutating func leaveShared(_ gate: EngineGate) {
        gate.enter(as: number) { shared in
            returnSpent()
            disconnectGone(&shared)
        }
    }
}
