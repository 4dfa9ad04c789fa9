// SPDX-License-Identifier: MIT

import TrellisCore

/// A store whose calls are watched.
final class WatchedStorage: Storage {
    private let store: any Storage
    private let watch: CallWatch

    init(_ store: any Storage, watch: CallWatch) {
        self.store = store
        self.watch = watch
    }

    var keepsJobs: Bool { store.keepsJobs }

    func open(_ access: StorageAccess, host: StorageHost) throws(StorageError) {
        watch.enter("open")
        defer { watch.enter(nil) }
        try store.open(access, host: host)
    }

    func recover(_ deliver: (StoredJob, StorageNote) -> Void) throws(StorageError) -> JobID {
        watch.enter("recover")
        defer { watch.enter(nil) }
        return try store.recover { job, note in
            watch.step()
            deliver(job, note)
        }
    }

    func admit(bodyBytes: Int, tubeNameBytes: Int) -> Bool {
        watch.enter("admit")
        defer { watch.enter(nil) }
        return store.admit(bodyBytes: bodyBytes, tubeNameBytes: tubeNameBytes)
    }

    func append(_ change: Change, note: inout StorageNote) {
        watch.enter("append")
        defer { watch.enter(nil) }
        store.append(change, note: &note)
    }

    func maintain(_ job: JobVisitor) throws(StorageError) -> Bool {
        watch.enter("maintain")
        defer { watch.enter(nil) }
        return try store.maintain(job)
    }

    func commit() throws(StorageError) -> Commit {
        watch.enter("commit")
        defer { watch.enter(nil) }
        return try store.commit()
    }

    func completed() throws(StorageError) -> Ticket {
        watch.enter("completed")
        defer { watch.enter(nil) }
        return try store.completed()
    }

    var isCongested: Bool {
        watch.enter("is_congested")
        defer { watch.enter(nil) }
        return store.isCongested
    }

    func segment(of note: StorageNote) -> UInt64 {
        watch.enter("segment")
        defer { watch.enter(nil) }
        return store.segment(of: note)
    }

    var statistics: StorageStatistics {
        watch.enter("statistics")
        defer { watch.enter(nil) }
        return store.statistics
    }

    func close() throws(StorageError) {
        watch.enter("close")
        defer { watch.enter(nil) }
        try store.close()
    }
}
