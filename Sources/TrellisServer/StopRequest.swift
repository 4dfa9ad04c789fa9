// SPDX-License-Identifier: MIT

internal import Glibc
internal import Logging
internal import Synchronization

/// Whether somebody asks to stop while the server is still starting: the loop, which answers signals, doesn't run yet.
///
/// Any thread may ask.
final class StopRequest: Sendable {
    private let signals: SignalDescriptor?
    private let mailbox: Mailbox
    private let logger: Logger
    private let hasCome = Atomic<Bool>(false)

    init(_ signals: SignalDescriptor?, _ mailbox: Mailbox, _ logger: Logger) {
        self.signals = signals
        self.mailbox = mailbox
        self.logger = logger
    }

    /// Looks at the signals that have come and at the notes of other threads.
    var isMade: Bool {
        while let signal = signals?.next() {
            switch signal {
            case SIGUSR1: mailbox.leave { $0.shouldDrain = true }
            case SIGHUP: mailbox.leave { $0.shouldReload = true }
            default:
                logger.info("got \(signal == SIGINT ? "SIGINT" : "SIGTERM")")
                hasCome.store(true, ordering: .relaxed)
            }
        }
        return hasCome.load(ordering: .relaxed) || mailbox.isStopAsked
    }
}
