// SPDX-License-Identifier: MIT

import Testing

/// Each rule finds what is planted, and leaves alone what only looks like it.
struct RuleTests {
    private func text(_ text: String, at path: String = "Sources/TrellisCore/A.swift") -> SourceText {
        SourceText(path, text)
    }

    private func words(_ line: String, at path: String = "Sources/TrellisServer/A.swift") -> [String] {
        WordRule.check(text(line + "\n", at: path)).map(\.message)
    }

    // MARK: Code and not code

    @Test(arguments: [
        ("a // b", "a     "),
        ("a /* b /* c */ d */ e", "a                   e"),
        (#"f("x { y") {"#, #"f("     ") {"#),
        (#"f("x\"{") {"#, #"f("    ") {"#),
        (#"f("a\(g("{") { 1 })b") }"#, #"f("  (g(" ") { 1 }) ") }"#),
        (##"f(#"a"{\#(b)"#) {"##, ##"f(#"     (b)"#) {"##),
        (#""// no comment" {"#, #""             " {"#),
        ("\"\"\"\n{ \"x\" {\n\"\"\" {", "\"\"\"\n       \n\"\"\" {"),
        ("\"open\n{", "\"    \n{"),
    ])
    func literalsAndCommentsAreBlanked(_ code: String, _ expected: String) {
        #expect(text(code).codeLines.joined(separator: "\n") == expected)
    }

    // MARK: Imports

    @Test(arguments: [
        ("internal import TrellisWire", "TrellisCore must not import TrellisWire"),
        ("@preconcurrency public import Foundation", "TrellisCore must not import Foundation"),
        ("@_spi(X) import struct Synchronization.Mutex", "TrellisCore must not import Synchronization"),
        ("import MemoryStorage", "TrellisCore must not import MemoryStorage"),
        ("import Unheard", "TrellisCore must not import Unheard"),
    ])
    func forbiddenImportIsFound(_ line: String, _ message: String) {
        let found = ImportRule.check(text("// x\n\n\(line)\n"))
        #expect(found.map(\.description) == ["Sources/TrellisCore/A.swift:3: \(message)"])
    }

    @Test func allowedImportIsNot() {
        #expect(ImportRule.check(text("import Glibc\n// import TrellisWire\nlet s = \"import Yams\"\n")).isEmpty)
        let server = "public import TrellisCore\ninternal import CLinux\nimport Logging\nimport Synchronization\n"
        #expect(ImportRule.check(text(server, at: "Sources/TrellisServer/A.swift")).isEmpty)
        let transport = text("internal import TrellisSockets\n", at: "Plugins/TCPTransport/A.swift")
        #expect(ImportRule.check(transport).isEmpty)
        #expect(ImportRule.check(text("import MemoryStorage\n", at: "Sources/TrellisMain/A.swift")).isEmpty)
        #expect(ImportRule.check(text("@testable import TrellisWire\n", at: "Tests/TrellisCoreTests/A.swift")).isEmpty)
    }

    @Test func pluginMustNotImportAnotherOrTheServer() {
        let plugin = text("import TrellisServer\nimport MemoryStorage\n", at: "Plugins/UnixTransport/A.swift")
        #expect(ImportRule.check(plugin).map(\.line) == [1, 2])
        let server = text("import TCPTransport\n", at: "Sources/TrellisServer/A.swift")
        #expect(ImportRule.check(server).count == 1)
    }

    @Test func testableImportInASourceIsFound() {
        let source = text("@testable import TrellisCore\n", at: "Sources/TrellisWire/A.swift")
        #expect(ImportRule.check(source).map(\.message) == ["@testable import is for tests"])
    }

    @Test func targetWithoutARowIsFound() {
        #expect(ImportRule.check(text("import Glibc\n", at: "Plugins/NewStorage/A.swift")).count == 1)
    }

    // MARK: Lengths

    @Test func longFileIsFound() {
        let longest = String(repeating: "x\n", count: LengthRule.fileLines)
        #expect(LengthRule.checkFile(text(longest)).isEmpty)
        #expect(LengthRule.checkFile(text(longest + "x\n")).map(\.line) == [501])
        #expect(LengthRule.checkFile(text(longest + "x\n", at: "docs/a.md")).isEmpty)
    }

    @Test func longFunctionIsFound() {
        func function(_ lines: Int) -> String {
            "struct S {\n    func f(\n        _ x: Int\n    ) -> Int {\n"
                + String(repeating: "        g { \"}\" }\n", count: lines - 4) + "    }\n}\n"
        }
        #expect(LengthRule.checkFunctions(text(function(70))).isEmpty)
        let found = LengthRule.checkFunctions(text(function(71)))
        #expect(found.map(\.line) == [2])
        #expect(found.map(\.message) == ["f has 71 lines; a function has at most 70"])
    }

    @Test func functionsAreMeasured() {
        let source = """
            protocol P {
                func required(_ f: () -> Void)
                init(x: Int)
                subscript(_ i: Int) -> Int { get }
                func last() -> Int
            }
            extension P {
                init() { self.init(x: 1) }
                public init?(y: Int = { 1 }()) throws(E) where Self: Q
                {
                    let s = S.init(x: 1) { 2 }
                    func inner() {
                    }
                }
                static func == (a: Self, b: Self) -> Bool {
                    true
                }
            }
            """
        let expected: [LengthRule.Function] = [
            .init(name: "subscript", firstLine: 4, lines: 1),
            .init(name: "init", firstLine: 8, lines: 1),
            .init(name: "init", firstLine: 9, lines: 6),
            .init(name: "inner", firstLine: 12, lines: 2),
            .init(name: "operator", firstLine: 15, lines: 3),
        ]
        let found = LengthRule.functions(in: text(source))
        #expect(found == expected)
    }

    // MARK: Words

    @Test(arguments: [
        "let x = try! f()", "// TODO later", "/// FIXME: x", "fatalError(\"not done\")", "fatalError(\"TODO x\")",
        "print(1)", "  debugPrint(1)", "final class A: @unchecked Sendable {", "let x = 1 ", "\t", "import XCTest",
    ])
    func bannedWordIsFound(_ line: String) {
        #expect(!words(line).isEmpty)
    }

    @Test(arguments: [
        "let x = \"try! f()\"", "// the customs of TODOs", "fatalError(\"the slot is free\")", "footprint(1)",
        "log.print(1)", "final class Monitor<Value>: @unchecked Sendable {", "let method = 1", "let s = \"print(1)\"",
    ])
    func whatLooksLikeABannedWordIsNot(_ line: String) {
        #expect(words(line).isEmpty)
    }

    @Test func programMayPrint() {
        #expect(words("print(1)", at: "Sources/trellis/A.swift").isEmpty)
        #expect(!words("print(1)", at: "Plugins/MemoryStorage/A.swift").isEmpty)
    }

    @Test func pureLayersMustNotReachOut() {
        for line in ["let t = ContinuousClock.now", "pthread_mutex_lock(m)", "let x = Int.random(in: 0..<1)"] {
            #expect(!words(line, at: "Sources/TrellisCore/A.swift").isEmpty)
            #expect(words(line, at: "Sources/TrellisServer/A.swift").isEmpty)
        }
    }

    @Test func lastLineMustEnd() {
        #expect(WordRule.check(text("let x = 1")).map(\.message) == ["no line end at the end of the file"])
        #expect(WordRule.check(text("let x = 1\r\n")).isEmpty)
    }

    // MARK: Files

    @Test func missingLicenceIsFound() {
        #expect(FileRules.checkLicence(text("import Glibc\n")).map(\.line) == [1])
        #expect(FileRules.checkLicence(text("// SPDX-License-Identifier: MIT\n")).isEmpty)
        #expect(FileRules.checkLicence(text("// swift-tools-version: 6.2\n", at: "Package.swift")).map(\.line) == [2])
        #expect(FileRules.checkLicence(text("#!/bin/sh\n# SPDX-License-Identifier: MIT\n", at: ".ci/run")).isEmpty)
        #expect(FileRules.checkLicence(text("#!/bin/sh\nset -e\n", at: ".ci/run")).map(\.line) == [2])
        #expect(FileRules.checkLicence(text("run:\n", at: "Makefile")).map(\.line) == [1])
        #expect(FileRules.checkLicence(text("# A page\n", at: "docs/a.md")).isEmpty)
    }

    @Test func fileWithoutATargetIsFound() {
        let manifest = """
            .target(name: "CLinux"), source("TrellisCore", ["B"]), program(
                "trellisd", []), tests("Tidy", []), plugin("MemoryStorage"), .systemLibrary(name: "CZstd"),
            .product(name: "Logging", package: "swift-log")
            """
        let targets = FileRules.targets(inManifest: text(manifest, at: "Package.swift"))
        #expect(targets == ["CLinux", "TrellisCore", "trellisd", "Tidy", "MemoryStorage", "CZstd"])
        func found(_ path: String) -> Int { FileRules.checkMembership(text("", at: path), targets: targets).count }
        #expect(found("Sources/TrellisCore/Sub/A.swift") == 0)
        #expect(found("Sources/TrellisCor/A.swift") == 1)
        #expect(found("Sources/A.swift") == 1)
        #expect(found("Tests/LostTests/A.swift") == 1)
        #expect(found("Tests/Fuzz/Sources/FuzzWire/A.swift") == 0)
    }

    @Test func misnumberedDecisionIsFound() {
        func found(_ names: String...) -> [String] {
            FileRules.checkDecisions(names.map { text("# Title\n", at: "docs/decisions/\($0).md") }).map(\.message)
        }
        #expect(found("0002-b", "0001-a").isEmpty)
        #expect(found("0001-a", "0003-c") == ["number 3 where 2 is due"])
        #expect(found("0001-a", "0001-b") == ["number 1 where 2 is due"])
        #expect(found("notes") == ["a decision is named NNNN-its-title.md"])
        #expect(FileRules.checkDecisions([text("Title\n", at: "docs/decisions/0001-a.md")]).count == 1)
    }

    @Test func deadLinkIsFound() {
        let files = ["README.md": "# The one, heading\n", "docs": "", "docs/b.md": "x\n"]
        func found(_ line: String, at path: String = "docs/a.md") -> [String] {
            LinkRule.check(text(line, at: path)) { files[$0] }.map(\.message)
        }
        #expect(found("[a](b.md), [b](../README.md#the-one-heading) [c](../docs/)").isEmpty)
        #expect(found("[a](https://x.org/y) [b](mailto:a@b)").isEmpty)
        #expect(found("[a](c.md)") == ["c.md leads nowhere"])
        #expect(found("![a](../docs/c.png \"title\")") == ["../docs/c.png leads nowhere"])
        #expect(found("[a](../../x.md)") == ["../../x.md leads out of the repository"])
        #expect(found("[a](../README.md#two)") == ["../README.md#two names no heading of README.md"])
        #expect(found("# One\n[a](#one) [b](#two)") == ["#two names no heading of docs/a.md"])
        #expect(found("`[a](c.md)`\n```\n[a](c.md)\n```\n").isEmpty)
    }
}
