// SPDX-License-Identifier: MIT

/// All that the engine knows of one connection.
struct SessionRecord {
    var generation: UInt32
    /// The tube that puts go to.
    var used: UInt32
    /// The watch list, as an interned set.
    var watched: UInt32
    /// The job whose body is being received.
    var incoming = none
    var isOpen = true
    var isProducer = false
    var isWorker = false
    var isWaiting = false

    /// While waiting: when the wait ends; `never` without a limit.
    var waitDeadline = Instant.never
    /// While waiting: the number of the wait, ascending over all connections.
    var waiterNumber: UInt64 = 0
    /// While waiting: neighbours among the waiters of the watch set, first come first.
    var earlierWaiter = none
    var laterWaiter = none

    /// The jobs it has reserved, the one whose time to run is over first at the top.
    var reservations = DeadlineQueue()
    /// Where the connection is in the timer heap.
    var timerPlace = none

    /// When the safety margin of its soonest reservation begins; `never` without one.
    @inline(__always)
    var marginStart: Instant {
        guard let first = reservations.first else { return .never }
        return Instant(
            nanoseconds: first.deadline.nanoseconds - Int64(ProtocolLimits.safetyMarginSeconds) * 1_000_000_000)
    }

    /// When something happens to the connection by itself.
    ///
    /// Inlined: a call would be given a copy of the record, and wait for it (2 % of a cycle with 64 requests in flight).
    @inline(__always)
    var nextEvent: Instant {
        let expiry = reservations.first?.deadline ?? .never
        return isWaiting ? min(marginStart, waitDeadline) : expiry
    }
}

extension Engine {
    /// A client connected: it uses and watches `default`.
    public mutating func connect() -> ConnectionID {
        let index = sessions.allocate { _ in
            SessionRecord(generation: 0, used: TubeIndex.defaultTube.index, watched: Self.defaultWatchSet)
        }
        if Int(index) == generations.count { generations.append(0) }
        sessions[index].pointee.generation = generations[Int(index)]
        let tube = tubes[TubeIndex.defaultTube.index]
        tube.pointee.using += 1
        tube.pointee.watching += 1
        watchSets[Self.defaultWatchSet].pointee.references += 1
        connectionCount += 1
        totalConnections += 1
        return ConnectionID(index: index, generation: generations[Int(index)])
    }

    /// A client is gone: its jobs go back to ready, its tubes are let go.
    ///
    /// No reply reaches it any more.
    ///
    /// A worker with many jobs gives them back in steps (`step`).
    public mutating func disconnect(_ connection: ConnectionID) {
        let session = open(connection)
        session.pointee.isOpen = false
        connectionCount -= 1
        if session.pointee.isProducer { producerCount -= 1 }
        if session.pointee.isWorker { workerCount -= 1 }
        if session.pointee.isWaiting { stopWaiting(connection.index) }
        // From here on its jobs go back by `step` alone: none may run out of time before its turn comes.
        disarm(&session.pointee.timerPlace)
        abandonIncoming(session)
        let used = session.pointee.used
        tubes[used].pointee.using -= 1
        removeTubeIfUnneeded(used)
        releaseWatchSetTubes(session.pointee.watched)
        releaseWatchSet(session.pointee.watched)
        var closing = Closing(client: connection.index, slots: jobsInOrder(of: session))
        if !giveBackJobs(&closing, atMost: limits.jobsPerStep) { work.append(.closing(closing)) }
    }

    /// The client will send no more.
    ///
    /// A waiting worker is told `TIMED_OUT`; all else goes on.
    public mutating func inputEnded(_ connection: ConnectionID) {
        let session = open(connection)
        guard session.pointee.isWaiting else { return }
        stopWaiting(connection.index)
        push(.timedOut, to: connection.index)
    }

    /// The server stops: nobody who waits is given a job any more, nor answered.
    ///
    /// - Complexity: the number of connections.
    public mutating func cancelWaits() {
        for index in 0..<sessions.end where sessions[index].pointee.isOpen && sessions[index].pointee.isWaiting {
            stopWaiting(index)
        }
    }

    /// The most jobs of a closed connection that are put in order: sorting takes milliseconds beyond.
    private static var jobsInOrderAtMost: Int { 50_000 }

    /// The slots of a connection's jobs, the one reserved first at the end: jobs go back in that order, as in the
    /// reference.
    ///
    /// Beyond 50,000 jobs they go back in no particular order.
    private func jobsInOrder(of session: UnsafeMutablePointer<SessionRecord>) -> [UInt32] {
        let count = session.pointee.reservations.count
        var slots: [UInt32] = []
        slots.reserveCapacity(count)
        session.pointee.reservations.forEachEntry { slots.append($0.slot) }
        if count > 1 && count <= Self.jobsInOrderAtMost {
            slots.sort { jobs[$0].pointee.sequence > jobs[$1].pointee.sequence }
        }
        return slots
    }

    /// Gives back jobs of a closed connection, and forgets it when all are gone.
    ///
    /// False if some are left.
    mutating func giveBackJobs(_ closing: inout Closing, atMost count: Int) -> Bool {
        for _ in 0..<count {
            guard let slot = closing.slots.popLast() else { break }
            endReservation(slot, .connectionLost)
            takeBack(slot)
        }
        guard closing.slots.isEmpty else { return false }
        sessions[closing.client].pointee.reservations.deallocate()
        generations[Int(closing.client)] &+= 1
        sessions.free(closing.client)
        return true
    }

    /// The record of a connection that is open.
    @inline(__always)
    func open(_ connection: ConnectionID) -> UnsafeMutablePointer<SessionRecord> {
        let session = sessions[connection.index]
        precondition(
            session.pointee.isOpen && session.pointee.generation == connection.generation,
            "the connection was closed before")
        return session
    }

    private mutating func abandonIncoming(_ session: UnsafeMutablePointer<SessionRecord>) {
        guard session.pointee.incoming != none else { return }
        forgetIncoming(session.pointee.incoming)
        session.pointee.incoming = none
    }
}
