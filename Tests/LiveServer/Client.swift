// SPDX-License-Identifier: MIT

import Glibc

/// A connection of a test: sends any bytes, and reads with a deadline.
///
/// It belongs to one test at a time. What it throws says where the test is.
public final class Client {
    /// How long a reply may take, in seconds, where the test doesn't say.
    ///
    /// It is far longer than any takes, so that a slow machine fails no test.
    public static let patience = 20.0

    private let descriptor: Int32
    private var input: [UInt8] = []
    private var inputStart = 0
    /// Whether the server has closed the connection, or is gone; what came before may still be there to be read.
    public private(set) var isAtEnd = false
    private var isOpen = true

    /// Connects to a port on 127.0.0.1.
    public init(port: UInt16) throws(Unexpected) {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = loopback(port)
        let status = withUnsafePointer(to: &address) { [descriptor] pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try begin(status, "127.0.0.1:\(port)")
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Connects to a Unix socket.
    public init(path: String) throws(Unexpected) {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
        let status = withUnsafePointer(to: &address) { [descriptor] pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try begin(status, path)
    }

    deinit { close() }

    private func begin(_ status: Int32, _ place: String) throws(Unexpected) {
        guard status == 0 else {
            let reason = String(cString: strerror(errno))
            close()
            throw Unexpected("can't connect to \(place): \(reason)")
        }
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }

    // MARK: - Sending

    /// Sends a text as it is.
    public func send(_ text: String) { send(bytes: Array(text.utf8)) }

    /// Sends bytes as they are, all of them.
    ///
    /// Replies that come meanwhile are taken in, so that a long pipeline can't block both ends. A connection that the
    /// server has closed swallows the bytes: the next read tells.
    public func send(bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { all in
                Glibc.send(descriptor, all.baseAddress.map { $0 + sent }, all.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                sent += count
            } else if errno == EAGAIN {
                let events = Int16(POLLIN | POLLOUT)
                if wait(for: isAtEnd ? Int16(POLLOUT) : events, seconds: Self.patience) == 0 { return }
                takeIn()
            } else if errno != EINTR {
                return
            }
        }
    }

    /// Sends a text again and again until the system takes no more for a while.
    ///
    /// A piece of it may be missing at the end.
    public func sendUntilFull(_ text: String) {
        let bytes = Array(String(repeating: text, count: 1000).utf8)
        while wait(for: Int16(POLLOUT), seconds: 0.2) > 0 {
            let count = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count < 0 && errno != EINTR && errno != EAGAIN { return }
        }
    }

    /// Closes the sending half.
    public func halfClose() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Closes the connection; what has come and wasn't read is lost.
    public func close() {
        guard isOpen else { return }
        isOpen = false
        Glibc.close(descriptor)
    }

    // MARK: - Reading

    /// Reads as many bytes as the text has; throws unless they are the text.
    public func expect(
        _ text: String, within seconds: Double = Client.patience, _ file: StaticString = #fileID, _ line: UInt = #line
    ) throws(Unexpected) {
        try expect(bytes: Array(text.utf8), within: seconds, file, line)
    }

    /// Reads as many bytes as are expected; throws unless they are those.
    public func expect(
        bytes expected: [UInt8], within seconds: Double = Client.patience, _ file: StaticString = #fileID,
        _ line: UInt = #line
    ) throws(Unexpected) {
        let deadline = monotonicSeconds() + seconds
        // A beginning that differs is told at once; a large text isn't compared again for each piece that comes.
        var compared = 0
        while compared < expected.count {
            let count = min(expected.count, input.count - inputStart)
            guard isInput(equalTo: expected, from: compared, to: count) else { break }
            compared = count
            guard compared == expected.count || fill(until: deadline) else { break }
        }
        if compared == expected.count {
            inputStart += compared
            return
        }
        let got = Array(input[inputStart...].prefix(expected.count))
        _ = fill(until: monotonicSeconds() + 0.2)
        let all = Array(input[inputStart...].prefix(2000))
        let why = isAtEnd ? ", then the end" : got.count < expected.count ? " in \(seconds) s" : ""
        throw Unexpected("expected \(quoted(expected.prefix(2000))), got \(quoted(all))\(why)", file, line)
    }

    private func isInput(equalTo expected: [UInt8], from start: Int, to end: Int) -> Bool {
        input.withUnsafeBytes { input in
            expected.withUnsafeBytes { expected in
                guard let input = input.baseAddress, let expected = expected.baseAddress else { return start == end }
                return memcmp(input + inputStart + start, expected + start, end - start) == 0
            }
        }
    }

    /// Sends a line and expects a line; both without their `\r\n`.
    public func call(
        _ command: String, _ reply: String, _ file: StaticString = #fileID, _ line: UInt = #line
    ) throws(Unexpected) {
        send(command + "\r\n")
        do {
            try expect(reply + "\r\n", Client.patience, file, line)
        } catch {
            throw Unexpected("after \(quoted(Array(command.utf8).prefix(300))): \(error)", file, line)
        }
    }

    private func expect(
        _ text: String, _ seconds: Double, _ file: StaticString, _ line: UInt
    ) throws(Unexpected) {
        try expect(text, within: seconds, file, line)
    }

    /// Throws if anything comes within the time, in seconds.
    public func expectSilence(
        for seconds: Double = 0.15, _ file: StaticString = #fileID, _ line: UInt = #line
    ) throws(Unexpected) {
        if inputStart == input.count { _ = fill(until: monotonicSeconds() + seconds) }
        guard inputStart == input.count, !isAtEnd else {
            throw Unexpected(
                "expected silence, got \(quoted(input[inputStart...]))\(isAtEnd ? ", then the end" : "")", file, line)
        }
    }

    /// Throws unless the server closes the connection and sends nothing before.
    public func expectEnd(_ file: StaticString = #fileID, _ line: UInt = #line) throws(Unexpected) {
        if inputStart == input.count, !isAtEnd { _ = fill(until: monotonicSeconds() + Self.patience) }
        guard inputStart == input.count, isAtEnd else {
            throw Unexpected("expected the end of the connection, got \(quoted(input[inputStart...]))", file, line)
        }
    }

    /// Reads a line; without its `\r\n`.
    public func line(
        within seconds: Double = Client.patience, _ file: StaticString = #fileID, _ line: UInt = #line
    ) throws(Unexpected) -> String {
        let deadline = monotonicSeconds() + seconds
        var searched = 0
        while true {
            let waiting = input[inputStart...]
            if let end = waiting.dropFirst(searched).firstIndex(of: UInt8(ascii: "\n")) {
                guard end > inputStart, input[end - 1] == UInt8(ascii: "\r") else {
                    throw Unexpected("a reply line ends in a bare newline: \(quoted(waiting))", file, line)
                }
                defer { inputStart = end + 1 }
                return String(decoding: input[inputStart..<end - 1], as: UTF8.self)
            }
            searched = waiting.count
            guard fill(until: deadline) else {
                throw Unexpected("expected a line, got \(quoted(waiting)) in \(seconds) s", file, line)
            }
        }
    }

    /// Reads that many bytes.
    public func bytes(
        _ count: Int, _ file: StaticString = #fileID, _ line: UInt = #line
    ) throws(Unexpected) -> [UInt8] {
        let deadline = monotonicSeconds() + Self.patience
        while input.count - inputStart < count {
            guard fill(until: deadline) else {
                throw Unexpected("expected \(count) bytes, got \(input.count - inputStart)", file, line)
            }
        }
        defer { inputStart += count }
        return Array(input[inputStart..<inputStart + count])
    }

    /// Whether something has come, or the end, within the time in seconds.
    public func hasInput(within seconds: Double) -> Bool {
        inputStart < input.count || isAtEnd || fill(until: monotonicSeconds() + seconds) || isAtEnd
    }

    /// Waits until nothing more comes, for half a second, and leaves in the system what is there.
    public func waitUntilFull() throws(Unexpected) {
        let deadline = monotonicSeconds() + Self.patience
        var (waiting, since) = (bytesWaiting, monotonicSeconds())
        while waiting == 0 || monotonicSeconds() - since < 0.5 {
            guard monotonicSeconds() < deadline else { throw Unexpected("\(waiting) bytes wait, and more still come") }
            pause(seconds: 0.02)
            if bytesWaiting != waiting { (waiting, since) = (bytesWaiting, monotonicSeconds()) }
        }
    }

    /// What the system has received and nobody has read.
    private var bytesWaiting: Int32 {
        var count: Int32 = 0
        _ = ioctl(descriptor, UInt(FIONREAD), &count)
        return count
    }

    /// Waits for more input: false at the deadline and at the end.
    private func fill(until deadline: Double) -> Bool {
        if isAtEnd { return false }
        if inputStart > 65_536 {
            input.removeFirst(inputStart)
            inputStart = 0
        }
        let had = input.count
        while input.count == had {
            // Past the deadline too, what is there already is taken.
            let left = max(0, deadline - monotonicSeconds())
            if wait(for: Int16(POLLIN), seconds: left) == 0 { return false }
            takeIn()
            if isAtEnd { return false }
        }
        return true
    }

    private func wait(for events: Int16, seconds: Double) -> Int32 {
        var entry = pollfd(fd: descriptor, events: events, revents: 0)
        while true {
            let status = poll(&entry, 1, Int32((seconds * 1000).rounded(.up)))
            if status >= 0 || errno != EINTR { return status }
        }
    }

    private func takeIn() {
        withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 8) { buffer in
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 {
                input.append(contentsOf: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
                isAtEnd = true
            }
        }
    }
}

/// Bytes as a person can read them.
public func quoted(_ bytes: some Sequence<UInt8>) -> String {
    var text = "\""
    for byte in bytes {
        switch byte {
        case UInt8(ascii: "\r"): text += "\\r"
        case UInt8(ascii: "\n"): text += "\\n"
        case UInt8(ascii: "\""): text += "\\\""
        case 0x20..<0x7F: text.unicodeScalars.append(Unicode.Scalar(byte))
        default: text += "\\x" + String(byte, radix: 16)
        }
    }
    return text + "\""
}
