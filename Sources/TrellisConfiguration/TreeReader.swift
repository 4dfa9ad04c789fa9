// SPDX-License-Identifier: MIT

internal import Yams

/// Reads the text of a file into a tree with positions.
///
/// Syntax errors end the reading; duplicate keys, aliases and the like are collected, so that one run tells them all.
struct TreeReader {
    /// How deep a configuration may be nested.
    private static let mostLevels = 8
    /// The most duplicate keys that are looked for; each costs a new parse.
    private static let mostDuplicates = 32
    /// The most bytes that all parses after the first may take together.
    private static let mostBytesParsedAgain = 1 << 18

    private let name: String
    private(set) var errors: [ConfigurationError] = []
    /// Duplicate keys that were given another name for the parser's sake, by line and column; the values are the names
    /// as written.
    private var renamed: [Position: String] = [:]

    private struct Position: Hashable {
        var line: Int
        var column: Int
    }

    init(name: String) { self.name = name }

    /// The tree of the text, or nil for an empty one.
    ///
    /// Faults are in `errors` afterwards.
    mutating func read(_ bytes: [UInt8]) -> Tree? {
        do throws(ConfigurationError) {
            var screened = try ScreenedText(bytes, name: name)
            while true {
                switch try parse(&screened) {
                case .again: continue
                case .tree(let tree): return tree
                }
            }
        } catch {
            errors.append(error)
            return nil
        }
    }

    private enum Outcome {
        case tree(Tree?)
        case again
    }

    private mutating func parse(_ screened: inout ScreenedText) throws(ConfigurationError) -> Outcome {
        do {
            // `.basic`: no scalar is taken for anything but text, so that keys compare as they are written. The parser
            // owns the anchors, which nodes refer to weakly.
            let parser = try Parser(yaml: screened.text, resolver: .basic, encoding: .utf8)
            let root = try parser.singleRoot()
            return withExtendedLifetime(parser) { .tree(root.map { convert($0, path: "", level: 1) }) }
        } catch let error as YamlError {
            if case .duplicatedKeysInMapping(let keys, let context) = error {
                try rename(keys.first ?? "", Position(line: context.mark.line, column: context.mark.column), &screened)
                return .again
            }
            throw syntaxError(error, in: screened)
        } catch {
            throw ConfigurationError(.file(name), "not valid YAML: \(error)")
        }
    }

    private func place(_ mark: Mark?) -> Place {
        guard let mark else { return .file(name) }
        return .position(name, line: mark.line, column: mark.column)
    }
}

// MARK: - Duplicate keys

extension TreeReader {
    /// Gives the earlier one of two equal keys another name, of the same length, so that the parser goes on and the rest
    /// of the file is checked as well.
    ///
    /// The parser refuses equal keys and tells where the first one is, but not where the others are.
    private mutating func rename(
        _ key: String, _ position: Position, _ screened: inout ScreenedText
    ) throws(ConfigurationError) {
        let place = Place.position(name, line: position.line, column: position.column)
        let fault = ConfigurationError(place, "duplicate key \"\(abbreviated(key))\"")
        guard renamed.count < Self.mostDuplicates,
            (renamed.count + 1) * screened.characters.count <= Self.mostBytesParsedAgain,
            var index = screened.index(line: position.line, column: position.column),
            let first = key.unicodeScalars.first
        else { throw fault }
        if screened.characters[index] == "\"" || screened.characters[index] == "'" { index += 1 }
        // Keys that aren't written as they read (escapes, tags, blocks) are left alone.
        guard index < screened.characters.count, screened.characters[index] == first, first != "\"", first != "'",
            first != "\\", let stand = Unicode.Scalar(0xE000 + renamed.count)
        else { throw fault }
        screened.characters[index] = stand
        renamed[position] = key
    }
}

// MARK: - Errors of the parser

extension TreeReader {
    private func syntaxError(_ error: YamlError, in screened: ScreenedText) -> ConfigurationError {
        switch error {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            if problem == "but found another document" {
                return ConfigurationError(place(mark), "a second document begins here; a configuration is one document")
            }
            if problem == "found undefined alias" { return ConfigurationError(place(mark), anchorMessage) }
            var message = "not valid YAML: \(problem)"
            if let context, !context.text.isEmpty {
                message += " (\(context.text)"
                message += context.mark.line == mark.line ? ")" : " that began at line \(context.mark.line))"
            }
            return ConfigurationError(place(mark), message + advice(line: mark.line, column: mark.column, in: screened))
        case .memory: return ConfigurationError(.file(name), "not enough memory to read the file")
        default: return ConfigurationError(.file(name), "not valid YAML: \(error)")
        }
    }

