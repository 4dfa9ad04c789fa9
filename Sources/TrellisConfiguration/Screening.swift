// SPDX-License-Identifier: MIT

/// A text that is safe to hand to the YAML parser.
///
/// The parser recurses, follows aliases while it looks for duplicate keys, and stops at characters it does not know. So
/// what could make it slow or deep is refused here by counts that hold however the text is read: not only in texts that
/// make sense.
struct ScreenedText {
    /// The largest file that is read, in bytes.
    static let mostBytes = 1 << 20
    /// How far a line may be indented, dashes included.
    ///
    /// Deeper block nesting needs a longer indentation.
    static let mostIndentation = 128
    /// The most opening brackets, wherever they stand.
    ///
    /// A configuration needs a handful.
    static let mostBrackets = 512
    /// The most names after an asterisk that are tolerated in a file with anchors; with so few an alias can't multiply
    /// anything by more than four.
    static let mostAliases = 4

    /// The text by characters, without a byte order mark.
    ///
    /// Lines and columns are found in it.
    var characters: [Unicode.Scalar]

    /// Checks the bytes of a file.
    init(_ bytes: [UInt8], name: String) throws(ConfigurationError) {
        guard bytes.count <= Self.mostBytes else {
            throw ConfigurationError(.file(name), "the file is larger than 1MiB; a configuration never is")
        }
        characters = []
        characters.reserveCapacity(bytes.count)
        var decoder = Unicode.UTF8()
        var source = bytes.makeIterator()
        var scan = Scan(name: name)
        reading: while true {
            switch decoder.decode(&source) {
            case .scalarValue(let character):
                // A byte order mark at the start is no part of the text.
                if characters.isEmpty && !scan.sawMark && character == "\u{FEFF}" {
                    scan.sawMark = true
                    continue
                }
                try scan.take(character)
                characters.append(character)
            case .emptyInput: break reading
            case .error: throw ConfigurationError(scan.place, "not UTF-8 from here on; save the file as UTF-8")
            }
        }
        try scan.finish()
    }

    /// The text.
    var text: String {
        var text = String.UnicodeScalarView()
        text.append(contentsOf: characters)
        return String(text)
    }

    /// The index of a line and column, both counted from 1; nil beyond the end.
    func index(line: Int, column: Int) -> Int? {
        var tracker = PositionTracker()
        for index in characters.indices {
            if tracker.line == line && tracker.column == column { return index }
            if tracker.line > line { return nil }
            tracker.advance(over: characters[index])
        }
        return nil
    }
}

/// Counts lines and columns as the YAML parser does.
struct PositionTracker {
    var line = 1
    var column = 1
    private var previous: Unicode.Scalar = " "

    mutating func advance(over character: Unicode.Scalar) {
        defer { previous = character }
        switch character {
        case "\n" where previous == "\r": break
        case "\n", "\r", "\u{85}", "\u{2028}", "\u{2029}":
            line += 1
            column = 1
        default: column += 1
        }
    }
}

/// One pass over the characters: what may not be there, and the counts.
private struct Scan {
    let name: String
    var sawMark = false
    private var position = PositionTracker()
    private var previous: Unicode.Scalar = "\n"
    private var beforePrevious: Unicode.Scalar = "\n"
    private var isInIndentation = true
    private var brackets = 0
    private var aliases = 0
    private var firstAnchor: Place?

    init(name: String) { self.name = name }

    var place: Place { .position(name, line: position.line, column: position.column) }

    mutating func take(_ character: Unicode.Scalar) throws(ConfigurationError) {
        guard Self.isAllowed(character) else {
            let number = String(character.value, radix: 16, uppercase: true)
            let padded = String(repeating: "0", count: max(0, 4 - number.count)) + number
            throw ConfigurationError(place, "the character U+\(padded) may not be in a YAML file")
        }
        if position.column == 1 { isInIndentation = true }
        try countIndentation(character)
        if character == "[" || character == "{" {
            brackets += 1
            guard brackets <= ScreenedText.mostBrackets else {
                throw ConfigurationError(
                    place, "more than \(ScreenedText.mostBrackets) brackets ([ and {): a configuration needs a handful")
            }
        }
        // An anchor or alias never follows a word directly, as the & of R&D does.
        if Self.isNameCharacter(character), !Self.isNameCharacter(beforePrevious) || beforePrevious == "-" {
            if previous == "*" { aliases += 1 }
            if previous == "&" && firstAnchor == nil {
                firstAnchor = .position(name, line: position.line, column: position.column - 1)
            }
        }
        position.advance(over: character)
        beforePrevious = previous
        previous = character
    }

    /// Called at the end, for what only the whole text tells.
    func finish() throws(ConfigurationError) {
        guard let firstAnchor, aliases > ScreenedText.mostAliases else { return }
        throw ConfigurationError(firstAnchor, anchorMessage)
    }

    /// The run of blanks and indicators that a line begins with.
    ///
    /// Each block collection that begins on the line needs at least one character of it, so its length bounds how deep
    /// blocks are nested.
    private mutating func countIndentation(_ character: Unicode.Scalar) throws(ConfigurationError) {
        guard isInIndentation else { return }
        switch character {
        case " ", "\t", "\u{FEFF}", "-", "?", ":":
            guard position.column > ScreenedText.mostIndentation else { return }
            throw ConfigurationError(
                place, "the line is indented by more than \(ScreenedText.mostIndentation) characters")
        default: isInIndentation = false
        }
    }

    private static func isNameCharacter(_ character: Unicode.Scalar) -> Bool {
        switch character {
        case "0"..."9", "A"..."Z", "a"..."z", "_", "-": true
        default: false
        }
    }

    /// What YAML calls printable.
    private static func isAllowed(_ character: Unicode.Scalar) -> Bool {
        switch character.value {
        case 0x09, 0x0A, 0x0D, 0x20...0x7E, 0x85, 0xA0...0xFFFD, 0x10000...0x10FFFF: true
        default: false
        }
    }
}

/// What is said of an anchor, an alias or both.
let anchorMessage = "anchors (&name) and aliases (*name) are not supported; write the value out"
