// SPDX-License-Identifier: MIT

import LiveServer
import Synchronization

/// What all clients know of the jobs: what they asked for, and what was answered.
///
/// At any time one client alone may send commands for a job: the one that has it reserved, that takes it from the pool
/// of buried and delayed jobs, or whose tube it is in. So the order of sending is the order in which the server works.
final class Ledger: Sendable {
    private struct State {
        var jobs: [Int: LedgerJob] = [:]
        var nextKey = 1
        var clock = 0
        var highestID = 0
        /// Buried and long delayed jobs of shared tubes that anybody may take.
        var pool: [Int] = []
        /// Commands `reserve` without an answer: any ready job may have been reserved by one of them.
        var openReserves = 0
        var changes = 0
        /// Jobs that are there once all that was sent is done.
        var live = 0
        var failures: [String] = []

        func now() -> Now { Now(seconds: monotonicSeconds(), clock: clock) }

        mutating func tick() -> Now {
            clock += 1
            changes += 1
            return now()
        }
    }

    private let state = Mutex(State())

    /// A change as a client sends it: which connection, and the number of the command there.
    struct Command {
        var connection: Int
        var number: Int
    }

    /// What is wrong.
    var failures: [String] { state.withLock { $0.failures } }
    /// The highest id that a client was ever told.
    var highestID: Int { state.withLock { $0.highestID } }
    /// How many changes were asked for.
    var changes: Int { state.withLock { $0.changes } }
    var openReserves: Int { state.withLock { $0.openReserves } }
    /// The jobs that may be there, and those that went since the server started.
    var jobs: [LedgerJob] { state.withLock { state in state.jobs.values.sorted { $0.key < $1.key } } }

    func fail(_ text: String) {
        state.withLock { if $0.failures.count < 20 { $0.failures.append(text) } }
    }

    // MARK: Sending

    /// A put is about to be sent; answers its key.
    func put(
        tube: String, priority: Int, delay: Int, ttr: Int, bodyBytes: (_ key: Int) -> Int, by command: Command
    ) -> Int {
        state.withLock { state in
            let now = state.tick()
            let key = state.nextKey
            state.nextKey += 1
            state.live += 1
            var put = Version(
                standing: delay == 0 ? .ready : .delayed(now.seconds + Double(delay)...Double.infinity),
                priority: priority, delay: delay)
            put.connection = command.connection
            put.command = command.number
            put.isCertain = false
            state.jobs[key] = LedgerJob(
                key: key, tube: tube, ttr: ttr, bodyBytes: bodyBytes(key), putAt: now.seconds...Double.infinity,
                versions: [Version(standing: .absent, priority: 0, delay: 0), put])
            return key
        }
    }

    /// A command that changes a job is about to be sent; answers the job's id.
    func change(_ key: Int, by command: Command, _ edit: (inout Version, Now) -> Void) -> Int {
        state.withLock { state in
            let now = state.tick()
            guard var job = state.jobs[key], let id = job.id else { return 0 }
            var next = job.current
            edit(&next, now)
            next.reserves = job.reserves
            next.connection = command.connection
            next.command = command.number
            next.isCertain = false
            if next.standing == .absent { state.live -= 1 }
            job.versions.append(next)
            state.jobs[key] = job
            return id
        }
    }

    /// A `reserve-job` is about to be sent; answers the job's id.
    ///
    /// The store hears of it where the job isn't ready.
    func reserveJob(_ key: Int, by command: Command) -> Int {
        let isReady = state.withLock { state in
            state.jobs[key]?.reserves += 1
            return state.jobs[key]?.current.standing == .ready
        }
        if isReady { return state.withLock { $0.jobs[key]?.id ?? 0 } }
        return change(key, by: command) { version, _ in version.standing = .ready }
    }

    func reserveIsSent() { state.withLock { $0.openReserves += 1 } }

    // MARK: Answers

    func reserveIsAnswered() { state.withLock { $0.openReserves -= 1 } }

    /// The put was answered.
    func inserted(_ key: Int, id: Int) {
        state.withLock { state in
            let now = state.now()
            state.jobs[key]?.id = id
            state.jobs[key]?.makeCertain(upTo: 1, now)
            state.highestID = max(state.highestID, id)
        }
    }

    /// An id was given out.
    func note(id: Int) { state.withLock { $0.highestID = max($0.highestID, id) } }

    /// The command was answered as it should be.
    func confirm(_ key: Int, _ command: Command) {
        state.withLock { state in
            let now = state.now()
            let position = state.jobs[key]?.versions.lastIndex {
                $0.connection == command.connection && $0.command == command.number
            }
            if let position { state.jobs[key]?.makeCertain(upTo: position, now) }
        }
    }

    /// The job was given to a client that asked for any; what is wrong with that, if anything.
    ///
    /// Whoever sees a job knows for certain that all was done that was asked for before.
    func given(_ key: Int, id: Int, body: [UInt8]) -> String? {
        state.withLock { state in
            guard var job = state.jobs[key] else { return "job \(id) was given, and nobody has put it" }
            guard job.id == nil || job.id == id else { return "job \(id) has the body of job \(job.id ?? 0)" }
            guard job.current.standing != .absent else { return "job \(id) was given although it was deleted" }
            job.id = id
            job.makeCertain(upTo: job.versions.count - 1, state.now())
            job.reserves += 1
            state.jobs[key] = job
            state.highestID = max(state.highestID, id)
            guard body == Bodies.body(key: key, bytes: job.bodyBytes) else { return "job \(id) has a wrong body" }
            return nil
        }
    }

    // MARK: Looking

    func job(_ key: Int) -> LedgerJob? { state.withLock { $0.jobs[key] } }
    /// Jobs that are there once all that was sent is done.
    var liveJobs: Int { state.withLock { $0.live } }

    func addToPool(_ key: Int) { state.withLock { $0.pool.append(key) } }

    /// Takes some job out of the pool.
    func takeFromPool(_ number: Int) -> Int? {
        state.withLock { state in
            guard !state.pool.isEmpty else { return nil }
            state.pool.swapAt(number % state.pool.count, state.pool.count - 1)
            return state.pool.removeLast()
        }
    }

    // MARK: Between rounds

    /// The server is gone: what it did, it did before now.
    func end() {
        state.withLock { state in
            let now = state.now()
            for key in state.jobs.keys {
                guard var job = state.jobs[key] else { continue }
                for position in job.versions.indices { job.versions[position].end(now) }
                job.putAt = job.putAt.lowerBound...min(job.putAt.upperBound, now.seconds)
                state.jobs[key] = job
            }
        }
    }

    /// Begins anew with the jobs that are there.
    func rebase(_ jobs: [LedgerJob]) {
        state.withLock { state in
            state.jobs = Dictionary(uniqueKeysWithValues: jobs.map { ($0.key, $0) })
            state.openReserves = 0
            state.live = jobs.count
            let now = state.now()
            state.pool = jobs.filter { job in
                guard job.tube.hasPrefix("shared") else { return false }
                switch job.current.standing {
                case .absent, .ready: return false
                case .buried: return true
                // One that may be ready soon isn't anybody's.
                case .delayed(let range): return range.lowerBound > now.seconds + 300
                }
            }.map(\.key)
        }
    }
}
