// SPDX-License-Identifier: MIT

public import TrellisCore

extension Configuration {
    /// Reads and checks a configuration: flags go before the environment, that before the file, that before defaults.
    ///
    /// Pure: it opens nothing, and takes any bytes. The work is in proportion to the size of the file. Only `loadFile` is
    /// not: it gets the plugins of a shared object that the configuration names under `plugins`, before a section is read
    /// that may name one of them. Where it is nil, such files are refused.
    /// Throws all faults at once.
    public static func load(
        _ source: ConfigurationSource, plugins: [AnyPlugin], loadFile: PluginFileLoader? = nil
    ) throws(ConfigurationErrors) -> Configuration {
        var loader = Loader(source: source, plugins: plugins, loadFile: loadFile)
        guard let configuration = loader.load(), loader.errors.isEmpty else { throw ConfigurationErrors(loader.errors) }
        return configuration
    }

    /// The plugin of a kind that holds where nothing is configured.
    public static func defaultPlugin(of kind: PluginKind) -> String {
        switch kind {
        case .storage: "memory"
        case .transport: "tcp"
        case .scheduler: "priority"
        }
    }
}

/// Puts the layers together, section by section.
struct Loader {
    let source: ConfigurationSource
    let loadFile: PluginFileLoader?
    var plugins: [AnyPlugin]
    var pluginFiles: [Setting] = []
    /// Whether a file of plugins gave none: then one that isn't known may have been in it.
    var missesPlugins = false
    private(set) var root: [Tree.Entry] = []
    private var overrides: [Override] = []
    var errors: [ConfigurationError] = []

    /// A plugin that was found, with its options.
    struct Chosen {
        var plugin: AnyPlugin
        var useOrigin: Origin
        var settings: Settings
    }

    init(source: ConfigurationSource, plugins: [AnyPlugin], loadFile: PluginFileLoader?) {
        self.source = source
        self.plugins = plugins
        self.loadFile = loadFile
    }

    /// The configuration; nil, or one that must not be used, where there are errors.
    mutating func load() -> Configuration? {
        guard readFile() else { return nil }
        loadPluginFiles()
        readOverrides()
        let storage = choose(.storage, section: "storage")
        var transports = chooseTransports()
        let scheduler = choose(.scheduler, section: "scheduler")
        let tubes = chooseTubes()
        var sections: [String: Settings] = [:]
        for section in CoreSection.all { sections[section.name] = resolve(section) }
        if !source.flags.transports.isEmpty { transports = source.flags.transports.map { choose($0) } }
        guard errors.isEmpty, let storage, let scheduler, case .storage(let storagePlugin) = storage.plugin,
            case .scheduler(let schedulerPlugin) = scheduler.plugin
        else { return nil }
        return Configuration(
            storage: Choice(plugin: storagePlugin, useOrigin: storage.useOrigin, settings: storage.settings),
            transports: transports.compactMap { chosen in
                guard let chosen, case .transport(let plugin) = chosen.plugin else { return nil }
                return Choice(plugin: plugin, useOrigin: chosen.useOrigin, settings: chosen.settings)
            },
            scheduler: Choice(plugin: schedulerPlugin, useOrigin: scheduler.useOrigin, settings: scheduler.settings),
            tubes: tubes, sections: sections, pluginFiles: pluginFiles, plugins: plugins)
    }
}

// MARK: - Layers

extension Loader {
    /// Reads the file into `root`.
    ///
    /// False where it can't be read so far that checking the rest makes sense.
    private mutating func readFile() -> Bool {
        guard let file = source.file else { return true }
        var reader = TreeReader(name: file.name)
        let tree = reader.read(file.bytes)
        errors += reader.errors
        switch tree {
        case .mapping(let entries, _)?: root = entries
        case nil: return errors.isEmpty
        case .scalar(let scalar)? where scalar.isNull: break
        case .refused?: return false
        case .scalar(let scalar)?:
            errors.append(ConfigurationError(scalar.place, "a configuration consists of sections: \(sectionNames)"))
            return false
        case .sequence(_, let place)?:
            errors.append(ConfigurationError(place, "a configuration consists of sections: \(sectionNames)"))
            return false
        }
        let known = Self.topKeys
        for entry in root where !known.contains(entry.key) {
            let suggestion = hint(for: entry.key, among: known)
            errors.append(
                ConfigurationError(
                    entry.keyPlace, "unknown key \"\(abbreviated(entry.key))\"\(suggestion) (allowed: \(sectionNames))")
            )
        }
        return true
    }

    private static let topKeys =
        ["plugins", "storage", "transports", "scheduler", "tubes"] + CoreSection.all.map(\.name).filter { !$0.isEmpty }
        + CoreSection.top.options.map(\.key)

    private var sectionNames: String { Self.topKeys.joined(separator: ", ") }

    private mutating func readOverrides() {
        var reader = EnvironmentReader(plugins: plugins)
        reader.read(source.environment)
        errors += reader.errors
        overrides = reader.overrides
        for value in source.flags.values {
            let parts = value.path.split(separator: ".", maxSplits: 1).map(String.init)
            let path: SectionPath = parts.count == 2 ? .section(parts[0]) : .top
            overrides.append(
                Override(
                    section: path, key: parts.last ?? "", text: value.text, place: .flag(value.flag),
                    mustExist: value.isNamedByUser))
        }
    }

    func overrides(of path: SectionPath) -> [Override] { overrides.filter { $0.section == path } }

    /// The numbers of the transports that the environment speaks of, ascending.
    var overriddenTransports: [Int] {
        Set(overrides.compactMap { if case .transport(let index) = $0.section { index } else { nil } }).sorted()
    }

    /// Where faults are told of what the file does not mention.
    var absentPlace: Place { source.file.map { .file($0.name) } ?? .defaults }

    /// The entries of a section; nil where it is absent, empty or no mapping.
    mutating func entries(of tree: Tree, label: String, advice: String) -> [Tree.Entry]? {
        switch tree {
        case .mapping(let entries, _): return entries
        case .refused: return nil
        case .scalar, .sequence:
            errors.append(ConfigurationError(tree.place, "\(label) must be a mapping\(advice)"))
            return nil
        }
    }
}

// MARK: - The server's own sections

extension Loader {
    private mutating func resolve(_ section: CoreSection) -> Settings {
        let path: SectionPath = section.name.isEmpty ? .top : .section(section.name)
        var draft = Draft(
            label: section.name, path: path, place: absentPlace, entries: [], overrides: overrides(of: path),
            hasPlugin: false)
        if section.name.isEmpty {
            let keys = section.options.map(\.key)
            draft.entries = root.filter { keys.contains($0.key) }
        } else if let entry = root.first(where: { $0.key == section.name }) {
            draft.place = entry.keyPlace
            if !entry.value.isNull {
                draft.entries = entries(of: entry.value, label: section.name, advice: " of keys and values") ?? []
            }
        }
        var resolver = OptionResolver(draft, schema: section.options)
        let settings = resolver.resolve()
        if settings.options.text("user") == "" {
            resolver.report([OptionFault(key: "user", message: "is empty; give the name of a user")], in: settings)
        }
        errors += resolver.errors
        return settings
    }
}
