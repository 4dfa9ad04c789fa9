// SPDX-License-Identifier: MIT

internal import TrellisCore

// The sections that name a plugin.

extension Loader {
    mutating func choose(_ kind: PluginKind, section: String) -> Chosen? {
        let path = SectionPath.section(section)
        guard let entry = root.first(where: { $0.key == section }), !entry.value.isNull else {
            return choose(kind, label: section, path: path, place: absentPlace, entries: nil)
        }
        guard let entries = entries(of: entry.value, label: section, advice: Self.advice(kind)) else { return nil }
        return choose(kind, label: section, path: path, place: entry.keyPlace, entries: entries)
    }

    private static func advice(_ kind: PluginKind) -> String {
        " with the key \"use\", such as {use: \(Configuration.defaultPlugin(of: kind))}"
    }

    mutating func chooseTransports() -> [Chosen?] {
        var items: [(place: Place, tree: Tree?)] = [(absentPlace, nil)]
        if let entry = root.first(where: { $0.key == "transports" }), !entry.value.isNull {
            switch entry.value {
            case .sequence(let trees, let place):
                items = trees.map { ($0.place, $0) }
                if trees.isEmpty {
                    errors.append(ConfigurationError(place, "transports is empty; the server needs at least one"))
                }
            case .refused: break
            case .scalar, .mapping:
                let advice = "; begin each with \"- use:\""
                errors.append(ConfigurationError(entry.value.place, "transports must be a list\(advice)"))
            }
        }
        var chosen: [Chosen?] = []
        for (index, item) in items.enumerated() {
            let label = "transports[\(index)]"
            var itemEntries: [Tree.Entry]?
            if let tree = item.tree {
                itemEntries = entries(of: tree, label: label, advice: Self.advice(.transport))
                if itemEntries == nil { continue }
            }
            chosen.append(
                choose(.transport, label: label, path: .transport(index), place: item.place, entries: itemEntries))
        }
        return chosen + chooseAddedTransports(after: items.count)
    }

    /// Transports that only the environment knows.
    private mutating func chooseAddedTransports(after count: Int) -> [Chosen?] {
        var chosen: [Chosen?] = []
        for index in overriddenTransports where index >= count {
            let path = SectionPath.transport(index)
            guard index == count + chosen.count, overrides(of: path).contains(where: { $0.key == "use" }) else {
                let next = count + chosen.count
                let variable = SectionPath.transport(next).variablePrefix + "USE"
                for override in overrides(of: path) {
                    let message = "there is no transport \(index); to add one, set \(variable)"
                    errors.append(ConfigurationError(override.place, message))
                }
                continue
            }
            let label = "transports[\(index)]"
            chosen.append(choose(.transport, label: label, path: path, place: absentPlace, entries: nil))
        }
        return chosen
    }

    /// A transport from the command line.
    mutating func choose(_ transport: FlagOverrides.Transport) -> Chosen? {
        let place = Place.flag(transport.flag)
        guard let plugin = find(.transport, transport.use, at: place) else { return nil }
        let values = transport.options.sorted { $0.key < $1.key }.map {
            Override(section: .top, key: $0.key, text: $0.value, place: place, mustExist: false)
        }
        let draft = Draft(
            label: plugin.descriptor.id, path: .top, place: place, entries: [], overrides: values, hasPlugin: true)
        return Chosen(plugin: plugin, useOrigin: .given(place), settings: resolve(draft, plugin))
    }

    /// Finds the plugin that a section names, and reads its options.
    ///
    /// `entries` is nil for a section that the file does not have.
    private mutating func choose(
        _ kind: PluginKind, label: String, path: SectionPath, place: Place, entries: [Tree.Entry]?
    ) -> Chosen? {
        let all = overrides(of: path)
        var plugin: AnyPlugin?
        var origin = Origin.defaultValue
        let useEntry = entries?.first { $0.key == "use" }
        if let useEntry {
            origin = .given(useEntry.keyPlace)
            plugin = find(kind, useEntry.value, label: label)
        }
        var draft = Draft(
            label: plugin?.descriptor.id ?? label, path: path, place: place,
            entries: (entries ?? []).filter { $0.key != "use" }, overrides: all.filter { $0.key != "use" },
            hasPlugin: true)
        for override in all where override.key == "use" {
            origin = .given(override.place)
            let named = find(kind, override.text, at: override.place)
            // The file's options belong to the file's plugin: they are checked, and not used with another one.
            if let plugin, plugin.descriptor.name != named?.descriptor.name {
                var fileDraft = draft
                fileDraft.overrides = []
                _ = resolve(fileDraft, plugin)
                draft.entries = []
            }
            plugin = named
            if named == nil { return nil }
        }
        if plugin == nil && origin == .defaultValue {
            if let entries, reportMissingUse(kind, label: label, place: place, entries: entries) { return nil }
            plugin = find(kind, Configuration.defaultPlugin(of: kind), at: place)
        }
        guard let plugin else { return nil }
        draft.label = plugin.descriptor.id
        return Chosen(plugin: plugin, useOrigin: origin, settings: resolve(draft, plugin))
    }

    private mutating func resolve(_ draft: Draft, _ plugin: AnyPlugin) -> Settings {
        var resolver = OptionResolver(draft, schema: plugin.descriptor.options)
        let settings = resolver.resolve()
        if resolver.errors.isEmpty { resolver.report(plugin.validate(settings.options), in: settings) }
        errors += resolver.errors
        return settings
    }

    /// Tells that a section names no plugin; always true.
    private mutating func reportMissingUse(
        _ kind: PluginKind, label: String, place: Place, entries: [Tree.Entry]
    ) -> Bool {
        if let near = entries.first(where: { editDistance(Array($0.key.utf8.prefix(8)), Array("use".utf8)) == 1 }) {
            let message = "unknown key \"\(abbreviated(near.key))\" in \(label); did you mean \"use\"?"
            errors.append(ConfigurationError(near.keyPlace, message))
        } else {
            let message = "\(label) needs \"use\", the name of a \(kind.rawValue) (known: \(known(kind)))"
            errors.append(ConfigurationError(place, message))
        }
        return true
    }

    private func known(_ kind: PluginKind) -> String {
        plugins.map(\.descriptor).filter { $0.kind == kind }.map(\.name).joined(separator: ", ")
    }

    private mutating func find(_ kind: PluginKind, _ tree: Tree, label: String) -> AnyPlugin? {
        switch tree {
        case .refused: return nil
        case .scalar(let scalar) where !scalar.isNull: return find(kind, scalar.text, at: scalar.place)
        case .scalar, .mapping, .sequence:
            let message = "\(label).use must be the name of a \(kind.rawValue) (known: \(known(kind)))"
            errors.append(ConfigurationError(tree.place, message))
            return nil
        }
    }

    private mutating func find(_ kind: PluginKind, _ name: String, at place: Place) -> AnyPlugin? {
        let candidates = plugins.filter { $0.descriptor.kind == kind }
        if let plugin = candidates.first(where: { $0.descriptor.name == name }) { return plugin }
        // What it would have been in was told already.
        if missesPlugins { return nil }
        let suggestion = hint(for: name, among: candidates.map(\.descriptor.name))
        errors.append(
            ConfigurationError(
                place, "unknown \(kind.rawValue) \"\(abbreviated(name))\"\(suggestion) (known: \(known(kind)))"))
        return nil
    }
}
