// SPDX-License-Identifier: MIT

import Testing
import TrellisConfiguration

/// Texts that are no YAML, or more of it than a configuration may use.
@Suite struct SyntaxTests {
    @Test(arguments: [
        ("a: b: c\n", "trellis.yaml:1:5: not valid YAML: mapping values are not allowed in this context"),
        (
            "log:\n  level: \"info\n",
            "trellis.yaml:3:1: not valid YAML: found unexpected end of stream "
                + "(while scanning a quoted scalar that began at line 2)"
        ),
        (
            "transports:\n  - use: tcp\n    listen: *:11300\n",
            "trellis.yaml:3:14: not valid YAML: did not find expected alphabetic or numeric character "
                + "(while scanning an alias); a value that begins with * must be in quotes"
        ),
        (
            "transports:\n  - use: tcp\n    listen: [::1]:11300\n",
            "trellis.yaml:3:14: not valid YAML: did not find expected node content (while parsing a flow node); "
                + "a value that begins with [ must be in quotes"
        ),
        (
            "log:\n\tlevel: info\n",
            "trellis.yaml:2:1: not valid YAML: found character that cannot start any token "
                + "(while scanning for the next token); indent with spaces, not tabs"
        ),
        ("user: a\n---\nuser: b\n", "trellis.yaml:2:1: a second document begins here; a configuration is one document"),
        ("user: a\u{0}b\n", "trellis.yaml:1:8: the character U+0000 may not be in a YAML file"),
        ("? [a, b]\n: c\n", "trellis.yaml:1:3: a key must be a word"),
        ("user: !secret x\n", "trellis.yaml:1:7: tags (!name) are not supported; write the value without it"),
    ])
    func isToldWithItsPlace(text: String, message: String) {
        #expect(errors(text) == [message])
    }

    private static let anchor = "anchors (&name) and aliases (*name) are not supported; write the value out"

    @Test func anchorsAndAliasesAreRefused() {
        #expect(errors("log: &a\n  level: info\n") == ["trellis.yaml:1:6: \(Self.anchor)"])
        #expect(errors("user: &a x\nlog: {level: *a}\n").first == "trellis.yaml:1:7: \(Self.anchor)")
        #expect(errors("user: *a\n") == ["trellis.yaml:1:7: \(Self.anchor)"])
        #expect(errors("&a user: x\n") == ["trellis.yaml:1:1: \(Self.anchor)"])
    }

    @Test func ampersandsAndAsterisksInTextsAreFine() throws {
        let text = "# R&D *bold* *b* *c* *d* *e*\nuser: \"a &b\"\ntransports: [{use: tcp, listen: '*:11300'}]\n"
        // An anchor and many aliases, as far as counting goes: refused without a look at what they are.
        #expect(errors(text) == ["trellis.yaml:2:10: \(Self.anchor)"])
        #expect(try load(text.replacing("*e*", with: "")).user == "a &b")
        #expect(try load(text.replacing("a &b", with: "a&b")).user == "a&b")
        #expect(try load(text.replacing("&", with: "+")).user == "a +b")
    }

    /// Nine levels of nine aliases each: 387 million nodes when they are followed.
    @Test func aBillionLaughsCostNothing() {
        var text = "a: &a [x, x, x, x, x, x, x, x, x]\n"
        for (from, to) in zip("abcdefgh", "bcdefghi") {
            text += "\(to): &\(to) [" + Array(repeating: "*\(from)", count: 9).joined(separator: ", ") + "]\n"
        }
        // As a key it would be hashed node by node.
        text += "? *i\n: x\n"
        var found: [String] = []
        let time = ContinuousClock().measure { found = errors(text) }
        #expect(found == ["trellis.yaml:1:4: \(Self.anchor)"])
        #expect(time < .seconds(2))
    }

    @Test func aFewAliasesCannotMultiply() {
        let text = "a: &a {x: y}\nb: &b {? *a : *a}\nc: &c {? *b : *b}\n"
        #expect(errors(text).contains("trellis.yaml:1:4: \(Self.anchor)"))
    }

    @Test(arguments: ["[", "{", "[{", "- ", "? ", "&a [", "a: [", "-\n "])
    func deepNestingIsRefusedWithoutRecursion(unit: String) {
        for count in [600, 100_000] {
            let found = errors(String(repeating: unit, count: count))
            #expect(found.count == 1)
        }
    }

    @Test func nestingHasItsOwnMessages() {
        #expect(
            errors(String(repeating: "[", count: 100_000))
                == ["trellis.yaml:1:513: more than 512 brackets ([ and {): a configuration needs a handful"])
        #expect(
            errors(String(repeating: "- ", count: 50_000))
                == ["trellis.yaml:1:129: the line is indented by more than 128 characters"])
        #expect(
            errors("limits: \(String(repeating: "[", count: 9))\(String(repeating: "]", count: 9))\n")
                .contains("trellis.yaml:1:16: nested too deep: a configuration has at most 3 levels"))
    }

    @Test func aLargeFileIsRefused() {
        let most = 1 << 20
        #expect(errors(String(repeating: "#", count: most)) == [])
        #expect(
            errors(String(repeating: "#", count: most + 1))
                == ["trellis.yaml: the file is larger than 1MiB; a configuration never is"])
    }

    @Test func textThatIsNotUTF8HasItsPlace() {
        #expect(
            errors(bytes: Array("user: a\nlog: é".utf8) + [0xFF, 0x0A])
                == ["trellis.yaml:2:7: not UTF-8 from here on; save the file as UTF-8"])
        #expect(
            errors(bytes: [0xFF, 0xFE, 0x61, 0]) == ["trellis.yaml:1:1: not UTF-8 from here on; save the file as UTF-8"]
        )
        #expect(errors(bytes: Array("user: é".utf8.dropLast())).count == 1)
    }

    @Test(arguments: [
        "", "\n", "# nothing\n", "---\n", "---\n...\n", "~\n", "{}\n", "\u{FEFF}", "storage:\nlimits: {}\n",
    ])
    func anEmptyFileMeansTheDefaults(text: String) throws {
        #expect(try load(text).values == load(nil).values)
    }

    @Test func aByteOrderMarkAndCarriageReturnsAreFine() throws {
        #expect(try load("\u{FEFF}user: a\r\nlog:\r\n  level: info\r\n").logLevel == "info")
        #expect(
            errors("\u{FEFF}usr: a\r\nlgo: b\r\n").map { String($0.prefix(16)) } == [
                "trellis.yaml:1:1", "trellis.yaml:2:1",
            ])
    }
}
