// SPDX-License-Identifier: MIT

import Glibc

/// A program that a kit started; ended by its pid.
final class ChildProgram {
    private let pid: pid_t
    private var status: Int32?

    /// Starts a program, with its output in a file; nil where it can't be started.
    init?(_ command: [String], output: String) {
        guard let program = command.first else { return nil }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
        var vector: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
        vector.append(nil)
        defer { for pointer in vector { free(pointer) } }
        var child = pid_t()
        guard posix_spawn(&child, program, &actions, nil, vector, environ) == 0 else { return nil }
        pid = child
    }

    /// How it ended, in words; nil while it runs.
    func end() -> String? {
        var word: Int32 = 0
        if status == nil, waitpid(pid, &word, WNOHANG) == pid { status = word }
        return status.map(Self.words)
    }

    /// Ends it by SIGKILL and waits; false where it had ended by itself before.
    func kill() -> Bool {
        guard status == nil else { return false }
        Glibc.kill(pid, SIGKILL)
        var word: Int32 = 0
        while waitpid(pid, &word, 0) < 0 && errno == EINTR {}
        status = word
        return word & 0x7F == SIGKILL
    }

    private static func words(_ status: Int32) -> String {
        let signal = status & 0x7F
        return signal == 0
            ? "exit status \((status >> 8) & 0xFF)" : "signal \(signal) (\(String(cString: strsignal(signal))))"
    }
}
