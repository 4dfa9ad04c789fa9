// SPDX-License-Identifier: MIT

import KeyedSchedulers
import Testing
import TrellisCore

@testable import TrellisTestKit

@Suite struct KeyedSchedulerTests {
    private static let second: Int64 = 1_000_000_000

    /// Fills three tubes at random times, takes half, gives some back, and lets all out.
    private func life(_ order: KeyedScheduler.Order, _ seed: UInt64) -> (SchedulerBench, [ReadyJob]) {
        let bench = SchedulerBench(KeyedScheduler(order))
        bench.open(1, TubeSettings(objectiveNanoseconds: 5 * Self.second))
        bench.open(2, TubeSettings(objectiveNanoseconds: 0))
        var random = SeededGenerator(seed: seed)
        for _ in 0..<300 {
            bench.put(UInt32(random.below(3)), priority: random.one(of: [0, 1, 5, 60, .max]))
            bench.advance(nanoseconds: Int64(random.below(400_000_000)))
        }
        for _ in 0..<150 {
            guard let job = bench.pick([0, 1, 2]) else { break }
            bench.reserve(job, for: [0, 1, 2])
        }
        while !bench.reserved.isEmpty {
            let job = random.one(of: bench.reserved)
            bench.finish(job, random.one(of: [.deleted, .timedOut, .released]), priority: UInt32(random.below(100)))
        }
        return (bench, bench.ready)
    }

    private func objective(_ job: ReadyJob) -> Int64 { [10 * Self.second, 5 * Self.second, 0][Int(job.tube.index)] }

    private func expect<Key: Comparable>(
        _ order: KeyedScheduler.Order, _ key: (ReadyJob) -> Key, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        for seed in 1...5 as ClosedRange<UInt64> {
            let (bench, ready) = life(order, seed)
            #expect(ready.count > 150, sourceLocation: sourceLocation)
            for tube in 0..<3 as Range<UInt32> {
                let first = ready.filter { $0.tube.index == tube }.min { (key($0), $0.id) < (key($1), $1.id) }
                #expect(bench.peek(tube)?.id == first?.id, sourceLocation: sourceLocation)
            }
            let due = ready.sorted { (key($0), $0.id) < (key($1), $1.id) }.map(\.id.rawValue)
            #expect(bench.drain([2, 0, 1]) == due, sourceLocation: sourceLocation)
        }
    }

    @Test func fifoIsInTheOrderOfIDs() { expect(.fifo) { $0.id } }

    @Test func lifoIsInTheOppositeOrder() { expect(.lifo) { Int64.max - Int64($0.id.rawValue) } }

    @Test func deadlineIsInTheOrderOfPutTimeAndObjective() {
        expect(.deadline(otherwise: 10 * Self.second)) { $0.createdAt.nanoseconds + objective($0) }
    }

    @Test func agingIsInTheOrderOfPriorityAndPutTime() {
        expect(.aging(pace: 500)) { Int64($0.priority) * 500 + $0.createdAt.nanoseconds / 1_000_000 }
    }

    @Test func objectiveThatChangesHoldsForJobsThatWait() {
        let bench = SchedulerBench(KeyedScheduler(.deadline(otherwise: 60 * Self.second)))
        bench.open(1, TubeSettings(objectiveNanoseconds: 90 * Self.second))
        let (first, second) = (bench.put(0), bench.put(1))
        #expect(bench.pick([0, 1])?.id == first.id)
        bench.change(TubeIndex(1), TubeSettings(objectiveNanoseconds: Self.second))
        #expect(bench.pick([0, 1])?.id == second.id)
        bench.change(TubeIndex(1), TubeSettings())
        bench.change(TubeIndex(0), TubeSettings(objectiveNanoseconds: 61 * Self.second))
        #expect(bench.drain([0, 1]) == [second.id.rawValue, first.id.rawValue])
    }

    /// A job of priority 60, among ever new ones of priority 0, with a step of a second.
    @Test func agingLetsNothingStarve() {
        let bench = SchedulerBench(KeyedScheduler(.aging(pace: 1000)))
        let start = bench.now
        let patient = bench.put(0, priority: 60)
        var servedAt: Int64?
        for _ in 0..<1000 where servedAt == nil {
            bench.advance(nanoseconds: 100_000_000)
            bench.put(0, priority: 0)
            guard let job = bench.pick([0]) else { break }
            bench.reserve(job, for: [0])
            bench.finish(job, .deleted)
            if job.id == patient.id { servedAt = bench.now }
        }
        #expect(servedAt.map { ($0 - start) / Self.second } == 60)
    }

    /// How many jobs of a load that can be in time with one worker are late.
    ///
    /// Jobs take 10 ms. Urgent ones come at an even pace, less urgent ones twenty at a time. A job that is being served
    /// isn't interrupted, so each may be late by one other.
    private func late(_ order: KeyedScheduler.Order, _ seed: UInt64) -> Int {
        var random = SeededGenerator(seed: seed)
        let bench = SchedulerBench(KeyedScheduler(order))
        let objectives: [Int64] = [50, 200, 1000].map { $0 * 1_000_000 }
        for tube in 0..<3 as Range<UInt32> {
            if tube > 0 { bench.open(tube) }
            bench.change(TubeIndex(tube), TubeSettings(objectiveNanoseconds: objectives[Int(tube)]))
        }
        var late = 0
        for step in 0..<2000 {
            if step % 4 == 0, random.chance(percent: 90) { bench.put(0) }
            if step % 6 == 0, random.chance(percent: 90) { bench.put(1) }
            if step % 100 == 50 { for _ in 0..<20 { bench.put(2) } }
            let job = bench.pick([2, 1, 0])
            if let job { bench.reserve(job, for: [2, 1, 0]) }
            bench.advance(nanoseconds: 10_000_000)
            guard let job else { continue }
            bench.finish(job, .deleted)
            let due = job.createdAt.nanoseconds + objectives[Int(job.tube.index)]
            if bench.now > due + 10_000_000 { late += 1 }
        }
        return late
    }

    /// Of a set of jobs that can all be in time with one worker, all are (Liu and Layland).
    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func deadlinesThatCanBeMetAreMet(_ seed: UInt64) {
        #expect(late(.deadline(otherwise: 0), seed) == 0)
        #expect(late(.fifo, seed) > 0)
    }
}
