// SPDX-License-Identifier: MIT
/// Who the server is, for `stats`.
public struct ServerIdentity: Sendable {
    /// Puts the facts together.
    public init(
        processID: Int32, version: String, instanceID: String, hostname: String, operatingSystem: String,
        platform: String
    ) {
        self.processID = processID
        self.version = version
        self.instanceID = instanceID
        self.hostname = hostname
        self.operatingSystem = operatingSystem
        self.platform = platform
    }

    /// The process id.
    public var processID: Int32
    /// `trellis` and the version.
    public var version: String
    /// 16 hexadecimal digits, new at each start.
    public var instanceID: String
    /// The machine's name.
    public var hostname: String
    /// The system's version, as uname gives it.
    public var operatingSystem: String
    /// The machine's architecture, as uname gives it.
    public var platform: String
}

/// Processor time of the server, for `stats`.
public struct ProcessorTime: Sendable {
    /// User time, in microseconds.
    public var userMicroseconds: Int64
    /// System time, in microseconds.
    public var systemMicroseconds: Int64

    /// Puts the two together.
    public init(userMicroseconds: Int64, systemMicroseconds: Int64) {
        self.userMicroseconds = userMicroseconds
        self.systemMicroseconds = systemMicroseconds
    }
}

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
