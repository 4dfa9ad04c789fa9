// SPDX-License-Identifier: MIT

/// What a client is told.
///
/// Replies that carry a body hold a reference to it, which whoever consumes the reply releases.
public enum Reply {
    case inserted(JobID)
    case buriedOnPut(JobID)
    case expectedCRLF
    case jobTooBig
    case draining
    case outOfMemory
    case internalError
    case badFormat
    case unknownCommand
    case notFound
    case notIgnored
    case deleted
    case released
    case buried
    case touched
    case kickedJob
    case paused
    case deadlineSoon
    case timedOut
    /// `RESERVED id bytes`, then the body.
    case reserved(JobID, Body)
    /// `FOUND id bytes`, then the body.
    case found(JobID, Body)
    /// `OK bytes`, then a text (statistics or a list).
    case ok(Body)
    /// `USING name`; the body is the name.
    case using(Body)
    /// `WATCHING count`.
    case watching(UInt32)
    /// `KICKED count`.
    case kicked(UInt32)

    /// The body that the reply holds a reference to, if it has one.
    public var body: Body? {
        switch self {
        case .reserved(_, let body), .found(_, let body), .ok(let body), .using(let body): body
        default: nil
        }
    }
}

/// What the engine wants done: a reply to send to a connection.
///
/// Effects stand in the order in which they happened. The reply to a blocked `reserve` of one client may stand among
/// those to another's commands.
public struct Effect {
    /// Who is answered.
    public var connection: ConnectionID
    /// With what.
    public var reply: Reply
}
