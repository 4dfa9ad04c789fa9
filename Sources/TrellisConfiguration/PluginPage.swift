// SPDX-License-Identifier: MIT

public import TrellisCore

extension PluginDescriptor {
    /// Where it is: `built in`, or the shared object.
    public var origin: String { file ?? "built in" }

    /// The plugin for people: id, version, origin, what it is, and each option with type, default and documentation.
    public var page: String {
        var page = "\(id) \(version), \(origin)\n\(summary)\n"
        if options.isEmpty { page += "\nNo options.\n" }
        for option in options {
            page += "\n\(option.key): \(option.type.summary)\n"
            page += option.isRequired ? "  required\n" : "  default: \(option.defaultValue?.yaml ?? "none")\n"
            page += "  \(option.documentation)\n"
        }
        return page
    }

    /// The plugin as a section of a Markdown page, with a table of its options.
    public var markdown: String {
        var page = "## \(id)\n\n\(summary)\n\n"
        if options.isEmpty { return page + "No options.\n" }
        page += "| option | what it may be | default | |\n|---|---|---|---|\n"
        for option in options {
            let value = option.isRequired ? "required" : option.defaultValue.map { "`\($0.yaml)`" } ?? "none"
            let cells = ["`\(option.key)`", option.type.summary, value, option.documentation]
            page += "| " + cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |\n"
        }
        return page
    }
}
