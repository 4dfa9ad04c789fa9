// SPDX-License-Identifier: MIT

import Glibc

/// Ends processes that use a store by SIGKILL, at random moments, and looks at what they find when they start again.
///
/// The store isn't touched by this process: the test starts a program of yours, which makes the store and hands it to
/// `StorageCrashTask`. `trellisd plugins test storage` does both.
public struct StorageCrashTest {
    /// The rule, as results name it.
    public static let rule = "what was acknowledged survives SIGKILL"
    /// What a failure says where no kill ended the process.
    static let endedByItself = "the process ended by itself"
    private let kills: Int
    private let seed: UInt64
    private let folder: String
    private let command: (StorageCrashTask) -> [String]

    /// - Parameters:
    ///   - kills: How often the process is ended.
    ///   - seed: Where the random numbers start.
    ///   - folder: An empty folder for what the processes tell each other.
    ///   - command: The program and its arguments, among them the task's description, that runs a task on one and the
    ///     same store each time.
    public init(kills: Int, seed: UInt64, folder: String, command: @escaping (StorageCrashTask) -> [String]) {
        self.kills = kills
        self.seed = seed
        self.folder = folder
        self.command = command
    }

    /// Runs the test, and answers what it did.
    public func run(watch: @escaping (ConformanceProgress) -> Void = { _ in }) throws(ConformanceError) -> String {
        var findings = Findings(watch: watch)
        var note = ""
        findings.rule(Self.rule) { note = run(&$0) }
        try findings.finish()
        return note
    }

    private func run(_ findings: inout Findings) -> String {
        var random = SeededGenerator(seed: seed)
        var possible = PossibleJobs()
        var turns: UInt64 = 0
        var early = 0
        for kill in 1...max(1, kills) {
            let task = StorageCrashTask(seed: seed &+ UInt64(kill), folder: folder, isLast: false)
            let place = "kill \(kill) of \(kills) (--seed \(seed))"
            let isEarly = random.below(5) == 0
            switch live(task, isEarly: isEarly, microseconds: UInt32(random.below(isEarly ? 60_000 : 90_000))) {
            case .killed: break
            case .ended(let text):
                findings.fail("\(place): \(Self.endedByItself): \(text)")
                return ""
            }
            guard let (jobs, highest) = task.recovered() else {
                early += 1
                continue
            }
            let faults = possible.faults(in: jobs, highest: highest)
            for fault in faults { findings.fail("\(place): \(fault)") }
            if !faults.isEmpty { return "" }
            let (issued, acknowledged) = task.progress()
            turns += acknowledged
            possible = after(task, jobs, highest, issued: issued, acknowledged: acknowledged)
        }
        // Once more, to the end: what the last one left.
        let task = StorageCrashTask(seed: seed, folder: folder, isLast: true)
        guard case .ended(let text) = live(task, isEarly: false, microseconds: 0),
            let (jobs, highest) = task.recovered()
        else {
            findings.fail("after the last kill the store couldn't be opened and closed: \(task.output())")
            return ""
        }
        if !text.hasPrefix("exit status 0") { findings.fail("after the last kill: \(text)") }
        for fault in possible.faults(in: jobs, highest: highest) { findings.fail("after the last kill: \(fault)") }
        return "\(kills) kills, \(early) of them while the store was being opened; \(turns) turns were acknowledged, "
            + "\(jobs.count) jobs are left"
    }

    /// What may be there, given what the process began with and how far it said it came.
    private func after(
        _ task: StorageCrashTask, _ jobs: [KeptJob], _ highest: UInt64, issued: UInt64, acknowledged: UInt64
    ) -> PossibleJobs {
        var life = StorageLife(seed: task.seed, jobs: jobs, highest: highest)
        var possible = PossibleJobs(jobs, highest: highest)
        for turn in 1...max(1, issued) where turn <= issued {
            for change in life.turn() { possible.issue(change) }
            if turn <= acknowledged { possible.acknowledge() }
        }
        return possible
    }

    private enum End {
        case killed
        case ended(String)
    }

    /// Starts a process and ends it: so many microseconds after its start, or after it has opened the store.
    private func live(_ task: StorageCrashTask, isEarly: Bool, microseconds: UInt32) -> End {
        task.prepare()
        guard let child = ChildProgram(command(task), output: task.outputPath) else {
            return .ended("it can't be started")
        }
        let patience = seconds() + 120
        if task.isLast {
            while seconds() < patience {
                if let end = child.end() { return .ended("\(end): \(task.output())") }
                usleep(2000)
            }
            return child.kill() ? .ended("it was still closing the store after two minutes") : .killed
        }
        while !isEarly, task.progress().issued == 0 {
            if let end = child.end() { return .ended("\(end): \(task.output())") }
            if seconds() > patience {
                _ = child.kill()
                return .ended("it was still opening the store after two minutes")
            }
            usleep(1000)
        }
        usleep(microseconds)
        if child.kill() { return .killed }
        return .ended("\(child.end() ?? ""): \(task.output())")
    }
}
