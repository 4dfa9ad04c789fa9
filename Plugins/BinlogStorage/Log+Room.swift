// SPDX-License-Identifier: MIT

internal import TrellisCore
internal import TrellisFiles

/// Room on the disk: what must be kept free so that only puts are ever refused.
extension Log {
    /// What is kept free for changes of so many live jobs, and for compaction.
    ///
    /// Compaction needs a whole segment, and that much must be left when it begins: a quarter of a segment of dead
    /// records makes it worth while, and the turn that brings the last of them may bring as much again.
    private func reserveBytes(jobs: Int) -> UInt64 {
        UInt64(jobs) * reserveBytesPerJob + settings.segmentBytes + 2 * Self.worthwhileBytes(settings)
            - UInt64(LogFormat.unusableBytes)
    }

    /// So many dead bytes are worth a compaction where room is scarce.
    static func worthwhileBytes(_ settings: LogSettings) -> UInt64 { settings.segmentBytes / 4 }

    /// The room left in the current segment.
    private var currentRoom: UInt64 {
        let open = !isCompressed ? max(0, buffer.count - groupStart) : groupBytes(plain.count)
        let used = segments[current].usedBytes + (groupRecords == 0 ? 0 : UInt64(open))
        let capacity = segments[current].file.capacity
        return capacity > used ? capacity - used : 0
    }

    /// Whether a put fits beside what is kept free for the changes of all live jobs.
    ///
    /// Cheap while there is room; where there isn't, a segment is made ready at once, if the disk has room for one.
    mutating func admit(bodyBytes: Int, tubeNameBytes: Int) -> Bool {
        let length = LogRecord.putBytes(name: tubeNameBytes, body: bodyBytes)
        let cost = length + groupOverhead + Int(reserveBytesPerJob)
        if length <= freeBytes, cost <= admissibleBytes {
            admissibleBytes -= cost
            return true
        }
        return admitSlowly(UInt64(groupBytes(length)))
    }

    private mutating func admitSlowly(_ put: UInt64) -> Bool {
        guard let stock, failure == nil else { return true }
        admissibleBytes = 0
        let room = currentRoom
        // What doesn't fit into the current segment leaves its rest unused.
        let fitsHere = room >= put
        let need = reserveBytes(jobs: jobs + 1) + put
        let outside = fitsHere ? (need > room ? need - room : 0) : need
        do throws(FileError) {
            let head = UInt64(LogFormat.segmentHeaderBytes)
            if !fitsHere, put + head > settings.segmentBytes, try !stock.ensureNext(put + head) { return false }
            return try stock.ensure(outside)
        } catch {
            failure = failure ?? "\(error)"
            return false
        }
    }

    /// Tells the stock how much room there should be beside the current segment.
    mutating func wantRoom() {
        let need = reserveBytes(jobs: jobs)
        let room = currentRoom
        let there = (stock?.availableBytes ?? 0) + room
        admissibleBytes = Int(clamping: there > need ? there - need : 0)
        let outside = max(need > room ? need - room : 0, 1)
        // In steps, so that the stock isn't asked in every turn.
        guard outside > wantedBytes || outside + (1 << 20) < wantedBytes else { return }
        wantedBytes = outside
        stock?.want(outside)
    }

    /// Whether there is room for a copy of such a record beside the deletes of all live jobs.
    func hasRoomToCopy(_ length: Int) -> Bool {
        guard let stock else { return false }
        let copy = UInt64(groupBytes(length))
        let deletes = UInt64(jobs) * UInt64(groupBytes(LogRecord.deleteBytes))
        let room = length <= freeBytes ? currentRoom : 0
        return stock.availableBytes + room >= deletes + copy
    }

    /// Sees to it that a copy larger than a segment finds one that it fits into; false where the disk is full.
    mutating func prepareToCopy(_ length: Int) -> Bool {
        guard let stock else { return false }
        let need = UInt64(LogFormat.segmentHeaderBytes + groupBytes(length))
        guard need > settings.segmentBytes, length > freeBytes else { return hasRoomToCopy(length) }
        do throws(FileError) {
            return try stock.ensureNext(need) && hasRoomToCopy(length)
        } catch {
            failure = failure ?? "\(error)"
            return false
        }
    }

    /// Whether half of what is kept free for changes of live jobs is used up.
    var isCritical: Bool {
        (stock?.availableBytes ?? 0) + currentRoom < reserveBytes(jobs: jobs) - UInt64(jobs) * reserveBytesPerJob / 2
    }

    /// Whether what must be kept free isn't there any more.
    var isShort: Bool {
        (stock?.availableBytes ?? 0) + currentRoom < reserveBytes(jobs: jobs)
    }
}
