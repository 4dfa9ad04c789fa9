// SPDX-License-Identifier: MIT

import TrellisCore
import TrellisTestKit

/// The engine and the model didn't agree.
struct Mismatch: Error {
    var what: String
}

/// Runs the engine beside the reference model and compares every reply.
struct Simulation {
    var limits = EngineLimits(jobBytes: 64, jobsPerStep: 1000)
    /// How long a run is; every tenth is six times as long, for what needs long queues.
    var steps = 250
    /// What holds for the tubes of these names.
    var tubeSettings: [String: TubeSettings] = [:]
    var makeScheduler: () -> any Scheduler

    /// What a run found: nothing, or the steps after which the two differ.
    struct Finding {
        var seed: UInt64
        var steps: [WorkloadStep]
        var what: String

        /// All that is needed to see it again.
        var report: String {
            let list = steps.enumerated().map { "  \($0.offset + 1). \($0.element)" }.joined(separator: "\n")
            return "seed \(seed), \(steps.count) steps after shrinking:\n\(list)\n\(what)\n"
                + "run it alone with TRELLIS_SIMULATION_SEED=\(seed)"
        }
    }

    /// Runs the workload of a seed; nil where all replies are equal.
    func run(seed: UInt64) -> Finding? {
        var generator = WorkloadGenerator(seed: seed, maxJobSize: limits.jobBytes)
        var done: [WorkloadStep] = []
        var pair = makePair()
        do {
            for _ in 0..<length(of: seed) {
                let step = generator.next(pair.model)
                done.append(step)
                try pair.apply(step)
            }
            for step in audit(of: pair.model) {
                done.append(step)
                try pair.apply(step)
            }
            return nil
        } catch {
            return shrink(Finding(seed: seed, steps: done, what: error.what))
        }
    }

    /// Replays steps; nil where all replies are equal.
    func replay(_ steps: [WorkloadStep]) -> Mismatch? {
        var pair = makePair()
        do throws(Mismatch) {
            for step in steps { try pair.apply(step) }
            return nil
        } catch {
            return error
        }
    }

    /// All replies to the steps in the order in which the engine made them.
    func transcript(of steps: [WorkloadStep]) throws -> [String] {
        var pair = makePair()
        for step in steps { try pair.apply(step) }
        return pair.driver.transcript
    }

    private func makePair() -> Pair {
        Pair(limits: limits, tubeSettings: tubeSettings, scheduler: makeScheduler())
    }

    /// The steps of a seed's workload, its audit included.
    func workload(seed: UInt64) -> [WorkloadStep] {
        var generator = WorkloadGenerator(seed: seed, maxJobSize: limits.jobBytes)
        var model = Pair.makeModel(limits, tubeSettings)
        var all: [WorkloadStep] = []
        for _ in 0..<length(of: seed) {
            let step = generator.next(model)
            all.append(step)
            _ = model.apply(step)
        }
        return all + audit(of: model)
    }

    private func length(of seed: UInt64) -> Int { seed % 10 == 0 ? 6 * steps : steps }

    /// Looks at everything that can be seen, then takes it all away.
    private func audit(of model: ReferenceModel) -> [WorkloadStep] {
        let auditor = Int.max
        var commands: [ClientCommand] = [.stats, .listTubes]
        commands += model.tubeNames.flatMap { [.statsTube($0), .use($0), .peekReady, .peekDelayed, .peekBuried] }
        commands += model.jobIDs.flatMap { [.statsJob($0), .peek($0)] }
        let look = commands.map { WorkloadStep.perform($0, by: auditor) }
        let leave = model.clientNames.map { WorkloadStep.disconnect($0) }
        let remove = model.jobIDs.map { WorkloadStep.perform(.delete($0), by: auditor) }
        let end: [WorkloadStep] = [.perform(.use("default"), by: auditor), .perform(.listTubes, by: auditor)]
        return [.connect(auditor)] + look + leave + look + remove + end + [.perform(.stats, by: auditor)]
    }

    /// Leaves out steps, in ever smaller pieces, as long as what remains still finds a difference.
    private func shrink(_ finding: Finding) -> Finding {
        var best = finding
        var piece = max(1, best.steps.count / 2)
        while true {
            var start = 0
            while start < best.steps.count {
                var shorter = best.steps
                shorter.removeSubrange(start..<min(start + piece, shorter.count))
                if let mismatch = replay(shorter) {
                    best.steps = shorter
                    best.what = mismatch.what
                } else {
                    start += piece
                }
            }
            if piece == 1 { return best }
            piece = max(1, piece / 2)
        }
    }
}

/// The engine and the model side by side.
private struct Pair: ~Copyable {
    var model: ReferenceModel
    var driver: EngineDriver

    static func makeModel(_ limits: EngineLimits, _ tubeSettings: [String: TubeSettings]) -> ReferenceModel {
        ReferenceModel(
            maxJobSize: limits.jobBytes, tubeSettings: tubeSettings, identity: EngineDriver.identity,
            now: EngineDriver.start)
    }

    init(limits: EngineLimits, tubeSettings: [String: TubeSettings], scheduler: any Scheduler) {
        model = Self.makeModel(limits, tubeSettings)
        let rules = tubeSettings.sorted { $0.key < $1.key }.map { TubeRule(TubePattern($0.key), $0.value) }
        driver = EngineDriver(limits: limits, tubeRules: TubeRules(rules), scheduler: scheduler)
    }

    /// Takes a step on both sides and compares what clients receive; passes over a step that isn't possible.
    mutating func apply(_ step: WorkloadStep) throws(Mismatch) {
        guard let expected = model.apply(step) else { return }
        let received = try driver.apply(step)
        for client in Set(expected.keys).union(received.keys).sorted() {
            let (should, does) = (expected[client] ?? [], received[client] ?? [])
            if should == does { continue }
            throw Mismatch(what: "at \"\(step)\" client \(client) receives \(text(does)) instead of \(text(should))")
        }
        let wakes = driver.nextDeadline ?? .max
        if let due = model.nextEvent, wakes > due {
            throw Mismatch(what: "after \"\(step)\" something is due at \(due), and the engine sleeps until \(wakes)")
        }
    }
}

extension ReferenceModel {
    /// Takes a step; nil where it isn't possible as things stand.
    fileprivate mutating func apply(_ step: WorkloadStep) -> Received? {
        var answers: [Answer] = []
        switch step {
        case .connect(let client):
            guard !clientNames.contains(client) else { return nil }
            connect(client)
        case .disconnect(let client):
            guard clientNames.contains(client) else { return nil }
            answers = disconnect(client)
        case .endInput(let client):
            guard clientNames.contains(client) else { return nil }
            answers = endInput(client) + disconnect(client)
        case .perform(let command, let client):
            guard canPerform(command, by: client) else { return nil }
            if case .body(let bytes, _) = command, announcedSize(by: client) != bytes.count { return nil }
            answers = perform(command, by: client)
        case .advance(let time):
            guard time >= now else { return nil }
            answers = advance(to: time)
        case .drain(let isOn):
            isDraining = isOn
        }
        var received: Received = [:]
        for answer in answers { received[answer.client, default: []] += answer.bytes }
        return received
    }
}
