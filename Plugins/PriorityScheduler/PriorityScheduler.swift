// SPDX-License-Identifier: MIT

public import TrellisCore

/// The order of beanstalkd, to the bit: of all ready jobs in the watched tubes, the one with the least (priority, id).
///
/// - Complexity: `ready` and `reserved` as `ReadyQueue` says; `pick` O(1) for one watched tube, else one comparison for
///   each watched tube, in a dense array of the tubes' first jobs.
public final class PriorityScheduler: Scheduler {
    private struct Lane: ~Copyable {
        var queue = ReadyQueue()
        var isEligible = true
    }

    /// For each tube, its jobs.
    private var lanes: UnsafeMutablePointer<Lane>
    /// For each tube, its first job if it may be served, else `nothing`.
    private var heads: UnsafeMutablePointer<ReadyEntry>
    private var capacity = 16
    private var places = SlotPlaces()
    private var readyCount = 0

    /// Comes after every job.
    private static let nothing = ReadyEntry(id: .max, priority: .max, slot: .max)

    /// A scheduler without options.
    public init() {
        lanes = .allocate(capacity: capacity)
        heads = .allocate(capacity: capacity)
        heads.initialize(repeating: Self.nothing, count: capacity)
        for index in 0..<capacity { (lanes + index).initialize(to: Lane()) }
    }

    deinit {
        lanes.deinitialize(count: capacity)
        lanes.deallocate()
        heads.deallocate()
    }

    /// `scheduler.priority`.
    public static let plugin = Plugin<any Scheduler>(
        PluginDescriptor(
            kind: .scheduler, name: "priority", version: "1.0",
            summary: "Strict priority, as beanstalkd: the least (priority, id) over the watched tubes.", options: [])
    ) { _ in PriorityScheduler() }

    /// Makes a lane for the tube.
    public func tubeOpened(_ tube: TubeIndex, name: BorrowedName) {
        if Int(tube.index) >= capacity { grow(toHold: Int(tube.index)) }
        lanes[Int(tube.index)].isEligible = true
    }

    /// Gives the memory of the tube's lane back.
    public func tubeClosed(_ tube: TubeIndex) {
        // The new lane has no memory of its own: a tube that is gone keeps nothing.
        lanes[Int(tube.index)] = Lane()
        heads[Int(tube.index)] = Self.nothing
    }

    /// Files the job in its tube's lane.
    public func ready(_ job: ReadyJob) {
        readyCount += 1
        let tube = Int(job.tube.index)
        let entry = entry(job)
        lanes[tube].queue.insert(entry, places: &places)
        if lanes[tube].isEligible && ReadyEntry.precedes(entry, heads[tube]) { heads[tube] = entry }
    }

    /// Takes the job out of its lane.
    public func removed(_ job: ReadyJob) { take(job) }

    /// Takes the job out of its lane.
    public func reserved(_ job: ReadyJob) { take(job) }

    /// Does nothing: past service doesn't matter here.
    public func finished(_ job: ReadyJob, _ outcome: ReservationOutcome, serviceNanoseconds: Int64) {}

    /// Shows the lane's first job to `pick`, or hides it.
    public func eligible(_ tube: TubeIndex, _ isEligible: Bool) {
        lanes[Int(tube.index)].isEligible = isEligible
        setHead(Int(tube.index))
    }

    /// The least (priority, id) over the eligible watched tubes.
    public func pick(_ watched: WatchSet) -> JobSlot? {
        let heads = heads
        var best = Self.nothing
        for tube in watched.tubes {
            let head = heads[Int(tube.index)]
            if ReadyEntry.precedes(head, best) { best = head }
        }
        return best.slot == Self.nothing.slot ? nil : JobSlot(best.slot)
    }

    /// The least (priority, id) in the tube.
    public func peek(_ tube: TubeIndex) -> JobSlot? {
        lanes[Int(tube.index)].queue.first.map { JobSlot($0.slot) }
    }

    private func take(_ job: ReadyJob) {
        lanes[Int(job.tube.index)].queue.remove(entry(job), places: &places)
        setHead(Int(job.tube.index))
        readyCount -= 1
        if readyCount == 0 { places.giveBack() }
    }

    private func setHead(_ tube: Int) {
        heads[tube] = lanes[tube].isEligible ? lanes[tube].queue.first ?? Self.nothing : Self.nothing
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
        let moreHeads = UnsafeMutablePointer<ReadyEntry>.allocate(capacity: wanted)
        moreHeads.moveInitialize(from: heads, count: capacity)
        (moreHeads + capacity).initialize(repeating: Self.nothing, count: wanted - capacity)
        heads.deallocate()
        heads = moreHeads
        capacity = wanted
    }
}
