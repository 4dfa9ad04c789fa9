// SPDX-License-Identifier: MIT

import Glibc
import Synchronization
import TrellisCore

/// A job as a kit remembers it: what a store must give back.
struct KeptJob: Hashable {
    var id: UInt64
    var tube: [UInt8]
    var state: StoredJob.State = .ready
    var priority: UInt32 = 0
    var delay: UInt32 = 0
    var ttr: UInt32 = 1
    var createdAt: Int64 = 1_700_000_000_000_000_000
    var deadline: Int64 = 0
    var sequence: UInt64 = 0
    var counters = JobCounters()
    var body: [UInt8] = []

    init(_ id: UInt64, tube: String = "default", body: String = "body") {
        self.id = id
        self.tube = Array(tube.utf8)
        self.body = Array(body.utf8)
    }

    init(_ job: StoredJob) {
        id = job.id.rawValue
        tube = Array(job.tube.bytes)
        state = job.state
        priority = job.priority
        delay = job.delay
        ttr = job.ttr
        createdAt = job.createdAt
        deadline = job.deadline
        sequence = job.sequence
        counters = job.counters
        body = Array(job.body)
    }

    /// What differs from another, in words.
    func differences(from other: KeptJob) -> String {
        var words: [String] = []
        func compare(_ name: String, _ mine: some Equatable, _ theirs: some Equatable) {
            if "\(mine)" != "\(theirs)" { words.append("\(name) is \(mine) and was \(theirs)") }
        }
        compare("tube", tube, other.tube)
        compare("state", state, other.state)
        compare("priority", priority, other.priority)
        compare("delay", delay, other.delay)
        compare("ttr", ttr, other.ttr)
        compare("creation", createdAt, other.createdAt)
        compare("deadline", deadline, other.deadline)
        compare("sequence", sequence, other.sequence)
        compare("counters", counters, other.counters)
        if body != other.body {
            words.append("the body of \(other.body.count) bytes came back as \(body.count) others")
        }
        return words.joined(separator: ", ")
    }
}

/// Plays the engine to a store: keeps the calling order and the notes, and knows what the store should hold.
final class StorageBench {
    /// What a store gives when it is opened: its jobs, in the order in which they come, and the highest id.
    typealias Contents = (jobs: [KeptJob], highest: UInt64)

    private let patience: Int
    /// Makes another store at the same place.
    let makeStore: () -> any Storage
    private(set) var store: any Storage
    /// What the store should hold, by id.
    private(set) var expected: [UInt64: KeptJob] = [:]
    private var notes: [UInt64: StorageNote] = [:]
    private(set) var sequence: UInt64 = 0
    private(set) var highestID: UInt64 = 0
    private let wakes = Wakes()
    private(set) var newestTicket: Ticket?

    /// Counts the calls of `wake`, which may come from any thread.
    private final class Wakes: Sendable {
        let count = Atomic<Int>(0)
    }

    init(patience: Int, _ makeStore: @escaping () -> any Storage) {
        self.patience = patience
        self.makeStore = makeStore
        store = makeStore()
    }

    var wakeCount: Int { wakes.count.load(ordering: .acquiring) }

    // MARK: Life

    /// Opens the store and takes what it holds.
    func open() throws(StorageError) -> Contents {
        let wakes = wakes
        try store.open(
            .readWrite, host: StorageHost(wake: { wakes.count.add(1, ordering: .acquiringAndReleasing) }))
        var jobs: [KeptJob] = []
        var notes: [UInt64: StorageNote] = [:]
        let highest = try store.recover { job, note in
            jobs.append(KeptJob(job))
            notes[job.id.rawValue] = note
        }
        self.notes = notes
        return (jobs, highest.rawValue)
    }

    func close() throws(StorageError) {
        try store.close()
    }

    /// Closes the store and opens it again by another object, as a server does that is started anew.
    func reopen() throws(StorageError) -> Contents {
        try close()
        newestTicket = nil
        store = makeStore()
        return try open()
    }

    /// Opens another store at the same place to read it, as a tool does, and closes that one again.
    func read() throws(StorageError) -> Contents {
        let reader = makeStore()
        do throws(StorageError) {
            try reader.open(.readOnly, host: impatientHost())
            var jobs: [KeptJob] = []
            let highest = try reader.recover { job, _ in jobs.append(KeptJob(job)) }
            try reader.close()
            return (jobs, highest.rawValue)
        } catch {
            try? reader.close()
            throw error
        }
    }

    /// The host of an open that may find the place in use: who waits there until it is free is told to stop, in time.
    func impatientHost() -> StorageHost {
        let end = ContinuousClock.now + .seconds(patience)
        return StorageHost(wake: {}, shouldStop: { ContinuousClock.now >= end })
    }

    // MARK: Changes

    /// Puts a job and answers true, if the store admits it.
    @discardableResult
    func put(_ job: KeptJob) -> Bool {
        guard store.admit(bodyBytes: job.body.count, tubeNameBytes: job.tube.count) else { return false }
        var job = job
        sequence += 1
        job.sequence = sequence
        highestID = max(highestID, job.id)
        expected[job.id] = job
        append(job) { .put($0) }
        return true
    }

