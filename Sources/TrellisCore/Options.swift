// SPDX-License-Identifier: MIT

/// What an option of a plugin, or of the server itself, may hold.
public enum OptionType: Hashable, Sendable {
    /// Any text.
    case text
    /// A path of a file or folder; a relative one counts from the folder the server was started in.
    case path
    /// A whole number within the range.
    case integer(ClosedRange<Int64>)
    /// A count of bytes with an optional unit (`512`, `64KiB`, `4GiB`, `1MB`) within the range.
    case size(ClosedRange<UInt64>)
    /// A span of time with a unit (`50ms`, `10s`, `5m`, `2h`, `1d`) within the range, in nanoseconds.
    case duration(ClosedRange<Int64>)
    /// `true` or `false`.
    case boolean
    /// One of the words.
    case choice([String])
    /// One of the words, or a span of time within the range, in nanoseconds (`always | 50ms | never`).
    case choiceOrDuration([String], ClosedRange<Int64>)
    /// One of the words, or a whole number within the range (`auto | 4`).
    case choiceOrInteger([String], ClosedRange<Int64>)
    /// Permission bits in octal, quoted so that YAML keeps the zero (`"0660"`).
    case fileMode
    /// So many in a span of time (`10/s`, `600/m`, `5/h`, `100/d`).
    case rate
}

/// The value of an option, checked against its type.
public enum OptionValue: Hashable, Sendable {
    /// A text, a path or a word of a choice.
    case text(String)
    /// A whole number.
    case integer(Int64)
    /// Bytes.
    case size(UInt64)
    /// Nanoseconds.
    case duration(Int64)
    /// Yes or no.
    case boolean(Bool)
    /// Permission bits.
    case fileMode(UInt32)
    /// So many in a span of time.
    case rate(Rate)
}

/// One option in the schema of a plugin, or of a section of the server's own.
public struct Option: Sendable {
    /// The key in the configuration file: lower-case words with hyphens.
    public var key: String
    /// What it may hold.
    public var type: OptionType
    /// What holds where the file says nothing; nil where there is no value unless one is given.
    public var defaultValue: OptionValue?
    /// Whether the file must give it.
    ///
    /// A required option has no default.
    public var isRequired: Bool
    /// One or two sentences for the person who writes the file.
    public var documentation: String

    /// Describes an option that has a default, or may be absent where the default is nil.
    public init(_ key: String, _ type: OptionType, default defaultValue: OptionValue?, _ documentation: String) {
        self.key = key
        self.type = type
        self.defaultValue = defaultValue
        self.isRequired = false
        self.documentation = documentation
    }

    /// Describes an option that must be given.
    public init(_ key: String, _ type: OptionType, required documentation: String) {
        self.key = key
        self.type = type
        self.defaultValue = nil
        self.isRequired = true
        self.documentation = documentation
    }
}

/// The options of one plugin as they hold: each given value or its default, checked against the schema.
public struct Options: Sendable {
    /// The values by key.
    ///
    /// A key that is absent was neither given nor has a default.
    public var values: [String: OptionValue]

    /// Puts values together that were checked against a schema.
    public init(_ values: [String: OptionValue] = [:]) { self.values = values }

    /// The defaults of a schema.
    public init(defaultsOf schema: [Option]) {
        values = [:]
        for option in schema { values[option.key] = option.defaultValue }
    }

    /// The text, path or word under the key; nil where it is absent or of another type.
    public func text(_ key: String) -> String? {
        if case .text(let value) = values[key] { value } else { nil }
    }

    /// The whole number under the key; nil where it is absent or of another type.
    public func integer(_ key: String) -> Int64? {
        if case .integer(let value) = values[key] { value } else { nil }
    }

    /// The bytes under the key; nil where it is absent or of another type.
    public func size(_ key: String) -> UInt64? {
        if case .size(let value) = values[key] { value } else { nil }
    }

    /// The nanoseconds under the key; nil where it is absent or of another type.
    public func duration(_ key: String) -> Int64? {
        if case .duration(let value) = values[key] { value } else { nil }
    }

    /// Yes or no under the key; nil where it is absent or of another type.
    public func boolean(_ key: String) -> Bool? {
        if case .boolean(let value) = values[key] { value } else { nil }
    }

    /// The permission bits under the key; nil where it is absent or of another type.
    public func fileMode(_ key: String) -> UInt32? {
        if case .fileMode(let value) = values[key] { value } else { nil }
    }

    /// The rate under the key; nil where it is absent or of another type.
    public func rate(_ key: String) -> Rate? {
        if case .rate(let value) = values[key] { value } else { nil }
    }
}
