// SPDX-License-Identifier: MIT

/// What must not stand in the text.
enum WordRule {
    /// The types that may be `@unchecked Sendable`, and why each is.
    static let uncheckedSendable: [String: String] = [
        "ChunkSupply": "counts by POSIX semaphores, behind pointers that the compiler takes for unsafe to share",
        "EngineGate": "guards the engine that loops share by a pthread mutex, which the compiler cannot see",
        "GreedyStream": "a double of the server's tests: once handed over, only the loop's thread touches it",
        "LogBuffer": "has one owner at a time: the loop fills it and hands it over whole",
        "Writer": "of an example; guards what two threads use by a pthread mutex",
        "SegmentRoom": "has one owner at a time: the scan that fills it, then whoever replays that",
        "SegmentScan": "one thread makes it and hands it over",
        "PreparedUpdate": "the thread that opened the listeners hands them over whole",
        "Monitor": "guards its value by a pthread mutex, which the compiler cannot see",
    ]

    /// Programs may write to the standard output; libraries may not.
    static let programs: Set<Substring> = ["TrellisMain", "trellis"]

    /// The layers that get everything as a parameter: their name and what they must not reach for.
    static let pure: Set<Substring> = ["TrellisCore", "TrellisWire"]
    static let reachesOut = [
        "clock_gettime", "ContinuousClock", "SuspendingClock", "SystemRandomNumberGenerator", ".random(in:", "Date()",
        "pthread_", "Mutex<", "Atomic<", "Task {", "socket(", "fopen(", "getenv(", "fdatasync(",
    ]

    static func check(_ source: SourceText) -> [Violation] {
        // The rules themselves and their tests name what they forbid.
        if source.path.hasPrefix("Tests/Tidy/") { return checkWhiteSpace(source) }
        var violations = checkWhiteSpace(source)
        for (index, line) in source.lines.enumerated() {
            for word in ["TODO", "FIXME", "XXX"] where containsWord(line, word) {
                violations.append(Violation(source, index + 1, "\(word): do it, or say why not"))
            }
        }
        if source.isSwift { violations += checkCode(source) }
        return violations
    }

    static func checkWhiteSpace(_ source: SourceText) -> [Violation] {
        var violations: [Violation] = []
        for (index, line) in source.lines.enumerated() where line.last?.isWhitespace == true {
            violations.append(Violation(source, index + 1, "trailing white space"))
        }
        if let last = source.lines.last, !last.isEmpty {
            violations.append(Violation(source, source.lines.count, "no line end at the end of the file"))
        }
        return violations
    }

    private static func checkCode(_ source: SourceText) -> [Violation] {
        let isLibrary =
            source.area == "Plugins" || source.area == "Sources" && !programs.contains(source.target ?? "")
        let isPure = source.area == "Sources" && pure.contains(source.target ?? "")
        var violations: [Violation] = []
        for (index, (code, line)) in zip(source.codeLines, source.lines).enumerated() {
            func report(_ message: String) { violations.append(Violation(source, index + 1, message)) }

            if mentions(code, "try!") { report("try!: an error has to go somewhere") }
            if mentions(code, "fatalError("), isUnfinished(line) { report("fatalError for what is not done") }
            if mentions(code, "import XCTest") { report("tests use Swift Testing") }
            if isLibrary, containsWord(code, "print(") || containsWord(code, "debugPrint(") {
                report("a library does not print")
            }
            if mentions(code, "@unchecked Sendable"), !isExcused(code) {
                report("@unchecked Sendable without a reason in Tests/Tidy")
            }
            for word in reachesOut where isPure && mentions(code, word) {
                report("\(source.target ?? "") must not reach out: \(word)")
            }
        }
        return violations
    }

    private static func isUnfinished(_ line: Substring) -> Bool {
        let line = line.lowercased()
        return ["not ", "todo", "unimplemented"].contains { line.contains("fatalerror(\"\($0)") }
    }

    private static func isExcused(_ code: Substring) -> Bool {
        uncheckedSendable.keys.contains { containsWord(code, $0) }
    }

    /// Whether the text stands there and not as the end of a longer name or as somebody's member.
    static func containsWord(_ line: Substring, _ word: String) -> Bool {
        guard mentions(line, word) else { return false }
        var rest = line[...]
        while let range = rest.firstRange(of: word) {
            let before = range.lowerBound > line.startIndex ? line[line.index(before: range.lowerBound)] : " "
            let after = range.upperBound < line.endIndex ? line[range.upperBound] : " "
            let endsOpen = word.last.map { !isWordCharacter($0) } ?? true
            if !isWordCharacter(before), before != ".", endsOpen || !isWordCharacter(after) { return true }
            rest = line[range.upperBound...]
        }
        return false
    }

    private static func isWordCharacter(_ character: Character) -> Bool {
        character.isLetter || character.isNumber || character == "_"
    }
}
