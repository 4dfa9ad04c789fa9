// SPDX-License-Identifier: MIT

/// What the scheduler is asked. Answers of one that isn't trusted are checked: a wrong one would take a job away from its
/// worker, or give one out that must not be.
extension Engine {
    /// The slot of the job that a worker with that watch list gets next.
    @inline(__always)
    mutating func pick(_ watched: WatchSet) -> UInt32? {
        let slot = scheduler.pick(watched)?.index
        return isSchedulerChecked ? checkedPick(slot, watched) : slot
    }

    /// The slot of the tube's next ready job.
    mutating func peek(_ tube: UInt32) -> UInt32? {
        let slot = scheduler.peek(TubeIndex(tube))?.index
        guard isSchedulerChecked, let fault = fault(ofPeek: slot, tube) else { return slot }
        giveUpScheduler("peek \(fault)")
        return scheduler.peek(TubeIndex(tube))?.index
    }

    private mutating func checkedPick(_ slot: UInt32?, _ watched: WatchSet) -> UInt32? {
        guard let fault = fault(ofPick: slot, watched) else { return slot }
        giveUpScheduler("pick \(fault)")
        return scheduler.pick(watched)?.index
    }

    private func fault(ofPick slot: UInt32?, _ watched: WatchSet) -> String? {
        guard let slot else {
            let waiting = watched.tubes.first {
                tubes[$0.index].pointee.ready > 0 && tubes[$0.index].pointee.holds.isEmpty
            }
            return waiting.map { "answered no job, and the tube \(name(of: $0.index)) has one that is due" }
        }
        guard isReady(slot) else { return "answered the slot \(slot), where no ready job is" }
        let (id, tube) = (jobs[slot].pointee.id.rawValue, jobs[slot].pointee.tube)
        guard watched.tubes.contains(tube) else {
            return "answered job \(id) of the tube \(name(of: tube.index)), which isn't watched"
        }
        guard tubes[tube.index].pointee.holds.isEmpty else {
            return "answered job \(id) of the tube \(name(of: tube.index)), which may not be served"
        }
        return nil
    }

    private func fault(ofPeek slot: UInt32?, _ tube: UInt32) -> String? {
        guard let slot else {
            guard tubes[tube].pointee.ready > 0 else { return nil }
            return "answered no job, and the tube \(name(of: tube)) has one"
        }
        guard isReady(slot) else { return "answered the slot \(slot), where no ready job is" }
        guard jobs[slot].pointee.tube.index == tube else {
            return "answered job \(jobs[slot].pointee.id.rawValue), which isn't in the tube \(name(of: tube))"
        }
        return nil
    }

    private func name(of tube: UInt32) -> String { String(decoding: tubes[tube].pointee.name, as: UTF8.self) }

    /// Whether a ready job is in the slot, whatever number that is.
    private func isReady(_ slot: UInt32) -> Bool {
        // What lies in a free slot may look like a job, but the index doesn't have it there.
        jobs.hasRecord(slot) && jobs[slot].pointee.state == .ready && index.slot(of: jobs[slot].pointee.id) == slot
    }

    /// Has the stand-in take over, and tells it all there is.
    ///
    /// - Complexity: the number of jobs; it comes once.
    private mutating func giveUpScheduler(_ reason: String) {
        isSchedulerChecked = false
        (scheduler as? any CheckedScheduler)?.giveUp(reason)
        scheduler.advance(to: now)
        var tube = oldestTube
        while tube != none {
            let record = tubes[tube]
            let name = BorrowedName(UnsafeRawBufferPointer(record.pointee.name))
            scheduler.tubeOpened(TubeIndex(tube), name: name, settings: settings(of: tube))
            if !record.pointee.holds.isEmpty { scheduler.eligible(TubeIndex(tube), false) }
            tube = record.pointee.newer
        }
        var slots: [UInt32] = []
        index.forEachSlot { slots.append($0) }
        slots.sort { jobs[$0].pointee.id < jobs[$1].pointee.id }
        for slot in slots {
            switch jobs[slot].pointee.state {
            case .ready: scheduler.ready(readyJob(slot))
            case .reserved: scheduler.reservedByID(readyJob(slot))
            case .incoming, .delayed, .buried: break
            }
        }
    }
}
