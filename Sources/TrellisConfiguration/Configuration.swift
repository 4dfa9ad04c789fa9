// SPDX-License-Identifier: MIT

public import TrellisCore

/// Where the value of an option comes from.
public enum Origin: Hashable, Sendable, CustomStringConvertible {
    /// The schema's default: nobody gave a value.
    case defaultValue
    /// Somebody gave it, there.
    case given(Place)

    /// `default`, `file trellis.yaml:7:5`, `environment TRELLIS_USER` or `flag -z`.
    public var description: String {
        switch self {
        case .defaultValue, .given(.defaults): "default"
        case .given(.environment(let name)): "environment \(name)"
        case .given(.flag(let name)): "flag \(name)"
        case .given(let place): "file \(place)"
        }
    }
}

/// A value and where it comes from.
public struct Setting: Hashable, Sendable {
    /// What holds.
    public var value: OptionValue
    /// Who said so.
    public var origin: Origin
}

/// The options of a section as they hold.
public struct Settings: Sendable {
    /// What may be given.
    public var schema: [Option]
    /// What holds, by key.
    ///
    /// A key that is absent was neither given nor has a default.
    public var values: [String: Setting]

    /// The values without their origins.
    public var options: Options { Options(values.mapValues(\.value)) }
}

/// The plugin that a section names, with its options.
public struct Choice<Product>: Sendable {
    /// The plugin.
    public var plugin: Plugin<Product>
    /// Where the name of the plugin comes from.
    public var useOrigin: Origin
    /// Its options.
    public var settings: Settings

    /// Makes what the plugin makes; no side effect.
    public func make() -> Product { plugin.make(settings.options) }
}

/// A configuration that was checked: every name known, every value of its type, in its range, and accepted by its
/// plugin.
public struct Configuration: Sendable {
    /// Where jobs are kept.
    public var storage: Choice<any Storage>
    /// Where clients connect; at least one.
    public var transports: [Choice<any Transport>]
    /// Which ready job is next.
    public var scheduler: Choice<any Scheduler>
    /// What holds for single tubes, in the order of the file: the first that matches.
    public var tubes: [TubeChoice]
    /// The sections of the server's own, by name; each of `CoreSection.all` is there.
    public var sections: [String: Settings]
    /// The shared objects that plugins were loaded from, in the order of the file.
    public var pluginFiles: [Setting]
    /// Every plugin that could be named: those that were handed in, and those that were loaded.
    public var plugins: [AnyPlugin]

    private func options(_ section: CoreSection) -> Options { sections[section.name]?.options ?? Options() }

    /// The largest job body, in bytes.
    public var jobBytes: UInt32 {
        UInt32(clamping: options(.limits).size("job-size") ?? UInt64(ProtocolLimits.defaultJobBytes))
    }

    /// Memory for jobs, in bytes.
    public var memoryBytes: UInt64 { options(.limits).size("memory") ?? 4 << 30 }

    /// The most connections; nil for as many as the descriptor limit allows.
    public var connections: Int? { options(.limits).integer("connections").map { Int(clamping: $0) } }

    /// Output queued for a client that does not read, in bytes.
    public var outputBytes: Int { Int(clamping: options(.limits).size("output") ?? 1 << 20) }

    /// Input kept behind a blocked reserve, in bytes.
    public var inputBytes: Int { Int(clamping: options(.limits).size("input") ?? 64 << 10) }

    /// The log level, as swift-log names it.
    public var logLevel: String { options(.log).text("level") ?? "notice" }

    /// How many threads serve clients; nil for as many as the cores suggest.
    public var ioThreads: Int? { options(.top).integer("io-threads").map { Int(clamping: $0) } }

    /// The user to become after binding; nil to stay.
    public var user: String? { options(.top).text("user") }
}

/// What a configuration is made from.
public struct ConfigurationSource: Sendable {
    /// The bytes of a file, and its name for messages.
    public struct File: Sendable {
        /// How messages call it.
        public var name: String
        /// Its content.
        public var bytes: [UInt8]

        /// Puts the two together.
        public init(name: String = "trellis.yaml", bytes: [UInt8]) {
            self.name = name
            self.bytes = bytes
        }

        /// A file of that text.
        public init(name: String = "trellis.yaml", text: String) { self.init(name: name, bytes: Array(text.utf8)) }
    }

    /// The file; nil where there is none.
    public var file: File?
    /// The environment; what does not begin with `TRELLIS_` is left alone.
    public var environment: [String: String]
    /// What the command line says.
    public var flags: FlagOverrides

    /// Puts the sources together.
    public init(file: File? = nil, environment: [String: String] = [:], flags: FlagOverrides = FlagOverrides()) {
        self.file = file
        self.environment = environment
        self.flags = flags
    }
}

/// What the command line says of the configuration.
///
/// It has the last word.
public struct FlagOverrides: Sendable {
    /// One value.
    public struct Value: Sendable {
        /// The flag as it is written, for messages: `-z`.
        public var flag: String
        /// The path of the option: `limits.job-size`, `user`.
        public var path: String
        /// The value as it would be written in the file, without quotes.
        public var text: String
        /// Whether it was the user who named the option: one that isn't there is an error then, and else has no effect.
        public var isNamedByUser: Bool

        /// Puts them together.
        public init(flag: String, path: String, text: String, isNamedByUser: Bool = false) {
            self.flag = flag
            self.path = path
            self.text = text
            self.isNamedByUser = isNamedByUser
        }
    }

    /// One transport that takes the place of all configured ones.
    public struct Transport: Sendable {
        /// The flag as it is written, for messages: `-l`.
        public var flag: String
        /// The name of the plugin.
        public var use: String
        /// Its options, by key, as they would be written in the file.
        public var options: [String: String]

        /// Puts the three together.
        public init(flag: String, use: String, options: [String: String]) {
            self.flag = flag
            self.use = use
            self.options = options
        }
    }

    /// Single values.
    public var values: [Value]
    /// Where not empty: all transports there are.
    public var transports: [Transport]

    /// Puts the two together.
    public init(values: [Value] = [], transports: [Transport] = []) {
        self.values = values
        self.transports = transports
    }
}
