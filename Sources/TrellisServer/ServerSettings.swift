// SPDX-License-Identifier: MIT

internal import Glibc
public import TrellisCore
internal import TrellisSockets

/// How a server is to run, beside its plugins.
public struct ServerSettings: Sendable {
    /// What the engine may take.
    public var engine: EngineLimits
    /// The most connections at once; nil for as many as the system's limit of descriptors allows.
    public var connections: Int?
    /// The output queued for one client, in bytes, beyond which its commands wait.
    public var outputBytes: Int
    /// The input kept behind a blocked command of one client, in bytes, beyond which it isn't read.
    public var inputBytes: Int
    /// The user to become once the listeners are open.
    public var user: String?
    /// The version that `stats` shows behind `trellis`.
    public var version: String
    /// Whether the server answers SIGTERM, SIGINT and SIGUSR1 and takes sockets from the service manager; a server
    /// inside another program leaves both to it.
    public var ownsProcess: Bool

    /// The values that hold where nothing is configured.
    public init(
        engine: EngineLimits = EngineLimits(), connections: Int? = nil, outputBytes: Int = 1 << 20,
        inputBytes: Int = 64 << 10, user: String? = nil, version: String = "0", ownsProcess: Bool = true
    ) {
        self.engine = engine
        self.connections = connections
        self.outputBytes = outputBytes
        self.inputBytes = inputBytes
        self.user = user
        self.version = version
        self.ownsProcess = ownsProcess
    }
}

/// Why a server stopped other than by request.
public enum ServerError: Error, Sendable, CustomStringConvertible {
    /// A listener couldn't be opened.
    case transport(TransportError)
    /// The store couldn't be opened, or can't go on.
    case storage(StorageError)
    /// The user to become doesn't exist, or can't be become.
    case privileges(String)
    /// The system refused something; the number is an errno.
    case system(String, Int32)

    /// One line for the operator.
    public var description: String {
        switch self {
        case .transport(let error): error.description
        case .storage(.full(let text)): "the storage is full: \(text)"
        case .storage(.corrupt(let text)): "the storage is damaged: \(text)"
        case .storage(.locked(let text)): "the storage is in use: \(text)"
        case .storage(.fatal(let text)): "the storage failed: \(text)"
        case .privileges(let text): text
        case .system(let text, let number): "\(text): \(TrellisSockets.describe(errorNumber: number))"
        }
    }

    /// The exit status that tells the service manager why: 10 for a store in use, as beanstalkd; 20 for one that
    /// failed; 1 for all else.
    public var exitStatus: Int32 {
        switch self {
        case .storage(.locked): 10
        case .storage(.fatal): 20
        default: 1
        }
    }
}
