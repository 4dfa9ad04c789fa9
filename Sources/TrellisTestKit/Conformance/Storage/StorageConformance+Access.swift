// SPDX-License-Identifier: MIT

internal import TrellisCore

/// The rules of who may open a place, and for what.
extension StorageConformance {
    // MARK: The lock

    func checkLock(_ findings: inout Findings) throws(StorageError) {
        let bench = bench()
        // `open` takes hold, not `recover`, which may take long.
        let early = bench.makeStore()
        try early.open(.readWrite, host: StorageHost(wake: {}))
        let isHeldEarly = expectRefusal(bench, &findings, "a second open, before the first store's recover,")
        try early.close()
        guard isHeldEarly else { return }

        _ = try bench.open()
        for id in 1...3 as ClosedRange<UInt64> { bench.put(KeptJob(id)) }
        try finishTurn(bench, &findings)
        guard expectRefusal(bench, &findings, "a second open"),
            // The store that was refused is closed by now, and so is one that was let in to read, or wasn't.
            expectRefusal(bench, &findings, "an open after one that was refused"),
            expectRefusal(bench, &findings, "an open after a read-only one was closed", reading: true)
        else {
            try? bench.close()
            return
        }
        Self.change(bench, 1, to: .buried)
        bench.delete(2)
        bench.put(KeptJob(4))
        try finishTurn(bench, &findings)
        try restart(bench, &findings, "after the restart of a store whose place others tried to open")
        try bench.close()
    }

    /// Opens the place as a second server does, and closes that store again; false where it wasn't refused as it should.
    private func expectRefusal(
        _ bench: StorageBench, _ findings: inout Findings, _ occasion: String, reading: Bool = false
    ) -> Bool {
        // What it gives is for another rule.
        if reading { _ = try? bench.read() }
        let second = bench.makeStore()
        let host = bench.impatientHost()
        var outcome: StorageError?
        do throws(StorageError) { try second.open(.readWrite, host: host) } catch { outcome = error }
        do throws(StorageError) { try second.close() } catch {
            findings.fail("\(occasion) of a place in use was followed by a close that failed: \(error)")
        }
        switch outcome {
        case nil: findings.fail("\(occasion) of a place in use was let in")
        case .locked?: return true
        // It waited for the place, and was told to stop.
        case .stopped? where host.shouldStop(): return true
        case .full?, .corrupt?, .fatal?, .stopped?:
            let reason = outcome.map { "\($0)" } ?? ""
            findings.fail("\(occasion) of a place in use was refused, but not as locked: \(reason)")
        }
        return false
    }

    // MARK: Reading

    func checkReadOnly(_ findings: inout Findings) throws(StorageError) {
        try checkReadingOfNothing(&findings)
        guard keepsJobs else { return }
        let bench = bench()
        _ = try bench.open()
        for id in 1...9 as ClosedRange<UInt64> { bench.put(KeptJob(id, tube: "tube-\(id % 3)", body: "body \(id)")) }
        try finishTurn(bench, &findings)
        Self.change(bench, 2, to: .buried)
        Self.change(bench, 3, to: .delayed)
        bench.move(4, to: "dead")
        bench.delete(5)
        // The highest id is that of a job which is gone.
        bench.delete(9)
        try finishTurn(bench, &findings)
        try bench.close()
        var read: StorageBench.Contents?
        for occasion in ["in a read-only open", "in a second read-only open"] {
            do throws(StorageError) {
                let contents = try bench.read()
                compare(contents, bench, &findings, occasion)
                read = contents
            } catch {
                findings.fail("a read-only open of a place with jobs failed: \(error)")
            }
        }
        let served: StorageBench.Contents
        do throws(StorageError) { served = try bench.reopen() } catch {
            findings.fail("after read-only opens the place can't be opened to serve from: \(error)")
            try? bench.close()
            return
        }
        compare(served, bench, &findings, "in a serving open after read-only ones")
        if let read {
            findings.expect(
                read.highest == served.highest,
                "the highest id is \(read.highest) in a read-only open and \(served.highest) in the serving one after it"
            )
        }
        Self.change(bench, 1, to: .buried)
        bench.put(KeptJob(10))
        try finishTurn(bench, &findings)
        checkReadingBesideAServer(bench, &findings)
        try restart(bench, &findings, "after read-only opens, changes and a restart")
        try bench.close()
    }

    /// Reads a place that a server has.
    private func checkReadingBesideAServer(_ bench: StorageBench, _ findings: inout Findings) {
        do throws(StorageError) {
            compare(try bench.read(), bench, &findings, "in a read-only open of a place in use")
        } catch {
            switch error {
            // It may have waited for the place, and was told to stop.
            case .locked, .stopped: return
            case .full, .corrupt, .fatal:
                findings.fail("a read-only open of a place in use failed, but not as locked: \(error)")
            }
        }
    }

    /// Reads a place where nothing is: that is an error or empty, and makes nothing.
    private func checkReadingOfNothing(_ findings: inout Findings) throws(StorageError) {
        let bench = bench()
        let first = readNothing(bench, &findings)
        let second = readNothing(bench, &findings)
        findings.expect(
            first == second, "a read-only open of a new place \(first), and the next one \(second): something was made")
        let served: StorageBench.Contents
        do throws(StorageError) { served = try bench.open() } catch {
            findings.fail("after read-only opens a new place can't be opened to serve from: \(error)")
            try? bench.close()
            return
        }
        findings.expect(
            served.jobs.isEmpty && served.highest == 0,
            "after read-only opens a new place has \(served.jobs.count) jobs and the highest id \(served.highest)")
        bench.put(KeptJob(1))
        try finishTurn(bench, &findings)
        try restart(bench, &findings, "after read-only opens of a new place, a put and a restart")
        try bench.close()
    }

    /// Reads a place where nothing is, and answers what came of it.
    private func readNothing(_ bench: StorageBench, _ findings: inout Findings) -> String {
        do throws(StorageError) {
            let (jobs, highest) = try bench.read()
            findings.expect(
                jobs.isEmpty && highest == 0,
                "a read-only open of a new place gave \(jobs.count) jobs and the highest id \(highest)")
            return "gave \(jobs.count) jobs"
        } catch {
            switch error {
            case .full: return "failed as full"
            case .corrupt: return "failed as corrupt"
            case .locked: return "failed as locked"
            case .fatal: return "failed as fatal"
            case .stopped: return "was stopped"
            }
        }
    }
}
