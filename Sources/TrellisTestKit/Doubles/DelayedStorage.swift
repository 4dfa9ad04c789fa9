// SPDX-License-Identifier: MIT

public import TrellisCore

/// A store that keeps nothing and does as a test says: commits are pending until the test completes them, fail when it
/// wants them to, and puts are refused.
///
/// For tests of what a server does while it waits for a disk. The engine's thread and the test's may call at once.
public final class DelayedStorage: Storage, Sendable {
    private struct State {
        var wake: (@Sendable () -> Void)?
        var isOpen = false
        /// Changes appended since the last commit.
        var uncommitted = 0
        var newest: UInt64 = 0
        var completed: UInt64 = 0
        var commits = 0
        var failingCommit: Int?
        var completionFailure: String?
        var admitsPuts = true
        var isCongested = false
        var changes: [String] = []
    }

    private let state = Monitor(State())

    /// A store that answers each commit that has changes with a ticket, and admits every put.
    public init() {}

    // MARK: The script

    /// Completes the tickets up to that one, by default all that were given out, and wakes the loop.
    public func complete(upTo ticket: Ticket? = nil) {
        let wake = state.withLock { state in
            state.completed = max(state.completed, min(ticket?.rawValue ?? state.newest, state.newest))
            return state.wake
        }
        wake?()
    }

    /// Lets that commit fail as `fatal`: 1 is the next one, whether it has changes or not.
    public func failCommit(_ number: Int) {
        state.withLock { $0.failingCommit = $0.commits + number }
    }

    /// Lets `completed` fail as `fatal` from now on, and wakes the loop: a disk that fails in the background.
    public func failCompletion(_ reason: String = "the disk is gone") {
        let wake = state.withLock { state in
            state.completionFailure = reason
            return state.wake
        }
        wake?()
    }

    /// Whether `admit` says yes.
    public func setAdmitsPuts(_ admitsPuts: Bool) {
        state.withLock { $0.admitsPuts = admitsPuts }
    }

    /// Whether the store is congested from now on; wakes the loop where it isn't any more.
    public func setCongested(_ isCongested: Bool) {
        let wake = state.withLock { state in
            state.isCongested = isCongested
            return state.wake
        }
        if !isCongested { wake?() }
    }

    /// Waits until a ticket is given out that isn't complete and is above the one named; nil if none is in time.
    public func waitForPending(above ticket: Ticket = Ticket(0), seconds: Int = 10) -> Ticket? {
        state.wait(seconds: seconds) { state in
            state.newest > max(state.completed, ticket.rawValue) ? Ticket(state.newest) : nil
        }
    }

    /// What was appended, in order: `put 1`, `update 1`, `delete 1`.
    public var changes: [String] { state.withLock { $0.changes } }
    /// How many turns were closed.
    public var commitCount: Int { state.withLock { $0.commits } }
    /// Whether the store was opened and not closed.
    public var isOpen: Bool { state.withLock { $0.isOpen } }

    // MARK: The contract

    /// Remembers whom to wake.
    public func open(_ access: StorageAccess, host: StorageHost) {
        state.withLock {
            $0.wake = host.wake
            $0.isOpen = true
        }
    }

    /// Gives nothing: the store is empty at each start.
    public func recover(_ deliver: (StoredJob, StorageNote) -> Void) -> JobID { JobID(0) }

    /// Answers what `setAdmitsPuts` said.
    public func admit(bodyBytes: Int, tubeNameBytes: Int) -> Bool { state.withLock { $0.admitsPuts } }

    /// Writes down what the change was.
    public func append(_ change: Change, note: inout StorageNote) {
        let text =
            switch change {
            case .put(let job): "put \(job.id.rawValue)"
            case .update(let job): "update \(job.id.rawValue)"
            case .move(let job, _): "move \(job.id.rawValue)"
            case .delete(let job): "delete \(job.id.rawValue)"
            }
        state.withLock {
            $0.changes.append(text)
            $0.uncommitted += 1
        }
    }

    /// Does nothing: nothing piles up.
    public func maintain(_ job: JobVisitor) -> Bool { false }

    /// Answers what `setCongested` said.
    public var isCongested: Bool { state.withLock { $0.isCongested } }

    /// Answers a ticket where the turn had changes, or an earlier ticket isn't complete.
    public func commit() throws(StorageError) -> Commit {
        try state.withLock { state throws(StorageError) in
            state.commits += 1
            if state.commits == state.failingCommit { throw .fatal("commit \(state.commits) was to fail") }
            if state.uncommitted > 0 {
                state.uncommitted = 0
                state.newest += 1
            }
            return state.newest > state.completed ? .pending(Ticket(state.newest)) : .durable
        }
    }

    /// Answers what the test has completed.
    public func completed() throws(StorageError) -> Ticket {
        try state.withLock { state throws(StorageError) in
            if let reason = state.completionFailure { throw .fatal(reason) }
            return Ticket(state.completed)
        }
    }

    /// There are no segments.
    public func segment(of note: StorageNote) -> UInt64 { 0 }

    /// There are no segments.
    public var statistics: StorageStatistics { StorageStatistics() }

    /// Completes everything.
    public func close() {
        state.withLock {
            $0.isOpen = false
            $0.completed = $0.newest
        }
    }
}
