// SPDX-License-Identifier: MIT

import Foundation
import Testing
import TrellisConfiguration
import TrellisCore

@testable import TrellisMain

/// The files under config/ are right, and config/trellis.yaml is complete.
@Suite struct ConfigurationFilesTests {
    private static let folder = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("config")

    private static var files: [String] {
        let names = FileManager.default.enumerator(atPath: folder.path)?.compactMap { $0 as? String } ?? []
        return names.filter { $0.hasSuffix(".yaml") }.sorted()
    }

    private func load(_ name: String) throws -> Configuration {
        let path = Self.folder.appendingPathComponent(name).path
        let file = try ConfigurationSource.File(readingFrom: path)
        return try Configuration.load(ConfigurationSource(file: file), plugins: builtInPlugins)
    }

    @Test func theFilesAreThere() {
        #expect(
            Set(Self.files).isSuperset(of: [
                "trellis.yaml", "examples/memory.yaml", "examples/unix-socket.yaml", "examples/durable.yaml",
                "examples/compressed.yaml", "examples/fair.yaml",
            ]))
    }

    @Test(arguments: files) func loads(name: String) throws { _ = try load(name) }

    /// But for the storage: without a file there is no folder that a server may write to.
    @Test func theMainFileHoldsTheDefaults() throws {
        let defaults = try Configuration.load(ConfigurationSource(), plugins: builtInPlugins)
        let main = try load("trellis.yaml")
        #expect(
            main.values.filter { !$0.key.hasPrefix("storage") }
                == defaults.values.filter { !$0.key.hasPrefix("storage") })
        #expect(main.storage.plugin.descriptor.id == "storage.binlog")
        #expect(
            main.storage.settings.options.values == Options(defaultsOf: main.storage.plugin.descriptor.options).values)
        #expect(defaults.transports.map { $0.settings.options.text("listen") } == ["127.0.0.1:11300"])
    }

    @Test func theMainFileNamesEveryPluginAndOption() throws {
        let text = try String(contentsOf: Self.folder.appendingPathComponent("trellis.yaml"), encoding: .utf8)
        let lines = text.split(separator: "\n").map { line in
            String(line.drop { $0 == " " || $0 == "#" || $0 == "-" })
        }
        func isNamed(_ start: String) -> Bool { lines.contains { $0 == start || $0.hasPrefix(start + " ") } }
        for descriptor in builtInPlugins.map(\.descriptor) {
            #expect(isNamed("use: \(descriptor.name)"), "\(descriptor.id) is not in config/trellis.yaml")
            for option in descriptor.options {
                #expect(isNamed("\(option.key):"), "\(descriptor.id).\(option.key) is not in config/trellis.yaml")
            }
        }
        #expect(isNamed("tubes:"))
        for option in TubeChoice.options {
            #expect(isNamed("\(option.key):"), "tubes.\(option.key) is not in config/trellis.yaml")
        }
        for section in CoreSection.all {
            if !section.name.isEmpty { #expect(isNamed("\(section.name):")) }
            for option in section.options {
                #expect(isNamed("\(option.key):"), "\(section.name).\(option.key) is not in config/trellis.yaml")
            }
        }
    }
}
