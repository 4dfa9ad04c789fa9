// SPDX-License-Identifier: MIT

import TrellisCore

/// Plays the engine to a scheduler: keeps the calling order, gives out slots and tubes, and knows which jobs are ready.
///
/// Everything it knows is in arrays, in the order in which it came to be, so that a run is the same each time.
final class SchedulerBench {
    let scheduler: any Scheduler
    private(set) var ready: [ReadyJob] = []
    /// Where in `ready` the job of a slot is.
    private var places: [JobSlot: Int] = [:]
    private(set) var reserved: [ReadyJob] = []
    private(set) var buried: [ReadyJob] = []
    /// When each reservation began.
    private var starts: [JobID: Int64] = [:]
    private(set) var now: Int64 = 1_000_000_000
    private(set) var tubes: [TubeIndex] = []
    private(set) var ineligible: [TubeIndex] = []
    private var freeSlots: [UInt32] = []
    private var nextSlot: UInt32 = 0
    private var nextID: UInt64 = 1

    init(_ scheduler: any Scheduler) {
        self.scheduler = scheduler
        scheduler.advance(to: Instant(nanoseconds: now))
        open(0)
    }

    /// Lets time pass.
    func advance(nanoseconds: Int64) {
        now += nanoseconds
        scheduler.advance(to: Instant(nanoseconds: now))
    }

    // MARK: Tubes

    func open(_ index: UInt32, _ settings: TubeSettings = TubeSettings()) {
        let tube = TubeIndex(index)
        tubes.append(tube)
        withUnsafeBytes(of: UInt8(ascii: "t")) {
            scheduler.tubeOpened(tube, name: BorrowedName($0), settings: settings)
        }
    }

    func change(_ tube: TubeIndex, _ settings: TubeSettings) { scheduler.tubeChanged(tube, settings: settings) }

    /// Whether a tube has no job in any state.
    func isEmpty(_ tube: TubeIndex) -> Bool {
        !ready.contains { $0.tube == tube } && !reserved.contains { $0.tube == tube }
            && !buried.contains { $0.tube == tube }
    }

    func close(_ tube: TubeIndex) {
        precondition(isEmpty(tube))
        tubes.removeAll { $0 == tube }
        ineligible.removeAll { $0 == tube }
        scheduler.tubeClosed(tube)
    }

    func setEligible(_ tube: TubeIndex, _ isEligible: Bool) {
        ineligible.removeAll { $0 == tube }
        if !isEligible { ineligible.append(tube) }
        scheduler.eligible(tube, isEligible)
    }

    // MARK: Jobs

    /// Makes a new job ready, in the slot that was given back last.
    @discardableResult
    func put(_ tube: UInt32 = 0, priority: UInt32 = 0) -> ReadyJob {
        let slot = freeSlots.popLast() ?? nextSlot
        if slot == nextSlot { nextSlot += 1 }
        let job = ReadyJob(
            slot: JobSlot(slot), tube: TubeIndex(tube), id: JobID(nextID), priority: priority,
            createdAt: Instant(nanoseconds: now))
        nextID += 1
        makeReady(job)
        return job
    }

    private func makeReady(_ job: ReadyJob) {
        places[job.slot] = ready.count
        ready.append(job)
        scheduler.ready(job)
    }

    /// A ready job is deleted.
    func delete(_ job: ReadyJob) {
        leaveReady(job)
        scheduler.removed(job)
        freeSlots.append(job.slot.index)
    }

    /// A ready or buried job is reserved by its id.
    func reserveByID(_ job: ReadyJob) {
        if isReady(job) {
            leaveReady(job)
            scheduler.removed(job)
        } else {
            buried.removeAll { $0.id == job.id }
        }
        scheduler.reservedByID(job)
        begin(job)
    }

    /// A job that was picked for a watch list is given to a worker with that list; where none is said, with the tube of
    /// the job alone.
    func reserve(_ job: ReadyJob, for tubes: [UInt32]? = nil, set: UInt32 = 0) {
        leaveReady(job)
        let list = tubes.map { $0.map { TubeIndex($0) } } ?? [job.tube]
        list.withUnsafeBufferPointer { scheduler.reserved(job, for: WatchSet(index: set, tubes: $0)) }
        begin(job)
    }

    private func begin(_ job: ReadyJob) {
        reserved.append(job)
        starts[job.id] = now
    }

    /// A reservation ends; where the job isn't gone or buried it is ready again, perhaps with another priority.
    func finish(_ job: ReadyJob, _ outcome: ReservationOutcome, priority: UInt32? = nil) {
        reserved.removeAll { $0.id == job.id }
        let start = starts.removeValue(forKey: job.id) ?? now
        scheduler.finished(job, outcome, serviceNanoseconds: now - start)
        var job = job
        job.priority = priority ?? job.priority
        switch outcome {
        case .deleted: freeSlots.append(job.slot.index)
        case .buried: buried.append(job)
        case .released, .timedOut, .connectionLost: makeReady(job)
        }
    }

