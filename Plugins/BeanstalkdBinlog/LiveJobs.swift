// SPDX-License-Identifier: MIT

internal import TrellisCore

/// The jobs that live at one point of the log; a body is known by its place only.
///
/// Cost: about 150 bytes a live job; what is deleted makes room for the next.
struct LiveJobs {
    struct Job {
        var id: UInt64
        /// Where the body begins, in the file with that index.
        var bodyOffset: UInt64
        var createdAt: Int64
        var deadline: Int64
        /// The number of the record that buried it.
        var burial: UInt64
        var counters: JobCounters
        var file: UInt32
        /// With its `\r\n`.
        var bodyBytes: UInt32
        var tube: UInt32
        var priority: UInt32
        var delay: UInt32
        var ttr: UInt32
        var state: LoggedRecord.State
    }

    private var slots: [UInt64: UInt32] = [:]
    private var jobs: [Job] = []
    private var free: [UInt32] = []
    private var tubes = TubeTable()

    var count: Int { slots.count }

    subscript(slot: UInt32) -> Job { jobs[Int(slot)] }

    /// The name of a tube, valid for the call.
    func withName<E: Error>(of tube: UInt32, _ body: (BorrowedName) throws(E) -> Void) throws(E) {
        let name = tubes.name(of: tube)
        let outcome: Result<Void, E> = name.withUnsafeBytes { bytes in
            do throws(E) { return .success(try body(BorrowedName(bytes))) } catch { return .failure(error) }
        }
        try outcome.get()
    }

    /// Takes a record with a body.
    ///
    /// A job that is known already has moved (the reference copies jobs out of its oldest file, so that it can remove
    /// it); it keeps its tube, as it does there.
    mutating func put(
        _ record: LoggedRecord, number: UInt64, tube: UnsafeRawBufferPointer, file: UInt32, bodyOffset: UInt64
    ) throws(Flaw) {
        guard record.state != .deleted else { throw Flaw("job \(record.id) is deleted and has a body") }
        if let slot = slots[record.id] {
            try checkSize(record, slot)
            change(slot, record, number: number, isCopy: true)
            jobs[Int(slot)].file = file
            jobs[Int(slot)].bodyOffset = bodyOffset
            return
        }
        let job = Job(
            id: record.id, bodyOffset: bodyOffset, createdAt: record.createdAt, deadline: record.deadline,
            burial: number, counters: record.counters, file: file, bodyBytes: UInt32(record.bodyBytes),
            tube: tubes.take(tube), priority: record.priority, delay: record.delay, ttr: record.ttr,
            state: record.state)
        if let slot = free.popLast() {
            jobs[Int(slot)] = job
            slots[record.id] = slot
        } else {
            slots[record.id] = UInt32(jobs.count)
            jobs.append(job)
        }
    }

    /// Takes a record without a body; false where the job isn't known, which is no fault: the file with its body is gone
    /// because the job is.
    mutating func update(_ record: LoggedRecord, number: UInt64) throws(Flaw) -> Bool {
        guard let slot = slots[record.id] else { return false }
        try checkSize(record, slot)
        if record.state == .deleted {
            slots[record.id] = nil
            tubes.giveBack(jobs[Int(slot)].tube)
            free.append(slot)
        } else {
            change(slot, record, number: number, isCopy: false)
        }
        return true
    }

    private func checkSize(_ record: LoggedRecord, _ slot: UInt32) throws(Flaw) {
        let known = jobs[Int(slot)].bodyBytes
        guard record.bodyBytes == known else {
            let size = Int(known) - RecordFormat.bodyEndBytes
            throw Flaw("job \(record.id) had \(size) bytes, now \(record.bodyBytes - RecordFormat.bodyEndBytes)")
        }
    }

    private mutating func change(_ slot: UInt32, _ record: LoggedRecord, number: UInt64, isCopy: Bool) {
        let old = jobs[Int(slot)]
        // A buried job may be reserved, which isn't logged, and buried again. A copy counts the reference's own
        // burial at a restart, too, which moved nothing.
        let isBuriedAgain = old.state != .buried || !isCopy && old.counters.buries != record.counters.buries
        if record.state == .buried && isBuriedAgain { jobs[Int(slot)].burial = number }
        jobs[Int(slot)].state = record.state
        jobs[Int(slot)].priority = record.priority
        jobs[Int(slot)].delay = record.delay
        jobs[Int(slot)].ttr = record.ttr
        jobs[Int(slot)].createdAt = record.createdAt
        jobs[Int(slot)].deadline = record.deadline
        jobs[Int(slot)].counters = record.counters
    }

    /// The order in which jobs are delivered: as their bodies lie, then the buried ones as they were buried.
    func deliveryOrder() -> [UInt32] {
        var order: [UInt32] = []
        order.reserveCapacity(slots.count)
        for slot in slots.values { order.append(slot) }
        jobs.withUnsafeBufferPointer { jobs in
            order.sort { left, right in
                let (left, right) = (jobs[Int(left)], jobs[Int(right)])
                let (leftIsBuried, rightIsBuried) = (left.state == .buried, right.state == .buried)
                if leftIsBuried != rightIsBuried { return rightIsBuried }
                if leftIsBuried { return left.burial < right.burial }
                return (left.file, left.bodyOffset) < (right.file, right.bodyOffset)
            }
        }
        return order
    }
}

/// The names of the tubes that live jobs are in.
private struct TubeTable {
    private var names: [[UInt8]] = []
    private var jobs: [Int] = []
    private var indices: [[UInt8]: UInt32] = [:]
    private var free: [UInt32] = []
    private var last: UInt32 = 0

    func name(of tube: UInt32) -> [UInt8] { names[Int(tube)] }

    /// Counts one more job in the tube.
    mutating func take(_ name: UnsafeRawBufferPointer) -> UInt32 {
        // Most jobs come in runs of one tube.
        if Int(last) < names.count, jobs[Int(last)] > 0, names[Int(last)].elementsEqual(name) {
            jobs[Int(last)] += 1
            return last
        }
        let name = Array(name)
        if let tube = indices[name] {
            last = tube
            jobs[Int(tube)] += 1
            return tube
        }
        if let tube = free.popLast() {
            last = tube
            names[Int(tube)] = name
            jobs[Int(tube)] = 1
        } else {
            last = UInt32(names.count)
            names.append(name)
            jobs.append(1)
        }
        indices[name] = last
        return last
    }

    /// Counts one job less; a tube without jobs is forgotten.
    mutating func giveBack(_ tube: UInt32) {
        jobs[Int(tube)] -= 1
        guard jobs[Int(tube)] == 0 else { return }
        indices[names[Int(tube)]] = nil
        names[Int(tube)] = []
        free.append(tube)
    }
}
