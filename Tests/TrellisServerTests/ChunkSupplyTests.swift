// SPDX-License-Identifier: MIT

import Glibc
import Testing
import TrellisCore

@testable import TrellisServer

@Suite struct ChunkSupplyTests {
    @Test func chunksAreMadeAheadForOneTakerAndTheRestGoesBack() throws {
        let supply = ChunkSupply()
        supply.start()
        var taken: [UnsafeMutableRawPointer] = []
        try waitUntil("some were ready") {
            if let chunk = supply.take() {
                memset(chunk, Int32(taken.count & 0xFF), 256 << 10)
                taken.append(chunk)
            }
            return taken.count == 300
        }
        supply.stop()
        #expect(Set(taken).count == 300)
        for (number, chunk) in taken.enumerated() {
            #expect(UInt(bitPattern: chunk) & (256 << 10 - 1) == 0)
            #expect(chunk.load(fromByteOffset: 256 << 10 - 1, as: UInt8.self) == UInt8(number & 0xFF))
            BodyAllocator.returnChunk(chunk)
        }
        #expect(supply.take() == nil)
    }

    @Test func aSmallStoreIsLeftAlone() throws {
        let supply = ChunkSupply()
        supply.start()
        for _ in 0..<4 { #expect(supply.take() == nil) }
        // Time enough to make one if it were going to.
        usleep(100_000)
        #expect(supply.take() == nil)
        supply.stop()
    }

    @Test func withoutAThreadNoneIsReady() {
        let supply = ChunkSupply()
        #expect(supply.take() == nil)
        supply.stop()
    }
}
