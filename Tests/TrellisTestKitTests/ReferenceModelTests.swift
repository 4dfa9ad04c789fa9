// SPDX-License-Identifier: MIT

import Testing
import TrellisCore
import TrellisTestKit

/// Hand-made scenes, so that the judge itself is judged by something: what a person expects.
@Suite struct ReferenceModelTests {
    static let second: Int64 = 1_000_000_000

    static func model() -> ReferenceModel {
        let identity = ServerIdentity(
            processID: 1, version: "v", instanceID: "0123456789abcdef", hostname: "h", operatingSystem: "o",
            platform: "p")
        var model = ReferenceModel(identity: identity)
        for client in 1...3 { model.connect(client) }
        return model
    }

    private func put(
        _ model: inout ReferenceModel, _ body: String = "x", priority: UInt32 = 0, delay: UInt32 = 0, ttr: UInt32 = 10
    ) -> [String] {
        let line = ClientCommand.put(priority: priority, delay: delay, ttr: ttr, size: UInt32(body.utf8.count))
        let early = model.perform(line, by: 1)
        return (early + model.perform(.body(Array(body.utf8)), by: 1)).map(\.text)
    }

    private func replies(_ model: inout ReferenceModel, _ command: ClientCommand, by client: Int = 2) -> [String] {
        model.perform(command, by: client).map { "\($0.client) \($0.text)" }
    }

    @Test func leastPriorityThenLeastIDComesFirst() {
        var model = Self.model()
        #expect(put(&model, "a", priority: 5) == ["INSERTED 1\r\n"])
        _ = put(&model, "b", priority: 4)
        _ = put(&model, "c", priority: 4)
        #expect(replies(&model, .reserve) == ["2 RESERVED 2 1\r\nb\r\n"])
        #expect(replies(&model, .reserve) == ["2 RESERVED 3 1\r\nc\r\n"])
        #expect(replies(&model, .reserve) == ["2 RESERVED 1 1\r\na\r\n"])
    }

    @Test func waitersAreServedFirstComeFirstServed() {
        var model = Self.model()
        #expect(replies(&model, .reserve, by: 3) == [])
        #expect(replies(&model, .reserveWithTimeout(seconds: 5), by: 2) == [])
        #expect(put(&model, "a") == ["INSERTED 1\r\n", "RESERVED 1 1\r\na\r\n"])
        #expect(!model.isWaiting(3) && model.isWaiting(2))
        #expect(model.advance(to: 5 * Self.second - 1) == [])
        #expect(model.advance(to: 5 * Self.second).map(\.text) == ["TIMED_OUT\r\n"])
    }

    @Test func marginComesBeforeExpiryAlsoWhenBothAreLate() {
        var model = Self.model()
        _ = put(&model, "a", ttr: 3)
        _ = replies(&model, .reserve)
        _ = replies(&model, .reserve)
        #expect(model.advance(to: 60 * Self.second).map(\.text) == ["DEADLINE_SOON\r\n"])
        #expect(replies(&model, .reserve) == ["2 RESERVED 1 1\r\na\r\n"])
    }

    @Test func readyJobOfAPausedTubeDoesNotHoldBackDeadlineSoon() {
        var model = Self.model()
        _ = put(&model, "a", ttr: 1)
        _ = put(&model, "b")
        _ = replies(&model, .reserve)
        _ = replies(&model, .pauseTube("default", seconds: 9))
        #expect(replies(&model, .reserve) == ["2 DEADLINE_SOON\r\n"])
        #expect(replies(&model, .reserveJob(2)) == ["2 RESERVED 2 1\r\nb\r\n"])
    }

    @Test func idsAreGivenAtTheLineAndUsedUpByRefusals() {
        var model = Self.model()
        _ = model.perform(.put(priority: 0, delay: 0, ttr: 0, size: 1), by: 1)
        #expect(replies(&model, .peek(1)) == ["2 NOT_FOUND\r\n"])
        _ = model.perform(.put(priority: 0, delay: 0, ttr: 0, size: 1), by: 3)
        #expect(replies(&model, .body([1], endsWithCRLF: false), by: 1) == ["1 EXPECTED_CRLF\r\n"])
        #expect(replies(&model, .body([2]), by: 3) == ["3 INSERTED 2\r\n"])
        _ = model.perform(.put(priority: 0, delay: 0, ttr: 0, size: 65_536), by: 1)
        #expect(replies(&model, .body([]), by: 1) == ["1 JOB_TOO_BIG\r\n"])
        model.isDraining = true
        #expect(put(&model) == ["DRAINING\r\n"])
        model.isDraining = false
        #expect(put(&model) == ["INSERTED 4\r\n"])
    }

    @Test func kickTakesBuriedJobsFirst() {
        var model = Self.model()
        _ = put(&model, "a", delay: 9)
        _ = put(&model, "b")
        _ = replies(&model, .reserve)
        _ = replies(&model, .bury(2, priority: 7))
        #expect(replies(&model, .kick(bound: 5)) == ["2 KICKED 1\r\n"])
        #expect(replies(&model, .kick(bound: 5)) == ["2 KICKED 1\r\n"])
        #expect(replies(&model, .kickJob(1)) == ["2 NOT_FOUND\r\n"])
    }

    @Test func tubesLiveAsLongAsTheyAreNeeded() {
        var model = Self.model()
        _ = replies(&model, .use("a"))
        _ = replies(&model, .watch("b"))
        _ = replies(&model, .use("default"))
        #expect(model.tubeNames == ["default", "b"])
        #expect(replies(&model, .ignore("default")) == ["2 WATCHING 1\r\n"])
        #expect(replies(&model, .ignore("b")) == ["2 NOT_IGNORED\r\n"])
        _ = model.disconnect(2)
        #expect(model.tubeNames == ["default"])
    }

    @Test func statisticsHaveTheReferencesForm() {
        var model = Self.model()
        _ = put(&model, "hello", priority: 1023, ttr: 0)
        _ = model.advance(to: 2 * Self.second)
        let job = """
            ---\nid: 1\ntube: "default"\nstate: ready\npri: 1023\nage: 2\ndelay: 0\nttr: 1\ntime-left: 0\nfile: 0
            reserves: 0\ntimeouts: 0\nreleases: 0\nburies: 0\nkicks: 0\n
            """
        #expect(replies(&model, .statsJob(1)) == ["2 OK \(job.utf8.count)\r\n\(job)\r\n"])
        let tube = """
            ---\nname: "default"\ncurrent-jobs-urgent: 1\ncurrent-jobs-ready: 1\ncurrent-jobs-reserved: 0
            current-jobs-delayed: 0\ncurrent-jobs-buried: 0\ntotal-jobs: 1\ncurrent-using: 3\ncurrent-watching: 3
            current-waiting: 0\ncmd-delete: 0\ncmd-pause-tube: 0\npause: 0\npause-time-left: 0\n
            """
        #expect(replies(&model, .statsTube("default")) == ["2 OK \(tube.utf8.count)\r\n\(tube)\r\n"])
        let server = replies(&model, .stats).first ?? ""
        let lines = ["cmd-put: 1", "cmd-stats: 1", "uptime: 2", "version: \"v\"", "id: 0123456789abcdef"]
        for line in lines { #expect(server.contains("\n\(line)\n")) }
        #expect(server.utf8.split(separator: UInt8(ascii: "\n")).count == 2 + 51 + 1)
    }
}
