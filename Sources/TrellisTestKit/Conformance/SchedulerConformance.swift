// SPDX-License-Identifier: MIT

public import TrellisCore

/// Checks a scheduler against every law of the contract that can be seen from outside.
///
///     try SchedulerConformance { MyScheduler() }.run()
///
/// The order in which jobs come out is the scheduler's own affair and isn't looked at; `PriorityOrder` checks that of
/// beanstalkd. Neither is the cost of a call.
public struct SchedulerConformance {
    private let make: () -> any Scheduler

    /// A kit for what the closure makes: a new scheduler, without tubes, at each call.
    public init(_ make: @escaping () -> any Scheduler) { self.make = make }

    /// Runs every rule, and throws all the failures at the end.
    public func run() throws(ConformanceError) { try run(endsAtTheFirst: false) { _ in } }

    /// Runs the rules, all or up to the first that is broken, tells of each, and throws the failures at the end.
    public func run(endsAtTheFirst: Bool, watch: @escaping (ConformanceProgress) -> Void) throws(ConformanceError) {
        var findings = Findings(endsAtTheFirst: endsAtTheFirst, watch: watch)
        findings.rule("an empty tube has nothing to pick or peek", checkEmpty)
        findings.rule("every ready job is picked in the end, and once", checkDrain)
        findings.rule("only jobs of watched tubes are picked", checkWatched)
        findings.rule("pick and peek change nothing", checkQuestions)
        findings.rule("pick passes over tubes that aren't eligible", checkEligible)
        findings.rule("peek shows a ready job of the tube, eligible or not", checkPeek)
        findings.rule("a removed job is forgotten", checkRemoved)
        findings.rule("a reserved job isn't picked until it is ready again", checkReserved)
        findings.rule("a slot may be used again by another job", checkSlotReuse)
        findings.rule("a tube's index may be used again, and begins eligible", checkTubeReuse)
        findings.rule("a watch set's index may stand for another list later", checkSetReuse)
        findings.rule("a job reserved by its id changes nothing for the others", checkByID)
        findings.rule("a tube whose settings change keeps its jobs", checkSettings)
        findings.rule("no worker is idle while an eligible watched tube has a job", checkConservation)
        findings.rule("a random life", checkRandomLives)
        findings.rule("the same calls give the same answers", checkDeterminism)
        try findings.finish()
    }

    private func bench() -> SchedulerBench { SchedulerBench(make()) }

    private func checkEmpty(_ findings: inout Findings) {
        let bench = bench()
        bench.open(1)
        findings.expect(bench.pickSlot([0, 1]) == nil, "pick answered a job, and there was none")
        findings.expect(bench.scheduler.peek(TubeIndex(1)) == nil, "peek answered a job, and there was none")
        let job = bench.put(1)
        bench.delete(job)
        findings.expect(bench.pickSlot([0, 1]) == nil, "pick answered a job after the only one was deleted")
        findings.expect(bench.scheduler.peek(TubeIndex(1)) == nil, "peek answered a job that was deleted")
    }

    private func checkDrain(_ findings: inout Findings) {
        let bench = bench()
        var random = SeededGenerator(seed: 1)
        for tube in 1..<5 as Range<UInt32> { bench.open(tube) }
        for _ in 0..<1000 {
            bench.put(UInt32(random.below(5)), priority: random.one(of: [0, 7, 1023, .max]))
        }
        let came = bench.drain([3, 1, 0, 4, 2])
        findings.expect(came.count == 1000, "of 1000 ready jobs \(came.count) were picked")
        findings.expect(Set(came).count == came.count, "a job was picked twice")
        findings.expect(bench.pickSlot([0, 1, 2, 3, 4]) == nil, "pick answered a job after all were taken")
    }

    private func checkWatched(_ findings: inout Findings) {
        let bench = bench()
        for tube in 1..<4 as Range<UInt32> { bench.open(tube) }
        bench.put(1, priority: 0)
        findings.expect(bench.pickSlot([0, 2, 3]) == nil, "a job of tube 1 was picked for a worker of 0, 2 and 3")
        bench.put(3, priority: 9)
        findings.expect(bench.pick([0, 2, 3])?.tube.index == 3, "the job of tube 3 wasn't picked for 0, 2 and 3")
        findings.expect(bench.pick([3, 1]) != nil, "nothing was picked from tubes 3 and 1, which have a job each")
        findings.expect(bench.pick([1])?.tube.index == 1, "the job of tube 1 wasn't picked for a worker of it alone")
    }

