// SPDX-License-Identifier: MIT

import Foundation
import LiveServer
import Testing
import TrellisCore
import TrellisServer

/// What is loaded, and what is refused with which words.
@Suite struct LoaderTests {
    private func refusal(_ path: String, _ trust: PluginLoader.Trust = .anybody) throws -> String {
        do {
            _ = try PluginLoader.load(path, trust: trust)
        } catch {
            #expect(error.path == path)
            return error.reason
        }
        throw Unexpected("\(path) was loaded")
    }

    @Test func describesWhatItLoads() throws {
        let folder = try PluginFolder()
        let path = try folder.compile("Tests/LoadingTests/Plugins/faulty.c", to: "faulty")
        let plugins = try PluginLoader.load(path, trust: .ownersOnly)
        #expect(plugins.count == 1)
        let descriptor = try #require(plugins.first).descriptor
        #expect(descriptor.id == "storage.faulty" && descriptor.version == "1.0" && descriptor.file == path)
        #expect(descriptor.options.map(\.key) == ["path", "slots", "slot-size", "fault"])
        #expect(descriptor.options[0].type == .path && descriptor.options[0].defaultValue == .text("jobs.slots"))
        #expect(descriptor.options[1].type == .integer(1...1 << 24))
        #expect(descriptor.options[2].type == .size(1024...1 << 20))
        #expect(descriptor.options[2].defaultValue == .size(4096))
        guard case .choice(let words) = descriptor.options[3].type else { throw Unexpected("fault is no choice") }
        #expect(words.first == "none" && words.last == "crashes")
        // Once more is no error.
        #expect(try PluginLoader.load(path, trust: .ownersOnly).count == 1)
        var options = Options(defaultsOf: descriptor.options)
        #expect(plugins[0].validate(options) == [])
        options.values["slots"] = .integer(13)
        #expect(plugins[0].validate(options) == [OptionFault(key: "slots", message: "is 13, which brings bad luck")])
    }

    @Test(arguments: [
        (1, "exports no function trellis_plugin_at, by which this server finds plugins (see trellis_plugin.h)"),
        (
            2,
            "has version 7 of the plugin interface, and this server has version 1; build it with the trellis_plugin.h of "
                + "this server"
        ),
        (
            3,
            "describes a plugin in 24 bytes, and version 1 of the interface needs 64; set size to sizeof(struct "
                + "trellis_plugin)"
        ),
        (
            4,
            "has a plugin storage.unloadable without the function commit, which this server needs (struct trellis_storage "
                + "of version 1; size is 104)"
        ),
        (
            5,
            "has a plugin storage.unloadable without the functions commit and close, which this server needs (struct "
                + "trellis_storage of version 1; size is 48)"
        ),
        (6, "has no plugin: trellis_plugin_at(0) answered NULL"),
        (
            7,
            "has the plugin transport.unloadable; only plugins of the kinds \"storage\" and \"scheduler\" can be loaded"
        ),
        (8, "has a plugin named \"No Name\"; names are lower-case letters, digits and hyphens"),
        (
            9,
            "has a plugin storage.unloadable that describes its options badly: the default of size is no value of its "
                + "type, or out of its range"
        ),
    ])
    func refusesWhatItCannotUse(defect: Int, reason: String) throws {
        let folder = try PluginFolder()
        let path = try folder.compile(
            "Tests/LoadingTests/Plugins/unloadable.c", to: "unloadable", defining: ["DEFECT=\(defect)"])
        #expect(try refusal(path) == reason)
    }

    @Test func refusesWhatIsNoSharedObject() throws {
        let folder = try PluginFolder()
        let path = "\(folder.path)/text.so"
        try writeFile(path, "no shared object\n")
        #expect(try refusal(path).hasPrefix("can't be loaded as a shared object: "))
        #expect(try refusal("\(folder.path)/none.so") == "can't be found: No such file or directory")
    }

    @Test func refusesWhatOthersMayWrite() throws {
        let folder = try PluginFolder()
        let path = try folder.compile("Examples/c-storage/slots.c", to: "slots")
        chmod(path, 0o775)
        #expect(try refusal(path, .ownersOnly).hasPrefix("is refused: \(path) may be written by others"))
        chmod(path, 0o755)
        chmod(folder.path, 0o777)
        #expect(
            try refusal(path, .ownersOnly)
                == "is refused: \(folder.path) may be written by others than its owner (mode 777); chmod go-w it")
        #expect(try PluginLoader.load(path, trust: .anybody).count == 1)
        chmod(folder.path, 0o755)
        // A link in a folder that others may write.
        let other = try PluginFolder()
        chmod(other.path, 0o777)
        symlink(path, "\(other.path)/link.so")
        #expect(try refusal("\(other.path)/link.so", .ownersOnly).hasPrefix("is refused: \(other.path) may be"))
        if geteuid() == 0 {
            chown(path, 12345, 12345)
            #expect(
                try refusal(path, .ownersOnly) == "is refused: \(path) belongs to user 12345, and must belong to root")
        }
    }

    @Test func refusesARelativePath() throws {
        let path = FileManager.default.currentDirectoryPath + "/Package.swift"
        #expect(try refusal("./Package.swift", .ownersOnly) == "must be an absolute path: \(path)")
        #expect(try refusal("nowhere.so", .ownersOnly) == "must be an absolute path")
    }
}
