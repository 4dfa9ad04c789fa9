// SPDX-License-Identifier: MIT

internal import Glibc
internal import TrellisCore

/// The way into an engine that several loops share: one of them at a time is inside.
///
/// The lock is a plain POSIX mutex: whoever comes by when it is free gets it. Swift's `Mutex` hands itself over to the
/// one that waits longest, who must be woken first: with loops that enter a hundred thousand times a second each entry
/// would wait for a switch of threads.
///
/// Unchecked, as the compiler can't see that such a lock guards what it guards: `inner` is touched inside of `enter` only.
final class EngineGate: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let inner: UnsafeMutablePointer<SharedEngine>
    private let mailboxes: [Mailbox]

    /// For so many loops as there are mailboxes.
    init(engine: UnsafeMutablePointer<Engine>, storage: any Storage, mailboxes: [Mailbox]) {
        self.mailboxes = mailboxes
        mutex = .allocate(capacity: 1)
        var attributes = pthread_mutexattr_t()
        pthread_mutexattr_init(&attributes)
        // An entry takes less time than going to sleep and being woken: whoever comes to a closed gate looks again first.
        pthread_mutexattr_settype(&attributes, Int32(PTHREAD_MUTEX_ADAPTIVE_NP))
        pthread_mutex_init(mutex, &attributes)
        pthread_mutexattr_destroy(&attributes)
        inner = .allocate(capacity: 1)
        inner.initialize(to: SharedEngine(engine: engine, storage: storage, loops: mailboxes.count))
    }

    deinit {
        inner.deinitialize(count: 1)
        inner.deallocate()
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Calls with the engine for the loop of that number, and then wakes the loops that something was left for.
    @inline(__always)
    func enter<Result>(as number: Int, _ body: (inout SharedEngine) -> Result) -> Result {
        pthread_mutex_lock(mutex)
        let result = body(&inner.pointee)
        var nudged = inner.pointee.takeNudged(by: number)
        pthread_mutex_unlock(mutex)
        // Outside, since it calls the system.
        while nudged != 0 {
            mailboxes[nudged.trailingZeroBitCount].nudge()
            nudged &= nudged - 1
        }
        return result
    }
}
