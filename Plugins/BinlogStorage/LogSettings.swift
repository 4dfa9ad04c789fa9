// SPDX-License-Identifier: MIT

public import TrellisFiles

/// When the log is synced.
public enum SyncPolicy: Hashable, Sendable {
    /// Before a change is answered: one sync for all changes that wait.
    case always
    /// At that pace, in nanoseconds; a change is written before it is answered.
    case every(Int64)
    /// When a segment is full, and before one is removed; a change is written before it is answered.
    case never
}

/// How a log is kept.
public struct LogSettings: Sendable {
    /// The folder of the segments.
    public var directory: String
    /// When it is synced.
    public var sync: SyncPolicy
    /// The size of a segment's file, in bytes; one for a larger job is larger.
    public var segmentBytes: UInt64
    /// The id of the plugin that writes, for the segments' heads.
    public var pluginID: String
    /// How groups are compressed; nil to store them as they are.
    public var codec: (any LogCodec)?
    /// The codecs that can be read.
    public var readableCodecs: [any LogCodec]
    /// What is written through.
    public var files: any FileSystem
    /// Whether syncing and preparing have threads of their own; without, both are done in `commit`, in order.
    public var hasThreads: Bool

    /// A log as beanstalkd's users know it, but for the defaults given here.
    public init(
        directory: String, sync: SyncPolicy = .always, segmentBytes: UInt64 = 16 << 20,
        pluginID: String = "storage.binlog", codec: (any LogCodec)? = nil, readableCodecs: [any LogCodec] = [],
        files: any FileSystem = LinuxFileSystem.shared, hasThreads: Bool = true
    ) {
        self.directory = directory
        self.sync = sync
        self.segmentBytes = segmentBytes
        self.pluginID = pluginID
        self.codec = codec
        self.readableCodecs = readableCodecs
        self.files = files
        self.hasThreads = hasThreads
    }

    /// What the head of a segment says where groups are stored as they are.
    static let plainCodec = "none"

    var codecName: String { codec?.name ?? Self.plainCodec }
}

/// A way to compress a log: a stream that is flushed at the end of each group, and begun anew from time to time.
public protocol LogCodec: Sendable {
    /// The name in the segments' heads, at most 16 bytes.
    var name: String { get }
    /// The most bytes that one group of so many takes.
    func bound(_ plainBytes: Int) -> Int
    /// What compresses; of one log at a time.
    func makeEncoder() -> any LogEncoder
    /// What reads what an encoder wrote.
    func makeDecoder() -> any LogDecoder
}

/// Compresses the groups of a log, in order.
public protocol LogEncoder: AnyObject {
    /// Adds the compressed group to the output.
    ///
    /// `beginsFrame` says that nothing of what came before may be needed to read it.
    func encode(_ plain: UnsafeRawBufferPointer, beginsFrame: Bool, into output: LogBuffer)
}

/// Reads compressed groups, in order from the beginning of a frame.
public protocol LogDecoder: AnyObject {
    /// Adds the plain group to the output; false where it isn't what an encoder wrote, or has another length.
    ///
    /// Never takes memory for more than `plainBytes`, nor for bytes that don't come.
    func decode(
        _ stored: UnsafeRawBufferPointer, plainBytes: Int, beginsFrame: Bool, into output: LogBuffer
    ) -> Bool
}
