// SPDX-License-Identifier: MIT

internal import Glibc
public import TrellisCore

/// What a command line says.
public enum ParsedLine {
    /// A command; names in it lie in the line.
    case command(Command)
    /// No command.
    case fault(SyntaxFault)
}

/// Turns one command line into a command.
///
/// The rules are those of beanstalkd 1.13, oddities included: commands are matched by prefix, so `quitfoo` quits and
/// `stats-tube` without a name is `stats` with garbage behind it; before a number any spaces are skipped, before most
/// names none. The line may be any bytes.
///
/// - Complexity: the length of the line. No allocation.
public enum LineParser {
    /// Reads a line, given with the `\r` of its end and without the `\n`.
    ///
    /// The `\r` ends the last number, which so needs no look at where the line ends.
    @inline(__always)
    public static func parse(_ ended: UnsafeRawBufferPointer) -> ParsedLine {
        let count = ended.count - 1
        precondition(count >= 0 && ended[count] == UInt8(ascii: "\r"), "a line is read with the CR of its end")
        let line = UnsafeRawBufferPointer(start: ended.baseAddress, count: count)
        let result = dispatch(line)
        // Most lines with a NUL or CR in them fail anyway. Only the lenient commands need a second look.
        switch result {
        case .fault(.badFormat): return result
        case .command(.put(let put)) where !put.hasTrailingBytes: return result
        case .fault(.unknownCommand), .command(.quit), .command(.kick), .command(.reserveWithTimeout),
            .command(.put), .command(.pauseTubeMisnamed), .command(.pauseTube):
            return line.contains(where: { $0 == 0 || $0 == UInt8(ascii: "\r") }) ? .fault(.badFormat) : result
        case .command: return result
        }
    }

    @inline(__always)
    private static func dispatch(_ line: UnsafeRawBufferPointer) -> ParsedLine {
        guard let first = line.first else { return .fault(.unknownCommand) }
        switch first {
        case UInt8(ascii: "p"): return parseP(line)
        case UInt8(ascii: "r"): return parseR(line)
        case UInt8(ascii: "d"):
            guard let rest = rest(of: line, after: "delete ") else { break }
            return withID(rest) { .delete($0) }
        case UInt8(ascii: "b"):
            guard let rest = rest(of: line, after: "bury ") else { break }
            return parseBury(rest)
        case UInt8(ascii: "t"):
            guard let rest = rest(of: line, after: "touch ") else { break }
            return withID(rest) { .touch($0) }
        case UInt8(ascii: "u"):
            guard let rest = rest(of: line, after: "use ") else { break }
            return withName(rest) { .use($0) }
        case UInt8(ascii: "w"):
            guard let rest = rest(of: line, after: "watch ") else { break }
            return withName(rest) { .watch($0) }
        case UInt8(ascii: "i"):
            guard let rest = rest(of: line, after: "ignore ") else { break }
            return withName(rest) { .ignore($0) }
        case UInt8(ascii: "k"): return parseK(line)
        case UInt8(ascii: "s"): return parseS(line)
        case UInt8(ascii: "l"): return parseL(line)
        case UInt8(ascii: "q"):
            if rest(of: line, after: "quit") != nil { return .command(.quit) }
        default: break
        }
        return .fault(.unknownCommand)
    }

    // MARK: By first letter

    @inline(__always)
    private static func parseP(_ line: UnsafeRawBufferPointer) -> ParsedLine {
        if let rest = rest(of: line, after: "put ") { return parsePut(rest) }
        if let rest = rest(of: line, after: "peek ") { return withID(rest) { .peek($0) } }
        if let rest = rest(of: line, after: "peek-ready") { return alone(rest, .peekReady) }
        if let rest = rest(of: line, after: "peek-delayed") { return alone(rest, .peekDelayed) }
        if let rest = rest(of: line, after: "peek-buried") { return alone(rest, .peekBuried) }
        if let rest = rest(of: line, after: "pause-tube") { return parsePause(rest) }
        return .fault(.unknownCommand)
    }

