// SPDX-License-Identifier: MIT

import TrellisFiles
import TrellisTestKit

extension File {
    func put(_ bytes: [UInt8], at offset: UInt64 = 0) throws(FileError) {
        let result = bytes.withUnsafeBytes { bytes in
            Result { () throws(FileError) in try writeAll(bytes, at: offset) }
        }
        try result.get()
    }

    /// One call, of which any beginning may be written.
    func putOnce(_ bytes: [UInt8], at offset: UInt64 = 0) throws -> Int {
        try bytes.withUnsafeBytes { try write($0, at: offset) }
    }

    func bytes(at offset: UInt64 = 0, _ count: Int) throws -> [UInt8] {
        var buffer = [UInt8](repeating: 0xEE, count: count)
        let got = try buffer.withUnsafeMutableBytes { try readAll(at: offset, into: $0) }
        return Array(buffer[..<got])
    }
}

func pages(_ count: Int, of byte: UInt8) -> [UInt8] { [UInt8](repeating: byte, count: count * 4096) }
