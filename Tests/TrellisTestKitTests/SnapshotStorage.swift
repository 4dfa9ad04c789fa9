// SPDX-License-Identifier: MIT

import TrellisCore
import TrellisFiles

/// A store that writes all jobs anew at each commit, or one with a flaw.
///
/// The file is written beside the old one and takes its place by a new name. Slow, and right.
final class SnapshotStorage: Storage {
    enum Flaw: CaseIterable {
        case none
        case forgetsToSync
        case ignoresShortWrites
        case promisesRoom
        case refusesAll
        case refusesTheTwentieth
    }

    private let files: any FileSystem
    private let flaw: Flaw
    private var lines: [UInt64: [UInt8]] = [:]
    private var bodies: [UInt64: [UInt8]] = [:]
    private var highest: UInt64 = 0
    private var hasChanges = false
    private var lockFile: (any File)?
    private static let folder = "/snapshots"

    init(_ files: any FileSystem, flaw: Flaw = .none) {
        self.files = files
        self.flaw = flaw
    }

    func open(_ access: StorageAccess, host: StorageHost) throws(StorageError) {
        // A reader finds the old file or the new one, and needs no lock.
        guard access == .readWrite else { return }
        let isOurs: Bool
        do throws(FileError) {
            try files.makeFolder(Self.folder)
            try files.syncFolder("/")
            let isThere = try files.list(Self.folder).contains("lock")
            let file = try files.open(Self.folder + "/lock", isThere ? .update : .create)
            lockFile = file
            isOurs = try file.lock()
        } catch {
            throw .fatal("\(error)")
        }
        guard isOurs else { throw .locked("\(Self.folder) is in use") }
    }

