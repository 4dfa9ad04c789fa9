// SPDX-License-Identifier: MIT

import Foundation
import Testing
import TrellisConfiguration

/// Reading the file.
@Suite struct FileTests {
    private func withFile(_ bytes: [UInt8], _ body: (String) throws -> Void) throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("trellis-\(UUID().uuidString).yaml")
        try Data(bytes).write(to: url)
        defer { try? FileManager.default.removeItem(at: url) }
        try body(url.path)
    }

    @Test func theNameIsTheLastPartOfThePath() throws {
        try withFile(Array("user: a".utf8)) { path in
            let file = try ConfigurationSource.File(readingFrom: path)
            #expect(file.name == path.split(separator: "/").last.map(String.init))
            #expect(file.bytes == Array("user: a".utf8))
        }
    }

    @Test func noMoreIsReadThanNeededToSeeThatItIsTooLarge() throws {
        try withFile([UInt8](repeating: 35, count: 3 << 20)) { path in
            let file = try ConfigurationSource.File(readingFrom: path)
            #expect(file.bytes.count == 1 << 20 + 1)
        }
    }

    @Test func aFileThatCannotBeReadIsToldInOneLine() {
        do throws(ConfigurationError) {
            _ = try ConfigurationSource.File(readingFrom: "/nonexistent/a.yaml")
            Issue.record("it was read")
        } catch {
            #expect(error.description == "a.yaml: can't open /nonexistent/a.yaml: No such file or directory")
        }
        do throws(ConfigurationError) {
            _ = try ConfigurationSource.File(readingFrom: "/tmp")
            Issue.record("it was read")
        } catch {
            #expect(error.description == "tmp: can't read /tmp: Is a directory")
        }
    }
}
