// SPDX-License-Identifier: MIT

import Glibc

/// A text file of the repository, by the lines.
struct SourceText {
    /// From the root of the repository, with slashes.
    let path: String
    let lines: [Substring]
    /// For Swift, the lines with comments and the insides of string literals blanked, so that what is left is code.
    let codeLines: [Substring]

    init(_ path: String, _ text: String) {
        self.path = path
        // "\r\n" is one character to Swift; split by it too, so that a stray one shows as trailing white space.
        let lines = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
        self.lines = lines
        guard path.hasSuffix(".swift") else {
            codeLines = []
            return
        }
        var scanner = CodeScanner(Array(lines.joined(separator: "\n").utf8))
        codeLines = scanner.blanked().split(separator: "\n", omittingEmptySubsequences: false)
    }

    var isSwift: Bool { path.hasSuffix(".swift") }

    /// The folders and the file, from the root on.
    var components: [Substring] { path.split(separator: "/") }

    /// `Sources` in `Sources/TrellisCore/Body.swift`.
    var area: Substring { components.first ?? "" }

    /// `TrellisCore` in `Sources/TrellisCore/Body.swift`; nil for a file that lies in no folder of its area.
    var target: Substring? { components.count > 2 ? components[1] : nil }
}

/// Whether the text stands in the line, by its bytes: all rules together ask this a million times.
func mentions(_ line: Substring, _ text: String) -> Bool {
    line.withCString { line in text.withCString { text in strstr(line, text) != nil } }
}

/// A rule that a line breaks.
struct Violation: CustomStringConvertible, Equatable {
    let path: String
    /// From 1 on.
    let line: Int
    let message: String

    init(_ source: SourceText, _ line: Int, _ message: String) {
        self.init(source.path, line, message)
    }

    init(_ path: String, _ line: Int, _ message: String) {
        self.path = path
        self.line = line
        self.message = message
    }

    var description: String { "\(path):\(line): \(message)" }
}
