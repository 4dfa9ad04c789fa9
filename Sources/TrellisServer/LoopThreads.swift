// SPDX-License-Identifier: MIT

internal import Glibc
internal import TrellisCore

/// The loops beside the first one, each on a thread of its own.
struct LoopThreads: ~Copyable {
    private let gate: EngineGate
    private var loops: [UnsafeMutablePointer<EventLoop>] = []
    private var threads: [pthread_t] = []

    init(behind gate: EngineGate) { self.gate = gate }

    /// Takes in a loop that hasn't begun.
    mutating func add(_ loop: consuming EventLoop) {
        let memory = UnsafeMutablePointer<EventLoop>.allocate(capacity: 1)
        memory.initialize(to: loop)
        loops.append(memory)
    }

    /// Lets all of them run.
    ///
    /// Where the system has no room for a thread the others end again, and it throws.
    mutating func start() throws(ServerError) {
        for loop in loops {
            var thread = pthread_t()
            let result = pthread_create(
                &thread, nil,
                { argument in
                    argument?.assumingMemoryBound(to: EventLoop.self).pointee.runBeside()
                    return nil
                }, loop)
            guard result == 0 else { throw .system("can't start a thread", result) }
            threads.append(thread)
        }
    }

    /// Has them close what they have, if they serve still, and waits for their end.
    mutating func join() {
        guard !threads.isEmpty else { return }
        gate.enter(as: 0) { $0.beginClosing() }
        for thread in threads { pthread_join(thread, nil) }
        threads.removeAll()
    }

    deinit {
        precondition(threads.isEmpty, "loops are to end before they go")
        for loop in loops {
            loop.deinitialize(count: 1)
            loop.deallocate()
        }
    }
}
