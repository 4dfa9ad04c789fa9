// SPDX-License-Identifier: MIT

internal import TrellisCore
internal import TrellisWire

/// What a loop has read and decoded on its own, to have it performed when it enters the engine.
///
/// Whether a body follows a put line, and how long it is, hardly depends on the engine's answer: so decoding can go
/// ahead of it. What stands behind a command that makes its connection wait, or behind a put line that the engine took
/// for another one, was decoded in vain, and is done again.
struct Batch {
    /// A command as it is performed, or a part of one.
    enum Work {
        case command(Command)
        /// The line of a put, and how the decoder went on behind it.
        case putLine(PutLine, Behind)
        /// A put whose body is there as a whole.
        case put(PutLine, body: UnsafeRawBufferPointer, endsWithCRLF: Bool)
        case fault(SyntaxFault)
        case bodyBytes(UnsafeRawBufferPointer)
        case bodyEnd(endsWithCRLF: Bool)
        case swallowed

        /// Whether it begins with a line: a connection that may not go on stops before it, and never inside a put.
        var isLine: Bool {
            switch self {
            case .command, .putLine, .put, .fault: true
            case .bodyBytes, .bodyEnd, .swallowed: false
            }
        }
    }

    /// What a decoder takes to be behind a put line; the engine knows it better (limits of tubes, new limits).
    enum Behind {
        case body
        /// A body that nobody wants.
        case unwanted
        /// The next line.
        case line
    }

    /// How a connection goes on behind a step.
    enum Progress {
        case next
        /// The reply comes later.
        case wait
        /// What is behind the step is to be decoded again, from this state.
        case again(Decoder)
    }

    struct Step {
        var work: Work
        /// Where it ends, as an offset in the bytes of its segment.
        var end: Int
    }

    /// What one connection has in the batch.
    struct Segment {
        let connection: UnsafeMutablePointer<Connection>
        /// In the loop's buffer, or what the connection had left over.
        let bytes: UnsafeRawBufferPointer
        let steps: Range<Int>
        /// How many of the bytes are done with.
        var used: Int
        /// Whether more of the bytes might be done at once, without new input.
        var isCut: Bool
    }

    /// A connection that waits from now on: replies before that place at the loop's port don't end the wait.
    struct Wait {
        var connection: UnsafeMutablePointer<Connection>
        var place: Int
    }

    var segments: [Segment] = []
    var steps: [Step] = []
    var waits: [Wait] = []
    /// How much of the loop's buffer is taken.
    var bytes = 0

    mutating func clear() {
        segments.removeAll(keepingCapacity: true)
        steps.removeAll(keepingCapacity: true)
        waits.removeAll(keepingCapacity: true)
        bytes = 0
    }
}