    private func checkQuestions(_ findings: inout Findings) {
        let quiet = bench()
        let asked = bench()
        var random = SeededGenerator(seed: 2)
        for bench in [quiet, asked] { bench.open(1) }
        for _ in 0..<60 {
            let (tube, priority) = (UInt32(random.below(2)), UInt32(random.below(5)))
            for bench in [quiet, asked] { bench.put(tube, priority: priority) }
        }
        for round in 0..<60 {
            let first = asked.pickSlot([0, 1])
            for list in [[0], [1], [1, 0]] as [[UInt32]] { _ = asked.pickSlot(list, set: UInt32(list.count)) }
            for tube in 0..<2 as Range<UInt32> {
                let peeked = asked.peek(tube)?.id
                findings.expect(asked.peek(tube)?.id == peeked, "the second peek at tube \(tube) answered another job")
            }
            findings.expect(asked.pickSlot([0, 1]) == first, "the second pick answered another job than the first")
            guard let one = quiet.pick([0, 1]), let other = asked.pick([0, 1]) else {
                return findings.fail("nothing was picked in round \(round) of 60")
            }
            findings.expect(one.id == other.id, "with questions asked in between another job came than without")
            quiet.reserve(one, for: [0, 1])
            asked.reserve(other, for: [0, 1])
        }
    }

    private func checkEligible(_ findings: inout Findings) {
        let bench = bench()
        bench.open(1)
        let early = bench.put(1, priority: 0)
        bench.setEligible(TubeIndex(1), false)
        findings.expect(bench.pickSlot([1]) == nil, "a job was picked from the only tube, which isn't eligible")
        let other = bench.put(0, priority: 9)
        findings.expect(bench.pick([1, 0])?.id == other.id, "the job of the eligible tube wasn't picked")
        let late = bench.put(1, priority: 1)
        findings.expect(bench.pickSlot([1]) == nil, "a job that became ready in a tube that isn't eligible was picked")
        bench.delete(early)
        bench.setEligible(TubeIndex(1), true)
        findings.expect(bench.pick([1])?.id == late.id, "the job wasn't picked after its tube became eligible again")
        bench.setEligible(TubeIndex(1), true)
        findings.expect(bench.drain([0, 1]).count == 2, "not both jobs came after the tube was told eligible twice")
    }

    private func checkPeek(_ findings: inout Findings) {
        let bench = bench()
        bench.open(1)
        let job = bench.put(1)
        findings.expect(bench.scheduler.peek(TubeIndex(0)) == nil, "peek at an empty tube answered another tube's job")
        findings.expect(bench.peek(1)?.id == job.id, "peek didn't show the only job")
        bench.setEligible(TubeIndex(1), false)
        findings.expect(bench.peek(1)?.id == job.id, "peek didn't show the job of a tube that isn't eligible")
    }

    private func checkRemoved(_ findings: inout Findings) {
        let bench = bench()
        let jobs = (0..<50 as Range<UInt32>).map { bench.put(0, priority: $0 % 3) }
        for job in jobs where job.id.rawValue % 2 == 0 { bench.delete(job) }
        let came = bench.drain([0])
        findings.expect(came.count == 25, "25 jobs were left and \(came.count) came")
        findings.expect(came.allSatisfy { $0 % 2 == 1 }, "a removed job was picked")
    }

    private func checkReserved(_ findings: inout Findings) {
        for outcome in [.released, .timedOut, .connectionLost, .deleted, .buried] as [ReservationOutcome] {
            for isByID in [false, true] {
                let bench = bench()
                let job = bench.put(0, priority: 3)
                if isByID { bench.reserveByID(job) } else { bench.reserve(job) }
                findings.expect(bench.pickSlot([0]) == nil, "a reserved job was picked")
                findings.expect(bench.scheduler.peek(TubeIndex(0)) == nil, "a reserved job was shown by peek")
                bench.finish(job, outcome, priority: 8)
                let comesBack = outcome != .deleted && outcome != .buried
                findings.expect(
                    (bench.pick([0])?.id == job.id) == comesBack,
                    "a job whose reservation ended as \(outcome) was \(comesBack ? "not picked again" : "picked")")
            }
        }
    }
}

extension SchedulerConformance {
    private func checkSlotReuse(_ findings: inout Findings) {
        let bench = bench()
        bench.open(1)
        for round in 0..<20 {
            // The slot that the last job had goes to one of the other tube.
            let job = bench.put(UInt32(round % 2), priority: UInt32(20 - round))
            findings.expect(bench.pickSlot([UInt32((round + 1) % 2)]) == nil, "a job of the slot's past was picked")
            findings.expect(bench.pick([0, 1])?.id == job.id, "the new job of a reused slot wasn't picked")
            if round % 3 == 0 {
                bench.reserve(job)
                bench.finish(job, .deleted)
            } else {
                bench.delete(job)
            }
        }
    }

    private func checkTubeReuse(_ findings: inout Findings) {
        let bench = bench()
        bench.open(1)
        let old = bench.put(1)
        bench.setEligible(TubeIndex(1), false)
        bench.delete(old)
        bench.close(TubeIndex(1))
        bench.open(1)
        findings.expect(bench.pickSlot([1]) == nil, "a new tube has a job of the one that had its index before")
        let job = bench.put(1)
        findings.expect(bench.pick([1])?.id == job.id, "a new tube isn't eligible, as the one before it wasn't")
    }

