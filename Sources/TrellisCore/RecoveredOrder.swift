// SPDX-License-Identifier: MIT

/// Puts the slots of jobs that a store gives into the order of their ids.
///
/// A log gives them in ascending pieces, the newest first. There it is enough to turn the pieces round; sorting 10^6
/// jobs took 37 of 430 ms of a start.
struct RecoveredOrder {
    private var slots: [UInt32] = []
    /// Where each piece begins.
    private var starts: [Int] = []
    private var first = JobID(0)
    private var last = JobID(0)
    /// The least id of the pieces before this one.
    private var bound = JobID(.max)
    private var isTurned = true

    /// Adds a job.
    mutating func append(_ slot: UInt32, id: JobID) {
        if slots.isEmpty || id < last {
            if !slots.isEmpty { bound = first }
            starts.append(slots.count)
            first = id
        }
        if id > bound { isTurned = false }
        last = id
        slots.append(slot)
    }

    /// All slots; `id` answers the id of one.
    ///
    /// - Complexity: O(n) where turning the pieces round is enough; O(n log n) otherwise.
    consuming func slots(sortedBy id: (UInt32) -> JobID) -> [UInt32] {
        guard isTurned else { return slots.sorted { id($0) < id($1) } }
        var turned: [UInt32] = []
        turned.reserveCapacity(slots.count)
        var end = slots.count
        for start in starts.reversed() {
            turned += slots[start..<end]
            end = start
        }
        return turned
    }
}
