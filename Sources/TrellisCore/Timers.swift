// SPDX-License-Identifier: MIT

/// Everything that happens because time passes.
extension Engine {
    /// How many events one call of `advance` handles, and entries that came up too early it sets right, at most; what
    /// else is due follows in the next turn.
    static var eventsPerTurn: Int { 10_000 }

    /// Sets the time of the turn and handles what is due: delays, times to run, reserve timeouts, pauses, tokens.
    ///
    /// Events are handled in the order of their time; at the same time, connections come before tubes and lower
    /// indexes before higher ones. Of a connection, expiry comes before `DEADLINE_SOON` and that before `TIMED_OUT`;
    /// of a tube, the end of a delay before the end of a job's time to live, that before the end of a pause, that before
    /// a token of its rate, and that before it goes.
    public mutating func advance(to moment: Moment) {
        now = max(now, moment.monotonic)
        wallOffset = moment.wallNanoseconds - now.nanoseconds
        scheduler.advance(to: now)
        var handled = 0
        while let next = timers.pointee.first, next.time <= now, handled < Self.eventsPerTurn {
            handled += 1
            let event = nextEvent(of: next.source)
            guard event == next.time else {
                // The entry was a lower bound: put it where it belongs, or drop it.
                retime(next.source, to: event)
                continue
            }
            switch next.source.kind {
            case .session: handleEvent(ofSession: next.source.index)
            case .tube: handleEvent(ofTube: next.source.index)
            }
        }
    }

    private func nextEvent(of source: TimerEntry.Source) -> Instant {
        switch source.kind {
        case .session: sessions[source.index].pointee.nextEvent
        case .tube: tubes[source.index].pointee.nextEvent
        }
    }

    /// When `advance` must be called next at the latest; `never` where nothing is pending.
    public var nextDeadline: Instant { timers.pointee.first?.time ?? .never }

    private mutating func handleEvent(ofSession index: UInt32) {
        let session = sessions[index]
        if session.pointee.isWaiting {
            // Of a waiting worker's reservations none expires before its safety margin began: that ends the wait.
            let isMargin = session.pointee.marginStart <= session.pointee.waitDeadline
            stopWaiting(index)
            push(isMargin ? .deadlineSoon : .timedOut, to: index)
        } else if let first = session.pointee.reservations.first {
            count(.timeouts, of: first.slot)
            jobs[first.slot].pointee.status.hasUnloggedCounters = true
            timeouts += 1
            endReservation(first.slot, .timedOut)
            takeBack(first.slot)
        }
    }

    private mutating func handleEvent(ofTube index: UInt32) {
        let tube = tubes[index]
        let (pauseEnd, tokenAt, end) = (tube.pointee.pausedUntil, tube.pointee.tokenAt, tube.pointee.lingersUntil)
        let expiry = tube.pointee.nextExpiry
        if let first = tube.pointee.delays.first, first.deadline <= min(expiry, min(pauseEnd, tokenAt, end)) {
            leaveDelays(first.slot)
            makeReady(first.slot)
            offer(first.slot)
            return
        } else if expiry <= min(pauseEnd, tokenAt, end), let first = tube.pointee.expiries.first {
            expire(first.slot)
            return
        } else if pauseEnd <= min(tokenAt, end) {
            endPause(of: index)
        } else if tokenAt <= end {
            lift(.rate, from: index)
        } else {
            tube.pointee.lingers = false
            removeTubeIfUnneeded(index)
            return
        }
        serve(index)
    }

    // MARK: The heap

    /// Sees to it that the connection comes up no later than its next event.
    @inline(__always)
    mutating func armSession(_ index: UInt32) {
        let session = sessions[index]
        arm(.session(index), at: session.pointee.nextEvent, place: session.pointee.timerPlace)
    }

    /// Sees to it that the tube comes up no later than its next event.
    mutating func armTube(_ index: UInt32) {
        let tube = tubes[index]
        arm(.tube(index), at: tube.pointee.nextEvent, place: tube.pointee.timerPlace)
    }

    @inline(__always)
    private mutating func arm(_ source: TimerEntry.Source, at time: Instant, place: UInt32) {
        if place != none && timers.pointee[place].time <= time { return }
        setTimer(source, at: time, place: place)
    }

    private mutating func setTimer(_ source: TimerEntry.Source, at time: Instant, place: UInt32) {
        // The thread sanitizer's instrumentation of `timers.pointee` breaks the compiler (6.3.1) without the copy.
        let heap = timers
        if place == none {
            guard time != .never else { return }
            heap.pointee.insert(TimerEntry(time: time, source: source)) { rememberPlace($0, $1) }
        } else {
            heap.pointee.replace(at: place, with: TimerEntry(time: time, source: source)) { rememberPlace($0, $1) }
        }
    }

    private mutating func retime(_ source: TimerEntry.Source, to time: Instant) {
        if time == .never {
            switch source.kind {
            case .session:
                let session = sessions[source.index]
                disarm(&session.pointee.timerPlace)
            case .tube:
                let tube = tubes[source.index]
                disarm(&tube.pointee.timerPlace)
            }
        } else {
            setTimer(source, at: time, place: 0)
        }
    }

    /// Takes a connection or a tube out of the heap.
    mutating func disarm(_ place: inout UInt32) {
        guard place != none else { return }
        let heap = timers
        heap.pointee.remove(at: place) { rememberPlace($0, $1) }
        place = none
    }

    private func rememberPlace(_ entry: TimerEntry, _ place: UInt32) {
        switch entry.source.kind {
        case .session: sessions[entry.source.index].pointee.timerPlace = place
        case .tube: tubes[entry.source.index].pointee.timerPlace = place
        }
    }
}
