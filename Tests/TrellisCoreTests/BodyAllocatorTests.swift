// SPDX-License-Identifier: MIT

import Testing

@testable import TrellisCore

/// A small generator for the tests of this target (Knuth's MMIX constants).
struct TestGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func next(below bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % bound
    }
}

@Suite struct BodyAllocatorTests {
    @Test func everyLengthUpToTheLargestBlockHoldsItsBytes() throws {
        var allocator = BodyAllocator()
        for length in 0...(BodyAllocator.largestBlock + 100) where length < 2000 || length % 997 == 0 || length > 65_500
        {
            let made = allocator.allocate(length)
            let body = try #require(made)
            #expect(body.count == length)
            let footprint = BodyAllocator.footprint(ofLength: length)
            #expect(allocator.liveBytes == footprint)
            #expect(footprint >= UInt64(length + Body.headerBytes))
            // A quarter of a power of two at the most is wasted, and 8 bytes in small bodies.
            #expect(footprint <= UInt64(length + Body.headerBytes) * 5 / 4 + 8)
            allocator.release(body)
            #expect(allocator.liveBytes == 0)
        }
    }

    @Test(arguments: 0...16)
    func aBodyOfAPowerOfTwoFillsItsBlock(_ exponent: Int) {
        let length = 1 << exponent
        let footprint = BodyAllocator.footprint(ofLength: length)
        #expect(footprint <= UInt64(length + Body.headerBytes + 7) & ~7)
        // One that is longer by a byte has a larger block.
        #expect(BodyAllocator.footprint(ofLength: max(length, 8) + 1) > footprint)
    }

    @Test(arguments: [0, 1, 4095, 4096, 4097, 10 << 20])
    func largeMemoryGoesBackInSteps(_ more: Int) throws {
        var allocator = BodyAllocator()
        let made = allocator.allocate(LargeMemory.stepBytes + more)
        let body = try #require(made)
        for index in stride(from: 0, to: body.count, by: 1000) { body.mutableBytes[index] = 1 }
        allocator.release(body)
        #expect(allocator.liveBytes == 0)
        var steps = 0
        while allocator.large.hasRetired {
            allocator.large.sweep()
            steps += 1
        }
        #expect(steps >= 1 + more / LargeMemory.stepBytes)
        // The system's allocator is whole afterwards.
        for _ in 0..<3 {
            let next = allocator.allocate(LargeMemory.stepBytes * 2)
            let body = try #require(next)
            for index in stride(from: 0, to: body.count, by: 1000) { body.mutableBytes[index] = 2 }
            allocator.release(body)
        }
    }

    @Test func someLargeMemoryIsKeptForTheNextNeed() throws {
        var allocator = BodyAllocator()
        for size in [100_000, 3 << 20, 70_000] {
            var live: [Body] = []
            for _ in 0..<300 {
                let made = allocator.allocate(size)
                live.append(try #require(made))
            }
            let addresses = Set(live.map(\.header))
            for body in live { allocator.release(body) }
            let kept = allocator.large.keptBytes
            #expect(kept <= LargeMemory.keptLimit)
            #expect(kept > LargeMemory.keptLimit - (4 << 20))
            let again = allocator.allocate(size - 100)
            let body = try #require(again)
            #expect(addresses.contains(body.header))
            allocator.release(body)
        }
        #expect(allocator.liveBytes == 0)
    }

    @Test(arguments: 1...10)
    func bodiesNeverOverlap(_ seed: UInt64) throws {
        var allocator = BodyAllocator()
        var random = TestGenerator(seed: seed)
        var live: [(body: Body, mark: UInt8)] = []
        for round in 0..<5000 {
            if live.isEmpty || random.next(below: 5) < 3 {
                let made = allocator.allocate(random.next(below: random.next(below: 3) == 0 ? 70_000 : 300))
                let body = try #require(made)
                let mark = UInt8(truncatingIfNeeded: round)
                for index in body.mutableBytes.indices { body.mutableBytes[index] = mark }
                live.append((body, mark))
            } else {
                let (body, mark) = live.remove(at: random.next(below: live.count))
                let isIntact = body.bytes.allSatisfy { $0 == mark }
                #expect(isIntact)
                allocator.release(body)
            }
        }
        for (body, mark) in live {
            let isIntact = body.bytes.allSatisfy { $0 == mark }
            #expect(isIntact)
            allocator.release(body)
        }
        #expect(allocator.liveBytes == 0)
    }

    @Test func bodyLivesUntilItsLastReferenceIsReleased() throws {
        var allocator = BodyAllocator()
        let made = Array("abc".utf8).withUnsafeBytes { allocator.copy($0) }
        let body = try #require(made)
        body.retain()
        allocator.release(body)
        #expect(allocator.liveBytes > 0)
        #expect(String(decoding: body.bytes, as: UTF8.self) == "abc")
        allocator.release(body)
        #expect(allocator.liveBytes == 0)
    }

    @Test func largeBodyKeepsItsBytesWhenItGrows() throws {
        var allocator = BodyAllocator()
        let made = allocator.allocate(100_000)
        var body = try #require(made)
        for index in 0..<100_000 { body.mutableBytes[index] = UInt8(truncatingIfNeeded: index * 7) }
        let grown = allocator.resize(body, to: 5_000_000)
        body = try #require(grown)
        #expect(body.count == 5_000_000)
        let isIntact = (0..<100_000).allSatisfy { body.bytes[$0] == UInt8(truncatingIfNeeded: $0 * 7) }
        #expect(isIntact)
        allocator.release(body)
        #expect(allocator.liveBytes == 0)
    }
}
