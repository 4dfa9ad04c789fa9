// SPDX-License-Identifier: MIT

import MemoryStorage
import PriorityScheduler
import Testing

@testable import TrellisCore

/// An engine with a clock set by hand, whose replies are read as words.
final class EngineHarness {
    let engine: UnsafeMutablePointer<Engine>
    private(set) var nanoseconds: Int64 = 1_000_000_000_000
    private var replies: [ConnectionID: [String]] = [:]

    init(
        limits: EngineLimits = EngineLimits(), tubeRules: TubeRules = TubeRules(),
        storage: any Storage = MemoryStorage(), scheduler: any Scheduler = PriorityScheduler()
    ) {
        engine = .allocate(capacity: 1)
        let identity = ServerIdentity(
            processID: 1, version: "test", instanceID: "0", hostname: "h", operatingSystem: "o", platform: "p")
        engine.initialize(
            to: Engine(
                limits: limits, tubeRules: tubeRules, identity: identity, storage: storage, scheduler: scheduler,
                start: Moment(monotonic: Instant(nanoseconds: nanoseconds), wallNanoseconds: 0)
            ) { ProcessorTime(userMicroseconds: 0, systemMicroseconds: 0) })
    }

    deinit {
        engine.deinitialize(count: 1)
        engine.deallocate()
    }

    var nextDeadline: Instant { engine.pointee.nextDeadline }
    var hasWork: Bool { engine.pointee.hasWork }
    var liveBytes: UInt64 { engine.pointee.bodies.liveBytes }
    var jobMemory: UInt64 { engine.pointee.jobMemory }
    var jobCount: Int { engine.pointee.jobs.count }
    var tubeCount: Int { engine.pointee.tubes.count }
    var watchSetCount: Int { engine.pointee.watchSets.count }

    func connect() -> ConnectionID { engine.pointee.connect() }

    func advance(seconds: Double) {
        nanoseconds += Int64(seconds * 1e9)
        engine.pointee.advance(
            to: Moment(monotonic: Instant(nanoseconds: nanoseconds), wallNanoseconds: nanoseconds))
    }

    @discardableResult
    func perform(_ command: Command, _ client: ConnectionID) -> [String] {
        _ = engine.pointee.perform(command, from: client)
        return take(client)
    }

    func named(_ name: String, _ client: ConnectionID, _ command: (BorrowedName) -> Command) -> [String] {
        Array(name.utf8).withUnsafeBytes { perform(command(BorrowedName($0)), client) }
    }

    @discardableResult
    func put(
        _ client: ConnectionID, _ text: String = "x", priority: UInt32 = 0, delay: UInt32 = 0, ttr: UInt32 = 10
    ) -> [String] {
        let line = PutLine(priority: priority, delay: delay, ttr: ttr, size: UInt32(text.utf8.count))
        switch engine.pointee.perform(.put(line), from: client) {
        case .body:
            let made = Array(text.utf8).withUnsafeBytes { bytes in
                engine.pointee.makeBody(bytes.count).map { body in
                    body.mutableBytes.copyMemory(from: bytes)
                    return body
                }
            }
            guard let body = made else { return ["no memory"] }
            engine.pointee.completePut(client, body: body, endsWithCRLF: true)
        case .swallow(_, let reply): engine.pointee.send(reply, to: client)
        case .next, .wait, .close: break
        }
        return take(client)
    }

    /// The replies to a client since it was asked last.
    func take(_ client: ConnectionID) -> [String] {
        while let effect = engine.pointee.nextEffect() {
            replies[effect.connection, default: []].append(describe(effect.reply))
            if let body = effect.reply.body { engine.pointee.release(body) }
        }
        return replies.removeValue(forKey: client) ?? []
    }

    /// Does all long work; answers in how many steps.
    func finishWork() -> Int {
        var steps = 0
        while engine.pointee.hasWork {
            engine.pointee.step()
            steps += 1
        }
        return steps
    }

    /// The value of a key in a statistics reply.
    static func value(_ key: String, in replies: [String]) -> String? {
        replies.first?.split(separator: "\n").first { $0.hasPrefix("\(key): ") }.map {
            String($0.dropFirst(key.count + 2))
        }
    }

    private func describe(_ reply: Reply) -> String {
        switch reply {
        case .inserted(let id): "INSERTED \(id.rawValue)"
        case .reserved(let id, let body): "RESERVED \(id.rawValue) \(String(decoding: body.bytes, as: UTF8.self))"
        case .found(let id, _): "FOUND \(id.rawValue)"
        case .kicked(let count): "KICKED \(count)"
        case .watching(let count): "WATCHING \(count)"
        case .ok(let body), .using(let body): String(decoding: body.bytes, as: UTF8.self)
        case .timedOut: "TIMED_OUT"
        case .deadlineSoon: "DEADLINE_SOON"
        case .outOfMemory: "OUT_OF_MEMORY"
        default: "\(reply)"
        }
    }
}
