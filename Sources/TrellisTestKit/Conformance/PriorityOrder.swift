// SPDX-License-Identifier: MIT

public import TrellisCore

/// Checks that a scheduler has beanstalkd's order: the least (priority, id) over the watched tubes comes first.
///
/// For schedulers that claim so; `SchedulerConformance` is for all.
public struct PriorityOrder {
    private let make: () -> any Scheduler

    /// A kit for what the closure makes: a new scheduler, without tubes, at each call.
    public init(_ make: @escaping () -> any Scheduler) { self.make = make }

    /// Runs every rule, and throws all the failures at the end.
    public func run() throws(ConformanceError) {
        var findings = Findings()
        findings.rule("the least priority comes first, then the least id", checkDrain)
        findings.rule("a job that comes back has its id's place", checkReturn)
        findings.rule("pick and peek agree with a sorted list over a random life", checkRandomLives)
        try findings.finish()
    }

    private func checkDrain(_ findings: inout Findings) {
        let bench = SchedulerBench(make())
        bench.open(1)
        var random = SeededGenerator(seed: 3)
        for _ in 0..<1000 {
            let priority = random.one(of: [0, 1, 1023, 1024, .max - 1, .max, UInt32(random.below(100_000))])
            bench.put(UInt32(random.below(2)), priority: priority)
        }
        let expected = bench.ready.sorted { ($0.priority, $0.id) < ($1.priority, $1.id) }.map(\.id.rawValue)
        let came = bench.drain([1, 0])
        findings.expect(came.count == expected.count, "of \(expected.count) jobs \(came.count) came")
        if let place = zip(came, expected).enumerated().first(where: { $0.element.0 != $0.element.1 }) {
            findings.fail("job \(place.element.0) came where job \(place.element.1) was due, in place \(place.offset)")
        }
    }

    private func checkReturn(_ findings: inout Findings) {
        let bench = SchedulerBench(make())
        let jobs = (0..<3).map { _ in bench.put(0, priority: 5) }
        bench.reserve(jobs[0])
        bench.reserve(jobs[1])
        bench.finish(jobs[1], .timedOut)
        bench.finish(jobs[0], .released, priority: 5)
        findings.expect(bench.drain([0]) == [1, 2, 3], "jobs 1, 2 and 3 didn't come in the order of their ids")
        let (late, early) = (bench.put(0, priority: 5), bench.put(0, priority: 4))
        bench.reserve(early)
        bench.finish(early, .released, priority: 6)
        findings.expect(bench.pick([0])?.id == late.id, "a job released with a higher number didn't go back")
    }

    private func checkRandomLives(_ findings: inout Findings) {
        for seed in 100...110 as ClosedRange<UInt64> {
            let bench = SchedulerBench(make())
            var script = SchedulerScript(seed: seed)
            for step in 0..<300 {
                script.step(bench)
                let list = script.watchList(bench)
                let due = bench.candidates(list).min { ($0.priority, $0.id) < ($1.priority, $1.id) }
                let picked = bench.pick(list)
                findings.expect(
                    picked?.id == due?.id,
                    "seed \(seed), step \(step): pick answered \(Self.name(picked)) and not \(Self.name(due))")
                for tube in bench.tubes {
                    let first = bench.ready.filter { $0.tube == tube }
                        .min { ($0.priority, $0.id) < ($1.priority, $1.id) }
                    let peeked = bench.peek(tube.index)
                    findings.expect(
                        peeked?.id == first?.id,
                        "seed \(seed), step \(step): peek answered \(Self.name(peeked)) and not \(Self.name(first))")
                }
            }
        }
    }

    private static func name(_ job: ReadyJob?) -> String {
        job.map { "job \($0.id.rawValue) of priority \($0.priority)" } ?? "nothing"
    }
}