    /// Changes what an update may change; the rest stays.
    func update(_ id: UInt64, _ change: (inout KeptJob) -> Void) {
        guard var job = expected[id] else { return }
        change(&job)
        sequence += 1
        job.sequence = sequence
        expected[id] = job
        append(job) { .update($0) }
    }

    /// Moves a job to another tube and answers true, if the store admits it.
    @discardableResult
    func move(_ id: UInt64, to tube: String) -> Bool {
        guard var job = expected[id], store.admit(bodyBytes: job.body.count, tubeNameBytes: tube.utf8.count) else {
            return false
        }
        let former = job.tube
        sequence += 1
        job.sequence = sequence
        job.tube = Array(tube.utf8)
        (job.state, job.deadline, job.counters.failures) = (.ready, 0, 0)
        expected[id] = job
        append(job, from: former)
        return true
    }

    func delete(_ id: UInt64) {
        guard var job = expected.removeValue(forKey: id) else { return }
        sequence += 1
        job.sequence = sequence
        append(job) { .delete($0) }
        notes[id] = nil
    }

    /// Takes over what the store held when it was opened.
    func adopt(_ jobs: [KeptJob], highest: UInt64) {
        expected = Dictionary(jobs.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        sequence = jobs.map(\.sequence).max() ?? 0
        highestID = highest
    }

    /// Makes a change that came from elsewhere; false for a put or a move that isn't admitted.
    func make(_ change: LifeChange) -> Bool {
        switch change {
        case .put(let job):
            guard store.admit(bodyBytes: job.body.count, tubeNameBytes: job.tube.count) else { return false }
            expected[job.id] = job
            highestID = max(highestID, job.id)
            append(job) { .put($0) }
        case .update(let job):
            expected[job.id] = job
            append(job) { .update($0) }
        case .move(let job, let former):
            guard store.admit(bodyBytes: job.body.count, tubeNameBytes: job.tube.count) else { return false }
            expected[job.id] = job
            append(job, from: former)
        case .delete(let job):
            expected[job.id] = nil
            append(job) { .delete($0) }
            notes[job.id] = nil
        }
        return true
    }

    private func append(_ job: KeptJob, _ makeChange: (StoredJob) -> Change) {
        show(job) { whole, note in
            var change = makeChange(whole)
            if case .put = change {
            } else {
                var stored = whole
                stored.body = UnsafeRawBufferPointer(start: nil, count: 0)
                change = makeChange(stored)
            }
            store.append(change, note: &note)
        }
    }

    private func append(_ job: KeptJob, from former: [UInt8]) {
        // Memory of its own, which turns to rubbish as well.
        let name = UnsafeMutableRawBufferPointer.allocate(byteCount: former.count, alignment: 1)
        name.copyBytes(from: former)
        show(job) { store.append(.move($0, from: BorrowedName(UnsafeRawBufferPointer(name))), note: &$1) }
        name.copyBytes(from: repeatElement(0xAA, count: name.count))
        name.deallocate()
    }

    /// Lends a job out as the engine does: the buffers turn to rubbish when the call is over.
    private func show(_ job: KeptJob, _ visit: (StoredJob, inout StorageNote) -> Void) {
        let name = UnsafeMutableRawBufferPointer.allocate(byteCount: job.tube.count, alignment: 1)
        let body = UnsafeMutableRawBufferPointer.allocate(byteCount: job.body.count, alignment: 1)
        name.copyBytes(from: job.tube)
        body.copyBytes(from: job.body)
        let stored = StoredJob(
            id: JobID(job.id), tube: BorrowedName(UnsafeRawBufferPointer(name)), state: job.state,
            priority: job.priority, delay: job.delay, ttr: job.ttr, createdAt: job.createdAt, deadline: job.deadline,
            sequence: job.sequence, counters: job.counters, body: UnsafeRawBufferPointer(body))
        var note = notes[job.id] ?? StorageNote()
        visit(stored, &note)
        notes[job.id] = note
        for buffer in [name, body] {
            buffer.copyBytes(from: repeatElement(0xAA, count: buffer.count))
            buffer.deallocate()
        }
    }

    // MARK: Turns

    /// Closes the turn, and answers the ticket where the store asks for patience.
    func commit() throws(StorageError) -> Ticket? {
        _ = try store.maintain { id, visit in
            guard let job = expected[id.rawValue] else { return false }
            show(job, visit)
            return true
        }
        switch try store.commit() {
        case .durable: return nil
        case .pending(let ticket):
            newestTicket = ticket
            return ticket
        }
    }

    /// Closes the turn and waits until all is safe; false where it isn't in time.
    func commitAndWait() throws(StorageError) -> Bool {
        guard let ticket = try commit() else { return true }
        return try wait(for: ticket)
    }

    /// Waits until the ticket is complete; false where it isn't in time.
    func wait(for ticket: Ticket) throws(StorageError) -> Bool {
        for _ in 0..<patience * 1000 {
            if try store.completed() >= ticket { return true }
            usleep(1000)
        }
        return false
    }

    /// The note of a job, as the store set it last.
    func note(of id: UInt64) -> StorageNote { notes[id] ?? StorageNote() }
}
