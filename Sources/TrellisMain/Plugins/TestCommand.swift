// SPDX-License-Identifier: MIT

import ArgumentParser
import Foundation
import PriorityScheduler
import TrellisConfiguration
import TrellisCore
import TrellisTestKit

extension PluginsCommand {
    /// `trellisd plugins test`: runs the conformance kit on a plugin.
    struct Test: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Test whether a plugin keeps its contract.",
            discussion: """
                PLUGIN is a shared object, or the name of a plugin that is compiled in. Of a scheduler the rules of the \
                contract are tested one by one. Of a store, these are tested: the rules of the contract \
                one by one; very many jobs; SIGKILL at random moments of a process that uses the store; and a full disk \
                (a small tmpfs, or where mounting is refused, a limit of the size of files). The first broken rule ends the \
                test, since others break with it.
                Each test has a new place: options that are paths, unless given, lie in a folder of its own, and {} in a \
                given value stands for that folder.
                Exit status: 0 where all rules are kept, 1 where one is broken; 64 where the command line is wrong, 78 where \
                the plugin can't be loaded or refuses its options.
                """)

        @Argument(help: "The kind of plugin: storage or scheduler.")
        var kind: TestedKind
        @Argument(help: "A shared object, or the name of a plugin that is compiled in.")
        var plugin: String
        @ArgumentParser.Option(
            parsing: .upToNextOption, help: ArgumentHelp("Options of the plugin.", valueName: "key=value"))
        var options: [String] = []
        @ArgumentParser.Option(help: "How many jobs the test of very many has.")
        var jobs = 1_000_000
        @ArgumentParser.Option(help: "How often a process is ended by SIGKILL.")
        var kills = 25
        @ArgumentParser.Option(help: "The size of the disk that is filled, in MiB.")
        var disk: UInt64 = 64
        @ArgumentParser.Option(help: "Where the random numbers start.")
        var seed: UInt64 = 1
        @ArgumentParser.Option(help: "How many seconds a commit may take.")
        var patience = 10
        @ArgumentParser.Option(
            help: ArgumentHelp(
                "How many seconds a call of the plugin may take (default: six times --patience, at least 60).",
                valueName: "seconds"))
        var callLimit: Int?
        @ArgumentParser.Option(
            help: ArgumentHelp("Test in this folder (default: that of temporary files).", valueName: "dir"))
        var folder: String?
        @Flag(help: "The store keeps nothing, as one in memory.")
        var keepsNothing = false
        @Flag(help: "Look at all rules, also behind a broken one.")
        var keepGoing = false

        // What a process that this command started is to do.
        @ArgumentParser.Option(help: .hidden)
        var part: PluginTestPart?
        @ArgumentParser.Option(help: .hidden)
        var task: String?

        /// How many seconds a call may take.
        var secondsPerCall: Int { callLimit ?? max(60, 6 * patience) }

        func validate() throws {
            if jobs < 1 || jobs > 1 << 30 { throw ValidationError("--jobs is from 1 to 2^30.") }
            if disk < 1 || disk > 1 << 20 { throw ValidationError("--disk is from 1 to 2^20 MiB.") }
            if patience < 1 || patience > 3600 { throw ValidationError("--patience is from 1 to 3600 seconds.") }
            if let callLimit, callLimit < 1 || callLimit > 86400 {
                throw ValidationError("--call-limit is from 1 to 86400 seconds.")
            }
            if kills < 1 { throw ValidationError("--kills is at least 1.") }
        }

        func run() throws {
            let subject = try PluginSubject(kind.pluginKind, plugin, options: options)
            if let part {
                try PluginTestProcess(test: self, subject: subject).run(part)
            } else {
                try PluginTestRun(test: self, subject: subject).run()
            }
        }
    }
}

/// The kinds of plugins that can be tested.
enum TestedKind: String, ExpressibleByArgument {
    case storage
    case scheduler

    /// The kind, as plugins say it.
    var pluginKind: PluginKind { self == .storage ? .storage : .scheduler }
}

/// What one process of a test does.
enum PluginTestPart: String, ExpressibleByArgument {
    case contract
    case many
    case life
    case disk
}

/// The plugin that is tested, and how it is made.
struct PluginSubject {
    let descriptor: PluginDescriptor
    private let plugins: [AnyPlugin]
    private let pairs: [(key: String, value: String)]

    /// Finds the plugin; tells what is wrong, and throws the exit status.
    init(_ kind: PluginKind, _ plugin: String, options: [String]) throws {
        var plugins = Program.plugins
        let isFile = plugin.contains("/") || plugin.hasSuffix(".so")
        if isFile {
            let loaded = try loadNamedFile(plugin)
            // Another version of what is compiled in may well be tested.
            plugins = plugins.filter { old in !loaded.contains { $0.descriptor.id == old.descriptor.id } } + loaded
            let candidates = loaded.filter { $0.descriptor.kind == kind }
            guard let first = candidates.first else {
                complain("\(plugin) has no plugin of the kind \(kind.rawValue)")
                throw ExitCode(ExitStatus.configuration)
            }
            if candidates.count > 1 { complain("\(plugin) has \(candidates.count) such plugins; the first is tested") }
            descriptor = first.descriptor
        } else {
            do {
                descriptor = try find(plugin, in: plugins.filter { $0.descriptor.kind == kind }).descriptor
            } catch {
                complain(
                    "a plugin that is compiled in is tested by the program that has it; a loaded one is named by its file"
                )
                throw error
            }
        }
        self.plugins = plugins
        pairs = try options.map { option in
            let parts = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2 else { throw ValidationError("--options needs KEY=VALUE, and \"\(option)\" isn't.") }
            return (parts[0], parts[1])
        }
        _ = try configuration(at: "/nonexistent")
    }

    /// Makes a store whose paths lie in a folder; nothing is opened.
    func make(at folder: String) -> any Storage {
        do {
            return try configuration(at: folder).storage.make()
        } catch {
            // The options were good for another folder.
            preconditionFailure("the options are refused for \(folder): \(error)")
        }
    }

    /// Makes a scheduler that is ready for use.
    func makeScheduler() throws -> any Scheduler {
        let scheduler = try configuration(at: "/nonexistent").scheduler.make()
        try (scheduler as? any CheckedScheduler)?.open(standIn: PriorityScheduler()) { complain($0) }
        return scheduler
    }

    private func configuration(at folder: String) throws -> Configuration {
        var values = pairs.map { ($0.key, $0.value.replacing("{}", with: folder)) }
        for option in descriptor.options where option.type == .path && !pairs.contains(where: { $0.key == option.key })
        {
            values.append((option.key, "\(folder)/\(option.key)"))
        }
        let flag = "--options"
        let overrides = FlagOverrides(
            values: [.init(flag: flag, path: "\(descriptor.kind.rawValue).use", text: descriptor.name)]
                + values.map { .init(flag: flag, path: "\(descriptor.kind.rawValue).\($0.0)", text: $0.1) })
        for (key, _) in values where !descriptor.options.contains(where: { $0.key == key }) {
            let known = descriptor.options.map(\.key)
            complain("\(descriptor.id) has no option \"\(key)\"\(hint(for: key, among: known))")
            throw ExitCode(ExitStatus.usage)
        }
        do throws(ConfigurationErrors) {
            return try Configuration.load(ConfigurationSource(flags: overrides), plugins: plugins)
        } catch {
            writeAll("\(error)\n", to: 2)
            throw ExitCode(ExitStatus.configuration)
        }
    }
}
