// SPDX-License-Identifier: MIT

import ArgumentParser
import Glibc
import TrellisConfiguration
import TrellisCore
import TrellisServer

/// The version of this server.
let trellisVersion = "0.1.0"

/// Exit statuses that say more than that something went wrong: that of beanstalkd for a store in use, else those of
/// sysexits.h.
enum ExitStatus {
    /// A store that a server uses.
    static let inUse: Int32 = 10
    /// Bad usage: EX_USAGE.
    static let usage: Int32 = 64
    /// Stored data that is damaged, or can't be read: EX_DATAERR.
    static let damaged: Int32 = 65
    /// Something that a plugin can't do: EX_UNAVAILABLE.
    static let unavailable: Int32 = 69
    /// A bad configuration: EX_CONFIG.
    static let configuration: Int32 = 78
}

/// `trellisd`: serves.
struct Trellisd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trellisd",
        abstract: "A work-queue server that speaks the beanstalk protocol.",
        usage: """
            trellisd [--config FILE] [-l ADDR] [-p PORT] [-b DIR] [-f MS] [-F] [-s BYTES] [-z BYTES] [-u USER] [-V]... [-v]
            trellisd storage | check | config | plugins | new-plugin
            """,
        discussion: """
            With neither a file nor flags: jobs are kept in memory, and clients connect to 127.0.0.1:11300. With other flags of \
            beanstalkd, and neither --config nor -l: all addresses, as beanstalkd does.
            Flags go before the environment (TRELLIS_LIMITS__JOB_SIZE), that before the file. \
            Exit status: 0 after a clean stop, 10 where the storage is in use, 20 where it failed, 64 for bad usage, 78 for a \
            bad configuration.
            """,
        subcommands: [StorageCommand.self, Check.self, ConfigCommand.self, PluginsCommand.self, NewPlugin.self])

    @Flag(name: .customShort("v"), help: "Print the version and exit.")
    var printsVersion = false

    @OptionGroup var flags: Flags

    static func main() {
        let arguments = separateShortFlags(Array(CommandLine.arguments.dropFirst()))
        let names = configuration.subcommands.map { $0._commandName }
        if let first = arguments.first, names.contains(first) {
            start(CommandRoot.self, arguments)
        } else {
            start(Trellisd.self, arguments)
        }
    }

    private static func start<Root: ParsableCommand>(_ root: Root.Type, _ arguments: [String]) {
        do {
            var command = try Root.parseAsRoot(arguments)
            // The parser takes a command behind flags, too, and would drop the flags before it.
            let asksForHelp = arguments.contains("-h") || arguments.contains("--help")
            if Root.self is Trellisd.Type, !(command is Trellisd), !asksForHelp {
                throw ValidationError("The command must come first: trellisd COMMAND [FLAGS].")
            }
            try command.run()
        } catch {
            Root.exit(withError: error)
        }
    }

    func run() throws {
        if printsVersion {
            writeAll("trellisd \(trellisVersion)\n", to: STDOUT_FILENO)
            return
        }
        let (configuration, source) = try flags.loadWithSource()
        if let directory = flags.binlogDirectory, access(directory, F_OK) != 0 {
            // As beanstalkd: a mistyped folder would else be a new, empty queue.
            complain("-b \(directory): there is no such folder; make it first")
            throw ExitCode(ExitStatus.inUse)
        }
        do {
            try serve(configuration, source: source, file: flags.config)
        } catch {
            complain("\(error)")
            throw ExitCode(error.exitStatus)
        }
    }
}

/// The commands without the flags of the server: the parser would give it those that are meant for a command.
private struct CommandRoot: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trellisd", subcommands: Trellisd.configuration.subcommands)
}

/// `trellisd check`: validates everything short of opening it.
struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check a configuration without opening anything.",
        discussion: "Lists all errors and exits with 78, or prints one line and exits with 0.")

    @ArgumentParser.Option(
        help: ArgumentHelp("Print what holds for the tube of this name, and why.", valueName: "name"))
    var tube: String?

    @OptionGroup var flags: Flags

    func validate() throws {
        guard let tube, !Array(tube.utf8).withUnsafeBytes({ BorrowedName.isValid($0) }) else { return }
        throw ValidationError("\"\(tube)\" is no name of a tube.")
    }

    func run() throws {
        let configuration = try flags.load()
        let verdict = "\(flags.config ?? "configuration"): OK\n"
        writeAll(tube.map { configuration.page(ofTube: $0) } ?? verdict, to: STDOUT_FILENO)
    }
}

/// `trellisd config`: prints configurations.
struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Print the defaults, or what holds and where it comes from.")

    @Flag(
        help: """
            Print a file of all options with their defaults and documentation; with --config also those of the plugins \
            that it loads.
            """)
    var defaults = false

    @Flag(help: "Print the values that hold, each with its origin.")
    var effective = false

    @OptionGroup var flags: Flags

    func validate() throws {
        if defaults == effective { throw ValidationError("Say either --defaults or --effective.") }
    }

    func run() throws {
        if defaults {
            // A configuration may have loaded others.
            let plugins = flags.config == nil ? Program.plugins : try flags.load().plugins
            writeAll(Configuration.defaultsPage(plugins: plugins), to: STDOUT_FILENO)
        } else {
            writeAll(try flags.load().effectivePage, to: STDOUT_FILENO)
        }
    }
}

extension Flags {
    /// The configuration that file, environment and flags come to.
    ///
    /// Tells what is wrong, and throws the exit status.
    ///
    /// `values` go before all others.
    func load(values: [FlagOverrides.Value] = []) throws -> Configuration { try loadWithSource(values: values).0 }

    /// The configuration, and what it was read from.
    func loadWithSource(values: [FlagOverrides.Value] = []) throws -> (Configuration, ConfigurationSource) {
        let environment = environmentVariables()
        var interpretation: Interpretation
        do throws(UsageError) {
            let listens = environment.keys.contains { $0.hasPrefix("TRELLIS_TRANSPORTS__") }
            interpretation = try interpret(environmentListens: listens)
        } catch {
            complain(error.message)
            throw ExitCode(ExitStatus.usage)
        }
        interpretation.overrides.values += values
        for warning in interpretation.warnings { complain("warning: \(warning)") }
        do throws(ConfigurationError) {
            let file: ConfigurationSource.File? = if let config { try .init(readingFrom: config) } else { nil }
            let source = ConfigurationSource(file: file, environment: environment, flags: interpretation.overrides)
            do throws(ConfigurationErrors) {
                let configuration = try Configuration.load(
                    source, plugins: Program.plugins, loadFile: loadPluginFile)
                return (configuration, source)
            } catch {
                writeAll("\(error)\n", to: STDERR_FILENO)
            }
        } catch {
            writeAll("\(error)\n", to: STDERR_FILENO)
        }
        throw ExitCode(ExitStatus.configuration)
    }
}

/// The plugins of a file that a configuration names.
func loadPluginFile(_ path: String) throws(PluginFileFault) -> [AnyPlugin] {
    do throws(PluginLoadError) {
        return try PluginLoader.load(path, trust: .ownersOnly)
    } catch {
        throw PluginFileFault(error.reason)
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
