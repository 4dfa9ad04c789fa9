// SPDX-License-Identifier: MIT

/// Makes the bytes of a log by the reference's structures, one field after the other.
///
/// `Jobrec` (dat.h) and `Jobrec5` (file.c) of https://github.com/beanstalkd/beanstalkd at commit
/// 07c75e338b66cd568fb90233b6320e97d7b805cc, with the padding of a 64-bit machine.
struct LogWriter {
    /// `Jobrec.state`.
    enum State: UInt8 {
        case invalid, ready, reserved, buried, delayed, copy
    }

    /// The fields of a record, times in the version's unit.
    struct Record {
        var id: UInt64
        var state = State.ready
        var priority: UInt32 = 0
        var delay: UInt64 = 0
        var ttr: UInt64 = 0
        /// Taken from the body where it is nil.
        var bodySize: Int32?
        var createdAt: UInt64 = 0
        var deadline: UInt64 = 0
        var counts: [UInt32] = [0, 0, 0, 0, 0]

        init(_ id: UInt64, _ state: State = .ready) {
            self.id = id
            self.state = state
        }
    }

    let version: UInt32
    private(set) var bytes: [UInt8] = []

    /// A file with its version word alone.
    init(version: UInt32) {
        self.version = version
        append(version)
    }

    /// How many of the version's units a second has.
    var second: UInt64 { version == 5 ? 1_000_000 : 1_000_000_000 }

    /// A record with a body, which gets its `\r\n`.
    mutating func put(_ record: Record, tube: String = "default", body: String = "x") {
        var record = record
        record.bodySize = record.bodySize ?? Int32(body.utf8.count + 2)
        appendLength(tube.utf8.count)
        bytes += Array(tube.utf8)
        append(record)
        bytes += Array(body.utf8) + [13, 10]
    }

    /// A record without one.
    mutating func update(_ record: Record, bodySize: Int = 3) {
        var record = record
        record.bodySize = record.bodySize ?? Int32(bodySize)
        appendLength(0)
        append(record)
    }

    mutating func appendLength(_ length: Int) {
        if version == 5 { append(UInt64(bitPattern: Int64(length))) } else { append(UInt32(bitPattern: Int32(length))) }
    }

    mutating func append(_ record: Record) {
        append(record.id)
        append(record.priority)
        append(UInt32(0))  // padding
        append(record.delay)
        append(record.ttr)
        append(UInt32(bitPattern: record.bodySize ?? 0))
        append(UInt32(0))  // padding
        append(record.createdAt)
        append(record.deadline)
        for count in record.counts { append(count) }
        bytes.append(record.state.rawValue)
        if version == 7 { bytes += [0, 0, 0] }
    }

    mutating func zeroes(_ count: Int) { bytes += [UInt8](repeating: 0, count: count) }

    mutating func append(_ number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.littleEndian) { bytes += Array($0) }
    }
}
