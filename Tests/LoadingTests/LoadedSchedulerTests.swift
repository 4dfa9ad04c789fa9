// SPDX-License-Identifier: MIT

import Foundation
import LiveServer
import PriorityScheduler
import Testing
import TrellisCore
import TrellisServer
import TrellisTestKit

/// Schedulers behind the C interface: what one does right holds, and what one does wrong costs no job.
@Suite struct LoadedSchedulerTests {
    private let folder: PluginFolder

    init() throws { folder = try PluginFolder() }

    private func compileWrong(defect: Int = 0) throws -> String {
        try folder.compile("Tests/LoadingTests/Plugins/wrong_order.c", to: "wrong", defining: ["DEFECT=\(defect)"])
    }

    private func configure(_ scheduler: String, plugin: String, more: String = "") throws -> String {
        let file = "\(folder.path)/trellis.yaml"
        try writeFile(
            file,
            """
            plugins: [\(plugin)]
            scheduler: {\(scheduler)}
            transports: [{use: unix, path: "\(folder.path)/s"}]
            \(more)

            """)
        return file
    }

    private func start(_ file: String) throws -> ChildProcess {
        let process = try ChildProcess([trellisd, "--config", file], log: "\(folder.path)/log")
        let deadline = monotonicSeconds() + 60
        while !process.output().contains("listens on") {
            guard process.waitForExit(seconds: 0) == nil, monotonicSeconds() < deadline else {
                throw Unexpected("the server doesn't listen: \(process.output())")
            }
            pause(seconds: 0.01)
        }
        return process
    }

    @Test(arguments: [
        ("none", nil),
        ("answers-nothing", "pick answered no job, and the tube b has one that is due"),
        ("answers-no-slot", "pick answered the slot 99999999, where no ready job is"),
        ("answers-a-gone-job", "pick answered the slot 0, where no ready job is"),
        ("answers-what-is-not-watched", "pick answered job 2 of the tube a, which isn't watched"),
        ("serves-what-is-held", "pick answered job 2 of the tube a, which may not be served"),
        ("peeks-at-nothing", "peek answered no job, and the tube b has one"),
        ("peeks-elsewhere", "peek answered job 2, which isn't in the tube b"),
    ])
    func aWrongAnswerIsOneLineAndCostsNoJob(fault: String, line: String?) throws {
        let library = try compileWrong()
        let process = try start(try configure("use: wrong, fault: \(fault)", plugin: library))
        defer { process.signal(SIGKILL) }
        let client = try Client(path: "\(folder.path)/s")
        try client.call("use a", "USING a")
        try client.call("put 9 0 60 1\r\na", "INSERTED 1")
        try client.call("put 9 0 60 1\r\nb", "INSERTED 2")
        try client.call("use b", "USING b")
        try client.call("put 9 0 60 1\r\nc", "INSERTED 3")
        try client.call("delete 1", "DELETED")
        try client.call("peek-ready", "FOUND 3 1\r\nc")
        try client.call("watch b", "WATCHING 2")
        try client.call("ignore default", "WATCHING 1")
        try client.call("reserve-with-timeout 0", "RESERVED 3 1\r\nc")
        try client.call("pause-tube a 1", "PAUSED")
        try client.call("watch a", "WATCHING 2")
        try client.call("reserve-with-timeout 0", "TIMED_OUT")
        // A reservation that began before the scheduler was given up ends as any does.
        try client.call("release 3 9 0", "RELEASED")
        try client.call("reserve-with-timeout 0", "RESERVED 3 1\r\nc")
        try client.call("reserve-with-timeout 10", "RESERVED 2 1\r\nb")
        for id in 2...3 { try client.call("delete \(id)", "DELETED") }
        try client.call("put 9 0 60 1\r\nd", "INSERTED 4")
        try client.call("reserve", "RESERVED 4 1\r\nd")
        process.signal(SIGTERM)
        #expect(process.waitForExit(seconds: 15) == 0)
        let errors = process.output().split(separator: "\n").filter { $0.contains(" error trellisd: ") }
        let expected = line.map {
            "scheduler.wrong of \(library), \($0); it is asked no more, and jobs go out by priority until the server is "
                + "started again"
        }
        #expect(errors.count == (line == nil ? 0 : 1), "\(process.output())")
        #expect(expected.map { line in errors.allSatisfy { $0.hasSuffix(line) } } ?? true, "\(errors)")
    }

    @Test(arguments: [
        ("open-fails", "open: the stars are wrong"), ("opens-nothing", "open: answered TRELLIS_OK and set no order"),
    ])
    func aFailingOpenIsOneLine(fault: String, line: String) throws {
        let library = try compileWrong()
        let outcome = try Outcome(
            [trellisd, "--config", try configure("use: wrong, fault: \(fault)", plugin: library)])
        #expect(outcome.status == 1)
        #expect(outcome.output == "trellisd: the scheduler failed: scheduler.wrong of \(library), \(line)\n")
    }

