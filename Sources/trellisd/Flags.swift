// SPDX-License-Identifier: MIT

import ArgumentParser
import TrellisConfiguration
import TrellisCore

/// The flags that say how to run: `--config`, and those of beanstalkd.
struct Flags: ParsableArguments {
    @ArgumentParser.Option(help: ArgumentHelp("Read the configuration from FILE.", valueName: "file"))
    var config: String?

    @ArgumentParser.Option(
        name: .customShort("l"), parsing: .unconditional,
        help: ArgumentHelp("Listen on this address, or on a Unix socket (unix:PATH).", valueName: "addr"))
    var listen: String?

    @ArgumentParser.Option(
        name: .customShort("p"), parsing: .unconditional,
        help: ArgumentHelp("Listen on this port (default: 11300).", valueName: "port"))
    var port: String?

    @ArgumentParser.Option(
        name: .customShort("z"), parsing: .unconditional,
        help: ArgumentHelp("The largest job, in bytes (default: 65535; at most 1073741824).", valueName: "bytes"))
    var jobSize: String?

    @ArgumentParser.Option(
        name: .customShort("u"), parsing: .unconditional,
        help: ArgumentHelp("Become this user and its primary group after binding.", valueName: "user"))
    var user: String?

    @Flag(name: .customShort("V"), help: "Log more; may be repeated: info, debug, trace.")
    var verbosity: Int

    // Flags of beanstalkd for its binlog. They are parsed so that they can be refused in words.
    @ArgumentParser.Option(name: .customShort("b"), parsing: .unconditional, help: .hidden)
    var binlogDirectory: String?
    @ArgumentParser.Option(name: .customShort("f"), parsing: .unconditional, help: .hidden)
    var syncMilliseconds: String?
    @Flag(name: .customShort("F"), help: .hidden)
    var neverSyncs = false
    @ArgumentParser.Option(name: .customShort("s"), parsing: .unconditional, help: .hidden)
    var segmentSize: String?

    // Without effect in beanstalkd, and here.
    @Flag(name: .customShort("c"), help: .hidden)
    var compacts = false
    @Flag(name: .customShort("n"), help: .hidden)
    var doesNotCompact = false
}

/// A command line that makes no sense, in one line.
///
/// Exit status 64.
struct UsageError: Error, Equatable {
    var message: String
}

/// What the flags come to.
struct Interpretation {
    var overrides = FlagOverrides()
    /// Lines for standard error.
    var warnings: [String] = []
}

extension Flags {
    /// The first flag given that beanstalkd has as well, other than `-l`.
    private var firstOther: String? {
        if port != nil { return "-p" }
        if jobSize != nil { return "-z" }
        if user != nil { return "-u" }
        if verbosity > 0 { return "-V" }
        return compacts ? "-c" : doesNotCompact ? "-n" : nil
    }

    /// What the flags say of the configuration.
    ///
    /// `environmentListens`: the environment configures transports.
    func interpret(environmentListens: Bool) throws(UsageError) -> Interpretation {
        try refuseBinlog()
        var result = Interpretation()
        if let jobSize {
            let most = Int(ProtocolLimits.largestJobBytes)
            let isNumber = !jobSize.isEmpty && jobSize.allSatisfy { $0.isASCII && $0.isWholeNumber }
            let isTooLarge = isNumber && Int(jobSize) ?? .max > most
            // As in beanstalkd, which init scripts may count on.
            if isTooLarge { result.warnings.append("-z \(jobSize) is more than a job can have; it is set to \(most)") }
            result.overrides.values.append(
                .init(flag: "-z", path: "limits.job-size", text: isTooLarge ? "\(most)" : jobSize))
        }
        if let user { result.overrides.values.append(.init(flag: "-u", path: "user", text: user)) }
        if verbosity > 0 {
            let level = ["info", "debug", "trace"][min(verbosity, 3) - 1]
            result.overrides.values.append(.init(flag: "-V", path: "log.level", text: level))
        }
        try interpretListener(environmentListens: environmentListens, into: &result)
        return result
    }

    private func interpretListener(environmentListens: Bool, into result: inout Interpretation) throws(UsageError) {
        var portNumber: UInt16?
        if let port {
            guard let number = UInt16(port), port.first != "+" else {
                throw UsageError(message: "-p \(port) is no port; a port is a number from 0 to 65535")
            }
            portNumber = number
        }
        if let listen {
            let address = ListenAddress(listen)
            if case .tcp(let host, let own) = address {
                if host.isEmpty { throw UsageError(message: "-l needs an address, or unix:PATH") }
                if own != nil && port != nil {
                    throw UsageError(message: "-l \(listen) has a port already; leave out -p")
                }
            }
            result.overrides.transports = [address.transport(flag: "-l", port: portNumber)]
            return
        }
        guard config == nil else {
            if port == nil { return }
            throw UsageError(message: "with --config, -p needs -l ADDR; together they replace the file's transports")
        }
        guard let flag = firstOther, port != nil || !environmentListens else { return }
        let everywhere = ListenAddress.tcp(host: "*", port: nil)
        result.overrides.transports = [everywhere.transport(flag: flag, port: portNumber)]
        result.warnings.append(
            "no -l given: listening on all addresses, as beanstalkd does; -l 127.0.0.1 keeps to this machine")
    }

    private func refuseBinlog() throws(UsageError) {
        let given = [
            binlogDirectory.map { _ in "-b" }, syncMilliseconds.map { _ in "-f" }, neverSyncs ? "-F" : nil,
            segmentSize.map { _ in "-s" },
        ].compactMap { $0 }
        guard !given.isEmpty else { return }
        throw UsageError(
            message: "\(given.joined(separator: " ")): the binlog is not there yet; jobs are kept in memory only")
    }
}
