// SPDX-License-Identifier: MIT

/// How long a file and a function may be.
enum LengthRule {
    static let fileLines = 500
    static let functionLines = 70

    static func checkFile(_ source: SourceText) -> [Violation] {
        guard source.isSwift else { return [] }
        // The text behind the last line end is no line.
        let count = source.lines.count - (source.lines.last?.isEmpty == true ? 1 : 0)
        guard count > fileLines else { return [] }
        return [Violation(source, count, "\(count) lines; a file has at most \(fileLines)")]
    }

    static func checkFunctions(_ source: SourceText) -> [Violation] {
        guard source.isSwift else { return [] }
        return functions(in: source).filter { $0.lines > functionLines }.map { function in
            Violation(
                source, function.firstLine,
                "\(function.name) has \(function.lines) lines; a function has at most \(functionLines)")
        }
    }

    struct Function: Equatable {
        let name: String
        let firstLine: Int
        /// From its first line to the line of its closing brace.
        let lines: Int
    }

    /// Every function and initialiser that has a body, by counting braces.
    static func functions(in source: SourceText) -> [Function] {
        let lines = source.codeLines.map { Array($0.utf8) }
        var found: [Function] = []
        for (index, line) in lines.enumerated() {
            for (name, column) in declarations(in: line) {
                guard let last = lastLine(of: lines, from: index, column) else { continue }
                found.append(Function(name: name, firstLine: index + 1, lines: last - index + 1))
            }
        }
        return found
    }

    /// The functions that a line begins, each with the column behind its name.
    private static func declarations(in line: [UInt8]) -> [(name: String, column: Int)] {
        let words = self.words(of: line)
        var result: [(String, Int)] = []
        for (index, word) in words.enumerated() {
            switch word.text {
            case "func":
                // The name of an operator is no word.
                let next = index + 1 < words.count ? words[index + 1] : word
                let isNamed = line[word.end..<max(word.end, next.start)].allSatisfy { $0 == UInt8(ascii: " ") }
                result.append(isNamed ? (next.text, next.end) : ("operator", word.end))
            case "init", "subscript":
                // A call has a dot or a brace before it (`.init(`), a declaration at most words.
                let before = line[..<word.start].last { $0 != UInt8(ascii: " ") }
                let isDeclaration = before.map(isWordByte) ?? true || before == UInt8(ascii: ")")
                if isDeclaration { result.append((word.text, word.end)) }
            default: break
            }
        }
        return result
    }

    /// The line of the closing brace; nil where the declaration has no body, as in a protocol.
    private static func lastLine(of lines: [[UInt8]], from firstLine: Int, _ column: Int) -> Int? {
        var braces = 0
        var brackets = 0
        for index in firstLine..<lines.count {
            let line = lines[index]
            if index > firstLine, braces == 0, brackets == 0, beginsDeclaration(line) { return nil }
            for byte in index == firstLine ? line[column...] : line[...] {
                switch byte {
                case UInt8(ascii: "("), UInt8(ascii: "["): brackets += 1
                case UInt8(ascii: ")"), UInt8(ascii: "]"): brackets -= 1
                case UInt8(ascii: "{"): if brackets == 0 || braces > 0 { braces += 1 }
                case UInt8(ascii: "}"):
                    if braces == 0, brackets == 0 { return nil }
                    if braces > 0 { braces -= 1 }
                    if braces == 0, brackets == 0 { return index }
                default: break
                }
            }
        }
        return nil
    }

    /// Whether a line goes on with something else than a signature.
    private static func beginsDeclaration(_ line: [UInt8]) -> Bool {
        guard let word = words(of: line).first, word.start == line.firstIndex(where: { $0 != UInt8(ascii: " ") })
        else { return line.contains(UInt8(ascii: "@")) }
        return !["where", "throws", "rethrows", "async"].contains(word.text)
    }

    private static func words(of line: [UInt8]) -> [(text: String, start: Int, end: Int)] {
        var result: [(String, Int, Int)] = []
        var start = 0
        while let first = line[start...].firstIndex(where: isWordByte) {
            let end = line[first...].firstIndex { !isWordByte($0) } ?? line.count
            result.append((String(decoding: line[first..<end], as: UTF8.self), first, end))
            start = end
        }
        return result
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: byte >= 0x80
        }
    }
}
