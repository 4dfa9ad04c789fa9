// SPDX-License-Identifier: MIT

import Foundation
import LiveServer
import Testing

/// What `trellisd new-plugin` writes; `Examples/test.sh` builds it and runs its tests.
@Suite struct NewPluginTests {
    @Test func writesAPackageOfThatName() throws {
        let folder = try PluginFolder()
        let package = "\(folder.path)/my-store"
        let outcome = try Outcome([trellisd, "new-plugin", "storage", "my-store", "--path", package])
        #expect(outcome.status == 0 && outcome.output.hasPrefix("\(package) has a store that works"))
        let files = try FileManager.default.subpathsOfDirectory(atPath: package).filter { $0.contains(".") }.sorted()
        #expect(
            files == [
                ".gitignore", "Package.swift", "README.md", "Sources/MyStoreStorage/MyStoreStorage.swift",
                "Sources/MyStoreStorage/Record.swift", "Sources/MyStoreStorage/Turn.swift",
                "Sources/trellisd-my-store/Main.swift",
                "Tests/MyStoreStorageTests/MyStoreStorageTests.swift",
            ])
        for file in files {
            let text = try #require(readFile("\(package)/\(file)"))
            #expect(!text.contains("__"), "\(file) has a place that wasn't filled in")
        }
        // It builds with the checkout that the program was built in.
        #expect(readFile("\(package)/Package.swift")?.contains("path: \"\(repository)\"") == true)
        let again = try Outcome([trellisd, "new-plugin", "storage", "my-store", "--path", package])
        #expect(again.status == 1 && again.output == "trellisd: \(package) is there already\n")
    }

    @Test(arguments: [
        ["storage", "My-Store"], ["storage", "-store"], ["storage", "binlog"], ["transport", "mine"],
        ["storage", "mine", "--trellis", "/nonexistent"],
    ])
    func badUsageIsTold(arguments: [String]) throws {
        let outcome = try Outcome([trellisd, "new-plugin"] + arguments)
        #expect(outcome.status == 64 && !outcome.output.isEmpty)
    }

    @Test func aFolderThatIsNoCheckoutIsNamed() throws {
        let outcome = try Outcome([trellisd, "new-plugin", "storage", "mine", "--trellis", "/usr"])
        #expect(outcome.status == 64 && outcome.output == "trellisd: --trellis: /usr isn't a checkout of Trellis\n")
    }
}
