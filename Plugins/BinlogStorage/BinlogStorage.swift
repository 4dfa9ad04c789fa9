// SPDX-License-Identifier: MIT

public import TrellisCore

/// A log on the disk: every change is a record, and old segments are compacted away.
///
/// docs/binlog-format.md describes what is written.
public final class BinlogStorage: VerifiableStorage, SegmentedStorage {
    private let log: UnsafeMutablePointer<Log>

    /// A log that isn't open yet.
    public init(_ settings: LogSettings) {
        log = .allocate(capacity: 1)
        log.initialize(to: Log(settings))
    }

    deinit {
        log.deinitialize(count: 1)
        log.deallocate()
    }

    /// Locks the folder, which is made where there is none, and finds the log's end.
    ///
    /// A torn tail is told in a warning; damage before it is `corrupt`. Nothing is changed before `recover` has read all.
    public func open(_ access: StorageAccess, host: StorageHost) throws(StorageError) {
        try log.pointee.open(access, host: host)
    }

    /// Gives the live jobs, segment by segment from the newest to the oldest, and goes on where the log ends.
    public func recover(_ deliver: (StoredJob, StorageNote) -> Void) throws(StorageError) -> JobID {
        try log.pointee.recover(deliver)
    }

    /// Whether a put fits beside what is kept free for the changes of all live jobs.
    ///
    /// Cheap while there is room; where there isn't, a segment is made ready at once, if the disk has room for one.
    public func admit(bodyBytes: Int, tubeNameBytes: Int) -> Bool {
        log.pointee.admit(bodyBytes: bodyBytes, tubeNameBytes: tubeNameBytes)
    }

    /// Takes one change into the group of this turn.
    public func append(_ change: Change, note: inout StorageNote) { log.pointee.append(change, note: &note) }

    /// Copies a piece of the oldest segment where there is reason to, and lets go of segments that aren't needed.
    public func maintain(_ job: JobVisitor) throws(StorageError) -> Bool { try log.pointee.maintain(job) }

    /// Writes what the turn appended; with `always`, a thread does, and a ticket tells when it is synced.
    public func commit() throws(StorageError) -> Commit { try log.pointee.commit() }

    /// The newest group that is synced.
    public func completed() throws(StorageError) -> Ticket { try log.pointee.completed() }

    /// Whether more than 64 MiB are on their way to the disk.
    public var isCongested: Bool { log.pointee.isCongested }

    /// The segment of the job's newest put record.
    public func segment(of note: StorageNote) -> UInt64 { LogNote(note).segment }

    /// The numbers of the log.
    public var statistics: StorageStatistics { log.pointee.statistics }

    /// What each segment held at the start.
    public var recoveredSegments: [SegmentStatistics] { log.pointee.recovered }

    /// Writes and syncs what is pending, ends the threads and gives up the lock.
    public func close() throws(StorageError) { try log.pointee.close() }

    /// Reads every segment and checks every checksum; changes nothing.
    public func verify(progress: (UInt64, UInt64) -> Void) throws(StorageError) -> [StorageFinding] {
        try log.pointee.verify(progress: progress)
    }

    /// Writes all jobs that can be read into new segments and puts the old ones aside, under names that end in
    /// `.damaged`.
    public func repair(progress: (UInt64, UInt64) -> Void) throws(StorageError) -> [String] {
        try log.pointee.repair(progress: progress)
    }
}
