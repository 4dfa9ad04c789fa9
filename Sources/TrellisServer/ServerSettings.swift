// SPDX-License-Identifier: MIT

internal import Glibc
public import TrellisCore
internal import TrellisSockets

/// How a server is to run, beside its plugins.
public struct ServerSettings: Sendable {
    /// What the engine may take.
    public var engine: EngineLimits
    /// What holds for single tubes.
    public var tubeRules: TubeRules
    /// The most connections at once; nil for as many as the system's limit of descriptors allows.
    public var connections: Int?
    /// The output queued for one client, in bytes, beyond which its commands wait.
    public var outputBytes: Int
    /// The input kept behind a blocked command of one client, in bytes, beyond which it isn't read.
    public var inputBytes: Int
    /// How many threads read, decode and write, 1 to 64; nil for one fewer than the process has cores, at most 8.
    ///
    /// With more than one the store and the scheduler are called by any of them, by one at a time.
    public var ioThreads: Int?
    /// The user to become once the listeners are open.
    public var user: String?
    /// The version that `stats` shows behind `trellis`.
    public var version: String
    /// Whether the server answers SIGTERM, SIGINT, SIGHUP and SIGUSR1 and takes sockets from the service manager; a server
    /// inside another program leaves both to it.
    public var ownsProcess: Bool

    /// The values that hold where nothing is configured.
    public init(
        engine: EngineLimits = EngineLimits(), tubeRules: TubeRules = TubeRules(), connections: Int? = nil,
        outputBytes: Int = 1 << 20, inputBytes: Int = 64 << 10, ioThreads: Int? = 1, user: String? = nil,
        version: String = "0", ownsProcess: Bool = true
    ) {
        self.engine = engine
        self.tubeRules = tubeRules
        self.connections = connections
        self.outputBytes = outputBytes
        self.inputBytes = inputBytes
        self.ioThreads = ioThreads
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
    /// The scheduler can't be used.
    case scheduler(SchedulerError)
    /// The user to become doesn't exist, or can't be become.
    case privileges(String)
    /// The system refused something; the number is an errno.
    case system(String, Int32)

    /// One line for the operator.
    public var description: String {
        switch self {
        case .transport(let error): error.description
        case .storage(let error): error.description
        case .scheduler(let error): "the scheduler failed: \(error)"
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
