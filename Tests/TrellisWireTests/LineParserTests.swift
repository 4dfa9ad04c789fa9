// SPDX-License-Identifier: MIT

import Testing
import TrellisCore
import TrellisWire

/// A command in words, so that expectations can be written down.
func describe(_ parsed: ParsedLine) -> String {
    switch parsed {
    case .fault(.badFormat): "BAD_FORMAT"
    case .fault(.unknownCommand): "UNKNOWN_COMMAND"
    case .command(let command): describe(command)
    }
}

func describe(_ command: Command) -> String {
    func text(_ name: BorrowedName) -> String { String(decoding: name.bytes, as: UTF8.self) }
    switch command {
    case .put(let line):
        return "put \(line.priority) \(line.delay) \(line.ttr) \(line.size)"
            + (line.hasTrailingBytes ? " trailing" : "")
    case .reserve: return "reserve"
    case .reserveWithTimeout(let seconds): return "reserve-with-timeout \(seconds)"
    case .reserveJob(let id): return "reserve-job \(id.rawValue)"
    case .delete(let id): return "delete \(id.rawValue)"
    case .release(let id, let priority, let delay): return "release \(id.rawValue) \(priority) \(delay)"
    case .bury(let id, let priority): return "bury \(id.rawValue) \(priority)"
    case .touch(let id): return "touch \(id.rawValue)"
    case .use(let name): return "use \(text(name))"
    case .watch(let name): return "watch \(text(name))"
    case .ignore(let name): return "ignore \(text(name))"
    case .peek(let id): return "peek \(id.rawValue)"
    case .peekReady: return "peek-ready"
    case .peekDelayed: return "peek-delayed"
    case .peekBuried: return "peek-buried"
    case .kick(let bound): return "kick \(bound)"
    case .kickJob(let id): return "kick-job \(id.rawValue)"
    case .stats: return "stats"
    case .statsJob(let id): return "stats-job \(id.rawValue)"
    case .statsTube(let name): return "stats-tube \(text(name))"
    case .listTubes: return "list-tubes"
    case .listTubeUsed: return "list-tube-used"
    case .listTubesWatched: return "list-tubes-watched"
    case .pauseTube(let name, let seconds): return "pause-tube \(text(name)) \(seconds)"
    case .pauseTubeMisnamed: return "pause-tube misnamed"
    case .quit: return "quit"
    }
}

@Suite struct LineParserTests {
    func parse(_ line: String) -> String {
        Array("\(line)\r".utf8).withUnsafeBytes { describe(LineParser.parse($0)) }
    }

    @Test(arguments: [
        "put 0 0 0 0", "put 4294967295 4294967295 4294967295 4294967295", "reserve", "reserve-with-timeout 0",
        "reserve-with-timeout 2147483647", "reserve-job 18446744073709551615", "delete 1", "release 1 2 3", "bury 1 2",
        "touch 1", "use a", "watch A-Z+0/9;.$_()", "ignore default", "peek 7", "peek-ready", "peek-delayed",
        "peek-buried", "kick 10", "kick-job 10", "stats", "stats-job 3", "stats-tube default", "list-tubes",
        "list-tube-used", "list-tubes-watched", "pause-tube t 5", "quit",
    ])
    func wellFormedLineIsRead(_ line: String) {
        #expect(parse(line) == line)
    }

