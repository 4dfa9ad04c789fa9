// SPDX-License-Identifier: MIT

internal import CLinux
internal import Glibc

/// The signals that the server answers, as a descriptor for the loop.
///
/// They are blocked in the thread that makes it, and so in all threads made later.
final class SignalDescriptor: Sendable {
    let descriptor: Int32

    init() throws(ServerError) {
        signal(SIGPIPE, SIG_IGN)
        // A write beyond the limit of file sizes is to fail as others do, with an answer to clients and a line in the log.
        signal(SIGXFSZ, SIG_IGN)
        var set = sigset_t()
        sigemptyset(&set)
        for number in [SIGTERM, SIGINT, SIGUSR1, SIGHUP] { sigaddset(&set, number) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        descriptor = clinux_signal_descriptor(&set)
        guard descriptor >= 0 else { throw .system("can't make a signal descriptor", -descriptor) }
    }

    deinit { close(descriptor) }

    /// The next signal that came; nil where none did.
    func next() -> Int32? {
        let number = clinux_next_signal(descriptor)
        return number > 0 ? number : nil
    }
}
