// SPDX-License-Identifier: MIT

internal import TrellisCore

extension Configuration {
    /// What holds, as a file that reads back to the same values, with the origin of each value in a comment behind it.
    public var effectivePage: String {
        var rows: [Row] = []
        if !pluginFiles.isEmpty {
            rows.append(Row("plugins:"))
            rows += pluginFiles.map { Row("  - \($0.value.yaml)", $0.origin.description) }
        }
        rows.append(Row("storage:"))
        rows += Self.rows(storage, indentation: "  ", first: "  ")
        rows.append(Row("transports:"))
        for transport in transports { rows += Self.rows(transport, indentation: "    ", first: "  - ") }
        rows.append(Row("scheduler:"))
        rows += Self.rows(scheduler, indentation: "  ", first: "  ")
        if !tubes.isEmpty { rows.append(Row("tubes:")) }
        for tube in tubes {
            rows.append(Row("  \(quoted(tube.pattern)):"))
            rows += Self.rows(tube.settings, indentation: "    ")
        }
        for section in CoreSection.all {
            guard let settings = sections[section.name] else { continue }
            if !section.name.isEmpty { rows.append(Row("\(section.name):")) }
            rows += Self.rows(settings, indentation: section.name.isEmpty ? "" : "  ")
        }
        return Self.text(rows)
    }

    /// What holds for the tube of a name, and because of which entry of the file.
    public func page(ofTube name: String) -> String {
        guard let tube = tube(named: name) else {
            return "\(name): no pattern matches; no limits, and the weight is 1\n"
        }
        return Self.text(
            [Row("\(name): \(quoted(tube.pattern))", Origin.given(tube.place).description)]
                + Self.rows(tube.settings, indentation: "  "))
    }

    private static func text(_ rows: [Row]) -> String {
        // Values longer than this have their origin closer, rather than all others farther away.
        let width = rows.map { $0.origin == nil || $0.text.count > 48 ? 0 : $0.text.count }.max() ?? 0
        return rows.map { row in
            guard let origin = row.origin else { return row.text + "\n" }
            return row.text + String(repeating: " ", count: max(0, width - row.text.count)) + "  # \(origin)\n"
        }.joined()
    }

    private struct Row {
        var text: String
        var origin: String?

        init(_ text: String, _ origin: String? = nil) {
            self.text = text
            self.origin = origin
        }
    }

    private static func rows<Product>(_ choice: Choice<Product>, indentation: String, first: String) -> [Row] {
        [Row("\(first)use: \(quotedIfNeeded(choice.plugin.descriptor.name))", choice.useOrigin.description)]
            + rows(choice.settings, indentation: indentation)
    }

    private static func rows(_ settings: Settings, indentation: String) -> [Row] {
        settings.schema.map { option in
            guard let setting = settings.values[option.key] else {
                return Row("\(indentation)# \(option.key): \(option.type.placeholder)", "not set")
            }
            return Row("\(indentation)\(option.key): \(setting.value.yaml)", setting.origin.description)
        }
    }
}
