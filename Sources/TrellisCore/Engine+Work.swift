// SPDX-License-Identifier: MIT

/// Work that would hold up everybody else if it were done at once.
enum LongWork {
    case kick(Kick)
    case closing(Closing)
}

/// A closed connection that still has jobs.
struct Closing {
    /// The index of the connection.
    var client: UInt32
    /// The slots of the jobs, the one to give back next at the end.
    var slots: [UInt32]
}

/// A kick of more jobs than fit into one step.
///
/// It covers the jobs that were there when it began; its client waits for the answer, others may see it half done.
struct Kick {
    var client: ConnectionID
    var tube: UInt32
    /// Jobs still to kick at the most.
    var left: UInt32
    var kicked: UInt32 = 0
    var isOfBuried: Bool
    /// The newest change at the beginning: jobs buried or delayed by a later one aren't touched.
    var boundary: UInt64
    /// How many newer delayed jobs that are due before the older ones a step may put aside.
    ///
    /// Doubled when it didn't suffice: a kick ends, however many jobs others delay meanwhile.
    var newerAtMost: Int
}

extension Engine {
    /// Whether `step` has something to do.
    public var hasWork: Bool { !work.isEmpty || bodies.large.hasRetired }

    /// Does one bounded piece of long work.
    ///
    /// Call it once a turn, after the commands, while `hasWork`.
    public mutating func step() {
        if bodies.large.hasRetired { bodies.large.sweep() }
        guard !work.isEmpty else { return }
        switch work.removeFirst() {
        case .closing(var closing):
            if !giveBackJobs(&closing, atMost: limits.jobsPerStep) { work.append(.closing(closing)) }
        case .kick(var kick):
            if advance(&kick) {
                tubes[kick.tube].pointee.pins -= 1
                removeTubeIfUnneeded(kick.tube)
                let session = sessions[kick.client.index]
                if session.pointee.isOpen && generations[Int(kick.client.index)] == kick.client.generation {
                    push(.kicked(kick.kicked), to: kick.client.index)
                }
            } else {
                work.append(.kick(kick))
            }
        }
    }

    mutating func kick(_ bound: UInt32, _ session: UnsafeMutablePointer<SessionRecord>, _ client: UInt32) -> Verdict {
        counters.kick += 1
        let tube = tubes[session.pointee.used]
        let isOfBuried = tube.pointee.buried > 0
        let present = isOfBuried ? tube.pointee.buried : UInt32(tube.pointee.delays.count)
        var kick = Kick(
            client: ConnectionID(index: client, generation: session.pointee.generation), tube: session.pointee.used,
            left: min(bound, present), isOfBuried: isOfBuried, boundary: sequence,
            newerAtMost: limits.jobsPerStep)
        if advance(&kick) {
            push(.kicked(kick.kicked), to: client)
            return .next
        }
        tube.pointee.pins += 1
        work.append(.kick(kick))
        return .wait
    }

    mutating func kickJob(_ id: JobID, _ client: UInt32) {
        guard let slot = index.slot(of: id),
            jobs[slot].pointee.state == .buried || jobs[slot].pointee.state == .delayed
        else {
            push(.notFound, to: client)
            return
        }
        push(.kickedJob, to: client)
        kickOne(slot)
    }

    /// One step of a kick.
    ///
    /// True when it is done.
    private mutating func advance(_ kick: inout Kick) -> Bool {
        let start = kick.kicked
        let end = start + min(kick.left, UInt32(limits.jobsPerStep))
        let isDone = kick.isOfBuried ? advanceBuried(&kick, to: end) : advanceDelayed(&kick, to: end)
        kick.left -= kick.kicked - start
        return isDone || kick.left == 0
    }

    private mutating func advanceBuried(_ kick: inout Kick, to end: UInt32) -> Bool {
        while kick.kicked < end {
            let slot = tubes[kick.tube].pointee.firstBuried
            guard slot != none, jobs[slot].pointee.sequence <= kick.boundary else { return true }
            kickOne(slot)
            kick.kicked += 1
        }
        return false
    }

    private mutating func advanceDelayed(_ kick: inout Kick, to end: UInt32) -> Bool {
        var newer: [(slot: UInt32, deadline: Instant)] = []
        while kick.kicked < end, newer.count < kick.newerAtMost, let first = tubes[kick.tube].pointee.delays.first {
            if jobs[first.slot].pointee.sequence <= kick.boundary {
                kickOne(first.slot)
                kick.kicked += 1
            } else {
                leaveDelays(first.slot)
                newer.append((first.slot, first.deadline))
            }
        }
        let hasSeenAll = tubes[kick.tube].pointee.delays.isEmpty
        if newer.count == kick.newerAtMost { kick.newerAtMost *= 2 }
        for job in newer { enterDelays(job.slot, until: job.deadline) }
        return hasSeenAll
    }

    /// Makes a buried or delayed job ready.
    private mutating func kickOne(_ slot: UInt32) {
        leaveQueue(slot)
        count(.kicks, of: slot)
        forgetFailures(of: slot)
        makeReady(slot)
        log(update: slot)
        offer(slot)
    }
}
