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

    /// False: all is gone when the server stops.
    public var keepsJobs: Bool { false }

    /// Does nothing: there is nothing to open.
    public func open(_ access: StorageAccess, host: StorageHost) {}

    /// Gives no job.
    public func recover(_ deliver: (StoredJob, StorageNote) -> Void) -> JobID { JobID(0) }

    /// Says yes: the engine's memory limit is the only one.
    public func admit(bodyBytes: Int, tubeNameBytes: Int) -> Bool { true }

    /// Forgets the change.
    public func append(_ change: Change, note: inout StorageNote) {}

    /// Does nothing: nothing piles up.
    public func maintain(_ job: JobVisitor) -> Bool { false }

    /// Answers `durable`: nothing is safer than it is already.
    public func commit() -> Commit { .durable }

    /// Answers 0: no ticket was ever given out.
    public func completed() -> Ticket { Ticket(0) }

    /// False: nothing is ever on its way.
    public var isCongested: Bool { false }

    /// Answers 0: there are no segments.
    public func segment(of note: StorageNote) -> UInt64 { 0 }

    /// All 0.
    public var statistics: StorageStatistics { StorageStatistics() }

    /// Does nothing.
    public func close() {}
}
