// SPDX-License-Identifier: MIT

internal import CTrellisPlugin
internal import TrellisCore

/// A scheduler behind the C interface.
///
/// What it answers is checked by the engine, which knows all jobs. Once given up, the C functions are called no more, and
/// the stand-in takes their place.
final class LoadedScheduler: CheckedScheduler {
    private let functions: trellis_scheduler
    private let descriptor: PluginDescriptor
    private let options: LoadedOptions
    /// What `open` made; it stays until the end, since nothing is known of its state.
    private var opened: OpaquePointer?
    /// The same as long as it serves.
    private var order: OpaquePointer?
    private var standIn: (any Scheduler)?
    private var report: (String) -> Void = { _ in }

    init(_ functions: trellis_scheduler, descriptor: PluginDescriptor, options: Options) {
        self.functions = functions
        self.descriptor = descriptor
        self.options = LoadedOptions(options, schema: descriptor.options)
    }

    deinit {
        if let opened { functions.close?(opened) }
    }

    /// The names of functions that must be there and aren't.
    static func missing(_ functions: trellis_scheduler) -> [String] {
        var names: [String] = []
        if functions.open == nil { names.append("open") }
        if functions.tube_opened == nil { names.append("tube_opened") }
        if functions.tube_closed == nil { names.append("tube_closed") }
        if functions.ready == nil { names.append("ready") }
        if functions.removed == nil { names.append("removed") }
        if functions.reserved == nil { names.append("reserved") }
        if functions.eligible == nil { names.append("eligible") }
        if functions.pick == nil { names.append("pick") }
        if functions.peek == nil { names.append("peek") }
        if functions.close == nil { names.append("close") }
        return names
    }

    // MARK: Life

    func open(standIn: any Scheduler, report: @escaping (String) -> Void) throws(SchedulerError) {
        self.standIn = standIn
        self.report = report
        guard opened == nil, let open = functions.open else { return }
        var made: OpaquePointer?
        let (status, text) = callWithError { error, capacity in
            options.withValues { values in
                var request = trellis_order_open(
                    size: MemoryLayout<trellis_order_open>.size, values: values.baseAddress, value_count: values.count)
                return open(&request, &made, error, capacity)
            }
        }
        guard status == TRELLIS_OK else {
            throw SchedulerError("\(label), open: \(text.isEmpty ? "failed and gave no reason" : text)")
        }
        guard let made else { throw SchedulerError("\(label), open: answered TRELLIS_OK and set no order") }
        opened = made
        order = made
    }

    func giveUp(_ reason: String) {
        order = nil
        report(
            "\(label), \(reason); it is asked no more, and jobs go out by priority until the server is started again")
    }

    /// How messages begin.
    private var label: String { "\(descriptor.id) of \(descriptor.file ?? "a file")" }

    // MARK: What it hears

    func advance(to now: Instant) {
        guard let order else { return standIn?.advance(to: now) ?? () }
        functions.advance?(order, now.nanoseconds)
    }

    func tubeOpened(_ tube: TubeIndex, name: BorrowedName, settings: TubeSettings) {
        guard let order else { return standIn?.tubeOpened(tube, name: name, settings: settings) ?? () }
        withCTube(tube, name, settings) { functions.tube_opened?(order, $0) }
    }

    func tubeChanged(_ tube: TubeIndex, settings: TubeSettings) {
        guard let order else { return standIn?.tubeChanged(tube, settings: settings) ?? () }
        withCTube(tube, nil, settings) { functions.tube_changed?(order, $0) }
    }

    func tubeClosed(_ tube: TubeIndex) {
        guard let order else { return standIn?.tubeClosed(tube) ?? () }
        functions.tube_closed?(order, tube.index)
    }

    func ready(_ job: ReadyJob) {
        guard let order else { return standIn?.ready(job) ?? () }
        withCJob(job) { functions.ready?(order, $0) }
    }

    func removed(_ job: ReadyJob) {
        guard let order else { return standIn?.removed(job) ?? () }
        withCJob(job) { functions.removed?(order, $0) }
    }

    func reserved(_ job: ReadyJob, for watched: WatchSet) {
        guard let order else { return standIn?.reserved(job, for: watched) ?? () }
        withCJob(job) { job in withCSet(watched) { functions.reserved?(order, job, $0) } }
    }

    func reservedByID(_ job: ReadyJob) {
        guard let order else { return standIn?.reservedByID(job) ?? () }
        withCJob(job) { functions.reserved_by_id?(order, $0) }
    }

    func finished(_ job: ReadyJob, _ outcome: ReservationOutcome, serviceNanoseconds: Int64) {
        guard let order else {
            return standIn?.finished(job, outcome, serviceNanoseconds: serviceNanoseconds) ?? ()
        }
        let number =
            switch outcome {
            case .deleted: TRELLIS_DELETED
            case .released: TRELLIS_RELEASED
            case .buried: TRELLIS_BURIED_BY_WORKER
            case .timedOut: TRELLIS_TIMED_OUT
            case .connectionLost: TRELLIS_CONNECTION_LOST
            }
        withCJob(job) { functions.finished?(order, $0, number.rawValue, serviceNanoseconds) }
    }

    func eligible(_ tube: TubeIndex, _ isEligible: Bool) {
        guard let order else { return standIn?.eligible(tube, isEligible) ?? () }
        functions.eligible?(order, tube.index, isEligible)
    }

    // MARK: What it is asked

    func pick(_ watched: WatchSet) -> JobSlot? {
        guard let order else { return standIn?.pick(watched) }
        return slot(withCSet(watched) { functions.pick?(order, $0) })
    }

    func peek(_ tube: TubeIndex) -> JobSlot? {
        guard let order else { return standIn?.peek(tube) }
        return slot(functions.peek?(order, tube.index))
    }

    private func slot(_ answer: UInt32?) -> JobSlot? {
        guard let answer, answer != UInt32.max else { return nil }
        return JobSlot(answer)
    }
}

/// Lends a ready job to a call of C.
@inline(__always)
private func withCJob(_ job: ReadyJob, _ body: (UnsafePointer<trellis_ready_job>) -> Void) {
    var shown = trellis_ready_job(
        size: MemoryLayout<trellis_ready_job>.size, id: job.id.rawValue, created_at: job.createdAt.nanoseconds,
        slot: job.slot.index, tube: job.tube.index, priority: job.priority, unused: 0)
    body(&shown)
}

/// Lends a watch list to a call of C: an index of a tube is a number, and nothing else.
@inline(__always)
private func withCSet<Result>(_ set: WatchSet, _ body: (UnsafePointer<trellis_watch_set>) -> Result) -> Result {
    let tubes = UnsafeRawPointer(set.tubes.baseAddress)?.assumingMemoryBound(to: UInt32.self)
    var shown = trellis_watch_set(
        size: MemoryLayout<trellis_watch_set>.size, tubes: tubes, tube_count: set.tubes.count, index: set.index,
        unused: 0)
    return body(&shown)
}

private func withCTube(
    _ tube: TubeIndex, _ name: BorrowedName?, _ settings: TubeSettings, _ body: (UnsafePointer<trellis_tube>) -> Void
) {
    var shown = trellis_tube(
        size: MemoryLayout<trellis_tube>.size,
        name: name?.bytes.baseAddress?.assumingMemoryBound(to: CChar.self), name_bytes: name?.bytes.count ?? 0,
        index: tube.index, weight: settings.weight, objective: settings.objectiveNanoseconds ?? -1)
    body(&shown)
}
