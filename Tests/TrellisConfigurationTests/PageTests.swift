// SPDX-License-Identifier: MIT

import Testing
import TrellisConfiguration
import TrellisCore

/// The pages that are made from schemas and configurations read back to what they show.
@Suite struct PageTests {
    @Test func theDefaultsPageReadsBackAsTheDefaults() throws {
        let page = Configuration.defaultsPage(plugins: Samples.plugins)
        #expect(try load(page).values == load(nil).values)
    }

    @Test func theDefaultsPageNamesEverything() {
        let page = Configuration.defaultsPage(plugins: Samples.plugins)
        for descriptor in Samples.plugins.map(\.descriptor) {
            #expect(page.contains("use: \(descriptor.name)\n"))
            for option in descriptor.options { #expect(page.contains(" \(option.key): "), "\(option.key)") }
        }
        #expect(page.contains("\n# tubes:\n"))
        for option in TubeChoice.options { #expect(page.contains(" \(option.key): "), "\(option.key)") }
        for section in CoreSection.all {
            for option in section.options { #expect(page.contains("\(option.key): "), "\(option.key)") }
        }
        #expect(page.split(separator: "\n").allSatisfy { $0.count <= 120 })
    }

    /// What is commented out as an alternative works once the marks are taken away.
    @Test func alternativesOfTheDefaultsPageLoad() throws {
        let page = Configuration.defaultsPage(plugins: Samples.plugins)
        let start = try #require(page.firstRange(of: "# storage:\n#   use: everything\n"))
        let lines = page[start.lowerBound...].split(separator: "\n", omittingEmptySubsequences: false)
        let block = lines.prefix { $0.hasPrefix("#") }.map { $0.dropFirst(2) }.joined(separator: "\n")
        let storage = try load(block).storage
        #expect(storage.plugin.descriptor.name == "everything")
        #expect(storage.settings.options.values == Options(defaultsOf: storage.plugin.descriptor.options).values)
        #expect(storage.settings.values["text"]?.origin.description.hasPrefix("file ") == true)
    }

    @Test func theEffectivePageTellsEachOrigin() throws {
        let configuration = try load(
            "storage:\n  use: binlog\n  directory: \"a b\"\n", environment: ["TRELLIS_STORAGE__SYNC": "50ms"],
            flags: .init(values: [.init(flag: "-z", path: "limits.job-size", text: "1000")]))
        #expect(
            configuration.effectivePage == """
                storage:
                  use: binlog                # file trellis.yaml:2:3
                  directory: "a b"           # file trellis.yaml:3:3
                  segment-size: 16MiB        # default
                  sync: 50ms                 # environment TRELLIS_STORAGE__SYNC
                transports:
                  - use: tcp                 # default
                    listen: 127.0.0.1:11300  # default
                scheduler:
                  use: priority              # default
                limits:
                  job-size: 1000             # flag -z
                  memory: 4GiB               # default
                  connections: auto          # default
                  output: 1MiB               # default
                  input: 64KiB               # default
                log:
                  level: notice              # default
                io-threads: 1                # default
                # user: TEXT                 # not set

                """)
    }

    @Test(arguments: [
        "plain", "two words", "*:1", "[::1]:1", "# no comment", "a: b", "a #b", "~", "null", "true", "Off", "", " lead",
        "tab\there", "line\nbreak", "quote\"s", "back\\slash", "it's", "é", "日本", "\u{85}\u{2028}\u{2029}\u{FEFF}",
        "\u{1F600}", "\u{E000}", "-", "- a", "a:", "0x1F", "1e3", "e\u{301}", "\u{301}", "\u{0}", "\u{7F}", "\u{200B}",
        "\u{FFFF}", "\u{10FFFF}", "\r\n",
    ])
    func anyTextComesBackFromTheEffectivePage(text: String) throws {
        let configuration = try load(nil, flags: .init(values: [.init(flag: "-u", path: "user", text: "u\(text)")]))
        let again = try load(configuration.effectivePage)
        #expect(again.user.map { Array($0.unicodeScalars) } == Array("u\(text)".unicodeScalars))
    }

    @Test func aPluginsPage() throws {
        let binlog = try #require(Samples.plugins.map(\.descriptor).first { $0.name == "binlog" })
        #expect(
            binlog.page == """
                storage.binlog 1, built in
                Keeps jobs in a log.

                directory: path
                  required
                  Where the segments are.

                segment-size: size, 4KiB to 1GiB
                  default: 16MiB
                  The size of a segment.

                sync: always, never or a time, 1ms to 10s
                  default: always
                  When a change is synced.

                """)
    }
}
