// SPDX-License-Identifier: MIT

public import TrellisCore

/// Schedulers that give each job a key when it becomes ready and serve the least (key, id) over the watched tubes:
/// `fifo`, `lifo`, `deadline` and `aging`.
///
/// No key changes while its job waits, so nothing is ever sorted again. What changes for a whole tube, its objective, is
/// kept beside the tube and added when tubes are compared: within one tube it makes no difference.
///
/// - Complexity: `ready` and `reserved` as `ReadyQueue` says: O(1) for jobs whose keys ascend, as those of `fifo` and
///   `deadline` do, else O(log n); `pick` one comparison for each watched tube.
public final class KeyedScheduler: Scheduler {
    /// What the key is.
    public enum Order: Hashable, Sendable {
        /// First come, first served: the least id.
        case fifo
        /// Last come, first served: the highest id.
        case lifo
        /// The earliest deadline first: put time plus the tube's objective, or the given one where the tube has none,
        /// in nanoseconds.
        ///
        /// Liu and Layland, "Scheduling algorithms for multiprogramming in a hard-real-time environment", Journal of the
        /// ACM 20 (1973), section 7: whatever can be in time at all with one worker is in time in this order.
        case deadline(otherwise: Int64)
        /// Priority, with age: a job overtakes those of a priority one better that were put more than the given time
        /// after it, in milliseconds.
        ///
        /// That is, all jobs' effective priority falls by 1 each such time. Since it falls for all alike, the order of
        /// two jobs never changes, and the key is the priority, counted in that time, plus the put time.
        case aging(pace: Int64)
    }

    private let order: Order
    private let lanes: UnsafeMutablePointer<ReadyLanes<KeyedEntry>>
    /// For each tube, what is added to its keys.
    private var shifts: [Int64] = []

    /// A scheduler of that order.
    public init(_ order: Order) {
        self.order = order
        lanes = .allocate(capacity: 1)
        lanes.initialize(to: ReadyLanes(nothing: KeyedEntry(key: .max, id: .max, slot: .max)))
    }

    deinit {
        lanes.deinitialize(count: 1)
        lanes.deallocate()
    }

    /// Does nothing: keys hold points in time.
    public func advance(to now: Instant) {}

    /// Makes a lane for the tube.
    public func tubeOpened(_ tube: TubeIndex, name: BorrowedName, settings: TubeSettings) {
        lanes.pointee.open(tube)
        if shifts.count < lanes.pointee.end {
            shifts += Array(repeating: 0, count: lanes.pointee.end - shifts.count)
        }
        tubeChanged(tube, settings: settings)
    }

    /// The jobs that wait in the tube have other deadlines from now on.
    public func tubeChanged(_ tube: TubeIndex, settings: TubeSettings) {
        guard case .deadline(let otherwise) = order else { return }
        shifts[Int(tube.index)] = settings.objectiveNanoseconds ?? otherwise
    }

    /// Gives the memory of the tube's lane back.
    public func tubeClosed(_ tube: TubeIndex) { lanes.pointee.close(tube) }

    /// Files the job in its tube's lane.
    public func ready(_ job: ReadyJob) { lanes.pointee.insert(entry(job), in: job.tube) }

    /// Takes the job out of its lane.
    public func removed(_ job: ReadyJob) { lanes.pointee.remove(entry(job), from: job.tube) }

    /// Takes the job out of its lane.
    public func reserved(_ job: ReadyJob, for watched: WatchSet) { lanes.pointee.remove(entry(job), from: job.tube) }

    /// Does nothing: the job left its lane before.
    public func reservedByID(_ job: ReadyJob) {}

    /// Does nothing: past service doesn't matter here.
    public func finished(_ job: ReadyJob, _ outcome: ReservationOutcome, serviceNanoseconds: Int64) {}

    /// Shows the lane's first job to `pick`, or hides it.
    public func eligible(_ tube: TubeIndex, _ isEligible: Bool) { lanes.pointee.setEligible(tube, isEligible) }

    /// The least key over the eligible watched tubes.
    public func pick(_ watched: WatchSet) -> JobSlot? {
        let heads = lanes.pointee.heads
        let nothing = lanes.pointee.nothing
        var best = nothing
        for tube in watched.tubes {
            var head = heads[Int(tube.index)]
            guard head.slot != nothing.slot else { continue }
            head.key += shifts[Int(tube.index)]
            if KeyedEntry.precedes(head, best) { best = head }
        }
        return best.slot == nothing.slot ? nil : JobSlot(best.slot)
    }

    /// The least key in the tube.
    public func peek(_ tube: TubeIndex) -> JobSlot? { lanes.pointee.first(in: tube).map { JobSlot($0.slot) } }

    /// The same for a job each time, until its reservation ends.
    private func entry(_ job: ReadyJob) -> KeyedEntry {
        let key =
            switch order {
            case .fifo: Int64(0)
            case .lifo: -Int64(clamping: job.id.rawValue)
            case .deadline: job.createdAt.nanoseconds
            case .aging(let pace): Int64(job.priority) * pace + job.createdAt.nanoseconds / 1_000_000
            }
        return KeyedEntry(key: key, id: job.id.rawValue, slot: job.slot.index)
    }
}
