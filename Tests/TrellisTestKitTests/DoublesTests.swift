// SPDX-License-Identifier: MIT

import Glibc
import Synchronization
import Testing
import TrellisCore
import TrellisTestKit

@Suite struct DelayedStorageTests {
    private func put(_ id: UInt64, into store: DelayedStorage) {
        var note = StorageNote()
        withUnsafeBytes(of: UInt8(ascii: "t")) { bytes in
            let job = StoredJob(
                id: JobID(id), tube: BorrowedName(bytes), state: .ready, priority: 0, delay: 0, ttr: 1, createdAt: 0,
                deadline: 0, sequence: id, counters: JobCounters(), body: bytes)
            store.append(.put(job), note: &note)
        }
    }

    @Test func commitsStayPendingUntilTheyAreCompleted() throws {
        let wakes = Counter()
        let store = DelayedStorage()
        store.open(.readWrite, host: StorageHost(wake: { wakes.increment() }))
        #expect(try store.commit() == .durable, "a turn without changes has nothing to wait for")
        put(1, into: store)
        #expect(try store.commit() == .pending(Ticket(1)))
        #expect(try store.commit() == .pending(Ticket(1)), "a turn without changes waits for those before it")
        put(2, into: store)
        #expect(try store.commit() == .pending(Ticket(2)))
        #expect(try store.completed() == Ticket(0))
        #expect(wakes.value == 0)
        store.complete(upTo: Ticket(1))
        #expect(try store.completed() == Ticket(1))
        store.complete()
        #expect(try store.completed() == Ticket(2))
        #expect(wakes.value == 2)
        #expect(store.changes == ["put 1", "put 2"])
        #expect(store.commitCount == 4)
    }

    @Test func anotherThreadSeesWhatIsPending() throws {
        let store = DelayedStorage()
        store.open(.readWrite, host: StorageHost(wake: {}))
        #expect(store.waitForPending(seconds: 0) == nil)
        put(1, into: store)
        _ = try store.commit()
        #expect(store.waitForPending() == Ticket(1))
        #expect(store.waitForPending(above: Ticket(1), seconds: 0) == nil)
    }

    @Test func theNamedCommitFails() throws {
        let store = DelayedStorage()
        store.open(.readWrite, host: StorageHost(wake: {}))
        _ = try store.commit()
        store.failCommit(2)
        _ = try store.commit()
        #expect(throws: StorageError.fatal("commit 3 was to fail")) { try store.commit() }
    }

    @Test func completionFailsWhenTold() {
        let wakes = Counter()
        let store = DelayedStorage()
        store.open(.readWrite, host: StorageHost(wake: { wakes.increment() }))
        store.failCompletion("no disk")
        #expect(wakes.value == 1)
        #expect(throws: StorageError.fatal("no disk")) { try store.completed() }
    }

    @Test func putsAreRefusedWhenTold() {
        let store = DelayedStorage()
        #expect(store.admit(bodyBytes: 1, tubeNameBytes: 1))
        store.setAdmitsPuts(false)
        #expect(!store.admit(bodyBytes: 1, tubeNameBytes: 1))
    }

    @Test func closeCompletesWhatIsPending() throws {
        let store = DelayedStorage()
        store.open(.readWrite, host: StorageHost(wake: {}))
        put(1, into: store)
        _ = try store.commit()
        #expect(store.isOpen)
        store.close()
        store.close()
        #expect(!store.isOpen)
        #expect(try store.completed() == Ticket(1))
    }
}

@Suite struct MemoryTransportTests {
    /// A connection: the client's end and the server's.
    private func connection(of transport: MemoryTransport) throws -> (MemoryClient, any ByteStream) {
        let listener = try #require(transport.open().first)
        let client = try #require(transport.connect(as: .local(pid: 1, uid: 2, gid: 3)))
        guard case .stream(let stream, let peer) = listener.accept() else { throw Absent() }
        #expect(peer == .local(pid: 1, uid: 2, gid: 3))
        return (client, stream)
    }

    private struct Absent: Error {}

    private func write(_ text: String, to stream: any ByteStream) -> TransferOutcome {
        Array(text.utf8).withUnsafeBytes { stream.write($0) }
    }

    @Test func writesTakeAsManyBytesAsAllowed() throws {
        let (client, stream) = try connection(of: MemoryTransport())
        client.limitWrites(toBytes: 3)
        #expect(write("hello", to: stream) == .bytes(3))
        #expect(client.receive(atMost: 100) == Array("hel".utf8))
    }

    @Test func writesWaitForRoomAndAreTold() throws {
        let (client, stream) = try connection(of: MemoryTransport())
        let signals = Counter()
        guard case .signal(let signal) = stream.readiness else { throw Absent() }
        signal.onReady { signals.increment() }
        client.setRoom(4)
        #expect(write("hello", to: stream) == .bytes(4))
        #expect(write("o", to: stream) == .againWhenWritable)
        #expect(signals.value == 0)
        #expect(client.receive(atMost: 2) == Array("he".utf8))
        #expect(signals.value == 1)
        #expect(write("o", to: stream) == .bytes(1))
        client.setRoom(0)
        #expect(write("o", to: stream) == .againWhenWritable)
    }

    @Test func aBrokenConnectionAnswersItsErrno() throws {
        let (client, stream) = try connection(of: MemoryTransport())
        client.fail(ECONNRESET)
        #expect(write("x", to: stream) == .failed(ECONNRESET))
        let outcome = withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) { stream.read(into: $0) }
        #expect(outcome == .failed(ECONNRESET))
        #expect(client.receive(atMost: 1) == [])
    }

    @Test func nobodyListensBeforeOpenOrAfterClose() throws {
        let transport = MemoryTransport()
        #expect(transport.connect() == nil)
        let listener = try #require(transport.open().first)
        #expect(throws: TransportError.self) { try transport.open() }
        let waiting = try #require(transport.connect())
        listener.close()
        #expect(waiting.isClosedByServer)
        #expect(transport.connect() == nil)
    }

    @Test func acceptIsExhaustedOnce() throws {
        let transport = MemoryTransport()
        let listener = try #require(transport.open().first)
        transport.exhaustOnce()
        guard case .exhausted(EMFILE) = listener.accept() else { throw Absent() }
        guard case .again = listener.accept() else { throw Absent() }
    }

    @Test func receiveGivesUpInTime() throws {
        let (client, _) = try connection(of: MemoryTransport())
        #expect(client.receive(atMost: 1, seconds: 0) == nil)
    }
}

/// Counts calls that may come from any thread.
private final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    var value: Int { count.load(ordering: .sequentiallyConsistent) }
    func increment() { count.add(1, ordering: .sequentiallyConsistent) }
}
