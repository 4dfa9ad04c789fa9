// SPDX-License-Identifier: MIT

import PriorityScheduler
import Testing
import TrellisCore

@Suite struct ReadyQueueTests {
    private struct Generator {
        var state: UInt64

        mutating func next(below bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
    }

    /// Against a sorted array: new jobs, jobs that come back with their old id, jobs that leave from anywhere.
    @Test(arguments: 1...30)
    func agreesWithASortedArray(_ seed: UInt64) {
        var random = Generator(state: seed &* 0x9E37_79B9_7F4A_7C15)
        var queue = ReadyQueue<PriorityEntry>()
        var places = SlotPlaces()
        var model: [PriorityEntry] = []
        var away: [PriorityEntry] = []
        var nextID: UInt64 = 1
        let priorities = [1, 2, 1000][Int(seed % 3)]
        func insert(_ entry: PriorityEntry) {
            queue.insert(entry, places: &places)
            let position = model.firstIndex { PriorityEntry.precedes(entry, $0) } ?? model.endIndex
            model.insert(entry, at: position)
        }
        for _ in 0..<4000 {
            switch random.next(below: 12) {
            case 0...4:
                insert(
                    PriorityEntry(
                        id: nextID, priority: UInt32(random.next(below: priorities)),
                        slot: UInt32(truncatingIfNeeded: nextID)))
                nextID += 1
            case 5...7:
                guard let first = model.first else { continue }
                let next = queue.first?.id
                #expect(next == first.id)
                queue.remove(first, places: &places)
                away.append(model.removeFirst())
            case 8...9:
                guard !model.isEmpty else { continue }
                let entry = model.remove(at: random.next(below: model.count))
                queue.remove(entry, places: &places)
                away.append(entry)
            default:
                guard !away.isEmpty else { continue }
                var entry = away.remove(at: random.next(below: away.count))
                if random.next(below: 2) == 0 { entry.priority = UInt32(random.next(below: priorities)) }
                insert(entry)
            }
            let (next, isEmpty) = (queue.first?.id, queue.isEmpty)
            #expect(next == model.first?.id)
            #expect(isEmpty == model.isEmpty)
        }
        while let first = model.first {
            let next = queue.first?.id
            #expect(next == first.id)
            queue.remove(first, places: &places)
            model.removeFirst()
        }
        let isEmpty = queue.isEmpty
        #expect(isEmpty)
    }
}

@Suite struct PrioritySchedulerTests {
    private func job(_ id: UInt64, tube: UInt32 = 0, priority: UInt32 = 0) -> ReadyJob {
        ReadyJob(
            slot: JobSlot(UInt32(id)), tube: TubeIndex(tube), id: JobID(id), priority: priority,
            createdAt: Instant(nanoseconds: 0))
    }

    private func pick(_ scheduler: PriorityScheduler, _ tubes: [UInt32]) -> UInt32? {
        tubes.map { TubeIndex($0) }.withUnsafeBufferPointer {
            scheduler.pick(WatchSet(index: 0, tubes: $0))?.index
        }
    }

    private func reserve(_ scheduler: PriorityScheduler, _ job: ReadyJob) {
        [job.tube].withUnsafeBufferPointer { scheduler.reserved(job, for: WatchSet(index: 0, tubes: $0)) }
    }

    private func open(_ scheduler: PriorityScheduler, _ tubes: Range<UInt32>) {
        for tube in tubes {
            Array("t".utf8).withUnsafeBytes {
                scheduler.tubeOpened(TubeIndex(tube), name: BorrowedName($0), settings: TubeSettings())
            }
        }
    }

    @Test func leastPriorityAndIdOverAllWatchedTubesComesFirst() {
        let scheduler = PriorityScheduler()
        open(scheduler, 0..<40)
        scheduler.ready(job(1, tube: 0, priority: 5))
        scheduler.ready(job(2, tube: 1, priority: 4))
        scheduler.ready(job(3, tube: 39, priority: 4))
        #expect(pick(scheduler, [0, 1, 39]) == 2)
        #expect(pick(scheduler, [39, 0]) == 3)
        #expect(pick(scheduler, [0]) == 1)
        #expect(pick(scheduler, [7]) == nil)
        reserve(scheduler, job(2, tube: 1, priority: 4))
        #expect(pick(scheduler, [0, 1, 39]) == 3)
    }

    @Test func ineligibleTubeIsPassedOverButCanBePeeked() {
        let scheduler = PriorityScheduler()
        open(scheduler, 0..<2)
        scheduler.ready(job(1, tube: 0))
        scheduler.ready(job(2, tube: 1))
        scheduler.eligible(TubeIndex(0), false)
        #expect(pick(scheduler, [0, 1]) == 2)
        #expect(pick(scheduler, [0]) == nil)
        #expect(scheduler.peek(TubeIndex(0))?.index == 1)
        scheduler.eligible(TubeIndex(0), true)
        #expect(pick(scheduler, [0, 1]) == 1)
    }

    @Test func indexOfAClosedTubeStartsAfresh() {
        let scheduler = PriorityScheduler()
        open(scheduler, 0..<2)
        scheduler.eligible(TubeIndex(1), false)
        scheduler.tubeClosed(TubeIndex(1))
        open(scheduler, 1..<2)
        scheduler.ready(job(1, tube: 1))
        #expect(pick(scheduler, [1]) == 1)
    }
}
