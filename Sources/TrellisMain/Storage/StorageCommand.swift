// SPDX-License-Identifier: MIT

import ArgumentParser
import BinlogStorage
import Foundation
import TrellisConfiguration
import TrellisCore

/// `trellisd storage`: works on what a store keeps, while no server uses it.
struct StorageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "storage", abstract: "Look at, check, mend and convert stored jobs, offline.",
        discussion: """
            The store is that of --config, or the log in --directory (whichever plugin wrote it), or any plugin by --use \
            and --set. One that a server uses is refused. Nothing is changed but by repair --in-place, and what convert \
            and import write to.
            Exit status: 0 when all is well, 1 where the work failed, 10 where the store is in use, 64 for bad usage, 65 \
            where stored data is damaged or can't be read, 69 where the store can't do it, 78 for a bad configuration.
            """,
        subcommands: [Dump.self, Stat.self, Verify.self, Repair.self, Convert.self, Import.self])
}

/// The store that a command reads.
struct SourceFlags: ParsableArguments {
    @OptionGroup var file: ConfigurationFlag

    @ArgumentParser.Option(help: ArgumentHelp("The log in this folder.", valueName: "dir"))
    var directory: String?

    @ArgumentParser.Option(
        help: ArgumentHelp("The store of this plugin, with the options of --set.", valueName: "name"))
    var use: String?

    @ArgumentParser.Option(help: ArgumentHelp("An option of the plugin; may be repeated.", valueName: "key=value"))
    var set: [String] = []

    var selection: StoreSelection {
        StoreSelection(config: file.config, directory: directory, use: use, set: set, prefix: "--")
    }

    func validate() throws { try selection.check() }
}

/// The store that a command writes.
struct TargetFlags: ParsableArguments {
    @ArgumentParser.Option(help: ArgumentHelp("Write to the store of this configuration.", valueName: "file"))
    var toConfig: String?

    @ArgumentParser.Option(help: ArgumentHelp("Write a binlog to this folder, which is made.", valueName: "dir"))
    var toDirectory: String?

    @ArgumentParser.Option(help: ArgumentHelp("Write to this plugin, with the options of --to-set.", valueName: "name"))
    var toUse: String?

    @ArgumentParser.Option(help: ArgumentHelp("An option of that plugin; may be repeated.", valueName: "key=value"))
    var toSet: [String] = []

    var selection: StoreSelection {
        StoreSelection(config: toConfig, directory: toDirectory, use: toUse, set: toSet, prefix: "--to-")
    }

    func validate() throws { try selection.check() }
}

/// Which store is meant, and how it is made.
struct StoreSelection {
    var config: String?
    var directory: String?
    var use: String?
    var set: [String]
    /// What the flags begin with.
    var prefix: String

    /// Whether the flags say one store; throws what is wrong with them.
    func check() throws(ValidationError) {
        guard [config, directory, use].count(where: { $0 != nil }) == 1 else {
            throw ValidationError("Say one of \(prefix)config, \(prefix)directory and \(prefix)use.")
        }
        for pair in set where !pair.dropFirst().contains("=") {
            throw ValidationError("\(prefix)set needs KEY=VALUE, and \"\(pair)\" isn't.")
        }
    }

    /// What makes the store, as often as it is called; nothing is opened.
    ///
    /// Tells what is wrong, and throws the exit status.
    func load(isTarget: Bool = false) throws -> Choice<any Storage> {
        let flags = try Flags.parse(config.map { ["--config", $0] } ?? [])
        return try flags.load(values: try overrides(isTarget: isTarget)).storage
    }

    private func overrides(isTarget: Bool) throws -> [FlagOverrides.Value] {
        var values: [FlagOverrides.Value] = []
        func add(_ flag: String, _ key: String, _ text: String) {
            values.append(.init(flag: prefix + flag, path: "storage.\(key)", text: text))
        }
        if let directory {
            let kind = isTarget ? nil : try kind(ofLogIn: directory)
            add("directory", "use", kind?.pluginName ?? "binlog")
            add("directory", "directory", directory)
            // A repair goes on as it was, unless it is told otherwise.
            if let codec = kind?.codec, !set.contains(where: { $0.hasPrefix("codec=") }) {
                add("directory", "codec", codec)
            }
        }
        if let use { add("use", "use", use) }
        for pair in set {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            values.append(
                .init(flag: "\(prefix)set", path: "storage.\(parts[0])", text: parts[1], isNamedByUser: true))
        }
        return values
    }

    /// How the log that lies there was written; nil where only the store itself can say what is wrong with it.
    private func kind(ofLogIn directory: String) throws -> LogKind? {
        if let kind = LogKind(ofDirectory: directory) { return kind }
        guard access(directory, F_OK) == 0 else {
            throw CommandFailure("\(directory): \(String(cString: strerror(errno)))")
        }
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: directory) else { return nil }
        // Where nothing is, there may be another mistake than an empty queue.
        guard names.contains(where: { $0.hasSuffix(".log") || $0.hasPrefix("binlog.") }) else {
            throw CommandFailure("\(directory) holds no log: there is no file in it such as 0000000001.log")
        }
        return nil
    }
}
