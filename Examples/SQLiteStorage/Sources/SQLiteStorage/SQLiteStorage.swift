// SPDX-License-Identifier: MIT

import Glibc
public import TrellisCore

/// A store that keeps jobs in a table of SQLite.
///
/// The changes of a turn wait in memory and become one transaction in `commit`: as many syncs as there are turns, however
/// many jobs were put in them.
public final class SQLiteStorage: Storage {
    /// `storage.sqlite`.
    public static let plugin = Plugin<any Storage>(
        PluginDescriptor(
            kind: .storage, name: "sqlite", version: "1.0", summary: "Keeps jobs in an SQLite database.",
            options: [
                Option(
                    "path", .path, default: .text("jobs.sqlite"),
                    "The file of the database. It is made where there is none; only one server may use it."),
                Option(
                    "reserve", .size(1 << 20...1 << 40), default: .size(16 << 20),
                    "Puts are refused while the disk has less free space than this, which changes of the jobs that are "
                        + "there may need."),
            ])
    ) { SQLiteStorage(path: $0.text("path") ?? "jobs.sqlite", reserve: $0.size("reserve") ?? 16 << 20) }

    private let path: String
    private let reserve: UInt64
    private var database: Database?
    private var turn: [(Action, [Value])] = []
    /// What the disk had left at the last commit, without what this turn will take.
    private var room: UInt64 = 0

    /// A change as a statement; what belongs to the question marks is kept beside it.
    private enum Action: String, CaseIterable {
        case put = """
            INSERT INTO jobs (state, pri, delay, deadline, sequence, reserves, timeouts, releases, buries, kicks, failures,
                id, tube, ttr, created, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """
        case update = """
            UPDATE jobs SET (state, pri, delay, deadline, sequence, reserves, timeouts, releases, buries, kicks, failures)
                = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?
            """
        case move = """
            UPDATE jobs SET (state, pri, delay, deadline, sequence, reserves, timeouts, releases, buries, kicks, failures, tube)
                = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?
            """
        case delete = "DELETE FROM jobs WHERE id = ?"
    }

    /// What brings a database from each version of the schema to the next; never changed, only added to.
    static let migrations = [
        // AUTOINCREMENT has SQLite keep the highest id also when all jobs are gone.
        """
        CREATE TABLE jobs (
            id INTEGER PRIMARY KEY AUTOINCREMENT, tube BLOB NOT NULL, body BLOB NOT NULL, ttr INTEGER NOT NULL,
            created INTEGER NOT NULL, state INTEGER NOT NULL, pri INTEGER NOT NULL, delay INTEGER NOT NULL,
            deadline INTEGER NOT NULL, sequence INTEGER NOT NULL)
        """,
        ["reserves", "timeouts", "releases", "buries", "kicks"]
            .map { "ALTER TABLE jobs ADD COLUMN \($0) INTEGER NOT NULL DEFAULT 0;" }.joined(),
        "ALTER TABLE jobs ADD COLUMN failures INTEGER NOT NULL DEFAULT 0",
    ]

    /// A store in that file; nothing is opened yet.
    public init(path: String, reserve: UInt64 = 16 << 20) {
        self.path = path
        self.reserve = reserve
    }

