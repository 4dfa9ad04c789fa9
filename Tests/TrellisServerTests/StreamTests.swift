// SPDX-License-Identifier: MIT

import Foundation
import Synchronization
import Testing
import TrellisCore
import TrellisServer

/// A stream over a descriptor that takes in all there is and hands it out in small pieces, as a TLS library does.
private final class ReadAheadStream: ByteStream {
    private let descriptor: Int32
    private var ahead: [UInt8] = []

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    }

    var readiness: Readiness { .descriptor(descriptor) }
    var hasBufferedInput: Bool { !ahead.isEmpty }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> TransferOutcome {
        if ahead.isEmpty {
            var bytes = [UInt8](repeating: 0, count: 65_536)
            let count = Glibc.read(descriptor, &bytes, bytes.count)
            if count == 0 { return .end }
            if count < 0 { return errno == EAGAIN ? .againWhenReadable : .failed(errno) }
            ahead = Array(bytes[..<count])
        }
        let count = min(7, ahead.count, buffer.count)
        buffer.copyBytes(from: ahead[..<count])
        ahead.removeFirst(count)
        return .bytes(count)
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> TransferOutcome {
        let count = Glibc.write(descriptor, bytes.baseAddress, bytes.count)
        if count >= 0 { return .bytes(count) }
        return errno == EAGAIN ? .againWhenWritable : .failed(errno)
    }

    func close() { _ = Glibc.close(descriptor) }
}

/// Hands out the server's ends of socket pairs.
private final class PairTransport: Transport, Listener {
    private let waiting: Int32
    private let served: Int32
    private var hasServed = false

    init(pair: (Int32, Int32)) { (waiting, served) = pair }

    func open() throws(TransportError) -> [any Listener] { [self] }
    var endpoint: String { "pair" }
    /// One end of a pair of its own, with a byte in it: a connection waits.
    var readiness: Readiness { .descriptor(waiting) }

    func accept() -> AcceptOutcome {
        var byte: UInt8 = 0
        guard recv(waiting, &byte, 1, Int32(MSG_DONTWAIT)) == 1, !hasServed else { return .again }
        hasServed = true
        return .stream(ReadAheadStream(served), .unknown)
    }

    func close() {}
}

@Suite struct StreamTests {
    @Test(arguments: ServerHarness.threadCounts) func streamOverADescriptorThatReadsAheadIsReadToItsEnd(
        threads: Int
    ) throws {
        var bell: [Int32] = [0, 0]
        var line: [Int32] = [0, 0]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &bell) == 0)
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &line) == 0)
        let server = try ServerHarness(threads: threads, more: [PairTransport(pair: (bell[0], line[0]))])
        #expect(write(bell[1], "x", 1) == 1)
        let commands = 500
        let text = String(repeating: "list-tube-used\r\n", count: commands)
        #expect(write(line[1], text, text.utf8.count) == text.utf8.count)
        let expected = String(repeating: "USING default\r\n", count: commands)
        var got = ""
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while got.utf8.count < expected.utf8.count {
            var wait = pollfd(fd: line[1], events: Int16(POLLIN), revents: 0)
            try #require(poll(&wait, 1, 10_000) == 1, "the server stopped reading after \(got.utf8.count) bytes")
            let count = read(line[1], &buffer, buffer.count)
            try #require(count > 0)
            got += String(decoding: buffer[..<count], as: UTF8.self)
        }
        #expect(got == expected)
        close(line[1])
        try server.stop()
        close(bell[0])
        close(bell[1])
    }
}
