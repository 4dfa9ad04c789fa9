// SPDX-License-Identifier: MIT

import Testing

@testable import TrellisCore

/// A scheduler that goes on offering a job which was taken.
private final class ForgetfulScheduler: Scheduler {
    private var last: JobSlot?

    func advance(to now: Instant) {}
    func tubeOpened(_ tube: TubeIndex, name: BorrowedName, settings: TubeSettings) {}
    func tubeChanged(_ tube: TubeIndex, settings: TubeSettings) {}
    func tubeClosed(_ tube: TubeIndex) {}
    func ready(_ job: ReadyJob) { last = job.slot }
    func removed(_ job: ReadyJob) {}
    func reserved(_ job: ReadyJob, for watched: WatchSet) {}
    func reservedByID(_ job: ReadyJob) {}
    func finished(_ job: ReadyJob, _ outcome: ReservationOutcome, serviceNanoseconds: Int64) {}
    func eligible(_ tube: TubeIndex, _ isEligible: Bool) {}
    func pick(_ watched: WatchSet) -> JobSlot? { last }
    func peek(_ tube: TubeIndex) -> JobSlot? { last }
}

@Suite struct MisuseTests {
    @Test func schedulerThatOffersAReservedJobStopsTheServer() async {
        await #expect(processExitsWith: .failure) {
            let harness = EngineHarness(scheduler: ForgetfulScheduler())
            let client = harness.connect()
            harness.put(client)
            harness.put(client)
            harness.perform(.reserve, client)
            harness.perform(.bury(JobID(2), priority: 0), client)
            harness.perform(.reserve, client)
        }
    }

    @Test func bodyOfAnotherSizeThanAnnouncedStopsTheServer() async {
        await #expect(processExitsWith: .failure) {
            let harness = EngineHarness()
            let client = harness.connect()
            let line = PutLine(priority: 0, delay: 0, ttr: 1, size: 10)
            _ = harness.engine.pointee.perform(.put(line), from: client)
            guard let body = harness.engine.pointee.makeBody(5_000) else { return }
            harness.engine.pointee.completePut(client, body: body, endsWithCRLF: true)
            withExtendedLifetime(harness) {}
        }
    }
}
