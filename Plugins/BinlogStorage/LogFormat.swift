// SPDX-License-Identifier: MIT

internal import Glibc
internal import TrellisFiles

/// The constants of the format; docs/binlog-format.md is its description.
///
/// All numbers are little-endian and of fixed width.
enum LogFormat {
    static let version: UInt32 = 1
    /// `TRELLIS` and a line end, as a number.
    static let segmentMagic: UInt64 = 0x0A53_494C_4C45_5254
    /// `grp` and a line end, as a number.
    static let groupMagic: UInt32 = 0x0A70_7267
    static let segmentHeaderBytes = 4096
    /// The bytes of a segment's header that say something, its checksum included: they lie in one sector.
    static let usedHeaderBytes = 128
    static let groupHeaderBytes = 48
    /// What of a segment's file can't be counted on: its head, and an end too short for the next small group.
    static let unusableBytes = 4096 + 256
    /// A group with so much in it is closed.
    static let groupBytes = 1 << 20
    /// A new frame of the codec begins when so many plain bytes are in one: what damage can cost.
    static let frameBytes = 512 << 10
    /// The most that a group can hold: the largest job with its record's head and name.
    static let largestGroupBytes = (1 << 30) + (1 << 21)
    /// What counts changes, groups, jobs or segments never comes near it: a number beyond is no number of ours, and
    /// one can be added to any that is.
    static let largestNumber: UInt64 = 1 << 62

    static func segmentName(_ number: UInt64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 10 - digits.count)) + digits + ".log"
    }

    /// The number of a segment by the name of its file; nil for other files.
    static func segmentNumber(_ name: String) -> UInt64? {
        guard name.hasSuffix(".log"), name.utf8.count >= 14 else { return nil }
        let digits = name.dropLast(4)
        guard digits.utf8.allSatisfy({ (48...57).contains($0) }), let number = UInt64(digits), number > 0,
            number <= largestNumber, segmentName(number) == name
        else { return nil }
        return number
    }

    /// What every checksum of a segment begins with: bytes of another store or segment never pass for its own.
    static func seed(storeID: UInt64, segment: UInt64) -> UInt32 {
        withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { bytes in
            bytes.put(storeID, at: 0)
            bytes.put(segment, at: 8)
            return Checksum.crc32c(UnsafeRawBufferPointer(bytes))
        }
    }

    /// Groups begin at multiples of 8.
    static func padded(_ count: Int) -> Int { (count + 7) & ~7 }
}

/// The head of a segment's file.
struct SegmentHeader: Equatable {
    var number: UInt64
    var storeID: UInt64
    /// The highest id given out when the segment was begun.
    var highestID: UInt64
    /// The number of the first group that belongs here.
    var firstGroup: UInt64
    /// The newest group known to be on the disk when the segment was begun.
    var syncedGroup: UInt64
    /// Nanoseconds since 1970.
    var createdAt: Int64
    var segmentBytes: UInt64
    var pluginID: String
    var codec: String

    /// Why the head of a file can't be used.
    enum Fault: Error, Equatable {
        /// All zero: the file was prepared and not used yet.
        case unused
        case notASegment
        case checksum
        /// Its numbers can't be: the checksum is right, and yet no log wrote it.
        case content
        case version(UInt32)
    }

    func encode(into bytes: UnsafeMutableRawBufferPointer) {
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
        bytes.put(LogFormat.segmentMagic, at: 0)
        bytes.put(LogFormat.version, at: 8)
        bytes.put(UInt32(LogFormat.segmentHeaderBytes), at: 12)
        bytes.put(number, at: 16)
        bytes.put(storeID, at: 24)
        bytes.put(highestID, at: 32)
        bytes.put(firstGroup, at: 40)
        bytes.put(syncedGroup, at: 48)
        bytes.put(UInt64(bitPattern: createdAt), at: 56)
        bytes.put(segmentBytes, at: 64)
        for (offset, byte) in pluginID.utf8.prefix(32).enumerated() { bytes[72 + offset] = byte }
        for (offset, byte) in codec.utf8.prefix(16).enumerated() { bytes[104 + offset] = byte }
        let covered = UnsafeRawBufferPointer(rebasing: bytes[..<124])
        bytes.put(Checksum.crc32c(covered), at: 124)
    }

    init(
        number: UInt64, storeID: UInt64, highestID: UInt64, firstGroup: UInt64, syncedGroup: UInt64, createdAt: Int64,
        segmentBytes: UInt64, pluginID: String, codec: String
    ) {
        self.number = number
        self.storeID = storeID
        self.highestID = highestID
        self.firstGroup = firstGroup
        self.syncedGroup = syncedGroup
        self.createdAt = createdAt
        self.segmentBytes = segmentBytes
        self.pluginID = pluginID
        self.codec = codec
    }

