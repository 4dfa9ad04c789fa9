// SPDX-License-Identifier: MIT

internal import TrellisCore

/// Why a text is no value of a type, as the end of a sentence that begins with the option: `must be true or false`.
struct ValueFault: Error, Equatable {
    var expectation: String

    init(_ expectation: String) { self.expectation = expectation }
}

extension OptionType {
    /// Reads a value of this type from a text as it is written, without quotes.
    ///
    /// Range included.
    func parse(_ text: String) throws(ValueFault) -> OptionValue {
        switch self {
        case .text, .path: return .text(text)
        case .integer(let range): return try integer(text, range, or: nil)
        case .size(let range):
            guard let bytes = parseSize(text) else { throw ValueFault("must be a size such as 512, 64KiB or 1MB") }
            guard bytes.value.map(range.contains) ?? false else { throw ValueFault(rangeText) }
            return .size(bytes.value ?? 0)
        case .duration(let range): return try duration(text, range, or: nil)
        case .boolean:
            switch text {
            case "true": return .boolean(true)
            case "false": return .boolean(false)
            default: throw ValueFault("must be true or false")
            }
        case .choice(let words):
            if words.contains(text) { return .text(text) }
            throw ValueFault("must be \(list(words))\(hint(for: text, among: words))")
        case .choiceOrDuration(let words, let range):
            return words.contains(text) ? .text(text) : try duration(text, range, or: words)
        case .choiceOrInteger(let words, let range):
            return words.contains(text) ? .text(text) : try integer(text, range, or: words)
        case .fileMode:
            let isOctal = text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "7")).contains($0) }
            guard (3...4).contains(text.utf8.count), isOctal, let mode = UInt32(text, radix: 8) else {
                throw ValueFault("must be permission bits in octal, in quotes, such as \"0660\"")
            }
            return .fileMode(mode)
        case .rate: return .rate(try parseRate(text))
        }
    }

    private func integer(
        _ text: String, _ range: ClosedRange<Int64>, or words: [String]?
    ) throws(ValueFault) -> OptionValue {
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        guard !digits.isEmpty, digits.utf8.allSatisfy(isDigit) else {
            let suggestion = hint(for: text, among: words ?? [])
            throw ValueFault("must be \(alternatives(words))a whole number\(suggestion)")
        }
        // Digits that don't fit are out of any range.
        guard let number = Int64(text), range.contains(number) else { throw ValueFault(rangeText) }
        return .integer(number)
    }

    private func duration(
        _ text: String, _ range: ClosedRange<Int64>, or words: [String]?
    ) throws(ValueFault) -> OptionValue {
        guard let parsed = parseDuration(text) else {
            let suggestion = hint(for: text, among: words ?? [])
            let unit = !text.isEmpty && text.utf8.allSatisfy(isDigit) ? " (the unit is missing)" : ""
            throw ValueFault(
                "must be \(alternatives(words))a span of time such as 50ms, 10s, 5m, 2h or 1d\(unit)\(suggestion)")
        }
        guard let nanoseconds = parsed.value, range.contains(nanoseconds) else { throw ValueFault(rangeText) }
        return .duration(nanoseconds)
    }

    /// `must be at least 1 and at most 1GiB`, with the words of a choice before it.
    var rangeText: String {
        switch self {
        case .integer(let range): "must be \(bounds(range))"
        case .choiceOrInteger(let words, let range): "must be \(alternatives(words))\(bounds(range))"
        case .size(let range):
            "must be at least \(formatSize(range.lowerBound)) and at most \(formatSize(range.upperBound)) (bytes)"
        case .duration(let range): "must be \(bounds(durations: range))"
        case .choiceOrDuration(let words, let range): "must be \(alternatives(words))\(bounds(durations: range))"
        case .text, .path, .boolean, .choice, .fileMode, .rate: ""
        }
    }
}

private func bounds(_ range: ClosedRange<Int64>) -> String {
    "at least \(range.lowerBound) and at most \(range.upperBound)"
}

private func bounds(durations range: ClosedRange<Int64>) -> String {
    "at least \(formatDuration(range.lowerBound)) and at most \(formatDuration(range.upperBound))"
}

