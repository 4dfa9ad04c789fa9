// SPDX-License-Identifier: MIT

internal import TrellisCore
internal import TrellisFiles

/// One reading of the directory: the scan of all files, then the delivery of what lives.
struct Replay: ~Copyable {
    private static let bytesBetweenReports: UInt64 = 4 << 20
    private static let jobsBetweenReports: UInt64 = 1024
    private static let mostUnreadableBodiesNamed: UInt64 = 100

    private(set) var summary = BeanstalkdBinlog.Summary()
    private let directory: String
    private let files: any FileSystem
    private let names: [String]
    private let sizes: [UInt64]
    private let bytesInAll: UInt64
    private var bytesBefore: UInt64 = 0
    private var buffer: ReadBuffer
    private var live = LiveJobs()

    init(directory: String, files: any FileSystem, names: [String], sizes: [UInt64]) {
        self.directory = directory
        self.files = files
        self.names = names
        self.sizes = sizes
        bytesInAll = sizes.reduce(0) { $0.addingReportingOverflow($1).partialValue }
        buffer = ReadBuffer(largestFile: sizes.max() ?? 0)
    }

    // MARK: - Scan

    /// Replays all files.
    mutating func scan(progress: (BeanstalkdBinlog.Progress) -> Void) throws(StorageError) {
        for index in names.indices {
            try begin(index)
            let place = scanFile(UInt32(index), progress)
            if let (offset, flaw) = place { addDamage(names[index], offset, flaw) }
            summary.files += 1
            bytesBefore &+= sizes[index]
            progress(.scanning(bytesBefore, of: bytesInAll))
        }
        buffer.end()
    }

    private mutating func begin(_ index: Int) throws(StorageError) {
        do throws(FileError) { try buffer.begin(try files.open("\(directory)/\(names[index])", .read)) } catch {
            throw .fatal("\(error)")
        }
    }

    /// Reads a file up to its end or its first flaw, whose place it answers.
    private mutating func scanFile(
        _ index: UInt32, _ progress: (BeanstalkdBinlog.Progress) -> Void
    ) -> (UInt64, Flaw)? {
        var offset: UInt64 = 0
        do throws(Flaw) {
            guard let format = try readVersion() else { return nil }
            offset = UInt64(RecordFormat.versionBytes)
            var reported: UInt64 = 0
            while offset < buffer.size, let next = try readRecord(at: offset, format, index) {
                offset = next
                if offset - reported >= Self.bytesBetweenReports {
                    reported = offset
                    progress(.scanning(bytesBefore &+ offset, of: bytesInAll))
                }
            }
            return nil
        } catch {
            return (offset, error)
        }
    }

