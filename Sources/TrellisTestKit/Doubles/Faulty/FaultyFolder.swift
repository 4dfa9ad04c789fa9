// SPDX-License-Identifier: MIT

/// The names in a folder: those that programs see, those on the disk, and what lies between the two.
struct FaultyFolder: Sendable {
    enum Entry: Hashable, Sendable {
        case file(Int)
        case folder
    }

    enum Change: Hashable, Sendable, CustomStringConvertible {
        case add(String, Entry)
        case remove(String)
        case rename(String, to: String)

        var description: String {
            switch self {
            case .add(let name, _): "add \(name)"
            case .remove(let name): "remove \(name)"
            case .rename(let name, let newName): "rename \(name) to \(newName)"
            }
        }
    }

    private(set) var live: [String: Entry] = [:]
    private(set) var durable: [String: Entry] = [:]
    /// What isn't on the disk yet, in order.
    private(set) var pending: [Change] = []

    init() {}

    init(_ entries: [String: Entry]) {
        live = entries
        durable = entries
    }

    /// Every file that a program sees, or would see after a power loss.
    var files: [Int] {
        var result: [Int] = []
        for case .file(let id) in live.values { result.append(id) }
        for case .file(let id) in durable.values { result.append(id) }
        for case .add(_, .file(let id)) in pending { result.append(id) }
        return result
    }

    mutating func perform(_ change: Change) {
        Self.apply(change, to: &live)
        pending.append(change)
    }

    mutating func sync() {
        durable = live
        pending.removeAll()
    }

    /// What is found after a power loss.
    func crashed(_ decider: inout some CrashDecider, at path: String) -> [String: Entry] {
        var entries = durable
        if pending.isEmpty { return entries }
        for change in pending.prefix(decider.changes(of: path, pending)) { Self.apply(change, to: &entries) }
        return entries
    }

    private static func apply(_ change: Change, to entries: inout [String: Entry]) {
        switch change {
        case .add(let name, let entry): entries[name] = entry
        case .remove(let name): entries[name] = nil
        case .rename(let name, let newName): entries[newName] = entries.removeValue(forKey: name)
        }
    }
}
