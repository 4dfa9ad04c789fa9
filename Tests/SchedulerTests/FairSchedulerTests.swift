// SPDX-License-Identifier: MIT

import PriorityScheduler
import Testing
import TrellisCore

@testable import FairScheduler
@testable import TrellisTestKit

@Suite struct FairSchedulerTests {
    private func everybody(_ count: Int, _ tubes: Int) -> [Crowd.Worker] {
        Array(repeating: Crowd.Worker(list: Array(0..<UInt32(tubes))), count: count)
    }

    // MARK: Shares

    @Test(
        arguments: [
            (1, [1, 2, 3, 10]), (7, [1, 1]), (7, [1000, 1, 30, 999]), (40, [5, 5, 5, 5, 5, 1]),
        ] as [(Int, [UInt32])])
    func sharesAreTheWeights(workers: Int, weights: [UInt32]) {
        var crowd = Crowd(FairScheduler(), weights: weights, workers: everybody(workers, weights.count))
        var random = SeededGenerator(seed: 1)
        crowd.duration = { _ in Int64(1 + random.below(5_000_000)) }
        for _ in 0..<100_000 { crowd.step() }
        #expect(Crowd.largestError(crowd.taken, weights) < 0.02, "\(crowd.taken)")
    }

    @Test(arguments: [1, 10])
    func sharesOfServiceAreTheWeights(workers: Int) {
        let weights: [UInt32] = [1, 2, 3, 10]
        let milliseconds = [50, 1, 3, 7]
        var crowd = Crowd(FairScheduler(cost: .service), weights: weights, workers: everybody(workers, 4))
        var random = SeededGenerator(seed: 2)
        crowd.duration = { Int64(milliseconds[Int($0)] * (500_000 + random.below(1_000_000))) }
        for _ in 0..<100_000 { crowd.step() }
        #expect(Crowd.largestError(crowd.spent, weights) < 0.02, "\(crowd.spent)")
    }

    @Test func newWeightHoldsFromTheNextJobOn() {
        var crowd = Crowd(FairScheduler(), weights: [1, 1], workers: everybody(4, 2))
        for _ in 0..<1000 { crowd.step() }
        let before = crowd.taken
        crowd.bench.change(TubeIndex(1), TubeSettings(weight: 4))
        for _ in 0..<10_000 { crowd.step() }
        #expect(Crowd.largestError(zip(crowd.taken, before).map { $0 - $1 }, [1, 4]) < 0.02)
    }

    @Test func tubeThatWasIdleOrHeldHasSavedNothing() {
        for isHeld in [true, false] {
            var crowd = Crowd(FairScheduler(), weights: [1, 1], workers: everybody(3, 2))
            let idle = crowd.bench.ready.filter { $0.tube.index == 1 }
            if isHeld {
                crowd.bench.setEligible(TubeIndex(1), false)
            } else {
                for job in idle { crowd.bench.delete(job) }
            }
            for _ in 0..<5000 { crowd.step() }
            let before = crowd.taken
            if isHeld { crowd.bench.setEligible(TubeIndex(1), true) } else { crowd.bench.put(1) }
            for _ in 0..<100 { crowd.step() }
            let since = zip(crowd.taken, before).map { $0 - $1 }
            #expect(since.allSatisfy { (49...51).contains($0) }, "\(since)")
        }
    }

    @Test func prioritiesCountWithinATube() {
        let bench = SchedulerBench(FairScheduler())
        bench.open(1)
        var random = SeededGenerator(seed: 3)
        for _ in 0..<500 { bench.put(UInt32(random.below(2)), priority: UInt32(random.below(4))) }
        for tube in 0..<2 as Range<UInt32> {
            let due = bench.ready.filter { $0.tube.index == tube }.sorted {
                ($0.priority, $0.id) < ($1.priority, $1.id)
            }
            var came: [JobID] = []
            for job in due {
                #expect(bench.peek(tube)?.id == job.id)
                guard let picked = bench.pick([tube]) else { break }
                bench.reserve(picked, for: [tube])
                came.append(picked.id)
            }
            #expect(came == due.map(\.id))
        }
    }

    // MARK: Slow tubes

    /// The first slow jobs are as unknown as all others; then each hour that they take must be paid for.
    @Test func slowTubeDoesNotTakeAllWorkers() {
        var crowd = Crowd(FairScheduler(cost: .service), weights: [1, 1], workers: everybody(10, 2))
        crowd.duration = { $0 == 0 ? 3_600_000_000_000 : 1_000_000 }
        var most = 0
        while crowd.bench.now < 300_000_000_000 && crowd.taken[1] < 200_000 {
            crowd.step()
            most = max(most, crowd.bench.reserved.filter { $0.tube.index == 0 }.count)
        }
        #expect(most <= 6, "\(most) of 10 workers had slow jobs")
        // With jobs as the measure they all would have.
        var naive = Crowd(FairScheduler(cost: .job), weights: [1, 1], workers: everybody(10, 2))
        naive.duration = crowd.duration
        var hasAll = false
        for _ in 0..<100 {
            naive.step()
            hasAll = hasAll || naive.bench.reserved.filter { $0.tube.index == 0 }.count == 10
        }
        #expect(hasAll)
    }

    // MARK: Starvation

    /// How often a tube may be passed over: until it is put back, and until all others have had their turns since.
    private func bound(_ weights: [UInt32], _ tube: Int) -> Int {
        let turns = weights.map { Int(($0 + weights[tube] - 1) / weights[tube]) }.reduce(0, +)
        return 32 + 9 * turns + 32
    }

