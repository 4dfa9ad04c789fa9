// SPDX-License-Identifier: MIT

import Foundation
import LiveServer
import Testing

/// A server whose store comes from a file.
@Suite struct ServerTests {
    private let folder: PluginFolder

    init() throws { folder = try PluginFolder() }

    private func configure(_ storage: String, plugins: String) throws -> String {
        let file = "\(folder.path)/trellis.yaml"
        try writeFile(
            file,
            "plugins: [\(plugins)]\nstorage: {\(storage)}\ntransports: [{use: unix, path: \"\(folder.path)/s\"}]\n")
        return file
    }

    private func start(_ file: String) throws -> ChildProcess {
        let process = try ChildProcess([trellisd, "--config", file], log: "\(folder.path)/log")
        let deadline = monotonicSeconds() + 60
        while !process.output().contains("listens on") {
            if let status = process.waitForExit(seconds: 0) {
                throw Unexpected("the server ended with \(status): \(process.output())")
            }
            guard monotonicSeconds() < deadline else { throw Unexpected("the server never listened") }
            pause(seconds: 0.01)
        }
        return process
    }

    @Test func jobsOutliveTheServer() throws {
        let library = try folder.compile("Examples/c-storage/slots.c", to: "slots")
        let file = try configure("use: slots, path: \"\(folder.path)/jobs\"", plugins: library)
        let first = try start(file)
        let client = try Client(path: "\(folder.path)/s")
        try client.call("put 5 0 60 5\r\nhello", "INSERTED 1")
        first.signal(SIGKILL)
        #expect(first.waitForExit(seconds: 10) == 128 + SIGKILL)
        let second = try start(file)
        let other = try Client(path: "\(folder.path)/s")
        try other.call("peek 1", "FOUND 1 5\r\nhello")
        try other.call("delete 1", "DELETED")
        try other.call("put 5 0 60 5\r\nagain", "INSERTED 2")
        second.signal(SIGTERM)
        #expect(second.waitForExit(seconds: 10) == 0)
    }

    @Test func aFailingCommitStopsTheServerAndLosesNothing() throws {
        let library = try folder.compile("Tests/LoadingTests/Plugins/faulty.c", to: "faulty")
        let storage = "use: faulty, path: \"\(folder.path)/jobs\", fault"
        let process = try start(try configure("\(storage): commit-fails", plugins: library))
        let client = try Client(path: "\(folder.path)/s")
        for id in 1...3 { try client.call("put 5 0 60 1\r\nx", "INSERTED \(id)") }
        try client.call("put 5 0 60 1\r\nx", "INTERNAL_ERROR")
        #expect(process.waitForExit(seconds: 10) == 20)
        #expect(
            process.output().contains(
                "trellisd: the storage failed: storage.faulty of \(library), commit: the disk went away\n"))
        let again = try start(try configure("\(storage): none", plugins: library))
        let other = try Client(path: "\(folder.path)/s")
        for id in 1...3 { try other.call("peek \(id)", "FOUND \(id) 1\r\nx") }
        again.signal(SIGTERM)
        #expect(again.waitForExit(seconds: 10) == 0)
    }

    @Test func whatCannotBeLoadedIsAnErrorOfTheConfiguration() throws {
        let library = try folder.compile(
            "Tests/LoadingTests/Plugins/unloadable.c", to: "unloadable", defining: ["DEFECT=2"])
        let file = try configure("use: unloadable", plugins: library)
        let outcome = try Outcome([trellisd, "check", "--config", file])
        #expect(outcome.status == 78)
        #expect(
            outcome.output == """
                trellis.yaml:1:11: plugin file \(library) has version 7 of the plugin interface, and this server has version \
                1; build it with the trellis_plugin.h of this server

                """)
    }

    @Test func aFailingOpenIsOneLine() throws {
        let library = try folder.compile("Tests/LoadingTests/Plugins/faulty.c", to: "faulty")
        let outcome = try Outcome(
            [trellisd, "--config", try configure("use: faulty, fault: open-fails", plugins: library)])
        #expect(outcome.status == 20)
        let line = "trellisd: the storage failed: storage.faulty of \(library), open: the disk isn't there\n"
        #expect(outcome.output == line)
    }

    @Test func loadedPluginsAreListedAndShown() throws {
        let library = try folder.compile("Examples/c-storage/slots.c", to: "slots")
        let file = try configure("use: slots", plugins: library)
        for arguments in [["--config", file], ["--load", library]] {
            let list = try Outcome([trellisd, "plugins"] + arguments)
            let line = try #require(list.output.split(separator: "\n").last { $0.hasPrefix("storage.slots ") })
            #expect(line.split(separator: " ").prefix(3) == ["storage.slots", "1.0", library[...]])
            let page = try Outcome([trellisd, "plugins", "show", "slots"] + arguments)
            #expect(
                page.output.hasPrefix("storage.slots 1.0, \(library)\n") && page.output.contains("  default: 4KiB\n"))
        }
        let defaults = try Outcome([trellisd, "config", "--defaults", "--config", file])
        #expect(defaults.output.contains("#   use: slots\n"))
        let json = try Outcome([trellisd, "plugins", "show", "slots", "--load", library, "--json"])
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
        #expect(object["id"] as? String == "storage.slots" && object["file"] as? String == library)
        let options = try #require(object["options"] as? [[String: Any]])
        #expect(options.map { $0["key"] as? String } == ["path", "slots", "slot-size"])
        #expect(options[2]["default"] as? Int == 4096 && options[2]["unit"] as? String == "bytes")
    }
}
