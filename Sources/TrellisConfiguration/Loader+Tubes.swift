// SPDX-License-Identifier: MIT

internal import TrellisCore

// The section `tubes`: the order of its entries matters, and their keys are patterns.

extension Loader {
    mutating func chooseTubes() -> [TubeChoice] {
        guard let section = root.first(where: { $0.key == "tubes" }), !section.value.isNull else { return [] }
        let advice = " of patterns, such as {\"email.*\": {concurrency: 50}}"
        guard let entries = entries(of: section.value, label: "tubes", advice: advice) else { return [] }
        var choices: [TubeChoice] = []
        for entry in entries {
            reportBadPattern(entry)
            reportCovered(entry, by: choices)
            choices.append(
                TubeChoice(pattern: entry.key, place: entry.keyPlace, settings: settings(of: entry)))
        }
        for index in choices.indices { reportBadDeadLetter(of: index, in: choices) }
        return choices
    }

    /// A tube for dead letters must have a name that tubes can have, get jobs at all, and not give them back.
    private mutating func reportBadDeadLetter(of index: Int, in choices: [TubeChoice]) {
        let choice = choices[index]
        guard let setting = choice.settings.values["dead-letter"], case .text(let target) = setting.value,
            case .given(let place) = setting.origin
        else { return }
        var fault: String?
        if !Array(target.utf8).withUnsafeBytes({ BorrowedName.isValid($0) }) {
            fault = "which no tube can be named; it is the name of one tube, not a pattern"
        } else if choice.rule.settings.retries == nil, choice.rule.settings.ttlNanoseconds == nil {
            fault = "but no job gets there without retries or ttl"
        } else if let way = circle(from: index, in: choices) {
            fault =
                way.count == 1
                ? "for which the same entry holds, so that jobs would never leave it; put an entry for \"\(target)\" before it"
                : "and so jobs would go round for ever: \(way.joined(separator: ", ")), \(target)"
        }
        guard let fault else { return }
        let key = "tubes.\"\(abbreviated(choice.pattern))\".dead-letter"
        errors.append(ConfigurationError(place, "\(key) is \"\(abbreviated(target))\", \(fault)"))
    }

    /// The tubes that a job of the entry's goes through until the entry holds for it again; nil where that doesn't happen.
    private func circle(from index: Int, in choices: [TubeChoice]) -> [String]? {
        let rules = TubeRules(choices.map(\.rule))
        var way: [String] = []
        var last = rules.rules[index].settings.deadLetter
        while let target = last, !way.contains(target) {
            way.append(target)
            guard let next = Array(target.utf8).withUnsafeBytes({ rules.firstMatch(BorrowedName($0)) }) else {
                return nil
            }
            if next == index { return way }
            last = rules.rules[next].settings.deadLetter
        }
        return nil
    }

    private mutating func settings(of entry: Tree.Entry) -> Settings {
        let label = "tubes.\"\(abbreviated(entry.key))\""
        var draft = Draft(
            label: label, path: .section("tubes"), place: entry.keyPlace, entries: [], overrides: [], hasPlugin: false)
        if !entry.value.isNull {
            draft.entries = entries(of: entry.value, label: label, advice: ", such as {concurrency: 50}") ?? []
        }
        var resolver = OptionResolver(draft, schema: TubeChoice.options)
        let settings = resolver.resolve()
        errors += resolver.errors
        return settings
    }

    private mutating func reportBadPattern(_ entry: Tree.Entry) {
        let bytes = Array(entry.key.utf8)
        let isPattern = bytes.allSatisfy {
            BorrowedName.isNameByte($0) || $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "?")
        }
        var fault: String?
        if bytes.isEmpty || !isPattern {
            fault = "no tube has such a name; names have A-Z a-z 0-9 - + / ; . $ _ ( ), and a pattern has * and ?, too"
        } else if bytes[0] == UInt8(ascii: "-") {
            fault = "no tube has such a name: none begins with -"
        } else if bytes.count > ProtocolLimits.tubeNameBytes {
            fault = "the pattern is longer than \(ProtocolLimits.tubeNameBytes) characters, the most that a name has"
        }
        guard let fault else { return }
        errors.append(ConfigurationError(entry.keyPlace, "tubes.\"\(abbreviated(entry.key))\": \(fault)"))
    }

    /// An entry that never holds is a mistake in the order of the file.
    private mutating func reportCovered(_ entry: Tree.Entry, by earlier: [TubeChoice]) {
        let pattern = TubePattern(entry.key)
        guard let first = earlier.first(where: { TubePattern($0.pattern).covers(pattern) }) else { return }
        errors.append(
            ConfigurationError(
                entry.keyPlace,
                "tubes.\"\(abbreviated(entry.key))\" never holds, since \"\(abbreviated(first.pattern))\" "
                    + "(\(first.place)) matches all its tubes and comes first; put it before that"))
    }
}
