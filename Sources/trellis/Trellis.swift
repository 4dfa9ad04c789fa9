// SPDX-License-Identifier: MIT

import ArgumentParser
import Glibc

/// `trellis`: puts, reserves, deletes and looks, from a shell.
@main
struct Trellis: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trellis",
        abstract: "Talks to a Trellis server, or to any server of the beanstalk protocol.",
        discussion: """
            The server is 127.0.0.1:11300 unless --server or the environment variable TRELLIS_SERVER says otherwise.

            Exit status: 0 done; 1 refused by the server; 64 bad usage; 69 no server; 75 no job in time. \
            `reserve --exec` ends with the status of a command that fails.
            """,
        version: "0.1.0",
        subcommands: [Put.self, Reserve.self, Delete.self, Stats.self, Explain.self])

    @OptionGroup var options: ServerOptions
}

/// Which server is meant; may stand before or after the subcommand.
struct ServerOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("The server: HOST:PORT, HOST, [IPv6]:PORT or unix:PATH.", valueName: "address"))
    var server: String?

    /// Connects to the server that the options, those of the program or the environment name.
    func connect(or outer: ServerOptions) throws -> ServerConnection {
        let environment = getenv("TRELLIS_SERVER").map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        let text = server ?? outer.server ?? environment ?? "127.0.0.1:11300"
        guard let address = ServerAddress(text) else {
            throw ValidationError("\(text) is no address; write HOST:PORT, [IPv6]:PORT or unix:PATH")
        }
        return try ServerConnection(to: address)
    }
}

/// A tube name that can stand on a command line; the server judges the rest of it.
struct TubeName: ExpressibleByArgument {
    var text: String

    init?(argument: String) {
        guard !argument.isEmpty, argument.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
        text = argument
    }
}

/// Runs a subcommand's work; what goes wrong is told on standard error.
func report(_ work: () throws -> Void) throws {
    do {
        try work()
    } catch let failure as Failure {
        complain(failure.message)
        throw ExitCode(failure.status)
    }
}

/// Writes a message to standard error; where that is closed, nobody wants it.
func complain(_ message: String) {
    try? write(Array("trellis: \(message)\n".utf8), to: STDERR_FILENO)
}

/// Writes bytes as they are; throws where they don't get there.
func write(_ bytes: [UInt8], to descriptor: Int32 = STDOUT_FILENO) throws(Failure) {
    var written = 0
    while written < bytes.count {
        let count = bytes.withUnsafeBytes { all in
            let rest = UnsafeRawBufferPointer(rebasing: all[written...])
            return Glibc.write(descriptor, rest.baseAddress, rest.count)
        }
        if count >= 0 {
            written += count
        } else if errno != EINTR {
            throw Failure(message: "can't write the output: \(String(cString: strerror(errno)))")
        }
    }
}
