// SPDX-License-Identifier: MIT

internal import TrellisCore

/// A value from the environment or the command line, which goes before the file's.
struct Override {
    /// The section and, for a transport, its number; empty for the top level.
    var section: SectionPath
    /// The key within it.
    var key: String
    /// The value as text.
    var text: String
    var place: Place
    /// Whether it is an error that there is no such key.
    var mustExist: Bool
}

/// Which part of a configuration something belongs to.
enum SectionPath: Hashable {
    case top
    case section(String)
    case transport(Int)

    /// The beginning of the variables of the section: `TRELLIS_LIMITS__`.
    var variablePrefix: String {
        switch self {
        case .top: "TRELLIS_"
        case .section(let name): "TRELLIS_\(variableName(name))__"
        case .transport(let index): "TRELLIS_TRANSPORTS__\(index)__"
        }
    }
}

/// A key as it is written in a variable: `job-size` is `JOB_SIZE`.
func variableName(_ key: String) -> String { String(key.uppercased().map { $0 == "-" ? "_" : $0 }) }

/// Reads overrides from the environment: `TRELLIS_LIMITS__JOB_SIZE`, with two underscores between levels and one for a
/// hyphen.
struct EnvironmentReader {
    /// The sections that hold keys; `transports` is apart.
    private static let sections = ["storage", "scheduler", "limits", "log"]
    /// Variables of the client, `trellis`, which a server's environment may well have.
    private static let clientVariables: Set = ["TRELLIS_SERVER"]
    /// The most transports that variables may speak of.
    private static let mostTransports = 1000

    let plugins: [AnyPlugin]
    private(set) var overrides: [Override] = []
    private(set) var errors: [ConfigurationError] = []

    init(plugins: [AnyPlugin]) { self.plugins = plugins }

    /// Sorts out all variables that begin with `TRELLIS_`, in the order of their names.
    mutating func read(_ environment: [String: String]) {
        let ours = environment.filter { $0.key.hasPrefix("TRELLIS_") && !Self.clientVariables.contains($0.key) }
        for (name, text) in ours.sorted(by: { $0.key < $1.key }) {
            let place = Place.environment(name)
            guard let (section, key) = split(name) else {
                errors.append(ConfigurationError(place, unknownMessage(name)))
                continue
            }
            overrides.append(Override(section: section, key: key, text: text, place: place, mustExist: true))
        }
    }

    /// The section and key that a variable names; nil where there is no such section.
    private func split(_ name: String) -> (SectionPath, String)? {
        // What isn't spelled in capitals is another variable to the system.
        guard name == name.uppercased() else { return nil }
        let words = name.dropFirst("TRELLIS_".count).split(separator: "__", omittingEmptySubsequences: false)
        let keys = words.map { String($0.lowercased().map { $0 == "_" ? "-" : $0 }) }
        switch keys.count {
        case 1 where CoreSection.top.options.contains { $0.key == keys[0] }: return (.top, keys[0])
        case 2 where Self.sections.contains(keys[0]): return (.section(keys[0]), keys[1])
        case 3 where keys[0] == "transports":
            guard let index = Int(keys[1]), (0..<Self.mostTransports).contains(index), String(index) == keys[1] else {
                return nil
            }
            return (.transport(index), keys[2])
        default: return nil
        }
    }

    private func unknownMessage(_ name: String) -> String {
        var message = "unknown variable"
        // Without what all names begin with, which would make any two of them near.
        let prefix = "TRELLIS_"
        let near = nearest(
            to: String(name.dropFirst(prefix.count)), among: candidates.map { String($0.dropFirst(prefix.count)) })
        if let near { message += "; did you mean \(prefix)\(near)?" }
        return message + " (variables are TRELLIS_SECTION__KEY, such as TRELLIS_LIMITS__JOB_SIZE)"
    }

    /// Every variable that there may be, with the first transport for all transports.
    private var candidates: [String] {
        var result = CoreSection.all.flatMap { section in
            let path: SectionPath = section.name.isEmpty ? .top : .section(section.name)
            return section.options.map { path.variablePrefix + variableName($0.key) }
        }
        for kind in PluginKind.allCases {
            let path: SectionPath = kind == .transport ? .transport(0) : .section(kind.rawValue)
            result.append(path.variablePrefix + "USE")
            for plugin in plugins where plugin.descriptor.kind == kind {
                result += plugin.descriptor.options.map { path.variablePrefix + variableName($0.key) }
            }
        }
        return result
    }
}
