// SPDX-License-Identifier: MIT

import Testing
import TrellisConfiguration
import TrellisCore

/// What a configuration that is read again changes.
@Suite struct ChangeTests {
    private func change(_ old: String, _ new: String, managesSockets: Bool = false) throws -> ConfigurationChange {
        ConfigurationChange(from: try load(old), to: try load(new), managesSockets: managesSockets)
    }

    @Test func limitsAndTheLogLevelHoldAtOnce() throws {
        let change = try change(
            "limits: {job-size: 100, memory: 1GiB}\n", "limits: {job-size: 2KiB, connections: 7}\nlog: {level: debug}\n"
        )
        #expect(
            change.changes == [
                "limits.job-size is 2KiB now; it was 100", "limits.memory is 4GiB now; it was 1GiB",
                "limits.connections is 7 now; it was auto", "log.level is debug now; it was notice",
            ])
        #expect(change.restarts.isEmpty && change.added.isEmpty && change.removed.isEmpty)
        #expect(change.configuration.jobBytes == 2048)
        #expect(change.configuration.logLevel == "debug")
    }

    @Test func rulesOfTubesAreToldByPatternAndOption() throws {
        let change = try change(
            "tubes: {\"a\": {rate: 1/s}, \"b\": {}, \"c\": {weight: 2}}\n",
            "tubes: {\"c\": {weight: 3, concurrency: 4}, \"b\": {}, \"d.*\": {}}\n")
        #expect(
            change.changes == [
                "tubes.\"a\" holds no longer", "tubes.\"c\".weight is 3 now; it was 2",
                "tubes.\"c\".concurrency is 4 now; it was not set", "tubes.\"d.*\" holds now",
                "tubes stand in another order now",
            ])
        #expect(change.configuration.tubes.map(\.pattern) == ["c", "b", "d.*"])
    }

    @Test func whatIsMadeAtTheStartStaysUntilARestart() throws {
        let change = try change(
            "storage: {use: binlog, directory: d}\nuser: a\nlimits: {job-size: 5}\n",
            "storage: {use: binlog, directory: e, sync: never}\nuser: b\nlimits: {job-size: 6}\n")
        #expect(
            change.restarts == [
                "storage.directory needs a restart", "storage.sync needs a restart", "user needs a restart",
            ])
        #expect(change.changes == ["limits.job-size is 6 now; it was 5"])
        #expect(change.configuration.storage.settings.options.text("directory") == "d")
        #expect(change.configuration.user == "a")
        // Until then it is told each time.
        let again = ConfigurationChange(
            from: change.configuration,
            to: try load("storage: {use: memory}\nuser: a\nlimits: {job-size: 6}\n"))
        #expect(again.restarts == ["storage needs a restart to become memory; it stays binlog"])
        #expect(again.changes.isEmpty)
        #expect(again.configuration.storage.plugin.descriptor.name == "binlog")
    }

    @Test func transportsAreAddedAndRemovedByWhereTheyListen() throws {
        let old = """
            transports: [{use: tcp, listen: "127.0.0.1:1"}, {use: unix, path: /a}, {use: tcp, listen: "127.0.0.1:2"}]

            """
        let new = """
            transports:
              - {use: tcp, listen: "127.0.0.1:3"}
              - {use: unix, path: /a, mode: "0600"}
              - {use: tcp, listen: "127.0.0.1:2"}

            """
        let change = try change(old, new)
        #expect(change.removed == [0])
        #expect(change.added.map { $0.settings.options.text("listen") } == ["127.0.0.1:3"])
        #expect(change.restarts == ["transport.unix.mode needs a restart, for /a"])
        #expect(change.changes.isEmpty)
        let kept = change.configuration.transports.map(\.settings.options)
        #expect(kept.map { $0.text("listen") ?? $0.text("path") } == ["/a", "127.0.0.1:2", "127.0.0.1:3"])
        #expect(kept[0].fileMode("mode") == 0o660)
    }

    @Test func socketsOfTheServiceManagerStay() throws {
        let change = try change(
            "transports: [{use: tcp, listen: \"127.0.0.1:1\"}]\n",
            "transports: [{use: tcp, listen: \"127.0.0.1:2\"}]\n",
            managesSockets: true)
        #expect(change.added.isEmpty && change.removed.isEmpty && change.changes.isEmpty)
        #expect(
            change.restarts == [
                "transports is without effect, also after a restart: the service manager opens the sockets"
            ])
        #expect(change.configuration.transports.count == 1)
    }

    @Test func theSameFileChangesNothing() throws {
        let text =
            "storage: {use: binlog, directory: d}\ntubes: {\"a*\": {rate: 3/s}}\ntransports: [{use: unix, path: /a}]\n"
        let change = try change(text, text)
        #expect(change.changes.isEmpty && change.restarts.isEmpty && change.added.isEmpty && change.removed.isEmpty)
    }
}