    /// Opens and locks the database, and brings its schema to the newest version.
    public func open(_ access: StorageAccess, host: StorageHost) throws(StorageError) {
        let database = try Database(path, isReadOnly: access == .readOnly)
        self.database = database
        guard access == .readWrite else { return }
        // The lock is taken by the first transaction and kept until the database is closed.
        try database.run("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
        try database.run("BEGIN EXCLUSIVE")
        let version = Int(try database.integer("PRAGMA user_version"))
        guard version <= Self.migrations.count else {
            throw .fatal("\(path) has schema \(version), and this program knows only \(Self.migrations.count)")
        }
        for migration in Self.migrations[version...] { try database.run(migration) }
        try database.run("PRAGMA user_version = \(Self.migrations.count); COMMIT")
        room = try freeBytes(database)
    }

    /// Gives the rows of the table.
    public func recover(_ deliver: (StoredJob, StorageNote) -> Void) throws(StorageError) -> JobID {
        guard let database else { return JobID(0) }
        try database.rows(
            """
            SELECT state, pri, delay, deadline, sequence, reserves, timeouts, releases, buries, kicks,
                failures, id, ttr, created, tube, body FROM jobs
            """
        ) { row throws(StorageError) in
            guard let state = StoredJob.State(rawValue: UInt8(clamping: row.integer(0))) else {
                throw .corrupt("\(path): job \(row.integer(11)) is in the state \(row.integer(0)), which there isn't")
            }
            var counters = JobCounters()
            counters.reserves = row.number(5)
            counters.timeouts = row.number(6)
            counters.releases = row.number(7)
            counters.buries = row.number(8)
            counters.kicks = row.number(9)
            counters.failures = UInt8(clamping: row.integer(10))
            deliver(
                StoredJob(
                    id: JobID(UInt64(row.integer(11))), tube: BorrowedName(row.blob(14)), state: state,
                    priority: row.number(1), delay: row.number(2), ttr: row.number(12), createdAt: row.integer(13),
                    deadline: row.integer(3), sequence: UInt64(bitPattern: row.integer(4)), counters: counters,
                    body: row.blob(15)), StorageNote())
        }
        return JobID(UInt64(try database.integer("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'")))
    }

    /// Says no where a put would take of what is kept free; a row takes its body and less than 1 KiB, in the log and
    /// in the table.
    public func admit(bodyBytes: Int, tubeNameBytes: Int) -> Bool {
        let bytes = UInt64(2 * (bodyBytes + 1024))
        return room >= reserve + bytes
    }

    /// Keeps the change for `commit`.
    public func append(_ change: Change, note: inout StorageNote) {
        switch change {
        case .put(let job):
            turn.append(
                (
                    .put,
                    changing(job) + [
                        .integer(job.id.rawValue), .blob(Array(job.tube.bytes)),
                        .integer(job.ttr), .integer(job.createdAt), .blob(Array(job.body)),
                    ]
                ))
            room -= min(room, UInt64(2 * (job.body.count + 1024)))
        case .update(let job): turn.append((.update, changing(job) + [.integer(job.id.rawValue)]))
        case .move(let job, _):
            turn.append((.move, changing(job) + [.blob(Array(job.tube.bytes)), .integer(job.id.rawValue)]))
        case .delete(let job): turn.append((.delete, [.integer(job.id.rawValue)]))
        }
    }

    private func changing(_ job: StoredJob) -> [Value] {
        let counters = job.counters
        return [
            .integer(job.state.rawValue), .integer(job.priority), .integer(job.delay), .integer(job.deadline),
            .integer(Int64(bitPattern: job.sequence)), .integer(counters.reserves), .integer(counters.timeouts),
            .integer(counters.releases), .integer(counters.buries), .integer(counters.kicks),
            .integer(counters.failures),
        ]
    }

    /// Does nothing: SQLite writes its log back to the table by itself.
    public func maintain(_ job: JobVisitor) -> Bool { false }

    /// Makes the turn a transaction, which is synced when it returns.
    public func commit() throws(StorageError) -> Commit {
        guard let database else { return .durable }
        guard !turn.isEmpty else {
            // Others use the disk, too.
            room = try freeBytes(database)
            return .durable
        }
        defer { turn.removeAll(keepingCapacity: true) }
        try database.run("BEGIN")
        for (action, values) in turn { try database.run(prepared: action.rawValue, values) }
        try database.run("COMMIT")
        room = try freeBytes(database)
        return .durable
    }

    /// Answers 0: no ticket is ever given out.
    public func completed() -> Ticket { Ticket(0) }

    /// False: nothing is ever on its way.
    public var isCongested: Bool { false }

    /// Answers 0: there are no segments.
    public func segment(of note: StorageNote) -> UInt64 { 0 }

    /// All 0.
    public var statistics: StorageStatistics { StorageStatistics() }

    /// Commits what is left, and closes the database.
    public func close() throws(StorageError) {
        guard let database else { return }
        defer {
            database.close()
            self.database = nil
        }
        if !turn.isEmpty { _ = try commit() }
    }

    /// What the disk has left, and the pages of the database that are free; 0 where too little is left for SQLite's log,
    /// without which no change goes through.
    private func freeBytes(_ database: Database) throws(StorageError) -> UInt64 {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return 0 }
        let disk = UInt64(status.f_bavail) * UInt64(status.f_frsize)
        guard disk >= reserve / 2 else { return 0 }
        return disk + UInt64(try database.integer("PRAGMA freelist_count") * database.integer("PRAGMA page_size"))
    }
}
