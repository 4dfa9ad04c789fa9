// SPDX-License-Identifier: MIT

import Foundation

/// The checked-out repository that the tests were built from.
struct Repository {
    private static let folders = [
        ".ci", "Benchmarks", "Examples", "Plugins", "Sources", "Tests", "config", "docs",
    ]
    private static let suffixes = [
        ".c", ".h", ".json", ".md", ".modulemap", ".php", ".py", ".sh", ".swift", ".yaml", ".yml",
    ]

    let root: URL
    let files: [SourceText]

    init() throws {
        root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        var paths = try FileManager.default.contentsOfDirectory(atPath: root.path)
            .filter { Self.isText($0, in: "") }
        for folder in Self.folders {
            let entries = FileManager.default.enumerator(atPath: root.appending(path: folder).path)
            while let entry = entries?.nextObject() as? String {
                if entry.hasPrefix(".build") || entry.contains("/.build") || entry.contains("/.") { continue }
                if Self.isText(entry, in: folder) { paths.append("\(folder)/\(entry)") }
            }
        }
        files = try paths.sorted().map { [root] path in
            SourceText(path, try String(contentsOf: root.appending(path: path), encoding: .utf8))
        }
    }

    /// Files by their ending, and the scripts and others that have none.
    private static func isText(_ path: String, in folder: String) -> Bool {
        if path == "Makefile" || folder == ".ci" && !path.contains("__pycache__") { return true }
        // Inputs of fuzzers and tests may hold anything.
        if path.contains("Corpus/") || path.contains("Fixtures/") { return false }
        return suffixes.contains { path.hasSuffix($0) }
    }

    /// The text of a file, empty for a folder; nil if there is neither.
    func read(_ path: String) -> String? {
        var isFolder: ObjCBool = false
        let url = root.appending(path: path)
        guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) else { return nil }
        return isFolder.boolValue ? "" : (try? String(contentsOf: url, encoding: .utf8)) ?? ""
    }
}