    func recover(_ deliver: (StoredJob, StorageNote) -> Void) throws(StorageError) -> JobID {
        var rest: ArraySlice<UInt8>
        do throws(FileError) {
            guard try files.list(Self.folder).contains("now") else { return JobID(0) }
            let file = try files.open(Self.folder + "/now", .read)
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(try file.size()), alignment: 1)
            defer { buffer.deallocate() }
            rest = Array(buffer[..<(try file.readAll(at: 0, into: buffer))])[...]
            file.close()
        } catch {
            throw .fatal("\(error)")
        }
        guard let numbers = Self.numbers(&rest, 1) else { throw .corrupt("the beginning is missing") }
        highest = numbers[0]
        while !rest.isEmpty {
            // Of a flawed one the numbers may be anything.
            guard let sizes = Self.numbers(&rest, 2), sizes[0] <= rest.count, sizes[1] <= rest.count - Int(sizes[0])
            else {
                throw .corrupt("a job is cut short")
            }
            let line = Array(rest.prefix(Int(sizes[0])))
            let body = Array(rest.dropFirst(line.count).prefix(Int(sizes[1])))
            rest = rest.dropFirst(line.count + body.count)
            show(line, body) { job in
                lines[job.id.rawValue] = line
                bodies[job.id.rawValue] = body
                deliver(job, StorageNote())
            }
        }
        return JobID(highest)
    }

    func admit(bodyBytes: Int, tubeNameBytes: Int) -> Bool {
        if flaw == .promisesRoom { return true }
        if flaw == .refusesAll || (flaw == .refusesTheTwentieth && highest >= 19) { return false }
        let free = (try? files.freeBytes(Self.folder)) ?? 0
        // Old and new lie side by side for a while; a disk gives whole blocks.
        return free > UInt64(2 * snapshot.count + 2 * bodyBytes + 8192)
    }

    func append(_ change: Change, note: inout StorageNote) {
        hasChanges = true
        switch change {
        case .put(let job):
            lines[job.id.rawValue] = Self.line(job)
            bodies[job.id.rawValue] = Array(job.body)
            highest = max(highest, job.id.rawValue)
        case .update(let job), .move(let job, _): lines[job.id.rawValue] = Self.line(job)
        case .delete(let job): lines[job.id.rawValue] = nil
        }
    }

    func commit() throws(StorageError) -> Commit {
        guard hasChanges else { return .durable }
        hasChanges = false
        let bytes = snapshot
        do throws(FileError) {
            if try files.list(Self.folder).contains("new") { try files.remove(Self.folder + "/new") }
            let file = try files.open(Self.folder + "/new", .create)
            defer { file.close() }
            let isShort = flaw == .ignoresShortWrites
            let written = bytes.withUnsafeBytes { bytes in
                Result { () throws(FileError) in
                    if isShort { _ = try file.write(bytes, at: 0) } else { try file.writeAll(bytes, at: 0) }
                }
            }
            try written.get()
            if flaw != .forgetsToSync { try file.sync() }
            try files.rename(Self.folder + "/new", to: Self.folder + "/now")
            try files.syncFolder(Self.folder)
        } catch {
            throw .fatal("\(error)")
        }
        return .durable
    }

    func maintain(_ job: JobVisitor) -> Bool { false }
    func completed() -> Ticket { Ticket(0) }
    var isCongested: Bool { false }
    func segment(of note: StorageNote) -> UInt64 { 0 }
    var statistics: StorageStatistics { StorageStatistics() }

    func close() throws(StorageError) {
        defer {
            lockFile?.close()
            lockFile = nil
        }
        _ = try commit()
    }

    // MARK: Bytes

    private var snapshot: [UInt8] {
        var bytes = Self.bytes([highest])
        for (id, line) in lines {
            let body = bodies[id] ?? []
            bytes += Self.bytes([UInt64(line.count), UInt64(body.count)]) + line + body
        }
        return bytes
    }

    private static func line(_ job: StoredJob) -> [UInt8] {
        let counters = job.counters
        return bytes([
            job.id.rawValue, UInt64(job.state.rawValue), UInt64(job.priority), UInt64(job.delay), UInt64(job.ttr),
            UInt64(bitPattern: job.createdAt), UInt64(bitPattern: job.deadline), job.sequence,
            UInt64(counters.reserves), UInt64(counters.timeouts), UInt64(counters.releases), UInt64(counters.buries),
            UInt64(counters.kicks), UInt64(counters.failures),
        ]) + Array(job.tube.bytes)
    }

    private func show(_ line: [UInt8], _ body: [UInt8], _ use: (StoredJob) -> Void) {
        var rest = line[...]
        guard let numbers = Self.numbers(&rest, 14) else { return }
        func number(_ index: Int) -> UInt32 { UInt32(truncatingIfNeeded: numbers[index]) }
        var counters = JobCounters()
        (counters.reserves, counters.timeouts, counters.releases) = (number(8), number(9), number(10))
        (counters.buries, counters.kicks) = (number(11), number(12))
        counters.failures = UInt8(clamping: number(13))
        Array(rest).withUnsafeBytes { tube in
            body.withUnsafeBytes { body in
                use(
                    StoredJob(
                        id: JobID(numbers[0]), tube: BorrowedName(tube),
                        state: StoredJob.State(rawValue: UInt8(truncatingIfNeeded: numbers[1])) ?? .ready,
                        priority: number(2), delay: number(3), ttr: number(4), createdAt: Int64(bitPattern: numbers[5]),
                        deadline: Int64(bitPattern: numbers[6]), sequence: numbers[7], counters: counters, body: body))
            }
        }
    }

    private static func bytes(_ numbers: [UInt64]) -> [UInt8] {
        numbers.flatMap { number in (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) } }
    }

    /// Takes so many numbers off the front.
    private static func numbers(_ bytes: inout ArraySlice<UInt8>, _ count: Int) -> [UInt64]? {
        guard bytes.count >= 8 * count else { return nil }
        let head = Array(bytes.prefix(8 * count))
        bytes = bytes.dropFirst(8 * count)
        return (0..<count).map { index in
            (0..<8).reduce(0) { $0 | UInt64(head[8 * index + $1]) << (8 * $1) }
        }
    }
}
