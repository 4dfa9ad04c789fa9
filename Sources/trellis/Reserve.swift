// SPDX-License-Identifier: MIT

import ArgumentParser
import Glibc

/// `trellis reserve`.
struct Reserve: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Takes a job and works on it.",
        discussion: """
            A reserved job goes back to its tube when the client that holds it leaves, so say what becomes of it:

              --delete    prints the job on standard output, its id on standard error, and deletes it. If it can't be \
            printed, it goes back.
              --exec CMD  runs CMD in a shell with the job on its standard input and its id in TRELLIS_JOB_ID. The job \
            is deleted if CMD exits with 0. Else it is released, or buried with --on-failure bury, and the exit status \
            is that of CMD. While CMD runs, its time is renewed.

            A worker is a loop: while :; do trellis reserve --exec ./work.sh || sleep 1; done
            """)

    enum FailureAction: String, ExpressibleByArgument, CaseIterable {
        case release
        case bury

        /// What has become of the job then.
        var done: String { self == .release ? "released" : "buried" }
    }

    @OptionGroup var options: ServerOptions
    @ParentCommand var parent: Trellis

    @Option(help: "A tube to take from; may be given several times. (default: default)")
    var tube: [TubeName] = []

    @Option(help: "Seconds to wait for a job; without it as long as it takes.")
    var timeout: UInt32?

    @Flag(help: "Print the job and delete it.")
    var delete = false

    @Option(help: ArgumentHelp("Run a command with the job on its standard input.", valueName: "cmd"))
    var exec: String?

    @Option(help: "What becomes of the job if the command fails.")
    var onFailure = FailureAction.release

    @Option(help: "Seconds until a released job is ready again.")
    var retryDelay: UInt32 = 0

    func validate() throws {
        if delete == (exec != nil) {
            throw ValidationError(
                "say what becomes of the job: --delete prints and deletes it, --exec CMD runs a command with it. "
                    + "A job that is only reserved would go back when this program ends.")
        }
        if let timeout, timeout > 2_147_483_647 { throw ValidationError("--timeout is at most 2147483647 seconds") }
    }

    func run() throws {
        try report {
            let connection = try options.connect(or: parent.options)
            try watch(connection)
            let (id, body) = try take(connection)
            if let exec {
                let status = try JobCommand(line: exec, id: id, body: body, connection: connection).run()
                try finish(id, status, connection)
            } else {
                try write(Array("\(id)\n".utf8), to: STDERR_FILENO)
                try write(body)
                try connection.call("delete \(id)", expecting: "DELETED")
            }
        }
    }

    private func watch(_ connection: ServerConnection) throws(Failure) {
        for name in tube { try connection.call("watch \(name.text)", expecting: "WATCHING") }
        if !tube.isEmpty, !tube.contains(where: { $0.text == "default" }) {
            try connection.call("ignore default", expecting: "WATCHING")
        }
    }

    private func take(_ connection: ServerConnection) throws(Failure) -> (id: UInt64, body: [UInt8]) {
        let command = timeout.map { "reserve-with-timeout \($0)" } ?? "reserve"
        let reply = try connection.call(command)
        if reply == "TIMED_OUT" { throw Failure(message: "no job in time", status: Failure.noJob) }
        let words = reply.split(separator: " ")
        guard words.count == 3, words[0] == "RESERVED", let id = UInt64(words[1]), let size = Int(words[2]) else {
            throw connection.refusal(reply, of: command)
        }
        return (id, try connection.readBody(size))
    }

    private func finish(_ id: UInt64, _ status: Int32, _ connection: ServerConnection) throws {
        if status == 0 {
            try connection.call("delete \(id)", expecting: "DELETED")
            return
        }
        let priority = try JobCommand.statistic("pri", of: id, connection) ?? 1024
        switch onFailure {
        case .release: try connection.call("release \(id) \(priority) \(retryDelay)", expecting: "RELEASED")
        case .bury: try connection.call("bury \(id) \(priority)", expecting: "BURIED")
        }
        complain("job \(id): the command failed with status \(status); the job was \(onFailure.done)")
        throw ExitCode(status)
    }
}
