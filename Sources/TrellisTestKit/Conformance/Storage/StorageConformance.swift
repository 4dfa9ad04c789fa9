// SPDX-License-Identifier: MIT

public import TrellisCore

/// Checks a store against every law of the contract that can be seen without taking the machine's power away.
///
///     try StorageConformance(keepsJobs: true) {
///         let directory = makeEmptyDirectory()
///         return { MyStorage(directory) }
///     }.run()
///
/// `ManyJobs`, `StorageCrashTest` and `FullDiskTest` check what a million jobs, SIGKILL and a full disk leave of a store;
/// `trellisd plugins test storage` runs all of them. `FaultyFilesTest` is for stores that write through TrellisFiles.
public struct StorageConformance {
    let keepsJobs: Bool
    private let patience: Int
    private let makePlace: () -> () -> any Storage

    /// A kit for the stores that the closure leads to.
    ///
    /// - Parameters:
    ///   - keepsJobs: Whether jobs survive a restart; a store in memory keeps none, and then must be empty each time.
    ///   - patience: How many seconds the kit waits for a ticket.
    ///   - makePlace: Makes a new, empty place and answers what makes a store there: a new object at each call. Of those
    ///     that keep jobs a second one is opened also while the first is open: it must be refused, or may be read.
    public init(keepsJobs: Bool, patience: Int = 10, _ makePlace: @escaping () -> () -> any Storage) {
        self.keepsJobs = keepsJobs
        self.patience = patience
        self.makePlace = makePlace
    }

    /// Runs every rule, and throws all the failures at the end.
    ///
    /// - Parameters:
    ///   - endsAtTheFirst: Whether to end with the first broken rule: the others often break with it.
    ///   - watch: Told of each rule.
    public func run(
        endsAtTheFirst: Bool = false, watch: @escaping (ConformanceProgress) -> Void = { _ in }
    ) throws(ConformanceError) {
        var findings = Findings(endsAtTheFirst: endsAtTheFirst, watch: watch)
        findings.rule("a new place is empty", throwing: checkNew)
        findings.rule("a job comes back whole", throwing: checkWhole)
        findings.rule("every state and extreme number comes back", throwing: checkExtremes)
        findings.rule("an update changes what it may, and not the body", throwing: checkUpdate)
        findings.rule("a deleted job doesn't come back", throwing: checkDelete)
        findings.rule("a moved job is in its new tube, and nowhere else", throwing: checkMove)
        findings.rule("the highest id outlives all jobs", throwing: checkHighestID)
        findings.rule("what came back can be changed, deleted and added to", throwing: checkNotes)
        findings.rule("admit changes nothing, and true is a promise", throwing: checkAdmit)
        findings.rule("every turn is closed, and tickets ascend to completion", throwing: checkTickets)
        findings.rule("wake is called when a ticket completes", throwing: checkWake)
        findings.rule("close may come twice, early, and makes safe what is pending", throwing: checkClose)
        findings.rule("questions can be asked at any time", throwing: checkQuestions)
        // Servers that keep nothing have nothing to take away from each other.
        if keepsJobs { findings.rule("a place in use is refused as locked", throwing: checkLock) }
        findings.rule("a read-only open gives the same, and changes nothing", throwing: checkReadOnly)
        findings.rule("a random life with restarts", throwing: checkRandomLives)
        try findings.finish()
    }

    func bench() -> StorageBench { StorageBench(patience: patience, makePlace()) }

    /// Restarts and compares what comes back with what should.
    func restart(
        _ bench: StorageBench, _ findings: inout Findings, _ occasion: String = "after a restart"
    ) throws(StorageError) {
        compare(try bench.reopen(), bench, &findings, occasion)
    }

