// SPDX-License-Identifier: MIT

import Testing

@testable import TrellisCore

@Suite struct JobIndexTests {
    @Test(arguments: 1...10)
    func agreesWithADictionary(_ seed: UInt64) {
        var random = TestGenerator(seed: seed)
        var index = JobIndex()
        var model: [UInt64: UInt32] = [:]
        var order: [UInt64] = []
        var next: UInt64 = 1
        for round in 0..<20_000 {
            switch random.next(below: 10) {
            case 0...4:
                next += UInt64(1 + random.next(below: seed % 2 == 0 ? 2 : 500))
                index.insert(JobID(next), slot: UInt32(round))
                model[next] = UInt32(round)
                order.append(next)
            case 5...8:
                // Mostly the oldest, as in a queue; sometimes any.
                guard !order.isEmpty else { continue }
                let victim = order.remove(at: random.next(below: 3) > 0 ? 0 : random.next(below: order.count))
                index.remove(JobID(victim))
                model[victim] = nil
            default:
                let id = UInt64(random.next(below: Int(next) + 2))
                #expect(index.slot(of: JobID(id)) == model[id])
            }
        }
        for (id, slot) in model { #expect(index.slot(of: JobID(id)) == slot) }
        for id in model.keys { index.remove(JobID(id)) }
        for id in model.keys { #expect(index.slot(of: JobID(id)) == nil) }
    }

    @Test func unknownIdsAreNotFound() {
        var index = JobIndex()
        #expect(index.slot(of: JobID(0)) == nil)
        #expect(index.slot(of: JobID(.max)) == nil)
        index.insert(JobID(.max), slot: 7)
        #expect(index.slot(of: JobID(.max)) == 7)
        #expect(index.slot(of: JobID(.max - 1)) == nil)
        #expect(index.slot(of: JobID(63)) == nil)
    }
}

@Suite struct QuaternaryHeapTests {
    private struct Entry: HeapEntry {
        var key: Int
        var number: Int

        static func precedes(_ left: Entry, _ right: Entry) -> Bool {
            left.key != right.key ? left.key < right.key : left.number < right.number
        }
    }

    @Test(arguments: 1...20)
    func agreesWithASortedArray(_ seed: UInt64) {
        var random = TestGenerator(seed: seed)
        var heap = QuaternaryHeap<Entry>()
        defer { heap.deallocate() }
        var model: [Int: Entry] = [:]
        var places: [Int: UInt32] = [:]
        for number in 0..<3000 {
            switch random.next(below: 8) {
            case 0...3:
                let entry = Entry(key: random.next(below: 50), number: number)
                model[number] = entry
                heap.insert(entry) { places[$0.number] = $1 }
            case 4:
                guard let victim = model.keys.min(), let place = places[victim] else { continue }
                #expect(heap.remove(at: place) { places[$0.number] = $1 }.number == victim)
                model[victim] = nil
            case 5:
                guard let changed = model.keys.max(), let place = places[changed] else { continue }
                let entry = Entry(key: random.next(below: 50), number: changed)
                model[changed] = entry
                heap.replace(at: place, with: entry) { places[$0.number] = $1 }
            default:
                guard let first = heap.first else { continue }
                if number % 50 == 0 { #expect(model.values.allSatisfy { !Entry.precedes($0, first) }) }
                heap.remove(at: 0) { places[$0.number] = $1 }
                model[first.number] = nil
            }
        }
        #expect(heap.count == model.count)
        var last: Entry?
        while let first = heap.first {
            if let last { #expect(Entry.precedes(last, first)) }
            last = first
            heap.remove(at: 0) { places[$0.number] = $1 }
        }
    }
}

@Suite struct DeadlineQueueTests {
    /// Jobs that come mostly in order, and leave mostly the soonest first, beside the same in an array.
    private struct Pair {
        var queue = DeadlineQueue()
        var model: [UInt32: DeadlineEntry] = [:]
        var places: [UInt32: UInt32] = [:]

        mutating func insert(_ slot: UInt32, at deadline: Int) {
            let entry = DeadlineEntry(
                deadline: Instant(nanoseconds: Int64(deadline)), id: JobID(UInt64(slot)), slot: slot)
            model[slot] = entry
            queue.insert(entry) { places[$0.slot] = $1 }
        }

        mutating func remove(_ slot: UInt32) throws {
            let place = try #require(places[slot])
            #expect(queue[place].slot == slot)
            let removed = queue.remove(at: place) { places[$0.slot] = $1 }
            #expect(removed.slot == slot && removed.deadline == model[slot]?.deadline)
            model[slot] = nil
        }

        mutating func postpone(_ slot: UInt32, to deadline: Int) throws {
            var entry = try #require(model[slot])
            entry.deadline = Instant(nanoseconds: Int64(deadline))
            model[slot] = entry
            queue.replace(at: try #require(places[slot]), with: entry) { places[$0.slot] = $1 }
        }

        /// The soonest of the model; that the queue says the same.
        func soonest() -> DeadlineEntry? {
            let first = model.values.min(by: DeadlineEntry.precedes)
            #expect(queue.first?.slot == first?.slot)
            #expect(queue.count == model.count && queue.isEmpty == model.isEmpty)
            return first
        }
    }

    @Test(arguments: 1...20)
    func agreesWithASortedArray(_ seed: UInt64) throws {
        var random = TestGenerator(seed: seed)
        var pair = Pair()
        defer { pair.queue.deallocate() }
        // How many of a hundred come out of turn; how many jobs there are, now few and now many.
        let disorder = [0, 2, 50][Int(seed) % 3]
        var now = 0
        for slot in 0..<UInt32(3000) {
            now += random.next(below: 3)
            let deadline = random.next(below: 100) < disorder ? random.next(below: now + 100) : now + 100
            pair.insert(slot, at: deadline)
            let isGrowing = slot / 400 % 2 == 0
            for _ in 0..<(isGrowing ? random.next(below: 2) : random.next(below: 3)) {
                guard let first = pair.soonest() else { break }
                let others = pair.model.keys.sorted()
                switch random.next(below: 10) {
                case 0: try pair.remove(others[random.next(below: others.count)])
                case 1: try pair.remove(others[others.count - 1])
                case 2: try pair.postpone(others[random.next(below: others.count)], to: now + 100)
                default: try pair.remove(first.slot)
                }
            }
            if slot % 100 == 0 {
                var seen: Set<UInt32> = []
                pair.queue.forEachEntry { entry in #expect(seen.insert(entry.slot).inserted) }
                #expect(seen == Set(pair.model.keys))
            }
        }
        while let first = pair.soonest() { try pair.remove(first.slot) }
    }

    @Test func aLargeRunThatEmptiesGivesItsMemoryBackAndKeepsTheHeap() throws {
        var pair = Pair()
        defer { pair.queue.deallocate() }
        for slot in 0..<UInt32(999) { pair.insert(slot, at: 1000 + Int(slot)) }
        pair.insert(999, at: 9000)
        // They come before the last of the run: the heap has them.
        for slot in 1000..<UInt32(1010) { pair.insert(slot, at: 8000 - Int(slot)) }
        #expect(pair.queue.runCapacity >= 1000)
        for slot in 0..<UInt32(980) { try pair.remove(slot) }
        #expect(pair.queue.count == 30 && pair.queue.runCapacity < 100)
        for slot in 980..<UInt32(1000) { try pair.remove(slot) }
        #expect(pair.queue.count == 10)
        for slot in 2000..<UInt32(2300) { pair.insert(slot, at: 9000 + Int(slot)) }
        while let first = pair.soonest() { try pair.remove(first.slot) }
        // A small run stays.
        #expect(pair.queue.isEmpty && pair.queue.runCapacity < 100)
    }

    @Test(arguments: [true, false])
    func growthTouchesNoOtherJob(_ hasGap: Bool) throws {
        var queue = DeadlineQueue()
        defer { queue.deallocate() }
        var places: [UInt32: UInt32] = [:]
        var touched = 0
        for slot in 0..<UInt32(5000) {
            let entry = DeadlineEntry(
                deadline: Instant(nanoseconds: Int64(slot)), id: JobID(UInt64(slot)), slot: slot)
            queue.insert(entry) {
                places[$0.slot] = $1
                touched += 1
            }
            if hasGap, slot == 3 { queue.remove(at: try #require(places[1])) { _, _ in touched += 1 } }
        }
        #expect(touched == 5000)
        for (slot, place) in places where !hasGap || slot != 1 { #expect(queue[place].slot == slot) }
    }
}

@Suite struct JobSlabTests {
    @Test(arguments: 1...5)
    func slotsAreDistinctAndKeepTheirRecords(_ seed: UInt64) throws {
        var random = TestGenerator(seed: seed)
        var slab = JobSlab()
        var live: [UInt32: UInt64] = [:]
        var order: [UInt32] = []
        for round in 0..<30_000 {
            let isGrowing = (round / 10_000) % 2 == 0
            if order.isEmpty || random.next(below: 10) < (isGrowing ? 8 : 3) {
                let made = slab.allocate()
                let slot = try #require(made)
                #expect(live[slot] == nil)
                slab[slot].pointee.id = JobID(UInt64(round))
                live[slot] = UInt64(round)
                order.append(slot)
            } else {
                let slot = order.remove(at: random.next(below: order.count))
                #expect(slab[slot].pointee.id.rawValue == live[slot])
                live[slot] = nil
                slab.free(slot)
            }
        }
        #expect(slab.count == live.count)
        for (slot, id) in live { #expect(slab[slot].pointee.id.rawValue == id) }
    }

    @Test func recordIsAsSmallAsPromised() {
        #expect(MemoryLayout<JobRecord>.stride <= 88)
        #expect(MemoryLayout<SessionRecord>.stride <= 88)
    }
}

@Suite struct EffectQueueTests {
    @Test func effectsComeOutInOrderThroughGrowth() {
        var queue = EffectQueue()
        var next: UInt32 = 0
        var expected: UInt32 = 0
        for round in 0..<400 {
            for _ in 0..<(round % 90) {
                queue.append(Effect(connection: ConnectionID(index: next, generation: 0), reply: .deleted))
                next += 1
            }
            for _ in 0..<(round % 70) {
                guard let effect = queue.popFirst() else { break }
                #expect(effect.connection.index == expected)
                expected += 1
            }
        }
        while let effect = queue.popFirst() {
            #expect(effect.connection.index == expected)
            expected += 1
        }
        #expect(expected == next)
    }
}
