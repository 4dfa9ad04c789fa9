// SPDX-License-Identifier: MIT

public import TrellisCore

extension PluginDescriptor {
    /// The plugin for people: id, version, what it is, and each option with type, default and documentation.
    public var page: String {
        var page = "\(id) \(version)\n\(summary)\n"
        if options.isEmpty { page += "\nNo options.\n" }
        for option in options {
            page += "\n\(option.key): \(option.type.summary)\n"
            if option.isRequired {
                page += "  required\n"
            } else {
                page += "  default: \(option.defaultValue?.yaml ?? "none")\n"
            }
            page += "  \(option.documentation)\n"
        }
        return page
    }
}
