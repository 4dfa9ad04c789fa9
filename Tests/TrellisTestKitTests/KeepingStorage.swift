// SPDX-License-Identifier: MIT

import Glibc
import Synchronization
import TrellisCore

/// What a store of the tests keeps between two lives: the disk, as it were.
final class Place: Sendable {
    struct Kept {
        var id: JobID
        var tube: [UInt8]
        var job: Facts
        var body: [UInt8]
        var note: StorageNote
    }

    /// The numbers of a job.
    struct Facts {
        var state: StoredJob.State
        var priority: UInt32
        var delay: UInt32
        var ttr: UInt32
        var createdAt: Int64
        var deadline: Int64
        var sequence: UInt64
        var counters: JobCounters
    }

    struct Contents {
        var jobs: [Kept] = []
        var highest: UInt64 = 0
        var admissions = 0
        var appended = 0
    }

    let contents = Mutex(Contents())
}

/// A correct store that keeps jobs in a `Place`, at once or by a thread of its own; or one with one flaw.
final class KeepingStorage: Storage {
    enum Flaw: String, CaseIterable {
        case inventsAJob = "a new place is empty"
        case dropsLargeBodies = "a job comes back whole"
        case cutsNumbers = "every state and extreme number comes back"
        case updatesLoseTheBody = "an update changes what it may, and not the body"
        case movesKeepTheTube = "a moved job is in its new tube, and nowhere else"
        case deletesAreForgotten = "a deleted job doesn't come back"
        case forgetsTheHighestID = "the highest id outlives all jobs"
        case losesItsNotes = "what came back can be changed, deleted and added to"
        case admissionsUseRoom = "admit changes nothing, and true is a promise"
        case completesWhatIsToCome = "every turn is closed, and tickets ascend to completion"
        case neverWakes = "wake is called when a ticket completes"
        case closesInAHurry = "close may come twice, early, and makes safe what is pending"
        case countsSegmentsBackwards = "questions can be asked at any time"
        case losesTheHundredthChange = "a random life with restarts"
    }

    private struct Progress {
        var wake: (@Sendable () -> Void)?
        var pending: [Change] = []
        var newest: UInt64 = 0
        var completed: UInt64 = 0
    }

    /// A change with memory of its own.
    private enum Change: Sendable {
        case put(Place.Kept)
        case update(Place.Kept)
        case move(Place.Kept)
        case delete(JobID)
    }

    private let place: Place
    private let flaw: Flaw?
    private let isDelayed: Bool
    private let progress = Mutex(Progress())
    private var isOpen = false
    private var turn: [Change] = []

    init(_ place: Place, isDelayed: Bool = false, flaw: Flaw? = nil) {
        self.place = place
        self.isDelayed = isDelayed
        self.flaw = flaw
    }

    func open(_ access: StorageAccess, host: StorageHost) {
        progress.withLock { $0.wake = host.wake }
        isOpen = true
    }

    func recover(_ deliver: (StoredJob, StorageNote) -> Void) -> JobID {
        let contents = place.contents.withLock { $0 }
        for kept in contents.jobs { Self.deliver(kept, deliver) }
        if flaw == .inventsAJob, contents.jobs.isEmpty {
            Self.deliver(Self.keep(id: JobID(1), body: []), deliver)
        }
        if flaw == .forgetsTheHighestID { return contents.jobs.map(\.id).max() ?? JobID(0) }
        return JobID(contents.highest)
    }

    func admit(bodyBytes: Int, tubeNameBytes: Int) -> Bool {
        guard flaw == .admissionsUseRoom else { return true }
        return place.contents.withLock {
            $0.admissions += 1
            return $0.admissions < 500
        }
    }

    func maintain(_ job: JobVisitor) -> Bool { false }

    var isCongested: Bool { false }

    func append(_ change: TrellisCore.Change, note: inout StorageNote) {
        switch change {
        case .put(let job):
            if flaw == .dropsLargeBodies, job.body.count >= 65_534 { return }
            note = StorageNote(job.id.rawValue)
            turn.append(.put(Self.keep(job, note)))
        case .update(let job):
            if flaw == .losesItsNotes, note.rawValue == 0 { return }
            turn.append(.update(Self.keep(job, note)))
        case .move(let job, _):
            turn.append(flaw == .movesKeepTheTube ? .update(Self.keep(job, note)) : .move(Self.keep(job, note)))
        case .delete(let job):
            if flaw != .deletesAreForgotten { turn.append(.delete(job.id)) }
        }
    }

