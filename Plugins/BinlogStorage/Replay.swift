// SPDX-License-Identifier: MIT

internal import TrellisCore
internal import TrellisFiles

/// Finds the live jobs of a log, taking its segments from the newest to the oldest.
///
/// The newest record of a job says what it is: so each segment is read once, and nothing of a job is kept in memory but
/// a bit, and its newest update until its put is found.
struct Replay: ~Copyable {
    private var decided = IDSet()
    /// The newest update of jobs whose put wasn't met yet, and the segment that it lies in.
    private var updates: [UInt64: (facts: LogRecord.Facts, segment: UInt64)] = [:]
    /// The bytes of updates that live jobs need, by segment.
    private(set) var liveUpdateBytes: [UInt64: UInt64] = [:]
    private(set) var highestID: UInt64 = 0
    private(set) var liveBytes: UInt64 = 0
    private(set) var jobs = 0
    private(set) var updatedJobs = 0
    /// Records that aren't what they should be, for a repair; a start doesn't go on behind the first.
    private(set) var faults: [Place] = []
    private let plain = LogBuffer()
    private var marks: [SegmentRoom.Mark] = []

    init() {}

    /// What is wrong where.
    struct Place {
        var segment: UInt64
        var offset: Int
        var reason: String
    }

    /// What a segment turned out to hold.
    struct Content {
        var jobs = 0
        var ids = IDList()
        var plainBytes: UInt64 = 0
        /// What of them are the newest puts of live jobs.
        var livePutBytes: UInt64 = 0
        var records = 0
    }

    /// Updates whose job's put wasn't in any segment.
    var orphans: Int { updates.count }

    /// How the records of a segment are looked at.
    struct Look {
        /// What the head of a segment that lost it is taken to have said.
        var headlessCodec = LogSettings.plainCodec
        /// Whether to go on behind a group with a record that can't be one.
        var isLenient = false
        /// Whether the checksum of each record is looked at although its group's is right.
        var checksEach = false
    }

    /// Takes the records of a segment and gives its live jobs, those of a plain one in the order of their records.
    ///
    /// What is compressed is taken frame by frame, from the last to the first: a few bytes may become many.
    mutating func take(
        _ scan: SegmentScan, codecs: [any LogCodec], _ look: Look = Look(),
        _ deliver: (StoredJob, _ hasUpdate: Bool) -> Void
    ) throws(Fault) -> Content {
        var content = Content()
        highestID = max(highestID, scan.header?.highestID ?? 0)
        let codecName = scan.header?.codec ?? look.headlessCodec
        guard let codec = codecs.first(where: { $0.name == codecName }) else {
            if scan.hasRecords, !look.checksEach {
                swap(&marks, &scan.room.records)
                defer { swap(&marks, &scan.room.records) }
                content.records = marks.count
                content.plainBytes = scan.groups.reduce(0) { $0 + UInt64($1.header.storedBytes) }
                decide(scan.content.bytes, in: scan.number)
                give(scan.content.bytes, &content, deliver)
                return content
            }
            let ranges = scan.groups.map(Self.storedRange)
            try take(scan.groups[...], at: ranges, of: scan.content.bytes, scan, look, &content, deliver)
            return content
        }
        let decoder = codec.makeDecoder()
        // What is compressed has no checksum of its own but that of its records.
        var look = look
        look.checksEach = true
        for frame in Self.frames(of: scan.groups).reversed() {
            let groups = scan.groups[frame]
            let ranges = try unpack(groups, scan, decoder, look)
            try take(groups, at: ranges, of: plain.bytes, scan, look, &content, deliver)
        }
        plain.clear()
        return content
    }

    /// Where a record can't be one.
    struct Fault: Error {
        var offset: Int
        var reason: String
    }

    /// Throws the fault; a lenient look writes it down and goes on.
    private mutating func found(_ fault: Fault, _ scan: SegmentScan, _ look: Look) throws(Fault) {
        guard look.isLenient else { throw fault }
        faults.append(Place(segment: scan.number, offset: fault.offset, reason: fault.reason))
    }

    // MARK: Frames

    private static func storedRange(_ group: SegmentScan.Group) -> Range<Int>? {
        let start = group.offset + LogFormat.groupHeaderBytes
        return start..<start + group.header.storedBytes
    }

    /// The groups that belong together: each run can be decompressed without the others.
    private static func frames(of groups: [SegmentScan.Group]) -> [Range<Int>] {
        let begins = groups.indices.filter { $0 == 0 || groups[$0].header.beginsFrame }
        return zip(begins, begins.dropFirst() + [groups.count]).map { $0..<$1 }
    }

