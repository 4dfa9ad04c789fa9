// SPDX-License-Identifier: MIT

/// Who may import whom: the arrows of docs/architecture.md.
enum ImportRule {
    static let plugins: Set<String> = [
        "MemoryStorage", "BinlogStorage", "CompressedBinlogStorage", "TCPTransport", "UnixTransport",
        "PriorityScheduler", "FairScheduler", "KeyedSchedulers", "BeanstalkdBinlog",
    ]

    /// Our own targets that a target may import.
    static let edges: [String: Set<String>] = [
        "TrellisCore": [],
        "TrellisWire": ["TrellisCore"],
        "TrellisConfiguration": ["TrellisCore"],
        "TrellisFiles": ["CLinux"],
        "TrellisSockets": ["TrellisCore", "CLinux"],
        "TrellisServer": ["TrellisCore", "TrellisWire", "TrellisSockets", "CLinux", "CTrellisPlugin"],
        "TrellisTestKit": ["TrellisCore", "TrellisWire", "TrellisFiles", "CLinux"],
        // Only the program sees the plugins.
        "TrellisMain": plugins.union(["TrellisCore", "TrellisServer", "TrellisConfiguration", "TrellisTestKit"]),
        "trellisd": ["TrellisMain"],
        "trellis": ["TrellisCore", "TrellisWire", "CLinux"],
        "CLinux": [],
        "CTrellisPlugin": [],
        "MemoryStorage": ["TrellisCore"],
        "BinlogStorage": ["TrellisCore", "TrellisFiles"],
        "CompressedBinlogStorage": ["TrellisCore", "TrellisFiles", "BinlogStorage", "CZstd", "CLZ4"],
        "BeanstalkdBinlog": ["TrellisCore", "TrellisFiles"],
        "TCPTransport": ["TrellisCore", "TrellisSockets", "CLinux"],
        "UnixTransport": ["TrellisCore", "TrellisSockets", "CLinux"],
        "PriorityScheduler": ["TrellisCore"],
        "FairScheduler": ["TrellisCore"],
        "KeyedSchedulers": ["TrellisCore"],
        "CZstd": [],
        "CLZ4": [],
    ]

    /// Modules of others, and the targets that may import them; nil is everyone.
    static let outside: [String: Set<String>?] = [
        "Glibc": nil,
        // Locks and atomics are for what has threads.
        "Synchronization": [
            "TrellisMain", "TrellisServer", "TrellisTestKit", "BinlogStorage", "CompressedBinlogStorage",
        ],
        "Foundation": ["TrellisConfiguration", "TrellisMain", "trellis"],
        "ArgumentParser": ["TrellisMain", "trellis"],
        "Logging": ["TrellisServer", "TrellisMain"],
        "Yams": ["TrellisConfiguration"],
    ]

    /// Checks the imports of a Swift file of Sources/ or Plugins/.
    static func check(_ source: SourceText) -> [Violation] {
        guard source.isSwift, source.area == "Sources" || source.area == "Plugins" else { return [] }
        guard let target = source.target.map(String.init) else { return [] }
        guard let allowed = edges[target] else {
            return [Violation(source, 1, "\(target) has no row in the table of import edges (Tests/Tidy)")]
        }
        var violations: [Violation] = []
        for (index, line) in source.codeLines.enumerated() {
            guard let (module, isTestable) = importedModule(line) else { continue }
            if isTestable {
                violations.append(Violation(source, index + 1, "@testable import is for tests"))
            }
            if module == target || allowed.contains(module) { continue }
            if let importers = outside[module], importers?.contains(target) ?? true { continue }
            violations.append(Violation(source, index + 1, "\(target) must not import \(module)"))
        }
        return violations
    }

    /// The module that a line imports.
    static func importedModule(_ line: Substring) -> (name: String, isTestable: Bool)? {
        guard mentions(line, "import") else { return nil }
        let pattern =
            /^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+(?:(?:struct|class|enum|protocol|func|var|let|typealias)\s+)?(\w+)/
        guard let match = line.firstMatch(of: pattern) else { return nil }
        return (String(match.1), mentions(line, "@testable"))
    }
}
