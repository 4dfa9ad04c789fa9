// SPDX-License-Identifier: MIT

internal import TrellisFiles

/// Who wrote a log, and how: what a tool needs to open it.
public struct LogKind: Hashable, Sendable {
    /// The name of the plugin, such as `binlog`.
    public var pluginName: String
    /// The name of the codec; nil where nothing is compressed.
    public var codec: String?

    /// What the newest segment in a folder says; nil where no head of one can be read.
    public init?(ofDirectory directory: String) {
        guard let header = LogReader(settings: LogSettings(directory: directory)).newestHeader() else { return nil }
        pluginName = header.pluginID.split(separator: ".", maxSplits: 1).last.map(String.init) ?? header.pluginID
        codec = header.codec == LogSettings.plainCodec ? nil : header.codec
    }
}
