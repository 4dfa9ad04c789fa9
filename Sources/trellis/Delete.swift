// SPDX-License-Identifier: MIT

import ArgumentParser

/// `trellis delete`.
struct Delete: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Deletes jobs that are ready, delayed or buried.",
        discussion: "All of them are tried; the exit status is 1 if one couldn't be deleted.")

    @OptionGroup var options: ServerOptions
    @ParentCommand var parent: Trellis

    @Argument(help: "The ids.")
    var ids: [UInt64]

    func run() throws {
        try report {
            let connection = try options.connect(or: parent.options)
            var failed = false
            for id in ids {
                let reply = try connection.call("delete \(id)")
                if reply == "DELETED" { continue }
                failed = true
                complain("\(id): \(connection.refusal(reply, of: "delete").message)")
            }
            if failed { throw ExitCode(1) }
        }
    }
}