private func alternatives(_ words: [String]?) -> String {
    guard let words, !words.isEmpty else { return "" }
    return words.joined(separator: ", ") + " or "
}

/// `a`, `a or b`, `a, b or c`.
func list(_ words: [String]) -> String {
    guard let last = words.last, words.count > 1 else { return words.first ?? "" }
    return words.dropLast().joined(separator: ", ") + " or " + last
}

private func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

// MARK: - Sizes and times

/// A number that was read; nil where it is too large for the type.
struct Parsed<Number> {
    var value: Number?
}

/// The units of a size, by descending size of those that are printed.
private let sizeUnits: [(name: String, bytes: UInt64)] = [
    ("EiB", 1 << 60), ("PiB", 1 << 50), ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
    ("EB", 1_000_000_000_000_000_000), ("PB", 1_000_000_000_000_000), ("TB", 1_000_000_000_000), ("GB", 1_000_000_000),
    ("MB", 1_000_000), ("KB", 1000), ("kB", 1000), ("B", 1),
]

/// The units of a span of time, by descending size.
private let durationUnits: [(name: String, nanoseconds: Int64)] = [
    ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000),
    ("ms", 1_000_000), ("us", 1000), ("ns", 1),
]

/// Splits digits and what follows them; nil where there are no digits.
private func split(_ text: String) -> (digits: Substring, unit: Substring)? {
    let digits = text.prefix { $0.isASCII && $0.isWholeNumber }
    guard !digits.isEmpty else { return nil }
    return (digits, text[digits.endIndex...])
}

/// Bytes of a size such as `64KiB`; nil where the text is no size.
func parseSize(_ text: String) -> Parsed<UInt64>? {
    guard let (digits, unit) = split(text) else { return nil }
    guard let factor = unit.isEmpty ? 1 : sizeUnits.first(where: { $0.name == unit })?.bytes else { return nil }
    guard let number = UInt64(digits) else { return Parsed(value: nil) }
    let (product, overflow) = number.multipliedReportingOverflow(by: factor)
    return Parsed(value: overflow ? nil : product)
}

/// Nanoseconds of a span of time such as `50ms`; nil where the text is none.
///
/// The unit may be absent from 0 only.
func parseDuration(_ text: String) -> Parsed<Int64>? {
    guard let (digits, unit) = split(text) else { return nil }
    if unit.isEmpty { return digits.allSatisfy { $0 == "0" } ? Parsed(value: 0) : nil }
    guard let factor = durationUnits.first(where: { $0.name == unit })?.nanoseconds else { return nil }
    guard let number = Int64(digits) else { return Parsed(value: nil) }
    let (product, overflow) = number.multipliedReportingOverflow(by: factor)
    return Parsed(value: overflow ? nil : product)
}

/// A rate such as `10/s`.
private func parseRate(_ text: String) throws(ValueFault) -> Rate {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let span = Rate.Span(rawValue: String(parts[1])), !parts[0].isEmpty,
        parts[0].utf8.allSatisfy(isDigit)
    else { throw ValueFault("must be a rate such as 10/s, 600/m, 5/h or 100/d") }
    guard let rate = UInt32(parts[0]).flatMap({ Rate($0, per: span) }) else {
        throw ValueFault("must be at least 1/d and at most \(Rate.mostPerSecond)/s")
    }
    return rate
}

/// A size in the largest binary unit that divides it: `64KiB`, `65535`.
func formatSize(_ bytes: UInt64) -> String {
    guard bytes > 0, let unit = sizeUnits.prefix(6).first(where: { bytes % $0.bytes == 0 }) else { return "\(bytes)" }
    return "\(bytes / unit.bytes)\(unit.name)"
}

/// A span of time in the largest unit that divides it: `50ms`, `0`.
func formatDuration(_ nanoseconds: Int64) -> String {
    guard nanoseconds != 0, let unit = durationUnits.first(where: { nanoseconds % $0.nanoseconds == 0 }) else {
        return "0"
    }
    return "\(nanoseconds / unit.nanoseconds)\(unit.name)"
}
