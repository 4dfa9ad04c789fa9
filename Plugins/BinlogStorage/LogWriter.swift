// SPDX-License-Identifier: MIT

internal import Synchronization
internal import TrellisCore
internal import TrellisFiles

/// A segment's file.
final class SegmentFile: Sendable {
    let number: UInt64
    let file: any File
    /// The room in it, head included, in bytes.
    let capacity: UInt64

    init(number: UInt64, file: any File, capacity: UInt64) {
        self.number = number
        self.file = file
        self.capacity = capacity
    }
}

/// Brings groups to the disk: writes them, where that may take its time, and syncs them.
final class LogWriter: Sendable {
    /// A run of groups for one segment.
    struct Run {
        var segment: SegmentFile
        var offset: UInt64
        var buffer: LogBuffer
        /// The last group in it.
        var group: UInt64
    }

    fileprivate struct State {
        var runs: [Run] = []
        /// Files with writes that weren't synced, oldest first.
        var dirty: [SegmentFile] = []
        /// The newest group that was written.
        var written: UInt64
        var isSyncWanted = false
        var isStopping = false
        var failure: String?
        var spareBuffers: [LogBuffer] = []
        var nextSlowReport: Int64 = 0
    }

    private let policy: SyncPolicy
    private let host: StorageHost
    private let state: Monitor<State>
    private let synced: Atomic<UInt64>
    private let slow = Atomic<UInt64>(0)
    private let queued = Atomic<Int>(0)
    private let failed = Atomic<Bool>(false)
    private let worker = Mutex<Worker?>(nil)

    static let slowNanoseconds: Int64 = 100_000_000
    /// With so much on its way the store is congested.
    static let congestedBytes = 64 << 20

    init(policy: SyncPolicy, host: StorageHost, syncedGroup: UInt64) {
        self.policy = policy
        self.host = host
        state = Monitor(State(written: syncedGroup))
        synced = Atomic(syncedGroup)
    }

    /// Starts the thread.
    func start() {
        let worker = Worker { [self] in
            while waitForWork() { step() }
        }
        self.worker.withLock { $0 = worker }
    }

    /// Syncs what is left and ends the thread.
    func stop() {
        state.withLock { $0.isStopping = true }
        state.notify()
        let worker = self.worker.withLock { worker in
            defer { worker = nil }
            return worker
        }
        worker?.join()
        step()
    }

    // MARK: The loop's side

    /// The newest group that is on the disk for certain, with all before it.
    var syncedGroup: UInt64 { synced.load(ordering: .acquiring) }
    var slowSyncs: UInt64 { slow.load(ordering: .relaxed) }
    var failure: String? { failed.load(ordering: .acquiring) ? state.withLock { $0.failure } : nil }
    var queuedBytes: Int { queued.load(ordering: .relaxed) }

    /// Takes runs over, to be written and synced.
    func enqueue(_ runs: [Run]) {
        for run in runs { queued.add(run.buffer.count, ordering: .relaxed) }
        state.withLock { $0.runs += runs }
        state.notify()
    }

    /// Writes runs at once; they are synced later.
    func write(_ runs: [Run]) throws(FileError) {
        for run in runs { try run.segment.file.writeAll(run.buffer.bytes, at: run.offset) }
        let wasClean = state.withLock { state in
            let wasClean = state.dirty.isEmpty
            for run in runs { state.took(run) }
            return wasClean
        }
        if wasClean, policy != .never { state.notify() }
    }

    /// Has what was written so far synced soon, whatever the policy.
    func wantSync() {
        state.withLock { $0.isSyncWanted = true }
        state.notify()
    }

    func takeBuffer() -> LogBuffer {
        state.withLock { $0.spareBuffers.popLast() } ?? LogBuffer()
    }

    func giveBack(_ buffer: LogBuffer) {
        buffer.clear()
        state.withLock { if $0.spareBuffers.count < 8 { $0.spareBuffers.append(buffer) } }
    }

    // MARK: The thread's side

    /// Waits until there is something to bring to the disk and it is time; false when the thread is to end.
    private func waitForWork() -> Bool {
        let policy = policy
        let goesOn = state.wait { state -> Bool? in
            if state.isStopping || state.failure != nil { return false }
            if !state.runs.isEmpty || state.isSyncWanted { return true }
            if case .every = policy, !state.dirty.isEmpty { return true }
            return nil
        }
        guard goesOn == true else { return false }
        if case .every(let nanoseconds) = policy {
            // Let changes gather, unless somebody is in a hurry.
            _ = state.wait(atMost: nanoseconds) { $0.isStopping || $0.isSyncWanted ? true : nil }
        }
        return true
    }

    /// Does what there is to do, where there is no thread; what is synced at a pace is synced at once.
    func catchUp() {
        let hasWork = state.withLock { state in
            !state.runs.isEmpty || state.isSyncWanted || (policy != .never && !state.dirty.isEmpty)
        }
        if hasWork { step() }
    }

    /// Writes what was handed over and syncs what isn't.
    func step() {
        let (runs, isFailed) = state.withLock { state in
            defer {
                state.runs = []
                state.isSyncWanted = false
            }
            return (state.runs, state.failure != nil)
        }
        guard !isFailed else { return }
        do throws(FileError) {
            for run in runs { try run.segment.file.writeAll(run.buffer.bytes, at: run.offset) }
            let (files, group) = state.withLock { state in
                for run in runs { state.took(run) }
                defer { state.dirty = [] }
                return (state.dirty, state.written)
            }
            guard !files.isEmpty else { return }
            for segment in files { try sync(segment) }
            synced.store(group, ordering: .releasing)
        } catch {
            state.withLock { $0.failure = "\(error)" }
            failed.store(true, ordering: .releasing)
        }
        for run in runs {
            queued.subtract(run.buffer.count, ordering: .relaxed)
            giveBack(run.buffer)
        }
        host.wake()
    }

    private func sync(_ segment: SegmentFile) throws(FileError) {
        let start = monotonicNanoseconds()
        try segment.file.sync()
        let end = monotonicNanoseconds()
        guard end - start > Self.slowNanoseconds else { return }
        slow.add(1, ordering: .relaxed)
        let isTold = state.withLock { state in
            guard end >= state.nextSlowReport else { return false }
            state.nextSlowReport = end + 10_000_000_000
            return true
        }
        if isTold {
            host.report(
                .warning,
                "a sync of \(segment.file.path) took \((end - start) / 1_000_000) ms; the disk is slow or busy")
        }
    }
}

extension LogWriter.State {
    /// Notes that a run was written.
    fileprivate mutating func took(_ run: LogWriter.Run) {
        written = max(written, run.group)
        if dirty.last?.number != run.segment.number { dirty.append(run.segment) }
    }
}
