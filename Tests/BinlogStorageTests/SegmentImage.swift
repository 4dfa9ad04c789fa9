// SPDX-License-Identifier: MIT

import Testing
import TrellisFiles
import TrellisTestKit

@testable import BinlogStorage

/// The bytes of a segment's file, to be changed and put back, with or without checksums that are right again.
struct SegmentImage {
    var bytes: [UInt8]
    let path: String
    private let files: FaultyFileSystem

    init(_ number: UInt64, on files: FaultyFileSystem) throws {
        self.files = files
        path = "/log/" + LogFormat.segmentName(number)
        bytes = try #require(files.contents(of: path))
    }

    /// Puts the bytes back onto the disk.
    func save() { files.setContents(path, bytes) }

    /// Takes the end of the file away from there on, or makes it zeroes.
    mutating func cut(at offset: Int, keepsSize: Bool = true) {
        let size = bytes.count
        bytes = Array(bytes[..<offset])
        if keepsSize { bytes += [UInt8](repeating: 0, count: size - offset) }
    }

    mutating func zero(_ range: Range<Int>) { for offset in range { bytes[offset] = 0 } }

    // MARK: The head

    func header() throws -> SegmentHeader {
        try bytes.withUnsafeBytes { try SegmentHeader(decoding: $0) }
    }

    /// Writes the head anew, with a checksum that is right.
    mutating func changeHeader(_ change: (inout SegmentHeader) -> Void) throws {
        var header = try header()
        change(&header)
        bytes.withUnsafeMutableBytes {
            header.encode(into: UnsafeMutableRawBufferPointer(rebasing: $0[..<LogFormat.segmentHeaderBytes]))
        }
    }

    /// Makes the head's checksum right.
    mutating func sealHeader() {
        bytes.withUnsafeMutableBytes { bytes in
            bytes.put(Checksum.crc32c(UnsafeRawBufferPointer(rebasing: bytes[..<124])), at: 124)
        }
    }

    // MARK: Groups

    var seed: UInt32 {
        bytes.withUnsafeBytes { bytes in
            LogFormat.seed(storeID: bytes.get(UInt64.self, at: 24), segment: bytes.get(UInt64.self, at: 16))
        }
    }

    /// Where the groups begin, and where the last one ends.
    func groupOffsets() -> [Int] {
        var offsets = [LogFormat.segmentHeaderBytes]
        while let header = groupHeader(at: offsets[offsets.count - 1]) {
            offsets.append(offsets[offsets.count - 1] + header.totalBytes)
        }
        return offsets
    }

    func groupHeader(at offset: Int) -> GroupHeader? {
        guard offset <= bytes.count else { return nil }
        return bytes.withUnsafeBytes {
            GroupHeader(decoding: UnsafeRawBufferPointer(rebasing: $0[offset...]), seed: seed)
        }
    }

    /// Writes the head of a group anew, with both checksums right for what is stored behind it.
    mutating func changeGroup(_ position: Int, _ change: (inout GroupHeader) -> Void = { _ in }) throws {
        let offset = groupOffsets()[position]
        var header = try #require(groupHeader(at: offset))
        change(&header)
        let seed = seed
        bytes.withUnsafeMutableBytes { bytes in
            let start = offset + LogFormat.groupHeaderBytes
            let stored = UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + header.storedBytes, bytes.count)])
            header.checksum = Checksum.crc32c(stored, after: seed)
            header.encode(into: UnsafeMutableRawBufferPointer(rebasing: bytes[offset..<start]), seed: seed)
        }
    }

    /// Changes the first record of a plain group and makes all checksums right.
    mutating func changeRecord(ofGroup position: Int, _ change: (UnsafeMutableRawBufferPointer) -> Void) throws {
        let start = groupOffsets()[position] + LogFormat.groupHeaderBytes
        let seed = seed
        bytes.withUnsafeMutableBytes { bytes in
            let length = Int(UnsafeRawBufferPointer(bytes).get(UInt32.self, at: start))
            let record = UnsafeMutableRawBufferPointer(rebasing: bytes[start..<start + length])
            change(record)
            record.put(Checksum.crc32c(UnsafeRawBufferPointer(rebasing: record[8...]), after: seed), at: 4)
        }
        try changeGroup(position)
    }
}
