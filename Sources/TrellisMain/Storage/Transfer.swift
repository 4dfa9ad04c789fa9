// SPDX-License-Identifier: MIT

import Glibc
import TrellisConfiguration
import TrellisCore

/// Fills an empty store, and looks whether all is there.
final class Transfer {
    private let choice: Choice<any Storage>
    private let target: any Storage
    private let progress: Progress
    private var written = Contents()
    private var largestID = JobID(0)
    private var highest = JobID(0)

    /// What a store holds, in a few bytes: the same for the same jobs, in whatever order they come.
    private struct Contents: Equatable {
        var jobs = 0
        var digest: UInt64 = 0

        mutating func add(_ job: StoredJob) {
            jobs += 1
            var hasher = Hasher()
            hasher.combine(job.id)
            hasher.combine(bytes: job.tube.bytes)
            hasher.combine(job.state)
            hasher.combine([job.priority, job.delay, job.ttr])
            hasher.combine([job.createdAt, job.deadline])
            hasher.combine(job.sequence)
            hasher.combine(job.counters)
            hasher.combine(bytes: job.body)
            digest &+= UInt64(bitPattern: Int64(hasher.finalize()))
        }
    }

    init(_ choice: Choice<any Storage>, _ progress: Progress) {
        self.choice = choice
        target = choice.make()
        self.progress = progress
    }

    var summary: String {
        "jobs written to \(choice.plugin.descriptor.id): \(written.jobs); the highest id is \(highest.rawValue)"
    }

    /// Opens the store, takes the jobs that `read` gives, and the highest id that it answers; then looks whether all are
    /// there.
    func run(_ read: ((StoredJob) throws(StorageError) -> Void) throws(StorageError) -> JobID) throws(CommandFailure) {
        try refuseFilled()
        do throws(StorageError) {
            try target.open(.readWrite, host: commandHost)
            _ = try target.recover { _, _ in }
            highest = try read { job throws(StorageError) in try self.put(job) }
            try raiseHighest()
            try waitForAll()
            try target.close()
        } catch {
            try? target.close()
            var failure = CommandFailure(error)
            if written.jobs > 0 {
                failure.message += "; the copy is not whole: remove it before you try again"
            }
            throw failure
        }
        progress.finish()
        try check()
    }

    /// Looks before anything is opened to be written: what isn't empty must stay as it is, to the byte.
    private func refuseFilled() throws(CommandFailure) {
        var there = 0
        let highest: JobID
        do throws(StorageError) {
            highest = try readAll(choice.make()) { _ in there += 1 }
        } catch {
            // Where there is nothing yet, there is nothing to be read; all else comes up again when it is opened.
            if case .fatal = error { return }
            throw CommandFailure(error)
        }
        guard there == 0, highest == JobID(0) else {
            throw CommandFailure(
                "the store to write to isn't empty: jobs: \(there), highest id: \(highest.rawValue); "
                    + "nothing was written")
        }
    }

    private func put(_ job: StoredJob) throws(StorageError) {
        guard target.admit(bodyBytes: job.body.count, tubeNameBytes: job.tube.bytes.count) else {
            throw .full("there is no room for job \(job.id.rawValue)")
        }
        var note = StorageNote()
        target.append(.put(job), note: &note)
        written.add(job)
        largestID = max(largestID, job.id)
        if written.jobs % 256 == 0 { try commit() }
        progress.report("jobs copied: \(written.jobs)")
    }

    private func commit() throws(StorageError) {
        _ = try target.commit()
        while target.isCongested {
            usleep(1000)
            _ = try target.completed()
        }
    }

    /// Ids of jobs that are gone must not be given out again: a job of the highest id comes and goes.
    private func raiseHighest() throws(StorageError) {
        guard highest > largestID else {
            highest = largestID
            return
        }
        let name: StaticString = "default"
        let job = name.withUTF8Buffer { name in
            StoredJob(
                id: highest, tube: BorrowedName(UnsafeRawBufferPointer(name)), state: .ready, priority: 0, delay: 0,
                ttr: 1, createdAt: 0, deadline: 0, sequence: 0, counters: JobCounters(),
                body: UnsafeRawBufferPointer(start: nil, count: 0))
        }
        guard target.admit(bodyBytes: 0, tubeNameBytes: name.utf8CodeUnitCount) else {
            throw .full("there is no room for the highest id")
        }
        var note = StorageNote()
        target.append(.put(job), note: &note)
        target.append(.delete(job), note: &note)
    }

    private func waitForAll() throws(StorageError) {
        guard case .pending(let ticket) = try target.commit() else { return }
        while try target.completed() < ticket { usleep(1000) }
    }

    private func check() throws(CommandFailure) {
        // A store that keeps nothing has nothing to read again.
        guard target.keepsJobs else { return }
        var there = Contents()
        let again: JobID
        do throws(StorageError) {
            again = try readAll(choice.make()) { there.add($0) }
        } catch {
            throw CommandFailure(error)
        }
        guard there == written, again >= highest else {
            throw CommandFailure(
                "the copy isn't like the original: jobs: \(there.jobs) of \(written.jobs), highest id: \(again.rawValue) instead "
                    + "of \(highest.rawValue); don't use it")
        }
    }
}
