// SPDX-License-Identifier: MIT

public import TrellisCore

/// A store that keeps nothing: jobs live as long as the server.
public final class MemoryStorage: Storage {
    /// A store without options.
    public init() {}

    /// `storage.memory`.
    public static let plugin = Plugin<any Storage>(
        PluginDescriptor(
            kind: .storage, name: "memory", version: "1.0",
            summary: "Keeps jobs in memory only: they are gone when the server stops.", options: [])
    ) { _ in MemoryStorage() }

    public func open(wake: @escaping @Sendable () -> Void) {}

    public func recover(_ deliver: (StoredJob, StorageNote) -> Void) -> JobID { JobID(0) }

    public func admit(bodyBytes: Int, tubeNameBytes: Int) -> Bool { true }

    public func append(_ change: Change, note: inout StorageNote) {}

    public func commit() -> Commit { .durable }

    public func completed() -> Ticket { Ticket(0) }

    public func segment(of note: StorageNote) -> UInt64 { 0 }

    public var statistics: StorageStatistics { StorageStatistics() }

    public func close() {}
}
