// SPDX-License-Identifier: MIT

import Glibc
public import Testing

/// Runs each piece of a task on a thread of its own.
///
/// Tests here block in `poll` for seconds. On the shared pool, which has a thread per core, two of them would hold up
/// all others.
public final class Threads: TaskExecutor {
    /// The one that tests use.
    public static let shared = Threads()

    /// Starts a thread for it.
    public func enqueue(_ job: consuming ExecutorJob) {
        let work = Unmanaged.passRetained(Work(UnownedJob(job), self))
        var thread = pthread_t()
        let status = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let work = Unmanaged<Work>.fromOpaque(argument).takeRetainedValue()
                work.job.runSynchronously(on: work.executor.asUnownedTaskExecutor())
                return nil
            }, work.toOpaque())
        guard status == 0 else { preconditionFailure("pthread_create failed with \(status)") }
        pthread_detach(thread)
    }

    private final class Work {
        let job: UnownedJob
        let executor: Threads

        init(_ job: UnownedJob, _ executor: Threads) {
            self.job = job
            self.executor = executor
        }
    }
}

/// Runs the tests of a suite, which block, on threads of their own.
public struct ThreadsTrait: SuiteTrait, TestTrait, TestScoping {
    /// Calls the test.
    public func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await withTaskExecutorPreference(Threads.shared) { try await function() }
    }
}

extension Trait where Self == ThreadsTrait {
    /// Threads of its own for each test.
    public static var onThreads: Self { ThreadsTrait() }
}
