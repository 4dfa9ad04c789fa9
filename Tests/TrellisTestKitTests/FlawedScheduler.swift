// SPDX-License-Identifier: MIT

import Synchronization
import TrellisCore

/// A correct scheduler of the slow kind, or one with one flaw: for the proof that the kit tells them apart.
final class FlawedScheduler: Scheduler {
    enum Flaw: String, CaseIterable {
        case inventsJobs = "an empty tube has nothing to pick or peek"
        case losesJobs = "every ready job is picked in the end, and once"
        case ignoresWatchList = "only jobs of watched tubes are picked"
        case rotatesOnPick = "pick and peek change nothing"
        case ignoresEligibility = "pick passes over tubes that aren't eligible"
        case hidesIneligible = "peek shows a ready job of the tube, eligible or not"
        case keepsRemoved = "a removed job is forgotten"
        case keepsReserved = "a reserved job isn't picked until it is ready again"
        case remembersSlots = "a slot may be used again by another job"
        case remembersEligibility = "a tube's index may be used again, and begins eligible"
        case remembersSets = "a watch set's index may stand for another list later"
        case takesAgainByID = "a job reserved by its id changes nothing for the others"
        case startsAnewOnChange = "a tube whose settings change keeps its jobs"
        case servesOneATube = "no worker is idle while an eligible watched tube has a job"
        case looksAtFourTubes = "a random life"
        case differsEachTime = "the same calls give the same answers"
        /// Lawful, and not in beanstalkd's order.
        case isFirstInFirstOut = "the least priority comes first, then the least id"
    }

    private static let instances = Atomic<UInt64>(0)

    private let flaw: Flaw?
    private let salt = FlawedScheduler.instances.add(1, ordering: .relaxed).newValue
    private var jobs: [ReadyJob] = []
    private var ineligible: Set<TubeIndex> = []
    private var inService: [TubeIndex: Int] = [:]
    private var tubeOfSlot: [JobSlot: TubeIndex] = [:]
    private var tubesOfSet: [UInt32: [TubeIndex]] = [:]

    init(_ flaw: Flaw? = nil) { self.flaw = flaw }

    func advance(to now: Instant) {}

    func tubeOpened(_ tube: TubeIndex, name: BorrowedName, settings: TubeSettings) {
        if flaw != .remembersEligibility { ineligible.remove(tube) }
    }

    func tubeChanged(_ tube: TubeIndex, settings: TubeSettings) {
        if flaw == .startsAnewOnChange { jobs.removeAll { $0.tube == tube } }
    }

    func tubeClosed(_ tube: TubeIndex) {}

    func ready(_ job: ReadyJob) {
        var job = job
        if flaw == .losesJobs, job.id.rawValue % 1000 == 999 { return }
        if flaw == .remembersSlots {
            job.tube = tubeOfSlot[job.slot] ?? job.tube
            tubeOfSlot[job.slot] = job.tube
        }
        jobs.append(job)
    }

    func removed(_ job: ReadyJob) {
        if flaw != .keepsRemoved { jobs.removeAll { $0.slot == job.slot } }
    }

    func reserved(_ job: ReadyJob, for watched: WatchSet) {
        if flaw != .keepsReserved { jobs.removeAll { $0.slot == job.slot } }
        inService[job.tube, default: 0] += 1
    }

    func reservedByID(_ job: ReadyJob) {
        if flaw == .takesAgainByID, let first = jobs.firstIndex(where: { $0.tube == job.tube }) {
            jobs.remove(at: first)
        }
    }

    func finished(_ job: ReadyJob, _ outcome: ReservationOutcome, serviceNanoseconds: Int64) {
        inService[job.tube, default: 0] -= 1
    }

    func eligible(_ tube: TubeIndex, _ isEligible: Bool) {
        if isEligible { ineligible.remove(tube) } else { ineligible.insert(tube) }
    }

    func pick(_ watched: WatchSet) -> JobSlot? {
        var tubes = Array(watched.tubes)
        switch flaw {
        case .looksAtFourTubes: tubes = Array(tubes.prefix(4))
        case .remembersSets:
            tubes = tubesOfSet[watched.index] ?? tubes
            tubesOfSet[watched.index] = tubes
        default: break
        }
        let job = best { job in
            (flaw == .ignoresWatchList || tubes.contains(job.tube))
                && (flaw == .ignoresEligibility || !ineligible.contains(job.tube))
                && (flaw != .servesOneATube || inService[job.tube, default: 0] < 1)
        }
        if flaw == .inventsJobs { return job?.slot ?? JobSlot(0) }
        if flaw == .rotatesOnPick, let job {
            jobs.removeAll { $0.id == job.id }
            jobs.append(job)
        }
        return job?.slot
    }

    func peek(_ tube: TubeIndex) -> JobSlot? {
        if flaw == .hidesIneligible, ineligible.contains(tube) { return nil }
        return best { $0.tube == tube }?.slot
    }

    private func best(_ isCandidate: (ReadyJob) -> Bool) -> ReadyJob? {
        let candidates = jobs.filter(isCandidate)
        switch flaw {
        case .rotatesOnPick, .isFirstInFirstOut: return candidates.first
        case .differsEachTime: return candidates.min { ($0.id.rawValue ^ salt) < ($1.id.rawValue ^ salt) }
        default: return candidates.min { ($0.priority, $0.id) < ($1.priority, $1.id) }
        }
    }
}
