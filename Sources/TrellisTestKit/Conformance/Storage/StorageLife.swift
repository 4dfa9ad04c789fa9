// SPDX-License-Identifier: MIT

import TrellisCore

/// One change, with all of the job as it is after it.
enum LifeChange {
    case put(KeptJob)
    case update(KeptJob)
    case move(KeptJob, from: [UInt8])
    case delete(KeptJob)

    var job: KeptJob {
        switch self {
        case .put(let job), .update(let job), .move(let job, _), .delete(let job): job
        }
    }
}

/// Random changes of a store's jobs: the same each time for the same seed and the same jobs to begin with, so that two
/// processes know of each other what they do.
struct StorageLife {
    private var jobs: [UInt64: KeptJob]
    private var random: SeededGenerator
    private var nextID: UInt64
    private var sequence: UInt64
    /// With more jobs than this, only deletes follow until there are fewer.
    static let mostJobs = 300

    init(seed: UInt64, jobs: [KeptJob] = [], highest: UInt64 = 0) {
        self.jobs = Dictionary(jobs.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        random = SeededGenerator(seed: seed)
        nextID = highest + 1
        sequence = jobs.map(\.sequence).max() ?? 0
    }

    /// What a job with that id is like when it is put: nobody has to keep its body to know it.
    static func job(_ id: UInt64) -> KeptJob {
        var random = SeededGenerator(seed: id)
        var job = KeptJob(id, tube: random.one(of: ["default", "emails", "a-tube-with-a-longer-name"]))
        job.body = random.bytes(random.below(8) == 0 ? 600 + random.below(2000) : random.below(200))
        job.priority = UInt32(random.below(1 << 30))
        job.ttr = 60
        return job
    }

    /// The changes of the next turn; there may be none.
    mutating func turn() -> [LifeChange] { (0..<random.below(6)).map { _ in change() } }

    private mutating func change() -> LifeChange {
        let live = jobs.keys.sorted()
        sequence += 1
        let choice = live.isEmpty ? 9 : live.count > Self.mostJobs ? 0 : random.below(10)
        guard choice < 7, var job = jobs[random.one(of: live)] else {
            var job = Self.job(nextID)
            job.sequence = sequence
            jobs[nextID] = job
            nextID += 1
            return .put(job)
        }
        job.sequence = sequence
        guard choice >= 3 else {
            jobs[job.id] = nil
            return .delete(job)
        }
        if choice == 3 {
            let former = job.tube
            job.tube = Array("dead-letters".utf8)
            (job.state, job.deadline) = (.ready, 0)
            jobs[job.id] = job
            return .move(job, from: former)
        }
        job.state = random.one(of: [.ready, .delayed, .buried])
        job.priority = UInt32(random.below(1 << 30))
        job.delay = job.state == .delayed ? 90 : 0
        job.deadline = job.state == .delayed ? job.createdAt + 90_000_000_000 : 0
        job.counters.reserves &+= 1
        job.counters.releases &+= 1
        jobs[job.id] = job
        return .update(job)
    }
}

/// What a store may hold after it was ended by force: of each job one of several versions, of which there is only one for
/// what was acknowledged.
struct PossibleJobs {
    /// nil: the job is not there.
    private var versions: [UInt64: [KeptJob?]] = [:]
    private var uncertain: Set<UInt64> = []
    /// The highest id that was acknowledged.
    private var highest: UInt64
    private var highestIssued: UInt64

    /// What is certain.
    init(_ jobs: [KeptJob] = [], highest: UInt64 = 0) {
        for job in jobs { versions[job.id] = [job] }
        self.highest = highest
        highestIssued = highest
    }

    /// A change was given to the store: from now on it may be there or not.
    mutating func issue(_ change: LifeChange) {
        let id = change.job.id
        highestIssued = max(highestIssued, id)
        uncertain.insert(id)
        if case .delete = change {
            versions[id, default: [nil]].append(nil)
        } else {
            versions[id, default: [nil]].append(change.job)
        }
    }

    /// All that was given to the store is certain.
    mutating func acknowledge() {
        for id in uncertain {
            guard let last = versions[id]?.last else { continue }
            versions[id] = last.map { [$0] }
        }
        uncertain = []
        highest = highestIssued
    }

    /// What of that a store doesn't hold, in words.
    func faults(in jobs: [KeptJob], highest found: UInt64) -> [String] {
        var faults: [String] = []
        var seen: Set<UInt64> = []
        for job in jobs {
            if !seen.insert(job.id).inserted { faults.append("job \(job.id) came twice") }
            guard let possible = versions[job.id] else {
                faults.append("job \(job.id) came, which was deleted, and that acknowledged, or which never was")
                continue
            }
            if possible.contains(job) { continue }
            guard let last = possible.compactMap({ $0 }).last else {
                faults.append("job \(job.id) came, whose deletion was acknowledged")
                continue
            }
            faults.append("of job \(job.id) \(job.differences(from: last)), and that was acknowledged")
        }
        for (id, possible) in versions.sorted(by: { $0.key < $1.key })
        where !seen.contains(id) && !possible.contains(nil) {
            faults.append("job \(id) is gone, and it was acknowledged")
        }
        if found < highest {
            faults.append("the highest id is \(found), and \(highest) was given out and acknowledged")
        }
        return faults
    }
}
