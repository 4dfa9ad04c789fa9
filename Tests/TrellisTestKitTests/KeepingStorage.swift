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
        var updates = 0
        /// Whether somebody has the place.
        var isInUse = false
        /// Whether a server ever had it.
        var isMade = false

        /// Takes hold of the place, unless somebody has it.
        mutating func take() -> Bool {
            guard !isInUse else { return false }
            isInUse = true
            isMade = true
            return true
        }
    }

    let contents = Mutex(Contents())
}

/// A correct store that keeps jobs in a `Place`, at once or by a thread of its own; or one with one flaw.
final class KeepingStorage: Storage {
    enum Flaw: CaseIterable {
        case inventsAJob
        case dropsLargeBodies
        case saysThatItKeepsNothing
        case cutsNumbers
        case updatesLoseTheBody
        case movesKeepTheTube
        case deletesAreForgotten
        case forgetsTheHighestID
        case losesItsNotes
        case admissionsUseRoom
        case completesWhatIsToCome
        case neverWakes
        case closesInAHurry
        case countsSegmentsBackwards
        case sharesThePlace
        case locksWhenItRecovers
        case refusesAsFatal
        case refusalFreesThePlace
        case readingFreesThePlace
        case readingGivesNothing
        case readingForgetsTheHighestID
        case readingDropsAJob
        case readingMakesThePlace
        case readingKeepsThePlace
        case readingBesideAServerFails
        case readingBesideAServerGivesNothing
        case losesTheFortiethUpdate

        /// The rule that it breaks.
        var rule: String {
            switch self {
            case .inventsAJob: "a new place is empty"
            case .dropsLargeBodies, .saysThatItKeepsNothing: "a job comes back whole"
            case .cutsNumbers: "every state and extreme number comes back"
            case .updatesLoseTheBody: "an update changes what it may, and not the body"
            case .movesKeepTheTube: "a moved job is in its new tube, and nowhere else"
            case .deletesAreForgotten: "a deleted job doesn't come back"
            case .forgetsTheHighestID: "the highest id outlives all jobs"
            case .losesItsNotes: "what came back can be changed, deleted and added to"
            case .admissionsUseRoom: "admit changes nothing, and true is a promise"
            case .completesWhatIsToCome: "every turn is closed, and tickets ascend to completion"
            case .neverWakes: "wake is called when a ticket completes"
            case .closesInAHurry: "close may come twice, early, and makes safe what is pending"
            case .countsSegmentsBackwards: "questions can be asked at any time"
            case .sharesThePlace, .locksWhenItRecovers, .refusesAsFatal, .refusalFreesThePlace, .readingFreesThePlace:
                Self.lockRule
            case .readingGivesNothing, .readingForgetsTheHighestID, .readingDropsAJob, .readingMakesThePlace,
                .readingKeepsThePlace, .readingBesideAServerFails, .readingBesideAServerGivesNothing:
                Self.readingRule
            case .losesTheFortiethUpdate: "a random life with restarts"
            }
        }

        /// Whether it shows only where a place is opened twice, or read: no other rule does that.
        var isOfAccess: Bool { rule == Self.lockRule || rule == Self.readingRule }

        private static let lockRule = "a place in use is refused as locked"
        private static let readingRule = "a read-only open gives the same, and changes nothing"
    }

    /// What a store does with a place that a server has.
    enum Manners: CaseIterable {
        /// Refuses whoever comes.
        case refuses
        /// Refuses servers, and shows what is committed to tools.
        case letsTools
        /// Waits for the place until it is told to stop.
        case waits
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
    private let manners: Manners
    private let progress = Mutex(Progress())
    private var isOpen = false
    private var hasThePlace = false
    private var access = StorageAccess.readWrite
    private var turn: [Change] = []

    init(_ place: Place, isDelayed: Bool = false, manners: Manners = .refuses, flaw: Flaw? = nil) {
        self.place = place
        self.isDelayed = isDelayed
        self.manners = manners
        self.flaw = flaw
    }

    var keepsJobs: Bool { flaw != .saysThatItKeepsNothing }

    func open(_ access: StorageAccess, host: StorageHost) throws(StorageError) {
        self.access = access
        progress.withLock { $0.wake = host.wake }
        if access == .readOnly {
            try openToRead(host)
        } else if flaw != .locksWhenItRecovers {
            try take(host)
        }
        isOpen = true
    }

    private func openToRead(_ host: StorageHost) throws(StorageError) {
        guard place.contents.withLock({ $0.isMade }) else {
            if flaw == .readingMakesThePlace { place.contents.withLock { $0.isMade = true } }
            throw .fatal("nothing is there")
        }
        if flaw == .readingBesideAServerFails, place.contents.withLock({ $0.isInUse }) { throw .fatal("no idea why") }
        if manners == .letsTools || flaw == .readingFreesThePlace || flaw == .readingBesideAServerGivesNothing {
            return
        }
        try take(host)
    }

    /// Takes hold of the place.
    private func take(_ host: StorageHost) throws(StorageError) {
        while !place.contents.withLock({ $0.take() }) {
            switch flaw {
            case .sharesThePlace: return
            case .refusesAsFatal where access == .readWrite: throw .fatal("the place is in use")
            case .refusalFreesThePlace: place.contents.withLock { $0.isInUse = false }
            default: break
            }
            guard manners == .waits else { throw .locked("the place is in use") }
            if host.shouldStop() { throw .stopped }
            usleep(1000)
        }
        hasThePlace = true
    }

    func recover(_ deliver: (StoredJob, StorageNote) -> Void) throws(StorageError) -> JobID {
        if flaw == .locksWhenItRecovers, access == .readWrite { try take(StorageHost(wake: {})) }
        let contents = access == .readOnly ? read() : place.contents.withLock { $0 }
        for kept in contents.jobs { Self.deliver(kept, deliver) }
        if flaw == .inventsAJob, contents.jobs.isEmpty {
            Self.deliver(Self.keep(id: JobID(1), body: []), deliver)
        }
        if flaw == .forgetsTheHighestID { return contents.jobs.map(\.id).max() ?? JobID(0) }
        return JobID(contents.highest)
    }

    /// What a tool is shown.
    private func read() -> Place.Contents {
        place.contents.withLock { contents in
            var shown = contents
            if flaw == .readingGivesNothing || (flaw == .readingBesideAServerGivesNothing && contents.isInUse) {
                shown.jobs = []
            }
            if flaw == .readingForgetsTheHighestID { shown.highest = contents.jobs.map(\.id.rawValue).max() ?? 0 }
            if flaw == .readingDropsAJob, !contents.jobs.isEmpty { contents.jobs.removeLast() }
            return shown
        }
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
        letGo()
        isOpen = false
    }

    private func letGo() {
        let isReader = isOpen && access == .readOnly
        if flaw == .readingKeepsThePlace, isReader { hasThePlace = false }
        if flaw == .readingFreesThePlace, isReader { hasThePlace = true }
        if hasThePlace { place.contents.withLock { $0.isInUse = false } }
        hasThePlace = false
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
                switch change {
                case .put(let kept):
                    contents.jobs.append(kept)
                    contents.highest = max(contents.highest, kept.id.rawValue)
                case .update(let kept):
                    contents.updates += 1
                    if flaw == .losesTheFortiethUpdate, contents.updates % 40 == 0 { continue }
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
