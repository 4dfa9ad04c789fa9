// SPDX-License-Identifier: MIT

internal import TrellisCore
internal import TrellisFiles

/// The beginning and the end.
extension Log {
    /// Locks the folder, which is made where there is none, and finds the log's end.
    ///
    /// Nothing is changed yet: what is damaged may come to light only when all is read. A torn tail is told.
    mutating func open(_ access: StorageAccess, host: StorageHost) throws(StorageError) {
        self.access = access
        self.host = host
        if access == .readWrite {
            try fileFault { () throws(FileError) in try makeFolder() }
        }
        try lock()
        var reader = LogReader(settings: settings, shouldStop: host.shouldStop)
        try reader.refuseOthers()
        try reader.open(access == .readWrite ? .update : .read)
        try reader.findEnd()
        if let torn = reader.torn {
            host.report(
                .warning,
                "\(settings.path(ofSegment: torn.segment)) at byte \(torn.offset): \(torn.reason); this was written "
                    + "last and not synced, so the log ends there")
        }
        reader.cutTornTail()
        self.reader = reader
    }

    private func makeFolder() throws(FileError) {
        if (try? settings.files.list(settings.directory)) != nil { return }
        try settings.files.makeFolder(settings.directory)
        let above = settings.directory.split(separator: "/", omittingEmptySubsequences: false).dropLast()
        let isAbsolute = settings.directory.hasPrefix("/")
        let path = above.joined(separator: "/")
        try settings.files.syncFolder(path.isEmpty ? (isAbsolute ? "/" : ".") : path)
    }

    mutating func lock() throws(StorageError) {
        let path = settings.directory + "/lock"
        lockFile = try fileFault { () throws(FileError) in
            let names = try settings.files.list(settings.directory)
            guard names.contains("lock") else {
                return access == .readWrite ? try settings.files.open(path, .create) : nil
            }
            do throws(FileError) {
                return try settings.files.open(path, .update)
            } catch {
                // No server runs where nothing can be written.
                guard error.isReadOnlyDisk, access == .readOnly else { throw error }
                return nil
            }
        }
        guard let lockFile else { return }
        let isOurs = try fileFault { () throws(FileError) in try lockFile.lock() }
        guard isOurs else {
            self.lockFile = nil
            throw .locked("\(settings.directory) is locked by another server; stop it first")
        }
    }

    /// What a crash may leave: files that were being prepared.
    func removeLeftovers() throws(FileError) {
        for name in try settings.files.list(settings.directory) where name.hasSuffix(".tmp") {
            try settings.files.remove(settings.directory + "/" + name)
        }
    }

    /// Removes what lies behind the end, and makes sure that what lies before it, in the scans, is on the disk.
    private mutating func mendEnd(_ reader: inout LogReader, _ tail: [SegmentScan]) throws(FileError) {
        try removeLeftovers()
        // From the newest back: if this is cut short, the next start finds the same end.
        for segment in (reader.behind + reader.takeUselessSpares()).reversed() {
            try settings.files.remove(segment.file.path)
            try settings.files.syncFolder(settings.directory)
        }
        for scan in tail {
            guard let entry = reader.files.first(where: { $0.number == scan.number }) else { continue }
            if reader.torn != nil, scan === tail.last {
                // What is behind it could otherwise be taken for what is to be written there.
                try SegmentStock.fillWithZeroes(entry.file, entry.size, from: UInt64(scan.end))
            }
            let first = scan.groups.first { $0.header.number > reader.syncedGroup }
            guard let first else { continue }
            // Written once more: after a failed sync the system may show what never came to the disk.
            let bytes = UnsafeRawBufferPointer(rebasing: scan.content.bytes[first.offset..<scan.end])
            if first.offset == LogFormat.segmentHeaderBytes {
                let head = UnsafeRawBufferPointer(rebasing: scan.content.bytes[..<first.offset])
                try entry.file.writeAll(head, at: 0)
            }
            try entry.file.writeAll(bytes, at: UInt64(first.offset))
            try entry.file.sync()
        }
    }

