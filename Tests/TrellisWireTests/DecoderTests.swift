// SPDX-License-Identifier: MIT

import Testing
import TrellisCore
import TrellisWire

/// Plays the server's part: gives a decoder bytes, answers its events, and writes down what it found.
struct DecoderDriver {
    var decoder = Decoder()
    var log: [String] = []
    private var kept: [UInt8] = []
    private var body: [UInt8] = []
    let largestBody: UInt32

    init(largestBody: UInt32 = 1000) { self.largestBody = largestBody }

    mutating func feed(_ bytes: some Collection<UInt8>) {
        kept.append(contentsOf: bytes)
        let input = kept
        var offset = 0
        input.withUnsafeBytes { input in
            while step(input, &offset) {}
        }
        kept.removeFirst(offset)
    }

    private mutating func step(_ input: UnsafeRawBufferPointer, _ offset: inout Int) -> Bool {
        switch decoder.next(input, &offset) {
        case .needsMore: return false
        case .command(let command):
            log.append(describe(command))
            if case .put(let line) = command, !line.hasTrailingBytes || line.size > largestBody {
                if line.size > largestBody {
                    decoder.swallow(UInt64(line.size) + 2)
                } else {
                    decoder.expectBody(line.size)
                }
            }
        case .fault(let fault): log.append(describe(.fault(fault)))
        case .bodyBytes(let part): body.append(contentsOf: part)
        case .bodyEnd(let endsWithCRLF):
            log.append("body \(String(decoding: body, as: UTF8.self)) \(endsWithCRLF ? "right" : "wrong")")
            body = []
        case .swallowed: log.append("swallowed")
        }
        return true
    }
}

@Suite struct DecoderTests {
    /// Everything a decoder can meet, one after the other.
    static let stream: [UInt8] = {
        var text = "put 1 2 3 5\r\nhello\r\nreserve\r\nput 0 0 0 0\r\n\r\nput 0 0 0 3\r\nabcdefdelete 1\r\n"
        text += "put 0 0 0 2000\r\n" + String(repeating: "z", count: 2002) + "stats\r\n"
        text += String(repeating: "l", count: 223) + "\r\n" + String(repeating: "m", count: 300) + "\r\n"
        text += "use a\nb\r\n\r\nuse fo\ro\r\nput 1 2 3 4 garbage\r\nabcd\r\nlist-tubes\r\n"
        text += "put 0 0 0 4\r\n\r\n\r\n\r\nkick 1\r\nput 0 0 0 1001\r\n" + String(repeating: "\r\n", count: 501) + "x"
        text += String(repeating: "n", count: 222) + "\r\nwatch t\r\nquit\r\n"
        return Array(text.utf8)
    }()

    static let expected: [String] = [
        "put 1 2 3 5", "body hello right", "reserve", "put 0 0 0 0", "body  right", "put 0 0 0 3", "body abc wrong",
        "UNKNOWN_COMMAND", "put 0 0 0 2000", "swallowed", "stats", "BAD_FORMAT", "BAD_FORMAT", "BAD_FORMAT",
        "UNKNOWN_COMMAND", "BAD_FORMAT", "put 1 2 3 4 trailing", "UNKNOWN_COMMAND", "list-tubes", "put 0 0 0 4",
        "body \r\n\r\n right", "kick 1", "put 0 0 0 1001", "swallowed", "UNKNOWN_COMMAND", "watch t", "quit",
    ]

    @Test func streamIsFoundWhole() {
        var driver = DecoderDriver()
        driver.feed(Self.stream)
        #expect(driver.log == Self.expected)
    }

    @Test func streamIsFoundByteByByte() {
        var driver = DecoderDriver()
        for byte in Self.stream { driver.feed([byte]) }
        #expect(driver.log == Self.expected)
    }

    @Test func streamIsFoundInEveryTwoParts() {
        for cut in 0...Self.stream.count {
            var driver = DecoderDriver()
            driver.feed(Self.stream[..<cut])
            driver.feed(Self.stream[cut...])
            #expect(driver.log == Self.expected, "cut at \(cut)")
        }
    }

    @Test(arguments: 1...200)
    func streamIsFoundInRandomCuts(_ seed: UInt64) {
        var state = seed
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        var driver = DecoderDriver()
        var position = 0
        while position < Self.stream.count {
            let end = min(Self.stream.count, position + next(next(2) == 0 ? 8 : 700))
            driver.feed(Self.stream[position..<end])
            position = end
        }
        #expect(driver.log == Self.expected)
    }

    @Test func lineOf224BytesIsTheLongest() {
        var driver = DecoderDriver()
        driver.feed(Array(("kick 1" + String(repeating: "j", count: 216) + "\r\n").utf8))
        driver.feed(Array(("kick 1" + String(repeating: "j", count: 217) + "\r\n").utf8))
        driver.feed(Array("stats\r\n".utf8))
        #expect(driver.log == ["kick 1", "BAD_FORMAT", "stats"])
    }

    @Test func longLineEndingRightBehindTheLimitSwallowsNoOther() {
        // CR is byte 224 and LF byte 225: the end of line lies across the limit.
        var driver = DecoderDriver()
        driver.feed(Array((String(repeating: "a", count: 223) + "\r\nstats\r\n").utf8))
        #expect(driver.log == ["BAD_FORMAT", "stats"])
    }

    @Test func bareNewlineNeverEndsALine() {
        var driver = DecoderDriver()
        driver.feed(Array("stats\nstats\n".utf8))
        #expect(driver.log == [])
        driver.feed(Array("\r\n".utf8))
        #expect(driver.log == ["BAD_FORMAT"])
    }

    @Test func bodyTakenStraightFromTheSocketIsCountedOff() {
        var decoder = Decoder()
        decoder.expectBody(10)
        #expect(decoder.bodyBytesLeft == 10)
        decoder.tookBodyBytes(10)
        #expect(decoder.bodyBytesLeft == 0)
        var offset = 0
        let event = Array("\r\n".utf8).withUnsafeBytes { decoder.next($0, &offset) }
        guard case .bodyEnd(true) = event else {
            Issue.record("the end of the body wasn't found")
            return
        }
    }

    @Test func swallowingCountsBeyond32Bits() {
        var decoder = Decoder()
        let size = UInt64(UInt32.max) + 2
        decoder.swallow(size)
        let chunk = [UInt8](repeating: 7, count: 1 << 26)
        var left = size
        var ended = false
        chunk.withUnsafeBytes { chunk in
            while left > 0 {
                let part = UnsafeRawBufferPointer(rebasing: chunk[..<Int(min(left, UInt64(chunk.count)))])
                var offset = 0
                if case .swallowed = decoder.next(part, &offset) { ended = true }
                left -= UInt64(offset)
                #expect(offset == part.count)
                #expect(ended == (left == 0))
            }
        }
        #expect(ended)
    }
}
