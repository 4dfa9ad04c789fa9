// SPDX-License-Identifier: MIT

/// Where a value or a fault of the configuration comes from.
public enum Place: Hashable, Sendable, CustomStringConvertible {
    /// A file as a whole, by its name.
    case file(String)
    /// A place in a file; line and column count from 1, the column in characters.
    case position(String, line: Int, column: Int)
    /// An environment variable, by its name.
    case environment(String)
    /// A flag of the command line, as it is written: `-z`.
    case flag(String)
    /// Nothing that anybody wrote: the built-in defaults.
    case defaults

    /// How messages begin.
    public var description: String {
        switch self {
        case .file(let name): name
        case .position(let name, let line, let column): "\(name):\(line):\(column)"
        case .environment(let name): name
        case .flag(let name): name
        case .defaults: "defaults"
        }
    }

    /// Orders faults for people: the file from top to bottom, then the environment, then the flags.
    var rank: (Int, Int, Int) {
        switch self {
        case .defaults: (0, 0, 0)
        case .file: (1, 0, 0)
        case .position(_, let line, let column): (1, line, column)
        case .environment: (2, 0, 0)
        case .flag: (3, 0, 0)
        }
    }
}

/// One fault of a configuration, printed `trellis.yaml:7:5: message`.
public struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Where it is.
    public var place: Place
    /// What is wrong and what to do, without a full stop.
    public var message: String

    /// Puts the two together.
    public init(_ place: Place, _ message: String) {
        self.place = place
        self.message = message
    }

    /// `trellis.yaml:7:5: message`.
    public var description: String { "\(place): \(message)" }
}

/// Everything that is wrong with a configuration: at least one fault, the file's from top to bottom first.
public struct ConfigurationErrors: Error, Hashable, Sendable, CustomStringConvertible {
    /// The faults.
    public var errors: [ConfigurationError]

    /// The most faults that are listed; a line that says how many more there are takes the place of the rest.
    static let most = 100

    /// Sorts the faults, drops repetitions and keeps the first hundred.
    init(_ found: [ConfigurationError]) {
        var seen: Set<ConfigurationError> = []
        let sorted = found.filter { seen.insert($0).inserted }.enumerated().sorted { left, right in
            let (a, b) = (left.element.place.rank, right.element.place.rank)
            return a == b ? left.offset < right.offset : a < b
        }.map(\.element)
        errors = Array(sorted.prefix(Self.most))
        if sorted.count > Self.most {
            let rest = sorted.count - Self.most
            errors.append(ConfigurationError(sorted[Self.most].place, "\(rest) more errors from here on"))
        }
    }

    /// One line per fault, without an end of line after the last.
    public var description: String { errors.map(\.description).joined(separator: "\n") }
}
