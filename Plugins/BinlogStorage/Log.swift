// SPDX-License-Identifier: MIT

internal import TrellisCore
internal import TrellisFiles

/// The log itself; `BinlogStorage` keeps it behind a pointer, which spares an exclusivity check at each access (a third
/// of what a change costs).
///
/// docs/binlog-format.md describes what is written. The log is a row of segments, filled one after the other. The
/// oldest one is compacted first: the live jobs whose put lies in it are written anew at the end, and when that is on
/// the disk the segment is removed. So no record is ever needed that lies behind a removed one, and no file is read but
/// at the start.
///
/// Calls come from the engine's thread; a `LogWriter` syncs and a `SegmentStock` prepares on threads of their own.
struct Log: ~Copyable {
    let settings: LogSettings
    var host = StorageHost(wake: {})
    var access = StorageAccess.readOnly
    var lockFile: (any TrellisFiles.File)?
    var reader: LogReader?
    var writer: LogWriter?
    var stock: SegmentStock?
    let encoder: (any LogEncoder)?
    let isCompressed: Bool
    /// What a group takes beside its records' bytes, at most.
    let groupOverhead: Int
    /// What an update and a delete of a job take at most, each in a group of its own.
    let reserveBytesPerJob: UInt64

    /// Segments in use, oldest first; the last one is being written.
    var segments: [LogSegment] = []
    /// What they held at the start, and those that were kept ready.
    var recovered: [SegmentStatistics] = []
    var storeID: UInt64 = 0
    var seed: UInt32 = 0
    var highestID: UInt64 = 0

    /// Live jobs, the bytes of their records, and what all segments before the current one weigh.
    var jobs = 0
    var liveBytes: UInt64 = 0
    var sealedWeight: UInt64 = 0
    /// Live jobs whose state stands in an update.
    var updatedJobs = 0
    /// The bytes of all records written since the start.
    var appendedBytes: UInt64 = 0
    /// The room that the stock was last asked for.
    var wantedBytes: UInt64 = 0
    var migrated: UInt64 = 0
    var written: UInt64 = 0

    /// The buffer that groups go to, and the offset in the segment of its first byte.
    var buffer = LogBuffer()
    var bufferOffset: UInt64 = 0
    /// Runs that are complete and were not handed on yet.
    var runs: [LogWriter.Run] = []
    /// How many bytes of records the open group may still take.
    var freeBytes = 0
    /// How many bytes of puts may be admitted before room is looked at again, each with what is kept free for it.
    var admissibleBytes = 0
    /// The group that is being filled: where it begins in the buffer and how many records it has.
    var groupStart = 0
    var groupRecords = 0
    /// The records of that group where they are to be compressed.
    let plain = LogBuffer()
    /// The bytes in the codec's frame so far.
    var frameBytes = 0
    var nextGroup: UInt64 = 1
    /// Whether nothing was written since a group that tells that all before it is on the disk.
    var isMarked = true
    var failure: String?

    var compaction = Compaction()

    /// A log that isn't open yet.
    init(_ settings: LogSettings) {
        self.settings = settings
        encoder = settings.codec?.makeEncoder()
        isCompressed = settings.codec != nil
        let expansion = (settings.codec?.bound(LogFormat.groupBytes) ?? LogFormat.groupBytes) - LogFormat.groupBytes
        groupOverhead = LogFormat.groupHeaderBytes + LogFormat.padded(expansion + 7)
        reserveBytesPerJob = UInt64(
            2 * LogFormat.groupHeaderBytes
                + LogFormat.padded(settings.codec?.bound(LogRecord.updateBytes) ?? LogRecord.updateBytes)
                + LogFormat.padded(settings.codec?.bound(LogRecord.deleteBytes) ?? LogRecord.deleteBytes))
    }

    var current: Int { segments.count - 1 }
    var lastGroup: UInt64 { nextGroup - 1 }

    // MARK: Changes

    /// Takes one change into the group of this turn.
    mutating func append(_ change: Change, note: inout StorageNote) {
        written += 1
        switch change {
        case .put(let job):
            write(.put, job, LogRecord.putBytes(name: job.tube.bytes.count, body: job.bodyBytes))
            noteNewPut(job, &note)
            jobs += 1
            highestID = max(highestID, job.id.rawValue)
        case .update(let job):
            write(.update, job, LogRecord.updateBytes)
            var place = LogNote(note)
            if !place.hasUpdate {
                place.hasUpdate = true
                updatedJobs += 1
                liveBytes += UInt64(LogRecord.updateBytes)
                note = place.note
            }
        case .move(let job, let tube):
            // A put of an id that was put before replaces it, as a copy does.
            write(.put, job, LogRecord.putBytes(name: job.tube.bytes.count, body: job.bodyBytes))
            var former = job
            former.tube = tube
            noteGone(former, LogNote(note))
            noteNewPut(job, &note)
        case .delete(let job):
            write(.delete, job, LogRecord.deleteBytes)
            noteGone(job, LogNote(note))
            jobs -= 1
        }
    }

