// SPDX-License-Identifier: MIT

public import TrellisCore

extension Configuration {
    /// A file with every section, every plugin and every option, each with its documentation and its default.
    ///
    /// It reads back as the defaults; what has no default, and what is an alternative, is commented out.
    public static func defaultsPage(plugins: [AnyPlugin]) -> String {
        var page = Page()
        page.comment("Every option of trellisd with its default.")
        page.comment("What is commented out has no default, or is an alternative.")
        page.comment("Sizes: 512, 64KiB, 1MB, 4GiB. Times: 50ms, 10s, 5m, 2h, 1d.")
        page.section("Shared objects with plugins, by their absolute paths.")
        let files = plugins.compactMap(\.descriptor.file)
        if files.isEmpty { page.lines.append("# plugins: [/usr/lib/trellis/libmine.so]") }
        if !files.isEmpty { page.lines.append("plugins:") }
        for (index, file) in files.enumerated() where files.firstIndex(of: file) == index {
            page.lines.append("  - \(OptionValue.text(file).yaml)")
        }
        page.section("Where jobs are kept.")
        page.mapping("storage", of: .storage, plugins)
        page.section("Where clients connect; a list of at least one.")
        page.list("transports", of: .transport, plugins)
        page.section("Which ready job is next.")
        page.mapping("scheduler", of: .scheduler, plugins)
        page.section(TubeChoice.documentation)
        page.lines += ["# tubes:", "#   \"email.*\":"]
        page.options(TubeChoice.options, indentation: "#     ")
        for section in CoreSection.all {
            if section.name.isEmpty {
                page.lines.append("")
                page.options(section.options, indentation: "")
            } else {
                page.section(section.documentation)
                page.lines.append("\(section.name):")
                page.options(section.options, indentation: "  ")
            }
        }
        return page.lines.joined(separator: "\n") + "\n"
    }
}

/// The lines of a file that is being made.
private struct Page {
    private static let width = 100
    var lines: [String] = []

    /// A comment, broken into lines.
    mutating func comment(_ text: String, indentation: String = "") {
        var line = indentation + "#"
        for word in text.split(whereSeparator: \.isWhitespace) {
            if line.count + 1 + word.count > Self.width {
                lines.append(line)
                line = indentation + "#"
            }
            line += " " + word
        }
        lines.append(line)
    }

    mutating func section(_ documentation: String) {
        lines.append("")
        comment(documentation)
    }

    /// A section that names one plugin: the default one, and after it the others, commented out.
    mutating func mapping(_ name: String, of kind: PluginKind, _ plugins: [AnyPlugin]) {
        for (index, descriptor) in sorted(kind, plugins).enumerated() {
            let isDefault = index == 0
            let mark = isDefault ? "" : "# "
            if !isDefault { lines.append("") }
            if isDefault { lines.append("\(name):") } else { comment("Or: \(descriptor.summary)") }
            if isDefault { comment(descriptor.summary, indentation: "  ") } else { lines.append("# \(name):") }
            lines.append("\(mark)  use: \(descriptor.name)")
            options(descriptor.options, indentation: "\(mark)  ")
        }
    }

    /// A section with a list of plugins: the default one, and after it the others, commented out.
    mutating func list(_ name: String, of kind: PluginKind, _ plugins: [AnyPlugin]) {
        lines.append("\(name):")
        for (index, descriptor) in sorted(kind, plugins).enumerated() {
            let mark = index == 0 ? "" : "# "
            comment(descriptor.summary, indentation: "  ")
            lines.append("  \(mark)- use: \(descriptor.name)")
            options(descriptor.options, indentation: "  \(mark)  ")
        }
    }

    /// The options of a section: documentation, type, and a line that sets the default.
    mutating func options(_ options: [Option], indentation: String) {
        for option in options {
            comment(option.documentation, indentation: indentation)
            var type = option.type.summary
            if option.isRequired { type += "; required" }
            comment("(\(type))", indentation: indentation)
            if let value = option.defaultValue {
                lines.append("\(indentation)\(option.key): \(value.yaml)")
            } else {
                // Only an alternative, which is commented out as a whole, may have an option that must be given.
                let mark = option.isRequired ? "" : "# "
                lines.append("\(indentation)\(mark)\(option.key): \(option.type.placeholder)")
            }
        }
    }

    /// The plugins of a kind, the default one first.
    private func sorted(_ kind: PluginKind, _ plugins: [AnyPlugin]) -> [PluginDescriptor] {
        let all = plugins.map(\.descriptor).filter { $0.kind == kind }
        let name = Configuration.defaultPlugin(of: kind)
        return all.filter { $0.name == name } + all.filter { $0.name != name }
    }
}
