// SPDX-License-Identifier: MIT

public import TrellisCore

extension BinlogStorage {
    /// The options that every log has.
    public static let logOptions: [Option] = [
        Option(
            "directory", .path, default: .text("data"),
            "The folder of the log's files. It is made where there is none; only one server may use it."),
        Option(
            "sync", .choiceOrDuration(["always", "never"], 1_000_000...60_000_000_000), default: .text("always"),
            "When changes are brought to the disk. always: before they are answered, many at once. A time such as 50ms: at "
                + "that pace; a power loss may cost what came since. never: when the system does. The server's own end, "
                + "even by force, costs nothing."),
        Option(
            "segment-size", .size(1 << 20...1 << 30), default: .size(16 << 20),
            "The size of one file of the log. A larger job gets a file of its own."),
    ]

    /// What options say of the log.
    public static func logSettings(_ options: Options, pluginID: String) -> LogSettings {
        let sync: SyncPolicy =
            switch options.text("sync") {
            case "never": .never
            case "always": .always
            default: options.duration("sync").map { .every($0) } ?? .always
            }
        return LogSettings(
            directory: options.text("directory") ?? "data", sync: sync,
            segmentBytes: options.size("segment-size") ?? 16 << 20, pluginID: pluginID)
    }

    /// `storage.binlog`.
    public static let plugin = Plugin<any Storage>(
        PluginDescriptor(
            kind: .storage, name: "binlog", version: "1.0",
            summary: "Keeps jobs in a log on the disk: they outlive the server.", options: logOptions)
    ) { BinlogStorage(logSettings($0, pluginID: "storage.binlog")) }
}
