// SPDX-License-Identifier: MIT

public import TrellisCore

/// Shares the workers among the tubes by weight: start-time fair queueing.
///
/// Within a tube the order is beanstalkd's.
///
/// Goyal, Vin and Cheng, "Start-time fair queueing: a scheduling algorithm for integrated services packet switching
/// networks", SIGCOMM 1996. Each tube has a tag: the virtual time at which its next job starts. A worker gets a job of
/// the watched tube with the least tag, and the tag grows by the cost of the job divided by the tube's weight. A tube
/// that gets jobs after it had none, or could not be served, begins at the present, so that it can't save up. There is no
/// ring of tubes to go round, so a worker that watches three of ten thousand looks at three.
///
/// In the paper there is one server. Here there is one for each watch list, and they overlap; so two things are added.
/// *The present* of a tube is the tag of the job that was taken last by a worker who watches it. And a tube may have got
/// *far ahead* of others because of workers that only it has; when those go, it must not wait until the others have had
/// as much. Once workers who watch it have passed it over 32 times in a row, it is put back to where they are. A tube
/// that is ahead for no more than its own recent jobs isn't far ahead, so that this doesn't touch the shares.
///
/// A measured cost is known only in the end. Until then each job in service counts for what it has taken so far, and for
/// the mean of its tube on top (of all tubes, before one was finished): that is what it may be expected to take yet,
/// however long it has taken.
///
/// - Complexity: `ready` and `removed` as `ReadyQueue` says; `pick` and `reserved` a few instructions for each watched
///   tube; all else O(1).
public final class FairScheduler: Scheduler {
    private let cost: FairCost
    private let lanes: UnsafeMutablePointer<ReadyLanes<PriorityEntry>>
    private var shares: UnsafeMutablePointer<Share>
    private var capacity = 0
    /// The tag of the job that was taken last by anybody: where new tubes begin.
    private var present: Int64 = 0

    // Where service is measured:

    /// The time since the first call, in microseconds: sums of many such times fit into an integer.
    private var now: Int64 = 0
    private var origin: Instant?
    /// For each slot, when its job was reserved; negative where it was reserved by its id.
    private var reservedAt: [Int64] = []
    private var inService = 0
    private var meanService: Int64 = 100_000

    #if DEBUG
    /// How many tubes were looked at, for the test that this doesn't grow with the number of tubes.
    private(set) var looks = 0
    #endif

    /// How many times workers pass over a tube that is far ahead of them.
    private static let patience: UInt32 = 32
    /// So many of its own jobs' costs ahead is far.
    private static let far: Int64 = 8

    /// A scheduler that counts costs so.
    public init(cost: FairCost = .job) {
        self.cost = cost
        lanes = .allocate(capacity: 1)
        lanes.initialize(to: ReadyLanes(nothing: PriorityEntry(id: .max, priority: .max, slot: .max)))
        shares = .allocate(capacity: 0)
    }

    deinit {
        lanes.deinitialize(count: 1)
        lanes.deallocate()
        shares.deallocate()
    }

    /// `scheduler.fair`.
    public static let plugin = Plugin<any Scheduler>(
        PluginDescriptor(
            kind: .scheduler, name: "fair", version: "1.0",
            summary: "Shares the workers among the tubes by weight; priority within a tube.",
            options: [
                Option(
                    "cost", .choice(FairCost.allCases.map(\.rawValue)), default: .text("job"),
                    """
                    What is shared. job: the number of jobs. service: the time of the workers, so that a tube of slow \
                    jobs can't take them all.
                    """)
            ])
    ) { FairScheduler(cost: $0.text("cost").flatMap { FairCost(rawValue: $0) } ?? .job) }

    /// Jobs in service have taken longer.
    public func advance(to now: Instant) {
        guard cost == .service else { return }
        let start = origin ?? now
        origin = start
        self.now = (now.nanoseconds - start.nanoseconds) / 1000
    }

    // MARK: Tubes

    /// Makes a lane for the tube, which begins at the present.
    public func tubeOpened(_ tube: TubeIndex, name: BorrowedName, settings: TubeSettings) {
        lanes.pointee.open(tube)
        if capacity < lanes.pointee.end { grow(to: lanes.pointee.end) }
        shares[Int(tube.index)] = Share(startingAt: present, weight: settings.weight)
    }

    /// The tube has another weight from its next job on.
    public func tubeChanged(_ tube: TubeIndex, settings: TubeSettings) {
        shares[Int(tube.index)].weight = Int64(settings.weight)
    }

    /// Gives the memory of the tube's lane back.
    public func tubeClosed(_ tube: TubeIndex) { lanes.pointee.close(tube) }

    /// Begins at the present, if the tube can be served now and couldn't before.
    public func eligible(_ tube: TubeIndex, _ isEligible: Bool) {
        let wasActive = lanes.pointee.hasHead(tube)
        lanes.pointee.setEligible(tube, isEligible)
        if !wasActive { activate(tube) }
    }

    // MARK: Jobs

    /// Files the job in its tube's lane.
    public func ready(_ job: ReadyJob) {
        let wasActive = lanes.pointee.hasHead(job.tube)
        lanes.pointee.insert(PriorityEntry(job), in: job.tube)
        if !wasActive { activate(job.tube) }
    }

    /// Takes the job out of its lane.
    public func removed(_ job: ReadyJob) { lanes.pointee.remove(PriorityEntry(job), from: job.tube) }

