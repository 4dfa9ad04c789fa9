// SPDX-License-Identifier: MIT

public import TrellisCore

/// Writes replies as clients read them.
///
/// A reply is a head of at most `headBytes` and, for some, a body with a `\r\n` behind it. The head is written where
/// the caller has room; the body is the caller's to copy or to send from where it lies.
public enum ReplyEncoder {
    /// The longest head there is, in bytes: `RESERVED`, two numbers of 20 digits, blanks and `\r\n` fit.
    public static let headBytes = 64

    /// Writes the head of a reply and answers its length.
    ///
    /// For `USING` the head is all before the name. Behind the head, up to `headBytes`, anything may be written.
    @inline(__always)
    public static func encodeHead(of reply: Reply, to start: UnsafeMutableRawPointer) -> Int {
        switch reply {
        case .inserted(let id): return write("INSERTED ", id.rawValue, to: start)
        case .reserved(let id, let body): return write("RESERVED ", id.rawValue, UInt64(body.count), to: start)
        case .deleted: return write("DELETED\r\n", to: start)
        default: return encodeOther(reply, to: start)
        }
    }

    private static func encodeOther(_ reply: Reply, to start: UnsafeMutableRawPointer) -> Int {
        switch reply {
        case .inserted(let id): write("INSERTED ", id.rawValue, to: start)
        case .reserved(let id, let body): write("RESERVED ", id.rawValue, UInt64(body.count), to: start)
        case .deleted: write("DELETED\r\n", to: start)
        case .buriedOnPut(let id): write("BURIED ", id.rawValue, to: start)
        case .found(let id, let body): write("FOUND ", id.rawValue, UInt64(body.count), to: start)
        case .ok(let body): write("OK ", UInt64(body.count), to: start)
        case .watching(let count): write("WATCHING ", UInt64(count), to: start)
        case .kicked(let count): write("KICKED ", UInt64(count), to: start)
        case .using: write("USING ", to: start)
        case .expectedCRLF: write("EXPECTED_CRLF\r\n", to: start)
        case .jobTooBig: write("JOB_TOO_BIG\r\n", to: start)
        case .draining: write("DRAINING\r\n", to: start)
        case .outOfMemory: write("OUT_OF_MEMORY\r\n", to: start)
        case .internalError: write("INTERNAL_ERROR\r\n", to: start)
        case .badFormat: write("BAD_FORMAT\r\n", to: start)
        case .unknownCommand: write("UNKNOWN_COMMAND\r\n", to: start)
        case .notFound: write("NOT_FOUND\r\n", to: start)
        case .notIgnored: write("NOT_IGNORED\r\n", to: start)
        case .released: write("RELEASED\r\n", to: start)
        case .buried: write("BURIED\r\n", to: start)
        case .touched: write("TOUCHED\r\n", to: start)
        case .kickedJob: write("KICKED\r\n", to: start)
        case .paused: write("PAUSED\r\n", to: start)
        case .deadlineSoon: write("DEADLINE_SOON\r\n", to: start)
        case .timedOut: write("TIMED_OUT\r\n", to: start)
        }
    }

    /// The whole reply as an array: for tests and tools, not for the hot path.
    public static func encode(_ reply: Reply) -> [UInt8] {
        var bytes = [UInt8](unsafeUninitializedCapacity: headBytes) { buffer, count in
            guard let start = buffer.baseAddress else { return }
            count = encodeHead(of: reply, to: UnsafeMutableRawPointer(start))
        }
        if let body = reply.body {
            bytes.append(contentsOf: body.bytes)
            bytes.append(contentsOf: [13, 10])
        }
        return bytes
    }

    // MARK: Pieces

    @inline(__always)
    private static func write(_ word: StaticString, to start: UnsafeMutableRawPointer) -> Int {
        start.copyMemory(from: word.utf8Start, byteCount: word.utf8CodeUnitCount)
        return word.utf8CodeUnitCount
    }

    @inline(__always)
    private static func write(_ word: StaticString, _ number: UInt64, to start: UnsafeMutableRawPointer) -> Int {
        var length = write(word, to: start)
        length += writeDecimal(number, to: start + length)
        return length + writeCRLF(to: start + length)
    }

    @inline(__always)
    private static func write(
        _ word: StaticString, _ first: UInt64, _ second: UInt64, to start: UnsafeMutableRawPointer
    ) -> Int {
        var length = write(word, to: start)
        length += writeDecimal(first, to: start + length)
        (start + length).storeBytes(of: UInt8(ascii: " "), as: UInt8.self)
        length += 1
        length += writeDecimal(second, to: start + length)
        return length + writeCRLF(to: start + length)
    }

    @inline(__always)
    private static func writeCRLF(to start: UnsafeMutableRawPointer) -> Int {
        start.storeBytes(of: 0x0A0D, as: UInt16.self)
        return 2
    }

    /// Writes a number and answers how many digits it has; up to 7 bytes behind them are overwritten.
    @inline(__always)
    private static func writeDecimal(_ number: UInt64, to start: UnsafeMutableRawPointer) -> Int {
        if number >= 100_000_000 { return writeLarge(number, to: start) }
        let digits = eightDigits(of: number)
        // The first digit lies lowest. Of 0 the last one stays.
        let zeros = (digits | 1 << 56).trailingZeroBitCount & ~7
        start.storeBytes(of: (digits | ascii) >> UInt64(zeros), as: UInt64.self)
        return 8 - zeros / 8
    }

    private static func writeLarge(_ number: UInt64, to start: UnsafeMutableRawPointer) -> Int {
        let (high, low) = number.quotientAndRemainder(dividingBy: 100_000_000)
        let length = high < 100_000_000 ? writeDecimal(high, to: start) : writeLarge(high, to: start)
        (start + length).storeBytes(of: eightDigits(of: low) | ascii, as: UInt64.self)
        return length + 8
    }

    private static var ascii: UInt64 { 0x3030_3030_3030_3030 }

    /// The digits of a number below 10^8, each in a byte, the first one lowest.
    ///
    /// Halves side by side in one word, then pairs, then digits: three steps in place of a division for each digit. The
    /// factors are 2^20 / 100 and 2^10 / 10, rounded up, exact for what stands there.
    @inline(__always)
    private static func eightDigits(of number: UInt64) -> UInt64 {
        let (high, low) = number.quotientAndRemainder(dividingBy: 10_000)
        let halves = high | low << 32
        let hundreds = (halves &* 10_486) >> 20 & 0x0000_007F_0000_007F
        let pairs = hundreds | (halves &- hundreds &* 100) << 16
        let tens = (pairs &* 103) >> 10 & 0x000F_000F_000F_000F
        return tens | (pairs &- tens &* 10) << 8
    }
}
