// SPDX-License-Identifier: MIT

import Glibc

/// Shows on standard error how far work has come: on a terminal in one line, after the first second; elsewhere only if
/// it is asked for, in a line each five seconds, at the beginning and at the end.
final class Progress {
    private let label: String
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let isShown: Bool
    private let pause: Double
    private var next: Double
    private var wasShown = false

    init(_ label: String, isWanted: Bool) {
        self.label = label
        isShown = isWanted || isTerminal
        pause = isTerminal ? 0.5 : 5
        next = isWanted ? 0 : monotonicSeconds() + 1
    }

    func report(_ text: @autoclosure () -> String) {
        guard isShown else { return }
        let now = monotonicSeconds()
        guard now >= next else { return }
        next = now + pause
        show(text())
    }

    func report(bytes done: UInt64, of all: UInt64) {
        report("\(all == 0 ? 100 : done * 100 / all) % of \(all) bytes")
    }

    /// Says that it is done, if anything was shown.
    func finish() {
        guard wasShown else { return }
        show("done")
        if isTerminal { writeAll("\n", to: STDERR_FILENO) }
        wasShown = false
    }

    private func show(_ text: String) {
        wasShown = true
        // The spaces cover what is left of a longer line.
        writeAll(isTerminal ? "\r\(label): \(text)        " : "\(label): \(text)\n", to: STDERR_FILENO)
    }
}

private func monotonicSeconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}
