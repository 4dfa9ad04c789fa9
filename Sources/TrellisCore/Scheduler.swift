// SPDX-License-Identifier: MIT

/// A ready job as a scheduler sees it.
public struct ReadyJob {
    /// The job's place in the engine, the same from `ready` until it is taken out; what `pick` answers.
    public var slot: JobSlot
    /// Its tube.
    public var tube: TubeIndex
    /// Its number; earlier puts have lower ones.
    public var id: JobID
    /// 0 is the most urgent.
    public var priority: UInt32
    /// When its put line was read; before the start of the clock, perhaps, for a job that a store kept.
    public var createdAt: Instant

    /// Puts a ready job together.
    public init(slot: JobSlot, tube: TubeIndex, id: JobID, priority: UInt32, createdAt: Instant) {
        self.slot = slot
        self.tube = tube
        self.id = id
        self.priority = priority
        self.createdAt = createdAt
    }
}

/// A watch list.
///
/// Equal lists are one set, which the engine keeps as long as a connection has it.
public struct WatchSet {
    /// The set's place in the engine's table: small, dense and reused.
    public var index: UInt32
    /// The watched tubes, at least one, each once, in the order in which they were watched.
    ///
    /// Borrowed for the call.
    public var tubes: UnsafeBufferPointer<TubeIndex>

    /// Puts a set together.
    public init(index: UInt32, tubes: UnsafeBufferPointer<TubeIndex>) {
        self.index = index
        self.tubes = tubes
    }
}

/// How a reservation ended.
public enum ReservationOutcome: Sendable {
    case deleted
    case released
    case buried
    case timedOut
    case connectionLost
}

/// Why a scheduler can't be used: a sentence for the operator.
public struct SchedulerError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The sentence.
    public var description: String

    /// Wraps a sentence.
    public init(_ description: String) { self.description = description }
}

/// A scheduler whose answers the engine checks, because it is code that no compiler has checked: one behind a C interface.
///
/// Where an answer can't be, the engine calls `giveUp`, and then tells all there is anew: tubes, whether they are eligible,
/// reserved jobs (as reserved by their ids) and ready ones. From then on it believes the answers.
public protocol CheckedScheduler: Scheduler {
    /// Makes it ready for use; called once, before all else.
    ///
    /// - Parameters:
    ///   - standIn: Who takes over when it is given up.
    ///   - report: Takes a line for the operator.
    func open(standIn: any Scheduler, report: @escaping (String) -> Void) throws(SchedulerError)
    /// From now on the stand-in hears and answers all; it begins without tubes.
    func giveUp(_ reason: String)
}

/// Owns the order of ready jobs.
///
/// A scheduler hears of every job that becomes ready and of every one that stops being so, and answers which is next.
/// Whether a tube may be served at all (paused, at a limit) is the engine's business: it says so through `eligible`, and
/// `pick` must pass over tubes that aren't. Tubes begin eligible.
///
/// The calling order is a law. For one job: `ready`, then either `removed` or `reserved`. A job that a worker reserves
/// by its id is `removed` if it was ready, and then, whatever state it was in, `reservedByID`. What becomes ready again may be in another
/// tube than before. Each `reserved` and each
/// `reservedByID` is followed by one `finished`, after which the job may become ready again. `tubeOpened` comes before
/// all else of a tube, `tubeClosed` when nothing of it is left; an index is used again after that. `advance` comes at
/// the beginning of each turn; what comes before the first one happens at time 0. All calls come from one thread at a
/// time, though not always the same one.
///
/// `pick` leaves no worker idle: it answers a job wherever an eligible watched tube has one. Who wants to hold jobs back
/// is asking for a limit, and limits are the engine's.
///
/// *To implement it:* no I/O, no clock, no randomness but what is passed in; the same calls must give the same answers.
/// No call may cost in proportion to the number of tubes, jobs or watch sets; `pick` and `reserved` may cost in
/// proportion to the watched tubes, and a logarithm of the depth is the most that is fine. Give memory back when a queue
/// has drained.
///
/// *Trap:* `pick` and `peek` change nothing that can be seen: the engine may ask and not take.
public protocol Scheduler: AnyObject {
    /// What time it is from now on; it never goes back.
    func advance(to now: Instant)
    /// A tube came into being.
    func tubeOpened(_ tube: TubeIndex, name: BorrowedName, settings: TubeSettings)
    /// The operator has changed what holds for a tube, which may have jobs in any state.
    func tubeChanged(_ tube: TubeIndex, settings: TubeSettings)
    /// A tube is gone; it holds no job.
    func tubeClosed(_ tube: TubeIndex)
    /// The job is ready.
    func ready(_ job: ReadyJob)
    /// A ready job is gone without having been picked: deleted, or about to be reserved by its id.
    func removed(_ job: ReadyJob)
    /// A job that `pick` answered for the watch list was given to a worker.
    func reserved(_ job: ReadyJob, for watched: WatchSet)
    /// A job that isn't ready (any more) was given to a worker who asked for its id.
    func reservedByID(_ job: ReadyJob)
    /// A reservation ended, so long after it began.
    func finished(_ job: ReadyJob, _ outcome: ReservationOutcome, serviceNanoseconds: Int64)
    /// Whether the tube may be served from now on.
    func eligible(_ tube: TubeIndex, _ isEligible: Bool)
    /// The job that a worker with this watch list gets next, or nil where no eligible tube of it has one.
    func pick(_ watched: WatchSet) -> JobSlot?
    /// The ready job of the tube that is next in order, whether the tube is eligible or not.
    func peek(_ tube: TubeIndex) -> JobSlot?
}
