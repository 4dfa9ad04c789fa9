// SPDX-License-Identifier: MIT

internal import Synchronization
internal import TrellisCore
internal import TrellisFiles

/// Keeps segments ready before they are needed, and removes those that aren't needed any more.
///
/// A segment that is kept ready is a file of its final name and size whose bytes are all zero: its space is taken, so
/// that writing into it can't fail for want of any. Its number is the next one after all before it.
final class SegmentStock: Sendable {
    private struct State {
        /// Ready segments, in the order of their numbers.
        var spares: [SegmentFile] = []
        /// The number that the next new segment gets.
        var nextNumber: UInt64
        /// How many bytes of room there should be.
        var wantedBytes: UInt64 = 0
        /// Paths of files that aren't needed any more.
        var removals: [String] = []
        var isRemoving = false
        var isStopping = false
        /// When it was found that there is no more room, on the monotonic clock; 0 where there is.
        var refusedAt: Int64 = 0
        /// When it may be told again that there is no room.
        var nextReport: Int64 = 0
        var failure: String?
    }

    private let settings: LogSettings
    private let host: StorageHost
    private let state: Monitor<State>
    /// The room in ready segments, in bytes.
    private let available = Atomic<UInt64>(0)
    private let failed = Atomic<Bool>(false)
    /// Held while the thread makes a segment, and by the loop where it must have one and the thread may have taken the
    /// last room on the disk.
    private let making = Mutex(0)
    /// Held while a segment gets its number and name.
    private let naming = Mutex(0)
    private let worker = Mutex<Worker?>(nil)

    /// How long no new room is asked for after there was none.
    private static let retryNanoseconds: Int64 = 50_000_000
    private static let unusable = UInt64(LogFormat.unusableBytes)

    init(settings: LogSettings, host: StorageHost, spares: [SegmentFile], nextNumber: UInt64) {
        self.settings = settings
        self.host = host
        state = Monitor(State(spares: spares, nextNumber: nextNumber))
        available.store(spares.reduce(0) { $0 + $1.capacity - Self.unusable }, ordering: .relaxed)
    }

    func start() {
        let worker = Worker { [self] in
            while waitForWork() { step() }
        }
        self.worker.withLock { $0 = worker }
    }

    /// Removes what is to be removed and ends the thread.
    func stop() {
        state.withLock { $0.isStopping = true }
        state.notify()
        let worker = self.worker.withLock { worker in
            defer { worker = nil }
            return worker
        }
        worker?.join()
        removeRetired()
    }

    // MARK: The loop's side

    var availableBytes: UInt64 { available.load(ordering: .acquiring) }
    var failure: String? { failed.load(ordering: .acquiring) ? state.withLock { $0.failure } : nil }
    /// The size of the next segment, if it is ready.
    var nextCapacity: UInt64? { state.withLock { $0.spares.first?.capacity } }

    /// Whether there was no room for another segment when one was last tried.
    var isFull: Bool { state.withLock { $0.refusedAt != 0 } }
    /// Whether all files are gone that were to be removed.
    var hasRemovedAll: Bool { state.withLock { $0.removals.isEmpty && !$0.isRemoving } }

    /// The next segment, if it is ready.
    func take() -> SegmentFile? {
        let taken = state.withLock { state -> SegmentFile? in
            guard !state.spares.isEmpty else { return nil }
            return state.spares.removeFirst()
        }
        guard let taken else { return nil }
        available.subtract(taken.capacity - Self.unusable, ordering: .acquiringAndReleasing)
        state.notify()
        return taken
    }

    /// Says how much room there should be; it is seen to by the thread.
    func want(_ bytes: UInt64) {
        let hasWork = state.withLock { state in
            state.wantedBytes = bytes
            return hasTooMuch(state) || self.isShort(state)
        }
        if hasWork { state.notify() }
    }

    /// Sees to it at once that there is so much room; false where the disk is full.
    ///
    /// With `waits`, what the thread is making just now is waited for.
    func ensure(_ bytes: UInt64, waits: Bool = false) throws(FileError) -> Bool {
        guard !waits else { return try making.withLock { _ throws(FileError) in try ensure(bytes) } }
        while availableBytes < bytes {
            guard mayTry else { return false }
            guard try add(byLoop: true) else { return false }
        }
        return true
    }

    /// Sees to it at once that the next segment has that size at least; false where the disk is full.
    ///
    /// Where it `isUrgent`, what the thread is making just now is waited for, and a disk that was full a moment ago is
    /// tried again.
    func ensureNext(_ capacity: UInt64, isUrgent: Bool = false) throws(FileError) -> Bool {
        guard !isUrgent else {
            return try making.withLock { _ throws(FileError) in
                state.withLock { $0.refusedAt = 0 }
                return try ensureNext(capacity)
            }
        }
        if state.withLock({ $0.spares.isEmpty }) {
            guard mayTry, try add(byLoop: true) else { return false }
        }
        guard let first = state.withLock({ $0.spares.first }), first.capacity < capacity else { return true }
        guard mayTry else { return false }
        do throws(FileError) {
            try first.file.reserve(capacity)
        } catch {
            guard error.isFull else { throw error }
            refuse()
            return false
        }
        state.withLock { state in
            state.spares[0] = SegmentFile(number: first.number, file: first.file, capacity: capacity)
        }
        available.add(capacity - first.capacity, ordering: .acquiringAndReleasing)
        return true
    }

    /// Removes the files of segments that aren't needed any more, in their order.
    func remove(_ paths: [String]) {
        state.withLock { $0.removals += paths }
        state.notify()
    }

    // MARK: The thread's side

    private func isShort(_ state: State) -> Bool { availableBytes < state.wantedBytes }

