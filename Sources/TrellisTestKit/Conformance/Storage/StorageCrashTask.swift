// SPDX-License-Identifier: MIT

import Glibc
public import TrellisCore

/// What a process of `StorageCrashTest` is to do: to open the store, tell what it found, and change jobs until it is
/// ended.
public struct StorageCrashTask: Sendable {
    /// What an error says where the store had no room.
    static let refusal = "wasn't admitted beside"

    let seed: UInt64
    let folder: String
    /// Whether to close the store at once, in peace.
    let isLast: Bool

    init(seed: UInt64, folder: String, isLast: Bool) {
        self.seed = seed
        self.folder = folder
        self.isLast = isLast
    }

    /// Reads what `description` wrote.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", maxSplits: 2).map(String.init)
        guard parts.count == 3, let seed = UInt64(parts[0]) else { return nil }
        self.init(seed: seed, folder: parts[2], isLast: parts[1] == "last")
    }

    /// The task as an argument.
    public var description: String { "\(seed):\(isLast ? "last" : "live"):\(folder)" }

    var outputPath: String { "\(folder)/output" }
    private var progressPath: String { "\(folder)/progress" }
    private var recoveredPath: String { "\(folder)/recovered" }

    // MARK: In the process that uses the store

    /// Runs the task; returns only where there is nothing more to do, or the store failed.
    public func run(_ store: any Storage) throws(StorageError) {
        let bench = StorageBench(patience: 10) { store }
        let (jobs, highest) = try bench.open()
        write(jobs, highest)
        guard !isLast else { return try bench.close() }
        bench.adopt(jobs, highest: highest)
        var life = StorageLife(seed: seed, jobs: jobs, highest: highest)
        let progress = Glibc.open(progressPath, O_WRONLY | O_CREAT, 0o600)
        guard progress >= 0 else { throw .fatal("\(progressPath) can't be written") }
        var pending: [(turn: UInt64, ticket: Ticket)] = []
        var turn: UInt64 = 0
        while true {
            turn += 1
            tell(turn, progress, at: 0)
            for change in life.turn() {
                let others = bench.expected.count
                guard bench.make(change) else {
                    // What the store holds is no leak of it.
                    try? bench.store.close()
                    throw .full("a job of \(change.job.body.count) bytes \(Self.refusal) \(others) small ones")
                }
            }
            if let ticket = try bench.commit() {
                pending.append((turn, ticket))
                // A server goes on meanwhile; it waits only where very much is on its way.
                if pending.count >= 16 { _ = try bench.wait(for: pending[0].ticket) }
                let completed = try bench.store.completed()
                guard let last = pending.lastIndex(where: { $0.ticket <= completed }) else { continue }
                tell(pending[last].turn, progress, at: 8)
                pending.removeFirst(last + 1)
            } else {
                tell(turn, progress, at: 8)
            }
        }
    }

    private func tell(_ turn: UInt64, _ progress: Int32, at offset: off_t) {
        var turn = turn
        pwrite(progress, &turn, 8, offset)
    }

    // MARK: What was recovered

    private func write(_ jobs: [KeptJob], _ highest: UInt64) {
        guard let file = fopen(recoveredPath, "w") else { return }
        for job in jobs.sorted(by: { $0.id < $1.id }) { fputs(Self.line(job) + "\n", file) }
        fputs("end \(highest)\n", file)
        fclose(file)
    }

    private static func line(_ job: KeptJob) -> String {
        let counters = job.counters
        let numbers: [any CustomStringConvertible] = [
            job.id, job.state.rawValue, job.priority, job.delay, job.ttr, job.createdAt, job.deadline, job.sequence,
            counters.reserves, counters.timeouts, counters.releases, counters.buries, counters.kicks, counters.failures,
        ]
        return (numbers.map(\.description) + ["=" + hex(job.tube), "=" + hex(job.body)]).joined(separator: " ")
    }

    private static func job(_ line: Substring) -> KeptJob? {
        let words = line.split(separator: " ")
        guard words.count == 16, let id = UInt64(words[0]),
            let state = UInt8(words[1]).flatMap({ StoredJob.State(rawValue: $0) })
        else { return nil }
        func number(_ index: Int) -> UInt32 { UInt32(words[index]) ?? 0 }
        var job = KeptJob(id)
        job.state = state
        (job.priority, job.delay, job.ttr) = (number(2), number(3), number(4))
        (job.createdAt, job.deadline) = (Int64(words[5]) ?? 0, Int64(words[6]) ?? 0)
        job.sequence = UInt64(words[7]) ?? 0
        (job.counters.reserves, job.counters.timeouts) = (number(8), number(9))
        (job.counters.releases, job.counters.buries, job.counters.kicks) = (number(10), number(11), number(12))
        job.counters.failures = UInt8(clamping: number(13))
        job.tube = bytes(words[14].dropFirst())
        job.body = bytes(words[15].dropFirst())
        return job
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        let text = bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return String(decoding: text, as: UTF8.self)
    }

    private static func bytes(_ hex: Substring) -> [UInt8] {
        let digits = hex.utf8.map { $0 <= UInt8(ascii: "9") ? $0 - UInt8(ascii: "0") : $0 - UInt8(ascii: "a") + 10 }
        return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    // MARK: In the process that watches

    /// Removes what the process before left.
    func prepare() { for path in [progressPath, recoveredPath, outputPath] { unlink(path) } }

    /// The turns that were begun, and the last one that was acknowledged.
    func progress() -> (issued: UInt64, acknowledged: UInt64) {
        var turns: [UInt64] = [0, 0]
        let file = Glibc.open(progressPath, O_RDONLY)
        guard file >= 0 else { return (0, 0) }
        defer { Glibc.close(file) }
        pread(file, &turns, 16, 0)
        return (turns[0], turns[1])
    }

    /// What the process found, and the highest id; nil where it was ended before it knew.
    func recovered() -> (jobs: [KeptJob], highest: UInt64)? {
        let lines = readText(recoveredPath).split(separator: "\n")
        guard let last = lines.last, last.hasPrefix("end "), let highest = UInt64(last.dropFirst(4)) else { return nil }
        return (lines.dropLast().compactMap(Self.job), highest)
    }

    func output() -> String {
        let text = readText(outputPath).split(separator: "\n").suffix(3).joined(separator: "; ")
        return text.isEmpty ? "it said nothing" : text
    }
}

/// A text file; empty where there is none.
func readText(_ path: String) -> String {
    guard let file = fopen(path, "r") else { return "" }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = fread(&chunk, 1, chunk.count, file)
        if count == 0 { return String(decoding: bytes, as: UTF8.self) }
        bytes += chunk[..<count]
    }
}
