// SPDX-License-Identifier: MIT

import MemoryStorage
import Testing
import TrellisConfiguration
import TrellisCore

/// The list of shared objects, with a loader that reads no file.
@Suite struct PluginFileTests {
    private static let mine = AnyPlugin.storage(
        Plugin<any Storage>(
            PluginDescriptor(
                kind: .storage, name: "mine", version: "1", summary: "Is loaded.",
                options: [Option("size", .size(1...1 << 30), default: .size(4096), "A size.")], file: "/lib/mine.so")
        ) { _ in MemoryStorage() })

    private func load(_ text: String) throws(ConfigurationErrors) -> Configuration {
        try Configuration.load(
            ConfigurationSource(file: .init(text: text)), plugins: Samples.plugins,
            loadFile: { path throws(PluginFileFault) in
                switch path {
                case "/lib/mine.so": return [Self.mine]
                case "/lib/memory.so": return [.storage(MemoryStorage.plugin)]
                default: throw PluginFileFault("isn't there")
                }
            })
    }

    private func errors(_ text: String) -> [String] {
        do throws(ConfigurationErrors) {
            _ = try load(text)
            return []
        } catch {
            return error.errors.map(\.description)
        }
    }

    @Test func loadedPluginIsConfiguredLikeABuiltInOne() throws {
        let configuration = try load("storage: {use: mine, size: 8KiB}\nplugins: [/lib/mine.so]\n")
        #expect(configuration.storage.settings.options.size("size") == 8192)
        #expect(configuration.plugins.last?.descriptor.id == "storage.mine")
        #expect(configuration.effectivePage.hasPrefix("plugins:\n  - /lib/mine.so"))
        #expect(try load(configuration.effectivePage).effectivePage.contains("size: 8KiB"))
        let page = Configuration.defaultsPage(plugins: configuration.plugins)
        #expect(page.contains("plugins:\n  - /lib/mine.so\n"))
        #expect(page.contains("#   use: mine\n#   # A size.\n"))
        #expect(
            errors("plugins: [/lib/mine.so]\nstorage: {use: mine, sise: 1}\n") == [
                "trellis.yaml:2:22: unknown key \"sise\" in storage.mine; did you mean \"size\"? (allowed: size)"
            ])
    }

    @Test func oneThatIsntLoadedIsTheOnlyErrorOfIt() {
        #expect(
            errors("plugins:\n  - /lib/other.so\nstorage: {use: other, a: b}\n") == [
                "trellis.yaml:2:5: plugin file /lib/other.so isn't there"
            ])
    }

    @Test func twoPluginsOfOneNameAreRefused() {
        #expect(
            errors("plugins: [/lib/memory.so]") == [
                "trellis.yaml:1:11: plugin file /lib/memory.so has a plugin storage.memory, and one is built in; "
                    + "give it another name"
            ])
        #expect(
            errors("plugins: [/lib/mine.so, /lib/mine.so]") == [
                "trellis.yaml:1:25: the plugins of /lib/mine.so are loaded already"
            ])
    }

    @Test func whatIsNoListOfPathsIsRefused() {
        let list = "trellis.yaml:1:10: plugins must be a list of the absolute paths of shared objects"
        #expect(errors("plugins: /lib/mine.so") == [list])
        #expect(errors("plugins: {a: b}") == [list])
        #expect(
            errors("plugins: [~]") == ["trellis.yaml:1:11: plugins[0] must be the absolute path of a shared object"])
        #expect(errors("plugins:") == [])
    }

    @Test func filesAreRefusedWhereNothingLoadsThem() {
        #expect(throws: ConfigurationErrors.self) {
            try Configuration.load(
                ConfigurationSource(file: .init(text: "plugins: [/lib/mine.so]")), plugins: Samples.plugins)
        }
    }
}