    @inline(__always)
    private static func parseR(_ line: UnsafeRawBufferPointer) -> ParsedLine {
        if let rest = rest(of: line, after: "release ") { return parseRelease(rest) }
        if let rest = rest(of: line, after: "reserve-with-timeout ") {
            var numbers = NumberReader(rest)
            // What follows the number is ignored, as in the reference.
            guard let seconds = numbers.next(), seconds <= UInt64(ProtocolLimits.reserveTimeoutSeconds) else {
                return .fault(.badFormat)
            }
            return .command(.reserveWithTimeout(seconds: UInt32(seconds)))
        }
        if let rest = rest(of: line, after: "reserve-job ") { return withID(rest) { .reserveJob($0) } }
        if let rest = rest(of: line, after: "reserve") { return alone(rest, .reserve) }
        return .fault(.unknownCommand)
    }

    private static func parseK(_ line: UnsafeRawBufferPointer) -> ParsedLine {
        if let rest = rest(of: line, after: "kick ") { return parseKick(rest) }
        if let rest = rest(of: line, after: "kick-job ") { return withID(rest) { .kickJob($0) } }
        return .fault(.unknownCommand)
    }

    private static func parseS(_ line: UnsafeRawBufferPointer) -> ParsedLine {
        if let rest = rest(of: line, after: "stats-job ") { return withID(rest) { .statsJob($0) } }
        if let rest = rest(of: line, after: "stats-tube ") { return withName(rest) { .statsTube($0) } }
        if let rest = rest(of: line, after: "stats") { return alone(rest, .stats) }
        return .fault(.unknownCommand)
    }

    private static func parseL(_ line: UnsafeRawBufferPointer) -> ParsedLine {
        if let rest = rest(of: line, after: "list-tubes-watched") { return alone(rest, .listTubesWatched) }
        if let rest = rest(of: line, after: "list-tube-used") { return alone(rest, .listTubeUsed) }
        if let rest = rest(of: line, after: "list-tubes") { return alone(rest, .listTubes) }
        return .fault(.unknownCommand)
    }

    // MARK: Arguments

    @inline(__always)
    private static func parsePut(_ rest: UnsafeRawBufferPointer) -> ParsedLine {
        var numbers = NumberReader(rest)
        guard let priority = numbers.next32(), let delay = numbers.next32(), let ttr = numbers.next32(),
            let size = numbers.next32()
        else { return .fault(.badFormat) }
        return .command(
            .put(
                PutLine(
                    priority: priority, delay: delay, ttr: ttr, size: size, hasTrailingBytes: !numbers.isAtEnd)))
    }

    private static func parseRelease(_ rest: UnsafeRawBufferPointer) -> ParsedLine {
        var numbers = NumberReader(rest)
        guard let id = numbers.next(), let priority = numbers.next32(), let delay = numbers.next32(), numbers.isAtEnd
        else { return .fault(.badFormat) }
        return .command(.release(JobID(id), priority: priority, delay: delay))
    }

    private static func parseBury(_ rest: UnsafeRawBufferPointer) -> ParsedLine {
        var numbers = NumberReader(rest)
        guard let id = numbers.next(), let priority = numbers.next32(), numbers.isAtEnd else {
            return .fault(.badFormat)
        }
        return .command(.bury(JobID(id), priority: priority))
    }

    /// The bound is read as strtoul does: white space and a sign before it, anything behind it, the low 32 bits count.
    private static func parseKick(_ rest: UnsafeRawBufferPointer) -> ParsedLine {
        var start = 0
        while start < rest.count, isSpace(rest[start]) { start += 1 }
        var isNegative = false
        if start < rest.count, rest[start] == UInt8(ascii: "-") || rest[start] == UInt8(ascii: "+") {
            isNegative = rest[start] == UInt8(ascii: "-")
            start += 1
        }
        guard start < rest.count, isDigit(rest[start]) else { return .fault(.badFormat) }
        var numbers = NumberReader(UnsafeRawBufferPointer(rebasing: rest[start...]))
        guard let bound = numbers.next() else { return .fault(.badFormat) }
        return .command(.kick(bound: UInt32(truncatingIfNeeded: isNegative ? 0 &- bound : bound)))
    }