    func commit() -> Commit {
        guard isDelayed || flaw.map(Self.needsDelay) == true else {
            apply(turn)
            turn = []
            return .durable
        }
        let (ticket, isNew) = progress.withLock { progress in
            let isNew = !turn.isEmpty
            if isNew { progress.newest += 1 }
            progress.pending += turn
            return (Ticket(progress.newest), isNew)
        }
        turn = []
        if isNew {
            let thread = UnsafeMutablePointer<pthread_t>.allocate(capacity: 1)
            defer { thread.deallocate() }
            pthread_create(thread, nil, finishInBackground, Unmanaged.passRetained(self).toOpaque())
            pthread_detach(thread.pointee)
        }
        return .pending(ticket)
    }

    /// Makes safe what is pending; the work of the store's thread.
    fileprivate func finish() {
        let wake = progress.withLock { progress in
            apply(progress.pending)
            progress.pending = []
            progress.completed = progress.newest
            return progress.wake
        }
        if flaw != .neverWakes { wake?() }
    }

    func completed() -> Ticket {
        progress.withLock { Ticket(flaw == .completesWhatIsToCome ? $0.newest + 1 : $0.completed) }
    }

    func segment(of note: StorageNote) -> UInt64 { flaw == .countsSegmentsBackwards ? 7 : 0 }

    var statistics: StorageStatistics { StorageStatistics() }

    func close() {
        if flaw == .closesInAHurry {
            progress.withLock { $0.pending = [] }
        } else if isOpen {
            apply(turn)
            turn = []
            finish()
        }
        isOpen = false
    }

    /// What the disk takes.
    fileprivate var microsecondsForTheDisk: UInt32 { flaw == .closesInAHurry ? 50_000 : 1000 }

    private static func needsDelay(_ flaw: Flaw) -> Bool {
        flaw == .completesWhatIsToCome || flaw == .neverWakes || flaw == .closesInAHurry
    }

    // MARK: The place

    private func apply(_ changes: [Change]) {
        place.contents.withLock { contents in
            for change in changes {
                contents.appended += 1
                if flaw == .losesTheHundredthChange, contents.appended % 100 == 0 { continue }
                switch change {
                case .put(let kept):
                    contents.jobs.append(kept)
                    contents.highest = max(contents.highest, kept.id.rawValue)
                case .update(let kept):
                    for index in contents.jobs.indices where contents.jobs[index].id == kept.id {
                        contents.jobs[index].job = kept.job
                        if flaw == .updatesLoseTheBody { contents.jobs[index].body = [] }
                    }
                case .move(let kept):
                    for index in contents.jobs.indices where contents.jobs[index].id == kept.id {
                        (contents.jobs[index].job, contents.jobs[index].tube) = (kept.job, kept.tube)
                    }
                case .delete(let id): contents.jobs.removeAll { $0.id == id }
                }
                if flaw == .cutsNumbers {
                    for index in contents.jobs.indices { contents.jobs[index].job.priority &= 0x7FFF_FFFF }
                }
                // A note that isn't stored: 0 where a new life begins.
                if flaw == .losesItsNotes {
                    for index in contents.jobs.indices { contents.jobs[index].note = StorageNote() }
                }
            }
        }
    }

    private static func keep(_ job: StoredJob, _ note: StorageNote) -> Place.Kept {
        Place.Kept(
            id: job.id, tube: Array(job.tube.bytes),
            job: Place.Facts(
                state: job.state, priority: job.priority, delay: job.delay, ttr: job.ttr, createdAt: job.createdAt,
                deadline: job.deadline, sequence: job.sequence, counters: job.counters),
            body: Array(job.body), note: note)
    }

    private static func keep(id: JobID, body: [UInt8]) -> Place.Kept {
        Place.Kept(
            id: id, tube: Array("default".utf8),
            job: Place.Facts(
                state: .ready, priority: 0, delay: 0, ttr: 1, createdAt: 0, deadline: 0, sequence: 1,
                counters: JobCounters()),
            body: body, note: StorageNote())
    }

    private static func deliver(_ kept: Place.Kept, _ deliver: (StoredJob, StorageNote) -> Void) {
        kept.tube.withUnsafeBytes { tube in
            kept.body.withUnsafeBytes { body in
                let job = StoredJob(
                    id: kept.id, tube: BorrowedName(tube), state: kept.job.state, priority: kept.job.priority,
                    delay: kept.job.delay, ttr: kept.job.ttr, createdAt: kept.job.createdAt,
                    deadline: kept.job.deadline, sequence: kept.job.sequence, counters: kept.job.counters, body: body)
                deliver(job, kept.note)
            }
        }
    }
}

/// The thread of a delayed store: some time for the disk, then all that is pending is safe.
private func finishInBackground(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    let store = Unmanaged<KeepingStorage>.fromOpaque(argument).takeRetainedValue()
    usleep(store.microsecondsForTheDisk)
    store.finish()
    return nil
}
