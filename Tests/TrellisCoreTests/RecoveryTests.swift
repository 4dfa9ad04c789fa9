// SPDX-License-Identifier: MIT

import Testing

@testable import TrellisCore

/// A store that writes down what it is told and recovers what it is given.
final class ScriptedStorage: Storage {
    struct Kept {
        var id: UInt64
        var tube = "default"
        var state: StoredJob.State
        var priority: UInt32 = 0
        var delay: UInt32 = 0
        var createdAt: Int64 = 0
        var deadline: Int64 = 0
        var sequence: UInt64 = 0
        var failures: UInt8 = 0
    }

    var kept: [Kept] = []
    var highest: UInt64 = 0
    var log: [String] = []
    var admits = true
    var keepsJobs = true
    /// Those of jobs in updates.
    var failures: [UInt8] = []

    func open(_ access: StorageAccess, host: StorageHost) {}

    func recover(_ deliver: (StoredJob, StorageNote) -> Void) -> JobID {
        for job in kept {
            var counters = JobCounters()
            counters.failures = job.failures
            Array(job.tube.utf8).withUnsafeBytes { name in
                Array("body".utf8).withUnsafeBytes { body in
                    deliver(
                        StoredJob(
                            id: JobID(job.id), tube: BorrowedName(name), state: job.state, priority: job.priority,
                            delay: job.delay, ttr: 10, createdAt: job.createdAt, deadline: job.deadline,
                            sequence: job.sequence, counters: counters, body: body), StorageNote(job.id &* 10))
                }
            }
        }
        return JobID(highest)
    }

    func admit(bodyBytes: Int, tubeNameBytes: Int) -> Bool { admits }

    func append(_ change: Change, note: inout StorageNote) {
        switch change {
        case .put(let job):
            log.append("put \(job.id.rawValue) \(job.state) note \(note.rawValue)")
            note = StorageNote(job.id.rawValue * 10)
        case .update(let job):
            log.append("update \(job.id.rawValue) \(job.state) note \(note.rawValue)")
            failures.append(job.counters.failures)
        case .move(let job, let tube):
            let names = [tube, job.tube].map { String(decoding: $0.bytes, as: UTF8.self) }
            log.append("move \(job.id.rawValue) from \(names[0]) to \(names[1]) note \(note.rawValue)")
        case .delete(let job): log.append("delete \(job.id.rawValue) note \(note.rawValue)")
        }
    }

    func maintain(_ job: JobVisitor) -> Bool { false }
    var isCongested: Bool { false }
    func commit() -> Commit { .durable }
    func completed() -> Ticket { Ticket(0) }
    func segment(of note: StorageNote) -> UInt64 { note.rawValue }
    var statistics: StorageStatistics { StorageStatistics() }
    func close() {}
}

@Suite struct RecoveryTests {
    @Test func jobsComeBackAsTheyWere() throws {
        let storage = ScriptedStorage()
        storage.kept = [
            .init(id: 9, state: .buried, sequence: 50), .init(id: 3, state: .buried, sequence: 60),
            .init(id: 5, state: .ready, priority: 7, sequence: 1), .init(id: 6, tube: "t", state: .ready, sequence: 2),
            .init(id: 4, state: .buried, sequence: 40),
        ]
        storage.highest = 100
        let harness = EngineHarness(storage: storage)
        try harness.engine.pointee.recover()
        let client = harness.connect()
        #expect(harness.perform(.peekReady, client) == ["FOUND 5"])
        // Buried jobs keep the order in which they were buried.
        for id in [4, 9, 3] {
            #expect(harness.perform(.peekBuried, client) == ["FOUND \(id)"])
            #expect(harness.perform(.kick(bound: 1), client) == ["KICKED 1"])
        }
        #expect(harness.put(client) == ["INSERTED 101"])
        #expect(EngineHarness.value("file", in: harness.perform(.statsJob(JobID(5)), client)) == "50")
    }

    @Test func memoryThatWasMadeAheadIsUsedForBodiesWhileTheStoreIsReadOnly() throws {
        let storage = ScriptedStorage()
        storage.kept = [.init(id: 1, state: .ready), .init(id: 2, state: .buried)]
        let harness = EngineHarness(storage: storage)
        var bulk = BulkMemory()
        let ahead = BodyAllocator.makeChunk(of: &bulk)
        let chunk = try #require(ahead)
        var made: [UnsafeMutableRawPointer] = [chunk]
        var asked = 0
        try harness.engine.pointee.recover {
            asked += 1
            return made.popLast()
        }
        #expect(asked == 1)
        let bodies = [1, 2].compactMap { (id: UInt64) -> UnsafeRawBufferPointer? in
            guard let slot = harness.engine.pointee.index.slot(of: JobID(id)) else { return nil }
            return harness.engine.pointee.jobs[slot].pointee.body?.bytes
        }
        let memory = UnsafeRawPointer(chunk)..<UnsafeRawPointer(chunk) + 256 << 10
        #expect(bodies.map { $0.baseAddress.map(memory.contains) } == [true, true])
        #expect(bodies.map(Array.init) == Array(repeating: Array("body".utf8), count: 2))
        let client = harness.connect()
        // Each of its own class of sizes.
        for size in [100, 1_000, 10_000] { _ = harness.put(client, String(repeating: "x", count: size)) }
        #expect(asked == 1)
    }

