// SPDX-License-Identifier: MIT

import ArgumentParser
import Glibc
import TrellisConfiguration
import TrellisCore
import TrellisServer

/// The version of this server.
let trellisVersion = "0.1.0"

/// Exit statuses of sysexits.h that are used here.
enum ExitStatus {
    /// Bad usage: EX_USAGE.
    static let usage: Int32 = 64
    /// A bad configuration: EX_CONFIG.
    static let configuration: Int32 = 78
}

/// `trellisd`: serves.
@main
struct Trellisd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trellisd",
        abstract: "A work-queue server that speaks the beanstalk protocol.",
        usage: """
            trellisd [--config FILE] [-l ADDR] [-p PORT] [-z BYTES] [-u USER] [-V]... [-v]
            trellisd check | config | plugins
            """,
        discussion: """
            With neither a file nor flags: jobs are kept in memory, and clients connect to 127.0.0.1:11300. With -p, \
            -z, -u or -V, and neither --config nor -l: all addresses, as beanstalkd does.
            Flags go before the environment (TRELLIS_LIMITS__JOB_SIZE), that before the file. \
            Exit status: 0 after a clean stop, 64 for bad usage, 78 for a bad configuration.
            """,
        subcommands: [Check.self, ConfigCommand.self, Plugins.self])

    @Flag(name: .customShort("v"), help: "Print the version and exit.")
    var printsVersion = false

    @OptionGroup var flags: Flags

    static func main() {
        let arguments = separateShortFlags(Array(CommandLine.arguments.dropFirst()))
        do {
            var command = try parseAsRoot(arguments)
            // The parser takes a command behind flags, too, and would drop the flags before it.
            let names = ["check", "config", "plugins"]
            let isOther = command is Check || command is ConfigCommand || command is Plugins || command is Plugins.Show
            if isOther, let first = arguments.first, !names.contains(first) {
                throw ValidationError("The command must come first: trellisd COMMAND [FLAGS].")
            }
            try command.run()
        } catch {
            exit(withError: error)
        }
    }

    func run() throws {
        if printsVersion {
            writeAll("trellisd \(trellisVersion)\n", to: STDOUT_FILENO)
            return
        }
        let configuration = try flags.load()
        do {
            try serve(configuration, version: trellisVersion)
        } catch {
            complain("\(error)")
            throw ExitCode(error.exitStatus)
        }
    }
}

/// `trellisd check`: validates everything short of opening it.
struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check a configuration without opening anything.",
        discussion: "Lists all errors and exits with 78, or prints one line and exits with 0.")

    @OptionGroup var flags: Flags

    func run() throws {
        _ = try flags.load()
        writeAll("\(flags.config ?? "configuration"): OK\n", to: STDOUT_FILENO)
    }
}

/// `trellisd config`: prints configurations.
struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Print the defaults, or what holds and where it comes from.")

    @Flag(help: "Print a file of all options with their defaults and documentation.")
    var defaults = false

    @Flag(help: "Print the values that hold, each with its origin.")
    var effective = false

    @OptionGroup var flags: Flags

    func validate() throws {
        if defaults == effective { throw ValidationError("Say either --defaults or --effective.") }
    }

    func run() throws {
        if defaults {
            writeAll(Configuration.defaultsPage(plugins: builtInPlugins), to: STDOUT_FILENO)
        } else {
            writeAll(try flags.load().effectivePage, to: STDOUT_FILENO)
        }
    }
}

/// `trellisd plugins`: lists what is built in.
struct Plugins: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the built-in plugins.", subcommands: [Show.self])

    func run() {
        let descriptors = builtInPlugins.map(\.descriptor)
        let width = descriptors.map(\.id.count).max() ?? 0
        for descriptor in descriptors {
            let space = String(repeating: " ", count: width - descriptor.id.count)
            writeAll("\(descriptor.id)\(space)  \(descriptor.version)  \(descriptor.summary)\n", to: STDOUT_FILENO)
        }
    }

    /// `trellisd plugins show ID`: prints the options of one.
    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print a plugin's options with type, default and documentation.")

        @Argument(help: "The plugin's id, such as transport.tcp, or its name alone.")
        var id: String

        func run() throws {
            let descriptors = builtInPlugins.map(\.descriptor)
            guard let descriptor = descriptors.first(where: { $0.id == id || $0.name == id }) else {
                let known = descriptors.map(\.id)
                let suggestion = hint(for: id, among: known)
                complain("unknown plugin \"\(id)\"\(suggestion) (known: \(known.joined(separator: ", ")))")
                throw ExitCode(ExitStatus.usage)
            }
            writeAll(descriptor.page, to: STDOUT_FILENO)
        }
    }
}

extension Flags {
    /// The configuration that file, environment and flags come to.
    ///
    /// Tells what is wrong, and throws the exit status.
    func load() throws -> Configuration {
        let environment = environmentVariables()
        let interpretation: Interpretation
        do throws(UsageError) {
            let listens = environment.keys.contains { $0.hasPrefix("TRELLIS_TRANSPORTS__") }
            interpretation = try interpret(environmentListens: listens)
        } catch {
            complain(error.message)
            throw ExitCode(ExitStatus.usage)
        }
        for warning in interpretation.warnings { complain("warning: \(warning)") }
        do throws(ConfigurationError) {
            let file: ConfigurationSource.File? = if let config { try .init(readingFrom: config) } else { nil }
            do throws(ConfigurationErrors) {
                return try Configuration.load(
                    ConfigurationSource(file: file, environment: environment, flags: interpretation.overrides),
                    plugins: builtInPlugins)
            } catch {
                writeAll("\(error)\n", to: STDERR_FILENO)
            }
        } catch {
            writeAll("\(error)\n", to: STDERR_FILENO)
        }
        throw ExitCode(ExitStatus.configuration)
    }
}

/// One line on standard error.
func complain(_ message: String) { writeAll("trellisd: \(message)\n", to: STDERR_FILENO) }

/// The environment of the process.
private func environmentVariables() -> [String: String] {
    var result: [String: String] = [:]
    var next = environ
    while let entry = next.pointee {
        let parts = String(cString: entry).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2 { result[String(parts[0])] = String(parts[1]) }
        next += 1
    }
    return result
}
