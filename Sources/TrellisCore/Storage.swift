// SPDX-License-Identifier: MIT

/// What a store knows of a job: all that must survive a restart.
///
/// The two buffers are borrowed: valid for the call in which the value is passed.
public struct StoredJob {
    /// Where a job stands as far as a store is concerned.
    ///
    /// A reserved job is stored as ready (or as it was logged last) and comes back ready.
    public enum State: UInt8, Sendable {
        case ready = 1
        case delayed = 2
        case buried = 3
    }

    /// The job's number.
    public var id: JobID
    /// The name of its tube.
    public var tube: BorrowedName
    /// Where it stands.
    public var state: State
    /// 0 is the most urgent.
    public var priority: UInt32
    /// The delay asked for last, in seconds.
    public var delay: UInt32
    /// Time to run, in seconds, at least 1.
    public var ttr: UInt32
    /// When its put line was read, in nanoseconds since 1970.
    public var createdAt: Int64
    /// When a delayed job is ready, in nanoseconds since 1970; 0 in other states.
    ///
    /// Recovery clamps what remains to 0…`delay`, so that a clock set back can't postpone a job beyond its delay.
    public var deadline: Int64
    /// The number of the change that brought the job to its state.
    ///
    /// Ascending over all changes; buried jobs are kicked in its order.
    public var sequence: UInt64
    /// How often it was reserved, timed out, released, buried and kicked.
    public var counters: JobCounters
    /// How long the body is, in bytes.
    public var bodyBytes: Int
    /// The body; empty in an update and a delete, which don't need it.
    public var body: UnsafeRawBufferPointer

    /// Puts a job together; the length is that of the body where none is given.
    public init(
        id: JobID, tube: BorrowedName, state: State, priority: UInt32, delay: UInt32, ttr: UInt32, createdAt: Int64,
        deadline: Int64, sequence: UInt64, counters: JobCounters, bodyBytes: Int? = nil, body: UnsafeRawBufferPointer
    ) {
        self.id = id
        self.tube = tube
        self.state = state
        self.priority = priority
        self.delay = delay
        self.ttr = ttr
        self.createdAt = createdAt
        self.deadline = deadline
        self.sequence = sequence
        self.counters = counters
        self.bodyBytes = bodyBytes ?? body.count
        self.body = body
    }
}

/// What happened to a job over its life; `stats-job` shows it.
public struct JobCounters: Hashable, Sendable {
    /// Reservations, by `reserve` and `reserve-job`.
    public var reserves: UInt32 = 0
    /// Reservations that ran out of time.
    public var timeouts: UInt32 = 0
    /// Releases by a worker.
    public var releases: UInt32 = 0
    /// Burials, by a worker or because of the tube's policy.
    public var buries: UInt32 = 0
    /// Kicks, by `kick` and `kick-job`.
    public var kicks: UInt32 = 0
    /// Deliveries in a tube with `retries` that ended without a delete or a burial, since the put, the last kick or the
    /// last move; 255 stands for that and more.
    public var failures: UInt8 = 0

    /// All zero.
    public init() {}
}

/// One change of a job, in engine order.
public enum Change {
    /// A new job, whole.
    case put(StoredJob)
    /// A job's state, priority, delay, deadline or counters changed.
    ///
    /// Its body is as before and empty here. Where only counters changed, the sequence number is as before, too: the
    /// job keeps its place among the buried ones.
    case update(StoredJob)
    /// The job is in another tube now: whole, as in a put, under the id that it has.
    ///
    /// The body is the same as before, for stores that write jobs anew; the last value is the name of the former tube. After a crash the
    /// job must be in one of both tubes, and in no case in neither.
    case move(StoredJob, from: BorrowedName)
    /// The job is gone.
    ///
    /// Its body is empty here, and its sequence number that of the change.
    case delete(StoredJob)
}

/// Eight bytes that the engine keeps with each job on the store's behalf, for example where its newest record lies.
///
/// 0 until the store sets it. It isn't stored.
public struct StorageNote: Hashable, Sendable {
    /// The eight bytes.
    public var rawValue: UInt64

    /// Wraps a value of the store's own making.
    public init(_ rawValue: UInt64 = 0) { self.rawValue = rawValue }
}

/// How far a store has come: the tickets of one store ascend.
public struct Ticket: Hashable, Comparable, Sendable {
    /// The number.
    public var rawValue: UInt64

    /// Wraps a number of the store's own making.
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// Whether the left ticket was given out before the right one.
    public static func < (left: Ticket, right: Ticket) -> Bool { left.rawValue < right.rawValue }
}