    /// Compares what came with what should.
    func compare(
        _ contents: StorageBench.Contents, _ bench: StorageBench, _ findings: inout Findings, _ occasion: String
    ) {
        let (jobs, highest) = contents
        guard keepsJobs else {
            findings.expect(jobs.isEmpty, "\(occasion) \(jobs.count) jobs came from a store that keeps none")
            return
        }
        var seen: [UInt64] = []
        for job in jobs {
            if seen.contains(job.id) { findings.fail("\(occasion) job \(job.id) came twice") }
            seen.append(job.id)
            if let expected = bench.expected[job.id] {
                let differences = job.differences(from: expected)
                findings.expect(differences.isEmpty, "\(occasion) of job \(job.id) \(differences)")
            } else {
                findings.fail("\(occasion) job \(job.id) came, which was deleted or never put")
            }
        }
        for id in bench.expected.keys.sorted() where !seen.contains(id) {
            findings.fail("\(occasion) job \(id) didn't come back")
        }
        findings.expect(
            highest >= bench.highestID,
            "\(occasion) the highest id is \(highest), and \(bench.highestID) was given out")
    }

    func finishTurn(_ bench: StorageBench, _ findings: inout Findings) throws(StorageError) {
        findings.expect(try bench.commitAndWait(), "a commit wasn't complete in time")
    }

    private func checkNew(_ findings: inout Findings) throws(StorageError) {
        let bench = bench()
        let (jobs, highest) = try bench.open()
        findings.expect(jobs.isEmpty, "\(jobs.count) jobs came from a new place")
        findings.expect(highest == 0, "the highest id of a new place is \(highest) and not 0")
        try finishTurn(bench, &findings)
        let again = try bench.reopen()
        findings.expect(again.jobs.isEmpty && again.highest == 0, "a place that was only opened isn't empty any more")
        try bench.close()
    }

    private func checkWhole(_ findings: inout Findings) throws(StorageError) {
        let bench = bench()
        findings.expect(
            bench.store.keepsJobs || !keepsJobs, "`keepsJobs` is false, and so no server tells it of any job")
        _ = try bench.open()
        var random = SeededGenerator(seed: 4)
        let sizes = [0, 1, 2, 7, 8, 9, 511, 512, 4095, 4096, 4097, 65_533, 65_534, 65_535, 200_000]
        for (offset, size) in sizes.enumerated() {
            let tube = offset % 2 == 0 ? "default" : String(repeating: "t", count: 200)
            var job = KeptJob(UInt64(offset + 1), tube: tube)
            job.body = random.bytes(size)
            bench.put(job)
        }
        for (offset, body) in ["\r\n", "\n", "put 1 2 3 4\r\n", "\0\0\0\0", "é"].enumerated() {
            bench.put(KeptJob(UInt64(100 + offset), tube: "a-1+/;.$_()", body: body))
        }
        try finishTurn(bench, &findings)
        try restart(bench, &findings)
        try restart(bench, &findings, "after a second restart")
        try bench.close()
    }

    private func checkExtremes(_ findings: inout Findings) throws(StorageError) {
        let bench = bench()
        _ = try bench.open()
        for (offset, state) in [StoredJob.State.ready, .delayed, .buried].enumerated() {
            var job = KeptJob(UInt64(offset + 1))
            job.state = state
            job.priority = .max
            job.delay = .max
            job.ttr = .max
            job.deadline = state == .delayed ? job.createdAt + Int64(UInt32.max) * 1_000_000_000 : 0
            job.counters.reserves = .max
            job.counters.timeouts = 1
            job.counters.releases = 2
            job.counters.buries = .max
            job.counters.kicks = 4
            job.counters.failures = .max
            bench.put(job)
        }
        bench.put(KeptJob(1 << 62))
        try finishTurn(bench, &findings)
        try restart(bench, &findings)
        try bench.close()
    }

    private func checkUpdate(_ findings: inout Findings) throws(StorageError) {
        let bench = bench()
        _ = try bench.open()
        for id in 1...4 as ClosedRange<UInt64> { bench.put(KeptJob(id, body: "body \(id)")) }
        try finishTurn(bench, &findings)
        Self.change(bench, 1, to: .buried)
        Self.change(bench, 2, to: .delayed)
        Self.change(bench, 3, to: .buried)
        Self.change(bench, 3, to: .ready)
        // One that is put and changed in the same turn.
        bench.put(KeptJob(5))
        Self.change(bench, 5, to: .buried)
        try finishTurn(bench, &findings)
        try restart(bench, &findings)
        try bench.close()
    }

