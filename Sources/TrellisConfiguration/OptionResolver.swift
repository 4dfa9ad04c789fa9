// SPDX-License-Identifier: MIT

internal import TrellisCore

/// What is known of one section before its values are read: what the file has, and what goes before it.
struct Draft {
    /// How messages call it: `storage.binlog`, `limits`; empty at the top level.
    var label: String
    var path: SectionPath
    /// Where faults of the section as a whole are told.
    var place: Place
    /// What the file has, without `use`.
    var entries: [Tree.Entry]
    /// From the environment and the command line, the one that has the last word last; without `use`.
    var overrides: [Override]
    /// Whether the section names a plugin, so that `use` is a key of it.
    var hasPlugin: Bool

    /// How messages call a key of the section.
    func name(_ key: String) -> String { label.isEmpty ? key : "\(label).\(key)" }
}

/// Reads the values of one section by its schema.
///
/// Everything given is checked, also what something else goes before.
struct OptionResolver {
    let draft: Draft
    let schema: [Option]
    private(set) var errors: [ConfigurationError] = []

    init(_ draft: Draft, schema: [Option]) {
        self.draft = draft
        self.schema = schema
    }

    mutating func resolve() -> Settings {
        reportUnknownKeys()
        var settings = Settings(schema: schema, values: [:])
        for option in schema {
            if let value = option.defaultValue {
                settings.values[option.key] = Setting(value: value, origin: .defaultValue)
            }
            var isGiven = false
            if let entry = draft.entries.first(where: { $0.key == option.key }) {
                isGiven = true
                if let value = value(of: option, entry.value) {
                    settings.values[option.key] = Setting(value: value, origin: .given(entry.keyPlace))
                }
            }
            for override in draft.overrides where override.key == option.key {
                isGiven = true
                if let value = value(of: option, override.text, at: override.place) {
                    settings.values[option.key] = Setting(value: value, origin: .given(override.place))
                }
            }
            if option.isRequired && !isGiven {
                errors.append(ConfigurationError(draft.place, "\(draft.label) needs \"\(option.key)\""))
            }
        }
        return settings
    }

    /// Faults that a plugin found in values of the right type.
    mutating func report(_ faults: [OptionFault], in settings: Settings) {
        for fault in faults {
            var place = draft.place
            if case .given(let given)? = settings.values[fault.key]?.origin { place = given }
            errors.append(ConfigurationError(place, "\(draft.name(fault.key)) \(fault.message)"))
        }
    }

    // MARK: - Unknown keys

    private mutating func reportUnknownKeys() {
        let known = schema.map(\.key)
        let candidates = draft.hasPlugin ? known + ["use"] : known
        func reportKey(_ key: String, _ place: Place) {
            var message = "unknown key \"\(abbreviated(key))\" in \(draft.label)"
            message += hint(for: key, among: candidates)
            message += known.isEmpty ? " (it has no options)" : " (allowed: \(known.joined(separator: ", ")))"
            errors.append(ConfigurationError(place, message))
        }
        for entry in draft.entries where !known.contains(entry.key) { reportKey(entry.key, entry.keyPlace) }
        for override in draft.overrides where override.mustExist && !known.contains(override.key) {
            guard case .environment = override.place else {
                reportKey(override.key, override.place)
                continue
            }
            let variables = candidates.map { draft.path.variablePrefix + variableName($0) }
            var message = "unknown variable: \(draft.label) has no option \"\(abbreviated(override.key))\""
            if let near = nearest(to: override.key, among: candidates) {
                message += "; did you mean \(draft.path.variablePrefix)\(variableName(near))?"
            }
            message += " (allowed: \(variables.joined(separator: ", ")))"
            errors.append(ConfigurationError(override.place, message))
        }
    }

    // MARK: - Values

    private mutating func value(of option: Option, _ tree: Tree) -> OptionValue? {
        switch tree {
        case .refused: return nil
        case .mapping(_, let place), .sequence(_, let place):
            let isMapping = if case .mapping = tree { true } else { false }
            let kind = isMapping ? "a mapping" : "a list"
            errors.append(
                ConfigurationError(
                    place, "\(draft.name(option.key)) is \(kind); it must be a single value (\(option.type.summary))"))
            return nil
        case .scalar(let scalar):
            if scalar.isNull {
                errors.append(noValue(option, scalar.place))
                return nil
            }
            if option.type == .fileMode && !scalar.isQuoted {
                let digits = scalar.text.allSatisfy { ("0"..."7").contains($0) } && (1...4).contains(scalar.text.count)
                let example = digits ? String(repeating: "0", count: 4 - scalar.text.count) + scalar.text : "0660"
                errors.append(
                    ConfigurationError(
                        scalar.place,
                        "\(draft.name(option.key)) must be in quotes, so that it is read as octal: \"\(example)\""))
                return nil
            }
            return value(of: option, scalar.text, at: scalar.place)
        }
    }

    private mutating func value(of option: Option, _ text: String, at place: Place) -> OptionValue? {
        if text.isEmpty, case .environment = place {
            errors.append(noValue(option, place))
            return nil
        }
        do throws(ValueFault) {
            return try option.type.parse(text)
        } catch {
            let name = draft.name(option.key)
            errors.append(ConfigurationError(place, "\(name) is \"\(abbreviated(text))\"; it \(error.expectation)"))
            return nil
        }
    }

    private func noValue(_ option: Option, _ place: Place) -> ConfigurationError {
        let what = if case .environment = place { "the variable" } else { "the key" }
        return ConfigurationError(place, "\(draft.name(option.key)) has no value; give it one, or remove \(what)")
    }
}