    /// What to do about the mistakes that are easily made: a tab, and a value such as `*:11300` or `[::1]:11300`.
    private func advice(line: Int, column: Int, in screened: ScreenedText) -> String {
        if let index = screened.index(line: line, column: column), screened.characters[index] == "\t" {
            return "; indent with spaces, not tabs"
        }
        guard let start = screened.index(line: line, column: 1) else { return "" }
        let end = screened.characters[start...].firstIndex { $0 == "\n" || $0 == "\r" } ?? screened.characters.endIndex
        let characters = screened.characters[start..<end]
        let pairs = zip(characters.indices, characters.indices.dropFirst())
        let colon = pairs.first { characters[$0] == ":" && characters[$1] == " " }
        guard let colon, let first = characters[colon.1...].first(where: { $0 != " " }),
            "[]{}*&!%@`|>,".unicodeScalars.contains(first)
        else { return "" }
        return "; a value that begins with \(first) must be in quotes"
    }
}

// MARK: - From nodes to the tree

extension TreeReader {
    private mutating func convert(_ node: Node, path: String, level: Int) -> Tree {
        let place = place(node.mark)
        if node.anchor != nil { return refuse(place, anchorMessage) }
        if !Self.plainTags.contains(node.tag.rawValue) {
            return refuse(place, "tags (!name) are not supported; write the value without it")
        }
        if level > Self.mostLevels { return refuse(place, "nested too deep: a configuration has at most 3 levels") }
        switch node {
        case .scalar(let scalar):
            let isQuoted = scalar.style != .plain && scalar.style != .any
            return .scalar(Tree.Scalar(text: scalar.string, isQuoted: isQuoted, place: place))
        case .sequence(let sequence):
            var items: [Tree] = []
            for item in sequence { items.append(convert(item, path: "\(path)[\(items.count)]", level: level + 1)) }
            return .sequence(items, place)
        case .mapping(let mapping):
            return .mapping(convert(mapping, path: path, level: level), place)
        case .alias:
            return refuse(place, anchorMessage)
        }
    }

    private static let plainTags: Set = ["", Tag.Name.str.rawValue, Tag.Name.seq.rawValue, Tag.Name.map.rawValue]

    private mutating func refuse(_ place: Place, _ message: String) -> Tree {
        errors.append(ConfigurationError(place, message))
        return .refused(place)
    }

    private mutating func convert(_ mapping: Node.Mapping, path: String, level: Int) -> [Tree.Entry] {
        var entries: [Tree.Entry] = []
        var lines: [String: Int] = [:]
        for (keyNode, valueNode) in mapping {
            let keyPlace = place(keyNode.mark)
            guard case .scalar = keyNode else {
                errors.append(ConfigurationError(keyPlace, "a key must be a word"))
                continue
            }
            guard case .scalar(let scalar) = convert(keyNode, path: path, level: level + 1) else { continue }
            let position = Position(line: keyNode.mark?.line ?? 0, column: keyNode.mark?.column ?? 0)
            let key = renamed[position] ?? scalar.text
            let value = convert(valueNode, path: path.isEmpty ? key : "\(path).\(key)", level: level + 1)
            if let line = lines[key] {
                let section = path.isEmpty ? "" : " in \(path)"
                errors.append(
                    ConfigurationError(
                        keyPlace, "duplicate key \"\(abbreviated(key))\"\(section); line \(line) has it already"))
                continue
            }
            lines[key] = position.line
            entries.append(Tree.Entry(key: key, keyPlace: keyPlace, value: value))
        }
        return entries
    }
}

/// A text from the file for a message: on one line, and not longer than a line.
func abbreviated(_ text: String, most: Int = 60) -> String {
    var result = ""
    for character in text.unicodeScalars.prefix(most) {
        let isControl = character.properties.generalCategory == .control
        result += isControl ? character.escaped(asASCII: true) : String(character)
    }
    return text.unicodeScalars.count > most ? result + "…" : result
}
