// SPDX-License-Identifier: MIT

internal import Glibc
internal import TrellisCore
internal import TrellisFiles

/// How far compaction has come.
struct Compaction {
    /// Segments at the beginning whose live jobs are all copied, or that never had any left, oldest first.
    var copied = 0
    /// The group that the last copy out of the copied segments went to, at most.
    var copiedGroup: UInt64 = 0
    /// The place in the list of ids of the segment that is being compacted.
    var cursor = IDList.Cursor()
    /// Whether the writer was asked to sync the copies, where it doesn't by itself.
    var isSyncAsked = false
    /// What had been appended when the last step ended.
    var appendedBytes: UInt64 = 0
    /// What had been appended when the first of the copied segments was.
    var appendedBytesAtCopy: UInt64 = 0
}

/// Compaction: the live jobs of the oldest segment are written anew, and the segment is removed.
///
/// It begins when dead records take more than half of what live ones do, and then keeps a pace of twice what clients
/// write: so the log stays within twice its live data and two segments.
extension Log {
    private static let stepBytes: UInt64 = 64 << 10
    private static let stepIDs = 2000
    /// With so much on its way to the disk, copying waits.
    private static let queuedAtMost = 2 << 20

    /// Copies a piece of the oldest segment where there is reason to, and lets go of segments that aren't needed.
    mutating func maintain(_ job: JobVisitor) throws(StorageError) -> Bool {
        try checkHealth()
        guard let writer, let stock else { return false }
        retire(writer, stock)
        if isCritical, stock.isFull { try reclaim(job, writer, stock) }
        guard wantsCompaction, writer.queuedBytes <= Self.queuedAtMost else { return false }
        let isHeldUp = step(job)
        retire(writer, stock)
        return !isHeldUp && wantsCompaction
    }

    private var weight: UInt64 { sealedWeight + segments[current].weight }

    private var wantsCompaction: Bool {
        let victim = compaction.copied
        guard victim < current else { return false }
        if segments[victim].jobs == 0 { return true }
        var waiting: UInt64 = 0
        for position in 0..<victim { waiting += segments[position].weight }
        let sealed = sealedWeight - waiting
        if sealed > liveBytes + liveBytes / 2 { return true }
        // Room is scarce: it is worth while as long as a fair part of a segment is won. A copy needs no update.
        let merged = liveBytes - UInt64(updatedJobs * LogRecord.updateBytes)
        return isShort && weight - waiting > merged + Self.worthwhileBytes(settings)
    }

    /// Compacts without regard to clients, who wait: the disk is full, and their changes have used up half of what was
    /// kept free for them.
    private mutating func reclaim(
        _ job: JobVisitor, _ writer: LogWriter, _ stock: SegmentStock
    ) throws(StorageError) {
        while isCritical, compaction.copied > 0 || wantsCompaction {
            while failure == nil, compaction.copied == 0, wantsCompaction {
                if step(job, oneSegment: true), try !findRoom(stock) { return }
            }
            try handOver(writer)
            writer.wantSync()
            while writer.syncedGroup < compaction.copiedGroup {
                if settings.hasThreads { usleep(200) } else { writer.step() }
                try checkHealth()
            }
            retire(writer, stock)
            while !stock.hasRemovedAll {
                if settings.hasThreads { usleep(200) } else { stock.catchUp() }
                try checkHealth()
            }
            _ = try findRoom(stock)
        }
    }

    /// Has the stock make what room it can; whether there is more than before.
    private mutating func findRoom(_ stock: SegmentStock) throws(StorageError) -> Bool {
        let before = stock.availableBytes
        wantRoom()
        do throws(FileError) { _ = try stock.ensure(wantedBytes, waits: true) } catch { throw fail("\(error)") }
        return stock.availableBytes > before
    }

    /// True where there is no room for the next copy: it waits until there is.
    ///
    /// With `oneSegment`, it ends with the segment that it works on.
    private mutating func step(_ job: JobVisitor, oneSegment: Bool = false) -> Bool {
        let budget = max(Self.stepBytes, (appendedBytes - compaction.appendedBytes) * 2)
        var copied: UInt64 = 0
        var looked = 0
        while failure == nil, wantsCompaction, copied < budget, looked < Self.stepIDs {
            let victim = compaction.copied
            let before = compaction.cursor
            let number = segments[victim].number
            guard segments[victim].jobs > 0, let id = segments[victim].ids.next(&compaction.cursor) else {
                finishVictim()
                if oneSegment { break }
                continue
            }
            looked += 1
            var hasRoom = true
            _ = job(JobID(id)) { stored, note in
                let place = LogNote(note)
                guard place.segment == number else { return }
                let length = LogRecord.putBytes(name: stored.tube.bytes.count, body: stored.bodyBytes)
                hasRoom = prepareToCopy(length)
                guard hasRoom else { return }
                write(.put, stored, length)
                noteGone(stored, place)
                noteNewPut(stored, &note)
                migrated += 1
                copied += UInt64(length)
            }
            guard hasRoom else {
                compaction.cursor = before
                compaction.appendedBytes = appendedBytes
                return true
            }
        }
        compaction.appendedBytes = appendedBytes
        return false
    }

    private mutating func finishVictim() {
        guard segments[compaction.copied].jobs == 0 else {
            // They would be lost with the segment.
            failure = failure ?? "segment \(segments[compaction.copied].number) has live jobs that weren't found"
            return
        }
        if compaction.copied == 0 { compaction.appendedBytesAtCopy = appendedBytes }
        compaction.copied += 1
        compaction.isSyncAsked = false
        compaction.cursor = IDList.Cursor()
        // The copies are in this group at the latest; where there are none, the head of a later segment must be on the
        // disk, for the ids given out.
        compaction.copiedGroup = groupRecords > 0 ? nextGroup : lastGroup
        seal()
    }

    /// Whether the log would grow over its bound before the copies are on the disk, which lets old segments go.
    ///
    /// A quarter of a segment may come meanwhile: who only deletes makes the bound smaller, and need not wait.
    func outrunsCompaction(_ writer: LogWriter) -> Bool {
        let margin = settings.segmentBytes / 4
        return compaction.copied > 0 && weight > 2 * liveBytes + 2 * settings.segmentBytes - margin
            && appendedBytes - compaction.appendedBytesAtCopy > margin
            && writer.syncedGroup < compaction.copiedGroup
    }

    /// Gives up copied segments once their copies are on the disk.
    private mutating func retire(_ writer: LogWriter, _ stock: SegmentStock) {
        guard compaction.copied > 0 else { return }
        guard writer.syncedGroup >= compaction.copiedGroup else { return }
        for segment in segments[..<compaction.copied] { sealedWeight -= segment.weight }
        let paths = segments[..<compaction.copied].map(\.file.file.path)
        // Closed before they are removed: the room of a file that is open isn't free yet.
        segments.removeFirst(compaction.copied)
        stock.remove(paths)
        compaction.copied = 0
    }
}