    /// The format of the file; nil where nothing is written in it.
    private mutating func readVersion() throws(Flaw) -> RecordFormat? {
        let bytes = try bytes(at: 0, count: RecordFormat.versionBytes)
        guard bytes.count == RecordFormat.versionBytes else {
            if bytes.allSatisfy({ $0 == 0 }) { return nil }
            throw Flaw("the file ends in the middle of its version")
        }
        let version = UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self))
        if let format = RecordFormat(version: version) { return format }
        if version == 0, try isZero(from: 0) { return nil }
        throw Flaw(BeanstalkdBinlog.refusal(of: version))
    }

    /// Replays the record there and answers where the next begins; nil at the end of what is written.
    private mutating func readRecord(
        at offset: UInt64, _ format: RecordFormat, _ file: UInt32
    ) throws(Flaw) -> UInt64? {
        let head = try bytes(at: offset, count: format.longestHead)
        let nameLength = head.count < format.nameLengthBytes ? 0 : try format.nameLength(head)
        let nameEnd = format.nameLengthBytes + nameLength
        let headBytes = nameEnd + format.structureBytes
        guard head.count >= headBytes else {
            if nameLength == 0, try isZero(from: offset) { return nil }
            throw Flaw("the file ends in the middle of a record")
        }
        let structure = UnsafeRawBufferPointer(rebasing: head[nameEnd..<headBytes])
        if nameLength == 0, format.isUnwritten(structure) {
            if try isZero(from: offset) { return nil }
            throw Flaw("nothing is written where a record must begin, and data follows")
        }
        let record = try format.record(structure)
        let bodyOffset = offset + UInt64(headBytes)
        if nameLength == 0 {
            try update(record)
            return bodyOffset
        }
        let name = UnsafeRawBufferPointer(rebasing: head[format.nameLengthBytes..<nameEnd])
        guard BorrowedName.isValid(name) else { throw Flaw("job \(record.id) is in a tube with an impossible name") }
        guard bodyOffset + UInt64(record.bodyBytes) <= buffer.size else {
            throw Flaw("the file ends in the middle of the body of job \(record.id)")
        }
        try live.put(record, number: summary.records + 1, tube: name, file: file, bodyOffset: bodyOffset)
        count(record)
        return bodyOffset + UInt64(record.bodyBytes)
    }

    private mutating func update(_ record: LoggedRecord) throws(Flaw) {
        let isKnown = try live.update(record, number: summary.records + 1)
        count(record)
        if !isKnown {
            summary.changesOfUnknownJobs += 1
        } else if record.state == .deleted {
            summary.deletedJobs += 1
        }
    }

    private mutating func count(_ record: LoggedRecord) {
        summary.records += 1
        summary.highestID = max(summary.highestID, JobID(record.id))
    }

    private mutating func bytes(at offset: UInt64, count: Int) throws(Flaw) -> UnsafeRawBufferPointer {
        do throws(FileError) { return try buffer.bytes(at: offset, count: count) } catch { throw Flaw("\(error)") }
    }

    private mutating func isZero(from offset: UInt64) throws(Flaw) -> Bool {
        do throws(FileError) { return try buffer.endOfData(from: offset) == nil } catch { throw Flaw("\(error)") }
    }

    private mutating func addDamage(_ name: String, _ offset: UInt64, _ flaw: Flaw) {
        var end = buffer.size
        // Where even that can't be read, all up to the end counts.
        if let found = try? buffer.endOfData(from: offset) { end = found }
        let unread = end > offset ? end - offset : 0
        summary.damage.append(
            BeanstalkdBinlog.Damage(file: name, offset: offset, reason: flaw.reason, unreadBytes: unread))
    }

    // MARK: - Delivery

    /// Fetches the bodies and delivers the jobs.
    mutating func deliver(
        _ deliver: (StoredJob) throws(StorageError) -> Void, progress: (BeanstalkdBinlog.Progress) -> Void
    ) throws(StorageError) {
        let order = live.deliveryOrder()
        var current: UInt32?
        for (position, slot) in order.enumerated() {
            let job = live[slot]
            if job.file != current {
                try begin(Int(job.file))
                current = job.file
            }
            try deliverOne(job, sequence: UInt64(position) + 1, deliver)
            if UInt64(position) % Self.jobsBetweenReports == 0 {
                progress(.delivering(UInt64(position), of: UInt64(order.count)))
            }
        }
        buffer.end()
        progress(.delivering(UInt64(order.count), of: UInt64(order.count)))
    }

    private mutating func deliverOne(
        _ job: LiveJobs.Job, sequence: UInt64, _ deliver: (StoredJob) throws(StorageError) -> Void
    ) throws(StorageError) {
        let live = live
        var isWhole = true
        let outcome: Result<Bool, FileError> = try buffer.withBytes(at: job.bodyOffset, count: Int(job.bodyBytes)) {
            (bytes) throws(StorageError) in
            guard bytes.count == Int(job.bodyBytes) else { return false }
            let end = bytes.count - RecordFormat.bodyEndBytes
            isWhole = bytes[end] == UInt8(ascii: "\r") && bytes[end + 1] == UInt8(ascii: "\n")
            let body = UnsafeRawBufferPointer(rebasing: bytes[..<end])
            try live.withName(of: job.tube) { (name) throws(StorageError) in
                try deliver(job.stored(tube: name, sequence: sequence, body: body))
            }
            return true
        }
        switch outcome {
        case .success(true):
            summary.jobs += 1
            summary.bodyBytes += UInt64(job.bodyBytes) - UInt64(RecordFormat.bodyEndBytes)
            if !isWhole {
                summary.unendedBodies += 1
                summary.firstUnendedBody = summary.firstUnendedBody ?? JobID(job.id)
            }
        case .success(false): addUnreadable(job, "the file has become shorter")
        case .failure(let error): addUnreadable(job, "\(error)")
        }
    }

    private mutating func addUnreadable(_ job: LiveJobs.Job, _ reason: String) {
        summary.unreadableBodies += 1
        guard summary.unreadableBodies <= Self.mostUnreadableBodiesNamed else { return }
        summary.damage.append(
            BeanstalkdBinlog.Damage(
                file: names[Int(job.file)], offset: job.bodyOffset,
                reason: "the body of job \(job.id) can't be read: \(reason)", unreadBytes: UInt64(job.bodyBytes)))
    }
}

extension LiveJobs.Job {
    /// The job as a store knows it.
    fileprivate func stored(tube: BorrowedName, sequence: UInt64, body: UnsafeRawBufferPointer) -> StoredJob {
        let state: StoredJob.State =
            switch self.state {
            case .ready: .ready
            case .delayed: .delayed
            case .buried: .buried
            case .deleted: preconditionFailure("a deleted job is among the live ones")
            }
        return StoredJob(
            id: JobID(id), tube: tube, state: state, priority: priority, delay: delay, ttr: ttr, createdAt: createdAt,
            deadline: deadline, sequence: sequence, counters: counters, body: body)
    }
}
