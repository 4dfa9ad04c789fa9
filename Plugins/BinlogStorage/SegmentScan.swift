// SPDX-License-Identifier: MIT

internal import TrellisCore
internal import TrellisFiles

/// The content of a segment's file, and what of it is right.
///
/// One thread makes it and hands it over.
final class SegmentScan: @unchecked Sendable {
    let number: UInt64
    let path: String
    /// The whole file.
    let content: LogBuffer
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

    /// Looks at a file's content.
    init(number: UInt64, path: String, content: LogBuffer, header: SegmentHeader?, storeID: UInt64) {
        self.number = number
        self.path = path
        self.content = content
        self.header = header
        seed = LogFormat.seed(storeID: storeID, segment: number)
        nextGroup = header?.firstGroup ?? 0
        if header == nil {
            end = 0
            broken = Break(offset: 0, reason: "the segment's head can't be read")
        } else {
            walk()
        }
    }

    private func walk() {
        let bytes = content.bytes
        while true {
            guard let header = GroupHeader(decoding: UnsafeRawBufferPointer(rebasing: bytes[end...]), seed: seed) else {
                if !UnsafeRawBufferPointer(rebasing: bytes[end...]).isZero {
                    broken = Break(offset: end, reason: "no group begins here, and yet the rest isn't empty")
                }
                return
            }
            guard header.number == nextGroup else {
                broken = Break(
                    offset: end, reason: "group \(header.number) stands where group \(nextGroup) should be")
                return
            }
            guard isIntact(header, at: end) else {
                broken = Break(offset: end, reason: "the checksum of group \(header.number) is wrong")
                return
            }
            groups.append(Group(offset: end, header: header))
            end += header.totalBytes
            nextGroup += 1
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
            groups.removeLast()
            end = last.offset
        }
        nextGroup = min(nextGroup, group)
        broken = nil
    }

    /// Takes the groups behind the break as well, for a repair.
    func acceptGroupsBeyondBreak() {
        let more = groupsBeyondBreak()
        groups += more
        if let last = more.last {
            end = last.offset + last.header.totalBytes
            nextGroup = last.header.number + 1
        }
        broken = nil
    }
}
