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
    private let patience: Int
    private let makeStore: () -> any Storage
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

    /// Opens the store and takes what it holds, in the order in which it comes.
    func open() throws(StorageError) -> (jobs: [KeptJob], highest: UInt64) {
        let wakes = wakes
        try store.open { wakes.count.add(1, ordering: .acquiringAndReleasing) }
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
    func reopen() throws(StorageError) -> (jobs: [KeptJob], highest: UInt64) {
        try close()
        newestTicket = nil
        store = makeStore()
        return try open()
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
        append(job, isPut: true)
        return true
    }

    /// Changes what an update may change; the rest stays.
    func update(_ id: UInt64, _ change: (inout KeptJob) -> Void) {
        guard var job = expected[id] else { return }
        change(&job)
        sequence += 1
        job.sequence = sequence
        expected[id] = job
        append(job, isPut: false)
    }

    func delete(_ id: UInt64) {
        guard expected.removeValue(forKey: id) != nil else { return }
        sequence += 1
        var note = notes.removeValue(forKey: id) ?? StorageNote()
        store.append(.delete(JobID(id), sequence: sequence), note: &note)
    }

    private func append(_ job: KeptJob, isPut: Bool) {
        // The buffers turn to rubbish when the call is over, as the engine's may.
        let name = UnsafeMutableRawBufferPointer.allocate(byteCount: job.tube.count, alignment: 1)
        let body = UnsafeMutableRawBufferPointer.allocate(byteCount: isPut ? job.body.count : 0, alignment: 1)
        name.copyBytes(from: job.tube)
        if isPut { body.copyBytes(from: job.body) }
        let stored = StoredJob(
            id: JobID(job.id), tube: BorrowedName(UnsafeRawBufferPointer(name)), state: job.state,
            priority: job.priority, delay: job.delay, ttr: job.ttr, createdAt: job.createdAt, deadline: job.deadline,
            sequence: job.sequence, counters: job.counters, body: UnsafeRawBufferPointer(body))
        var note = notes[job.id] ?? StorageNote()
        store.append(isPut ? .put(stored) : .update(stored), note: &note)
        notes[job.id] = note
        for buffer in [name, body] {
            buffer.copyBytes(from: repeatElement(0xAA, count: buffer.count))
            buffer.deallocate()
        }
    }

    // MARK: Turns

    /// Closes the turn, and answers the ticket where the store asks for patience.
    func commit() throws(StorageError) -> Ticket? {
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
