// SPDX-License-Identifier: MIT

import ArgumentParser
import Testing
import TrellisConfiguration

@testable import TrellisMain

/// What beanstalkd's flags come to.
@Suite struct FlagsTests {
    private func interpret(_ arguments: String, environmentListens: Bool = false) throws -> Interpretation {
        let separated = separateShortFlags(arguments.split(separator: " ").map(String.init))
        return try Flags.parse(separated).interpret(environmentListens: environmentListens)
    }

    private func transports(_ arguments: String, environmentListens: Bool = false) throws -> [String] {
        try interpret(arguments, environmentListens: environmentListens).overrides.transports.map { transport in
            "\(transport.flag) \(transport.use) \(transport.options.map { "\($0)=\($1)" }.joined())"
        }
    }

    @Test(arguments: [
        ("-l127.0.0.1", "-l tcp listen=127.0.0.1:11300"), ("-l 10.0.0.1 -p 5", "-l tcp listen=10.0.0.1:5"),
        ("-l ::1", "-l tcp listen=[::1]:11300"), ("-l [::1]", "-l tcp listen=[::1]:11300"),
        ("-l [::1]:7", "-l tcp listen=[::1]:7"), ("-l host:7", "-l tcp listen=host:7"),
        ("-l unix:/tmp/s", "-l unix path=/tmp/s"), ("-l unix:/tmp/s -p 5", "-l unix path=/tmp/s"),
        ("-p 5", "-p tcp listen=*:5"), ("-VV", "-V tcp listen=*:11300"), ("-u me", "-u tcp listen=*:11300"),
        ("-z 5", "-z tcp listen=*:11300"), ("-c", "-c tcp listen=*:11300"), ("-l a -l b", "-l tcp listen=b:11300"),
        ("-l 0.0.0.0 --config x", "-l tcp listen=0.0.0.0:11300"), ("-p0", "-p tcp listen=*:0"),
    ])
    func listens(arguments: String, transport: String) throws { #expect(try transports(arguments) == [transport]) }

    @Test(arguments: ["", "--config x", "--config x -z 5 -VV -u me"])
    func leavesTransportsAlone(arguments: String) throws {
        let result = try interpret(arguments)
        #expect(result.overrides.transports.isEmpty)
        #expect(result.warnings.isEmpty)
    }

    @Test func allAddressesComeWithOneWarning() throws {
        #expect(
            try interpret("-p 5 -z 6 -VVV").warnings == [
                "no -l given: listening on all addresses, as beanstalkd does; -l 127.0.0.1 keeps to this machine"
            ])
        #expect(try interpret("-p 5 -l 127.0.0.1 -VVV").warnings.isEmpty)
    }

    @Test func transportsOfTheEnvironmentGoBeforeImpliedOnesOnly() throws {
        #expect(try transports("-V", environmentListens: true).isEmpty)
        #expect(try transports("-p 5", environmentListens: true) == ["-p tcp listen=*:5"])
    }

    @Test func values() throws {
        let values = try interpret("-z 5 -u me -VV").overrides.values.map { "\($0.flag) \($0.path)=\($0.text)" }
        #expect(values == ["-z limits.job-size=5", "-u user=me", "-V log.level=debug"])
        #expect(try interpret("-V").overrides.values.map(\.text) == ["info"])
        #expect(try interpret("-VVVVVV").overrides.values.map(\.text) == ["trace"])
    }

    @Test(arguments: [
        ("-b d", "-b storage.use=binlog, -b storage.directory=d, -b storage.sync=50ms", 0),
        ("-b d -f0", "-b storage.use=binlog, -b storage.directory=d, -f storage.sync=always", 0),
        (
            "-b d -f 7 -s 1048577",
            "-b storage.use=binlog, -b storage.directory=d, -f storage.sync=7ms, "
                + "-s storage.segment-size=1052672", 0
        ),
        (
            "-b d -F -s 10",
            "-b storage.use=binlog, -b storage.directory=d, -F storage.sync=never, "
                + "-s storage.segment-size=1048576", 1
        ),
        ("-b d -f 99999999999999999999", "-b storage.use=binlog, -b storage.directory=d, -f storage.sync=60000ms", 1),
        ("-f 50 -s 4096000", "", 1), ("-F", "", 1),
        ("-b d --config x", "-b storage.use=binlog, -b storage.directory=d", 0),
        ("-f0 --config x", "-f storage.sync=always", 0),
    ])
    func binlog(arguments: String, values: String, warnings: Int) throws {
        let result = try interpret("-l a " + arguments)
        #expect(result.overrides.values.map { "\($0.flag) \($0.path)=\($0.text)" }.joined(separator: ", ") == values)
        #expect(result.warnings.count == warnings)
    }

    @Test func aJobSizeThatIsTooLargeIsCutWithAWarning() throws {
        let result = try interpret("-l a -z 99999999999999999999")
        #expect(result.overrides.values.map(\.text) == ["1073741824"])
        #expect(result.warnings == ["-z 99999999999999999999 is more than a job can have; it is set to 1073741824"])
        #expect(try interpret("-l a -z 1073741824").warnings.isEmpty)
    }

    @Test(arguments: [
        ("-p x", "-p x is no port; a port is a number from 0 to 65535"),
        ("-p 65536", "-p 65536 is no port; a port is a number from 0 to 65535"),
        ("-p -1", "-p -1 is no port; a port is a number from 0 to 65535"),
        ("-l a:1 -p 2", "-l a:1 has a port already; leave out -p"),
        ("-l :1", "-l needs an address, or unix:PATH"),
        ("--config x -p 1", "with --config, -p needs -l ADDR; together they replace the file's transports"),
        ("-b /tmp -f x", "-f x is no number of milliseconds; 0 syncs always"),
        ("-b /tmp -s 1k", "-s 1k is no number of bytes"),
    ])
    func makesNoSense(arguments: String, message: String) {
        #expect(throws: UsageError(message: message)) { try interpret(arguments) }
    }
}
