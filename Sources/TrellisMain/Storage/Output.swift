// SPDX-License-Identifier: MIT

import Foundation
import TrellisCore

/// Lines for standard output, written in large pieces.
final class LineWriter {
    private var bytes: [UInt8] = []
    private var errorNumber: Int32?

    func write(_ line: String) {
        bytes.append(contentsOf: line.utf8)
        bytes.append(UInt8(ascii: "\n"))
        if bytes.count > 1 << 16 { flush() }
    }

    /// Writes what is left; throws where not all lines could be written.
    func finish() throws(CommandFailure) {
        flush()
        if let errorNumber {
            throw CommandFailure("can't write to standard output: \(String(cString: strerror(errorNumber)))")
        }
    }

    private func flush() {
        if errorNumber == nil, !writeAll(bytes, to: STDOUT_FILENO) { errorNumber = errno }
        bytes.removeAll(keepingCapacity: true)
    }
}

/// One JSON object on one line, keys in the order in which they are added.
struct JSONLine {
    private(set) var text = "{"

    mutating func add(_ key: String, _ number: some BinaryInteger) { add(key, raw: "\(number)") }
    mutating func add(_ key: String, _ string: String) { add(key, raw: Self.quoted(string)) }

    mutating func add(_ key: String, raw: String) {
        if text.utf8.count > 1 { text += ", " }
        text += Self.quoted(key) + ": " + raw
    }

    mutating func add(_ key: String, list: [JSONLine]) {
        add(key, raw: "[" + list.map(\.closed).joined(separator: ", ") + "]")
    }

    var closed: String { text + "}" }

    static func quoted(_ string: String) -> String {
        var result = "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            default:
                if scalar.value < 0x20 || scalar.value == 0x7F {
                    let digits = String(scalar.value, radix: 16)
                    result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                } else {
                    result.unicodeScalars.append(scalar)
                }
            }
        }
        return result + "\""
    }
}

extension StoredJob {
    var tubeText: String { String(decoding: tube.bytes, as: UTF8.self) }

    var stateText: String {
        switch state {
        case .ready: "ready"
        case .delayed: "delayed"
        case .buried: "buried"
        }
    }

    private var bodyText: String? { String(validating: body, as: UTF8.self) }

    /// `41 emails delayed pri 0 delay 60 ttr 120 …`.
    func line(withBody: Bool) -> String {
        var line = "\(id.rawValue) \(tubeText) \(stateText) pri \(priority) delay \(delay) ttr \(ttr)"
        line += " reserves \(counters.reserves) timeouts \(counters.timeouts) releases \(counters.releases)"
        line += " buries \(counters.buries) kicks \(counters.kicks)"
        if counters.failures > 0 { line += " failures \(counters.failures)" }
        line += " bytes \(body.count)"
        if withBody { line += " " + (bodyText.map(JSONLine.quoted) ?? "base64:\(Data(body).base64EncodedString())") }
        return line
    }

    var json: String {
        var line = JSONLine()
        line.add("id", id.rawValue)
        line.add("tube", tubeText)
        line.add("state", stateText)
        line.add("pri", priority)
        line.add("delay", delay)
        line.add("ttr", ttr)
        line.add("created", Self.time(createdAt))
        if state == .delayed { line.add("ready-at", Self.time(deadline)) }
        line.add("sequence", sequence)
        line.add("reserves", counters.reserves)
        line.add("timeouts", counters.timeouts)
        line.add("releases", counters.releases)
        line.add("buries", counters.buries)
        line.add("kicks", counters.kicks)
        if counters.failures > 0 { line.add("failures", counters.failures) }
        if let bodyText {
            line.add("body", bodyText)
        } else {
            line.add("body-base64", Data(body).base64EncodedString())
        }
        return line.closed
    }

    /// ISO 8601 with nanoseconds, in UTC: as exact as it is stored.
    private static func time(_ nanoseconds: Int64) -> String {
        var (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        if rest < 0 { (seconds, rest) = (seconds - 1, rest + 1_000_000_000) }
        let fraction = String(rest)
        return Date(timeIntervalSince1970: Double(seconds)).formatted(.iso8601).dropLast() + "."
            + String(repeating: "0", count: 9 - fraction.count) + fraction + "Z"
    }
}
