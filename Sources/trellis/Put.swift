// SPDX-License-Identifier: MIT

import ArgumentParser
import Glibc

/// `trellis put`.
struct Put: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Puts a job into a tube and prints its id.",
        discussion: "Without BODY, or with -, the job is what comes on standard input, to the byte.")

    @OptionGroup var options: ServerOptions
    @ParentCommand var parent: Trellis

    @Option(help: "The tube.")
    var tube: TubeName?

    @Option(help: "0 is the most urgent, 4294967295 the least.")
    var pri: UInt32 = 1024

    @Option(help: "Seconds until the job is ready.")
    var delay: UInt32 = 0

    @Option(help: "Seconds that a worker has for it (time to run).")
    var ttr: UInt32 = 60

    @Argument(help: "What the job holds.")
    var body: String?

    func run() throws {
        try report {
            let bytes = if let body, body != "-" { Array(body.utf8) } else { try readStandardInput() }
            let connection = try options.connect(or: parent.options)
            if let tube { try connection.call("use \(tube.text)", expecting: "USING") }
            let words = try connection.call(
                "put \(pri) \(delay) \(ttr) \(bytes.count)", body: bytes, expecting: "INSERTED")
            try write(Array("\(words.first ?? "")\n".utf8))
        }
    }

    private func readStandardInput() throws(Failure) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(STDIN_FILENO, &chunk, chunk.count)
            if count > 0 {
                bytes += chunk[..<count]
            } else if count == 0 {
                return bytes
            } else if errno != EINTR {
                throw Failure(message: "can't read standard input: \(String(cString: strerror(errno)))")
            }
        }
    }
}
