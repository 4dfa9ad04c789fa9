// SPDX-License-Identifier: MIT

import Testing
import TrellisCore
import TrellisWire

@Suite struct ReplyEncoderTests {
    @Test func everyReplyIsWrittenAsClientsReadIt() throws {
        var bodies = BodyAllocator()
        let copied = Array("hello".utf8).withUnsafeBytes { bodies.copy($0) }
        let body = try #require(copied)
        defer { bodies.release(body) }
        let cases: [(Reply, String)] = [
            (.inserted(JobID(1)), "INSERTED 1\r\n"), (.inserted(JobID(.max)), "INSERTED 18446744073709551615\r\n"),
            (.inserted(JobID(9)), "INSERTED 9\r\n"), (.inserted(JobID(10)), "INSERTED 10\r\n"),
            (.inserted(JobID(9_999_999_999_999_999_999)), "INSERTED 9999999999999999999\r\n"),
            (.inserted(JobID(10_000_000_000_000_000_000)), "INSERTED 10000000000000000000\r\n"),
            (.buriedOnPut(JobID(5)), "BURIED 5\r\n"), (.expectedCRLF, "EXPECTED_CRLF\r\n"),
            (.jobTooBig, "JOB_TOO_BIG\r\n"), (.draining, "DRAINING\r\n"), (.outOfMemory, "OUT_OF_MEMORY\r\n"),
            (.internalError, "INTERNAL_ERROR\r\n"), (.badFormat, "BAD_FORMAT\r\n"),
            (.unknownCommand, "UNKNOWN_COMMAND\r\n"), (.notFound, "NOT_FOUND\r\n"), (.notIgnored, "NOT_IGNORED\r\n"),
            (.deleted, "DELETED\r\n"), (.released, "RELEASED\r\n"), (.buried, "BURIED\r\n"), (.touched, "TOUCHED\r\n"),
            (.kickedJob, "KICKED\r\n"), (.kicked(0), "KICKED 0\r\n"), (.kicked(.max), "KICKED 4294967295\r\n"),
            (.paused, "PAUSED\r\n"), (.deadlineSoon, "DEADLINE_SOON\r\n"), (.timedOut, "TIMED_OUT\r\n"),
            (.watching(3), "WATCHING 3\r\n"), (.using(body), "USING hello\r\n"), (.ok(body), "OK 5\r\nhello\r\n"),
            (.found(JobID(7), body), "FOUND 7 5\r\nhello\r\n"),
            (.reserved(JobID(.max), body), "RESERVED 18446744073709551615 5\r\nhello\r\n"),
        ]
        for (reply, expected) in cases {
            #expect(String(decoding: ReplyEncoder.encode(reply), as: UTF8.self) == expected)
        }
    }

    @Test func numbersOfEveryLengthAreWhole() {
        var power: UInt64 = 1
        for _ in 0..<19 {
            for number in [power - 1, power, power + 1, power &* 9, power / 3] {
                #expect(
                    String(decoding: ReplyEncoder.encode(.inserted(JobID(number))), as: UTF8.self)
                        == "INSERTED \(number)\r\n")
            }
            power *= 10
        }
        for number in 0..<12_000 as Range<UInt64> {
            let encoded = String(decoding: ReplyEncoder.encode(.inserted(JobID(number))), as: UTF8.self)
            if encoded != "INSERTED \(number)\r\n" { Issue.record("\(number) became \(encoded)") }
        }
    }

    @Test func longestHeadFits() throws {
        var bodies = BodyAllocator()
        let allocated = bodies.allocate(1 << 30)
        let body = try #require(allocated)
        defer { bodies.release(body) }
        var head = [UInt8](repeating: 0, count: 256)
        let length = head.withUnsafeMutableBytes { bytes in
            bytes.baseAddress.map { ReplyEncoder.encodeHead(of: .reserved(JobID(.max), body), to: $0) } ?? 0
        }
        #expect(String(decoding: head[..<length], as: UTF8.self) == "RESERVED 18446744073709551615 1073741824\r\n")
        #expect(length <= ReplyEncoder.headBytes)
    }
}
