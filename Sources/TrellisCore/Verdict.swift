// SPDX-License-Identifier: MIT

/// What becomes of a connection's input after a command.
public enum Verdict {
    /// The reply is among the effects; go on with the next command.
    case next
    /// The reply comes later: decode nothing more of this connection before it is there.
    case wait
    /// A body of that many bytes and a `\r\n` follow; hand them to `completePut`.
    case body(UInt32)
    /// That many bytes follow, which nobody wants; then hand the reply to `send`.
    case swallow(UInt64, then: Reply)
    /// Close the connection.
    case close
}
