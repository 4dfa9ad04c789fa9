// SPDX-License-Identifier: MIT

public import TrellisCore

/// The order of beanstalkd, to the bit: of all ready jobs in the watched tubes, the one with the least (priority, id).
///
/// - Complexity: `ready` and `reserved` as `ReadyQueue` says; `pick` O(1) for one watched tube, else one comparison for
///   each watched tube.
public final class PriorityScheduler: Scheduler {
    private struct Lane: ~Copyable {
        var queue = ReadyQueue()
        var isEligible = true
    }

    /// For each tube, its jobs.
    private var lanes: UnsafeMutablePointer<Lane>
    private var capacity = 16
    private var places = SlotPlaces()
    private var readyCount = 0

    /// A scheduler without options.
    public init() {
        lanes = .allocate(capacity: capacity)
        for index in 0..<capacity { (lanes + index).initialize(to: Lane()) }
    }

    deinit {
        lanes.deinitialize(count: capacity)
        lanes.deallocate()
    }

    /// `scheduler.priority`.
    public static let plugin = Plugin<any Scheduler>(
        PluginDescriptor(
            kind: .scheduler, name: "priority", version: "1.0",
            summary: "Strict priority, as beanstalkd: the least (priority, id) over the watched tubes.", options: [])
    ) { _ in PriorityScheduler() }

    public func tubeOpened(_ tube: TubeIndex, name: BorrowedName) {
        if Int(tube.index) >= capacity { grow(toHold: Int(tube.index)) }
        lanes[Int(tube.index)].isEligible = true
    }

    public func tubeClosed(_ tube: TubeIndex) {
        // The new lane has no memory of its own: a tube that is gone keeps nothing.
        lanes[Int(tube.index)] = Lane()
    }

    public func ready(_ job: ReadyJob) {
        readyCount += 1
        lanes[Int(job.tube.index)].queue.insert(entry(job), places: &places)
    }

    public func removed(_ job: ReadyJob) { take(job) }

    public func reserved(_ job: ReadyJob) { take(job) }

    public func finished(_ job: ReadyJob, _ outcome: ReservationOutcome, serviceNanoseconds: Int64) {}

    public func eligible(_ tube: TubeIndex, _ isEligible: Bool) { lanes[Int(tube.index)].isEligible = isEligible }

    public func pick(_ watched: WatchSet) -> JobSlot? {
        var best: ReadyEntry?
        for tube in watched.tubes where lanes[Int(tube.index)].isEligible {
            guard let first = lanes[Int(tube.index)].queue.first else { continue }
            if let known = best, !ReadyEntry.precedes(first, known) { continue }
            best = first
        }
        return best.map { JobSlot($0.slot) }
    }

    public func peek(_ tube: TubeIndex) -> JobSlot? {
        lanes[Int(tube.index)].queue.first.map { JobSlot($0.slot) }
    }

    private func take(_ job: ReadyJob) {
        lanes[Int(job.tube.index)].queue.remove(entry(job), places: &places)
        readyCount -= 1
        if readyCount == 0 { places.giveBack() }
    }

    private func entry(_ job: ReadyJob) -> ReadyEntry {
        ReadyEntry(id: job.id.rawValue, priority: job.priority, slot: job.slot.index)
    }

    private func grow(toHold tube: Int) {
        let wanted = max(tube + 1, capacity * 2)
        let larger = UnsafeMutablePointer<Lane>.allocate(capacity: wanted)
        larger.moveInitialize(from: lanes, count: capacity)
        for index in capacity..<wanted { (larger + index).initialize(to: Lane()) }
        lanes.deallocate()
        lanes = larger
        capacity = wanted
    }
}
