// SPDX-License-Identifier: MIT

/// A configuration file as it is written, before anything is known of sections and options.
indirect enum Tree {
    /// A single value: its text as written, without quotes.
    case scalar(Scalar)
    /// Keys and their values, in the order of the file; no key twice.
    case mapping([Entry], Place)
    /// A list.
    case sequence([Tree], Place)
    /// Something that was refused, and told, when the file was read.
    case refused(Place)

    /// A single value.
    struct Scalar {
        var text: String
        var isQuoted: Bool
        var place: Place

        /// Whether nothing was written, or one of the words that mean nothing in YAML.
        var isNull: Bool { !isQuoted && ["", "~", "null", "Null", "NULL"].contains(text) }
    }

    /// One key of a mapping.
    struct Entry {
        var key: String
        var keyPlace: Place
        var value: Tree
    }

    var place: Place {
        switch self {
        case .scalar(let scalar): scalar.place
        case .mapping(_, let place), .sequence(_, let place), .refused(let place): place
        }
    }

    /// Whether nothing was written.
    var isNull: Bool {
        if case .scalar(let scalar) = self { scalar.isNull } else { false }
    }
}
