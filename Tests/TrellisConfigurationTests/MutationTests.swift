// SPDX-License-Identifier: MIT

import Testing
import TrellisConfiguration

/// A generator of one seed: the same numbers in every run.
private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// No bytes make the reader trap, and what it accepts reads back from its effective page.
@Suite struct MutationTests {
    private static let seeds = [
        Configuration.defaultsPage(plugins: Samples.plugins),
        "storage:\n  use: binlog\n  directory: \"d\\x41\\u00e9\"\n  sync: 50ms\ntransports:\n  - {use: unix, path: 'it''s'}\n",
        "storage: {use: everything, mode: \"0660\", text: *x, wait: 5m}\nlog: &a {level: info}\nuser: |\n  a\n  b\n",
        "tubes:\n  \"a.*\": {weight: 3, rate: 10/s}\n  \"b?\": {concurrency: 5}\n  c: {objective: 90s}\n  \"*\":\n",
        "? user\n: !!str x\nlimits: {job-size: 1, job-size: 2, ? [a] : b}\n---\n",
    ]
    private static let fragments = [
        "[", "{", "}", "]", "&a ", "*a", "? ", ": ", "- ", "\"", "'", "\n", "\n  ", "#", "|\n", ">", "!t ", "%", "~",
        "user", "use: ", "\u{FEFF}", "\u{2028}", "\u{E000}", "---\n", "...\n", "\\", "\t", "0", "<<",
    ].map { Array($0.utf8) }

    @Test(arguments: 0..<8)
    func randomChangesNeverTrap(seed: UInt64) {
        var random = SeededGenerator(state: seed)
        var accepted = 0
        for _ in 0..<400 {
            var bytes = Array((Self.seeds.randomElement(using: &random) ?? "").utf8)
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let place = Int.random(in: 0...bytes.count, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
                case 1: bytes.insert(contentsOf: Self.fragments.randomElement(using: &random) ?? [], at: place)
                case 2: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...20, using: &random)))
                case 3:
                    let length = Int.random(in: 1...60, using: &random)
                    let from = Int.random(in: 0...bytes.count, using: &random)
                    bytes.insert(contentsOf: bytes[from..<min(bytes.count, from + length)], at: place)
                default: if place < bytes.count { bytes[place] = UInt8.random(in: 0x20...0x7E, using: &random) }
                }
            }
            if bytes.withUnsafeBytes({ Configuration.exercise($0, plugins: Samples.plugins) }) { accepted += 1 }
        }
        // The changes are small enough that some files stay right; else the second reading would prove nothing.
        #expect(accepted > 0)
    }

    @Test func randomBytesNeverTrap() {
        var random = SeededGenerator(state: 42)
        for length in 0..<300 {
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            bytes.withUnsafeBytes { _ = Configuration.exercise($0, plugins: Samples.plugins) }
            let text = (0..<length / 3).flatMap { _ in Self.fragments.randomElement(using: &random) ?? [] }
            text.withUnsafeBytes { _ = Configuration.exercise($0, plugins: Samples.plugins) }
        }
    }
}
