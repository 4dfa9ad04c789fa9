// SPDX-License-Identifier: MIT

internal import Glibc

/// A value that threads share, and that they can wait for a change of.
final class Monitor<Value>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let changed: UnsafeMutablePointer<pthread_cond_t>
    private var value: Value

    init(_ value: sending Value) {
        self.value = value
        mutex = .allocate(capacity: 1)
        changed = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        // Waits with a limit run on the clock that nobody sets.
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(changed, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    func withLock<Result, Failure>(_ body: (inout Value) throws(Failure) -> Result) throws(Failure) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&value)
    }

    /// Wakes those that wait to look again.
    func notify() { pthread_cond_broadcast(changed) }

    /// Waits until the closure answers something, which it is asked at the start and after each `notify`.
    ///
    /// With a limit, in nanoseconds, nil when it has passed.
    func wait<Result>(atMost nanoseconds: Int64? = nil, _ look: (inout Value) -> Result?) -> Result? {
        var end = timespec()
        if let nanoseconds {
            clock_gettime(CLOCK_MONOTONIC, &end)
            let sum = Int64(end.tv_nsec) + nanoseconds
            end.tv_sec += Int(sum / 1_000_000_000)
            end.tv_nsec = Int(sum % 1_000_000_000)
        }
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let result = look(&value) { return result }
            if nanoseconds == nil {
                pthread_cond_wait(changed, mutex)
            } else if pthread_cond_timedwait(changed, mutex, &end) == ETIMEDOUT {
                return look(&value)
            }
        }
    }
}

/// A thread that runs one function to its end.
final class Worker: Sendable {
    private let thread: pthread_t

    /// Starts it; signals are left to other threads.
    init(_ run: @escaping @Sendable () -> Void) {
        final class Start {
            let run: @Sendable () -> Void
            init(_ run: @escaping @Sendable () -> Void) { self.run = run }
        }
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, &before)
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(Start(run)).toOpaque())
        pthread_sigmask(SIG_SETMASK, &before, nil)
        precondition(result == 0, "the system has no room for a thread")
        self.thread = thread
    }

    /// Waits until the function has returned.
    func join() { pthread_join(thread, nil) }
}

/// Nanoseconds of a clock that never goes back.
func monotonicNanoseconds() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
}

/// Nanoseconds since 1970.
func wallNanoseconds() -> Int64 {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
}