    @Test(arguments: [
        // Prefixes.
        ("quitfoo", "quit"), ("quit now", "quit"), ("pause-tubefoo 0", "pause-tube foo 0"),
        ("pause-tube   foo   7", "pause-tube foo 7"), ("delete", "UNKNOWN_COMMAND"), ("bury", "UNKNOWN_COMMAND"),
        ("reserve-with-timeout", "BAD_FORMAT"), ("reserve-job", "BAD_FORMAT"), ("reserved", "BAD_FORMAT"),
        ("stats-tube", "BAD_FORMAT"), ("stats-job", "BAD_FORMAT"), ("statsfoo", "BAD_FORMAT"),
        ("list-tubes-watchedx", "BAD_FORMAT"), ("list-tube-usedx", "BAD_FORMAT"), ("list-tubesx", "BAD_FORMAT"),
        ("peek-ready ", "BAD_FORMAT"), ("peek-foo", "UNKNOWN_COMMAND"), ("peek", "UNKNOWN_COMMAND"),
        ("pause-tube", "BAD_FORMAT"), ("pause-tube foo", "BAD_FORMAT"), ("kick-foo", "UNKNOWN_COMMAND"),
        ("", "UNKNOWN_COMMAND"), (" ", "UNKNOWN_COMMAND"), ("PUT 1 1 1 1", "UNKNOWN_COMMAND"),
        ("put", "UNKNOWN_COMMAND"), ("put ", "BAD_FORMAT"), ("use", "UNKNOWN_COMMAND"), ("use ", "BAD_FORMAT"),
        // Numbers.
        ("put    1  2  3  4", "put 1 2 3 4"), ("put 1 2 3 4 ", "put 1 2 3 4 trailing"),
        ("put 1 2 3 4x", "put 1 2 3 4 trailing"), ("put 4294967296 0 0 0", "BAD_FORMAT"),
        ("put -1 0 0 0", "BAD_FORMAT"), ("put 1 2 3", "BAD_FORMAT"), ("put 1\t2 3 4", "BAD_FORMAT"),
        ("delete 18446744073709551615", "delete 18446744073709551615"), ("delete 18446744073709551616", "BAD_FORMAT"),
        ("delete 00000000000000000000000001", "delete 1"), ("delete 99999999999999999999", "BAD_FORMAT"),
        ("delete  1", "delete 1"), ("delete 1 ", "BAD_FORMAT"), ("delete +1", "BAD_FORMAT"), ("delete x", "BAD_FORMAT"),
        ("touch 1x", "BAD_FORMAT"), ("release 1 2", "BAD_FORMAT"), ("release 1 2 3 4", "BAD_FORMAT"),
        ("bury 1", "BAD_FORMAT"), ("reserve-with-timeout 0x", "reserve-with-timeout 0"),
        ("reserve-with-timeout 2147483648", "BAD_FORMAT"), ("reserve-with-timeout -1", "BAD_FORMAT"),
        // As strtoul.
        ("kick 1junk", "kick 1"), ("kick -1", "kick 4294967295"), ("kick 4294967296", "kick 0"),
        ("kick 4294967297", "kick 1"), ("kick \t +5", "kick 5"), ("kick 18446744073709551616", "BAD_FORMAT"),
        ("kick -18446744073709551615", "kick 1"), ("kick x", "BAD_FORMAT"), ("kick ", "BAD_FORMAT"),
        ("kick - 1", "BAD_FORMAT"), ("kick 18446744073709551615", "kick 4294967295"),
        // Names.
        ("use  a", "BAD_FORMAT"), ("use a ", "BAD_FORMAT"), ("use -a", "BAD_FORMAT"), ("use a-", "use a-"),
        ("use a,b", "BAD_FORMAT"), ("watch \u{e9}", "BAD_FORMAT"), ("pause-tube -a 0", "pause-tube misnamed"),
        ("pause-tube -a x", "BAD_FORMAT"), ("pause-tube a,b 0", "BAD_FORMAT"), ("pause-tube a 1 ", "BAD_FORMAT"),
        // NUL and CR win over everything.
        ("quit\0", "BAD_FORMAT"), ("nonsense\0", "BAD_FORMAT"), ("kick 1\0", "BAD_FORMAT"),
        ("put 1 2 3 4\r", "BAD_FORMAT"), ("reserve-with-timeout 0\rx", "BAD_FORMAT"), ("quit\rx", "BAD_FORMAT"),
        ("use fo\ro", "BAD_FORMAT"), ("pause-tube -a\0 0", "BAD_FORMAT"),
    ])
    func oddLineIsReadAsTheReferenceDoes(_ line: String, _ expected: String) {
        #expect(parse(line) == expected)
    }

    @Test func nameMayHave200BytesAndNoMore() {
        let longest = String(repeating: "n", count: 200)
        #expect(parse("use \(longest)") == "use \(longest)")
        #expect(parse("use \(longest)n") == "BAD_FORMAT")
        #expect(parse("pause-tube \(longest)n 0") == "pause-tube misnamed")
    }

    @Test func everyCutOfALineIsReadWithoutReadingBeyondIt() {
        // Each prefix in memory of its own, so that the address sanitizer sees a read beyond it.
        for line in ["put 10 20 30 40", "reserve-with-timeout 10", "pause-tube abc 10", "kick  -10", "release 1 2 3"] {
            for length in 0...line.utf8.count {
                let bytes = Array(line.utf8.prefix(length))
                let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: length + 1, alignment: 1)
                defer { copy.deallocate() }
                copy.copyBytes(from: bytes + [13])
                let expected = describe(LineParser.parse(UnsafeRawBufferPointer(copy)))
                #expect(expected == parse(String(decoding: bytes, as: UTF8.self)))
            }
        }
    }
}
