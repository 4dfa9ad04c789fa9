// SPDX-License-Identifier: MIT

public import BinlogStorage
public import TrellisCore

/// A log whose groups are compressed.
public enum CompressedBinlogStorage {
    /// `storage.compressed-binlog`.
    ///
    /// It reads logs of either codec and plain ones, and goes on in the one that is configured.
    public static let plugin = Plugin<any Storage>(
        PluginDescriptor(
            kind: .storage, name: "compressed-binlog", version: "1.0",
            summary: "Keeps jobs in a compressed log on the disk: a third to two thirds of the space.",
            options: BinlogStorage.logOptions + [
                Option(
                    "codec", .choice(["zstd", "lz4"]), default: .text("zstd"),
                    "zstd compresses better, lz4 costs less processor time."),
                Option(
                    "level", .integer(1...19), default: nil,
                    "How hard zstd tries: 1, which holds where nothing is said, is the fastest. lz4 has no levels."),
            ]),
        validate: { options in
            guard options.text("codec") == "lz4", options.integer("level") != nil else { return [] }
            return [OptionFault(key: "level", message: "is for zstd alone; leave it out with codec: lz4")]
        },
        make: { BinlogStorage(settings($0)) })

    /// The settings of a log with what the options say.
    public static func settings(_ options: Options) -> LogSettings {
        var settings = BinlogStorage.logSettings(options, pluginID: "storage.compressed-binlog")
        let zstd = ZstdCodec(level: Int32(options.integer("level") ?? 1))
        settings.codec = options.text("codec") == "lz4" ? LZ4Codec() : zstd
        settings.readableCodecs = [zstd, LZ4Codec()]
        return settings
    }
}