/// What `commit` answers.
public enum Commit: Hashable, Sendable {
    /// All that was appended is safe; replies may go.
    case durable
    /// It is safe when the ticket is complete. The store wakes the loop then.
    case pending(Ticket)
}

/// Why a store can't go on.
public enum StorageError: Error, Hashable, Sendable, CustomStringConvertible {
    /// There is no room. Only `open` may throw it; during service `admit` answers `full`.
    case full(String)
    /// What is stored there can't be read: it is damaged, or of another kind; the text names the place and what to do.
    case corrupt(String)
    /// It is in use by another server; the text names what is locked.
    case locked(String)
    /// Anything that ends service: a failed write or sync, a lost lease.
    case fatal(String)
    /// The host wanted to stop (`StorageHost.shouldStop`) before the store was ready. Only `open` and `recover` may
    /// throw it.
    case stopped

    /// One line: the kind and the text.
    public var description: String {
        switch self {
        case .full(let text): "the storage is full: \(text)"
        case .corrupt(let text): "the storage can't be used: \(text)"
        case .locked(let text): "the storage is in use: \(text)"
        case .fatal(let text): "the storage failed: \(text)"
        case .stopped: "the start was cut short"
        }
    }
}

/// The numbers of a store that `stats` shows.
///
/// All 0 for a store without segments. The last three are shown only where `segmentBytes` isn't 0.
public struct StorageStatistics: Hashable, Sendable {
    /// The number of the oldest segment that is still needed.
    public var oldestSegment: UInt64 = 0
    /// The number of the segment being written.
    public var currentSegment: UInt64 = 0
    /// Records copied by compaction since the start.
    public var recordsMigrated: UInt64 = 0
    /// Records written since the start.
    public var recordsWritten: UInt64 = 0
    /// The size of a segment, in bytes.
    public var segmentBytes: UInt64 = 0
    /// What the log takes on the disk, in bytes, without space kept ready.
    public var logBytes: UInt64 = 0
    /// What of it the live jobs need, in bytes.
    public var liveBytes: UInt64 = 0
    /// Syncs that took longer than 100 ms since the start.
    public var slowSyncs: UInt64 = 0

    /// All zero.
    public init() {}
}

/// What a store is opened for.
public enum StorageAccess: Hashable, Sendable {
    /// To serve from: the store is locked, and made if there is none.
    case readWrite
    /// To be read by a tool: nothing of it is changed or made, and only `recover` and `close` follow.
    ///
    /// `recover` gives the same as it would to a server. Where nothing is, it is an error or an empty store.
    case readOnly
}

/// How urgent a notice of a store is.
public enum StorageNoticeLevel: Hashable, Sendable {
    /// Something an operator may want to know.
    case info
    /// Something an operator should know: a torn tail that was cut, a slow disk, a full one.
    case warning
}

/// What a store may ask of the server that runs it; all of it from any thread.
public struct StorageHost: Sendable {
    /// Makes the loop run a turn, in which it asks `completed`, `isCongested` and `maintain`.
    public var wake: @Sendable () -> Void
    /// Writes one line for the operator.
    public var report: @Sendable (StorageNoticeLevel, String) -> Void
    /// Whether somebody asked the server to stop.
    ///
    /// Where `open` or `recover` takes long, it asks several times a second, and throws `stopped` on true.
    public var shouldStop: @Sendable () -> Bool

    /// Puts the three together.
    public init(
        wake: @escaping @Sendable () -> Void,
        report: @escaping @Sendable (StorageNoticeLevel, String) -> Void = { _, _ in },
        shouldStop: @escaping @Sendable () -> Bool = { false }
    ) {
        self.wake = wake
        self.report = report
        self.shouldStop = shouldStop
    }
}

/// Shows a live job to a store, whole and as it stands now, with its note; false where there is no such job.
public typealias JobVisitor = (JobID, (StoredJob, inout StorageNote) -> Void) -> Bool

