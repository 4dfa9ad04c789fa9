// SPDX-License-Identifier: MIT

public import TrellisCore

/// The order of beanstalkd, to the bit: of all ready jobs in the watched tubes, the one with the least (priority, id).
///
/// - Complexity: `ready` and `reserved` as `ReadyQueue` says; `pick` one comparison for each watched tube, in a dense
///   array of the tubes' first jobs.
public final class PriorityScheduler: Scheduler {
    private let lanes: UnsafeMutablePointer<ReadyLanes<PriorityEntry>>

    /// A scheduler without options.
    public init() {
        lanes = .allocate(capacity: 1)
        lanes.initialize(to: ReadyLanes(nothing: PriorityEntry(id: .max, priority: .max, slot: .max)))
    }

    deinit {
        lanes.deinitialize(count: 1)
        lanes.deallocate()
    }

    /// `scheduler.priority`.
    public static let plugin = Plugin<any Scheduler>(
        PluginDescriptor(
            kind: .scheduler, name: "priority", version: "1.0",
            summary: "Strict priority, as beanstalkd: the least (priority, id) over the watched tubes.", options: [])
    ) { _ in PriorityScheduler() }

    /// Does nothing: the time doesn't matter here.
    public func advance(to now: Instant) {}

    /// Makes a lane for the tube.
    public func tubeOpened(_ tube: TubeIndex, name: BorrowedName, settings: TubeSettings) { lanes.pointee.open(tube) }

    /// Does nothing: here all tubes are equal.
    public func tubeChanged(_ tube: TubeIndex, settings: TubeSettings) {}

    /// Gives the memory of the tube's lane back.
    public func tubeClosed(_ tube: TubeIndex) { lanes.pointee.close(tube) }

    /// Files the job in its tube's lane.
    public func ready(_ job: ReadyJob) { lanes.pointee.insert(PriorityEntry(job), in: job.tube) }

    /// Takes the job out of its lane.
    public func removed(_ job: ReadyJob) { lanes.pointee.remove(PriorityEntry(job), from: job.tube) }

    /// Takes the job out of its lane.
    public func reserved(_ job: ReadyJob, for watched: WatchSet) {
        lanes.pointee.remove(PriorityEntry(job), from: job.tube)
    }

    /// Does nothing: the job left its lane before.
    public func reservedByID(_ job: ReadyJob) {}

    /// Does nothing: past service doesn't matter here.
    public func finished(_ job: ReadyJob, _ outcome: ReservationOutcome, serviceNanoseconds: Int64) {}

    /// Shows the lane's first job to `pick`, or hides it.
    public func eligible(_ tube: TubeIndex, _ isEligible: Bool) { lanes.pointee.setEligible(tube, isEligible) }

    /// The least (priority, id) over the eligible watched tubes.
    public func pick(_ watched: WatchSet) -> JobSlot? {
        let heads = lanes.pointee.heads
        let nothing = lanes.pointee.nothing
        var best = nothing
        for tube in watched.tubes {
            let head = heads[Int(tube.index)]
            if PriorityEntry.precedes(head, best) { best = head }
        }
        return best.slot == nothing.slot ? nil : JobSlot(best.slot)
    }

    /// The least (priority, id) in the tube.
    public func peek(_ tube: TubeIndex) -> JobSlot? { lanes.pointee.first(in: tube).map { JobSlot($0.slot) } }
}
