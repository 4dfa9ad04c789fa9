// SPDX-License-Identifier: MIT

import Glibc
import Logging
import Testing

@testable import TrellisMain

/// One line per message.
@Suite struct StandardErrorLogTests {
    private func line(_ message: String, _ metadata: Logger.Metadata = [:], own: Logger.Metadata? = nil) -> String {
        var log = StandardErrorLog(label: "trellisd", threshold: LogThreshold(.notice))
        log.metadata = metadata
        let event = LogEvent(
            level: .notice, message: "\(message)", metadata: own, source: nil, file: "", function: "", line: 1)
        return log.line(event, at: timespec(tv_sec: 1_767_323_045, tv_nsec: 678_999_999))
    }

    @Test func theWholeLine() {
        #expect(line("hello") == "2026-01-02T03:04:05.678Z notice trellisd: hello\n")
        #expect(
            line("hello", ["b": "1", "a": "x"], own: ["a": "y"])
                == "2026-01-02T03:04:05.678Z notice trellisd: hello a=y b=1\n")
    }

    @Test func nothingMakesASecondLine() {
        #expect(
            line("a\nb\u{1B}", own: ["k": "c\r\nd"])
                == "2026-01-02T03:04:05.678Z notice trellisd: a\\nb\\u{1B} k=c\\r\\nd\n")
    }

    @Test func valuesThatWouldFallApartAreQuoted() {
        #expect(line("m", own: ["k": "a \"b\""]).hasSuffix(" m k=\"a \\\"b\\\"\"\n"))
        #expect(line("m", own: ["k": ""]).hasSuffix(" m k=\"\"\n"))
    }
}