    init(decoding bytes: UnsafeRawBufferPointer) throws(Fault) {
        guard bytes.count >= LogFormat.usedHeaderBytes else { throw .notASegment }
        if UnsafeRawBufferPointer(rebasing: bytes[..<LogFormat.usedHeaderBytes]).isZero { throw .unused }
        guard bytes.get(UInt64.self, at: 0) == LogFormat.segmentMagic else { throw .notASegment }
        guard Checksum.crc32c(UnsafeRawBufferPointer(rebasing: bytes[..<124])) == bytes.get(UInt32.self, at: 124) else {
            throw .checksum
        }
        let version = bytes.get(UInt32.self, at: 8)
        guard version == LogFormat.version else { throw .version(version) }
        number = bytes.get(UInt64.self, at: 16)
        storeID = bytes.get(UInt64.self, at: 24)
        highestID = bytes.get(UInt64.self, at: 32)
        firstGroup = bytes.get(UInt64.self, at: 40)
        syncedGroup = bytes.get(UInt64.self, at: 48)
        createdAt = Int64(bitPattern: bytes.get(UInt64.self, at: 56))
        segmentBytes = bytes.get(UInt64.self, at: 64)
        pluginID = String(decoding: bytes[72..<104].prefix { $0 != 0 }, as: UTF8.self)
        codec = String(decoding: bytes[104..<120].prefix { $0 != 0 }, as: UTF8.self)
        guard (1...LogFormat.largestNumber).contains(firstGroup), syncedGroup < firstGroup,
            highestID <= LogFormat.largestNumber
        else { throw .content }
    }
}

/// The head of a group: what was closed by one commit, or a piece of it.
struct GroupHeader: Equatable {
    /// Ascending by one over all segments.
    var number: UInt64
    /// The newest group known to be on the disk when this one was closed.
    var syncedGroup: UInt64
    /// The bytes that follow, as they are stored, without the padding to a multiple of 8.
    var storedBytes: Int
    /// The bytes of the records, before compression.
    var plainBytes: Int
    var records: Int
    /// Of the stored bytes, begun with the segment's seed.
    var checksum: UInt32
    /// Whether a frame of the codec begins with this group.
    var beginsFrame: Bool

    /// The whole group, padding included.
    var totalBytes: Int { LogFormat.groupHeaderBytes + LogFormat.padded(storedBytes) }

    func encode(into bytes: UnsafeMutableRawBufferPointer, seed: UInt32) {
        bytes.put(LogFormat.groupMagic, at: 0)
        bytes.put(number, at: 8)
        bytes.put(syncedGroup, at: 16)
        bytes.put(UInt32(storedBytes), at: 24)
        bytes.put(UInt32(plainBytes), at: 28)
        bytes.put(UInt32(records), at: 32)
        bytes.put(checksum, at: 36)
        bytes.put(beginsFrame ? 1 : 0 as UInt32, at: 40)
        bytes.put(0 as UInt32, at: 44)
        let covered = UnsafeRawBufferPointer(rebasing: bytes[8..<LogFormat.groupHeaderBytes])
        bytes.put(Checksum.crc32c(covered, after: seed), at: 4)
    }

    /// Nil where no head of a group of the segment stands.
    init?(decoding bytes: UnsafeRawBufferPointer, seed: UInt32) {
        guard bytes.count >= LogFormat.groupHeaderBytes, bytes.get(UInt32.self, at: 0) == LogFormat.groupMagic else {
            return nil
        }
        let covered = UnsafeRawBufferPointer(rebasing: bytes[8..<LogFormat.groupHeaderBytes])
        guard Checksum.crc32c(covered, after: seed) == bytes.get(UInt32.self, at: 4) else { return nil }
        number = bytes.get(UInt64.self, at: 8)
        syncedGroup = bytes.get(UInt64.self, at: 16)
        storedBytes = Int(bytes.get(UInt32.self, at: 24))
        plainBytes = Int(bytes.get(UInt32.self, at: 28))
        records = Int(bytes.get(UInt32.self, at: 32))
        checksum = bytes.get(UInt32.self, at: 36)
        beginsFrame = bytes.get(UInt32.self, at: 40) & 1 != 0
        guard (1...LogFormat.largestNumber).contains(number), syncedGroup < number else { return nil }
        // Whatever is to be made of the bytes: a group is small, or one record, or nothing.
        let most = records == 1 ? LogFormat.largestGroupBytes : LogFormat.groupBytes
        guard plainBytes <= most, plainBytes >= records * LogRecord.deleteBytes, records > 0 || storedBytes == 0 else {
            return nil
        }
    }

    init(
        number: UInt64, syncedGroup: UInt64, storedBytes: Int, plainBytes: Int, records: Int, checksum: UInt32,
        beginsFrame: Bool
    ) {
        self.number = number
        self.syncedGroup = syncedGroup
        self.storedBytes = storedBytes
        self.plainBytes = plainBytes
        self.records = records
        self.checksum = checksum
        self.beginsFrame = beginsFrame
    }
}

extension UnsafeMutableRawBufferPointer {
    @inline(__always)
    func put<Number: FixedWidthInteger & BitwiseCopyable>(_ number: Number, at offset: Int) {
        storeBytes(of: number.littleEndian, toByteOffset: offset, as: Number.self)
    }
}

extension UnsafeRawBufferPointer {
    /// Whether all bytes are zero; at the speed of the C library.
    var isZero: Bool {
        guard let start = baseAddress, count > 0 else { return true }
        return self[0] == 0 && memcmp(start, start + 1, count - 1) == 0
    }

    @inline(__always)
    func get<Number: FixedWidthInteger & BitwiseCopyable>(_ type: Number.Type, at offset: Int) -> Number {
        Number(littleEndian: loadUnaligned(fromByteOffset: offset, as: type))
    }
}
