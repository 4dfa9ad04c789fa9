// SPDX-License-Identifier: MIT

import MemoryStorage
import PriorityScheduler
import TCPTransport
import TrellisConfiguration
import TrellisCore
import UnixTransport

/// Plugins with options of every type, beside the built-in ones, which hold where nothing is configured.
enum Samples {
    static let plugins: [AnyPlugin] = [
        .storage(MemoryStorage.plugin), .storage(binlog), .storage(everything), .storage(archive),
        .transport(TCPTransport.plugin), .transport(UnixTransport.plugin), .scheduler(PriorityScheduler.plugin),
    ]

    /// The storage of the examples in messages.
    private static let binlog = Plugin<any Storage>(
        PluginDescriptor(
            kind: .storage, name: "binlog", version: "1", summary: "Keeps jobs in a log.",
            options: [
                Option("directory", .path, required: "Where the segments are."),
                Option("segment-size", .size(4096...1 << 30), default: .size(16 << 20), "The size of a segment."),
                Option(
                    "sync", .choiceOrDuration(["always", "never"], 1_000_000...10_000_000_000),
                    default: .text("always"), "When a change is synced."),
            ]),
        validate: { options in
            guard options.text("directory") == "/" else { return [] }
            return [OptionFault(key: "directory", message: "is the root; choose a folder of its own")]
        },
        make: { _ in MemoryStorage() })

    /// An option of each type, none required.
    private static let everything = Plugin<any Storage>(
        PluginDescriptor(
            kind: .storage, name: "everything", version: "1", summary: "Has options of all types.",
            options: [
                Option("text", .text, default: .text("two words"), "A text."),
                Option("path", .path, default: nil, "A path."),
                Option("integer", .integer(-5...100), default: .integer(7), "A number."),
                Option("size", .size(0...UInt64.max), default: .size(1536), "A size."),
                Option("duration", .duration(0...Int64.max), default: .duration(90_000_000_000), "A time."),
                Option("boolean", .boolean, default: .boolean(false), "Yes or no."),
                Option("choice", .choice(["red", "green"]), default: .text("red"), "A word."),
                Option("either", .choiceOrInteger(["auto"], 1...64), default: .text("auto"), "A word or a number."),
                Option("wait", .choiceOrDuration(["never"], 0...Int64.max), default: .duration(0), "A word or a time."),
                Option("mode", .fileMode, default: .fileMode(0o640), "Permissions."),
            ])
    ) { _ in MemoryStorage() }

    /// A plugin whose faults are about keys that were not given.
    private static let archive = Plugin<any Storage>(
        PluginDescriptor(
            kind: .storage, name: "archive", version: "1", summary: "Refuses itself.",
            options: [Option("place", .text, default: nil, "Where.")]),
        validate: { _ in [OptionFault(key: "place", message: "is far away")] },
        make: { _ in MemoryStorage() })
}

/// Loads a text with the sample plugins.
func load(
    _ text: String?, environment: [String: String] = [:], flags: FlagOverrides = FlagOverrides()
) throws(ConfigurationErrors) -> Configuration {
    let file = text.map { ConfigurationSource.File(text: $0) }
    return try Configuration.load(
        ConfigurationSource(file: file, environment: environment, flags: flags), plugins: Samples.plugins)
}

/// The lines of the errors; none where it loads.
func errors(
    _ text: String?, environment: [String: String] = [:], flags: FlagOverrides = FlagOverrides()
) -> [String] {
    do throws(ConfigurationErrors) {
        _ = try load(text, environment: environment, flags: flags)
        return []
    } catch {
        return error.errors.map(\.description)
    }
}

/// The errors of a file of bytes.
func errors(bytes: [UInt8]) -> [String] {
    do throws(ConfigurationErrors) {
        _ = try Configuration.load(ConfigurationSource(file: .init(bytes: bytes)), plugins: Samples.plugins)
        return []
    } catch {
        return error.errors.map(\.description)
    }
}
