// SPDX-License-Identifier: MIT

/// Blanks comments and the insides of string literals in Swift source; code in interpolations stays.
struct CodeScanner {
    private enum Context {
        /// Code, with the parentheses that are open since an interpolation began.
        case code(parentheses: Int)
        case string(hashes: Int, quotes: Int)
    }

    private var bytes: [UInt8]
    private var position = 0
    private var contexts = [Context.code(parentheses: 0)]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func blanked() -> String {
        while position < bytes.count {
            switch contexts.last {
            case .string(let hashes, let quotes)?: stepInString(hashes, quotes)
            case .code(let parentheses)?: stepInCode(parentheses)
            case nil: preconditionFailure("the outermost context is never left")
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private mutating func stepInCode(_ parentheses: Int) {
        if follows("//") {
            while position < bytes.count, bytes[position] != UInt8(ascii: "\n") { blank(1) }
        } else if follows("/*") {
            blankBlockComment()
        } else if let (hashes, quotes) = openingQuotes() {
            position += hashes + quotes
            contexts.append(.string(hashes: hashes, quotes: quotes))
        } else {
            let change = follows("(") ? 1 : follows(")") ? -1 : 0
            position += 1
            // The outermost code has no interpolation to come back from.
            guard contexts.count > 1, change != 0 else { return }
            contexts.removeLast()
            if parentheses + change > 0 { contexts.append(.code(parentheses: parentheses + change)) }
        }
    }

    private mutating func stepInString(_ hashes: Int, _ quotes: Int) {
        if bytes[position] == UInt8(ascii: "\\"), repeats("#", hashes, at: position + 1) {
            let next = position + 1 + hashes
            if next < bytes.count, bytes[next] == UInt8(ascii: "(") {
                blank(1 + hashes)
                position += 1
                contexts.append(.code(parentheses: 1))
            } else {
                blank(2 + hashes)
            }
        } else if repeats("\"", quotes, at: position), repeats("#", hashes, at: position + quotes) {
            position += quotes + hashes
            contexts.removeLast()
        } else if quotes == 1, bytes[position] == UInt8(ascii: "\n") {
            // Not closed: no Swift, but the rest of the file is looked at all the same.
            contexts.removeLast()
        } else {
            blank(1)
        }
    }

    private mutating func blankBlockComment() {
        var depth = 0
        repeat {
            if follows("/*") {
                depth += 1
                blank(2)
            } else if follows("*/") {
                depth -= 1
                blank(2)
            } else {
                blank(1)
            }
        } while depth > 0 && position < bytes.count
    }

    /// The counts of `#` and of quotes, where a literal begins.
    private func openingQuotes() -> (hashes: Int, quotes: Int)? {
        var hashes = 0
        while repeats("#", hashes + 1, at: position) { hashes += 1 }
        guard repeats("\"", 1, at: position + hashes) else { return nil }
        return (hashes, repeats("\"", 3, at: position + hashes) ? 3 : 1)
    }

    private func follows(_ text: StaticString) -> Bool {
        guard position + text.utf8CodeUnitCount <= bytes.count else { return false }
        for offset in 0..<text.utf8CodeUnitCount where bytes[position + offset] != text.utf8Start[offset] {
            return false
        }
        return true
    }

    private func repeats(_ character: Unicode.Scalar, _ count: Int, at start: Int) -> Bool {
        guard start + count <= bytes.count else { return false }
        return bytes[start..<start + count].allSatisfy { $0 == UInt8(ascii: character) }
    }

    /// Moves on, leaving spaces behind; line ends stay.
    private mutating func blank(_ count: Int) {
        for _ in 0..<count where position < bytes.count {
            if bytes[position] != UInt8(ascii: "\n") { bytes[position] = UInt8(ascii: " ") }
            position += 1
        }
    }
}
