// SPDX-License-Identifier: MIT

import Glibc
import Synchronization
import Testing
import TrellisCore
import TrellisServer

/// What happens before a server serves.
@Suite struct StartTests {
    @Test(arguments: [false, true])
    func stopIsAnsweredWhileTheStoreIsBusy(opening: Bool) throws {
        let storage = BusyStorage(isBusyOpening: opening)
        let server = try ServerHarness(threads: 1, storage: storage, waits: false)
        try waitUntil("the store is busy") { storage.isBusy }
        let early = try server.connect()
        early.send("put 0 0 60 1\r\na\r\n")
        server.control.stop()
        #expect(try server.waitForEnd() == nil)
        #expect(storage.isClosed)
        #expect(server.log.all == ["notice: stopped before the start was over"])
        early.expectEnd()
    }

    @Test(arguments: ServerHarness.threadCounts)
    func stopThatTheStoreDidNotAskForEndsTheServerBeforeItServes(threads: Int) throws {
        let storage = BusyStorage(isBusyOpening: true, asks: false)
        let server = try ServerHarness(threads: threads, storage: storage, waits: false)
        try waitUntil("the store is busy") { storage.isBusy }
        let early = try server.connect()
        server.control.stop()
        storage.goOn()
        #expect(try server.waitForEnd() == nil)
        #expect(storage.isClosed)
        early.expectEnd()
    }
}

/// A store that is busy until it is asked to stop, or until the test lets it go on.
private final class BusyStorage: Storage, Sendable {
    private struct State {
        var host = StorageHost(wake: {})
        var isBusy = false
        var isClosed = false
        var mayGoOn = false
    }

    private let isBusyOpening: Bool
    private let asks: Bool
    private let state = Mutex(State())

    init(isBusyOpening: Bool, asks: Bool = true) {
        self.isBusyOpening = isBusyOpening
        self.asks = asks
    }

    var isBusy: Bool { state.withLock { $0.isBusy } }
    var isClosed: Bool { state.withLock { $0.isClosed } }

    func goOn() { state.withLock { $0.mayGoOn = true } }

    private func work() throws(StorageError) {
        let host = state.withLock { state in
            state.isBusy = true
            return state.host
        }
        guard asks else {
            while !state.withLock({ $0.mayGoOn }) { usleep(1000) }
            return
        }
        while !host.shouldStop() { usleep(1000) }
        throw .stopped
    }

    func open(_ access: StorageAccess, host: StorageHost) throws(StorageError) {
        state.withLock { $0.host = host }
        if isBusyOpening { try work() }
    }

    func recover(_ deliver: (StoredJob, StorageNote) -> Void) throws(StorageError) -> JobID {
        if !isBusyOpening { try work() }
        return JobID(0)
    }

    func admit(bodyBytes: Int, tubeNameBytes: Int) -> Bool { true }
    func append(_ change: Change, note: inout StorageNote) {}
    func maintain(_ job: JobVisitor) -> Bool { false }
    func commit() -> Commit { .durable }
    func completed() -> Ticket { Ticket(0) }
    var isCongested: Bool { false }
    func segment(of note: StorageNote) -> UInt64 { 0 }
    var statistics: StorageStatistics { StorageStatistics() }
    func close() { state.withLock { $0.isClosed = true } }
}
