// SPDX-License-Identifier: MIT

import Logging
import Synchronization
import TrellisConfiguration
import TrellisCore
import TrellisServer

/// Reads the configuration file again when the server is told to, with the flags and the environment of the start, which
/// still go before it.
final class Reloader: Sendable {
    private struct State {
        /// What holds.
        var configuration: Configuration
        /// The numbers of its transports, as the server counts them.
        var numbers: [Int]
        var nextNumber: Int
        /// What was loaded from which file: a shared object is never loaded twice.
        var loaded: [String: [AnyPlugin]]
    }

    private let file: String
    private let source: ConfigurationSource
    private let plugins: [AnyPlugin]
    private let threshold: LogThreshold
    private let state: Mutex<State>

    /// Prepares it.
    ///
    /// - Parameters:
    ///   - file: The path of the file.
    ///   - source: What the start was configured by.
    ///   - plugins: Those that are compiled in.
    ///   - configuration: What the server runs by.
    ///   - threshold: Where the log level is set.
    init(
        file: String, source: ConfigurationSource, plugins: [AnyPlugin], configuration: Configuration,
        threshold: LogThreshold
    ) {
        self.file = file
        self.source = source
        self.plugins = plugins
        self.threshold = threshold
        let count = configuration.transports.count
        let loaded = Dictionary(grouping: configuration.plugins.filter { $0.descriptor.file != nil }) {
            $0.descriptor.file ?? ""
        }
        state = Mutex(
            State(configuration: configuration, numbers: Array(0..<count), nextNumber: count, loaded: loaded))
    }

    /// What the server asks on SIGHUP.
    func update(managesSockets: Bool) throws(UpdateRefusal) -> ServerUpdate {
        let new = try load()
        let (old, numbers, next) = state.withLock { ($0.configuration, $0.numbers, $0.nextNumber) }
        let change = ConfigurationChange(from: old, to: new, managesSockets: managesSockets)
        return ServerUpdate(
            settings: change.configuration.serverSettings(version: trellisVersion),
            added: change.added.map { $0.make() },
            removed: change.removed.map { numbers[$0] },
            changes: change.changes, restarts: change.restarts,
            onApplied: { [self] in
                state.withLock { state in
                    let kept = numbers.enumerated().filter { !change.removed.contains($0.offset) }.map(\.element)
                    state.nextNumber = next + change.added.count
                    state.numbers = kept + Array(next..<state.nextNumber)
                    state.configuration = change.configuration
                }
                threshold.level = change.configuration.loggerLevel
            })
    }

    private func load() throws(UpdateRefusal) -> Configuration {
        var source = source
        do throws(ConfigurationError) {
            source.file = try ConfigurationSource.File(readingFrom: file)
        } catch {
            throw UpdateRefusal([error.description])
        }
        do throws(ConfigurationErrors) {
            return try Configuration.load(source, plugins: plugins, loadFile: loadFile)
        } catch {
            throw UpdateRefusal(error.errors.map(\.description))
        }
    }

    private func loadFile(_ path: String) throws(PluginFileFault) -> [AnyPlugin] {
        if let plugins = state.withLock({ $0.loaded[path] }) { return plugins }
        let plugins = try loadPluginFile(path)
        state.withLock { $0.loaded[path] = plugins }
        return plugins
    }
}
