// SPDX-License-Identifier: MIT

import Glibc

/// A shell command that works on a reserved job, which stays reserved while it runs.
struct JobCommand {
    /// What the shell runs.
    var line: String
    /// The job.
    var id: UInt64
    /// What the command reads.
    var body: [UInt8]
    /// The connection that holds the job.
    var connection: ServerConnection

    /// Runs the command to its end, and answers its exit status, or 128 + the signal that ended it.
    func run() throws(Failure) -> Int32 {
        let seconds = try Self.statistic("ttr", of: id, connection) ?? 1
        let child = try start()
        // Halfway, so that a renewal that is a little late is still in time.
        let interval = max(0.25, Double(seconds) / 2)
        var renewal = now() + interval
        var pause: UInt32 = 1000
        while true {
            var status: Int32 = 0
            if waitpid(child, &status, WNOHANG) == child {
                let signal = status & 0x7F
                return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
            }
            usleep(pause)
            pause = min(pause * 2, 50_000)
            if now() >= renewal {
                renewal = now() + interval
                // Where the job is lost already, the command's work can't be stopped; its end will tell.
                _ = try connection.call("touch \(id)")
            }
        }
    }

    /// A number among the job's counters.
    static func statistic(_ key: String, of id: UInt64, _ connection: ServerConnection) throws(Failure) -> UInt32? {
        let words = try connection.call("stats-job \(id)", expecting: "OK")
        let text = String(decoding: try connection.readBody(words.first.flatMap { Int($0) } ?? 0), as: UTF8.self)
        let entry = text.split(separator: "\n").first { $0.hasPrefix("\(key): ") }
        return entry.flatMap { UInt32($0.dropFirst(key.utf8.count + 2)) }
    }

    private func start() throws(Failure) -> pid_t {
        // A file and not a pipe: the command may read late, or not at all.
        guard let file = tmpfile() else { throw failure("make a temporary file", errno) }
        defer { fclose(file) }
        guard fwrite(body, 1, body.count, file) == body.count, fflush(file) == 0 else {
            throw failure("write a temporary file", errno)
        }
        rewind(file)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, fileno(file), STDIN_FILENO)
        setenv("TRELLIS_JOB_ID", String(id), 1)
        var arguments: [UnsafeMutablePointer<CChar>?] = ["sh", "-c", line].map { (word: String) in strdup(word) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var child = pid_t()
        let status = posix_spawn(&child, "/bin/sh", &actions, nil, arguments, environ)
        guard status == 0 else { throw failure("start /bin/sh", status) }
        return child
    }

    private func failure(_ what: String, _ number: Int32) -> Failure {
        Failure(message: "can't \(what): \(String(cString: strerror(number)))")
    }

    private func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
