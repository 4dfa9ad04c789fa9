// SPDX-License-Identifier: MIT

import Glibc

/// What a person is told when something can't be done, and the exit status that goes with it.
struct Failure: Error {
    /// One or two sentences, which say what to do where there is something.
    var message: String
    /// The exit status of the program.
    var status: Int32 = 1

    /// `EX_UNAVAILABLE` of sysexits.h: no server.
    static let unavailable: Int32 = 69
    /// `EX_TEMPFAIL`: no job in time.
    static let noJob: Int32 = 75
}

/// A connection to a server: one command at a time, and its reply.
final class ServerConnection {
    private let address: ServerAddress
    private var descriptor: Int32 = -1
    private var input: [UInt8] = []

    /// Connects.
    init(to address: ServerAddress) throws(Failure) {
        self.address = address
        switch address {
        case .network(let host, let port): try connect(host: host, port: port)
        case .unix(let path): try connect(path: path)
        }
    }

    deinit {
        if descriptor >= 0 { Glibc.close(descriptor) }
    }

    // MARK: - Connecting

    private func connect(host: String, port: String) throws(Failure) {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let answer = getaddrinfo(host, port, &hints, &found)
        guard answer == 0 else { throw cannotConnect(String(cString: gai_strerror(answer))) }
        defer { freeaddrinfo(found) }
        var reason: Int32 = 0
        var next = found
        while let info = next {
            let kind = info.pointee.ai_socktype | Int32(SOCK_CLOEXEC.rawValue)
            descriptor = socket(info.pointee.ai_family, kind, info.pointee.ai_protocol)
            if descriptor >= 0, Glibc.connect(descriptor, info.pointee.ai_addr, info.pointee.ai_addrlen) == 0 { return }
            reason = errno
            if descriptor >= 0 { Glibc.close(descriptor) }
            descriptor = -1
            next = info.pointee.ai_next
        }
        throw cannotConnect(String(cString: strerror(reason)))
    }

    private func connect(path: String) throws(Failure) {
        var name = sockaddr_un()
        guard path.utf8.count < MemoryLayout.size(ofValue: name.sun_path) else {
            throw cannotConnect("the path of a Unix socket has at most 107 bytes")
        }
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path.utf8) }
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        let status = withUnsafePointer(to: &name) { [descriptor] pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard status == 0 else { throw cannotConnect(String(cString: strerror(errno))) }
    }

    private func cannotConnect(_ reason: String) -> Failure {
        Failure(
            message: """
                can't connect to \(address): \(reason)
                Start a server with `trellisd` or `trellisd --config FILE`, or name another one with --server or \
                TRELLIS_SERVER.
                """,
            status: Failure.unavailable)
    }

    // MARK: - Commands

    /// Sends a command line, and a body where there is one, and reads the line of the reply.
    func call(_ command: String, body: [UInt8]? = nil) throws(Failure) -> String {
        try send(Array("\(command)\r\n".utf8) + (body.map { $0 + Array("\r\n".utf8) } ?? []))
        return try readLine()
    }

    /// Sends a command; answers what follows the word in the reply, and throws where that begins with another one.
    @discardableResult
    func call(_ command: String, body: [UInt8]? = nil, expecting word: String) throws(Failure) -> [Substring] {
        let reply = try call(command, body: body)
        let words = reply.split(separator: " ")
        guard words.first.map({ String($0) }) == word else { throw refusal(reply, of: command) }
        return Array(words.dropFirst())
    }

    /// Reads the body that follows a reply line, and its `\r\n`.
    func readBody(_ size: Int) throws(Failure) -> [UInt8] {
        while input.count < size + 2 { try fill() }
        defer { input.removeFirst(size + 2) }
        return Array(input[..<size])
    }

    /// What a reply that isn't the hoped-for one means to a person.
    func refusal(_ reply: String, of command: String) -> Failure {
        let verb = command.prefix { $0 != " " }
        let meaning =
            switch reply {
            case "NOT_FOUND": "there is no such job or tube, or the job is reserved by another client"
            case "JOB_TOO_BIG": "the job is too big for the server; see max-job-size in `trellis stats`"
            case "DRAINING": "the server is about to stop and takes no more jobs"
            case "OUT_OF_MEMORY": "the server has no memory left for the job"
            case "BAD_FORMAT" where ["use", "watch", "stats-tube"].contains(verb):
                "a tube name has 1 to 200 of A-Z a-z 0-9 - + / ; . $ _ ( ) and doesn't begin with -"
            case "BAD_FORMAT": "the server doesn't accept one of the arguments"
            case "INTERNAL_ERROR": "the server has an internal error; see its log"
            case "UNKNOWN_COMMAND": "the server doesn't know the command"
            default: "unexpected reply"
            }
        return Failure(message: "\(verb): \(meaning) (\(reply))")
    }

    private func send(_ bytes: [UInt8]) throws(Failure) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { all in
                let rest = UnsafeRawBufferPointer(rebasing: all[sent...])
                return Glibc.send(descriptor, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
            }
            if count >= 0 {
                sent += count
            } else if errno != EINTR {
                throw Failure(message: "lost the connection to \(address): \(String(cString: strerror(errno)))")
            }
        }
    }

    private func readLine() throws(Failure) -> String {
        while true {
            if let end = input.firstIndex(of: UInt8(ascii: "\n")) {
                defer { input.removeFirst(end + 1) }
                let line = input[..<end]
                return String(decoding: line.last == UInt8(ascii: "\r") ? line.dropLast() : line, as: UTF8.self)
            }
            try fill()
        }
    }

    private func fill() throws(Failure) {
        while true {
            let count = withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 8) { buffer in
                let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
                if count > 0 { input.append(contentsOf: UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
                return count
            }
            if count > 0 { return }
            if count == 0 { throw Failure(message: "\(address) closed the connection", status: Failure.unavailable) }
            if errno != EINTR {
                throw Failure(message: "lost the connection to \(address): \(String(cString: strerror(errno)))")
            }
        }
    }
}
