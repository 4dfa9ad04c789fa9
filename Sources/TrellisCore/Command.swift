// SPDX-License-Identifier: MIT

/// A tube name that still lies in somebody's buffer: valid only for the call it is passed to.
///
/// Whoever makes one has checked the characters; the engine copies the bytes when it keeps them.
public struct BorrowedName {
    /// The bytes, 1 to 200 of `A-Za-z0-9-+/;.$_()`, not beginning with `-`.
    public let bytes: UnsafeRawBufferPointer

    /// Wraps bytes that outlive the call in which the name is used.
    public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// Whether the bytes are a tube name by the protocol's rules.
    ///
    /// Cost: the length of the name.
    public static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let first = bytes.first, first != UInt8(ascii: "-") else { return false }
        return bytes.count <= ProtocolLimits.tubeNameBytes && bytes.allSatisfy(isNameByte)
    }

    /// Whether a tube name may hold the byte.
    @inline(always)
    public static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        case UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: ";"), UInt8(ascii: "."),
            UInt8(ascii: "$"), UInt8(ascii: "_"), UInt8(ascii: "("), UInt8(ascii: ")"):
            true
        default:
            false
        }
    }
}

/// The numbers of a put line.
public struct PutLine: Hashable, Sendable {
    /// 0 is the most urgent.
    public var priority: UInt32
    /// Seconds until the job is ready.
    public var delay: UInt32
    /// Time to run, in seconds, as asked for; the engine makes 0 into 1.
    public var ttr: UInt32
    /// The size of the body, in bytes, without its `\r\n`.
    public var size: UInt32
    /// Whether anything but the end of the line followed the size.
    ///
    /// The engine answers `BAD_FORMAT` then, unless the size alone already decides.
    public var hasTrailingBytes: Bool

    /// Puts the numbers together.
    public init(priority: UInt32, delay: UInt32, ttr: UInt32, size: UInt32, hasTrailingBytes: Bool = false) {
        self.priority = priority
        self.delay = delay
        self.ttr = ttr
        self.size = size
        self.hasTrailingBytes = hasTrailingBytes
    }
}

/// One command of a client, decoded.
public enum Command {
    /// The line of a put. The body follows as an event of its own (`Engine.completePut`).
    case put(PutLine)
    /// Waits without limit for a job of a watched tube.
    case reserve
    /// Waits at most that many seconds.
    case reserveWithTimeout(seconds: UInt32)
    /// Reserves one job by its id, whatever tube it is in.
    case reserveJob(JobID)
    /// Removes a job.
    case delete(JobID)
    /// Gives a reserved job back.
    case release(JobID, priority: UInt32, delay: UInt32)
    /// Sets a reserved job aside.
    case bury(JobID, priority: UInt32)
    /// Starts the time to run of a reserved job again.
    case touch(JobID)
    /// Sets the tube that puts go to.
    case use(BorrowedName)
    /// Adds a tube to the watch list.
    case watch(BorrowedName)
    /// Takes a tube off the watch list.
    case ignore(BorrowedName)
    /// Shows a job by its id.
    case peek(JobID)
    /// Shows the next ready job of the used tube.
    case peekReady
    /// Shows the delayed job of the used tube that is due first.
    case peekDelayed
    /// Shows the buried job of the used tube that would be kicked first.
    case peekBuried
    /// Makes at most that many buried, else delayed jobs of the used tube ready.
    case kick(bound: UInt32)
    /// Makes one buried or delayed job ready.
    case kickJob(JobID)
    /// Shows the server's counters.
    case stats
    /// Shows a job's counters.
    case statsJob(JobID)
    /// Shows a tube's counters.
    case statsTube(BorrowedName)
    /// Lists all tubes.
    case listTubes
    /// Shows the used tube.
    case listTubeUsed
    /// Lists the watched tubes.
    case listTubesWatched
    /// Keeps the jobs of a tube from being reserved for that many seconds.
    case pauseTube(BorrowedName, seconds: UInt32)
    /// A `pause-tube` whose name has good characters but begins with `-` or is too long. It is answered `BAD_FORMAT`,
    /// yet the reference counts it as a `pause-tube`.
    case pauseTubeMisnamed
    /// Closes the connection.
    case quit
}

/// A line that is no command.
public enum SyntaxFault: Sendable {
    /// Answered `BAD_FORMAT`.
    case badFormat
    /// Answered `UNKNOWN_COMMAND`.
    case unknownCommand
}
