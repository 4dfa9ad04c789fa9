// SPDX-License-Identifier: MIT

import ArgumentParser
import Foundation
import TrellisCore
import TrellisTestKit

/// The test of a plugin: starts processes that use the plugin, and prints what they find.
final class PluginTestRun {
    private let test: PluginsCommand.Test
    private let subject: PluginSubject
    private var kept = 0
    private var broken: [String] = []

    init(test: PluginsCommand.Test, subject: PluginSubject) {
        self.test = test
        self.subject = subject
    }

    /// Runs all parts; throws the exit status where a rule is broken.
    func run() throws {
        let base = test.folder ?? FileManager.default.temporaryDirectory.path
        var template = Array("\(base)/trellis-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            complain("can't make a folder in \(base): \(String(cString: strerror(errno)))")
            throw ExitCode(1)
        }
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        InterruptWatch.start(removing: folder)
        defer {
            InterruptWatch.letItEnd()
            try? FileManager.default.removeItem(atPath: folder)
        }
        let descriptor = subject.descriptor
        show("\(descriptor.id) \(descriptor.version), \(descriptor.file ?? "built in")")
        if descriptor.file != nil, Program.plugins.contains(where: { $0.descriptor.id == descriptor.id }) {
            show("        (a built-in plugin has this name, too: a server loads the file only under another one)")
        }
        try runPart(.contract, in: folder)
        if test.kind == .storage && !test.keepsNothing {
            if goesOn { try runPart(.many, in: folder) }
            if goesOn { try runKills(in: folder) }
            if goesOn { try runPart(.disk, in: folder) }
        }
        guard broken.isEmpty else {
            let rest = test.keepGoing ? "" : "; the rules behind it weren't looked at (--keep-going does)"
            show("\(descriptor.id) breaks \(broken.count == 1 ? "a rule" : "\(broken.count) rules")\(rest)")
            throw ExitCode(1)
        }
        show("\(descriptor.id) keeps the contract: \(kept) rules")
    }

    private var goesOn: Bool { broken.isEmpty || test.keepGoing }

    /// A new folder of a part.
    private func makeFolder(_ name: String, in folder: String) throws -> String {
        let path = "\(folder)/\(name)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    private func command(_ part: PluginTestPart, _ folder: String, task: String? = nil) throws -> [String] {
        let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        var words = [program, "plugins", "test", test.kind.rawValue, test.plugin]
        if !test.options.isEmpty { words += ["--options"] + test.options }
        words += ["--jobs", "\(test.jobs)", "--disk", "\(test.disk)", "--patience", "\(test.patience)"]
        words += ["--call-limit", "\(test.secondsPerCall)"]
        words += ["--part", part.rawValue, "--folder", folder]
        if test.keepsNothing { words.append("--keeps-nothing") }
        if test.keepGoing { words.append("--keep-going") }
        if let task { words += ["--task", task] }
        return words
    }

    /// Runs a process and shows what it tells.
    private func runPart(_ part: PluginTestPart, in folder: String) throws {
        let words = try command(part, try makeFolder(part.rawValue, in: folder))
        let process = Process()
        process.executableURL = URL(fileURLWithPath: words[0])
        process.arguments = Array(words.dropFirst())
        process.standardInput = FileHandle.nullDevice
        // A crash of the plugin is told in one line; with this variable set there is a backtrace.
        var environment = ProcessInfo.processInfo.environment
        environment["SWIFT_BACKTRACE"] = environment["SWIFT_BACKTRACE"] ?? "enable=no"
        process.environment = environment
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        var current = test.kind == .storage ? "a new place is empty" : "an empty tube has nothing to pick or peek"
        var rest: [UInt8] = []
        let brokenBefore = broken.count
        while true {
            let data = output.fileHandleForReading.availableData
            if data.isEmpty { break }
            rest += data
            while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: rest[..<end], as: UTF8.self)
                rest.removeSubrange(...end)
                guard let told = PluginTestLine(line) else {
                    show("        the plugin printed: \(line)")
                    continue
                }
                if case .begins(let rule) = told { current = rule }
                if case .stuck(let reason) = told {
                    take(.broken(rule: current, details: [reason]))
                } else {
                    take(told)
                }
            }
        }
        process.waitUntilExit()
        if process.terminationReason == .uncaughtSignal {
            let name = String(cString: strsignal(process.terminationStatus))
            take(.broken(rule: current, details: ["the plugin ended the process: \(name)"]))
        } else if process.terminationStatus != 0 && broken.count == brokenBefore {
            take(.broken(rule: current, details: ["the process ended with status \(process.terminationStatus)"]))
        }
    }

    /// Has processes be killed.
    private func runKills(in folder: String) throws {
        let place = try makeFolder("life", in: folder)
        let talk = try makeFolder("talk", in: folder)
        _ = try command(.life, place)
        let crashes = StorageCrashTest(kills: test.kills, seed: test.seed, folder: talk) { task in
            (try? self.command(.life, place, task: task.description)) ?? []
        }
        do throws(ConformanceError) {
            let note = try crashes.run { progress in
                switch progress {
                case .begins(let rule): self.take(.begins(rule: rule))
                case .ends(let rule, let failures):
                    self.take(
                        failures.isEmpty ? .kept(rule: rule) : .broken(rule: rule, details: failures.map(\.detail)))
                }
            }
            take(.note(note))
        } catch {
            // They were told one by one.
        }
    }

    private func take(_ line: PluginTestLine) {
        InterruptWatch.letItEnd()
        switch line {
        case .begins, .stuck: break
        case .kept(let rule):
            kept += 1
            show("kept    \(rule)")
        case .broken(let rule, let details):
            broken.append(rule)
            show("BROKEN  \(rule)")
            for detail in details { show("        \(detail)") }
            if let advice = StorageAdvice.text(for: rule, details: details) { show("        \(advice)") }
        case .note(let text): if !text.isEmpty { show("        (\(text))") }
        }
    }

    private func show(_ line: String) { writeAll(line + "\n", to: 1) }
}
