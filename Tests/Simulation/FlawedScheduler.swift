// SPDX-License-Identifier: MIT

import TrellisCore
import TrellisTestKit

/// A scheduler with a planted bug, for the proof that the simulation would find one.
final class FlawedScheduler: Scheduler {
    enum Flaw: CaseIterable {
        /// Of two jobs of equal priority the later one comes first.
        case lastInFirstOut
        /// Jobs of a paused tube are handed out.
        case ignoresEligibility
        /// Only the first tube of a watch list is looked at.
        case looksAtOneTube
        /// A job's priority at its put counts for ever.
        case remembersPriority
    }

    private let flaw: Flaw
    private var ready: [ReadyJob] = []
    private var ineligible: Set<TubeIndex> = []
    private var firstPriorities: [JobID: UInt32] = [:]

    init(_ flaw: Flaw) { self.flaw = flaw }

    func advance(to now: Instant) {}
    func tubeOpened(_ tube: TubeIndex, name: BorrowedName, settings: TubeSettings) { ineligible.remove(tube) }
    func tubeChanged(_ tube: TubeIndex, settings: TubeSettings) {}
    func tubeClosed(_ tube: TubeIndex) {}

    func ready(_ job: ReadyJob) {
        var job = job
        if flaw == .remembersPriority {
            job.priority = firstPriorities[job.id] ?? job.priority
            firstPriorities[job.id] = job.priority
        }
        ready.append(job)
    }

    func removed(_ job: ReadyJob) { ready.removeAll { $0.id == job.id } }
    func reserved(_ job: ReadyJob, for watched: WatchSet) { removed(job) }
    func reservedByID(_ job: ReadyJob) {}
    func finished(_ job: ReadyJob, _ outcome: ReservationOutcome, serviceNanoseconds: Int64) {}

    func eligible(_ tube: TubeIndex, _ isEligible: Bool) {
        if isEligible { ineligible.remove(tube) } else { ineligible.insert(tube) }
    }

    func pick(_ watched: WatchSet) -> JobSlot? {
        let tubes = flaw == .looksAtOneTube ? Array(watched.tubes.prefix(1)) : Array(watched.tubes)
        return best { tubes.contains($0.tube) && (flaw == .ignoresEligibility || !ineligible.contains($0.tube)) }
    }

    func peek(_ tube: TubeIndex) -> JobSlot? { best { $0.tube == tube } }

    private func best(_ isCandidate: (ReadyJob) -> Bool) -> JobSlot? {
        ready.filter(isCandidate).min { left, right in
            if left.priority != right.priority { return left.priority < right.priority }
            return flaw == .lastInFirstOut ? left.id > right.id : left.id < right.id
        }?.slot
    }
}