    /// Gives the live jobs, segment by segment from the newest to the oldest; cuts a torn tail and goes on where the log
    /// ends.
    mutating func recover(_ deliver: (StoredJob, StorageNote) -> Void) throws(StorageError) -> JobID {
        guard var reader else { return JobID(0) }
        self.reader = nil
        var replay = Replay()
        var following: UInt64?
        var found: [LogSegment] = []
        let tail = reader.tail
        let older = reader.files.count - tail.count
        let scans = SegmentScans(reader, below: older, hasThread: settings.hasThreads)
        defer { scans.stop() }
        for position in reader.files.indices.reversed() {
            if host.shouldStop() { throw .stopped }
            let number = reader.files[position].number
            let scan = position >= older ? reader.tail.removeLast() : try scans.next(position)
            if let following, scan.nextGroup != following {
                let reason = scan.broken?.reason ?? "group \(scan.nextGroup) is missing"
                throw reader.damage(scan.path, scan.broken?.offset ?? scan.end, reason)
            }
            following = scan.header?.firstGroup
            let content: Replay.Content
            do throws(Replay.Fault) {
                content = try replay.take(scan, codecs: settings.readableCodecs) { job, hasUpdate in
                    deliver(job, LogNote(segment: number, hasUpdate: hasUpdate).note)
                }
            } catch {
                throw reader.damage(scan.path, error.offset, error.reason)
            }
            if found.isEmpty {
                nextGroup = scan.nextGroup
                isMarked = scan.groups.last.map { $0.header.records == 0 } ?? true
            }
            var segment = LogSegment(
                file: SegmentFile(number: number, file: reader.files[position].file, capacity: scan.fileBytes))
            segment.jobs = content.jobs
            segment.ids = content.ids
            segment.usedBytes = UInt64(scan.end)
            segment.weight = max(
                content.plainBytes,
                segment.usedBytes - min(segment.usedBytes, UInt64(LogFormat.segmentHeaderBytes)))
            found.append(segment)
            recovered.append(SegmentStatistics(scan, content))
            if position < older { scans.giveBack(scan.room) }
        }
        if replay.orphans > 0 {
            host.report(.warning, "changes were ignored whose jobs aren't in the log any more: \(replay.orphans)")
        }
        for position in recovered.indices {
            recovered[position].liveBytes += replay.liveUpdateBytes[recovered[position].number] ?? 0
        }
        recovered.reverse()
        for spare in reader.spares {
            recovered.append(SegmentStatistics(number: spare.number))
            recovered[recovered.count - 1].fileBytes = spare.capacity
        }
        segments = found.reversed()
        jobs = replay.jobs
        liveBytes = replay.liveBytes
        updatedJobs = replay.updatedJobs
        highestID = replay.highestID
        storeID = reader.storeID
        if access == .readWrite {
            try fileFault { () throws(FileError) in try mendEnd(&reader, tail) }
            try goOn(reader)
        }
        return JobID(replay.highestID)
    }

    /// Makes ready for changes.
    private mutating func goOn(_ reader: LogReader) throws(StorageError) {
        let isNew = segments.isEmpty
        let isOfOurKind =
            segments.last.flatMap { reader.headers[$0.number] }.map {
                $0.codec == settings.codecName && $0.pluginID == settings.pluginID
            } ?? false
        for segment in segments.dropLast() { sealedWeight += segment.weight }
        if isNew {
            while storeID == 0 { storeID = UInt64.random(in: 1 ... .max) }
        }
        start(spares: reader.spares, nextNumber: (segments.last?.number ?? 0) + UInt64(reader.spares.count) + 1)
        if isNew || !isOfOurKind {
            try beginSynced()
        } else {
            seed = LogFormat.seed(storeID: storeID, segment: segments[current].number)
            bufferOffset = segments[current].usedBytes
            findFreeBytes()
        }
        wantRoom()
    }

    /// Makes the writer and the stock.
    mutating func start(spares: [SegmentFile], nextNumber: UInt64) {
        let writer = LogWriter(policy: settings.sync, host: host, syncedGroup: lastGroup)
        let stock = SegmentStock(settings: settings, host: host, spares: spares, nextNumber: nextNumber)
        self.writer = writer
        self.stock = stock
        if settings.hasThreads {
            writer.start()
            stock.start()
        }
    }

    /// Begins a segment whose head is on the disk before anything else happens.
    mutating func beginSynced() throws(StorageError) {
        try fileFault { () throws(FileError) in
            guard let stock, try stock.ensureNext(settings.segmentBytes), let file = stock.take() else {
                throw FileError.full(settings.directory)
            }
            begin(file)
            closeRun()
            for run in runs {
                try run.segment.file.writeAll(run.buffer.bytes, at: run.offset)
                try run.segment.file.sync()
            }
            runs = []
        }
    }

    /// Writes a group without records: it says that all before it is on the disk, which nothing else would say of the
    /// last one.
    private mutating func mark(_ syncedGroup: UInt64) throws(FileError) {
        guard !isMarked,
            segments[current].usedBytes + UInt64(LogFormat.groupHeaderBytes) <= segments[current].file.capacity
        else { return }
        let head = GroupHeader(
            number: nextGroup, syncedGroup: syncedGroup, storedBytes: 0, plainBytes: 0, records: 0,
            checksum: Checksum.crc32c(UnsafeRawBufferPointer(start: nil, count: 0), after: seed), beginsFrame: false)
        buffer.clear()
        head.encode(into: buffer.extend(LogFormat.groupHeaderBytes), seed: seed)
        try segments[current].file.file.writeAll(buffer.bytes, at: segments[current].usedBytes)
        try segments[current].file.file.sync()
    }

    /// Writes and syncs what is pending, ends the threads and gives up the lock.
    mutating func close() throws(StorageError) {
        defer {
            writer = nil
            stock = nil
            reader = nil
            lockFile?.close()
            lockFile = nil
            segments = []
        }
        guard let writer, let stock else { return }
        if failure == nil, writer.failure == nil {
            seal()
            closeRun()
            let handed = runs
            runs = []
            if settings.sync == .always {
                writer.enqueue(handed)
            } else {
                do throws(FileError) { try writer.write(handed) } catch { failure = failure ?? "\(error)" }
            }
        }
        writer.stop()
        stock.stop()
        try checkHealth()
        do throws(FileError) { try mark(writer.syncedGroup) } catch { throw fail("\(error)") }
    }
}

extension SegmentStatistics {
    /// What a segment holds, but for the updates that live jobs need.
    init(_ scan: SegmentScan, _ content: Replay.Content) {
        self.init(number: scan.number)
        fileBytes = scan.fileBytes
        usedBytes = UInt64(scan.end)
        recordBytes = content.plainBytes
        liveBytes = content.livePutBytes
        jobs = content.jobs
        codec = scan.header?.codec ?? codec
    }
}
