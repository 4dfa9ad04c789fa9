// SPDX-License-Identifier: MIT

import MemoryStorage
import TrellisCore
import TrellisTestKit
import TrellisWire

/// What the clients of one step received, by client.
typealias Received = [Int: [UInt8]]

/// The engine as the subject of a simulation: takes the steps of a workload, answers what clients receive.
struct EngineDriver: ~Copyable {
    /// What a connection's next body is for.
    private enum Owed {
        case put
        case reply(Reply)
    }

    static let identity = ServerIdentity(
        processID: 4711, version: "trellis 0.0", instanceID: "00112233445566ff", hostname: "host",
        operatingSystem: "#1 Test", platform: "none")
    static let start: Int64 = 5_000_000_000

    private var engine: Engine
    private var connections: [Int: ConnectionID] = [:]
    private var clients: [ConnectionID: Int] = [:]
    private var owed: [Int: Owed] = [:]
    /// The replies in the order in which they were made, over all clients.
    private(set) var transcript: [String] = []

    init(limits: EngineLimits, tubeRules: TubeRules, scheduler: any Scheduler) {
        let start = Moment(monotonic: Instant(nanoseconds: Self.start), wallNanoseconds: 1_000_000_000_000_000_000)
        engine = Engine(
            limits: limits, tubeRules: tubeRules, identity: Self.identity, storage: MemoryStorage(),
            scheduler: scheduler, start: start,
            processorTime: { ProcessorTime(userMicroseconds: 0, systemMicroseconds: 0) })
    }

    /// When the engine wants to be woken at the latest; nil for never.
    var nextDeadline: Int64? { engine.nextDeadline == .never ? nil : engine.nextDeadline.nanoseconds }

    mutating func apply(_ step: WorkloadStep) throws(Mismatch) -> Received {
        switch step {
        case .connect(let client):
            let connection = engine.connect()
            connections[client] = connection
            clients[connection] = client
        case .disconnect(let client):
            disconnect(client)
        case .endInput(let client):
            guard let connection = connections[client] else { break }
            engine.inputEnded(connection)
            let received = try takeEffects()
            disconnect(client)
            return try received.merging(takeEffects(), uniquingKeysWith: +)
        case .perform(let command, let client):
            perform(command, client)
        case .advance(let time):
            engine.advance(
                to: Moment(monotonic: Instant(nanoseconds: time), wallNanoseconds: 1_000_000_000_000_000_000 + time))
        case .drain(let isOn):
            engine.isDraining = isOn
        }
        while engine.hasWork { engine.step() }
        guard (try? engine.commit()) == .durable else { preconditionFailure("memory storage is durable at once") }
        return try takeEffects()
    }

    private mutating func disconnect(_ client: Int) {
        guard let connection = connections.removeValue(forKey: client) else { return }
        owed[client] = nil
        engine.disconnect(connection)
        while engine.hasWork { engine.step() }
        clients[connection] = nil
    }

    private mutating func perform(_ command: ClientCommand, _ client: Int) {
        guard let connection = connections[client] else { return }
        switch command {
        case .malformed: engine.refuse(.badFormat, from: connection)
        case .unknown: engine.refuse(.unknownCommand, from: connection)
        case .body(let bytes, let endsWithCRLF): complete(bytes, endsWithCRLF, client, connection)
        default:
            let verdict = withEngineCommand(command) { engine.perform($0, from: connection) }
            switch verdict {
            case .next, .wait: break
            case .body: owed[client] = .put
            case .swallow(_, let reply): owed[client] = .reply(reply)
            case .close: disconnect(client)
            }
        }
    }

    private mutating func complete(_ bytes: [UInt8], _ endsWithCRLF: Bool, _ client: Int, _ connection: ConnectionID) {
        switch owed.removeValue(forKey: client) {
        case .put:
            guard let body = engine.makeBody(bytes.count) else { preconditionFailure("the system has no memory") }
            body.mutableBytes.copyBytes(from: bytes)
            engine.completePut(connection, body: body, endsWithCRLF: endsWithCRLF)
        case .reply(let reply): engine.send(reply, to: connection)
        case nil: preconditionFailure("a body came without a put line")
        }
    }

    private mutating func takeEffects() throws(Mismatch) -> Received {
        var received: Received = [:]
        while let effect = engine.nextEffect() {
            let bytes = ReplyEncoder.encode(effect.reply)
            if let body = effect.reply.body { engine.release(body) }
            guard let client = clients[effect.connection] else {
                throw Mismatch(what: "a reply went to a connection that is closed: \(text(bytes))")
            }
            received[client, default: []] += bytes
            transcript.append("\(client): \(text(bytes))")
        }
        return received
    }
}

func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self).debugDescription }

/// Calls with the engine's form of a command, whose name lies in memory for the time of the call only.
private func withEngineCommand(_ command: ClientCommand, _ call: (Command) -> Verdict) -> Verdict {
    func named(_ name: String, _ make: (BorrowedName) -> Command) -> Verdict {
        // A copy that is gone after the call: a name that the engine keeps without copying it turns to rubbish.
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: name.utf8.count, alignment: 1)
        copy.copyBytes(from: name.utf8)
        defer {
            copy.copyBytes(from: repeatElement(UInt8(ascii: "?"), count: copy.count))
            copy.deallocate()
        }
        return call(make(BorrowedName(UnsafeRawBufferPointer(copy))))
    }
    return switch command {
    case .use(let name): named(name) { .use($0) }
    case .watch(let name): named(name) { .watch($0) }
    case .ignore(let name): named(name) { .ignore($0) }
    case .statsTube(let name): named(name) { .statsTube($0) }
    case .pauseTube(let name, let seconds): named(name) { .pauseTube($0, seconds: seconds) }
    default: call(plainCommand(command))
    }
}

/// The engine's form of a command without a name.
private func plainCommand(_ command: ClientCommand) -> Command {
    switch command {
    case .put(let priority, let delay, let ttr, let size, let hasTrailingBytes):
        .put(PutLine(priority: priority, delay: delay, ttr: ttr, size: size, hasTrailingBytes: hasTrailingBytes))
    case .reserve: .reserve
    case .reserveWithTimeout(let seconds): .reserveWithTimeout(seconds: seconds)
    case .reserveJob(let id): .reserveJob(JobID(id))
    case .delete(let id): .delete(JobID(id))
    case .release(let id, let priority, let delay): .release(JobID(id), priority: priority, delay: delay)
    case .bury(let id, let priority): .bury(JobID(id), priority: priority)
    case .touch(let id): .touch(JobID(id))
    case .peek(let id): .peek(JobID(id))
    case .peekReady: .peekReady
    case .peekDelayed: .peekDelayed
    case .peekBuried: .peekBuried
    case .kick(let bound): .kick(bound: bound)
    case .kickJob(let id): .kickJob(JobID(id))
    case .stats: .stats
    case .statsJob(let id): .statsJob(JobID(id))
    case .listTubes: .listTubes
    case .listTubeUsed: .listTubeUsed
    case .listTubesWatched: .listTubesWatched
    case .pauseTubeMisnamed: .pauseTubeMisnamed
    case .quit: .quit
    case .body, .use, .watch, .ignore, .statsTube, .pauseTube, .malformed, .unknown:
        preconditionFailure("\(command) is handled elsewhere")
    }
}