    private func checkMove(_ findings: inout Findings) throws(StorageError) {
        let bench = bench()
        _ = try bench.open()
        for id in 1...5 as ClosedRange<UInt64> { bench.put(KeptJob(id, tube: "work", body: "body \(id)")) }
        bench.put(KeptJob(6, tube: String(repeating: "t", count: 200), body: ""))
        try finishTurn(bench, &findings)
        // A longer name, a shorter one, twice, behind an update, and before one and a delete.
        let longest = String(repeating: "d", count: 200)
        Self.change(bench, 2, to: .buried)
        for (id, tube) in [(1, longest), (2, "d"), (3, "dead"), (3, "deader"), (4, "dead"), (5, "dead"), (6, "d")] {
            findings.expect(bench.move(UInt64(id), to: tube), "a store of six small jobs has no room to move one")
        }
        Self.change(bench, 4, to: .delayed)
        bench.delete(5)
        // One that is put and moved in the same turn.
        bench.put(KeptJob(7, tube: "work"))
        bench.move(7, to: "dead")
        try finishTurn(bench, &findings)
        try restart(bench, &findings)
        if keepsJobs { bench.move(1, to: "back") }
        try finishTurn(bench, &findings)
        try restart(bench, &findings, "after a second restart")
        try bench.close()
    }

    private func checkDelete(_ findings: inout Findings) throws(StorageError) {
        let bench = bench()
        _ = try bench.open()
        for id in 1...6 as ClosedRange<UInt64> { bench.put(KeptJob(id)) }
        bench.delete(1)
        try finishTurn(bench, &findings)
        bench.delete(2)
        Self.change(bench, 3, to: .buried)
        bench.delete(3)
        try finishTurn(bench, &findings)
        try restart(bench, &findings)
        if keepsJobs { bench.delete(4) }
        try finishTurn(bench, &findings)
        try restart(bench, &findings, "after a second restart")
        try bench.close()
    }

    /// An update as the engine makes them.
    static func change(_ bench: StorageBench, _ id: UInt64, to state: StoredJob.State) {
        bench.update(id) { job in
            job.state = state
            job.priority &+= 17
            switch state {
            case .ready:
                job.deadline = 0
                job.counters.kicks += 1
            case .delayed:
                job.delay = 90
                job.deadline = job.createdAt + 90_000_000_000
                job.counters.releases += 1
            case .buried:
                job.deadline = 0
                job.counters.buries += 1
            }
            job.counters.reserves += 1
        }
    }
}

extension StorageConformance {
    private func checkHighestID(_ findings: inout Findings) throws(StorageError) {
        let bench = bench()
        _ = try bench.open()
        for id in 1...9 as ClosedRange<UInt64> { bench.put(KeptJob(id)) }
        try finishTurn(bench, &findings)
        for id in 1...9 as ClosedRange<UInt64> { bench.delete(id) }
        try finishTurn(bench, &findings)
        for count in 1...3 { try restart(bench, &findings, "after \(count) restarts of an emptied store") }
        bench.put(KeptJob(bench.highestID + 1))
        try finishTurn(bench, &findings)
        try restart(bench, &findings, "after another put")
        try bench.close()
    }

    private func checkNotes(_ findings: inout Findings) throws(StorageError) {
        guard keepsJobs else { return }
        let bench = bench()
        _ = try bench.open()
        for id in 1...5 as ClosedRange<UInt64> { bench.put(KeptJob(id)) }
        try finishTurn(bench, &findings)
        try restart(bench, &findings)
        Self.change(bench, 1, to: .buried)
        bench.delete(2)
        bench.put(KeptJob(6))
        try finishTurn(bench, &findings)
        try restart(bench, &findings, "after changes by the notes of recovery")
        try bench.close()
    }

    private func checkAdmit(_ findings: inout Findings) throws(StorageError) {
        let bench = bench()
        _ = try bench.open()
        findings.expect(bench.store.admit(bodyBytes: 10, tubeNameBytes: 7), "a new store has no room for ten bytes")
        for _ in 0..<1000 { _ = bench.store.admit(bodyBytes: 65_535, tubeNameBytes: 200) }
        findings.expect(bench.put(KeptJob(1)), "after many questions a new store has no room for a small job")
        try finishTurn(bench, &findings)
        try restart(bench, &findings)
        try bench.close()
    }

