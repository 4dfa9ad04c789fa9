// SPDX-License-Identifier: MIT

/// The ways to a server under test: every behaviour is tried over each.
public enum Route: String, CaseIterable, Sendable {
    /// A loopback TCP port.
    case tcp
    /// A Unix socket in the server's temporary folder.
    case unix
}

/// A test that can't go on: what was expected, what came, and where the test says so.
public struct Unexpected: Error, CustomStringConvertible {
    /// The sentence that the test report shows.
    public let description: String

    /// Wraps a sentence and the place that it is about.
    public init(_ sentence: String, _ file: StaticString = #fileID, _ line: UInt = #line) {
        description = "\(file):\(line): \(sentence)"
    }
}
