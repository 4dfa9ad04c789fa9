// SPDX-License-Identifier: MIT

/// What every file must have, and which files belong together.
enum FileRules {
    static let licence = "SPDX-License-Identifier: MIT"

    /// Source files name their licence in the first line; where that line is taken, in the second.
    static func checkLicence(_ source: SourceText) -> [Violation] {
        let name = source.components.last ?? ""
        let isCode = [".swift", ".c", ".h", ".py", ".sh"].contains { name.hasSuffix($0) }
        let isScript = source.lines.first?.hasPrefix("#!") == true
        guard isCode || isScript || name == "Makefile" else { return [] }
        let isFirstTaken = isScript || name == "Package.swift"
        let mark = name.hasSuffix(".swift") || name.hasSuffix(".c") || name.hasSuffix(".h") ? "//" : "#"
        let line = source.lines.dropFirst(isFirstTaken ? 1 : 0).first
        if line == "\(mark) \(licence)" { return [] }
        return [Violation(source, isFirstTaken ? 2 : 1, "must be: \(mark) \(licence)")]
    }

    /// The targets that a manifest declares, through the functions of ours or plainly.
    static func targets(inManifest source: SourceText) -> Set<String> {
        var names: Set<String> = []
        let text = source.lines.joined(separator: "\n")
        let pattern = /(?:source|plugin|program|tests|[tT]arget|systemLibrary)\(\s*(?:name:\s*)?"(\w+)"/
        for match in text.matches(of: pattern) { names.insert(String(match.1)) }
        return names
    }

    /// A Swift file in no target is compiled by nobody, and a test in none never runs.
    static func checkMembership(_ source: SourceText, targets: Set<String>) -> [Violation] {
        guard source.isSwift, ["Sources", "Plugins", "Tests"].contains(source.area) else { return [] }
        // A package of its own.
        if source.path.hasPrefix("Tests/Fuzz/") { return [] }
        guard let target = source.target else { return [Violation(source, 1, "lies in no target's folder")] }
        if targets.contains(String(target)) { return [] }
        return [Violation(source, 1, "Package.swift has no target \(target)")]
    }

    /// Decisions are numbered from 1 without gaps: `0001-a-title.md`, with a heading in the first line.
    static func checkDecisions(_ sources: [SourceText]) -> [Violation] {
        var violations: [Violation] = []
        var next = 1
        for source in sources.sorted(by: { $0.path < $1.path }) {
            let name = source.components.last ?? ""
            guard let match = name.wholeMatch(of: /(\d{4})-[a-z0-9-]+\.md/), let number = Int(match.1) else {
                violations.append(Violation(source, 1, "a decision is named NNNN-its-title.md"))
                continue
            }
            if number != next { violations.append(Violation(source, 1, "number \(number) where \(next) is due")) }
            next = number + 1
            if source.lines.first?.hasPrefix("# ") != true {
                violations.append(Violation(source, 1, "a decision begins with its title"))
            }
        }
        return violations
    }
}