    private func hasTooMuch(_ state: State) -> Bool {
        // Some more than what is wanted stays: so that a queue that swings doesn't make and remove.
        guard state.spares.count > 1, let last = state.spares.last else { return false }
        return availableBytes - (last.capacity - Self.unusable) > state.wantedBytes + settings.segmentBytes / 2
    }

    private func waitForWork() -> Bool {
        let goesOn = state.wait { state -> Bool? in
            if state.isStopping || state.failure != nil { return false }
            if !state.removals.isEmpty || hasTooMuch(state) { return true }
            return isShort(state) && state.refusedAt == 0 ? true : nil
        }
        return goesOn ?? false
    }

    /// One piece of work: removes what is to be removed, or makes or removes one ready segment.
    func step() {
        do throws(FileError) {
            if try removeOne() { return }
            if state.withLock({ isShort($0) && $0.refusedAt == 0 }) {
                _ = try making.withLock { _ throws(FileError) in try add(byLoop: false) }
            } else {
                try trim()
            }
        } catch {
            fail(error)
        }
        host.wake()
    }

    /// Does all there is to do, where there is no thread.
    func catchUp() {
        while state.withLock({ state in
            state.failure == nil
                && (!state.removals.isEmpty || hasTooMuch(state) || (isShort(state) && state.refusedAt == 0))
        }) {
            step()
        }
    }

    private func removeRetired() {
        do throws(FileError) {
            while try removeOne() {}
        } catch {
            fail(error)
        }
    }

    private func removeOne() throws(FileError) -> Bool {
        let path = state.withLock { state -> String? in
            guard !state.removals.isEmpty else { return nil }
            state.isRemoving = true
            return state.removals.removeFirst()
        }
        guard let path else { return false }
        try settings.files.remove(path)
        // One after the other: a later segment may hold the deletes of an earlier one's jobs.
        try settings.files.syncFolder(settings.directory)
        state.withLock { state in
            state.isRemoving = false
            state.refusedAt = 0
        }
        return true
    }

    private func trim() throws(FileError) {
        // Nobody else takes from the end; the lock is that of naming, since the number becomes free again.
        try naming.withLock { _ throws(FileError) in
            let last = state.withLock { state -> SegmentFile? in
                guard hasTooMuch(state) else { return nil }
                state.nextNumber -= 1
                return state.spares.removeLast()
            }
            guard let last else { return }
            available.subtract(last.capacity - Self.unusable, ordering: .acquiringAndReleasing)
            try settings.files.remove(last.file.path)
            try settings.files.syncFolder(settings.directory)
        }
    }

    // MARK: Making a segment

    private var mayTry: Bool {
        let refusedAt = state.withLock { $0.refusedAt }
        return refusedAt == 0 || monotonicNanoseconds() - refusedAt > Self.retryNanoseconds
    }

    /// Makes one more segment ready; false where the disk is full.
    ///
    /// The loop and the thread may do so at the same time. What is synced all the time gains by zeroes that are on the
    /// disk already, but the loop doesn't wait for them.
    private func add(byLoop: Bool) throws(FileError) -> Bool {
        let name = settings.directory + (byLoop ? "/loop.tmp" : "/next.tmp")
        do throws(FileError) {
            let file = try settings.files.open(name, .create)
            try file.reserve(settings.segmentBytes)
            if !byLoop && settings.sync == .always { try Self.fillWithZeroes(file, settings.segmentBytes) }
            try file.sync()
            try naming.withLock { _ throws(FileError) in
                if !byLoop, !state.withLock({ isShort($0) }) {
                    // The loop couldn't wait and made one itself.
                    try settings.files.remove(name)
                    return
                }
                let number = state.withLock { $0.nextNumber }
                let path = settings.path(ofSegment: number)
                try settings.files.rename(name, to: path)
                try settings.files.syncFolder(settings.directory)
                // Opened anew, so that a message names the file as it is called now.
                let segment = SegmentFile(
                    number: number, file: try settings.files.open(path, .update), capacity: settings.segmentBytes)
                state.withLock { state in
                    state.nextNumber += 1
                    state.spares.append(segment)
                    state.refusedAt = 0
                }
                available.add(settings.segmentBytes - Self.unusable, ordering: .acquiringAndReleasing)
            }
            return true
        } catch {
            guard error.isFull else { throw error }
            try settings.files.remove(name)
            refuse()
            return false
        }
    }

    static func fillWithZeroes(_ file: any File, _ size: UInt64, from start: UInt64 = 0) throws(FileError) {
        let zeroes = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { zeroes.deallocate() }
        zeroes.initializeMemory(as: UInt8.self, repeating: 0)
        var offset = start
        while offset < size {
            let count = Int(min(size - offset, UInt64(zeroes.count)))
            try file.writeAll(UnsafeRawBufferPointer(rebasing: zeroes[..<count]), at: offset)
            offset += UInt64(count)
            // In pieces, so that the syncs that clients wait for aren't held up by many megabytes.
            try file.sync()
        }
    }

    private func refuse() {
        let now = monotonicNanoseconds()
        let isTold = state.withLock { state in
            defer { state.refusedAt = now }
            // Room that comes and goes, as compaction makes it on a full disk, isn't told of each time.
            guard state.refusedAt == 0, now >= state.nextReport else { return false }
            state.nextReport = now + 10_000_000_000
            return true
        }
        if isTold {
            host.report(
                .warning, "no room on the disk of \(settings.directory): puts are refused until there is some again")
        }
    }

    private func fail(_ error: FileError) {
        state.withLock { $0.failure = "\(error)" }
        failed.store(true, ordering: .releasing)
    }
}

extension LogSettings {
    func path(ofSegment number: UInt64) -> String { directory + "/" + LogFormat.segmentName(number) }
}