    @Test(arguments: 1...12 as ClosedRange<UInt64>, FairCost.allCases)
    func nobodyStarvesWhateverIsWatched(seed: UInt64, cost: FairCost) {
        var random = SeededGenerator(seed: seed)
        let weights = (0..<8).map { _ in random.one(of: [1, 1, 2, 5] as [UInt32]) }
        let workers = (0..<12).map { _ in
            let list = (0..<8 as Range<UInt32>).filter { _ in random.chance(percent: 40) }
            return Crowd.Worker(list: list.isEmpty ? [0] : list.shuffled(using: &random))
        }
        var crowd = Crowd(FairScheduler(cost: cost), weights: weights, workers: workers)
        // Some tubes are much slower than others, so that watch lists go at very different paces.
        let pace = (0..<8).map { _ in random.one(of: [1, 1, 10, 100]) }
        var other = SeededGenerator(seed: seed + 1000)
        crowd.duration = { Int64(pace[Int($0)] * (100_000 + other.below(900_000))) }
        for _ in 0..<12_000 {
            crowd.step()
            switch random.below(400) {
            case 0:
                let tube = TubeIndex(UInt32(random.below(8)))
                crowd.bench.setEligible(tube, crowd.bench.ineligible.contains(tube))
            case 1: crowd.workers[random.below(12)].isActive.toggle()
            default: break
            }
        }
        guard cost == .job else {
            // A second of a slow tube is worth many jobs of the others, so only the end is looked at.
            let starved = crowd.passedOver.indices.filter { crowd.passedOver[$0] > 10_000 }
            return #expect(starved.isEmpty, "passed over: \(crowd.passedOver)")
        }
        for tube in weights.indices {
            let longest = crowd.longestPassedOver[tube]
            #expect(longest <= bound(weights, tube), "tube \(tube) of \(weights) was passed over \(longest) times")
        }
    }

    /// The workers of its own bring a tube far ahead; when they go it must not wait for the others to catch up.
    @Test func tubeDoesNotPayForWorkersThatOnlyItHad() {
        let lists: [[UInt32]] = [[0], [0], [0], [0, 1]]
        var crowd = Crowd(FairScheduler(), weights: [1, 1], workers: lists.map { Crowd.Worker(list: $0) })
        for _ in 0..<40_000 { crowd.step() }
        // As long as it has them, the one that both could have is for the other tube.
        #expect(Double(crowd.taken[1]) > 0.24 * 40_000)
        for own in 0..<3 { crowd.workers[own].isActive = false }
        let before = crowd.taken
        for _ in 0..<200 { crowd.step() }
        let since = zip(crowd.taken, before).map { $0 - $1 }
        #expect(since[0] >= 80, "of 200 jobs it got \(since[0])")
    }

    /// A worker who watches a slow and a fast tube must not bring the shares of the fast ones out of balance.
    @Test func overlappingWatchListsShareWhatTheyHaveInCommon() {
        let lists: [[UInt32]] = Array(repeating: [0, 1], count: 20) + [[1, 2]]
        var crowd = Crowd(FairScheduler(), weights: [1, 1, 1], workers: lists.map { Crowd.Worker(list: $0) })
        for _ in 0..<50_000 { crowd.step() }
        let (a, b, c) = (Double(crowd.taken[0]), Double(crowd.taken[1]), Double(crowd.taken[2]))
        #expect(abs(a / b - 1) < 0.02, "\(crowd.taken)")
        #expect(c > 0.045 * 50_000, "\(crowd.taken)")
    }

    @Test func strictPriorityStarves() {
        let bench = SchedulerBench(PriorityScheduler())
        bench.open(1)
        bench.put(1, priority: 1)
        for _ in 0..<1000 {
            bench.put(0, priority: 0)
            guard let job = bench.pick([0, 1]) else { break }
            #expect(job.tube.index == 0)
            bench.reserve(job, for: [0, 1])
            bench.finish(job, .deleted)
        }
    }

    // MARK: Cost

    #if DEBUG
    @Test func costDoesNotGrowWithTheTubesThatAreNotWatched() {
        func looks(tubes: UInt32) -> Int {
            let scheduler = FairScheduler()
            let bench = SchedulerBench(scheduler)
            for tube in 1..<tubes { bench.open(tube) }
            for tube in 0..<tubes { bench.put(tube) }
            let before = scheduler.looks
            for round in 0..<1000 {
                let list = [0, 1, 2].map { (UInt32(round) * 7 + $0) % tubes }
                guard let job = bench.pick(list) else { break }
                bench.reserve(job, for: list)
                bench.finish(job, .deleted)
                bench.put(job.tube.index)
            }
            return scheduler.looks - before
        }
        #expect(looks(tubes: 10_000) == 6000)
        #expect(looks(tubes: 10) == 6000)
    }
    #endif

    /// A hundred jobs, each reserved for a century, are more than tags can count.
    @Test func tagsBeginAnewBeforeTheyOverflow() {
        let bench = SchedulerBench(FairScheduler(cost: .service))
        bench.open(1)
        for _ in 0..<200 { bench.put(0) }
        for _ in 0..<100 {
            guard let job = bench.pick([0]) else { break }
            bench.reserve(job, for: [0])
        }
        bench.advance(nanoseconds: 100 * 365 * 86_400 * 1_000_000_000)
        bench.put(1)
        #expect(bench.pick([0, 1])?.tube.index == 1)
        while let job = bench.reserved.first { bench.finish(job, .deleted) }
        for _ in 0..<3 {
            guard let job = bench.pick([0, 1]) else { break }
            bench.reserve(job, for: [0, 1])
        }
        #expect(bench.reserved.contains { $0.tube.index == 1 })
    }
}
