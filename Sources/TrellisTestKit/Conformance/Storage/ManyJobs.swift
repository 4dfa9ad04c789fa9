// SPDX-License-Identifier: MIT

import Glibc
public import TrellisCore

/// Gives a store very many jobs, changes some, deletes some, and counts what comes back.
public struct ManyJobs {
    /// The rule, as results name it.
    public static let rule = "many jobs come back, each once and as it was"
    private let count: UInt64
    private let makeStore: () -> any Storage
    private static let jobsPerTurn: UInt64 = 200

    /// - Parameters:
    ///   - count: How many jobs; a store that hasn't room for them gets as many as it takes.
    ///   - makeStore: Makes a store at one new, empty place: another object at each call.
    public init(count: Int, makeStore: @escaping () -> any Storage) {
        self.count = UInt64(max(1, count))
        self.makeStore = makeStore
    }

    /// Runs the test, and answers how fast it went.
    public func run(watch: @escaping (ConformanceProgress) -> Void = { _ in }) throws(ConformanceError) -> String {
        var findings = Findings(watch: watch)
        var note = ""
        findings.rule(Self.rule) { findings in
            do throws(StorageError) {
                note = try run(&findings)
            } catch {
                findings.fail("an error ended the check: \(error)")
            }
        }
        try findings.finish()
        return note
    }

    private func run(_ findings: inout Findings) throws(StorageError) -> String {
        let began = seconds()
        let put = try fill(&findings)
        let filled = seconds()
        let store = makeStore()
        try store.open(.readWrite, host: StorageHost(wake: {}))
        var seen = [Bool](repeating: false, count: Int(put) + 1)
        var faults: [String] = []
        let highest = try store.recover { job, _ in
            let id = job.id.rawValue
            guard (1...put).contains(id), Self.isKept(id) else {
                faults.append("job \(id) came, which was deleted or never put")
                return
            }
            if seen[Int(id)] { faults.append("job \(id) came twice") }
            seen[Int(id)] = true
            let (found, expected) = (KeptJob(job), Self.job(id, isChanged: Self.isChanged(id)))
            if found != expected { faults.append("of job \(id) \(found.differences(from: expected))") }
        }
        let read = seconds()
        try store.close()
        for fault in faults { findings.fail(fault) }
        let missing = (1...put).filter { Self.isKept($0) && !seen[Int($0)] }
        if let first = missing.first { findings.fail("\(missing.count) jobs didn't come back, the first is \(first)") }
        findings.expect(highest.rawValue >= put, "the highest id is \(highest.rawValue), and \(put) was given out")
        let limit = put < count ? " (the store was full then)" : ""
        return "\(put) jobs\(limit): \(Int(Double(put) / max(0.001, filled - began))) puts a second, "
            + "read again in \(Int((read - filled) * 1000)) ms"
    }

    /// Puts the jobs, and answers how many were admitted.
    private func fill(_ findings: inout Findings) throws(StorageError) -> UInt64 {
        let store = makeStore()
        try store.open(.readWrite, host: StorageHost(wake: {}))
        _ = try store.recover { _, _ in }
        var notes: [StorageNote] = [StorageNote()]
        var put: UInt64 = 0
        while put < count {
            let job = Self.job(put + 1, isChanged: false)
            guard store.admit(bodyBytes: job.body.count, tubeNameBytes: job.tube.count) else { break }
            put += 1
            var note = StorageNote()
            Self.lend(job, withBody: true) { store.append(.put($0), note: &note) }
            notes.append(note)
            if put % Self.jobsPerTurn == 0 { try turn(store, changedTo: 0, notes: &notes) }
        }
        findings.expect(put > 0, "a new store admits no job of \(Self.job(1, isChanged: false).body.count) bytes")
        guard put > 0 else { return 1 }
        for id in 1...put {
            if Self.isChanged(id) {
                Self.lend(Self.job(id, isChanged: true), withBody: false) {
                    store.append(.update($0), note: &notes[Int(id)])
                }
            }
            if !Self.isKept(id) {
                Self.lend(Self.job(id, isChanged: true), withBody: false) {
                    store.append(.delete($0), note: &notes[Int(id)])
                }
            }
            if id % Self.jobsPerTurn == 0 { try turn(store, changedTo: id, notes: &notes) }
        }
        try turn(store, changedTo: put, notes: &notes)
        try store.close()
        return put
    }

    /// Ends a turn, and waits where the store has too much on its way.
    ///
    /// Jobs up to an id have been changed or deleted.
    private func turn(
        _ store: any Storage, changedTo last: UInt64, notes: inout [StorageNote]
    ) throws(StorageError) {
        _ = try store.maintain { id, visit in
            let id = id.rawValue
            guard id > 0, id < UInt64(notes.count), id > last || Self.isKept(id) else { return false }
            var note = notes[Int(id)]
            let job = Self.job(id, isChanged: id <= last && Self.isChanged(id))
            Self.lend(job, withBody: true) { visit($0, &note) }
            notes[Int(id)] = note
            return true
        }
        _ = try store.commit()
        while store.isCongested {
            usleep(1000)
            _ = try store.completed()
        }
    }

    private static func isKept(_ id: UInt64) -> Bool { id % 3 != 0 }
    private static func isChanged(_ id: UInt64) -> Bool { id % 7 == 0 }

    private static func job(_ id: UInt64, isChanged: Bool) -> KeptJob {
        var job = KeptJob(id, tube: id % 2 == 0 ? "default" : "emails", body: "job number \(id)")
        job.sequence = id
        if isChanged {
            job.state = .buried
            job.counters.buries = 1
            job.sequence = id + 1_000_000_000
        }
        return job
    }

    private static func lend(_ job: KeptJob, withBody: Bool, _ use: (StoredJob) -> Void) {
        job.tube.withUnsafeBytes { tube in
            job.body.withUnsafeBytes { body in
                use(
                    StoredJob(
                        id: JobID(job.id), tube: BorrowedName(tube), state: job.state, priority: job.priority,
                        delay: job.delay, ttr: job.ttr, createdAt: job.createdAt, deadline: job.deadline,
                        sequence: job.sequence, counters: job.counters, bodyBytes: body.count,
                        body: withBody ? body : UnsafeRawBufferPointer(start: nil, count: 0)))
            }
        }
    }
}

/// The time since some fixed point.
func seconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}
