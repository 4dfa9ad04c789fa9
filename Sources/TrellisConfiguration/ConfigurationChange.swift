// SPDX-License-Identifier: MIT

public import TrellisCore

/// What a configuration that was read again changes for a server that runs: what can hold at once, and what needs a
/// restart.
public struct ConfigurationChange: Sendable {
    /// What holds then: the new configuration, but for what needs a restart.
    ///
    /// Its transports are the former ones that stay, in their order, and then those that are added.
    public private(set) var configuration: Configuration
    /// Transports to open.
    public private(set) var added: [Choice<any Transport>] = []
    /// Transports to close: their places among the former ones, ascending.
    public private(set) var removed: [Int] = []
    /// What else changes, a line each.
    public private(set) var changes: [String] = []
    /// What needs a restart, a line each.
    ///
    /// Options of plugins are told without their values, which may be secrets.
    public private(set) var restarts: [String] = []

    /// Compares what holds with what is to hold.
    ///
    /// Where the service manager opened the sockets, `managesSockets`, no transport is opened or closed.
    public init(from old: Configuration, to new: Configuration, managesSockets: Bool = false) {
        configuration = new
        keepFiles(of: old)
        keep(\.storage, "storage", of: old)
        compareTransports(old.transports, new.transports, managesSockets: managesSockets)
        keep(\.scheduler, "scheduler", of: old)
        compareTubes(old.tubes, new.tubes)
        for section in CoreSection.all {
            guard let former = old.sections[section.name], let next = new.sections[section.name] else { continue }
            for (key, was, becomes) in Self.differences(former, next) {
                guard !section.name.isEmpty else {
                    restarts.append("\(key) needs a restart")
                    continue
                }
                changes.append("\(section.name).\(key) is \(Self.text(becomes)) now; it was \(Self.text(was))")
            }
            if section.name.isEmpty { configuration.sections[section.name] = former }
        }
    }

    private mutating func keepFiles(of old: Configuration) {
        let former = old.pluginFiles.map(\.value)
        let next = configuration.pluginFiles.map(\.value)
        for file in next where !former.contains(file) { restarts.append("plugins needs a restart to add \(file.yaml)") }
        for file in former where !next.contains(file) {
            restarts.append("plugins needs a restart to drop \(file.yaml)")
        }
        configuration.pluginFiles = old.pluginFiles
        configuration.plugins = old.plugins
    }

    /// A plugin that was made at the start stays as it is.
    private mutating func keep<Product>(
        _ path: WritableKeyPath<Configuration, Choice<Product>>, _ section: String, of old: Configuration
    ) {
        let (former, next) = (old[keyPath: path], configuration[keyPath: path])
        let (was, becomes) = (former.plugin.descriptor, next.plugin.descriptor)
        if was.id != becomes.id {
            restarts.append("\(section) needs a restart to become \(becomes.name); it stays \(was.name)")
        } else {
            restarts += Self.differences(former.settings, next.settings).map { "\(section).\($0.key) needs a restart" }
        }
        configuration[keyPath: path] = former
    }

    // MARK: Transports

    private mutating func compareTransports(
        _ old: [Choice<any Transport>], _ new: [Choice<any Transport>], managesSockets: Bool
    ) {
        var kept: [Choice<any Transport>] = []
        var lines: [String] = []
        added = new
        for (place, former) in old.enumerated() {
            guard let match = added.firstIndex(where: { Self.isSamePlace($0, former) }) else {
                removed.append(place)
                continue
            }
            let name = former.plugin.descriptor.id
            for (key, _, _) in Self.differences(former.settings, added[match].settings) {
                lines.append("\(name).\(key) needs a restart, for \(Self.place(former))")
            }
            kept.append(former)
            added.remove(at: match)
        }
        if managesSockets && !(added.isEmpty && removed.isEmpty) {
            lines.append("transports is without effect, also after a restart: the service manager opens the sockets")
            (added, removed, kept) = ([], [], old)
        }
        restarts += lines
        configuration.transports = kept + added
    }

    /// Whether both listen at the same place, so that the second can't be opened while the first is: options that must be
    /// given say where, and all do where there are none.
    private static func isSamePlace(_ a: Choice<any Transport>, _ b: Choice<any Transport>) -> Bool {
        guard a.plugin.descriptor.id == b.plugin.descriptor.id else { return false }
        return identifying(a).allSatisfy { a.settings.values[$0]?.value == b.settings.values[$0]?.value }
    }

    private static func identifying(_ transport: Choice<any Transport>) -> [String] {
        let schema = transport.settings.schema
        let required = schema.filter(\.isRequired)
        return (required.isEmpty ? schema : required).map(\.key)
    }

    private static func place(_ transport: Choice<any Transport>) -> String {
        identifying(transport).compactMap { transport.settings.values[$0]?.value.yaml }.joined(separator: " ")
    }

    // MARK: Tubes

    private mutating func compareTubes(_ old: [TubeChoice], _ new: [TubeChoice]) {
        for former in old where !new.contains(where: { $0.pattern == former.pattern }) {
            changes.append("tubes.\(quoted(former.pattern)) holds no longer")
        }
        for next in new {
            let name = "tubes.\(quoted(next.pattern))"
            guard let former = old.first(where: { $0.pattern == next.pattern }) else {
                changes.append("\(name) holds now")
                continue
            }
            for (key, was, becomes) in Self.differences(former.settings, next.settings) {
                changes.append("\(name).\(key) is \(Self.text(becomes)) now; it was \(Self.text(was))")
            }
        }
        let shared = { (one: [TubeChoice], other: [TubeChoice]) in
            one.map(\.pattern).filter { pattern in other.contains { $0.pattern == pattern } }
        }
        if shared(old, new) != shared(new, old) { changes.append("tubes stand in another order now") }
    }

    // MARK: Values

    private static func text(_ value: OptionValue?) -> String { value?.yaml ?? "not set" }

    /// The options that aren't the same, in the order of the schema.
    private static func differences(
        _ old: Settings, _ new: Settings
    ) -> [(key: String, was: OptionValue?, becomes: OptionValue?)] {
        new.schema.compactMap { option in
            let (was, becomes) = (old.values[option.key]?.value, new.values[option.key]?.value)
            return was == becomes ? nil : (option.key, was, becomes)
        }
    }
}
