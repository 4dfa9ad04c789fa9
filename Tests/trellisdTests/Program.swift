// SPDX-License-Identifier: MIT

import Foundation

/// What a run of the program came to.
struct Outcome: Equatable {
    var status: Int32
    var output: String
    var errors: String

    /// The lines of its standard output.
    var lines: [String] { output.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init) }
}

/// Runs the program that was built beside the tests.
func runProgram(_ arguments: String..., environment: [String: String] = [:]) throws -> Outcome {
    try runProgram(arguments, environment: environment)
}

/// The path of the program.
func builtProgram() throws -> String {
    let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent("trellisd").path
}

/// Runs the program, or another one; its output goes to a file where one is named.
func runProgram(
    _ arguments: [String], environment: [String: String] = [:], outputFile: String? = nil, program: String? = nil
) throws -> Outcome {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try program ?? builtProgram())
    process.arguments = arguments
    process.environment = environment
    let (output, errors) = (Pipe(), Pipe())
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = errors
    if let outputFile { process.standardOutput = FileHandle(forWritingAtPath: outputFile) }
    try process.run()
    // What these commands complain of fits into a pipe, so that one can be read after the other.
    let outputBytes = outputFile == nil ? output.fileHandleForReading.readDataToEndOfFile() : Data()
    let errorBytes = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Outcome(
        status: process.terminationStatus, output: String(decoding: outputBytes, as: UTF8.self),
        errors: String(decoding: errorBytes, as: UTF8.self))
}

/// An empty folder for one test.
func withScratch(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("trellis-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder.path)
}

/// The files of a folder, by name; empty where there is no folder.
func contents(of folder: String) throws -> [String: Data] {
    var result: [String: Data] = [:]
    for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
        result[name] = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)"))
    }
    return result
}

/// Flips bits of a byte of a file.
func flip(_ file: String, at offset: UInt64, _ bits: UInt8 = 0x40) throws {
    let handle = try FileHandle(forUpdating: URL(fileURLWithPath: file))
    try handle.seek(toOffset: offset)
    guard let byte = try handle.read(upToCount: 1)?.first else { throw CocoaError(.fileReadUnknown) }
    try handle.seek(toOffset: offset)
    try handle.write(contentsOf: Data([byte ^ bits]))
    try handle.close()
}
