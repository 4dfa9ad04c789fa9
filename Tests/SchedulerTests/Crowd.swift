// SPDX-License-Identifier: MIT

import TrellisCore

@testable import TrellisTestKit

/// Workers with watch lists of their own who take jobs from a scheduler and finish them after a while, in tubes that
/// always have jobs.
///
/// Time goes from one end of a job to the next, in nanoseconds.
struct Crowd {
    struct Worker {
        var list: [UInt32]
        /// The job it has, and when that is finished.
        var job: ReadyJob?
        var freeAt: Int64 = 0
        var isActive = true
    }

    let bench: SchedulerBench
    var workers: [Worker]
    /// How long a job of a tube takes.
    var duration: (_ tube: UInt32) -> Int64 = { _ in 1_000_000 }
    /// Jobs taken and time spent, by tube.
    private(set) var taken: [Int]
    private(set) var spent: [Int64]
    /// For each tube, how many jobs were taken elsewhere by workers who watch it since one was taken from it.
    private(set) var passedOver: [Int]
    private(set) var longestPassedOver: [Int]

    /// A crowd for tubes of these weights, each with as many jobs as said, which are replaced as they are taken.
    init(_ scheduler: any Scheduler, weights: [UInt32], jobs: Int = 3, workers: [Worker]) {
        bench = SchedulerBench(scheduler)
        bench.change(TubeIndex(0), TubeSettings(weight: weights[0]))
        for tube in 1..<weights.count { bench.open(UInt32(tube), TubeSettings(weight: weights[tube])) }
        for _ in 0..<jobs {
            for tube in weights.indices { bench.put(UInt32(tube)) }
        }
        self.workers = workers
        taken = weights.map { _ in 0 }
        spent = weights.map { _ in 0 }
        passedOver = taken
        longestPassedOver = taken
    }

    /// Lets the next worker finish, if it has a job, and take another.
    mutating func step() {
        var soonest: Int?
        for index in workers.indices where workers[index].isActive {
            if workers[index].freeAt < soonest.map({ workers[$0].freeAt }) ?? .max { soonest = index }
        }
        guard let next = soonest else { return }
        bench.advance(nanoseconds: max(0, workers[next].freeAt - bench.now))
        if let job = workers[next].job { bench.finish(job, .deleted) }
        workers[next].job = nil
        guard let job = bench.pick(workers[next].list, set: UInt32(next)) else {
            workers[next].freeAt = bench.now + 1_000_000
            return
        }
        bench.reserve(job, for: workers[next].list, set: UInt32(next))
        count(job, workers[next].list)
        bench.put(job.tube.index, priority: job.priority)
        let time = duration(job.tube.index)
        spent[Int(job.tube.index)] += time
        workers[next].job = job
        workers[next].freeAt = bench.now + time
    }

    private mutating func count(_ job: ReadyJob, _ list: [UInt32]) {
        let tube = Int(job.tube.index)
        taken[tube] += 1
        for other in list.map({ Int($0) }) where other != tube {
            if bench.ineligible.contains(TubeIndex(UInt32(other))) {
                passedOver[other] = 0
            } else {
                passedOver[other] += 1
            }
            longestPassedOver[other] = max(longestPassedOver[other], passedOver[other])
        }
        passedOver[tube] = 0
    }

    /// How far the shares of these amounts are from the weights, as a part of what is due.
    static func largestError<Amount: BinaryInteger>(_ amounts: [Amount], _ weights: [UInt32]) -> Double {
        let whole = Double(amounts.reduce(0, +))
        let weight = Double(weights.reduce(0, +))
        return zip(amounts, weights).map { abs(Double($0) / whole / (Double($1) / weight) - 1) }.max() ?? 0
    }
}
