// SPDX-License-Identifier: MIT

internal import CLinux

/// Checksums for what is stored.
public enum Checksum {
    /// The CRC-32C of bytes (Castagnoli; RFC 3720, appendix B.4), going on from that of those before them.
    ///
    /// Uses the processor's instruction where there is one: about 8 GB/s for 64 bytes, 20 GB/s for 4 KiB.
    @inline(__always)
    public static func crc32c(_ bytes: UnsafeRawBufferPointer, after crc: UInt32 = 0) -> UInt32 {
        clinux_crc32c(crc, bytes.baseAddress, bytes.count)
    }
}
