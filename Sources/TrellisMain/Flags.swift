// SPDX-License-Identifier: MIT

import ArgumentParser
import TrellisConfiguration
import TrellisCore

/// `--config`.
///
/// It is a group of its own because the parser gives a subcommand what a command above it has taken by groups only.
struct ConfigurationFlag: ParsableArguments {
    @ArgumentParser.Option(help: ArgumentHelp("Read the configuration from FILE.", valueName: "file"))
    var config: String?
}

/// The flags that say how to run: `--config`, and those of beanstalkd.
struct Flags: ParsableArguments {
    @OptionGroup var file: ConfigurationFlag

    /// The configuration file.
    var config: String? { file.config }

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

    @ArgumentParser.Option(
        name: .customShort("b"), parsing: .unconditional,
        help: ArgumentHelp("Keep jobs in a binlog in this folder, which must be there.", valueName: "dir"))
    var binlogDirectory: String?

    @ArgumentParser.Option(
        name: .customShort("f"), parsing: .unconditional,
        help: ArgumentHelp("Sync the binlog every so many milliseconds (default: 50); 0 always.", valueName: "ms"))
    var syncMilliseconds: String?

    @Flag(name: .customShort("F"), help: "Never sync the binlog; the system does when it likes.")
    var neverSyncs = false

    @ArgumentParser.Option(
        name: .customShort("s"), parsing: .unconditional,
        help: ArgumentHelp("The size of a file of the binlog, in bytes (default: 16777216).", valueName: "bytes"))
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
        if binlogDirectory != nil { return "-b" }
        if syncMilliseconds != nil { return "-f" }
        if neverSyncs { return "-F" }
        if segmentSize != nil { return "-s" }
        return compacts ? "-c" : doesNotCompact ? "-n" : nil
    }

    /// What the flags say of the configuration.
    ///
    /// `environmentListens`: the environment configures transports.
    func interpret(environmentListens: Bool) throws(UsageError) -> Interpretation {
        var result = Interpretation()
        try interpretStorage(into: &result)
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

    /// Flags for the binlog, which `-b` asks for, or the file.
    private func interpretStorage(into result: inout Interpretation) throws(UsageError) {
        var values: [FlagOverrides.Value] = []
        if let directory = binlogDirectory {
            if directory.isEmpty { throw UsageError(message: "-b needs a folder") }
            values.append(.init(flag: "-b", path: "storage.use", text: "binlog"))
            values.append(.init(flag: "-b", path: "storage.directory", text: directory))
        }
        if neverSyncs {
            values.append(.init(flag: "-F", path: "storage.sync", text: "never"))
        } else if let text = syncMilliseconds {
            values.append(.init(flag: "-f", path: "storage.sync", text: try pace(text, &result)))
        } else if binlogDirectory != nil, config == nil {
            values.append(.init(flag: "-b", path: "storage.sync", text: "50ms"))
        }
        if let text = segmentSize {
            values.append(.init(flag: "-s", path: "storage.segment-size", text: try segmentBytes(text, &result)))
        }
        if binlogDirectory == nil && config == nil {
            let unused = values.map(\.flag).joined(separator: " and ")
            if !unused.isEmpty {
                result.warnings.append("\(unused) without -b: there is no binlog, jobs are kept in memory")
            }
            return
        }
        result.overrides.values += values
    }

    private func pace(_ text: String, _ result: inout Interpretation) throws(UsageError) -> String {
        guard let number = Self.number(text) else {
            throw UsageError(message: "-f \(text) is no number of milliseconds; 0 syncs always")
        }
        if number == 0 { return "always" }
        if number > 60_000 { result.warnings.append("-f \(text) is more than a minute; it is set to 60000") }
        return "\(min(number, 60_000))ms"
    }

    private func segmentBytes(_ text: String, _ result: inout Interpretation) throws(UsageError) -> String {
        guard let number = Self.number(text) else { throw UsageError(message: "-s \(text) is no number of bytes") }
        let range: ClosedRange<UInt64> = 1 << 20...1 << 30
        let size = min(max(number, range.lowerBound), range.upperBound)
        if size != number { result.warnings.append("-s \(text) is out of range; it is set to \(size)") }
        // Whole pages, as in beanstalkd.
        return "\((size + 4095) & ~4095)"
    }

    /// A number without sign; a larger one than can be is the largest.
    private static func number(_ text: String) -> UInt64? {
        guard !text.isEmpty, text.allSatisfy({ $0.isASCII && $0.isWholeNumber }) else { return nil }
        return UInt64(text) ?? .max
    }
}
