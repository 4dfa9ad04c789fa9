// SPDX-License-Identifier: MIT

import TrellisCore
import TrellisWire

/// What was decoded, without a trace of how the bytes were cut.
enum Event: Equatable {
    case command(DescribedCommand)
    case fault(SyntaxFault)
    case body([UInt8], endsWithCRLF: Bool)
    case swallowed
}

/// All that came out of one input.
struct Transcript: Equatable {
    var events: [Event]
    /// Of a body that was not complete at the end.
    var unfinishedBody: [UInt8]?
    /// The line that was not complete at the end.
    var kept: [UInt8]
}

/// Plays the server's part at a decoder: says what to do with the body behind a put.
struct Session {
    /// Small, so that short inputs reach both sides of it.
    private static let largestBody: UInt32 = 100

    private var decoder = Decoder()
    private var events: [Event] = []
    private var body: [UInt8]?

    /// What the body that is being received still lacks.
    var bodyBytesLeft: Int { decoder.bodyBytesLeft }

    /// Bytes of a body that don't go through the decoder.
    mutating func takeBody(_ bytes: UnsafeRawBufferPointer) {
        decoder.tookBodyBytes(bytes.count)
        body?.append(contentsOf: bytes)
    }

    /// Decodes all that can be decoded and answers how many bytes were used.
    mutating func feed(_ input: UnsafeRawBufferPointer) -> Int {
        var offset = 0
        var steps = 0
        while true {
            let before = offset
            let event = decoder.next(input, &offset)
            require(before <= offset && offset <= input.count, "the offset left the input")
            if case .needsMore = event { break }
            take(event)
            steps += 1
            require(steps <= 2 * input.count + 2, "the decoder does not come to an end")
        }
        let kept = input.count - offset
        require(kept < ProtocolLimits.lineBytes, "\(kept) bytes are kept: more than a line")
        require(kept == 0 || body == nil, "bytes of a body are kept")
        return offset
    }

    mutating func finish(kept: [UInt8]) -> Transcript {
        Transcript(events: events, unfinishedBody: body, kept: kept)
    }

    private mutating func take(_ event: DecodedEvent) {
        switch event {
        case .needsMore: break
        case .command(let command):
            let described = DescribedCommand(command)
            described.checkRoundTrip()
            events.append(.command(described))
            if case .put(let line) = command { begin(line) }
        case .fault(let fault): events.append(.fault(fault))
        case .bodyBytes(let bytes):
            require(body != nil, "bytes of a body that nobody expects")
            body?.append(contentsOf: bytes)
        case .bodyEnd(let endsWithCRLF):
            guard let bytes = body else { fatalError("the end of a body that nobody expects") }
            events.append(.body(bytes, endsWithCRLF: endsWithCRLF))
            body = nil
        case .swallowed: events.append(.swallowed)
        }
    }

    private mutating func begin(_ line: PutLine) {
        if line.size > Self.largestBody {
            decoder.swallow(UInt64(line.size) + 2)
        } else if !line.hasTrailingBytes {
            decoder.expectBody(line.size)
            body = []
        }
    }
}

/// A precondition whose message is told in a release build, too.
func require(_ condition: Bool, _ message: @autoclosure () -> String) {
    if !condition { fatalError(message()) }
}
