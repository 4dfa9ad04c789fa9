// SPDX-License-Identifier: MIT

import PriorityScheduler
import Testing

@testable import TrellisCore

/// Passes everything on and remembers what a scheduler is told.
private final class RecordingScheduler: Scheduler {
    private let inner = PriorityScheduler()
    private(set) var calls: [String] = []
    /// Watch lists of so many tubes get nothing.
    var refusedLength = 0

    func advance(to now: Instant) { inner.advance(to: now) }
    func tubeOpened(_ tube: TubeIndex, name: BorrowedName, settings: TubeSettings) {
        calls.append("opened \(tube.index) \(settings.weight)")
        inner.tubeOpened(tube, name: name, settings: settings)
    }
    func tubeChanged(_ tube: TubeIndex, settings: TubeSettings) {
        calls.append("changed \(tube.index) \(settings.weight)")
    }
    func tubeClosed(_ tube: TubeIndex) {
        calls.append("closed \(tube.index)")
        inner.tubeClosed(tube)
    }
    func ready(_ job: ReadyJob) {
        calls.append("ready \(job.id.rawValue)")
        inner.ready(job)
    }
    func removed(_ job: ReadyJob) {
        calls.append("removed \(job.id.rawValue)")
        inner.removed(job)
    }
    func reserved(_ job: ReadyJob, for watched: WatchSet) {
        calls.append("reserved \(job.id.rawValue) for \(watched.tubes.count)")
        inner.reserved(job, for: watched)
    }
    func reservedByID(_ job: ReadyJob) { calls.append("by id \(job.id.rawValue)") }
    func finished(_ job: ReadyJob, _ outcome: ReservationOutcome, serviceNanoseconds: Int64) {
        calls.append("finished \(job.id.rawValue) \(outcome) \(serviceNanoseconds / 1_000_000)")
    }
    func eligible(_ tube: TubeIndex, _ isEligible: Bool) {
        calls.append("eligible \(tube.index) \(isEligible)")
        inner.eligible(tube, isEligible)
    }
    func pick(_ watched: WatchSet) -> JobSlot? { watched.tubes.count == refusedLength ? nil : inner.pick(watched) }
    func peek(_ tube: TubeIndex) -> JobSlot? { inner.peek(tube) }

    func takeCalls() -> [String] {
        defer { calls = [] }
        return calls
    }
}

@Suite struct SchedulerCallTests {
    @Test func reservationsByIDAreTold() {
        let scheduler = RecordingScheduler()
        let harness = EngineHarness(scheduler: scheduler)
        let client = harness.connect()
        harness.put(client)
        harness.put(client, delay: 5)
        _ = scheduler.takeCalls()
        harness.perform(.reserveJob(JobID(1)), client)
        harness.perform(.bury(JobID(1), priority: 0), client)
        harness.perform(.reserveJob(JobID(1)), client)
        harness.perform(.reserveJob(JobID(2)), client)
        harness.perform(.delete(JobID(2)), client)
        #expect(
            scheduler.takeCalls() == [
                "removed 1", "by id 1", "finished 1 buried 0", "by id 1", "by id 2", "finished 2 deleted 0",
            ])
    }

    /// A worker that touches its job has it for all that time.
    @Test func serviceTimeCountsFromTheReservation() {
        let scheduler = RecordingScheduler()
        let harness = EngineHarness(scheduler: scheduler)
        let client = harness.connect()
        harness.put(client, ttr: 10)
        harness.perform(.reserve, client)
        harness.advance(seconds: 4)
        harness.perform(.touch(JobID(1)), client)
        harness.advance(seconds: 7)
        harness.perform(.touch(JobID(1)), client)
        harness.advance(seconds: 1.5)
        harness.perform(.release(JobID(1), priority: 0, delay: 0), client)
        harness.perform(.reserve, client)
        harness.advance(seconds: 10)
        #expect(
            scheduler.takeCalls().filter { $0.hasPrefix("finished") } == [
                "finished 1 released 12500", "finished 1 timedOut 10000",
            ])
    }

    @Test func reasonsNotToServeATubeAreToldAsOne() {
        let scheduler = RecordingScheduler()
        let rules = TubeRules([TubeRule(TubePattern("*"), TubeSettings(concurrency: 1))])
        let harness = EngineHarness(tubeRules: rules, scheduler: scheduler)
        let client = harness.connect()
        harness.put(client)
        _ = scheduler.takeCalls()
        harness.perform(.reserve, client)
        _ = harness.named("default", client) { .pauseTube($0, seconds: 5) }
        _ = harness.named("default", client) { .pauseTube($0, seconds: 7) }
        harness.perform(.delete(JobID(1)), client)
        harness.advance(seconds: 7)
        #expect(
            scheduler.takeCalls() == [
                "reserved 1 for 1", "eligible 0 false", "finished 1 deleted 0", "eligible 0 true",
            ])
    }

    @Test func settingsAreToldAtTheOpeningAndAtAChange() {
        let scheduler = RecordingScheduler()
        func rules(_ weight: UInt32) -> TubeRules {
            TubeRules([TubeRule(TubePattern("t*"), TubeSettings(weight: weight))])
        }
        let harness = EngineHarness(tubeRules: rules(4), scheduler: scheduler)
        let client = harness.connect()
        _ = harness.named("t1", client) { .watch($0) }
        harness.engine.pointee.exchange(rules(4))
        harness.engine.pointee.exchange(rules(5))
        harness.engine.pointee.exchange(TubeRules())
        _ = harness.named("t1", client) { .ignore($0) }
        #expect(scheduler.takeCalls() == ["opened 0 1", "opened 1 4", "changed 1 5", "changed 1 1", "closed 1"])
    }

    /// The contract forbids it; the others must not wait for ever because of it.
    @Test func watchListThatGetsNothingDoesNotHoldUpTheOthers() {
        let scheduler = RecordingScheduler()
        let harness = EngineHarness(scheduler: scheduler)
        let producer = harness.connect()
        let refused = harness.connect()
        let served = harness.connect()
        _ = harness.named("a", refused) { .watch($0) }
        scheduler.refusedLength = 2
        harness.perform(.reserve, refused)
        harness.perform(.reserve, served)
        harness.put(producer)
        #expect(harness.take(served) == ["RESERVED 1 x"])
        scheduler.refusedLength = 0
        harness.put(producer)
        #expect(harness.take(refused) == ["RESERVED 2 x"])
    }
}
