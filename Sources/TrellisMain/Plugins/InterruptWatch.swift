// SPDX-License-Identifier: MIT

import Foundation
import Synchronization

/// Has SIGINT, SIGTERM and the end of whoever reads the output (SIGPIPE) end the processes that a test started, and remove
/// its folder, before they end this process.
enum InterruptWatch {
    private static let rounds = 50
    private static let hasCome = Atomic<Bool>(false)

    private static var signals: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGINT)
        sigaddset(&set, SIGTERM)
        return set
    }

    /// Waits for a signal in a thread of its own; to be called before there are other threads.
    static func start(removing folder: String) {
        var set = signals
        pthread_sigmask(SIG_BLOCK, &set, nil)
        // It comes to the thread that wrote, where the watch can't wait for it.
        signal(SIGPIPE) { _ in kill(getpid(), SIGTERM) }
        Thread.detachNewThread {
            var set = signals
            var signal: Int32 = 0
            while sigwait(&set, &signal) != 0 {}
            hasCome.store(true, ordering: .sequentiallyConsistent)
            // The test may start one more process before this one ends.
            for _ in 0..<rounds {
                for child in children() { kill(child, SIGKILL) }
                try? FileManager.default.removeItem(atPath: folder)
                if !FileManager.default.fileExists(atPath: folder) { break }
                usleep(10_000)
            }
            _exit(128 + signal)
        }
    }

    /// Returns at once, unless a signal has come: then this process is about to end, and what the test finds of the
    /// processes that were killed means nothing.
    static func letItEnd() {
        while hasCome.load(ordering: .sequentiallyConsistent) { usleep(100_000) }
    }

    /// Lets the signals end this process, which was started by one that waits for them.
    static func stop() {
        var set = signals
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
    }

    /// The processes that this one started, by any of its threads.
    private static func children() -> [pid_t] {
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
        return threads.flatMap { thread in
            let text = try? String(contentsOfFile: "/proc/self/task/\(thread)/children", encoding: .utf8)
            return (text ?? "").split(whereSeparator: \.isWhitespace).compactMap { pid_t($0) }
        }
    }
}
