// SPDX-License-Identifier: MIT

import TrellisCore

/// The policies of tubes.
extension ReferenceModel {
    /// Whether the body is larger than the server, or the tube, takes.
    func isTooBig(_ size: UInt32, for tube: String) -> Bool {
        size > maxJobSize || size > tubeSettings[tube]?.maxJobBytes ?? .max
    }

    /// Whether puts bring the tube no more jobs.
    func hasAllJobs(_ tube: String) -> Bool {
        guard let most = tubeSettings[tube]?.maxJobs else { return false }
        return jobs.filter { $0.tube == tube }.count >= most
    }

    mutating func countRefusedPut(into tube: String) {
        outcomes.refused += 1
        change(tube: tube) { $0.outcomes.refused += 1 }
    }

    /// A delivery ended without a delete or a burial.
    mutating func takeBack(_ id: UInt64, delay: UInt32 = 0) {
        guard let job = job(id), let retries = tubeSettings[job.tube]?.retries else { return place(id, delay: delay) }
        change(job: id) { $0.failures += 1 }
        if job.failures + 1 <= retries { return place(id, delay: delay) }
        outcomes.exhausted += 1
        change(tube: job.tube) { $0.outcomes.exhausted += 1 }
        putAside(id)
    }

    /// The job is ready in the tube for dead letters, or buried where there is none.
    mutating func putAside(_ id: UInt64) {
        guard let job = job(id) else { return }
        guard let target = tubeSettings[job.tube]?.deadLetter else {
            bury(id, priority: job.priority)
            return offer(job.tube)
        }
        outcomes.deadLettered += 1
        change(tube: job.tube) { $0.outcomes.deadLettered += 1 }
        makeTubeIfMissing(target)
        change(tube: target) { $0.totalJobs += 1 }
        change(job: id) {
            $0.tube = target
            $0.state = .ready
            $0.holder = nil
            $0.failures = 0
        }
        offer(job.tube)
        settle(id)
        removeTubeIfUnneeded(job.tube)
    }

    /// The job has just become ready.
    mutating func settle(_ id: UInt64) {
        guard let job = job(id) else { return }
        if expiry(of: job) <= now { expire(id) } else { offer(job.tube) }
    }

    /// When the job goes if it is ready then.
    func expiry(of job: Job) -> Int64 { tubeSettings[job.tube]?.ttlNanoseconds.map { job.created + $0 } ?? Self.never }

    /// The ready job of the tube that goes next.
    func nextExpiring(in tube: String) -> Job? {
        jobs.filter { $0.tube == tube && $0.state == .ready && expiry(of: $0) < Self.never }
            .min { (expiry(of: $0), $0.id) < (expiry(of: $1), $1.id) }
    }

    /// A ready job has waited too long.
    mutating func expire(_ id: UInt64) {
        guard let job = job(id) else { return }
        outcomes.expired += 1
        change(tube: job.tube) { $0.outcomes.expired += 1 }
        if tubeSettings[job.tube]?.deadLetter != nil { return putAside(id) }
        jobs.removeAll { $0.id == id }
        offer(job.tube)
        removeTubeIfUnneeded(job.tube)
    }

    /// What `stats` tells of the policies of all tubes.
    var policyStatistics: [(String, Any)] { counted(outcomes, of: Array(tubeSettings.values)) }

    /// Those counts for which there is a key that makes them.
    private func counted(_ outcomes: Outcomes, of settings: [TubeSettings]) -> [(String, Any)] {
        var all: [(String, Any)] = []
        if settings.contains(where: { $0.retries != nil }) { all.append(("jobs-exhausted", outcomes.exhausted)) }
        if settings.contains(where: { $0.ttlNanoseconds != nil }) { all.append(("jobs-expired", outcomes.expired)) }
        if settings.contains(where: { $0.deadLetter != nil }) {
            all.append(("jobs-dead-lettered", outcomes.deadLettered))
        }
        if settings.contains(where: { $0.maxJobs != nil || $0.maxJobBytes != nil }) {
            all.append(("puts-refused", outcomes.refused))
        }
        return all
    }

    /// What `stats-tube` tells of the policy of a tube.
    func policyStatistics(of tube: Tube) -> [(String, Any)] {
        guard let settings = tube.settings else { return [] }
        var all: [(String, Any)] = []
        if let retries = settings.retries { all.append(("retries", retries)) }
        if let ttl = settings.ttlNanoseconds { all.append(("ttl", ttl / Self.second)) }
        if let target = settings.deadLetter { all.append(("dead-letter", "\"\(target)\"")) }
        if let jobs = settings.maxJobs { all.append(("max-jobs", jobs)) }
        if let bytes = settings.maxJobBytes { all.append(("max-job-size", bytes)) }
        return all + counted(tube.outcomes, of: [settings])
    }
}
