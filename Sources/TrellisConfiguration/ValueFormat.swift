// SPDX-License-Identifier: MIT

package import TrellisCore

extension OptionType {
    /// What it may hold, for people: `size, 1 to 1GiB`.
    package var summary: String {
        switch self {
        case .text: "text"
        case .path: "path"
        case .integer(let range): "whole number, \(range.lowerBound) to \(range.upperBound)"
        case .size(let range): "size, \(formatSize(range.lowerBound)) to \(formatSize(range.upperBound))"
        case .duration(let range): "time, \(spans(range))"
        case .boolean: "true or false"
        case .choice(let words): "one of " + words.joined(separator: ", ")
        case .choiceOrDuration(let words, let range): "\(words.joined(separator: ", ")) or a time, \(spans(range))"
        case .choiceOrInteger(let words, let range):
            "\(words.joined(separator: ", ")) or a whole number, \(range.lowerBound) to \(range.upperBound)"
        case .fileMode: "permission bits, octal, in quotes"
        case .rate: "rate, such as 10/s, 600/m, 5/h or 100/d"
        }
    }

    /// A value to fill in where there is no default, as YAML.
    var placeholder: String {
        switch self {
        case .text: "TEXT"
        case .path: "PATH"
        case .integer(let range), .choiceOrInteger(_, let range): "\(range.lowerBound)"
        case .size(let range): formatSize(range.lowerBound)
        case .duration(let range), .choiceOrDuration(_, let range): formatDuration(range.lowerBound)
        case .boolean: "false"
        case .choice(let words): words.first ?? ""
        case .fileMode: "\"0660\""
        case .rate: "10/s"
        }
    }
}

private func spans(_ range: ClosedRange<Int64>) -> String {
    "\(formatDuration(range.lowerBound)) to \(formatDuration(range.upperBound))"
}

extension OptionValue {
    /// The value as YAML that reads back to the same value.
    var yaml: String {
        switch self {
        case .text(let text): quotedIfNeeded(text)
        case .integer(let number): "\(number)"
        case .size(let bytes): formatSize(bytes)
        case .duration(let nanoseconds): formatDuration(nanoseconds)
        case .boolean(let isTrue): isTrue ? "true" : "false"
        case .fileMode(let mode): "\"\(octal(mode))\""
        case .rate(let rate): rate.description
        }
    }
}

/// Permission bits as four digits.
func octal(_ mode: UInt32) -> String {
    let digits = String(mode, radix: 8)
    return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
}

/// A text as a YAML scalar: plain where no reader of YAML could take it for anything else, else in double quotes.
func quotedIfNeeded(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: "_./:-".utf8.contains(byte)
        }
    }
    let special: Set = ["", "~", "null", "Null", "NULL", "true", "false", "yes", "no", "on", "off"]
    if isPlain, !special.contains(text), !special.contains(text.lowercased()), text.last != ":",
        text.first.map({ $0.isLetter || $0.isNumber || $0 == "/" }) ?? false
    {
        return text
    }
    return quoted(text)
}

/// A text in double quotes, escaped as YAML wants it.
func quoted(_ text: String) -> String {
    var result = "\""
    for character in text.unicodeScalars {
        switch character {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\n": result += "\\n"
        case "\t": result += "\\t"
        case " "..."~": result.unicodeScalars.append(character)
        default:
            // Whatever can't be seen, and what ends a line in YAML, is written as a number.
            if character.value >= 0xA1, character.properties.generalCategory != .format, character.value <= 0xFFFF,
                character.properties.isGraphemeBase
            {
                result.unicodeScalars.append(character)
            } else {
                let digits = String(character.value, radix: 16, uppercase: true)
                result += "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
            }
        }
    }
    return result + "\""
}