    private func checkTickets(_ findings: inout Findings) throws(StorageError) {
        let bench = bench()
        _ = try bench.open()
        var newest: Ticket?
        var id: UInt64 = 0
        for turn in 0..<200 {
            for _ in 0..<(turn % 4) {
                id += 1
                bench.put(KeptJob(id))
            }
            if let ticket = try bench.commit() {
                if let newest { findings.expect(ticket >= newest, "ticket \(ticket.rawValue) came after a higher one") }
                newest = ticket
                let completed = try bench.store.completed()
                findings.expect(completed <= ticket, "completed tells of a ticket that wasn't given out")
            }
        }
        if let newest {
            findings.expect(try bench.wait(for: newest), "the last ticket wasn't complete in time")
            findings.expect(try bench.store.completed() >= newest, "completed went back")
        }
        try restart(bench, &findings)
        try bench.close()
    }

    private func checkWake(_ findings: inout Findings) throws(StorageError) {
        let bench = bench()
        _ = try bench.open()
        for id in 1...20 as ClosedRange<UInt64> {
            let before = bench.wakeCount
            bench.put(KeptJob(id))
            guard let ticket = try bench.commit() else { continue }
            findings.expect(try bench.wait(for: ticket), "a ticket wasn't complete in time")
            // The call may come a moment after the ticket is complete.
            var waits = patience * 1000
            while bench.wakeCount == before, waits > 0 {
                waits -= 1
                pause(milliseconds: 1)
            }
            if bench.wakeCount == before {
                findings.fail("a pending ticket was completed and wake wasn't called")
                break
            }
        }
        try bench.close()
    }

    private func checkClose(_ findings: inout Findings) throws(StorageError) {
        let place = makePlace()
        try place().close()
        let early = place()
        try early.open(.readWrite, host: StorageHost(wake: {}))
        try early.close()
        try early.close()
        let bench = StorageBench(patience: patience, place)
        _ = try bench.open()
        for id in 1...50 as ClosedRange<UInt64> { bench.put(KeptJob(id)) }
        // Not waited for: closing waits.
        _ = try bench.commit()
        try restart(bench, &findings, "after a close with a commit pending")
        try bench.close()
        try bench.close()
    }

    private func checkQuestions(_ findings: inout Findings) throws(StorageError) {
        let bench = bench()
        _ = try bench.open()
        _ = bench.store.statistics
        findings.expect(!bench.store.isCongested, "a store that was given nothing is congested")
        bench.put(KeptJob(1))
        _ = bench.store.segment(of: bench.note(of: 1))
        try finishTurn(bench, &findings)
        let statistics = bench.store.statistics
        let segment = bench.store.segment(of: bench.note(of: 1))
        findings.expect(
            statistics.oldestSegment <= statistics.currentSegment, "the oldest segment's number is above the newest's")
        findings.expect(
            segment <= statistics.currentSegment, "a job lies in segment \(segment), which doesn't exist yet")
        findings.expect(
            try bench.store.completed() >= bench.newestTicket ?? Ticket(0), "a ticket is incomplete that was complete")
        try bench.close()
    }

    private func checkRandomLives(_ findings: inout Findings) throws(StorageError) {
        for seed in 1...5 as ClosedRange<UInt64> {
            let bench = bench()
            var random = SeededGenerator(seed: seed)
            _ = try bench.open()
            var nextID: UInt64 = 1
            for turn in 0..<120 {
                for _ in 0..<random.below(6) {
                    let live = bench.expected.keys.sorted()
                    switch random.below(6) {
                    case 0 where !live.isEmpty: bench.delete(random.one(of: live))
                    case 2 where !live.isEmpty: bench.move(random.one(of: live), to: random.one(of: ["a", "dead"]))
                    case 1 where !live.isEmpty:
                        Self.change(bench, random.one(of: live), to: random.one(of: [.ready, .delayed, .buried]))
                    default:
                        var job = KeptJob(nextID, tube: random.one(of: ["default", "a", "b"]))
                        job.body = random.bytes(random.below(300))
                        bench.put(job)
                        nextID += 1
                    }
                }
                _ = try bench.commit()
                if keepsJobs, turn % 17 == 16 { try restart(bench, &findings, "seed \(seed), turn \(turn):") }
            }
            try restart(bench, &findings, "seed \(seed), at the end:")
            try bench.close()
        }
    }
}
