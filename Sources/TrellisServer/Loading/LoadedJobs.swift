// SPDX-License-Identifier: MIT

internal import CTrellisPlugin
internal import TrellisCore

/// Lends a job to a call of C.
@inline(__always)
func withCJob(_ job: StoredJob, _ body: (UnsafePointer<trellis_job>) -> Void) {
    var shown = trellis_job(
        size: MemoryLayout<trellis_job>.size, id: job.id.rawValue,
        tube: job.tube.bytes.baseAddress?.assumingMemoryBound(to: CChar.self), tube_bytes: job.tube.bytes.count,
        body: job.body.baseAddress, body_bytes: job.bodyBytes, state: UInt32(job.state.rawValue),
        priority: job.priority, delay: job.delay, ttr: job.ttr, created_at: job.createdAt, deadline: job.deadline,
        sequence: job.sequence, reserves: job.counters.reserves, timeouts: job.counters.timeouts,
        releases: job.counters.releases, buries: job.counters.buries, kicks: job.counters.kicks,
        failures: UInt32(job.counters.failures))
    body(&shown)
}

/// Takes the jobs that `recover` of a loaded store gives.
struct JobReceiver {
    let deliver: (StoredJob, StorageNote) -> Void
    /// The first job that couldn't be taken, and why.
    var fault: String?

    init(deliver: @escaping (StoredJob, StorageNote) -> Void) { self.deliver = deliver }

    static let receive: trellis_deliver = { context, job, note in
        guard let receiver = context?.assumingMemoryBound(to: JobReceiver.self) else { return }
        guard let job else {
            receiver.pointee.fault = receiver.pointee.fault ?? "gave NULL instead of a job"
            return
        }
        guard job.pointee.size >= MemoryLayout<trellis_job>.size else {
            let need = MemoryLayout<trellis_job>.size
            receiver.pointee.fault =
                receiver.pointee.fault
                ?? "gave a job of \(job.pointee.size) bytes, and one has \(need); set size to sizeof(struct trellis_job)"
            return
        }
        receiver.pointee.take(job.pointee, note)
    }

    private mutating func take(_ job: trellis_job, _ note: UInt64) {
        guard let tube = job.tube else { return reject("job \(job.id) came without a tube") }
        guard let state = UInt8(exactly: job.state).flatMap({ StoredJob.State(rawValue: $0) }) else {
            return reject("job \(job.id) came in the state \(job.state), which there isn't")
        }
        guard job.body != nil || job.body_bytes == 0 else {
            return reject("job \(job.id) came with a body of \(job.body_bytes) bytes at NULL")
        }
        var counters = JobCounters()
        counters.reserves = job.reserves
        counters.timeouts = job.timeouts
        counters.releases = job.releases
        counters.buries = job.buries
        counters.kicks = job.kicks
        counters.failures = UInt8(clamping: job.failures)
        deliver(
            StoredJob(
                id: JobID(job.id), tube: BorrowedName(UnsafeRawBufferPointer(start: tube, count: job.tube_bytes)),
                state: state, priority: job.priority, delay: job.delay, ttr: job.ttr, createdAt: job.created_at,
                deadline: job.deadline, sequence: job.sequence, counters: counters,
                body: UnsafeRawBufferPointer(start: job.body, count: job.body_bytes)), StorageNote(note))
    }

    private mutating func reject(_ reason: String) { fault = fault ?? reason }
}

/// Shows live jobs to `maintain` of a loaded store.
struct JobShower {
    let visit: JobVisitor

    init(visit: @escaping JobVisitor) { self.visit = visit }

    static let show: trellis_show = { server, id, shown, context in
        guard let shower = server?.assumingMemoryBound(to: JobShower.self), let shown else { return false }
        return shower.pointee.visit(JobID(id)) { job, note in
            withCJob(job) { shown(context, $0, &note.rawValue) }
        }
    }
}

/// What a loaded store may ask of the server, in C.
final class LoadedHost: Sendable {
    private let host: StorageHost
    /// What the store gets; lives as long as this object.
    nonisolated(unsafe) let table: UnsafeMutablePointer<trellis_host>

    init(_ host: StorageHost) {
        self.host = host
        table = .allocate(capacity: 1)
        table.initialize(to: trellis_host(size: MemoryLayout<trellis_host>.size, context: nil, wake: nil, report: nil))
        // The table is part of this object, which whoever opened the store keeps until it is closed.
        table.pointee.context = Unmanaged.passUnretained(self).toOpaque()
        table.pointee.wake = { context in
            guard let context else { return }
            Unmanaged<LoadedHost>.fromOpaque(context).takeUnretainedValue().host.wake()
        }
        table.pointee.report = { context, level, line in
            guard let context, let line = text(line) else { return }
            let urgency = level == TRELLIS_INFO.rawValue ? StorageNoticeLevel.info : .warning
            Unmanaged<LoadedHost>.fromOpaque(context).takeUnretainedValue().host.report(urgency, line)
        }
    }

    deinit { table.deallocate() }
}

extension StorageStatistics {
    init(_ numbers: trellis_statistics) {
        self.init()
        oldestSegment = numbers.oldest_segment
        currentSegment = numbers.current_segment
        recordsMigrated = numbers.records_migrated
        recordsWritten = numbers.records_written
        segmentBytes = numbers.segment_bytes
        logBytes = numbers.log_bytes
        liveBytes = numbers.live_bytes
        slowSyncs = numbers.slow_syncs
    }
}
