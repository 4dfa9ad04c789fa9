// SPDX-License-Identifier: MIT

import Glibc
import MemoryStorage
import Synchronization
import Testing
import TrellisCore
import TrellisServer
import TrellisTestKit

/// What a running server does with a configuration that was read again.
@Suite struct ReloadTests {
    /// What the next reload comes to.
    private final class Script: Sendable {
        private struct State {
            var answer: Result<Answer, UpdateRefusal> = .failure(UpdateRefusal([]))
            var calls = 0
            var isHeld = false
        }

        struct Answer: Sendable {
            var settings = ServerHarness.settings()
            var added: [MemoryTransport] = []
            var removed: [Int] = []
            var changes: [String] = []
            var restarts: [String] = []
        }

        private let state = Mutex(State())

        var calls: Int { state.withLock { $0.calls } }

        func say(_ change: (inout Answer) -> Void) {
            var answer = Answer()
            change(&answer)
            state.withLock { $0.answer = .success(answer) }
        }

        func refuse(_ reasons: [String]) { state.withLock { $0.answer = .failure(UpdateRefusal(reasons)) } }

        /// Whether the next one waits until it is let go.
        func hold(_ isHeld: Bool) { state.withLock { $0.isHeld = isHeld } }

        var source: UpdateSource {
            { (_) throws(UpdateRefusal) in
                self.state.withLock { $0.calls += 1 }
                while self.state.withLock({ $0.isHeld }) { usleep(1000) }
                let answer = try self.state.withLock { $0.answer }.get()
                return ServerUpdate(
                    settings: answer.settings, added: answer.added, removed: answer.removed, changes: answer.changes,
                    restarts: answer.restarts)
            }
        }
    }

    private func rules(_ settings: TubeSettings) -> TubeRules { TubeRules([TubeRule(TubePattern("*"), settings)]) }

    private func reload(_ server: ServerHarness, until text: String) throws {
        server.control.reload()
        try waitUntil("the log says \(text)") { server.log.contains(text) }
    }