    /// A name, spaces before it, then the delay.
    ///
    /// The reference checks the characters of the name before it counts the command, and the rest of the rules for
    /// names after.
    private static func parsePause(_ rest: UnsafeRawBufferPointer) -> ParsedLine {
        var start = 0
        while start < rest.count, rest[start] == UInt8(ascii: " ") { start += 1 }
        var end = start
        while end < rest.count, BorrowedName.isNameByte(rest[end]) { end += 1 }
        guard end > start else { return .fault(.badFormat) }
        var numbers = NumberReader(UnsafeRawBufferPointer(rebasing: rest[end...]))
        guard let seconds = numbers.next32(), numbers.isAtEnd else { return .fault(.badFormat) }
        let name = UnsafeRawBufferPointer(rebasing: rest[start..<end])
        guard BorrowedName.isValid(name) else { return .command(.pauseTubeMisnamed) }
        return .command(.pauseTube(BorrowedName(name), seconds: seconds))
    }

    @inline(__always)
    private static func withID(_ rest: UnsafeRawBufferPointer, _ command: (JobID) -> Command) -> ParsedLine {
        var numbers = NumberReader(rest)
        guard let id = numbers.next(), numbers.isAtEnd else { return .fault(.badFormat) }
        return .command(command(JobID(id)))
    }

    private static func withName(_ rest: UnsafeRawBufferPointer, _ command: (BorrowedName) -> Command) -> ParsedLine {
        BorrowedName.isValid(rest) ? .command(command(BorrowedName(rest))) : .fault(.badFormat)
    }

    private static func alone(_ rest: UnsafeRawBufferPointer, _ command: Command) -> ParsedLine {
        rest.isEmpty ? .command(command) : .fault(.badFormat)
    }

    /// What follows the word, if the line begins with it.
    @inline(__always)
    private static func rest(of line: UnsafeRawBufferPointer, after word: StaticString) -> UnsafeRawBufferPointer? {
        let length = word.utf8CodeUnitCount
        guard line.count >= length else { return nil }
        // Of a known length: the compiler makes one or two comparisons of it.
        guard let start = line.baseAddress, memcmp(start, word.utf8Start, length) == 0 else { return nil }
        return UnsafeRawBufferPointer(rebasing: line[length...])
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
}

@inline(__always)
private func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

/// Reads the numbers of a line, one after the other.
///
/// Behind the line is a byte that is neither a digit nor a space.
private struct NumberReader {
    private var position: UnsafePointer<UInt8>
    private let end: UnsafePointer<UInt8>

    @inline(__always)
    init(_ bytes: UnsafeRawBufferPointer) {
        let start = bytes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self)
        position = start
        end = start + bytes.count
    }

    @inline(__always)
    var isAtEnd: Bool { position == end }

    /// Skips spaces, then reads digits; nil where there are none, or they don't fit into 64 bits.
    @inline(__always)
    mutating func next() -> UInt64? {
        while position.pointee == UInt8(ascii: " ") { position += 1 }
        let start = position
        var digit = position.pointee &- UInt8(ascii: "0")
        guard digit < 10 else { return nil }
        var value: UInt64 = 0
        repeat {
            value = value &* 10 &+ UInt64(digit)
            position += 1
            digit = position.pointee &- UInt8(ascii: "0")
        } while digit < 10
        // 19 digits always fit.
        return position - start <= 19 ? value : readLong(from: start)
    }

    /// The number of more than 19 digits that lies between there and here.
    private func readLong(from start: UnsafePointer<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for digit in UnsafeBufferPointer(start: start, count: position - start) {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(digit &- UInt8(ascii: "0")))
            if overflow || carry { return nil }
            value = sum
        }
        return value
    }

    /// The same for numbers of 32 bits.
    @inline(__always)
    mutating func next32() -> UInt32? {
        guard let value = next() else { return nil }
        return UInt32(exactly: value)
    }
}
