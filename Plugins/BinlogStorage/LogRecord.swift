// SPDX-License-Identifier: MIT

internal import TrellisCore
internal import TrellisFiles

/// One change in the log.
///
/// Layout, offsets in bytes: length 0, checksum 4, kind 8, state 9, length of the name 10, failures 11, priority 12, id 16,
/// sequence 24; a delete ends here. Created at 32, deadline 40, delay 48, time to run 52, reserves 56, timeouts 60,
/// releases 64, buries 68, kicks 72, length of the body 76; an update ends here. The tube's name, then the body.
struct LogRecord {
    enum Kind: UInt8 {
        case put = 1
        case update = 2
        case delete = 3
    }

    static let deleteBytes = 32
    static let updateBytes = 80

    /// The bytes of a put's record.
    static func putBytes(name: Int, body: Int) -> Int { updateBytes + name + body }

    var kind: Kind
    /// The whole record.
    var bytes: UnsafeRawBufferPointer

    /// Why bytes are no record.
    enum Fault: Error {
        case cutOff
        case length(Int)
        case kind(UInt8)
        case content(String)
        case checksum
    }

    /// The record at the beginning of the bytes; its checksum isn't looked at.
    init(at bytes: UnsafeRawBufferPointer) throws(Fault) {
        guard bytes.count >= Self.deleteBytes else { throw .cutOff }
        let length = Int(bytes.get(UInt32.self, at: 0))
        guard let kind = Kind(rawValue: bytes[8]) else { throw .kind(bytes[8]) }
        self.kind = kind
        switch kind {
        case .delete: guard length == Self.deleteBytes else { throw .length(length) }
        case .update: guard length == Self.updateBytes else { throw .length(length) }
        case .put: guard length >= Self.updateBytes else { throw .length(length) }
        }
        guard length <= bytes.count else { throw .cutOff }
        self.bytes = UnsafeRawBufferPointer(rebasing: bytes[..<length])
        try checkContent()
    }

    /// One that was looked at before.
    init(known bytes: UnsafeRawBufferPointer) {
        guard let kind = Kind(rawValue: bytes[8]) else { preconditionFailure("the record was never looked at") }
        self.kind = kind
        self.bytes = UnsafeRawBufferPointer(rebasing: bytes[..<Int(bytes.get(UInt32.self, at: 0))])
    }

    private func checkContent() throws(Fault) {
        let id = self.id
        guard id > 0, id <= LogFormat.largestNumber else { throw .content("the impossible job id \(id)") }
        let sequence = bytes.get(UInt64.self, at: 24)
        guard sequence <= LogFormat.largestNumber else { throw .content("the impossible sequence number \(sequence)") }
        guard kind != .delete else { return }
        guard StoredJob.State(rawValue: bytes[9]) != nil else { throw .content("the unknown state \(bytes[9])") }
        guard kind == .put else { return }
        let name = Int(bytes[10])
        guard name > 0, Self.putBytes(name: name, body: bodyBytes) == bytes.count else {
            throw .content("lengths that don't add up")
        }
        guard BorrowedName.isValid(tubeName) else { throw .content("a tube of an impossible name") }
    }

    func checkChecksum(seed: UInt32) throws(Fault) {
        let covered = UnsafeRawBufferPointer(rebasing: bytes[8...])
        guard Checksum.crc32c(covered, after: seed) == bytes.get(UInt32.self, at: 4) else { throw .checksum }
    }

    var id: UInt64 { bytes.get(UInt64.self, at: 16) }
    var bodyBytes: Int { Int(bytes.get(UInt32.self, at: 76)) }
    private var tubeName: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[Self.updateBytes..<Self.updateBytes + Int(bytes[10])])
    }

    /// What an update holds, which a put holds as well.
    struct Facts {
        var state: StoredJob.State
        var priority: UInt32
        var sequence: UInt64
        var createdAt: Int64
        var deadline: Int64
        var delay: UInt32
        var ttr: UInt32
        var counters: JobCounters
    }

    var facts: Facts {
        var counters = JobCounters()
        counters.reserves = bytes.get(UInt32.self, at: 56)
        counters.timeouts = bytes.get(UInt32.self, at: 60)
        counters.releases = bytes.get(UInt32.self, at: 64)
        counters.buries = bytes.get(UInt32.self, at: 68)
        counters.kicks = bytes.get(UInt32.self, at: 72)
        counters.failures = bytes[11]
        let state = StoredJob.State(rawValue: bytes[9]) ?? .ready
        let deadline = Int64(bitPattern: bytes.get(UInt64.self, at: 40))
        return Facts(
            state: state, priority: bytes.get(UInt32.self, at: 12), sequence: bytes.get(UInt64.self, at: 24),
            createdAt: Int64(bitPattern: bytes.get(UInt64.self, at: 32)), deadline: state == .delayed ? deadline : 0,
            delay: bytes.get(UInt32.self, at: 48), ttr: max(1, bytes.get(UInt32.self, at: 52)), counters: counters)
    }

    /// The job of a put, with the state of a later update if there is one.
    func job(_ facts: Facts) -> StoredJob {
        let name = tubeName
        return StoredJob(
            id: JobID(id), tube: BorrowedName(name), state: facts.state, priority: facts.priority, delay: facts.delay,
            ttr: facts.ttr, createdAt: facts.createdAt, deadline: facts.deadline, sequence: facts.sequence,
            counters: facts.counters, body: UnsafeRawBufferPointer(rebasing: bytes[(Self.updateBytes + name.count)...]))
    }

    /// Writes a record at the beginning of the bytes, which have just its length.
    @inline(__always)
    static func encode(_ kind: Kind, _ job: StoredJob, into bytes: UnsafeMutableRawBufferPointer, seed: UInt32) {
        let name = kind == .put ? job.tube.bytes : UnsafeRawBufferPointer(start: nil, count: 0)
        bytes.put(UInt32(bytes.count), at: 0)
        bytes[8] = kind.rawValue
        bytes[9] = job.state.rawValue
        bytes[10] = UInt8(name.count)
        bytes[11] = kind == .delete ? 0 : job.counters.failures
        bytes.put(job.priority, at: 12)
        bytes.put(job.id.rawValue, at: 16)
        bytes.put(job.sequence, at: 24)
        if kind != .delete {
            bytes.put(UInt64(bitPattern: job.createdAt), at: 32)
            bytes.put(UInt64(bitPattern: job.deadline), at: 40)
            bytes.put(job.delay, at: 48)
            bytes.put(job.ttr, at: 52)
            bytes.put(job.counters.reserves, at: 56)
            bytes.put(job.counters.timeouts, at: 60)
            bytes.put(job.counters.releases, at: 64)
            bytes.put(job.counters.buries, at: 68)
            bytes.put(job.counters.kicks, at: 72)
            bytes.put(UInt32(job.bodyBytes), at: 76)
        }
        if kind == .put {
            UnsafeMutableRawBufferPointer(rebasing: bytes[updateBytes...]).copyMemory(from: name)
            UnsafeMutableRawBufferPointer(rebasing: bytes[(updateBytes + name.count)...]).copyMemory(from: job.body)
        }
        bytes.put(Checksum.crc32c(UnsafeRawBufferPointer(rebasing: bytes[8...]), after: seed), at: 4)
    }
}
