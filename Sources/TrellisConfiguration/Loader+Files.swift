// SPDX-License-Identifier: MIT

public import TrellisCore

/// Why a shared object gave no plugins, to be read behind its path.
public struct PluginFileFault: Error, Hashable, Sendable {
    /// What is wrong and what to do.
    public var message: String

    /// Wraps a text.
    public init(_ message: String) { self.message = message }
}

/// Gets the plugins of a shared object.
public typealias PluginFileLoader = (_ path: String) throws(PluginFileFault) -> [AnyPlugin]

// The list of files with plugins.

extension Loader {
    /// Adds the plugins of the files under `plugins` to those that are known.
    mutating func loadPluginFiles() {
        guard let entry = root.first(where: { $0.key == "plugins" }), !entry.value.isNull else { return }
        guard case .sequence(let items, _) = entry.value else {
            if case .refused = entry.value { return }
            let message = "plugins must be a list of the absolute paths of shared objects"
            errors.append(ConfigurationError(entry.value.place, message))
            return
        }
        for (index, item) in items.enumerated() {
            switch item {
            case .refused: continue
            case .scalar(let scalar) where !scalar.isNull: loadPluginFile(scalar.text, at: scalar.place)
            case .scalar, .mapping, .sequence:
                let message = "plugins[\(index)] must be the absolute path of a shared object"
                errors.append(ConfigurationError(item.place, message))
            }
        }
    }

    private mutating func loadPluginFile(_ path: String, at place: Place) {
        if pluginFiles.contains(where: { $0.value == .text(path) }) {
            errors.append(
                ConfigurationError(place, "the plugins of \(abbreviated(path, most: 4096)) are loaded already"))
            return
        }
        pluginFiles.append(Setting(value: .text(path), origin: .given(place)))
        guard let loadFile else {
            refuse("can't be loaded here", path, at: place)
            return
        }
        do throws(PluginFileFault) {
            for plugin in try loadFile(path) {
                let id = plugin.descriptor.id
                if let other = plugins.first(where: { $0.descriptor.id == id }) {
                    let origin = other.descriptor.file.map { "it is in \($0), too" } ?? "one is built in"
                    refuse("has a plugin \(id), and \(origin); give it another name", path, at: place)
                    continue
                }
                plugins.append(plugin)
            }
        } catch {
            refuse(error.message, path, at: place)
        }
    }

    private mutating func refuse(_ reason: String, _ path: String, at place: Place) {
        missesPlugins = true
        errors.append(ConfigurationError(place, "plugin file \(abbreviated(path, most: 4096)) \(reason)"))
    }
}
