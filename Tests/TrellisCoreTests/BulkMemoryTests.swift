// SPDX-License-Identifier: MIT

import Glibc
import Testing

@testable import TrellisCore

@Suite struct BulkMemoryTests {
    @Test(arguments: [4096, 36 << 12, 256 << 10, 2 << 20])
    func whatIsTakenIsZeroApartAndGoesBackByItself(_ bytes: Int) throws {
        var memory = BulkMemory()
        var taken: [UnsafeMutableRawPointer] = []
        // More than one piece of 2 MiB, whose rest may be too small.
        for _ in 0..<((5 << 20) / bytes) {
            let found = memory.take(bytes)
            taken.append(try #require(found))
        }
        let isPowerOfTwo = bytes & (bytes - 1) == 0
        for (number, start) in taken.enumerated() {
            if isPowerOfTwo { #expect(UInt(bitPattern: start) & UInt(bytes - 1) == 0) }
            #expect(UnsafeRawBufferPointer(start: start, count: bytes).allSatisfy { $0 == 0 })
            memset(start, Int32(number % 255) + 1, bytes)
        }
        // Every second one goes; the others keep what they hold.
        for number in stride(from: 1, to: taken.count, by: 2) { #expect(munmap(taken[number], bytes) == 0) }
        for number in stride(from: 0, to: taken.count, by: 2) {
            let content = UnsafeRawBufferPointer(start: taken[number], count: bytes)
            #expect(content.allSatisfy { $0 == UInt8(number % 255) + 1 })
            #expect(munmap(taken[number], bytes) == 0)
        }
    }

    @Test func theRestGoesBackWithIt() throws {
        var memory: BulkMemory? = BulkMemory()
        let found = memory?.take(4096)
        let first = try #require(found)
        var resident: UInt8 = 0
        #expect(mincore(first + 4096, 4096, &resident) == 0)
        memory = nil
        #expect(mincore(first + 4096, 4096, &resident) == -1 && errno == ENOMEM)
        #expect(mincore(first, 4096, &resident) == 0)
        munmap(first, 4096)
    }
}
