// SPDX-License-Identifier: MIT

import ArgumentParser
import Foundation
import TrellisCore
import TrellisTestKit

/// What a process tells the one that started it, a line each.
enum PluginTestLine {
    case begins(rule: String)
    case kept(rule: String)
    case broken(rule: String, details: [String])
    case note(String)
    /// A call doesn't return.
    case stuck(String)

    private static let separator: Character = "\t"

    init?(_ line: String) {
        let words = line.split(separator: Self.separator, omittingEmptySubsequences: false).map(String.init)
        guard words.count >= 2 else { return nil }
        switch words[0] {
        case "begins": self = .begins(rule: words[1])
        case "kept": self = .kept(rule: words[1])
        case "broken": self = .broken(rule: words[1], details: Array(words.dropFirst(2)))
        case "note": self = .note(words[1])
        case "stuck": self = .stuck(words[1])
        default: return nil
        }
    }

    var text: String {
        let words =
            switch self {
            case .begins(let rule): ["begins", rule]
            case .kept(let rule): ["kept", rule]
            case .broken(let rule, let details): ["broken", rule] + details
            case .note(let text): ["note", text]
            case .stuck(let text): ["stuck", text]
            }
        let clean = words.map { $0.replacing(/[\t\n]/, with: " ") }
        return clean.joined(separator: String(Self.separator)) + "\n"
    }
}

/// A process that uses the plugin under test, so that whatever becomes of it ends only this process.
struct PluginTestProcess {
    let test: PluginsCommand.Test
    let subject: PluginSubject
    private let calls: CallWatch

    init(test: PluginsCommand.Test, subject: PluginSubject) {
        self.test = test
        self.subject = subject
        calls = CallWatch(seconds: test.secondsPerCall)
    }

    /// Runs a part in `test.folder`.
    func run(_ part: PluginTestPart) throws {
        guard let folder = test.folder else { throw ValidationError("--part needs --folder.") }
        InterruptWatch.stop()
        do {
            switch part {
            case .contract:
                startWatch()
                try checkContract(folder)
            case .many:
                startWatch()
                tell(.note(try ManyJobs(count: test.jobs) { make(at: folder) }.run(watch: watch)))
            case .life:
                guard let task = test.task.flatMap({ StorageCrashTask($0) }) else {
                    throw ValidationError("--part life needs --task.")
                }
                // What it prints is a detail of the rule.
                calls.start { writeAll($0, to: 1) }
                try task.run(make(at: folder))
            case .disk:
                let bytes = test.disk << 20
                tell(.note("the disk is " + FullDiskTest.limitDisk(folder, bytes: bytes)))
                // A process with threads may not mount.
                startWatch()
                tell(.note(try FullDiskTest(diskBytes: bytes) { make(at: folder) }.run(watch: watch)))
            }
        } catch is ConformanceError {
            throw ExitCode(1)
        } catch let error as StorageError {
            complain("\(error)")
            throw ExitCode(1)
        } catch let error as SchedulerError {
            complain("\(error)")
            throw ExitCode(1)
        }
    }

    private func checkContract(_ folder: String) throws {
        guard test.kind == .storage else { return try checkScheduler() }
        var places = 0
        let kit = StorageConformance(keepsJobs: !test.keepsNothing, patience: test.patience) {
            places += 1
            let place = "\(folder)/\(places)"
            mkdir(place, 0o700)
            return { make(at: place) }
        }
        try kit.run(endsAtTheFirst: !test.keepGoing, watch: watch)
    }

    private func checkScheduler() throws {
        // One that can't be opened is told of here, once.
        var first: (any Scheduler)? = try subject.makeScheduler()
        let kit = SchedulerConformance {
            defer { first = nil }
            do {
                return try first ?? subject.makeScheduler()
            } catch {
                preconditionFailure("a scheduler opens no second time: \(error)")
            }
        }
        // Its calls aren't told one by one: no rule takes long.
        try kit.run(endsAtTheFirst: !test.keepGoing) { progress in
            if case .begins = progress { calls.enter("a function") } else { calls.enter(nil) }
            watch(progress)
        }
    }

    private func make(at folder: String) -> any Storage {
        WatchedStorage(subject.make(at: folder), watch: calls)
    }

    private func startWatch() {
        calls.start { writeAll(PluginTestLine.stuck($0).text, to: 1) }
    }

    private func watch(_ progress: ConformanceProgress) {
        switch progress {
        case .begins(let rule): tell(.begins(rule: rule))
        case .ends(let rule, let failures):
            tell(failures.isEmpty ? .kept(rule: rule) : .broken(rule: rule, details: failures.map(\.detail)))
        }
    }

    private func tell(_ line: PluginTestLine) { writeAll(line.text, to: 1) }
}
