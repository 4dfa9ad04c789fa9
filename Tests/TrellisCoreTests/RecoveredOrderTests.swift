// SPDX-License-Identifier: MIT

import Testing

@testable import TrellisCore

@Suite struct RecoveredOrderTests {
    /// Slots in another order than the ids have, and how often the id of a slot was asked for.
    private func order(_ ids: [UInt64]) -> (ids: [UInt64], asked: Int) {
        var order = RecoveredOrder()
        let slots = ids.indices.map { UInt32($0 * 7 % 1009) }
        let known = Dictionary(uniqueKeysWithValues: zip(slots, ids))
        for (slot, id) in zip(slots, ids) { order.append(slot, id: JobID(id)) }
        var asked = 0
        let sorted = order.slots { slot in
            asked += 1
            return JobID(known[slot] ?? 0)
        }
        return (sorted.map { known[$0] ?? 0 }, asked)
    }

    @Test func piecesThatAscendAndComeNewestFirstAreTurnedRoundWithoutSorting() {
        for ids: [UInt64] in [[], [5], [1, 2, 3], [3, 2, 1], [7, 8, 9, 4, 6, 1, 2], [10, 20, 5, 9, 4, 1, 3]] {
            let (found, asked) = order(ids)
            #expect(found == ids.sorted() && asked == 0)
        }
    }

    @Test func anyOtherOrderIsSorted() {
        for ids: [UInt64] in [[1, 2, 9, 4, 10], [7, 8, 4, 9], [1, 3, 2, 4], [5, 6, 1, 2, 3, 4, 7], [9, 8, 1, 10]] {
            let (found, asked) = order(ids)
            #expect(found == ids.sorted() && asked > 0)
        }
        var ids = Array(1...1000 as ClosedRange<UInt64>)
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20 {
            ids.shuffle(using: &random)
            #expect(order(ids).ids == ids.sorted())
        }
    }
}
