// SPDX-License-Identifier: MIT

import CompressedBinlogStorage
import TrellisFiles

@testable import BinlogStorage

/// Makes the files of a log of an input: a byte that says how, then the files with `split` between; one that is empty is
/// missing.
///
/// A file comes without what makes it long: the unused part of its head, and the zeroes at its end.
struct SegmentInput {
    static let split = Array("<next file>".utf8)
    static let segmentBytes = 8192

    /// How the bytes are taken.
    private struct Mode {
        /// Whether all checksums are made right.
        var seals: Bool
        /// Whether what is stored is taken for plain and compressed with the codec that the head names.
        var compresses: Bool
        /// Whether the files have zeroes at their ends.
        var isWhole: Bool

        init(_ byte: UInt8) {
            seals = byte & 1 != 0
            compresses = byte & 2 != 0
            isWhole = byte & 4 == 0
        }
    }

    /// The files, by path.
    let files: [String: [UInt8]]

    init(_ input: [UInt8]) {
        var files: [String: [UInt8]] = [:]
        let mode = Mode(input.first ?? 0)
        for (position, piece) in Self.pieces(input.dropFirst()).enumerated() where !piece.isEmpty {
            let number = UInt64(position + 1)
            files["/log/" + LogFormat.segmentName(number)] = Self.expand(Array(piece), mode)
        }
        self.files = files
    }

    private static func pieces(_ bytes: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        var pieces: [ArraySlice<UInt8>] = []
        var rest = bytes
        while pieces.count < 7, let range = rest.firstRange(of: split) {
            pieces.append(rest[..<range.lowerBound])
            rest = rest[range.upperBound...]
        }
        return pieces + [rest]
    }

    private static func expand(_ piece: [UInt8], _ mode: Mode) -> [UInt8] {
        let used = LogFormat.usedHeaderBytes
        guard piece.count >= used else { return piece }
        var bytes = piece[..<used] + [UInt8](repeating: 0, count: LogFormat.segmentHeaderBytes - used)
        var groups = Array(piece[used...])
        if mode.seals {
            seal(head: &bytes)
            groups = sealed(groups, Array(bytes), mode)
        }
        bytes += groups
        if mode.isWhole, bytes.count < segmentBytes {
            bytes += [UInt8](repeating: 0, count: segmentBytes - bytes.count)
        }
        return Array(bytes)
    }

    private static func seal(head bytes: inout ArraySlice<UInt8>) {
        bytes.withUnsafeMutableBytes { bytes in
            bytes.put(Checksum.crc32c(UnsafeRawBufferPointer(rebasing: bytes[..<124])), at: 124)
        }
    }

    /// The groups with checksums that are right, as far as one follows another.
    private static func sealed(_ groups: [UInt8], _ head: [UInt8], _ mode: Mode) -> [UInt8] {
        let (storeID, number) = head.withUnsafeBytes { ($0.get(UInt64.self, at: 24), $0.get(UInt64.self, at: 16)) }
        let seed = LogFormat.seed(storeID: storeID, segment: number)
        let codec = String(decoding: head[104..<120].prefix { $0 != 0 }, as: UTF8.self)
        let encoder = codec == "zstd" ? ZstdCodec().makeEncoder() : codec == "lz4" ? LZ4Codec().makeEncoder() : nil
        var hasFrame = false
        var result: [UInt8] = []
        var offset = 0
        while offset + LogFormat.groupHeaderBytes <= groups.count {
            var header = Array(groups[offset..<offset + LogFormat.groupHeaderBytes])
            let length = Int(header.withUnsafeBytes { $0.get(UInt32.self, at: 24) })
            let start = offset + LogFormat.groupHeaderBytes
            guard length <= groups.count - start else { break }
            var stored = Array(groups[start..<start + length])
            if encoder == nil || mode.compresses { seal(records: &stored, seed) }
            if let encoder, mode.compresses { compress(&stored, &header, encoder, &hasFrame) }
            header.withUnsafeMutableBytes { header in
                stored.withUnsafeBytes { header.put(Checksum.crc32c($0, after: seed), at: 36) }
                header.put(Checksum.crc32c(UnsafeRawBufferPointer(rebasing: header[8...]), after: seed), at: 4)
            }
            result += header + stored
            result += [UInt8](repeating: 0, count: LogFormat.padded(stored.count) - stored.count)
            offset = start + LogFormat.padded(length)
        }
        return result + (offset < groups.count ? groups[offset...] : [])
    }

    private static func seal(records stored: inout [UInt8], _ seed: UInt32) {
        stored.withUnsafeMutableBytes { stored in
            var offset = 0
            while offset + LogRecord.deleteBytes <= stored.count {
                let length = Int(UnsafeRawBufferPointer(stored).get(UInt32.self, at: offset))
                guard length >= LogRecord.deleteBytes, length <= stored.count - offset else { return }
                let covered = UnsafeRawBufferPointer(rebasing: stored[offset + 8..<offset + length])
                stored.put(Checksum.crc32c(covered, after: seed), at: offset + 4)
                offset += length
            }
        }
    }

    /// Makes of what is plain what the codec makes of it, and says so in the group's head.
    ///
    /// An encoder must begin with a frame; that the head doesn't say so is for the reader to find.
    private static func compress(
        _ stored: inout [UInt8], _ header: inout [UInt8], _ encoder: any LogEncoder, _ hasFrame: inout Bool
    ) {
        guard !stored.isEmpty else { return }
        let output = LogBuffer()
        let beginsFrame = header[40] & 1 != 0 || !hasFrame
        hasFrame = true
        stored.withUnsafeBytes { encoder.encode($0, beginsFrame: beginsFrame, into: output) }
        let plainBytes = UInt32(stored.count)
        stored = Array(output.bytes)
        let storedBytes = UInt32(stored.count)
        header.withUnsafeMutableBytes { header in
            header.put(storedBytes, at: 24)
            header.put(plainBytes, at: 28)
        }
    }
}