    /// Decompresses the groups of a frame; answers where each lies, nil where it can't be read.
    private mutating func unpack(
        _ groups: ArraySlice<SegmentScan.Group>, _ scan: SegmentScan, _ decoder: any LogDecoder, _ look: Look
    ) throws(Fault) -> [Range<Int>?] {
        plain.clear()
        var ranges: [Range<Int>?] = []
        var expected = groups.first?.header.number
        var lost: (first: SegmentScan.Group, last: UInt64)?
        for group in groups {
            let header = group.header
            let start = plain.count
            // Behind a gap nothing of the frame can be read, nor what doesn't begin a frame where one is due.
            let isDue = start == 0 || start >= LogFormat.frameBytes
            let isRight =
                header.records == 0
                || lost == nil && header.number == expected && (header.beginsFrame || !isDue)
                    && decoder.decode(
                        scan.stored(header, at: group.offset), plainBytes: header.plainBytes,
                        beginsFrame: header.beginsFrame, into: plain)
                    && plain.count - start == header.plainBytes
            expected = header.number + 1
            ranges.append(isRight ? start..<plain.count : nil)
            if isRight { continue }
            lost = (lost?.first ?? group, header.number)
            if !look.isLenient { break }
        }
        if let lost {
            let first = lost.first.header.number
            let which = first == lost.last ? "group \(first)" : "groups \(first) to \(lost.last)"
            try found(Fault(offset: lost.first.offset, reason: "\(which) can't be decompressed"), scan, look)
        }
        return ranges
    }

    // MARK: Records

    /// Takes the records of groups that lie at those places in the bytes.
    private mutating func take(
        _ groups: ArraySlice<SegmentScan.Group>, at ranges: [Range<Int>?], of bytes: UnsafeRawBufferPointer,
        _ scan: SegmentScan, _ look: Look, _ content: inout Content, _ deliver: (StoredJob, Bool) -> Void
    ) throws(Fault) {
        marks.removeAll(keepingCapacity: true)
        for (group, range) in zip(groups, ranges) {
            guard let range else { continue }
            let before = marks.count
            do throws(Fault) {
                try group.split(bytes, range, seed: look.checksEach ? scan.seed : nil, into: &marks)
            } catch {
                try found(error, scan, look)
            }
            content.records += marks.count - before
            content.plainBytes += UInt64(range.count)
        }
        decide(bytes, in: scan.number)
        give(bytes, &content, deliver)
    }

    /// The records from the last to the first: the last word on a job is the one that counts.
    ///
    /// Of the marks, those of live jobs' puts remain.
    private mutating func decide(_ bytes: UnsafeRawBufferPointer, in segment: UInt64) {
        var kept = marks.count
        for position in marks.indices.reversed() {
            let mark = marks[position]
            highestID = max(highestID, mark.id)
            switch mark.kind {
            case .put:
                if decided.insert(mark.id) {
                    kept -= 1
                    marks[kept] = mark
                }
            case .update:
                if !decided.contains(mark.id), updates[mark.id] == nil {
                    updates[mark.id] = (record(bytes, mark.offset).facts, segment)
                }
            case .delete: _ = decided.insert(mark.id)
            }
        }
        marks.removeFirst(kept)
    }

    private func record(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> LogRecord {
        LogRecord(known: UnsafeRawBufferPointer(rebasing: bytes[offset...]))
    }

    private mutating func give(
        _ bytes: UnsafeRawBufferPointer, _ content: inout Content, _ deliver: (StoredJob, Bool) -> Void
    ) {
        for (position, mark) in marks.enumerated() {
            // The bytes come from the cache of the processor that read them: each record is asked for while the two before
            // it are dealt with.
            if position + 2 < marks.count {
                let (next, behind) = (marks[position + 1], marks[position + 2])
                if let address = bytes.baseAddress { prefetch(address + behind.offset, behind.offset - next.offset) }
            }
            let record = record(bytes, mark.offset)
            let update = updates.isEmpty ? nil : updates.removeValue(forKey: record.id)
            content.jobs += 1
            content.ids.append(record.id)
            content.livePutBytes += UInt64(record.bytes.count)
            liveBytes += UInt64(record.bytes.count)
            jobs += 1
            if let update {
                updatedJobs += 1
                liveBytes += UInt64(LogRecord.updateBytes)
                liveUpdateBytes[update.segment, default: 0] += UInt64(LogRecord.updateBytes)
            }
            deliver(record.job(update?.facts ?? record.facts), update != nil)
        }
    }
}

extension SegmentScan.Group {
    /// Adds its records, which lie at that place in the bytes; up to the first that can't be one.
    ///
    /// With a seed their checksums are looked at, too.
    func split(
        _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, seed: UInt32? = nil,
        into marks: inout [SegmentRoom.Mark]
    ) throws(Replay.Fault) {
        guard range.count == header.plainBytes else {
            throw Replay.Fault(offset: offset, reason: "group \(header.number) has another length than it says")
        }
        var position = range.lowerBound
        var count = 0
        while position < range.upperBound {
            do throws(LogRecord.Fault) {
                let record = try LogRecord(at: UnsafeRawBufferPointer(rebasing: bytes[position..<range.upperBound]))
                if let seed { try record.checkChecksum(seed: seed) }
                marks.append(SegmentRoom.Mark(id: record.id, offset: position, kind: record.kind))
                position += record.bytes.count
                count += 1
            } catch {
                throw Replay.Fault(
                    offset: offset, reason: "record \(count + 1) of group \(header.number) \(error.words)")
            }
        }
        guard count == header.records else {
            throw Replay.Fault(
                offset: offset, reason: "group \(header.number) has \(count) records and says \(header.records)")
        }
    }
}

extension LogRecord.Fault {
    var words: String {
        switch self {
        case .cutOff: "is cut off"
        case .length(let length): "has the impossible length \(length)"
        case .kind(let kind): "is of the unknown kind \(kind)"
        case .content(let text): "has \(text)"
        case .checksum: "has a wrong checksum"
        }
    }
}
