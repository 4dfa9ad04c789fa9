// SPDX-License-Identifier: MIT

import LiveServer

/// Compares what a restarted server has with what its clients know.
struct Inspection {
    let ledger: Ledger
    let client: Client
    /// The highest id that clients had been told when the server started that is gone now.
    let highestBefore: Int
    private var jobs: [Int: LedgerJob] = [:]
    /// The newest command of each connection that was done, and the oldest that wasn't.
    private var done: [Int: Int] = [:]
    private var undone: [Int: Int] = [:]

    init(_ ledger: Ledger, _ client: Client, highestBefore: Int) {
        self.ledger = ledger
        self.client = client
        self.highestBefore = highestBefore
    }

    /// Checks everything and leaves the ledger with the jobs that are there.
    mutating func run() throws(Unexpected) {
        let probe = try takeNextID()
        for job in ledger.jobs { jobs[job.key] = job }
        try compareJobs(below: probe)
        for (connection, last) in done {
            if let first = undone[connection], first < last {
                ledger.fail("connection \(connection): command \(last) was done and command \(first) before it wasn't")
            }
        }
        try count(probe)
        guard ledger.failures.isEmpty else { return }
        for tube in ["own-0", "own-1", "own-2", "own-3"] + CrashClient.sharedTubes { try kickSome(of: tube) }
        try reserveSome()
        ledger.rebase(jobs.values.sorted { $0.key < $1.key })
    }

    /// The next id, which must be above all that were ever given out.
    @discardableResult
    func takeNextID() throws(Unexpected) -> Int {
        let probe = try client.put("probe")
        let known = ledger.highestID
        if probe <= known { ledger.fail("a put got the id \(probe), and \(known) had been given out") }
        ledger.note(id: probe)
        try client.delete(probe)
        return probe
    }

    private mutating func compareJobs(below probe: Int) throws(Unexpected) {
        let ids = Set(jobs.values.compactMap(\.id)).union(highestBefore + 1..<max(probe, highestBefore + 1))
        var found = try Observation.all(ids.sorted(), through: client)
        // Puts that weren't answered may have been done.
        for observation in found.values {
            guard let key = Bodies.key(of: observation.body), jobs[key] != nil, jobs[key]?.id == nil else { continue }
            jobs[key]?.id = observation.id
        }
        let openReserves = ledger.openReserves
        for job in jobs.values.sorted(by: { $0.key < $1.key }) {
            let observation = job.id.flatMap { found.removeValue(forKey: $0) }
            jobs[job.key] = compare(job, observation, openReserves)
        }
        for observation in found.values {
            ledger.fail("an unknown job is there: \(observation)")
        }
    }

    /// The job as it is now; nil where there is none.
    private mutating func compare(_ job: LedgerJob, _ observation: Observation?, _ openReserves: Int) -> LedgerJob? {
        let reservesAtMost = job.reserves + (job.tube.hasPrefix("shared") ? openReserves : 0)
        var matching: [Int] = []
        var reasons: [String] = []
        for position in job.lastCertain..<job.versions.count {
            let version = job.versions[position]
            let difference: String? =
                if let observation {
                    observation.difference(from: version, of: job, reservesAtMost: reservesAtMost)
                } else {
                    version.standing == .absent ? nil : "it isn't there"
                }
            if let difference { reasons.append(difference) } else { matching.append(position) }
        }
        for version in job.versions where version.isCertain { note(version, isDone: true) }
        guard let last = matching.last else {
            ledger.fail(
                "job \(job.id ?? 0) in \(job.tube): \(reasons.joined(separator: "; or ")). It is: "
                    + "\(observation.map { "\($0)" } ?? "nowhere"). It was to be one of: "
                    + "\(job.versions[job.lastCertain...].map { "\($0)" }.joined(separator: "; "))")
            return nil
        }
        if matching.count == 1 {
            for (position, version) in job.versions.enumerated() { note(version, isDone: position <= last) }
        }
        guard let observation else { return nil }
        if observation.body != Bodies.body(key: job.key, bytes: job.bodyBytes) {
            ledger.fail("job \(observation.id) has a wrong body of \(observation.body.count) bytes")
        }
        var now = job
        now.versions = [observation.settled(job.versions[last])]
        now.reserves = now.current.reserves
        return now
    }