    @Test func clockSetBackPostponesNoJobBeyondItsDelay() throws {
        let storage = ScriptedStorage()
        let hour: Int64 = 3_600_000_000_000
        // The wall clock reads 0 now: deadlines long past, near, and far beyond the delay.
        storage.kept = [
            .init(id: 1, state: .delayed, delay: 100, deadline: -hour),
            .init(id: 2, state: .delayed, delay: 100, deadline: 30_000_000_000),
            .init(id: 3, state: .delayed, delay: 100, deadline: hour),
        ]
        let harness = EngineHarness(storage: storage)
        try harness.engine.pointee.recover()
        let client = harness.connect()
        #expect(EngineHarness.value("time-left", in: harness.perform(.statsJob(JobID(3)), client)) == "100")
        #expect(EngineHarness.value("time-left", in: harness.perform(.statsJob(JobID(2)), client)) == "30")
        harness.advance(seconds: 0)
        #expect(harness.perform(.peekReady, client) == ["FOUND 1"])
    }

    @Test func storeHearsOfWhatMustSurviveAndOfNothingElse() {
        let storage = ScriptedStorage()
        let harness = EngineHarness(storage: storage)
        let client = harness.connect()
        harness.put(client)
        harness.put(client, delay: 5)
        harness.perform(.reserve, client)
        harness.perform(.touch(JobID(1)), client)
        #expect(storage.log == ["put 1 ready note 0", "put 2 delayed note 0"])
        storage.log = []
        harness.perform(.release(JobID(1), priority: 1, delay: 0), client)
        harness.perform(.reserve, client)
        harness.perform(.release(JobID(1), priority: 1, delay: 9), client)
        harness.perform(.kickJob(JobID(1)), client)
        harness.perform(.reserveJob(JobID(2)), client)
        harness.perform(.bury(JobID(2), priority: 0), client)
        harness.perform(.reserveJob(JobID(2)), client)
        harness.advance(seconds: 11)
        harness.perform(.delete(JobID(2)), client)
        #expect(
            storage.log == [
                "update 1 ready note 10", "update 1 delayed note 10", "update 1 ready note 10",
                "update 2 ready note 20", "update 2 buried note 20", "update 2 ready note 20", "delete 2 note 20",
            ])
    }

    @Test func fullStoreRefusesAPutBeforeAnythingChanges() {
        let storage = ScriptedStorage()
        let harness = EngineHarness(storage: storage)
        let client = harness.connect()
        storage.admits = false
        #expect(harness.put(client) == ["OUT_OF_MEMORY"])
        #expect(storage.log == [])
        #expect(harness.perform(.peek(JobID(1)), client) == ["notFound"])
        storage.admits = true
        #expect(harness.put(client) == ["INSERTED 2"])
    }

    @Test(arguments: [true, false])
    func aStoreThatKeepsNothingIsToldOfNoChange(_ keepsJobs: Bool) throws {
        let storage = ScriptedStorage()
        storage.keepsJobs = keepsJobs
        let harness = EngineHarness(storage: storage)
        let client = harness.connect()
        for id in 1...4 as ClosedRange<UInt64> { #expect(harness.put(client) == ["INSERTED \(id)"]) }
        for _ in 1...3 { harness.perform(.reserve, client) }
        harness.perform(.release(JobID(1), priority: 0, delay: 0), client)
        harness.perform(.bury(JobID(2), priority: 0), client)
        harness.perform(.delete(JobID(3)), client)
        harness.perform(.reserveJob(JobID(2)), client)
        harness.perform(.reserveJob(JobID(4)), client)
        try harness.engine.pointee.logCounters {}
        #expect(storage.log.count == (keepsJobs ? 9 : 0))
        // Those that are buried stand in the order of their burials all the same.
        for id in [4, 2] as [UInt64] { harness.perform(.bury(JobID(id), priority: 0), client) }
        #expect(harness.perform(.peekBuried, client) == ["FOUND 4"])
    }

    private func recover(from storage: ScriptedStorage) throws {
        let harness = EngineHarness(storage: storage)
        try withExtendedLifetime(harness) { try harness.engine.pointee.recover() }
    }

    @Test(arguments: [UInt64.max, UInt64.max - 1, 1 << 63] as [UInt64])
    func idsThatLeaveNoneToGiveOutAreRefusedAtTheStart(_ id: UInt64) {
        let storage = ScriptedStorage()
        storage.highest = id
        #expect(throws: StorageError.self) { try recover(from: storage) }
        storage.highest = 0
        storage.kept = [.init(id: id, state: .ready)]
        #expect(throws: StorageError.self) { try recover(from: storage) }
    }

    @Test func jobThatIsDeliveredTwiceIsRefusedAtTheStart() {
        let storage = ScriptedStorage()
        storage.kept = [.init(id: 3, state: .ready), .init(id: 3, state: .buried)]
        #expect(throws: StorageError.self) { try recover(from: storage) }
    }
}
