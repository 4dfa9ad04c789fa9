// SPDX-License-Identifier: MIT

/// What a client sends, in plain values: what the reference model obeys and workloads are made of.
///
/// A put is two of them, its line and its body, because other clients may act and time may pass between the two.
public enum ClientCommand: Hashable, Sendable {
    /// The line of a put.
    case put(priority: UInt32, delay: UInt32, ttr: UInt32, size: UInt32, hasTrailingBytes: Bool = false)
    /// What follows the line of a put: as many bytes as it said, and whether a `\r\n` came behind them.
    case body([UInt8], endsWithCRLF: Bool = true)
    case reserve
    case reserveWithTimeout(seconds: UInt32)
    case reserveJob(UInt64)
    case delete(UInt64)
    case release(UInt64, priority: UInt32, delay: UInt32)
    case bury(UInt64, priority: UInt32)
    case touch(UInt64)
    case use(String)
    case watch(String)
    case ignore(String)
    case peek(UInt64)
    case peekReady
    case peekDelayed
    case peekBuried
    case kick(bound: UInt32)
    case kickJob(UInt64)
    case stats
    case statsJob(UInt64)
    case statsTube(String)
    case listTubes
    case listTubeUsed
    case listTubesWatched
    case pauseTube(String, seconds: UInt32)
    /// A `pause-tube` whose name has good characters but begins with `-`.
    case pauseTubeMisnamed
    case quit
    /// A line that is answered `BAD_FORMAT` and isn't counted.
    case malformed
    /// A line that is answered `UNKNOWN_COMMAND`.
    case unknown

    /// The bytes that a client sends for it.
    public var wireBytes: [UInt8] {
        if case .body(let bytes, let endsWithCRLF) = self {
            return bytes + Array((endsWithCRLF ? "\r\n" : "!!").utf8)
        }
        return Array("\(line)\r\n".utf8)
    }

    /// The command line, without its end; empty for a body.
    public var line: String {
        switch self {
        case .put(let priority, let delay, let ttr, let size, let hasTrailingBytes):
            "put \(priority) \(delay) \(ttr) \(size)\(hasTrailingBytes ? " x" : "")"
        case .reserveWithTimeout(let seconds): "reserve-with-timeout \(seconds)"
        case .release(let id, let priority, let delay): "release \(id) \(priority) \(delay)"
        case .bury(let id, let priority): "bury \(id) \(priority)"
        case .kick(let bound): "kick \(bound)"
        case .pauseTube(let tube, let seconds): "pause-tube \(tube) \(seconds)"
        case .pauseTubeMisnamed: "pause-tube -tube 1"
        case .malformed: "delete x"
        case .unknown: "frobnicate"
        default: simpleLine
        }
    }

    /// The lines that are a word, or a word and one argument that is shown as it is.
    private var simpleLine: String {
        switch self {
        case .reserveJob(let id): "\(word) \(id)"
        case .delete(let id): "\(word) \(id)"
        case .touch(let id): "\(word) \(id)"
        case .peek(let id): "\(word) \(id)"
        case .kickJob(let id): "\(word) \(id)"
        case .statsJob(let id): "\(word) \(id)"
        case .use(let tube): "\(word) \(tube)"
        case .watch(let tube): "\(word) \(tube)"
        case .ignore(let tube): "\(word) \(tube)"
        case .statsTube(let tube): "\(word) \(tube)"
        default: word
        }
    }

    /// The word that the command begins with; empty for what isn't a command.
    public var word: String {
        switch self {
        case .put: "put"
        case .body, .malformed, .unknown: ""
        case .reserve: "reserve"
        case .reserveWithTimeout: "reserve-with-timeout"
        case .reserveJob: "reserve-job"
        case .delete: "delete"
        case .release: "release"
        case .bury: "bury"
        case .touch: "touch"
        case .use: "use"
        case .watch: "watch"
        case .ignore: "ignore"
        case .peek: "peek"
        case .peekReady: "peek-ready"
        case .peekDelayed: "peek-delayed"
        case .peekBuried: "peek-buried"
        case .kick: "kick"
        case .kickJob: "kick-job"
        case .stats: "stats"
        case .statsJob: "stats-job"
        case .statsTube: "stats-tube"
        case .listTubes: "list-tubes"
        case .listTubeUsed: "list-tube-used"
        case .listTubesWatched: "list-tubes-watched"
        case .pauseTube, .pauseTubeMisnamed: "pause-tube"
        case .quit: "quit"
        }
    }
}