    @Test(arguments: [
        (
            1,
            "has a plugin scheduler.wrong without the functions pick and peek, which this server needs (struct "
                + "trellis_scheduler of version 1; size is 128)"
        ),
        (2, "has a plugin scheduler.wrong without functions: `scheduler` is NULL"),
        (3, "has a plugin scheduler.wrong without functions: `scheduler` is NULL"),
    ])
    func refusesWhatItCannotUse(defect: Int, reason: String) throws {
        let library = try compileWrong(defect: defect)
        do {
            _ = try PluginLoader.load(library, trust: .anybody)
            Issue.record("it was loaded")
        } catch {
            #expect(error.reason == reason)
        }
    }

    @Test func theExampleKeepsTheContractAndSharesByWeight() throws {
        let library = try folder.compile("Examples/c-scheduler/lottery.c", to: "lottery")
        guard case .scheduler(let plugin)? = try PluginLoader.load(library, trust: .anybody).first else {
            throw Unexpected("there is no scheduler in \(library)")
        }
        try SchedulerConformance {
            let scheduler = plugin.make(Options(defaultsOf: plugin.descriptor.options))
            do throws(SchedulerError) {
                try (scheduler as? any CheckedScheduler)?.open(standIn: PriorityScheduler()) { Issue.record("\($0)") }
            } catch {
                Issue.record("\(error)")
            }
            return scheduler
        }.run()
        let process = try start(
            try configure("use: lottery, seed: 5", plugin: library, more: "tubes: {\"b\": {weight: 3}}"))
        defer { process.signal(SIGKILL) }
        let client = try Client(path: "\(folder.path)/s")
        for tube in ["a", "b"] {
            try client.call("use \(tube)", "USING \(tube)")
            for _ in 0..<400 { client.send("put 0 0 60 1\r\n\(tube)\r\n") }
            for _ in 0..<400 { #expect(try client.line().hasPrefix("INSERTED")) }
            try client.call("watch \(tube)", tube == "a" ? "WATCHING 2" : "WATCHING 3")
        }
        var counts = ["a": 0, "b": 0]
        for _ in 0..<400 {
            client.send("reserve\r\n")
            #expect(try client.line().hasPrefix("RESERVED"))
            counts[try client.line(), default: 0] += 1
        }
        // Three in four, and a spread of 400 draws about that.
        #expect((260...340).contains(counts["b"] ?? 0), "\(counts)")
        process.signal(SIGTERM)
        #expect(process.waitForExit(seconds: 15) == 0)
        #expect(!process.output().contains("error"), "\(process.output())")
    }

    @Test(arguments: [
        ("answers-nothing", "every ready job is picked in the end, and once"),
        ("answers-no-slot", "an empty tube has nothing to pick or peek"),
        ("answers-what-is-not-watched", "only jobs of watched tubes are picked"),
        ("serves-what-is-held", "pick passes over tubes that aren't eligible"),
        ("peeks-at-nothing", "peek shows a ready job of the tube, eligible or not"),
        ("crashes", "an empty tube has nothing to pick or peek"),
    ])
    func theTestFindsAFaultByItsRule(fault: String, rule: String) throws {
        let outcome = try Outcome(
            [trellisd, "plugins", "test", "scheduler", try compileWrong(), "--options", "fault=\(fault)"])
        let broken = outcome.output.split(separator: "\n").filter { $0.hasPrefix("BROKEN  ") }
        #expect(broken.map { $0.dropFirst("BROKEN  ".count) } == [rule[...]], "\(outcome.output)")
        #expect(outcome.status == 1)
    }

    @Test func theTestAcceptsWhatIsSound() throws {
        let wrong = try compileWrong()
        for plugin in [wrong, "fair"] {
            let outcome = try Outcome([trellisd, "plugins", "test", "scheduler", plugin])
            #expect(
                outcome.status == 0 && outcome.output.contains("keeps the contract: 16 rules\n"), "\(outcome.output)")
        }
        let storage = try Outcome([trellisd, "plugins", "test", "storage", wrong])
        #expect(storage.status == 78)
        #expect(storage.output == "trellisd: \(wrong) has no plugin of the kind storage\n")
        let failing = try Outcome([trellisd, "plugins", "test", "scheduler", wrong, "--options", "fault=open-fails"])
        #expect(failing.status == 1 && failing.output.contains("open: the stars are wrong\n"), "\(failing.output)")
    }
}
