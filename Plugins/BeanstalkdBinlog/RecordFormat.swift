// SPDX-License-Identifier: MIT

internal import TrellisCore

/// How one version of the format lays out its records.
///
/// Both are C structures as a 64-bit little-endian machine keeps them (`Jobrec` in dat.h and `Jobrec5` in file.c of
/// https://github.com/beanstalkd/beanstalkd at commit 07c75e338b66cd568fb90233b6320e97d7b805cc); the fields lie at the
/// same offsets. A record is the length of the tube's name (0 in an update), the name, the structure, and, where there
/// is a name, the body with its `\r\n`.
struct RecordFormat {
    /// beanstalkd 1.4: times in microseconds.
    static let version5 = RecordFormat(nameLengthBytes: 8, structureBytes: 77, nanosecondsPerUnit: 1000)
    /// beanstalkd 1.5 and later: times in nanoseconds.
    static let version7 = RecordFormat(nameLengthBytes: 4, structureBytes: 80, nanosecondsPerUnit: 1)

    /// The size of the word that begins a file.
    static let versionBytes = 4
    static let bodyEndBytes = 2
    /// The highest id that a store may hold.
    static let highestID: UInt64 = 1 << 62

    var nameLengthBytes: Int
    /// Version 5 leaves out the padding at the end.
    var structureBytes: Int
    var nanosecondsPerUnit: UInt64

    /// The format with that version word; nil for all others.
    init?(version: UInt32) {
        switch version {
        case 5: self = .version5
        case 7: self = .version7
        default: return nil
        }
    }

    private init(nameLengthBytes: Int, structureBytes: Int, nanosecondsPerUnit: UInt64) {
        self.nameLengthBytes = nameLengthBytes
        self.structureBytes = structureBytes
        self.nanosecondsPerUnit = nanosecondsPerUnit
    }

    /// The most bytes before a body.
    var longestHead: Int { nameLengthBytes + ProtocolLimits.tubeNameBytes + structureBytes }

    /// The length of the tube's name, from the beginning of a record.
    func nameLength(_ bytes: UnsafeRawBufferPointer) throws(Flaw) -> Int {
        let length: Int64 =
            if nameLengthBytes == 8 {
                Int64(littleEndian: bytes.loadUnaligned(as: Int64.self))
            } else {
                Int64(Int32(littleEndian: bytes.loadUnaligned(as: Int32.self)))
            }
        guard length >= 0, length <= ProtocolLimits.tubeNameBytes else {
            throw Flaw("a tube name of \(length) bytes")
        }
        return Int(length)
    }

    /// Whether the structure has the id 0, which marks space that isn't written yet.
    func isUnwritten(_ structure: UnsafeRawBufferPointer) -> Bool { Field.id.load(structure) as UInt64 == 0 }

    /// Reads a structure of `structureBytes`; throws where a value can't be true.
    func record(_ structure: UnsafeRawBufferPointer) throws(Flaw) -> LoggedRecord {
        let id: UInt64 = Field.id.load(structure)
        guard id > 0, id <= Self.highestID else { throw Flaw("the job id \(id)") }
        let rawState = structure[Field.state.rawValue]
        let state: LoggedRecord.State
        switch rawState {
        case 0: state = .deleted
        // A reserved job is ready once the server is gone.
        case 1, 2: state = .ready
        case 3: state = .buried
        case 4: state = .delayed
        default: throw Flaw("job \(id) has the unknown state \(rawState)")
        }
        let bodyBytes: Int32 = Field.bodyBytes.load(structure)
        guard bodyBytes >= Self.bodyEndBytes,
            bodyBytes - Int32(Self.bodyEndBytes) <= ProtocolLimits.largestJobBytes
        else { throw Flaw("job \(id) has a body of \(Int(bodyBytes) - Self.bodyEndBytes) bytes") }
        var counters = JobCounters()
        counters.reserves = Field.reserves.load(structure)
        counters.timeouts = Field.timeouts.load(structure)
        counters.releases = Field.releases.load(structure)
        counters.buries = Field.buries.load(structure)
        counters.kicks = Field.kicks.load(structure)
        return LoggedRecord(
            id: id, state: state, priority: Field.priority.load(structure),
            delay: try seconds(Field.delay.load(structure), "delay", id),
            ttr: max(1, try seconds(Field.ttr.load(structure), "time to run", id)), bodyBytes: Int(bodyBytes),
            createdAt: try nanoseconds(Field.createdAt.load(structure), "time of creation", id),
            // In other states the field holds whatever was there before.
            deadline: state == .delayed ? try nanoseconds(Field.deadline.load(structure), "deadline", id) : 0,
            counters: counters)
    }

    private func seconds(_ units: UInt64, _ what: StaticString, _ id: UInt64) throws(Flaw) -> UInt32 {
        guard let seconds = UInt32(exactly: units / (1_000_000_000 / nanosecondsPerUnit)) else {
            throw Flaw("job \(id) has an impossible \(what)")
        }
        return seconds
    }

    private func nanoseconds(_ units: UInt64, _ what: StaticString, _ id: UInt64) throws(Flaw) -> Int64 {
        let (product, overflow) = units.multipliedReportingOverflow(by: nanosecondsPerUnit)
        guard !overflow, let nanoseconds = Int64(exactly: product) else {
            throw Flaw("job \(id) has an impossible \(what)")
        }
        return nanoseconds
    }

    /// Where a field lies in the structure.
    private enum Field: Int {
        case id = 0
        case priority = 8
        case delay = 16
        case ttr = 24
        case bodyBytes = 32
        case createdAt = 40
        case deadline = 48
        case reserves = 56
        case timeouts = 60
        case releases = 64
        case buries = 68
        case kicks = 72
        case state = 76

        func load<Number: FixedWidthInteger & BitwiseCopyable>(_ structure: UnsafeRawBufferPointer) -> Number {
            Number(littleEndian: structure.loadUnaligned(fromByteOffset: rawValue, as: Number.self))
        }
    }
}

/// What one record says of a job, in our units.
struct LoggedRecord {
    enum State: UInt8 {
        case deleted = 0
        case ready = 1
        case buried = 3
        case delayed = 4
    }

    var id: UInt64
    var state: State
    var priority: UInt32
    var delay: UInt32
    var ttr: UInt32
    /// With its `\r\n`.
    var bodyBytes: Int
    var createdAt: Int64
    var deadline: Int64
    var counters: JobCounters
}

/// Why the rest of a file can't be read.
struct Flaw: Error {
    var reason: String

    init(_ reason: String) { self.reason = reason }
}