    private func checkSetReuse(_ findings: inout Findings) {
        let bench = bench()
        bench.open(1)
        let first = bench.put(0)
        findings.expect(bench.pick([0], set: 3)?.id == first.id, "the job of tube 0 wasn't picked")
        findings.expect(bench.pickSlot([1], set: 3) == nil, "a set that has tube 1 now was served from tube 0")
        let second = bench.put(1)
        findings.expect(bench.pick([1], set: 3)?.id == second.id, "the job of tube 1 wasn't picked")
        bench.delete(first)
        findings.expect(bench.pick([0, 1], set: 3)?.id == second.id, "a set that grew wasn't served from the new tube")
    }

    private func checkByID(_ findings: inout Findings) {
        for outcome in [.deleted, .released, .buried, .timedOut, .connectionLost] as [ReservationOutcome] {
            let bench = bench()
            bench.open(1)
            let jobs = (0..<6 as Range<UInt32>).map { bench.put($0 % 2, priority: 5) }
            bench.reserve(jobs[0], for: [0, 1])
            bench.finish(jobs[0], .buried)
            // One that was buried, and two that were ready.
            for job in jobs[0...2] { bench.reserveByID(job) }
            for job in jobs[0...2] { bench.finish(job, outcome) }
            let isBack = outcome != .deleted && outcome != .buried
            let came = bench.drain([0, 1]).sorted()
            findings.expect(
                came == (isBack ? [1, 2, 3, 4, 5, 6] : [4, 5, 6]),
                "after three reservations by id that ended as \(outcome), of jobs 1 to 6 there came \(came)")
        }
    }

    private func checkSettings(_ findings: inout Findings) {
        let bench = bench()
        bench.open(1, TubeSettings(weight: 3, objectiveNanoseconds: 1_000_000))
        var jobs: [ReadyJob] = []
        for round in 0..<40 as Range<UInt32> {
            jobs.append(bench.put(round % 2, priority: round % 3))
            bench.advance(nanoseconds: 1_000_000)
            let objective: Int64? = round % 5 == 0 ? nil : Int64(round) * 3_000_000
            bench.change(TubeIndex(1), TubeSettings(weight: 1 + round % 7, objectiveNanoseconds: objective))
        }
        for job in jobs where job.id.rawValue % 4 == 0 { bench.delete(job) }
        let came = bench.drain([1, 0])
        findings.expect(came.count == 30, "of 30 jobs \(came.count) came after the settings had changed")
        findings.expect(!came.contains { $0 % 4 == 0 }, "a job that was deleted after a change was picked")
        findings.expect(bench.scheduler.peek(TubeIndex(1)) == nil, "the tube isn't empty after all came")
    }

    /// Many tubes, many lists, jobs in service in all of them, tubes that may be served now and then.
    private func checkConservation(_ findings: inout Findings) {
        let bench = bench()
        var random = SeededGenerator(seed: 4)
        for tube in 1..<40 as Range<UInt32> { bench.open(tube, TubeSettings(weight: 1 + tube % 4)) }
        let lists = (0..<12).map { _ in
            Array((0..<40 as Range<UInt32>).shuffled(using: &random).prefix(1 + random.below(12)))
        }
        for step in 0..<400 {
            bench.put(UInt32(random.below(40)), priority: UInt32(random.below(3)))
            if random.below(2) == 0 {
                let tube = TubeIndex(UInt32(random.below(40)))
                bench.setEligible(tube, bench.ineligible.contains(tube))
            }
            for set in lists.indices where random.below(6) == 0 {
                let picked = bench.pick(lists[set], set: UInt32(set))
                let due = bench.candidates(lists[set])
                findings.expect(
                    (picked != nil) == !due.isEmpty,
                    "step \(step): \(picked == nil ? "nothing" : "a job") for a list with \(due.count) jobs")
                if let picked { bench.reserve(picked, for: lists[set], set: UInt32(set)) }
            }
            bench.advance(nanoseconds: Int64(random.below(5_000_000)))
            while bench.reserved.count > 30 { bench.finish(random.one(of: bench.reserved), .deleted) }
        }
    }

    private func checkRandomLives(_ findings: inout Findings) {
        for seed in 1...12 as ClosedRange<UInt64> {
            let bench = bench()
            var script = SchedulerScript(seed: seed)
            for step in 0..<300 {
                script.step(bench)
                let list = script.watchList(bench)
                let candidates = bench.candidates(list)
                if let slot = bench.pickSlot(list) {
                    findings.expect(
                        candidates.contains { $0.slot == slot },
                        "seed \(seed), step \(step): pick for \(list) answered slot \(slot.index), which isn't due")
                } else if !candidates.isEmpty {
                    findings.fail("seed \(seed), step \(step): nothing for \(list), where \(candidates.count) jobs are")
                }
            }
        }
    }

    private func checkDeterminism(_ findings: inout Findings) {
        for seed in 1...5 as ClosedRange<UInt64> {
            let runs = (0..<2).map { _ in
                let bench = bench()
                var script = SchedulerScript(seed: seed)
                var picks: [JobID?] = []
                for _ in 0..<400 {
                    script.step(bench)
                    picks.append(bench.pick(script.watchList(bench))?.id)
                }
                return picks
            }
            findings.expect(runs[0] == runs[1], "two schedulers that heard the same answered differently, seed \(seed)")
        }
    }
}
