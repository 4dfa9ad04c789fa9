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
