// SPDX-License-Identifier: MIT

import Glibc
import Synchronization

/// A program that a test started; stopped by its pid, never by its name.
public final class ChildProcess: Sendable {
    /// Its process id.
    public let pid: Int32
    /// The file that takes its standard output and standard error.
    public let log: String
    private let status = Mutex<Int32?>(nil)

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - arguments: The path of the program, then what it is given.
    ///   - log: The file for its output; made anew.
    ///   - errors: The file for its standard error; where there is none, that goes to the log too.
    ///   - input: The file that it reads as its standard input.
    ///   - environment: Variables (`NAME=value`) that it has besides those of the test.
    public init(
        _ arguments: [String], log: String, errors: String? = nil, input: String = "/dev/null",
        environment: [String] = []
    ) throws(Unexpected) {
        guard let program = arguments.first else { throw Unexpected("no program to start") }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, input, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        if let errors {
            posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        } else {
            posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
        }
        Self.closeOnExec
        // The threads of the test runner may block signals, and the child would inherit that.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var vector: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        vector.append(nil)
        defer { for pointer in vector { free(pointer) } }
        // The first of two variables with one name holds.
        var variables: [UnsafeMutablePointer<CChar>?] = environment.map { (word: String) in strdup(word) }
        defer { for pointer in variables.prefix(environment.count) { free(pointer) } }
        variables += Self.inheritedVariables
        variables.append(nil)
        var child = pid_t()
        let status = posix_spawnp(&child, program, &actions, &attributes, vector, variables)
        guard status == 0 else {
            throw Unexpected("can't start \(program): \(String(cString: strerror(status)))")
        }
        pid = child
        self.log = log
    }

    /// The sockets that `swift test` leaves to its runner would be the children's, too, and count against a limit of theirs.
    public static let closeOnExec: Void = {
        for descriptor in STDERR_FILENO + 1..<1024 {
            let flags = fcntl(descriptor, F_GETFD)
            if flags >= 0 { _ = fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC) }
        }
    }()

    /// The variables of the test that are for its children, too: those of the test run (how many seeds) would be errors to
    /// the server; how many threads it has is for it.
    public static var inheritedVariables: [UnsafeMutablePointer<CChar>?] {
        var variables: [UnsafeMutablePointer<CChar>?] = []
        var next = environ
        while let variable = next.pointee {
            if strncmp(variable, "TRELLIS_", 8) != 0 || strncmp(variable, "TRELLIS_IO_THREADS=", 19) == 0 {
                variables.append(variable)
            }
            next += 1
        }
        return variables
    }

    /// Whether each thread of the process sleeps at the moment.
    var isAsleep: Bool {
        guard let folder = opendir("/proc/\(pid)/task") else { return true }
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            // The name in parentheses may hold anything; the state follows.
            let state = readFile("/proc/\(pid)/task/\(name)/stat")?.split(separator: ")").last?.first { $0 != " " }
            if name.first != ".", let state, state != "S" { return false }
        }
        return true
    }

    /// Sends a signal, unless the process has been seen to end.
    public func signal(_ number: Int32) {
        status.withLock { status in
            if status == nil { kill(pid, number) }
        }
    }

    /// The exit status (128 + the signal for one that a signal ended) once it has ended, or nil if it hasn't within
    /// that many seconds.
    public func waitForExit(seconds: Double) -> Int32? {
        let deadline = monotonicSeconds() + seconds
        while true {
            let known: Int32? = status.withLock { status in
                var word: Int32 = 0
                if status == nil, waitpid(pid, &word, WNOHANG) == pid {
                    let signal = word & 0x7F
                    status = signal == 0 ? (word >> 8) & 0xFF : 128 + signal
                }
                return status
            }
            if known != nil || monotonicSeconds() >= deadline { return known }
            usleep(5000)
        }
    }

    /// What it has written so far.
    public func output() -> String { readFile(log) ?? "" }
}

/// The time since some fixed point, in seconds.
public func monotonicSeconds() -> Double {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}

/// Sleeps that many seconds.
public func pause(seconds: Double) { usleep(UInt32(seconds * 1e6)) }

/// The whole of a text file; nil where it can't be read.
public func readFile(_ path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = fread(&chunk, 1, chunk.count, file)
        if count == 0 { return String(decoding: bytes, as: UTF8.self) }
        bytes += chunk[..<count]
    }
}

/// Whether there is anything at the path.
public func fileExists(_ path: String) -> Bool { access(path, F_OK) == 0 }

/// Writes a text file anew.
public func writeFile(_ path: String, _ text: String) throws(Unexpected) {
    guard let file = fopen(path, "w") else { throw Unexpected("can't write \(path)") }
    fputs(text, file)
    fclose(file)
}

/// A new folder below /tmp.
///
/// Its path is short, because that of a Unix socket has at most 107 bytes.
public func makeTemporaryFolder() throws(Unexpected) -> String {
    var template = Array("/tmp/trellis-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Unexpected("can't make a folder below /tmp") }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Removes a folder with all that is in it.
public func removeFolder(_ path: String) {
    if let folder = opendir(path) {
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name != ".", name != ".." else { continue }
            if unlink("\(path)/\(name)") != 0 { removeFolder("\(path)/\(name)") }
        }
        closedir(folder)
    }
    rmdir(path)
}
