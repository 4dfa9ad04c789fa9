// SPDX-License-Identifier: MIT

/// Waiting workers. They stand in line per watch set; a tube knows the sets that have waiters, in the order of their
/// longest waiting ones.
///
/// What a tube knows may be out of date: an entry stays when its waiter is served, and is set right or dropped when it
/// comes to the top. So a worker that waits again finds its set still enlisted, and a set is entered into the queues of
/// all its tubes once and not for each wait.
extension Engine {
    /// The connection waits for a job from now on, at the end of the line.
    mutating func startWaiting(_ index: UInt32, until deadline: Instant) {
        let session = sessions[index]
        session.pointee.isWaiting = true
        session.pointee.waitDeadline = deadline
        session.pointee.waiterNumber = nextWaiterNumber
        nextWaiterNumber += 1
        waitingCount += 1
        let set = watchSets[session.pointee.watched]
        session.pointee.earlierWaiter = set.pointee.lastWaiter
        session.pointee.laterWaiter = none
        if set.pointee.lastWaiter != none {
            sessions[set.pointee.lastWaiter].pointee.laterWaiter = index
        } else {
            set.pointee.firstWaiter = index
        }
        set.pointee.lastWaiter = index
        set.pointee.waiting += 1
        for tube in set.pointee.list { tubes[tube.index].pointee.waiting += 1 }
        if set.pointee.enlisted != set.pointee.count { enlist(session.pointee.watched) }
        armSession(index)
    }

    /// The connection waits no longer: it got a job, a refusal, or is gone.
    mutating func stopWaiting(_ index: UInt32) {
        let session = sessions[index]
        let set = watchSets[session.pointee.watched]
        if session.pointee.earlierWaiter != none {
            sessions[session.pointee.earlierWaiter].pointee.laterWaiter = session.pointee.laterWaiter
        } else {
            set.pointee.firstWaiter = session.pointee.laterWaiter
        }
        if session.pointee.laterWaiter != none {
            sessions[session.pointee.laterWaiter].pointee.earlierWaiter = session.pointee.earlierWaiter
        } else {
            set.pointee.lastWaiter = session.pointee.earlierWaiter
        }
        set.pointee.waiting -= 1
        for tube in set.pointee.list { tubes[tube.index].pointee.waiting -= 1 }
        session.pointee.isWaiting = false
        session.pointee.waitDeadline = .never
        waitingCount -= 1
    }

    /// Gives ready jobs of the tube to those who wait for them, first come, first served.
    @inline(__always)
    mutating func serve(_ tube: UInt32) {
        if !tubes[tube].pointee.waitingSets.isEmpty { serveWaiters(tube) }
    }

    private mutating func serveWaiters(_ index: UInt32) {
        let tube = tubes[index]
        var refused: [UInt32] = []
        while tube.pointee.ready > 0, tube.pointee.holds.isEmpty, let (set, position) = longestWaitingSet(of: index) {
            let watched = watchSet(set)
            guard let slot = pick(watched) else {
                // Unlawful of the scheduler; the other sets shall not suffer for it.
                delist(set, at: position)
                refused.append(set)
                continue
            }
            let worker = watchSets[set].pointee.firstWaiter
            stopWaiting(worker)
            give(slot, to: worker, for: watched)
        }
        for set in refused { enlist(set) }
    }

    /// The set whose first waiter has waited longest of all that watch the tube.
    ///
    /// Answers it with the tube's place in its list.
    private mutating func longestWaitingSet(of tube: UInt32) -> (set: UInt32, position: Int)? {
        while let top = tubes[tube].pointee.waitingSets.first {
            let set = watchSets[top.set]
            guard set.pointee.waiting > 0 else {
                delist(top.set, at: Int(top.position))
                continue
            }
            var entry = top
            entry.waiterNumber = sessions[set.pointee.firstWaiter].pointee.waiterNumber
            if entry.waiterNumber == top.waiterNumber { return (top.set, Int(top.position)) }
            tubes[tube].pointee.waitingSets.replace(at: 0, with: entry) { rememberPlace($0, $1) }
        }
        return nil
    }

    /// Enters a set into the queues of those of its tubes that don't have it.
    private mutating func enlist(_ index: UInt32) {
        let set = watchSets[index]
        let number = sessions[set.pointee.firstWaiter].pointee.waiterNumber
        for position in 0..<set.pointee.count where set.pointee.places[Int(position)] == none {
            let tube = tubes[set.pointee.tubes[Int(position)].index]
            let entry = WaitingSetEntry(waiterNumber: number, set: index, position: position)
            tube.pointee.waitingSets.insert(entry) { rememberPlace($0, $1) }
        }
        set.pointee.enlisted = set.pointee.count
    }

    /// Takes a set out of the queue of one of its tubes.
    mutating func delist(_ index: UInt32, at position: Int) {
        let set = watchSets[index]
        let tube = tubes[set.pointee.tubes[position].index]
        tube.pointee.waitingSets.remove(at: set.pointee.places[position]) { rememberPlace($0, $1) }
        set.pointee.places[position] = none
        set.pointee.enlisted -= 1
    }

    private func rememberPlace(_ entry: WaitingSetEntry, _ place: UInt32) {
        watchSets[entry.set].pointee.places[Int(entry.position)] = place
    }
}