    /// A put record of the job was written to the current segment.
    mutating func noteNewPut(_ job: StoredJob, _ note: inout StorageNote) {
        liveBytes += UInt64(LogRecord.putBytes(name: job.tube.bytes.count, body: job.bodyBytes))
        segments[current].jobs += 1
        segments[current].ids.append(job.id.rawValue)
        note = LogNote(segment: segments[current].number).note
    }

    /// The records of the job that the note tells of aren't needed any more.
    mutating func noteGone(_ job: StoredJob, _ place: LogNote) {
        liveBytes -= UInt64(LogRecord.putBytes(name: job.tube.bytes.count, body: job.bodyBytes))
        if place.hasUpdate {
            updatedJobs -= 1
            liveBytes -= UInt64(LogRecord.updateBytes)
        }
        segments[Int(place.segment - segments[0].number)].jobs -= 1
    }

    /// Writes a record into the group, and closes the group or the segment before where it doesn't fit.
    @inline(__always)
    mutating func write(_ kind: LogRecord.Kind, _ job: StoredJob, _ length: Int) {
        if length > freeBytes { makeRoom(length) }
        freeBytes -= length
        let bytes: UnsafeMutableRawBufferPointer
        if isCompressed {
            bytes = plain.extend(length)
        } else {
            if groupRecords == 0 {
                groupStart = buffer.count
                _ = buffer.extend(LogFormat.groupHeaderBytes)
            }
            bytes = buffer.extend(length)
        }
        LogRecord.encode(kind, job, into: bytes, seed: seed)
        groupRecords += 1
        appendedBytes += UInt64(length)
    }

    /// The bytes of the open group's records.
    private var openBytes: Int {
        if isCompressed { return plain.count }
        return groupRecords == 0 ? 0 : buffer.count - groupStart - LogFormat.groupHeaderBytes
    }

    /// The most bytes that a group with so many bytes of records takes in the file.
    func groupBytes(_ plainBytes: Int) -> Int {
        let stored = isCompressed ? settings.codec?.bound(plainBytes) ?? plainBytes : plainBytes
        return LogFormat.groupHeaderBytes + LogFormat.padded(stored)
    }

    /// Closes the group, and the segment where the record doesn't fit into what is left of it.
    private mutating func makeRoom(_ length: Int) {
        seal()
        findFreeBytes()
        if length <= freeBytes { return }
        if segments[current].usedBytes + UInt64(groupBytes(length)) > segments[current].file.capacity {
            roll(for: length)
        }
        // One that is larger than a group is alone in one.
        freeBytes = max(freeBytes, length)
    }

    /// The bytes of records that a new group may have.
    mutating func findFreeBytes() {
        let left = Int(
            segments[current].file.capacity - min(segments[current].file.capacity, segments[current].usedBytes))
        freeBytes = min(max(0, left - groupOverhead), LogFormat.groupBytes)
    }

    /// Closes the open group.
    mutating func seal() {
        guard groupRecords > 0 else { return }
        let plainBytes = openBytes
        let beginsFrame = frameBytes == 0
        if let encoder {
            groupStart = buffer.count
            _ = buffer.extend(LogFormat.groupHeaderBytes)
            encoder.encode(plain.bytes, beginsFrame: beginsFrame, into: buffer)
            plain.clear()
            frameBytes += plainBytes
            if frameBytes >= LogFormat.frameBytes { frameBytes = 0 }
        }
        let start = groupStart + LogFormat.groupHeaderBytes
        let storedBytes = buffer.count - start
        let padding = buffer.extend(LogFormat.padded(storedBytes) - storedBytes)
        padding.initializeMemory(as: UInt8.self, repeating: 0)
        let stored = UnsafeRawBufferPointer(rebasing: buffer.bytes[start..<start + storedBytes])
        let header = GroupHeader(
            number: nextGroup, syncedGroup: writer?.syncedGroup ?? 0, storedBytes: storedBytes, plainBytes: plainBytes,
            records: groupRecords, checksum: Checksum.crc32c(stored, after: seed),
            beginsFrame: encoder != nil && beginsFrame)
        header.encode(
            into: UnsafeMutableRawBufferPointer(rebasing: buffer.mutableBytes[groupStart..<start]), seed: seed)
        segments[current].usedBytes += UInt64(header.totalBytes)
        segments[current].weight += UInt64(max(plainBytes, header.totalBytes))
        nextGroup += 1
        groupRecords = 0
        isMarked = false
        findFreeBytes()
    }

