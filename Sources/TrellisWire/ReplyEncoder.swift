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
    /// For `USING` the head is all before the name.
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

    @inline(__always)
    private static func writeDecimal(_ number: UInt64, to start: UnsafeMutableRawPointer) -> Int {
        let digits = digitCount(number)
        var rest = number
        var place = digits
        // Two at a time: half as many divisions, each after the other.
        while rest >= 100 {
            let (quotient, pair) = rest.quotientAndRemainder(dividingBy: 100)
            place -= 2
            (start + place).storeBytes(of: twoDigits(pair), as: UInt16.self)
            rest = quotient
        }
        if rest >= 10 {
            start.storeBytes(of: twoDigits(rest), as: UInt16.self)
        } else {
            start.storeBytes(of: UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest), as: UInt8.self)
        }
        return digits
    }

    /// The characters of a number below 100, the tens in the lower byte.
    @inline(__always)
    private static func twoDigits(_ number: UInt64) -> UInt16 {
        let tens = (number &* 103) >> 10
        return 0x3030 &+ UInt16(truncatingIfNeeded: tens | (number &- tens &* 10) << 8)
    }

    @inline(__always)
    private static func digitCount(_ number: UInt64) -> Int {
        if number < 10_000 { return number < 100 ? (number < 10 ? 1 : 2) : number < 1000 ? 3 : 4 }
        var digits = 4
        var rest = number / 10_000
        while rest > 0 {
            digits += 1
            rest /= 10
        }
        return digits
    }
}
