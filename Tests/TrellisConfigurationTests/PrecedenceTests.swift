// SPDX-License-Identifier: MIT

import Testing
import TrellisConfiguration
import TrellisCore

/// Flags go before the environment, that before the file, that before the defaults.
@Suite struct PrecedenceTests {
    private let file = "limits:\n  job-size: 1000\n"
    private let environment = ["TRELLIS_LIMITS__JOB_SIZE": "2000"]
    private let flags = FlagOverrides(values: [.init(flag: "-z", path: "limits.job-size", text: "3000")])

    private func jobSize(_ configuration: Configuration) -> String {
        let setting = configuration.sections["limits"]?.values["job-size"]
        return "\(configuration.jobBytes) \(setting?.origin.description ?? "")"
    }

    @Test func theLastWordIsTheFlags() throws {
        #expect(try jobSize(load(nil)) == "65535 default")
        #expect(try jobSize(load(file)) == "1000 file trellis.yaml:2:3")
        #expect(try jobSize(load(file, environment: environment)) == "2000 environment TRELLIS_LIMITS__JOB_SIZE")
        #expect(try jobSize(load(file, environment: environment, flags: flags)) == "3000 flag -z")
        #expect(try jobSize(load(nil, flags: flags)) == "3000 flag -z")
    }

    @Test func whatIsOverriddenIsCheckedAllTheSame() {
        #expect(
            errors("limits:\n  job-size: x\n", environment: environment, flags: flags)
                == ["trellis.yaml:2:13: limits.job-size is \"x\"; it must be a size such as 512, 64KiB or 1MB"])
    }

    @Test func aKeyThatAUserNamedMustExist() {
        func faults(isNamedByUser: Bool) -> [String] {
            let value = FlagOverrides.Value(
                flag: "--set", path: "storage.directry", text: "x", isNamedByUser: isNamedByUser)
            return errors("storage: {use: binlog, directory: d}\n", flags: FlagOverrides(values: [value]))
        }
        #expect(
            faults(isNamedByUser: true) == [
                "--set: unknown key \"directry\" in storage.binlog; did you mean \"directory\"? "
                    + "(allowed: directory, segment-size, sync)"
            ])
        // A flag of beanstalkd's has no effect where the plugin has no such option.
        #expect(faults(isNamedByUser: false) == [])
    }

    @Test func theDefaults() throws {
        let configuration = try load(nil)
        #expect(configuration.storage.plugin.descriptor.id == "storage.memory")
        #expect(configuration.transports.map(\.plugin.descriptor.id) == ["transport.tcp"])
        #expect(configuration.transports[0].settings.options.text("listen") == "127.0.0.1:11300")
        #expect(configuration.scheduler.plugin.descriptor.id == "scheduler.priority")
        #expect(configuration.jobBytes == 65_535)
        #expect(configuration.memoryBytes == 4 << 30)
        #expect(configuration.connections == nil)
        #expect(configuration.outputBytes == 1 << 20)
        #expect(configuration.inputBytes == 64 << 10)
        #expect(configuration.logLevel == "notice")
        #expect(configuration.user == nil)
        #expect(try load("storage: {use: everything}").transports.count == 1)
    }

    @Test func everySectionCanBeSetFromTheEnvironment() throws {
        let configuration = try load(
            "transports:\n  - use: tcp\n  - use: unix\n    path: /a\n",
            environment: [
                "TRELLIS_STORAGE__USE": "binlog", "TRELLIS_STORAGE__DIRECTORY": "data",
                "TRELLIS_STORAGE__SEGMENT_SIZE": "1MiB", "TRELLIS_STORAGE__SYNC": "50ms",
                "TRELLIS_TRANSPORTS__0__LISTEN": "*:1", "TRELLIS_TRANSPORTS__1__MODE": "0600",
                "TRELLIS_SCHEDULER__USE": "priority", "TRELLIS_LIMITS__CONNECTIONS": "7", "TRELLIS_USER": "me",
                "TRELLIS_LOG__LEVEL": "debug", "PATH": "/bin", "TRELLISD": "x", "TRELLIS_SERVER": "x",
            ])
        let storage = configuration.storage.settings.options
        #expect(configuration.storage.plugin.descriptor.name == "binlog")
        #expect(storage.text("directory") == "data")
        #expect(storage.size("segment-size") == 1 << 20)
        #expect(storage.duration("sync") == 50_000_000)
        #expect(configuration.transports[0].settings.options.text("listen") == "*:1")
        #expect(configuration.transports[1].settings.options.fileMode("mode") == 0o600)
        #expect(configuration.connections == 7)
        #expect(configuration.user == "me")
        #expect(configuration.logLevel == "debug")
    }

    @Test(arguments: [
        (
            "TRELLIS_STORGE__USE",
            "unknown variable; did you mean TRELLIS_STORAGE__USE? "
                + "(variables are TRELLIS_SECTION__KEY, such as TRELLIS_LIMITS__JOB_SIZE)"
        ),
        (
            "TRELLIS_LIMITS_JOB_SIZE",
            "unknown variable; did you mean TRELLIS_LIMITS__JOB_SIZE? "
                + "(variables are TRELLIS_SECTION__KEY, such as TRELLIS_LIMITS__JOB_SIZE)"
        ),
        (
            "TRELLIS_LOG__LEVL",
            "unknown variable: log has no option \"levl\"; did you mean TRELLIS_LOG__LEVEL? "
                + "(allowed: TRELLIS_LOG__LEVEL)"
        ),
        (
            "TRELLIS_STORAGE__SNYC",
            "unknown variable: storage.memory has no option \"snyc\" (allowed: TRELLIS_STORAGE__USE)"
        ),
        (
            "TRELLIS_TRANSPORTS__0__LISTN",
            "unknown variable: transport.tcp has no option \"listn\"; did you mean TRELLIS_TRANSPORTS__0__LISTEN? "
                + "(allowed: TRELLIS_TRANSPORTS__0__LISTEN, TRELLIS_TRANSPORTS__0__USE)"
        ),
        (
            "TRELLIS_TRANSPORTS__2__LISTEN",
            "there is no transport 2; to add one, set TRELLIS_TRANSPORTS__1__USE"
        ),
        (
            "TRELLIS_limits__memory",
            "unknown variable; did you mean TRELLIS_LIMITS__MEMORY? "
                + "(variables are TRELLIS_SECTION__KEY, such as TRELLIS_LIMITS__JOB_SIZE)"
        ),
        ("TRELLIS_LIMITS__MEMORY", "limits.memory is \"1\"; it must be at least 1MiB and at most 1PiB (bytes)"),
        ("TRELLIS_STORAGE__USE", "unknown storage \"1\" (known: memory, binlog, everything, archive)"),
    ])
    func faultsNameTheVariable(name: String, message: String) {
        #expect(errors(nil, environment: [name: "1"]) == ["\(name): \(message)"])
    }

    @Test func anEmptyVariableIsNoValue() {
        #expect(
            errors(nil, environment: ["TRELLIS_USER": ""])
                == ["TRELLIS_USER: user has no value; give it one, or remove the variable"])
    }

    @Test func theEnvironmentAddsTransports() throws {
        let configuration = try load(
            nil,
            environment: [
                "TRELLIS_TRANSPORTS__1__USE": "unix", "TRELLIS_TRANSPORTS__1__PATH": "/s",
                "TRELLIS_TRANSPORTS__2__USE": "tcp",
            ])
        #expect(configuration.transports.map(\.plugin.descriptor.name) == ["tcp", "unix", "tcp"])
        #expect(configuration.transports[1].settings.options.text("path") == "/s")
    }

    @Test func anotherPluginFromTheEnvironmentLeavesTheFilesOptionsBehind() throws {
        let file = "storage:\n  use: binlog\n  directory: a\n"
        let configuration = try load(file, environment: ["TRELLIS_STORAGE__USE": "memory"])
        #expect(configuration.storage.plugin.descriptor.name == "memory")
        #expect(configuration.storage.settings.values.isEmpty)
        // They are still checked, as those of the plugin that the file names.
        #expect(
            errors(file + "  sync: 1\n", environment: ["TRELLIS_STORAGE__USE": "memory"]).count == 1)
        // The same plugin: the options stay.
        let same = try load(file, environment: ["TRELLIS_STORAGE__USE": "binlog"])
        #expect(same.storage.settings.options.text("directory") == "a")
    }

    @Test func aListenerFromTheFlagsReplacesAllTransports() throws {
        let flags = FlagOverrides(transports: [.init(flag: "-l", use: "unix", options: ["path": "/x"])])
        let configuration = try load("transports: [{use: tcp}, {use: tcp}]", flags: flags)
        #expect(configuration.transports.map(\.plugin.descriptor.name) == ["unix"])
        #expect(configuration.transports[0].settings.values["path"]?.origin.description == "flag -l")
        let bad = FlagOverrides(transports: [.init(flag: "-l", use: "tcp", options: ["listen": "x"])])
        #expect(
            errors(nil, flags: bad) == [
                "-l: transport.tcp.listen "
                    + "is no address with a port; write it like 127.0.0.1:11300 or [::1]:11300"
            ])
    }
}
