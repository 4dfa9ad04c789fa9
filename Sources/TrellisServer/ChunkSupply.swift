// SPDX-License-Identifier: MIT

internal import Glibc
internal import Synchronization
internal import TrellisCore

/// Makes the memory for bodies ready while a store is being read.
///
/// Much of what a restart takes is the system's work of clearing pages, which a thread of its own does meanwhile.
///
/// Unchecked, as the compiler can't see that the semaphores are made for threads.
final class ChunkSupply: @unchecked Sendable {
    /// How many chunks are kept ready, where so many have been taken: 16 MiB, enough for a segment's jobs.
    private static let most = 64
    /// The first few are left to the store itself, which takes them page by page: a small one needs no more.
    private static let fewest = 4
    /// So many are made at a time, so that the thread isn't woken for each.
    private static let batch = 8

    private struct State {
        var ready: [UInt] = []
        /// How many were asked for, up to what matters.
        var asked = 0
        /// Chunks that the thread was told to make and hasn't.
        var owed = 0
        var isStopping = false

        /// Whether a batch is to be made now; then it is owed.
        mutating func order() -> Bool {
            let wanted = min(most, 2 * max(0, asked - fewest))
            guard ready.count + owed + batch <= wanted else { return false }
            owed += batch
            return true
        }
    }

    private let state = Mutex(State())
    /// Counts the batches that are to be made.
    private let room: UnsafeMutablePointer<sem_t>
    private let ended: UnsafeMutablePointer<sem_t>
    private var isRunning = false

    init() {
        room = .allocate(capacity: 1)
        ended = .allocate(capacity: 1)
        sem_init(room, 0, 0)
        sem_init(ended, 0, 0)
    }

    deinit {
        precondition(!isRunning, "a supply is to be stopped before it goes")
        for semaphore in [room, ended] {
            sem_destroy(semaphore)
            semaphore.deallocate()
        }
    }

    /// Begins; where the system has no room for a thread nothing will be ready.
    func start() {
        isRunning = startThread { [self] in
            var memory = BulkMemory()
            while true {
                Self.wait(room)
                if state.withLock({ $0.isStopping }) { break }
                let made = (0..<Self.batch).compactMap { _ in BodyAllocator.makeChunk(of: &memory) }
                state.withLock { state in
                    state.ready += made.map { UInt(bitPattern: $0) }
                    state.owed -= Self.batch
                }
            }
            sem_post(ended)
        }
    }

    /// A chunk, if one is ready.
    ///
    /// With each that is asked for two more are kept ready.
    func take() -> UnsafeMutableRawPointer? {
        let (chunk, isOrdered) = state.withLock { state in
            if state.asked < Self.most { state.asked += 1 }
            return (state.ready.popLast(), state.order())
        }
        if isOrdered { sem_post(room) }
        return chunk.flatMap(UnsafeMutableRawPointer.init(bitPattern:))
    }

    /// Ends the thread and gives back what wasn't taken.
    func stop() {
        guard isRunning else { return }
        isRunning = false
        state.withLock { $0.isStopping = true }
        sem_post(room)
        Self.wait(ended)
        while let chunk = take() { BodyAllocator.returnChunk(chunk) }
    }

    private static func wait(_ semaphore: UnsafeMutablePointer<sem_t>) {
        while sem_wait(semaphore) != 0 {}
    }
}