    /// A buried job is kicked.
    func kick(_ job: ReadyJob) {
        buried.removeAll { $0.id == job.id }
        makeReady(job)
    }

    private func isReady(_ job: ReadyJob) -> Bool { places[job.slot].map { ready[$0].id == job.id } ?? false }

    private func leaveReady(_ job: ReadyJob) {
        guard let place = places.removeValue(forKey: job.slot) else { preconditionFailure("the job isn't ready") }
        let last = ready.removeLast()
        if place < ready.count {
            ready[place] = last
            places[last.slot] = place
        }
    }

    private func readyJob(_ slot: JobSlot) -> ReadyJob? { places[slot].map { ready[$0] } }

    // MARK: Questions

    /// What the scheduler picks for a watch list; nil too where it answers a slot in which no ready job is.
    func pick(_ tubes: [UInt32], set: UInt32 = 0) -> ReadyJob? {
        pickSlot(tubes, set: set).flatMap(readyJob)
    }

    func pickSlot(_ tubes: [UInt32], set: UInt32 = 0) -> JobSlot? {
        let list = tubes.map { TubeIndex($0) }
        return list.withUnsafeBufferPointer { scheduler.pick(WatchSet(index: set, tubes: $0)) }
    }

    func peek(_ tube: UInt32) -> ReadyJob? {
        scheduler.peek(TubeIndex(tube)).flatMap(readyJob)
    }

    /// The jobs that a worker with that watch list may get.
    func candidates(_ tubes: [UInt32]) -> [ReadyJob] {
        ready.filter { job in tubes.contains(job.tube.index) && !ineligible.contains(job.tube) }
    }

    /// Picks and reserves until nothing is left; the ids in order.
    func drain(_ tubes: [UInt32]) -> [UInt64] {
        var ids: [UInt64] = []
        while let job = pick(tubes), ids.count < 1_000_000 {
            reserve(job, for: tubes)
            finish(job, .deleted)
            ids.append(job.id.rawValue)
        }
        return ids
    }
}

/// A random but lawful life of a scheduler: the same for the same seed and the same answers.
struct SchedulerScript {
    private var random: SeededGenerator
    private let tubeCount: UInt32 = 6
    private let priorities: [UInt32]

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        priorities = random.one(of: [[5], [0, 1, 2], [0, 1023, 1024, .max], Array(0..<200)])
    }

    /// Some tubes, each once; sometimes all.
    mutating func watchList(_ bench: SchedulerBench) -> [UInt32] {
        let all = bench.tubes.map(\.index)
        let some = all.filter { _ in random.chance(percent: 40) }
        return some.isEmpty ? all : some.shuffled(using: &random)
    }

    /// One change.
    mutating func step(_ bench: SchedulerBench) {
        if random.below(4) == 0 { bench.advance(nanoseconds: Int64(random.below(20_000_000))) }
        switch random.below(13) {
        case 0...3: bench.put(random.one(of: bench.tubes).index, priority: random.one(of: priorities))
        case 4: if !bench.ready.isEmpty { bench.delete(random.one(of: bench.ready)) }
        case 5: if !bench.ready.isEmpty { bench.reserveByID(random.one(of: bench.ready)) }
        case 6, 7:
            let (list, set) = (watchList(bench), UInt32(random.below(3)))
            if let job = bench.pick(list, set: set) { bench.reserve(job, for: list, set: set) }
        case 8, 9: if !bench.reserved.isEmpty { finish(random.one(of: bench.reserved), bench) }
        case 10:
            let tube = random.one(of: bench.tubes)
            bench.setEligible(tube, bench.ineligible.contains(tube))
        case 11:
            if let job = bench.buried.first {
                if random.chance(percent: 50) { bench.kick(job) } else { bench.reserveByID(job) }
            }
        default: openOrClose(bench)
        }
    }

    private mutating func finish(_ job: ReadyJob, _ bench: SchedulerBench) {
        let outcome = random.one(of: [
            ReservationOutcome.deleted, .released, .buried, .timedOut, .connectionLost, .released,
        ])
        bench.finish(job, outcome, priority: outcome == .released ? random.one(of: priorities) : nil)
    }

    private mutating func openOrClose(_ bench: SchedulerBench) {
        let tube = TubeIndex(UInt32(1 + random.below(Int(tubeCount) - 1)))
        if !bench.tubes.contains(tube) {
            bench.open(tube.index, settings())
        } else if bench.isEmpty(tube) {
            bench.close(tube)
        } else {
            bench.change(tube, settings())
        }
    }

    private mutating func settings() -> TubeSettings {
        TubeSettings(
            weight: random.one(of: [1, 1, 2, 7, 1000]),
            objectiveNanoseconds: random.one(of: [nil, 0, 5_000_000, 3_600_000_000_000]))
    }
}
