// SPDX-License-Identifier: MIT

import Glibc
public import TrellisCore

/// What the decoder found in the bytes it was given.
public enum DecodedEvent {
    /// All bytes that can be used were used. What is left (`offset` onwards) is the beginning of a line: give it again
    /// with more behind it.
    case needsMore
    /// A command. After a put whose body is wanted, call `expectBody`; where it isn't, `swallow`.
    case command(Command)
    /// A line that is no command.
    case fault(SyntaxFault)
    /// A part of a body, at most to the body's end. May be empty only for a body of no bytes.
    case bodyBytes(UnsafeRawBufferPointer)
    /// The two bytes behind a body were read; the flag says whether they were `\r\n`.
    case bodyEnd(endsWithCRLF: Bool)
    /// The last byte to swallow was read.
    case swallowed
}

/// Cuts what a connection sends into commands and bodies.
///
/// It does no I/O and keeps no bytes: it is given what there is, says what it found, and moves `offset` behind what it
/// has used. The same bytes give the same events however they are cut, but that a body comes in as many parts as it was
/// given in. A line ends at `\r\n`; one of more than 224 bytes is dropped up to its end and found faulty once.
///
/// - Complexity: each byte is looked at a bounded number of times, if what is left is given again only with more.
public struct Decoder: Sendable {
    @usableFromInline
    enum State: Sendable {
        case line
        /// In the middle of a line that is too long; whether its last byte so far was CR.
        case discarding(afterCR: Bool)
        case body(left: UInt32)
        /// Behind a body: bytes of the ending seen, and whether they were right so far.
        case bodyEnding(seen: UInt8, isRight: Bool)
        case swallowing(left: UInt64)
    }

    @usableFromInline var state = State.line

    /// A decoder at the beginning of a connection.
    public init() {}

    /// A body of that many bytes follows the put line that was just decoded.
    public mutating func expectBody(_ size: UInt32) {
        state = size == 0 ? .bodyEnding(seen: 0, isRight: true) : .body(left: size)
    }

    /// That many bytes, at least one, follow, which nobody wants.
    public mutating func swallow(_ count: UInt64) { state = .swallowing(left: count) }

    /// While a body is being received, the bytes of it that are missing; else 0.
    public var bodyBytesLeft: Int {
        if case .body(let left) = state { Int(left) } else { 0 }
    }

    /// Notes that so many bytes of the body were read straight to where they belong.
    public mutating func tookBodyBytes(_ count: Int) {
        guard case .body(let left) = state, count <= Int(left) else {
            preconditionFailure("more bytes of a body were taken than there were left")
        }
        state = Int(left) == count ? .bodyEnding(seen: 0, isRight: true) : .body(left: left - UInt32(count))
    }

    /// The next event in `input` from `offset` on.
    @inlinable @inline(__always)
    public mutating func next(_ input: UnsafeRawBufferPointer, _ offset: inout Int) -> DecodedEvent {
        if case .line = state { return nextLine(input, &offset) }
        return nextInside(input, &offset)
    }

    @usableFromInline
    mutating func nextLine(_ input: UnsafeRawBufferPointer, _ offset: inout Int) -> DecodedEvent {
        guard offset < input.count, let base = input.baseAddress else { return .needsMore }
        let start = base + offset
        let available = min(input.count - offset, ProtocolLimits.lineBytes)
        var from = 0
        while from < available, let found = memchr(start + from, 10, available - from) {
            let newline = UnsafeRawPointer(found) - start
            if newline > 0, start.load(fromByteOffset: newline - 1, as: UInt8.self) == 13 {
                offset += newline + 1
                switch LineParser.parse(UnsafeRawBufferPointer(start: start, count: newline)) {
                case .command(let command): return .command(command)
                case .fault(let fault): return .fault(fault)
                }
            }
            from = newline + 1
        }
        guard available == ProtocolLimits.lineBytes else { return .needsMore }
        offset += available
        state = .discarding(afterCR: start.load(fromByteOffset: available - 1, as: UInt8.self) == 13)
        return nextInside(input, &offset)
    }

    @usableFromInline
    mutating func nextInside(_ input: UnsafeRawBufferPointer, _ offset: inout Int) -> DecodedEvent {
        switch state {
        case .line: return nextLine(input, &offset)
        case .discarding(let afterCR): return discard(input, &offset, afterCR)
        case .body(let left):
            let count = min(input.count - offset, Int(left))
            guard count > 0 else { return .needsMore }
            let part = UnsafeRawBufferPointer(rebasing: input[offset..<offset + count])
            offset += count
            tookBodyBytes(count)
            return .bodyBytes(part)
        case .bodyEnding(let seen, let isRight): return endBody(input, &offset, seen, isRight)
        case .swallowing(let left):
            let count = min(UInt64(input.count - offset), left)
            offset += Int(count)
            guard count == left else {
                state = .swallowing(left: left - count)
                return .needsMore
            }
            state = .line
            return .swallowed
        }
    }

    private mutating func endBody(
        _ input: UnsafeRawBufferPointer, _ offset: inout Int, _ seen: UInt8, _ isRight: Bool
    ) -> DecodedEvent {
        var seen = seen
        var isRight = isRight
        while seen < 2 {
            guard offset < input.count else {
                state = .bodyEnding(seen: seen, isRight: isRight)
                return .needsMore
            }
            isRight = isRight && input[offset] == (seen == 0 ? 13 : 10)
            offset += 1
            seen += 1
        }
        state = .line
        return .bodyEnd(endsWithCRLF: isRight)
    }

    private mutating func discard(
        _ input: UnsafeRawBufferPointer, _ offset: inout Int, _ afterCR: Bool
    ) -> DecodedEvent {
        var afterCR = afterCR
        while offset < input.count {
            let byte = input[offset]
            offset += 1
            if afterCR && byte == 10 {
                state = .line
                return .fault(.badFormat)
            }
            afterCR = byte == 13
        }
        state = .discarding(afterCR: afterCR)
        return .needsMore
    }
}
