// SPDX-License-Identifier: MIT

import Foundation
import Synchronization

/// Ends this process where a call of the plugin under test doesn't return, or where the process that started it is gone.
final class CallWatch: Sendable {
    private struct State {
        var call: String?
        /// Goes up with each call, each return and each sign of life between.
        var steps: UInt64 = 0
    }

    private let seconds: Int
    private let state = Mutex(State())
    private static let interval: TimeInterval = 0.1

    /// - Parameter seconds: How long a call may take without a sign of life.
    init(seconds: Int) { self.seconds = seconds }

    /// Says that a call begins; and with nil, that it has returned.
    func enter(_ call: String?) {
        state.withLock {
            $0.call = call
            $0.steps &+= 1
        }
    }

    /// Says that the call goes on.
    func step() { state.withLock { $0.steps &+= 1 } }

    /// Watches from now on, in a thread of its own; `tell` is called before the process ends.
    func start(tell: @escaping @Sendable (String) -> Void) {
        let parent = getppid()
        Thread.detachNewThread {
            var seen = self.state.withLock { $0.steps }
            var since = ContinuousClock.now
            while getppid() == parent {
                Thread.sleep(forTimeInterval: Self.interval)
                let (call, steps) = self.state.withLock { ($0.call, $0.steps) }
                if steps != seen || call == nil {
                    (seen, since) = (steps, ContinuousClock.now)
                } else if let call, since.duration(to: .now) >= .seconds(self.seconds) {
                    tell("`\(call)` hasn't returned for \(self.seconds) s: the test ended the process")
                    break
                }
            }
            // Whatever the plugin has begun to do at exit may hang, too.
            _exit(1)
        }
    }
}