    /// Takes the job out of its lane, charges the tube, and brings what workers of that watch list have passed over
    /// closer.
    public func reserved(_ job: ReadyJob, for watched: WatchSet) {
        let index = Int(job.tube.index)
        let tag = tag(index)
        lanes.pointee.remove(PriorityEntry(job), from: job.tube)
        present = tag
        shares[index].passes = 0
        switch cost {
        case .job: shares[index].start += VirtualTime.perJob / shares[index].weight
        case .service: begin(job)
        }
        pass(tag, watched, except: job.tube)
        if shares[index].start > VirtualTime.limit { forgetThePast() }
    }

    /// Remembers that nobody is charged for it: it wasn't the scheduler's choice.
    public func reservedByID(_ job: ReadyJob) {
        guard cost == .service else { return }
        remember(-1, for: job.slot)
    }

    /// Charges the tube for the service, where that is what is shared.
    public func finished(_ job: ReadyJob, _ outcome: ReservationOutcome, serviceNanoseconds: Int64) {
        guard cost == .service else { return }
        inService -= 1
        let start = reservedAt[Int(job.slot.index)]
        if inService == 0 && reservedAt.count > 1024 { reservedAt = [] }
        guard start >= 0 else { return }
        let service = max(1, serviceNanoseconds / 1000)
        let index = Int(job.tube.index)
        shares[index].inService -= 1
        shares[index].reservedAt &-= start
        shares[index].start += service * VirtualTime.perMicrosecond / shares[index].weight
        shares[index].learn(service)
        meanService += (service - meanService) / 8
        if shares[index].start > VirtualTime.limit { forgetThePast() }
    }

    // MARK: Questions

    /// The first job of the eligible watched tube that has had least; of equal ones, of that watched first.
    public func pick(_ watched: WatchSet) -> JobSlot? {
        let heads = lanes.pointee.heads
        let nothing = lanes.pointee.nothing.slot
        var least = Int64.max
        var best = nothing
        for tube in watched.tubes {
            look()
            let index = Int(tube.index)
            guard heads[index].slot != nothing else { continue }
            let tag = tag(index)
            if tag < least {
                least = tag
                best = heads[index].slot
            }
        }
        return best == nothing ? nil : JobSlot(best)
    }

    /// The least (priority, id) in the tube.
    public func peek(_ tube: TubeIndex) -> JobSlot? { lanes.pointee.first(in: tube).map { JobSlot($0.slot) } }
}

// MARK: - Virtual time

extension FairScheduler {
    @inline(__always)
    private func tag(_ index: Int) -> Int64 {
        switch cost {
        case .job: shares[index].start
        case .service: shares[index].start + pending(index)
        }
    }

    /// What a tube's jobs in service count for.
    private func pending(_ index: Int) -> Int64 {
        let share = shares[index]
        guard share.inService > 0 else { return 0 }
        // The sums may wrap around; what the jobs have taken, their difference, is small enough.
        let soFar = share.inService &* now &- share.reservedAt
        let (product, overflow) = share.inService.multipliedReportingOverflow(by: share.meanService ?? meanService)
        let most = VirtualTime.limit / VirtualTime.perMicrosecond / 2
        let sum = min(max(0, soFar), most) + (overflow ? most : min(product, most))
        return sum * VirtualTime.perMicrosecond / share.weight
    }

    /// What one more job of the tube is expected to add to its tag.
    private func step(_ index: Int) -> Int64 {
        let share = shares[index]
        switch cost {
        case .job: return VirtualTime.perJob / share.weight
        case .service: return (share.meanService ?? meanService) * VirtualTime.perMicrosecond / share.weight + 1
        }
    }

    /// The tube has a job that may be served, perhaps, and had none: it can't have saved up, and hasn't to pay for more
    /// than its recent jobs.
    private func activate(_ tube: TubeIndex) {
        let index = Int(tube.index)
        guard lanes.pointee.hasHead(tube) else { return }
        let clock = shares[index].clock
        let start = shares[index].start + max(0, clock - tag(index))
        shares[index].start = min(start, clock + Self.far * step(index))
        shares[index].passes = 0
    }

    /// A worker took a job at that tag and no job of the other tubes that it watches.
    private func pass(_ tag: Int64, _ watched: WatchSet, except taken: TubeIndex) {
        for tube in watched.tubes {
            look()
            let index = Int(tube.index)
            shares[index].clock = tag
            guard tube != taken, lanes.pointee.hasHead(tube) else { continue }
            // What it has in service it must pay for: that doesn't count here.
            guard shares[index].start - tag > Self.far * step(index) else { continue }
            shares[index].passes += 1
            if shares[index].passes >= Self.patience {
                shares[index].passes = 0
                shares[index].start = tag + step(index)
            }
        }
    }

    @inline(__always)
    private func look() {
        #if DEBUG
        looks += 1
        #endif
    }

    /// All tubes begin anew, equal.
    private func forgetThePast() {
        present = 0
        for index in 0..<capacity {
            look()
            shares[index].start = 0
            shares[index].clock = 0
        }
    }
}

// MARK: - Service

extension FairScheduler {
    private func begin(_ job: ReadyJob) {
        remember(now, for: job.slot)
        shares[Int(job.tube.index)].inService += 1
        shares[Int(job.tube.index)].reservedAt &+= now
    }

    private func remember(_ time: Int64, for slot: JobSlot) {
        inService += 1
        let index = Int(slot.index)
        if index >= reservedAt.count {
            let wanted = max(64, index + 1, reservedAt.count * 2)
            reservedAt += Array(repeating: -1, count: wanted - reservedAt.count)
        }
        reservedAt[index] = time
    }

    private func grow(to wanted: Int) {
        let larger = UnsafeMutablePointer<Share>.allocate(capacity: wanted)
        larger.initialize(repeating: Share(startingAt: 0, weight: 1), count: wanted)
        larger.update(from: shares, count: capacity)
        shares.deallocate()
        shares = larger
        capacity = wanted
    }
}