    @Test(arguments: ServerHarness.threadCounts)
    func workersAreServedWhenTheirLimitIsLifted(threads: Int) throws {
        let script = Script()
        var settings = ServerHarness.settings()
        settings.tubeRules = rules(TubeSettings(concurrency: 1))
        let server = try ServerHarness(threads: threads, settings: settings, updates: script.source)
        let client = try server.connect()
        client.ask("put 0 0 60 1\r\na\r\nput 0 0 60 1\r\nb\r\n", "INSERTED 1\r\nINSERTED 2\r\n")
        client.ask("reserve\r\n", "RESERVED 1 1\r\na\r\n")
        let worker = try server.connect()
        worker.send("reserve\r\n")
        worker.expectSilence()
        script.say {
            $0.settings.tubeRules = rules(TubeSettings(concurrency: 2))
            $0.changes = ["the limit is 2"]
        }
        try reload(server, until: "reloaded; changed: 1")
        worker.expect("RESERVED 2 1\r\nb\r\n")
        #expect(server.log.contains("notice: reload: the limit is 2"))
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts)
    func limitsOfJobsAndConnectionsHoldAtOnce(threads: Int) throws {
        let script = Script()
        var settings = ServerHarness.settings()
        settings.connections = 1
        let server = try ServerHarness(threads: threads, settings: settings, updates: script.source)
        let client = try server.connect()
        client.ask("put 0 0 60 5\r\nhello\r\n", "INSERTED 1\r\n")
        let second = try server.connect()
        try waitUntil("the pause is logged") { server.log.contains("the limit of 1 connections is reached") }
        script.say {
            $0.settings.engine.jobBytes = 4
            $0.restarts = ["storage needs a restart"]
        }
        try reload(server, until: "reloaded; nothing is changed; waiting for a restart: 1")
        #expect(server.log.contains("warning: reload: storage needs a restart"))
        client.ask("put 0 0 60 5\r\nhello\r\n", "JOB_TOO_BIG\r\n")
        second.ask("reserve\r\n", "RESERVED 1 5\r\nhello\r\n")
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts)
    func commandsThatWaitedForTheOldLimitOfOutputGoOn(threads: Int) throws {
        let script = Script()
        var settings = ServerHarness.settings()
        settings.outputBytes = 1024
        let server = try ServerHarness(threads: threads, settings: settings, updates: script.source)
        let client = try server.connect()
        client.end.setRoom(0)
        let body = String(repeating: "o", count: 2000)
        client.send("put 0 0 60 2000\r\n\(body)\r\npeek 1\r\nlist-tube-used\r\nuse other\r\n")
        let observer = try server.connect()
        observer.ask("list-tubes\r\n", "OK 14\r\n---\n- default\n\r\n")
        script.say { $0.settings.outputBytes = 1 << 20 }
        try reload(server, until: "reloaded")
        try waitUntil("the tube is there") {
            observer.send("list-tubes\r\n")
            return observer.end.receive(atMost: 100).map { String(decoding: $0, as: UTF8.self).contains("other") }
                ?? false
        }
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts)
    func listenersComeAndGo(threads: Int) throws {
        let script = Script()
        let server = try ServerHarness(threads: threads, updates: script.source)
        let old = try server.connect()
        old.ask("list-tube-used\r\n", "USING default\r\n")
        for number in 1...3 {
            let transport = MemoryTransport(endpoint: "memory:\(number)")
            script.say {
                $0.added = [transport]
                $0.removed = [number - 1]
            }
            try reload(server, until: "reload: listens on memory:\(number), too")
            let client = TestClient(try #require(transport.connect()))
            client.ask("list-tube-used\r\n", "USING default\r\n")
        }
        #expect(server.log.contains("listens on memory:test no longer"))
        #expect(server.log.contains("listens on memory:2 no longer"))
        #expect(server.transport.connect() == nil)
        old.ask("list-tube-used\r\n", "USING default\r\n")
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts)
    func nothingChangesWhereAListenerCannotBeOpened(threads: Int) throws {
        let script = Script()
        let server = try ServerHarness(threads: threads, updates: script.source)
        let client = try server.connect()
        let (free, taken) = (MemoryTransport(endpoint: "memory:free"), MemoryTransport(endpoint: "memory:taken"))
        _ = try taken.open()
        script.say {
            $0.settings.engine.jobBytes = 1
            $0.added = [free, taken]
            $0.removed = [0]
        }
        try reload(server, until: "the configuration stays as it was")
        #expect(server.log.contains("error: memory:taken is in use"))
        #expect(free.connect() == nil, "what was opened before is closed again")
        client.ask("put 0 0 60 5\r\nhello\r\n", "INSERTED 1\r\n")
        try server.connect().ask("list-tube-used\r\n", "USING default\r\n")
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts)
    func aRefusedConfigurationIsToldLineByLine(threads: Int) throws {
        let script = Script()
        script.refuse(["a.yaml:1:1: no", "a.yaml:2:1: no"])
        let server = try ServerHarness(threads: threads, updates: script.source)
        try reload(server, until: "the configuration stays as it was, since the new one can't be used")
        #expect(server.log.contains("error: a.yaml:1:1: no"))
        #expect(server.log.contains("error: a.yaml:2:1: no"))
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts)
    func theLoopGoesOnWhileTheFileIsRead(threads: Int) throws {
        let script = Script()
        script.say { $0.changes = ["a"] }
        script.hold(true)
        let server = try ServerHarness(threads: threads, updates: script.source)
        let client = try server.connect()
        server.control.reload()
        try waitUntil("it is being read") { script.calls == 1 }
        client.ask("put 0 0 60 1\r\na\r\n", "INSERTED 1\r\n")
        // What is asked for meanwhile comes after it, once.
        server.control.reload()
        client.ask("put 0 0 60 1\r\na\r\n", "INSERTED 2\r\n")
        server.control.reload()
        client.ask("put 0 0 60 1\r\na\r\n", "INSERTED 3\r\n")
        #expect(script.calls == 1)
        script.hold(false)
        try waitUntil("both are over") { server.log.all.filter { $0.contains("reloaded") }.count == 2 }
        #expect(script.calls == 2)
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts)
    func reloadsWhileTheStoreIsCongested(threads: Int) throws {
        let script = Script()
        let storage = DelayedStorage()
        let server = try ServerHarness(threads: threads, storage: storage, updates: script.source)
        let client = try server.connect()
        client.send("put 0 0 60 1\r\na\r\n")
        #expect(storage.waitForPending() != nil)
        // The turn in which the reload is asked for finds it out; what came of it is taken over in a later one.
        storage.setCongested(true)
        let transport = MemoryTransport(endpoint: "memory:more")
        script.say {
            $0.settings.engine.jobBytes = 2
            $0.added = [transport]
        }
        try reload(server, until: "reloaded; changed: 1")
        storage.setCongested(false)
        storage.complete()
        client.expect("INSERTED 1\r\n")
        client.ask("put 0 0 60 3\r\naaa\r\n", "JOB_TOO_BIG\r\n")
        TestClient(try #require(transport.connect())).ask("list-tube-used\r\n", "USING default\r\n")
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts)
    func aServerWithoutAFileRunsOn(threads: Int) throws {
        let server = try ServerHarness(threads: threads)
        try reload(server, until: "there is no configuration file to read again; nothing is changed")
        try server.connect().ask("list-tube-used\r\n", "USING default\r\n")
        try server.stop()
    }

    @Test(arguments: ServerHarness.threadCounts)
    func aStopWhileTheFileIsReadOpensNothing(threads: Int) throws {
        let script = Script()
        let transport = MemoryTransport(endpoint: "memory:late")
        script.say { $0.added = [transport] }
        script.hold(true)
        let server = try ServerHarness(threads: threads, updates: script.source)
        server.control.reload()
        try waitUntil("it is being read") { script.calls == 1 }
        try server.stop()
        script.hold(false)
        #expect(!server.log.contains("reloaded"))
    }
}
