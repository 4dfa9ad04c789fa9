// SPDX-License-Identifier: MIT

import ArgumentParser

/// `trellis stats`.
struct Stats: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints the counters of the server, of a tube or of a job.",
        discussion: "One `key: value` a line, which is YAML.")

    @OptionGroup var options: ServerOptions
    @ParentCommand var parent: Trellis

    @Option(help: "The tube.")
    var tube: TubeName?

    @Option(help: "The id of the job.")
    var job: UInt64?

    func validate() throws {
        if tube != nil, job != nil { throw ValidationError("--tube and --job exclude each other") }
    }

    func run() throws {
        try report {
            let connection = try options.connect(or: parent.options)
            let command =
                if let tube { "stats-tube \(tube.text)" } else if let job { "stats-job \(job)" } else { "stats" }
            let words = try connection.call(command, expecting: "OK")
            let text = try connection.readBody(words.first.flatMap { Int($0) } ?? 0)
            let head = Array("---\n".utf8)
            try write(text.starts(with: head) ? Array(text.dropFirst(head.count)) : text)
        }
    }
}
