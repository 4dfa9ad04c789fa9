// SPDX-License-Identifier: MIT

import Testing
import TrellisCore

@testable import TrellisConfiguration

/// The values of each type of option.
@Suite struct ValueTests {
    private func value(_ key: String, _ text: String) throws -> OptionValue? {
        try load("storage:\n  use: everything\n  \(key): \(text)\n").storage.settings.values[key]?.value
    }

    private func fault(_ key: String, _ text: String) -> String {
        let prefix = "trellis.yaml:3:\(5 + key.count): storage.everything.\(key) "
        let found = errors("storage:\n  use: everything\n  \(key): \(text)\n")
        guard found.count == 1, let only = found.first, only.hasPrefix(prefix) else { return "\(found)" }
        return String(only.dropFirst(prefix.count))
    }

    @Test(arguments: [
        ("512", 512), ("0", 0), ("64KiB", 65_536), ("1MB", 1_000_000), ("4GiB", 4 << 30), ("3KB", 3000), ("3kB", 3000),
        ("7B", 7), ("2TiB", 2 << 40), ("\"8KiB\"", 8192), ("15EiB", 15 << 60),
        ("18446744073709551615", UInt64.max),
    ])
    func sizes(text: String, bytes: UInt64) throws { #expect(try value("size", text) == .size(bytes)) }

    @Test(arguments: ["16EiB", "18446744073709551616", "99999999999999999999999999MiB"])
    func sizesThatOverflow(text: String) {
        let most = "18446744073709551615"
        #expect(fault("size", text) == "is \"\(text)\"; it must be at least 0 and at most \(most) (bytes)")
    }

    @Test(arguments: ["64K", "64 KiB", "-1", "1.5MiB", "KiB", "0x10", "64kib", "1_000", "٣"])
    func textsThatAreNoSize(text: String) {
        #expect(fault("size", text) == "is \"\(text)\"; it must be a size such as 512, 64KiB or 1MB")
    }

    @Test(arguments: [
        ("50ms", 50_000_000), ("10s", 10_000_000_000), ("5m", 300_000_000_000), ("2h", 7_200_000_000_000),
        ("1d", 86_400_000_000_000), ("0", 0), ("00", 0), ("0s", 0), ("3us", 3000), ("3ns", 3),
    ])
    func times(text: String, nanoseconds: Int64) throws {
        #expect(try value("duration", text) == .duration(nanoseconds))
        #expect(try value("wait", text) == .duration(nanoseconds))
    }

    @Test func textsThatAreNoTime() {
        let expectation = "it must be a span of time such as 50ms, 10s, 5m, 2h or 1d"
        #expect(fault("duration", "50") == "is \"50\"; \(expectation) (the unit is missing)")
        #expect(fault("duration", "-5s") == "is \"-5s\"; \(expectation)")
        #expect(fault("duration", "5 s") == "is \"5 s\"; \(expectation)")
        #expect(
            fault("wait", "nver")
                == "is \"nver\"; it must be never or a span of time such as 50ms, 10s, 5m, 2h or 1d; did you mean \"never\"?"
        )
        #expect(
            fault("duration", "200000d") == "is \"200000d\"; it must be at least 0 and at most 9223372036854775807ns")
    }

    @Test func rangesAreToldWithUnits() {
        #expect(
            errors("storage: {use: binlog, directory: d, sync: 11s, segment-size: 1KiB}") == [
                "trellis.yaml:1:44: storage.binlog.sync is \"11s\"; "
                    + "it must be always, never or at least 1ms and at most 10s",
                "trellis.yaml:1:63: storage.binlog.segment-size is \"1KiB\"; "
                    + "it must be at least 4KiB and at most 1GiB (bytes)",
            ])
        #expect(fault("integer", "101") == "is \"101\"; it must be at least -5 and at most 100")
        #expect(
            fault("integer", "99999999999999999999")
                == "is \"99999999999999999999\"; it must be at least -5 and at most 100")
        #expect(fault("either", "65") == "is \"65\"; it must be auto or at least 1 and at most 64")
    }

    @Test func numbers() throws {
        #expect(try value("integer", "-5") == .integer(-5))
        #expect(try value("integer", "007") == .integer(7))
        #expect(try value("either", "auto") == .text("auto"))
        #expect(try value("either", "64") == .integer(64))
        #expect(fault("integer", "1.0") == "is \"1.0\"; it must be a whole number")
        #expect(fault("integer", "+1") == "is \"+1\"; it must be a whole number")
        #expect(fault("either", "atuo") == "is \"atuo\"; it must be auto or a whole number; did you mean \"auto\"?")
    }

    @Test func yesAndNo() throws {
        #expect(try value("boolean", "true") == .boolean(true))
        #expect(try value("boolean", "false") == .boolean(false))
        #expect(fault("boolean", "yes") == "is \"yes\"; it must be true or false")
    }

    @Test func words() throws {
        #expect(try value("choice", "green") == .text("green"))
        #expect(fault("choice", "gren") == "is \"gren\"; it must be red or green; did you mean \"green\"?")
    }

    @Test func permissionsMustBeQuoted() throws {
        #expect(try value("mode", "\"0660\"") == .fileMode(0o660))
        #expect(try value("mode", "'660'") == .fileMode(0o660))
        #expect(fault("mode", "0660") == "must be in quotes, so that it is read as octal: \"0660\"")
        #expect(fault("mode", "660") == "must be in quotes, so that it is read as octal: \"0660\"")
        #expect(fault("mode", "0o660") == "must be in quotes, so that it is read as octal: \"0660\"")
        let expectation = "it must be permission bits in octal, in quotes, such as \"0660\""
        #expect(fault("mode", "\"0668\"") == "is \"0668\"; \(expectation)")
        #expect(fault("mode", "\"-066\"") == "is \"-066\"; \(expectation)")
        #expect(fault("mode", "\"00660\"") == "is \"00660\"; \(expectation)")
    }

    @Test func textsKeepTheirLetters() throws {
        #expect(try value("text", "0123") == .text("0123"))
        #expect(try value("text", "1.50") == .text("1.50"))
        #expect(try value("text", "yes") == .text("yes"))
        #expect(try value("text", "\"null\"") == .text("null"))
        #expect(try value("text", "\"\"") == .text(""))
        #expect(try value("path", "/a b/c") == .text("/a b/c"))
        #expect(fault("text", "null") == "has no value; give it one, or remove the key")
    }

    @Test func longTextsInMessagesAreCut() {
        let long = String(repeating: "x", count: 5000)
        #expect(fault("boolean", long) == "is \"\(long.prefix(60))…\"; it must be true or false")
        #expect(fault("boolean", "\"a\\nb\"") == "is \"a\\nb\"; it must be true or false")
    }

    @Test func formattingReadsBack() {
        for bytes: UInt64 in [0, 1, 1023, 1024, 1536, 65_535, 1 << 20, 3 << 30, 1 << 60, .max] {
            #expect(parseSize(formatSize(bytes))?.value == bytes)
        }
        for time: Int64 in [0, 1, 999, 1000, 1_000_000, 90_000_000_000, 3_600_000_000_000, .max] {
            #expect(parseDuration(formatDuration(time))?.value == time)
        }
        #expect(formatSize(4 << 30) == "4GiB")
        #expect(formatDuration(90_000_000_000) == "90s")
    }

    @Test func editDistances() {
        #expect(editDistance(Array("sync".utf8), Array("fsnc".utf8)) == 2)
        #expect(editDistance(Array("atuo".utf8), Array("auto".utf8)) == 1)
        #expect(editDistance([], Array("abc".utf8)) == 3)
        #expect(nearest(to: "completely", among: ["other"]) == nil)
        #expect(nearest(to: String(repeating: "a", count: 65), among: [String(repeating: "a", count: 65)]) == nil)
    }
}
