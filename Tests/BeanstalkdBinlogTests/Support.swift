// SPDX-License-Identifier: MIT

import BeanstalkdBinlog
import Glibc
import LiveServer
import Synchronization
import Testing
import TrellisCore
import TrellisFiles

/// A job as it was delivered, with its bytes copied.
struct ReadJob: Hashable {
    var id: UInt64
    var tube: String
    var state: StoredJob.State
    var priority: UInt32
    var delay: UInt32
    var ttr: UInt32
    var createdAt: Int64
    var deadline: Int64
    var sequence: UInt64
    var counters: JobCounters
    var body: [UInt8]

    init(_ job: StoredJob) {
        id = job.id.rawValue
        tube = String(decoding: job.tube.bytes, as: UTF8.self)
        state = job.state
        priority = job.priority
        delay = job.delay
        ttr = job.ttr
        createdAt = job.createdAt
        deadline = job.deadline
        sequence = job.sequence
        counters = job.counters
        body = Array(job.body)
    }
}

/// What one reading gave.
struct Reading {
    var jobs: [UInt64: ReadJob]
    /// Ids in the order of delivery.
    var order: [UInt64]
    var summary: BeanstalkdBinlog.Summary

    /// Reads a directory and checks what holds for every reading.
    init(
        _ directory: String, files: any FileSystem = LinuxFileSystem.shared,
        _ location: SourceLocation = #_sourceLocation
    ) throws(StorageError) {
        let log = BeanstalkdBinlog(directory: directory, files: files)
        try log.open()
        defer { log.close() }
        var jobs: [UInt64: ReadJob] = [:]
        var order: [UInt64] = []
        var steps: [BeanstalkdBinlog.Progress] = []
        summary = try log.read(
            { job in
                #expect(BorrowedName.isValid(job.tube.bytes), sourceLocation: location)
                #expect(job.ttr >= 1, sourceLocation: location)
                #expect(job.deadline == 0 || job.state == .delayed && job.deadline > 0, sourceLocation: location)
                #expect(jobs[job.id.rawValue] == nil, "job \(job.id) came twice", sourceLocation: location)
                jobs[job.id.rawValue] = ReadJob(job)
                order.append(job.id.rawValue)
            }, progress: { steps.append($0) })
        self.jobs = jobs
        self.order = order
        #expect(summary.jobs == UInt64(jobs.count), sourceLocation: location)
        let sequences = order.compactMap { jobs[$0]?.sequence }
        #expect(zip(sequences, sequences.dropFirst()).allSatisfy { $0 < $1 }, sourceLocation: location)
        #expect(order.allSatisfy { $0 <= summary.highestID.rawValue }, sourceLocation: location)
        let last = BeanstalkdBinlog.Progress.delivering(UInt64(order.count), of: UInt64(order.count))
        if summary.unreadableBodies == 0 { #expect(steps.last == last, sourceLocation: location) }
    }

    /// The ids of the buried jobs of a tube, in the order in which they would be kicked.
    func buried(in tube: String) -> [UInt64] { order.filter { jobs[$0]?.state == .buried && jobs[$0]?.tube == tube } }

    /// A body as text.
    func body(_ id: UInt64) -> String? { jobs[id].map { String(decoding: $0.body, as: UTF8.self) } }
}

/// Files that exist in memory only, to be read.
final class MemoryFiles: FileSystem {
    private let contents: [String: [UInt8]]
    /// Reads that reach beyond this offset fail.
    private let badFrom: UInt64
    /// How many reads there were.
    let reads = Atomic<Int>(0)

    init(_ contents: [String: [UInt8]], badFrom: UInt64 = .max) {
        self.contents = contents
        self.badFrom = badFrom
    }

    func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
        guard mode == .read, let bytes = contents[String(path.dropFirst("log/".count))] else {
            throw FileError(call: "open", path: path, number: ENOENT)
        }
        return MemoryFile(path: path, bytes: bytes, badFrom: badFrom, owner: self)
    }

    func list(_ folder: String) throws(FileError) -> [String] { contents.keys.sorted() }
    func rename(_ path: String, to newPath: String) throws(FileError) { throw refusal(path) }
    func remove(_ path: String) throws(FileError) { throw refusal(path) }
    func makeFolder(_ folder: String) throws(FileError) { throw refusal(folder) }
    func syncFolder(_ folder: String) throws(FileError) { throw refusal(folder) }
    func freeBytes(_ folder: String) throws(FileError) -> UInt64 { 0 }

    /// What is to be read only must not be changed by the reader.
    private func refusal(_ path: String) -> FileError { FileError(call: "change", path: path, number: EROFS) }
}

private final class MemoryFile: File {
    let path: String
    private let bytes: [UInt8]
    private let badFrom: UInt64
    private let owner: MemoryFiles

    init(path: String, bytes: [UInt8], badFrom: UInt64, owner: MemoryFiles) {
        self.owner = owner
        self.path = path
        self.bytes = bytes
        self.badFrom = badFrom
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(FileError) -> Int {
        owner.reads.add(1, ordering: .relaxed)
        guard offset < UInt64(bytes.count) else { return 0 }
        // An odd number of bytes at a time, as a system may do.
        let count = min(buffer.count, bytes.count - Int(offset), 4097)
        if offset + UInt64(count) > badFrom { throw FileError(call: "pread", path: path, number: EIO) }
        bytes.withUnsafeBytes {
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(offset)...].prefix(count)))
        }
        return count
    }

    func reserve(_ size: UInt64) throws(FileError) { throw refusal }
    func size() throws(FileError) -> UInt64 { UInt64(bytes.count) }
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) -> Int { throw refusal }
    func sync() throws(FileError) { throw refusal }
    func resize(to size: UInt64) throws(FileError) { throw refusal }
    func lock() throws(FileError) -> Bool { throw refusal }
    func close() {}

    private var refusal: FileError { FileError(call: "change", path: path, number: EROFS) }
}

/// The contents of a file on the disk.
func bytes(ofFile path: String) throws(FileError) -> [UInt8] {
    let file = try LinuxFileSystem.shared.open(path, .read)
    defer { file.close() }
    var bytes = [UInt8](repeating: 0, count: Int(try file.size()))
    let result: Result<Int, FileError> = bytes.withUnsafeMutableBytes { buffer in
        do throws(FileError) { return .success(try file.readAll(at: 0, into: buffer)) } catch { return .failure(error) }
    }
    #expect(try result.get() == bytes.count)
    return bytes
}

/// A folder for one test.
func withFolder(_ body: (String) throws -> Void) throws {
    let folder = try makeTemporaryFolder()
    defer { removeFolder(folder) }
    try body(folder)
}

/// Writes a file anew.
func write(_ bytes: [UInt8], to path: String) throws {
    let file = try LinuxFileSystem.shared.open(path, .create)
    defer { file.close() }
    try bytes.withUnsafeBytes { try file.writeAll($0, at: 0) }
}

/// Copies the files of a folder into another, which is made.
func copyFolder(_ folder: String, to copy: String) throws {
    try LinuxFileSystem.shared.makeFolder(copy)
    for name in try LinuxFileSystem.shared.list(folder) {
        try write(try bytes(ofFile: "\(folder)/\(name)"), to: "\(copy)/\(name)")
    }
}

/// Pseudo-random numbers from a seed (SplitMix64).
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
