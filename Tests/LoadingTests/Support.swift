// SPDX-License-Identifier: MIT

import Foundation
import LiveServer
import TrellisCore
import TrellisServer

/// The repository, where the sources of plugins are.
let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path

/// What a program printed, and how it ended.
struct Outcome {
    var status: Int32
    var output: String

    /// Runs a program to its end.
    init(_ arguments: [String], environment: [String] = []) throws {
        let folder = try makeTemporaryFolder()
        defer { removeFolder(folder) }
        let process = try ChildProcess(arguments, log: "\(folder)/log", environment: environment)
        guard let status = process.waitForExit(seconds: 240) else {
            process.signal(SIGKILL)
            throw Unexpected("\(arguments) doesn't end: \(process.output())")
        }
        self.status = status
        output = process.output()
    }
}

/// `trellisd`, which was built beside the tests.
let trellisd = "\(LiveServer.products)/trellisd"

/// A folder with plugins that were compiled for a test; goes with it.
final class PluginFolder {
    let path: String

    init() throws {
        path = try makeTemporaryFolder()
        // What is loaded must not be writable by others; the folder isn't, whatever the umask is.
        chmod(path, 0o755)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Compiles a source of the repository to a shared object, and answers its path.
    func compile(_ source: String, to name: String, defining macros: [String] = []) throws -> String {
        let library = "\(path)/\(name).so"
        // The compiler of the toolchain is always there.
        let outcome = try Outcome(
            ["clang", "-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-fvisibility=hidden"]
                + macros.map { "-D\($0)" }
                + ["-I", "\(repository)/Sources/CTrellisPlugin/include", "-o", library, "\(repository)/\(source)"])
        guard outcome.status == 0 else { throw Unexpected("\(source) doesn't compile:\n\(outcome.output)") }
        chmod(library, 0o755)
        return library
    }
}

/// The only plugin of a file, if it is a storage.
func loadStorage(_ path: String) throws -> Plugin<any Storage> {
    guard case .storage(let plugin)? = try PluginLoader.load(path, trust: .anybody).first else {
        throw Unexpected("\(path) has no storage")
    }
    return plugin
}