    /// Puts what the buffer has aside, to be handed on.
    mutating func closeRun() {
        guard buffer.count > 0 else { return }
        runs.append(
            LogWriter.Run(
                segment: segments[current].file, offset: bufferOffset, buffer: buffer, group: lastGroup))
        bufferOffset += UInt64(buffer.count)
        buffer = writer?.takeBuffer() ?? LogBuffer()
    }

    /// Goes on in the next segment, which has room for a record of that length.
    private mutating func roll(for length: Int) {
        guard failure == nil else { return }
        closeRun()
        let need = UInt64(LogFormat.segmentHeaderBytes + groupBytes(length))
        var next = (stock?.nextCapacity ?? 0) >= need ? stock?.take() : nil
        if next == nil {
            // Not prepared in time, or a body larger than a segment.
            do throws(FileError) {
                if let stock {
                    var isThere = try stock.ensureNext(need)
                    if !isThere { isThere = try stock.ensureNext(need, isUrgent: true) }
                    if isThere { next = stock.take() }
                }
            } catch {
                failure = failure ?? "\(error)"
            }
        }
        guard let next else {
            // What follows goes nowhere: the commit of this turn fails, and nobody is told that it was done.
            failure = failure ?? "no room for another segment in \(settings.directory), which was to be kept free"
            return
        }
        begin(next)
    }

    /// Makes a segment the current one; its head is the first that is written.
    mutating func begin(_ file: SegmentFile) {
        if !segments.isEmpty { sealedWeight += segments[current].weight }
        segments.append(LogSegment(file: file))
        seed = LogFormat.seed(storeID: storeID, segment: file.number)
        frameBytes = 0
        bufferOffset = 0
        findFreeBytes()
        let head = SegmentHeader(
            number: file.number, storeID: storeID, highestID: highestID, firstGroup: nextGroup,
            syncedGroup: writer?.syncedGroup ?? 0, createdAt: wallNanoseconds(), segmentBytes: file.capacity,
            pluginID: settings.pluginID, codec: settings.codecName)
        head.encode(into: buffer.extend(LogFormat.segmentHeaderBytes))
    }

    // MARK: Turns

    /// Writes what the turn appended; with `always`, the writer does, and a ticket tells when it is synced.
    mutating func commit() throws(StorageError) -> Commit {
        try checkHealth()
        guard let writer, let stock else { return .durable }
        try handOver(writer)
        wantRoom()
        if !settings.hasThreads {
            writer.catchUp()
            stock.catchUp()
            try checkHealth()
        }
        guard settings.sync == .always else { return .durable }
        return writer.syncedGroup >= lastGroup ? .durable : .pending(Ticket(lastGroup))
    }

    /// Closes the group and gives the writer what there is.
    mutating func handOver(_ writer: LogWriter) throws(StorageError) {
        seal()
        closeRun()
        try checkHealth()
        if !runs.isEmpty {
            let handed = runs
            runs.removeAll(keepingCapacity: true)
            if settings.sync == .always {
                writer.enqueue(handed)
            } else {
                do throws(FileError) { try writer.write(handed) } catch { throw fail("\(error)") }
                let isRolled = handed[0].segment.number != segments[current].number
                for run in handed { writer.giveBack(run.buffer) }
                if isRolled, settings.sync == .never { writer.wantSync() }
            }
        }
        if compaction.copied > 0, !compaction.isSyncAsked, settings.sync != .always {
            compaction.isSyncAsked = true
            writer.wantSync()
        }
    }

    /// The newest group that is synced.
    mutating func completed() throws(StorageError) -> Ticket {
        try checkHealth()
        return Ticket(writer?.syncedGroup ?? 0)
    }

    mutating func checkHealth() throws(StorageError) {
        if let failure = failure ?? writer?.failure ?? stock?.failure { throw fail(failure) }
    }

    /// The store can't go on; from here on every call says so.
    mutating func fail(_ text: String) -> StorageError {
        failure = failure ?? text
        return .fatal(text)
    }

    /// Whether more than 64 MiB are on their way to the disk, or the log grows faster than its old segments can go.
    var isCongested: Bool {
        guard let writer else { return false }
        return writer.queuedBytes > LogWriter.congestedBytes || outrunsCompaction(writer)
    }

    // MARK: Questions

    /// The numbers of the log.
    var statistics: StorageStatistics {
        var statistics = StorageStatistics()
        statistics.oldestSegment = segments.first?.number ?? 0
        statistics.currentSegment = segments.last?.number ?? 0
        statistics.recordsMigrated = migrated
        statistics.recordsWritten = written
        statistics.segmentBytes = settings.segmentBytes
        statistics.logBytes = segments.reduce(0) { $0 + $1.usedBytes }
        statistics.liveBytes = liveBytes
        statistics.slowSyncs = writer?.slowSyncs ?? 0
        return statistics
    }
}
