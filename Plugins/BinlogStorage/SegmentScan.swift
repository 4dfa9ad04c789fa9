// SPDX-License-Identifier: MIT

internal import TrellisCore
internal import TrellisFiles

/// The content of a segment's file, and what of it is right.
///
/// One thread makes it and hands it over.
final class SegmentScan: @unchecked Sendable {
    let number: UInt64
    let path: String
    /// Holds what has been read of the file, in the end the whole, and what was found in it.
    let room: SegmentRoom
    var content: LogBuffer { room.content }
    let header: SegmentHeader?
    let seed: UInt32

    struct Group {
        var offset: Int
        var header: GroupHeader
    }

    /// Where it stops being right, and why.
    struct Break {
        var offset: Int
        var reason: String
    }

    /// The groups from the beginning on that follow each other as they should.
    private(set) var groups: [Group] = []
    /// The offset behind them.
    private(set) var end = LogFormat.segmentHeaderBytes
    /// The number that the next group would have.
    private(set) var nextGroup: UInt64
    /// Nil where nothing but zeroes follows.
    private(set) var broken: Break?
    /// Whether the room holds the records of just these groups: not where they are compressed, or one can't be a record.
    private(set) var hasRecords = false

    /// Begins to look at a file, whose content comes into the room; `goOn` does it.
    init(number: UInt64, path: String, room: SegmentRoom, header: SegmentHeader?, storeID: UInt64) {
        self.number = number
        self.path = path
        self.room = room
        self.header = header
        seed = LogFormat.seed(storeID: storeID, segment: number)
        nextGroup = header?.firstGroup ?? 0
        if header == nil {
            end = 0
            broken = Break(offset: 0, reason: "the segment's head can't be read")
        } else {
            hasRecords = header?.codec == LogSettings.plainCodec
        }
    }

    /// Looks at the groups that are there whole by now; where the file `isRead` to its end, at what follows them, too.
    ///
    /// Called after each piece that is read, while the processor's cache holds it: of 16 MiB at once the checksum took three
    /// times as long.
    func goOn(isRead: Bool) {
        let bytes = content.bytes
        while broken == nil {
            guard let header = GroupHeader(decoding: UnsafeRawBufferPointer(rebasing: bytes[end...]), seed: seed) else {
                if isRead, !UnsafeRawBufferPointer(rebasing: bytes[end...]).isZero {
                    broken = Break(offset: end, reason: "no group begins here, and yet the rest isn't empty")
                }
                return
            }
            guard header.number == nextGroup else {
                broken = Break(
                    offset: end, reason: "group \(header.number) stands where group \(nextGroup) should be")
                return
            }
            guard isRead || header.totalBytes <= content.count - end else { return }
            guard isIntact(header, at: end) else {
                broken = Break(offset: end, reason: "the checksum of group \(header.number) is wrong")
                return
            }
            let group = Group(offset: end, header: header)
            groups.append(group)
            findRecords(of: group)
            end += header.totalBytes
            nextGroup += 1
        }
    }

    /// Looks at the records of a plain group.
    private func findRecords(of group: Group) {
        guard hasRecords else { return }
        let start = group.offset + LogFormat.groupHeaderBytes
        do throws(Replay.Fault) {
            try group.split(content.bytes, start..<start + group.header.storedBytes, into: &room.records)
        } catch {
            // Who replays the segment comes upon it again, and says so.
            hasRecords = false
        }
    }

    private func isIntact(_ header: GroupHeader, at offset: Int) -> Bool {
        guard header.totalBytes <= content.count - offset else { return false }
        return Checksum.crc32c(stored(header, at: offset), after: seed) == header.checksum
    }

    func stored(_ header: GroupHeader, at offset: Int) -> UnsafeRawBufferPointer {
        let start = offset + LogFormat.groupHeaderBytes
        return UnsafeRawBufferPointer(rebasing: content.bytes[start..<start + header.storedBytes])
    }

    /// The groups behind the break that are right by themselves.
    func groupsBeyondBreak() -> [Group] {
        guard broken != nil else { return [] }
        var found: [Group] = []
        let bytes = content.bytes
        var offset = max(end, LogFormat.segmentHeaderBytes)
        while offset + LogFormat.groupHeaderBytes <= bytes.count {
            if bytes.get(UInt32.self, at: offset) == LogFormat.groupMagic,
                let header = GroupHeader(decoding: UnsafeRawBufferPointer(rebasing: bytes[offset...]), seed: seed),
                header.number >= nextGroup, isIntact(header, at: offset)
            {
                found.append(Group(offset: offset, header: header))
                offset += header.totalBytes
            } else {
                offset += 8
            }
        }
        return found
    }

    /// The newest group that the segment says was on the disk.
    var syncedGroup: UInt64 {
        let told = (groups + groupsBeyondBreak()).map(\.header.syncedGroup).max() ?? 0
        return max(told, header?.syncedGroup ?? 0)
    }

    /// The size of the file.
    var fileBytes: UInt64 { UInt64(content.count) }

    /// Takes away the groups from that number on: they are a torn tail.
    func cut(at group: UInt64) {
        while let last = groups.last, last.header.number >= group {
            hasRecords = false
            groups.removeLast()
            end = last.offset
        }
        nextGroup = min(nextGroup, group)
        broken = nil
    }

    /// Takes the groups behind the break as well, for a repair.
    func acceptGroupsBeyondBreak() {
        let more = groupsBeyondBreak()
        hasRecords = false
        groups += more
        if let last = more.last {
            end = last.offset + last.header.totalBytes
            nextGroup = last.header.number + 1
        }
        broken = nil
    }
}
