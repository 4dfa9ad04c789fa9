// SPDX-License-Identifier: MIT

import Testing
import TrellisConfiguration

/// Each mistake has its text and its place.
@Suite struct FaultTests {
    @Test func unknownKeyComesWithSuggestionAndAllowedKeys() {
        let text = """
            # a comment

            storage:
              use: binlog
              directory: data


              fsnc: always
            """
        #expect(
            errors(text) == [
                "trellis.yaml:8:3: unknown key \"fsnc\" in storage.binlog; did you mean \"sync\"? "
                    + "(allowed: directory, segment-size, sync)"
            ])
    }

    @Test func unknownKeyAtTheTop() {
        #expect(
            errors("storge:\n  use: memory\nzzzzzz: 1\n") == [
                "trellis.yaml:1:1: unknown key \"storge\"; did you mean \"storage\"? "
                    + "(allowed: plugins, storage, transports, scheduler, tubes, limits, log, io-threads, user)",
                "trellis.yaml:3:1: unknown key \"zzzzzz\" "
                    + "(allowed: plugins, storage, transports, scheduler, tubes, limits, log, io-threads, user)",
            ])
    }

    @Test func unknownKeyOfAPluginWithoutOptions() {
        #expect(
            errors("storage: {use: memory, sync: always}")
                == ["trellis.yaml:1:24: unknown key \"sync\" in storage.memory (it has no options)"])
    }

    @Test func unknownKeyOfACoreSection() {
        #expect(
            errors("limits:\n  jobsize: 1\n") == [
                "trellis.yaml:2:3: unknown key \"jobsize\" in limits; did you mean \"job-size\"? "
                    + "(allowed: job-size, memory, connections, output, input)"
            ])
    }

    @Test func unknownPlugin() {
        #expect(
            errors("storage:\n  use: memry\ntransports:\n  - use: carrier-pigeon\nscheduler: {use: prioritty}\n") == [
                "trellis.yaml:2:8: unknown storage \"memry\"; did you mean \"memory\"? "
                    + "(known: memory, binlog, everything, archive)",
                "trellis.yaml:4:10: unknown transport \"carrier-pigeon\" (known: tcp, unix)",
                "trellis.yaml:5:18: unknown scheduler \"prioritty\"; did you mean \"priority\"? (known: priority)",
            ])
    }

    @Test func duplicateKeysAreAllTold() {
        let text = """
            storage:
              use: binlog
              directory: a
              "directory": b
              'directory': c
            limits:
              memory: 1GiB
            transports:
              - use: tcp
                use: unix
            limits:
              memory: 2GiB
            """
        #expect(
            errors(text) == [
                "trellis.yaml:4:3: duplicate key \"directory\" in storage; line 3 has it already",
                "trellis.yaml:5:3: duplicate key \"directory\" in storage; line 3 has it already",
                "trellis.yaml:10:5: duplicate key \"use\" in transports[0]; line 9 has it already",
                "trellis.yaml:11:1: duplicate key \"limits\"; line 6 has it already",
            ])
    }

    @Test func duplicateKeyBehindWideCharacters() {
        #expect(
            errors("log: {\"é…\": 1, level: info, level: info}").last
                == "trellis.yaml:1:29: duplicate key \"level\" in log; line 1 has it already")
    }

    @Test func duplicateKeysDoNotHideOtherFaults() {
        #expect(
            errors("limits:\n  input: 1KiB\n  input: 1KiB\n  output: 3\n").last
                == "trellis.yaml:4:11: limits.output is \"3\"; it must be at least 1KiB and at most 1GiB (bytes)")
    }

    @Test func escapedDuplicateKeyIsRefusedWhereItStandsFirst() {
        #expect(errors("\"\\x75ser\": a\nuser: b\n") == ["trellis.yaml:1:1: duplicate key \"user\""])
    }

    @Test func aSectionOfTheWrongShape() {
        #expect(
            errors("storage: memory\ntransports:\n  use: tcp\nscheduler: []\nlimits: 5\nlog: [a]\n") == [
                "trellis.yaml:1:10: storage must be a mapping with the key \"use\", such as {use: memory}",
                "trellis.yaml:3:3: transports must be a list; begin each with \"- use:\"",
                "trellis.yaml:4:12: scheduler must be a mapping with the key \"use\", such as {use: priority}",
                "trellis.yaml:5:9: limits must be a mapping of keys and values",
                "trellis.yaml:6:6: log must be a mapping of keys and values",
            ])
        #expect(
            errors("transports: [tcp]")
                == ["trellis.yaml:1:14: transports[0] must be a mapping with the key \"use\", such as {use: tcp}"])
        #expect(
            errors("transports: []") == ["trellis.yaml:1:13: transports is empty; the server needs at least one"])
        #expect(
            errors("- a")
                == [
                    "trellis.yaml:1:1: a configuration consists of sections: "
                        + "plugins, storage, transports, scheduler, tubes, limits, log, io-threads, user"
                ])
        #expect(errors("hello").first?.hasPrefix("trellis.yaml:1:1: a configuration consists of sections") == true)
    }

    @Test func anOptionOfTheWrongShape() {
        #expect(
            errors("limits:\n  memory: [1GiB]\n  job-size: {a: b}\n  input:\nuser: ~\n") == [
                "trellis.yaml:2:11: limits.memory is a list; it must be a single value (size, 1MiB to 1PiB)",
                "trellis.yaml:3:13: limits.job-size is a mapping; it must be a single value (size, 0 to 1GiB)",
                "trellis.yaml:4:9: limits.input has no value; give it one, or remove the key",
                "trellis.yaml:5:7: user has no value; give it one, or remove the key",
            ])
    }

    @Test func missingUse() {
        #expect(
            errors("storage:\n  sync: always\n") == [
                "trellis.yaml:1:1: storage needs \"use\", the name of a storage "
                    + "(known: memory, binlog, everything, archive)"
            ])
        #expect(
            errors("transports:\n  - us: tcp\n    listen: a:1\n")
                == ["trellis.yaml:2:5: unknown key \"us\" in transports[0]; did you mean \"use\"?"])
        #expect(
            errors("scheduler:\n  use:\n")
                == ["trellis.yaml:2:7: scheduler.use must be the name of a scheduler (known: priority)"])
    }

    @Test func missingRequiredOption() {
        #expect(errors("storage:\n  use: binlog\n") == ["trellis.yaml:1:1: storage.binlog needs \"directory\""])
        #expect(
            errors("transports:\n  - use: tcp\n  - use: unix\n") == ["trellis.yaml:3:5: transport.unix needs \"path\""])
    }

    @Test func faultsThatThePluginFinds() {
        #expect(
            errors("storage:\n  use: binlog\n  directory: /\n")
                == ["trellis.yaml:3:3: storage.binlog.directory is the root; choose a folder of its own"])
        #expect(errors("\nstorage: {use: archive}\n") == ["trellis.yaml:2:1: storage.archive.place is far away"])
        #expect(
            errors("transports:\n  - use: tcp\n    listen: nowhere\n") == [
                "trellis.yaml:3:5: transport.tcp.listen "
                    + "is no address with a port; write it like 127.0.0.1:11300 or [::1]:11300"
            ])
        #expect(errors("user: \"\"") == ["trellis.yaml:1:1: user is empty; give the name of a user"])
    }

    @Test func allErrorsComeInTheOrderOfTheFileThenEnvironmentThenFlags() {
        let found = errors(
            "user: [a]\nlog:\n  level: x\nstorage:\n  use: y\n",
            environment: ["TRELLIS_LIMITS__INPUT": "z", "TRELLIS_A": "1"],
            flags: .init(values: [.init(flag: "-z", path: "limits.job-size", text: "w")]))
        #expect(
            found.map { String($0.prefix { $0 != " " }) } == [
                "trellis.yaml:1:7:", "trellis.yaml:3:10:", "trellis.yaml:5:8:", "TRELLIS_A:", "TRELLIS_LIMITS__INPUT:",
                "-z:",
            ])
    }

    @Test func thereAreAtMostAHundredErrorsAndOneLine() {
        let found = errors((1...250).map { "key\($0): 1\n" }.joined())
        #expect(found.count == 101)
        #expect(found.last == "trellis.yaml:101:1: 150 more errors from here on")
    }
}
