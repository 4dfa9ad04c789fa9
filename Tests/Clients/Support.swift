// SPDX-License-Identifier: MIT

import LiveServer

/// Where the files of the repository are.
enum Repository {
    /// Its folder.
    static let root = #filePath.split(separator: "/").dropLast(3).reduce(into: "") { $0 += "/" + $1 }
}

/// Runs a test, which blocks, on a thread of its own, with a server of its own.
func withServer(
    _ settings: LiveServer.Settings = LiveServer.Settings(), _ body: @escaping @Sendable (LiveServer) throws -> Void
) async throws {
    try await withTaskExecutorPreference(Threads.shared) {
        let server = try LiveServer(settings)
        do {
            try body(server)
        } catch {
            try? server.stop()
            throw error
        }
        try server.stop()
    }
}

/// What a run of `trellis` came to.
struct CommandResult {
    var status: Int32
    var output: String
    var errors: String
}

extension LiveServer {
    /// The address of the server as `trellis` wants it.
    func address(_ route: Route) -> String { route == .tcp ? "127.0.0.1:\(port)" : "unix:\(socketPath)" }

    /// Runs `trellis` with the server in its environment.
    func trellis(
        _ arguments: String..., over route: Route = .tcp, input: String? = nil, output: String? = nil
    ) throws -> CommandResult {
        try runTrellis(arguments, input: input, output: output, environment: ["TRELLIS_SERVER=\(address(route))"])
    }
}

/// Runs `trellis`, with the text as its standard input, and its output to a file if one is named.
func runTrellis(
    _ arguments: [String], input: String? = nil, output: String? = nil, environment: [String] = []
) throws -> CommandResult {
    let folder = try makeTemporaryFolder()
    defer { removeFolder(folder) }
    if let input { try writeFile("\(folder)/input", input) }
    let process = try ChildProcess(
        ["\(LiveServer.products)/trellis"] + arguments, log: output ?? "\(folder)/output", errors: "\(folder)/errors",
        input: input == nil ? "/dev/null" : "\(folder)/input", environment: environment)
    guard let status = process.waitForExit(seconds: 60) else {
        process.signal(9)
        _ = process.waitForExit(seconds: 10)
        throw Unexpected("trellis \(arguments) didn't come to an end")
    }
    return CommandResult(
        status: status, output: output == nil ? process.output() : "", errors: readFile("\(folder)/errors") ?? "")
}
