// SPDX-License-Identifier: MIT

import Glibc
import Testing

@testable import TrellisCore

@Suite struct EngineMemoryTests {
    /// The address space of the process, in bytes.
    private static func mappedBytes() throws -> Int {
        let file = try #require(fopen("/proc/self/statm", "r"))
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 200)
        _ = fgets(&line, Int32(line.count), file)
        return strtol(line, nil, 10) * 4096
    }

    @Test(arguments: [60_000, 1 << 20])
    func engineThatIsGoneKeepsNoBodies(_ size: Int) throws {
        let before = try Self.mappedBytes()
        for _ in 0..<(2 << 30) / (64 * size) {
            let harness = EngineHarness(limits: EngineLimits(jobBytes: .max))
            let client = harness.connect()
            for _ in 0..<64 {
                let line = PutLine(priority: 0, delay: 0, ttr: 1, size: UInt32(size))
                _ = harness.engine.pointee.perform(.put(line), from: client)
                let made = harness.engine.pointee.makeBody(size)
                harness.engine.pointee.completePut(client, body: try #require(made), endsWithCRLF: true)
            }
            // Some in a queue, some reserved, and their replies not taken out.
            for _ in 0..<9 { _ = harness.engine.pointee.perform(.reserve, from: client) }
        }
        // The bodies were 2 GiB in all.
        #expect(try Self.mappedBytes() - before < 1 << 30)
    }
}
