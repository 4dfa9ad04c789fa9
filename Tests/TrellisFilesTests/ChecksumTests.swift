// SPDX-License-Identifier: MIT

import CLinux
import Testing

@Suite struct ChecksumTests {
    /// The examples of RFC 3720, appendix B.4, and the usual check value.
    static let known: [(bytes: [UInt8], checksum: UInt32)] = [
        ([UInt8](repeating: 0, count: 32), 0x8A91_36AA),
        ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
        ((0..<32).map { (byte: Int) in UInt8(byte) }, 0x46DD_794E),
        ((0..<32).map { (byte: Int) in UInt8(31 - byte) }, 0x113F_DB5C),
        (Array("123456789".utf8), 0xE306_9283),
        ([], 0),
    ]

    @Test(arguments: known)
    func knownBytesHaveTheirKnownChecksum(_ bytes: [UInt8], _ checksum: UInt32) {
        #expect(clinux_crc32c(0, bytes, bytes.count) == checksum)
        #expect(clinux_crc32c_portable(0, bytes, bytes.count) == checksum)
    }

    @Test func bothWaysAgreeForEveryLengthAndCut() {
        // The instructions take blocks of 192 and of 3072 bytes, in three parts each.
        let bytes = (0..<6500).map { UInt8(truncatingIfNeeded: $0 &* 131 &+ $0 >> 3) }
        for length in Array(0...600) + Array(3060...3300) + Array(6130...6500) {
            let whole = clinux_crc32c(0, bytes, length)
            #expect(clinux_crc32c_portable(0, bytes, length) == whole)
            let cut = length / 3
            let rest = bytes[cut..<length].withUnsafeBytes { rest in
                clinux_crc32c(clinux_crc32c(0, bytes, cut), rest.baseAddress, rest.count)
            }
            #expect(rest == whole)
        }
    }
}
