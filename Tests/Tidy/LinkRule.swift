// SPDX-License-Identifier: MIT

/// Every relative link of a page leads to a file, and to a heading of it if it names one.
enum LinkRule {
    /// Checks a Markdown page.
    ///
    /// `read` answers the text of a file of the repository: empty for a folder, nil for nothing.
    static func check(_ source: SourceText, read: (_ path: String) -> String?) -> [Violation] {
        guard source.path.hasSuffix(".md") else { return [] }
        var violations: [Violation] = []
        for (index, line) in proseLines(of: source).enumerated() {
            for match in line.matches(of: /\]\(\s*<?([^)\s>]+)>?[^)]*\)/) {
                let target = String(match.1)
                if target.contains(/^[a-z]+:/) { continue }
                if let message = fault(of: target, in: source, read: read) {
                    violations.append(Violation(source, index + 1, message))
                }
            }
        }
        return violations
    }

    private static func fault(of target: String, in source: SourceText, read: (String) -> String?) -> String? {
        let parts = target.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        var page = source
        if let file = parts.first, !file.isEmpty {
            guard let path = resolve(file, from: source) else { return "\(target) leads out of the repository" }
            guard let text = read(path) else { return "\(target) leads nowhere" }
            page = SourceText(path, text)
        }
        guard parts.count == 2, page.path.hasSuffix(".md") else { return nil }
        return anchors(of: page).contains(String(parts[1])) ? nil : "\(target) names no heading of \(page.path)"
    }

    /// The path from the root; nil where it would lie outside.
    static func resolve(_ file: Substring, from source: SourceText) -> String? {
        var components = file.hasPrefix("/") ? [] : Array(source.components.dropLast())
        for part in file.split(separator: "/") where part != "." {
            if part != ".." {
                components.append(part)
            } else if components.popLast() == nil {
                return nil
            }
        }
        return components.joined(separator: "/")
    }

    /// What the headings of a page can be linked by.
    static func anchors(of page: SourceText) -> Set<String> {
        var result: Set<String> = []
        for line in proseLines(of: page) where line.hasPrefix("#") {
            let title = line.drop { $0 == "#" }.drop { $0 == " " }.lowercased()
            let kept = title.filter { $0.isLetter || $0.isNumber || $0 == " " || $0 == "-" || $0 == "_" }
            result.insert(kept.replacing(" ", with: "-"))
        }
        return result
    }

    /// The lines with fenced blocks and code spans blanked.
    private static func proseLines(of source: SourceText) -> [String] {
        var isFenced = false
        return source.lines.map { line -> String in
            if line.drop(while: { $0 == " " }).hasPrefix("```") {
                isFenced.toggle()
                return ""
            }
            return isFenced ? "" : String(line.replacing(/`[^`]*`/) { String(repeating: "-", count: $0.output.count) })
        }
    }
}
