// SPDX-License-Identifier: MIT

import ArgumentParser
import Glibc
import TrellisConfiguration
import TrellisCore
import TrellisServer

/// `trellisd plugins`: lists and shows them.
struct PluginsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plugins", abstract: "List, show and test plugins.",
        discussion: "docs/plugins says how to write one.",
        subcommands: [List.self, Show.self, Test.self], defaultSubcommand: List.self)

    /// `trellisd plugins list`: a line for each.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the plugins: id, version, where it is (built in, or a file), what it is.")

        @OptionGroup var source: PluginSource
        @Flag(help: "Print JSON, one object per line.")
        var json = false

        func run() throws {
            let descriptors = try source.plugins().map(\.descriptor)
            let writer = LineWriter()
            let widths = [descriptors.map(\.id), descriptors.map(\.version), descriptors.map(\.origin)].map { column in
                column.map(\.count).max() ?? 0
            }
            for descriptor in descriptors {
                if json {
                    writer.write(descriptor.json(withOptions: false).closed)
                    continue
                }
                let cells = zip([descriptor.id, descriptor.version, descriptor.origin], widths).map { text, width in
                    text + String(repeating: " ", count: width - text.count)
                }
                writer.write((cells + [descriptor.summary]).joined(separator: "  "))
            }
            try withFailures { try writer.finish() }
        }
    }

    /// `trellisd plugins show ID`: the options of one.
    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print a plugin's options with type, default and documentation.")

        @Argument(help: "The plugin's id, such as transport.tcp, or its name alone.")
        var id: String?
        @Flag(help: "Show all plugins.")
        var all = false
        @OptionGroup var source: PluginSource
        @Flag(help: "Print JSON, one object per plugin and line; sizes in bytes, times in nanoseconds.")
        var json = false
        @Flag(help: "Print Markdown.")
        var markdown = false

        func validate() throws {
            if (id == nil) != all { throw ValidationError("Say the id of a plugin, or --all.") }
            if json && markdown { throw ValidationError("Say --json or --markdown, not both.") }
        }

        func run() throws {
            let plugins = try source.plugins()
            let descriptors = try id.map { [try find($0, in: plugins).descriptor] } ?? plugins.map(\.descriptor)
            let pages = descriptors.map { descriptor in
                json
                    ? descriptor.json(withOptions: true).closed + "\n"
                    : markdown ? descriptor.markdown : descriptor.page
            }
            let head =
                """
                # Options of the plugins

                Made by `trellisd plugins show --all --markdown` from what each plugin says of itself.


                """
            writeAll((markdown && all ? head : "") + pages.joined(separator: json ? "" : "\n"), to: STDOUT_FILENO)
        }
    }
}

/// Finds a plugin by its id, or by its name alone; tells where there is none.
func find(_ id: String, in plugins: [AnyPlugin]) throws -> AnyPlugin {
    if let plugin = plugins.first(where: { $0.descriptor.id == id || $0.descriptor.name == id }) { return plugin }
    let known = plugins.map(\.descriptor.id)
    complain("unknown plugin \"\(id)\"\(hint(for: id, among: known)) (known: \(known.joined(separator: ", ")))")
    throw ExitCode(ExitStatus.usage)
}

/// Which plugins a command is about.
struct PluginSource: ParsableArguments {
    /// Its plugins are meant, too.
    @OptionGroup var file: ConfigurationFlag

    @ArgumentParser.Option(
        help: ArgumentHelp("Also the plugins of this shared object; may be repeated.", valueName: "file"))
    var load: [String] = []

    /// Those that are compiled in, and those that were asked for.
    func plugins() throws -> [AnyPlugin] {
        var plugins = try file.config.map { try Flags.parse(["--config", $0]).load().plugins } ?? Program.plugins
        for file in load { plugins += try loadNamedFile(file) }
        return plugins
    }
}

/// The plugins of a file that the command line names.
func loadNamedFile(_ path: String) throws -> [AnyPlugin] {
    do throws(PluginLoadError) {
        return try PluginLoader.load(path, trust: .anybody)
    } catch {
        complain("plugin file \(error)")
        throw ExitCode(ExitStatus.configuration)
    }
}

extension PluginDescriptor {
    /// The plugin for programs.
    fileprivate func json(withOptions: Bool) -> JSONLine {
        var line = JSONLine()
        line.add("id", id)
        line.add("version", version)
        line.add("origin", file == nil ? "built-in" : "file")
        if let file { line.add("file", file) }
        line.add("summary", summary)
        if withOptions { line.add("options", raw: "[" + options.map(\.json.closed).joined(separator: ", ") + "]") }
        return line
    }
}

extension TrellisCore.Option {
    fileprivate var json: JSONLine {
        var line = JSONLine()
        line.add("key", key)
        line.add("type", type.name)
        switch type {
        case .integer(let range), .choiceOrInteger(_, let range):
            line.add("minimum", range.lowerBound)
            line.add("maximum", range.upperBound)
        case .duration(let range), .choiceOrDuration(_, let range):
            line.add("unit", "nanoseconds")
            line.add("minimum", range.lowerBound)
            line.add("maximum", range.upperBound)
        case .size(let range):
            line.add("unit", "bytes")
            line.add("minimum", range.lowerBound)
            line.add("maximum", range.upperBound)
        case .text, .path, .boolean, .choice, .fileMode, .rate: break
        }
        switch type {
        case .choice(let words), .choiceOrDuration(let words, _), .choiceOrInteger(let words, _):
            line.add("choices", raw: "[" + words.map(JSONLine.quoted).joined(separator: ", ") + "]")
        default: break
        }
        line.add("required", raw: isRequired ? "true" : "false")
        if let defaultValue { line.add("default", raw: defaultValue.json) }
        line.add("documentation", documentation)
        return line
    }
}

extension OptionType {
    /// One word for the type.
    fileprivate var name: String {
        switch self {
        case .text: "text"
        case .path: "path"
        case .integer: "integer"
        case .size: "size"
        case .duration: "duration"
        case .boolean: "boolean"
        case .choice: "choice"
        case .choiceOrDuration: "choice-or-duration"
        case .choiceOrInteger: "choice-or-integer"
        case .fileMode: "file-mode"
        case .rate: "rate"
        }
    }
}

extension OptionValue {
    fileprivate var json: String {
        switch self {
        case .text(let text): JSONLine.quoted(text)
        case .integer(let number), .duration(let number): "\(number)"
        case .size(let bytes): "\(bytes)"
        case .boolean(let isTrue): isTrue ? "true" : "false"
        case .fileMode(let mode): "\(mode)"
        case .rate(let rate): JSONLine.quoted(rate.description)
        }
    }
}
