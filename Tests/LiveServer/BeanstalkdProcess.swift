// SPDX-License-Identifier: MIT

import Glibc

/// Debian's beanstalkd with a binlog.
public final class BeanstalkdProcess {
    /// Its TCP port on 127.0.0.1.
    public let port: UInt16
    private let process: ChildProcess
    private let directory: String

    /// The command that starts one.
    public static func arguments(_ directory: String, _ port: UInt16) -> [String] {
        ["/usr/bin/beanstalkd", "-b", directory, "-f0", "-l", "127.0.0.1", "-p", String(port)]
    }

    /// Starts one with its binlog in that folder, which is made, and waits until it serves.
    public init(_ directory: String, _ options: [String] = []) throws(Unexpected) {
        self.directory = directory
        guard mkdir(directory, 0o700) == 0 || errno == EEXIST else { throw Unexpected("can't make \(directory)") }
        port = try Ports.next()
        process = try ChildProcess(Self.arguments(directory, port) + options, log: directory + ".out")
        let deadline = monotonicSeconds() + 20
        while true {
            if let client = try? Client(port: port) {
                // It listens before it locks its log.
                try client.call("barrier", "UNKNOWN_COMMAND")
                return
            }
            if let status = process.waitForExit(seconds: 0.01) {
                throw Unexpected("beanstalkd ended at once, status \(status):\n\(process.output())")
            }
            guard monotonicSeconds() < deadline else {
                end(SIGKILL)
                throw Unexpected("beanstalkd didn't accept in 20 s")
            }
        }
    }

    /// Ends it by a signal.
    public func end(_ signal: Int32) {
        process.signal(signal)
        if process.waitForExit(seconds: 10) == nil {
            process.signal(SIGKILL)
            _ = process.waitForExit(seconds: 10)
        }
    }

    /// Ends it and removes its log.
    public func stop() {
        end(SIGKILL)
        removeFolder(directory)
    }
}
