// SPDX-License-Identifier: MIT

/// The three kinds of plugin, one for each contract.
public enum PluginKind: String, CaseIterable, Sendable {
    case storage
    case transport
    case scheduler
}

/// What a plugin says of itself before anything of it is made.
public struct PluginDescriptor: Sendable {
    /// Which contract it fulfils.
    public var kind: PluginKind
    /// The word after `use:` in the configuration file: lower-case letters, digits and hyphens.
    public var name: String
    /// Its version, for people.
    public var version: String
    /// One line: what it is.
    public var summary: String
    /// Its options, in the order in which they are documented.
    public var options: [Option]
    /// The shared object that it was loaded from; nil for one that is compiled in.
    public var file: String?

    /// Describes a plugin.
    public init(
        kind: PluginKind, name: String, version: String, summary: String, options: [Option], file: String? = nil
    ) {
        self.kind = kind
        self.name = name
        self.version = version
        self.summary = summary
        self.options = options
        self.file = file
    }

    /// The id, `kind.name`, for example `storage.memory`.
    public var id: String { "\(kind.rawValue).\(name)" }
}

/// An option whose value is of the right type and yet can't be used.
public struct OptionFault: Error, Hashable, Sendable {
    /// The key at fault.
    public var key: String
    /// What is wrong and what to do, to be read behind the key.
    ///
    /// For example `is longer than 107 bytes, the most that the system takes`.
    public var message: String

    /// Puts the two together.
    public init(key: String, message: String) {
        self.key = key
        self.message = message
    }
}

/// A plugin of one kind: its description, the check of its options, and the way to make one.
///
/// Life of what is made: *describe* → *validate* (pure) → *make* (no side effect) → `open` → run → `close` (may be
/// called twice, and after a half-done `open`).
public struct Plugin<Product>: Sendable {
    /// What it says of itself.
    public var descriptor: PluginDescriptor
    /// Looks at options that passed the schema; pure.
    ///
    /// Returns every fault, none where all is well.
    public var validate: @Sendable (Options) -> [OptionFault]
    /// Makes the product; takes no file, socket or thread yet.
    public var make: @Sendable (Options) -> Product

    /// Puts a plugin together.
    ///
    /// `validate` may be left out where the schema says all.
    public init(
        _ descriptor: PluginDescriptor,
        validate: @escaping @Sendable (Options) -> [OptionFault] = { _ in [] },
        make: @escaping @Sendable (Options) -> Product
    ) {
        self.descriptor = descriptor
        self.validate = validate
        self.make = make
    }
}

/// A plugin of any kind: what a program's list of plugins consists of.
public enum AnyPlugin: Sendable {
    case storage(Plugin<any Storage>)
    case transport(Plugin<any Transport>)
    case scheduler(Plugin<any Scheduler>)

    /// What the plugin says of itself.
    public var descriptor: PluginDescriptor {
        switch self {
        case .storage(let plugin): plugin.descriptor
        case .transport(let plugin): plugin.descriptor
        case .scheduler(let plugin): plugin.descriptor
        }
    }

    /// Checks options that passed the schema.
    ///
    /// Returns every fault.
    public func validate(_ options: Options) -> [OptionFault] {
        switch self {
        case .storage(let plugin): plugin.validate(options)
        case .transport(let plugin): plugin.validate(options)
        case .scheduler(let plugin): plugin.validate(options)
        }
    }
}
