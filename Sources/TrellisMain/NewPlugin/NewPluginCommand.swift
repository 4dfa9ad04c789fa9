// SPDX-License-Identifier: MIT

import ArgumentParser
import Foundation
import TrellisCore

/// `trellisd new-plugin`: writes a package for a plugin of one's own.
struct NewPlugin: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new-plugin", abstract: "Write a package for a plugin of your own.",
        discussion: """
            The package has a store that works, tests that pass, and a server with the store; its README says what is \
            left. It needs a checkout of Trellis: that of this program, or --trellis.
            """)

    @Argument(help: "The kind of plugin: storage.")
    var kind: String
    @Argument(help: "The name behind use: in the configuration: lower-case letters, digits and hyphens.")
    var name: String
    @ArgumentParser.Option(help: ArgumentHelp("The folder to make (default: NAME).", valueName: "dir"))
    var path: String?
    @ArgumentParser.Option(help: ArgumentHelp("The checkout of Trellis to build with.", valueName: "dir"))
    var trellis: String?

    func validate() throws {
        if kind != "storage" { throw ValidationError("Only packages for plugins of the kind storage can be written.") }
        guard name.wholeMatch(of: /[a-z][a-z0-9]*(-[a-z0-9]+)*/) != nil else {
            throw ValidationError("The name is of lower-case letters, digits and hyphens, such as my-store.")
        }
        if Program.plugins.contains(where: { $0.descriptor.id == "\(kind).\(name)" }) {
            throw ValidationError("There is a plugin \(kind).\(name) already; take another name.")
        }
    }

    func run() throws {
        let folder = URL(filePath: path ?? name).standardizedFileURL
        guard !FileManager.default.fileExists(atPath: folder.path) else {
            complain("\(folder.path) is there already")
            throw ExitCode(1)
        }
        let checkout = try trellis.map { URL(filePath: $0).standardizedFileURL } ?? Self.ownCheckout()
        guard let checkout, Self.isCheckout(checkout) else {
            complain(
                checkout.map { "--trellis: \($0.path) isn't a checkout of Trellis" }
                    ?? "say by --trellis where a checkout of Trellis is")
            throw ExitCode(ExitStatus.usage)
        }
        let template = StorageTemplate(name: name, checkout: checkout.path)
        do {
            for (file, text) in template.files {
                let place = folder.appending(path: file)
                try FileManager.default.createDirectory(
                    at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
                try Data(text.utf8).write(to: place)
            }
        } catch {
            complain("can't write \(folder.path): \(error.localizedDescription)")
            throw ExitCode(1)
        }
        writeAll(
            """
            \(folder.path) has a store that works and a server with it. Next:
              cd \(folder.path)
              swift test
              less README.md

            """, to: 1)
    }

    /// The checkout that this program was built in.
    private static func ownCheckout() throws -> URL? {
        var folder = URL(filePath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        while folder.path != "/" {
            folder.deleteLastPathComponent()
            if isCheckout(folder) { return folder }
        }
        return nil
    }

    private static func isCheckout(_ folder: URL) -> Bool {
        FileManager.default.fileExists(atPath: folder.appending(path: "Sources/TrellisCore/Storage.swift").path)
    }
}