/// Keeps jobs across restarts.
///
/// A store gets *meaning*, not bytes: a job put, changed or deleted. A table can implement it as well as a log.
///
/// The calling order is a law: `open` once; `recover` once; then turns of `admit` and `append` in any number followed
/// by one `maintain` and one `commit`, also when the turn changed nothing; `completed` and `isCongested` at any time;
/// at last `close`. All calls come from one thread at a time, though not always the same one. A store may own threads. A
/// tool that only fills a store leaves `maintain` out.
///
/// *To implement it:* once `append` has taken a change, the only outcomes are that it becomes durable or that the store
/// fails for good: retrying is the store's duty. Keep free what updates and deletes of every live job need, so that
/// only `admit` ever says no. `fdatasync` must not be retried on the same pages (a failed one may have dropped them).
///
/// *Traps:* the buffers in a `Change` are valid during `append` only. `append` must not do I/O: the engine waits for
/// it. A job's id must never be given out again, even after the deletion of every job: `recover` answers the highest.
public protocol Storage: AnyObject {
    /// Whether anything survives a restart: a store that keeps nothing answers false, and a server never calls `append`.
    ///
    /// Asked once, when the engine is made; tests and tools may call `append` all the same. True unless a store says
    /// otherwise. (What is told and thrown away cost 150 of 1,650 instructions a request.)
    var keepsJobs: Bool { get }

    /// Takes hold of what is stored: locks, opens, checks.
    ///
    /// From here until `close`, another `open` of the same place to serve from, in this process or another, is refused as
    /// locked or waits until the place is free; the first store isn't touched by it. One to read is refused so, too, or
    /// gives all that was committed. A store that keeps nothing needs no lock.
    ///
    /// Waits here for anything outside (a lease, another machine), and asks `host.shouldStop` meanwhile.
    func open(_ access: StorageAccess, host: StorageHost) throws(StorageError)

    /// Gives every live job, once, in any order, and answers the highest id ever given out (0 for none).
    ///
    /// `deliver` takes a job and the note that the engine is to keep with it. Ids are at least 1 and at most 2^62.
    func recover(_ deliver: (StoredJob, StorageNote) -> Void) throws(StorageError) -> JobID

    /// Whether a put of a body of so many bytes into a tube with a name of so many bytes fits.
    ///
    /// Called before anything changes, also before a job of that size is moved; a store that answers true must take the
    /// `append` that follows. A job that can't be moved stays in its tube.
    func admit(bodyBytes: Int, tubeNameBytes: Int) -> Bool

    /// Takes one change, in engine order, and sets the job's note as it likes.
    ///
    /// No I/O.
    func append(_ change: Change, note: inout StorageNote)

    /// Does one bounded step of what can wait, such as compaction; true where there is more to do at once.
    ///
    /// `job` shows live jobs. Nothing is answered to clients meanwhile, so a step is well below a millisecond.
    func maintain(_ job: JobVisitor) throws(StorageError) -> Bool

    /// Closes the turn.
    ///
    /// Throws when the store can't go on; the server then stops.
    func commit() throws(StorageError) -> Commit

    /// The newest ticket that is complete.
    ///
    /// Throws when the store can't go on.
    func completed() throws(StorageError) -> Ticket

    /// Whether so much is on its way to the disk that clients must wait: their connections aren't read meanwhile.
    ///
    /// When it ends the store wakes the loop.
    var isCongested: Bool { get }

    /// The segment that a job with this note lies in, for `stats-job`; 0 without segments.
    func segment(of note: StorageNote) -> UInt64

    /// The numbers for `stats`.
    var statistics: StorageStatistics { get }

    /// Makes durable what is pending and lets go of everything.
    ///
    /// May be called twice, and after a half-done `open`.
    func close() throws(StorageError)
}

extension Storage {
    /// True.
    public var keepsJobs: Bool { true }
}

/// A problem that `verify` found.
public struct StorageFinding: Hashable, Sendable {
    /// Whether jobs are lost by it; else it is something that a start mends by itself, such as a torn tail.
    public var isDamage: Bool
    /// The place and what is wrong there.
    public var text: String

    /// Puts the two together.
    public init(isDamage: Bool, text: String) {
        self.isDamage = isDamage
        self.text = text
    }
}

/// What a store may have beside the contract: it can check what is stored, and mend it.
///
/// Neither needs `open`; both lock the store while they run.
public protocol VerifiableStorage: Storage {
    /// Reads all that is stored and checks it; changes nothing.
    ///
    /// `progress` is told how much was read of how much, in bytes.
    func verify(progress: (UInt64, UInt64) -> Void) throws(StorageError) -> [StorageFinding]

    /// Makes a damaged store one that opens, keeping all that can be read, and answers what it did and what is lost,
    /// one line each; none where nothing was damaged.
    ///
    /// What it changes is first copied aside.
    func repair(progress: (UInt64, UInt64) -> Void) throws(StorageError) -> [String]
}