    private mutating func note(_ version: Version, isDone: Bool) {
        guard version.connection >= 0 else { return }
        if isDone {
            done[version.connection] = max(done[version.connection] ?? 0, version.command)
        } else {
            undone[version.connection] = min(undone[version.connection] ?? .max, version.command)
        }
    }

    /// There must be no other jobs.
    private func count(_ probe: Int) throws(Unexpected) {
        let statistics = try client.statistics()
        let there = ["ready", "reserved", "delayed", "buried"].reduce(0) {
            $0 + statistics.number("current-jobs-\($1)")
        }
        guard there != jobs.count else { return }
        let known = Set(jobs.values.compactMap(\.id))
        let others = try Observation.all((1..<probe).filter { !known.contains($0) }, through: client)
        ledger.fail(
            "\(there) jobs are there and not \(jobs.count); unknown: "
                + others.values.map { "\($0)" }.joined(separator: "; "))
    }

    // MARK: Order

    /// Buried jobs must be kicked in the order in which they were buried.
    private mutating func kickSome(of tube: String) throws(Unexpected) {
        try client.call("use \(tube)", "USING \(tube)")
        var buried: [(key: Int, range: ClosedRange<Int>)] = []
        for job in jobs.values where job.tube == tube {
            if case .buried(let range) = job.current.standing { buried.append((job.key, range)) }
        }
        for _ in 0..<8 where !buried.isEmpty {
            client.send("peek-buried\r\n")
            let key = try readJob("FOUND")
            guard let place = buried.firstIndex(where: { $0.key == key }) else {
                return ledger.fail("peek-buried in \(tube) showed a job that isn't buried there, key \(key)")
            }
            let first = buried.remove(at: place)
            if let earlier = buried.first(where: { $0.range.upperBound < first.range.lowerBound }) {
                ledger.fail(
                    "job \(jobs[key]?.id ?? 0) comes first of the buried jobs of \(tube), and job "
                        + "\(jobs[earlier.key]?.id ?? 0) was buried before it")
            }
            try client.call("kick 1", "KICKED 1")
            guard var job = jobs[key] else { continue }
            job.versions[0].kick()
            jobs[key] = job
        }
        if buried.isEmpty { try client.call("peek-buried", "NOT_FOUND") }
    }

    /// The best ready job of all watched tubes must come first.
    private mutating func reserveSome() throws(Unexpected) {
        for tube in CrashClient.sharedTubes { try client.call("watch \(tube)", "WATCHING \(tube.last == "0" ? 2 : 3)") }
        for _ in 0..<5 {
            let ready = jobs.values.filter { $0.tube.hasPrefix("shared") && $0.current.standing == .ready }
            let best = ready.min { ($0.current.priority, $0.id ?? 0) < ($1.current.priority, $1.id ?? 0) }
            guard let best else { return }
            client.send("reserve-with-timeout 0\r\n")
            let key = try readJob("RESERVED")
            guard let job = jobs[key], let id = job.id else {
                return ledger.fail("an unknown job was reserved, key \(key)")
            }
            // Another one may have become ready meanwhile.
            if (job.current.priority, id) > (best.current.priority, best.id ?? 0) {
                ledger.fail("job \(id) was reserved although job \(best.id ?? 0) comes before it")
            }
            try client.delete(id)
            jobs[key] = nil
        }
    }

    /// Reads a job, and answers its key.
    private func readJob(_ reply: String) throws(Unexpected) -> Int {
        let line = try client.line()
        guard line.hasPrefix(reply + " "), let size = line.split(separator: " ").last.flatMap({ Int($0) }) else {
            throw Unexpected("\(line) instead of \(reply)")
        }
        return Bodies.key(of: try client.bytes(size + 2)) ?? 0
    }
}
