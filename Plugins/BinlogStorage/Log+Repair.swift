// SPDX-License-Identifier: MIT

internal import Glibc
internal import TrellisCore
internal import TrellisFiles

/// Checking a log, and mending one.
extension Log {
    /// Reads every segment and checks every checksum; changes nothing.
    mutating func verify(progress: (UInt64, UInt64) -> Void) throws(StorageError) -> [StorageFinding] {
        access = .readOnly
        try lock()
        defer { unlock() }
        var examination = Examination(settings: settings)
        try examination.find()
        try examination.run(progress, { _, _ in })
        return examination.findings
    }

    /// Writes all jobs that can be read into new segments and puts the old ones aside, under names that end in
    /// `.damaged`.
    ///
    /// Where it fails, the old ones are as they were; where it is cut short, it can be run again.
    mutating func repair(progress: (UInt64, UInt64) -> Void) throws(StorageError) -> [String] {
        let findings = try verify { done, all in progress(done / 2, all) }
        guard findings.contains(where: \.isDamage) else { return [] }
        access = .readWrite
        try lock()
        // The folder stays ours until the old files are aside.
        let held = lockFile
        lockFile = nil
        defer { held?.close() }
        try fileFault { () throws(FileError) in try removeLeftovers() }
        var examination = Examination(settings: settings)
        try examination.find(.update)
        let kept: Int
        do throws(StorageError) {
            kept = try copyJobs(&examination) { done, all in progress(all / 2 + done / 2, all) }
        } catch {
            try? close()
            try? remove(behind: examination.usedNumbers.last ?? 0)
            throw error
        }
        return try putAside(examination.usedNumbers.map(LogFormat.segmentName), findings, kept)
    }

    /// Writes the jobs that can be read behind the old segments; answers how many they are.
    private mutating func copyJobs(
        _ examination: inout Examination, _ progress: (UInt64, UInt64) -> Void
    ) throws(StorageError) -> Int {
        storeID = examination.storeID
        while storeID == 0 { storeID = UInt64.random(in: 1 ... .max) }
        // Where forged ones have used up the numbers it begins anew: none of the old files stays.
        nextGroup = examination.highestGroup < LogFormat.largestNumber / 2 ? examination.highestGroup + 1 : 1
        highestID = examination.highestID
        let (spares, useless) = examination.takeSpares()
        try fileFault { () throws(FileError) in
            for segment in useless.reversed() { try settings.files.remove(segment.file.path) }
        }
        start(spares: spares, nextNumber: (examination.usedNumbers.last ?? 0) + UInt64(spares.count) + 1)
        try beginSynced()
        var fault: StorageError?
        try examination.run(
            progress,
            { job, _ in
                guard fault == nil else { return }
                do throws(StorageError) { try keep(job) } catch { fault = error }
            })
        if let fault { throw fault }
        // The ids of jobs that are gone must not come again: a later head tells them.
        highestID = max(highestID, examination.highestID)
        _ = try commit()
        if highestID > 0 { try beginSynced() }
        let kept = jobs
        try close()
        return kept
    }

    /// Removes the segments with higher numbers, the newest first.
    private func remove(behind number: UInt64) throws(FileError) {
        let numbers = try settings.files.list(settings.directory).compactMap(LogFormat.segmentNumber).sorted()
        for number in numbers.reversed().prefix(while: { $0 > number }) {
            try settings.files.remove(settings.path(ofSegment: number))
        }
        try settings.files.syncFolder(settings.directory)
    }

    private mutating func unlock() {
        lockFile?.close()
        lockFile = nil
    }

    private mutating func keep(_ job: StoredJob) throws(StorageError) {
        guard admit(bodyBytes: job.bodyBytes, tubeNameBytes: job.tube.bytes.count) else {
            throw .full("the disk of \(settings.directory) has no room for the mended log beside the old one")
        }
        var note = StorageNote()
        append(.put(job), note: &note)
        guard written % 1000 == 0 else { return }
        _ = try commit()
        while isCongested {
            usleep(1000)
            try checkHealth()
        }
    }

    private func putAside(
        _ names: [String], _ findings: [StorageFinding], _ kept: Int
    ) throws(StorageError) -> [String] {
        try fileFault { () throws(FileError) in
            for name in names {
                let path = settings.directory + "/" + name
                try settings.files.rename(path, to: path + ".damaged")
                try settings.files.syncFolder(settings.directory)
            }
        }
        var lines = findings.filter(\.isDamage).map(\.text)
        lines.append("changes that stood there are lost: jobs put there are gone, jobs deleted there may be back")
        lines.append("\(kept) jobs are in the mended log")
        lines.append(
            "the \(names.count) old files are kept with names that end in .damaged; remove them when all is well")
        return lines
    }
}

/// A look at every segment, whatever state it is in.
struct Examination {
    private let settings: LogSettings
    private var reader: LogReader
    private var notes: [(segment: UInt64, offset: Int, finding: StorageFinding)] = []
    private(set) var highestID: UInt64 = 0
    private(set) var highestGroup: UInt64 = 0
    private var torn: LogReader.TornTail?

    init(settings: LogSettings) {
        self.settings = settings
        reader = LogReader(settings: settings)
    }

    var storeID: UInt64 { reader.storeID }

    /// What is wrong, in the order of the log.
    var findings: [StorageFinding] {
        notes.enumerated().sorted { left, right in
            (left.element.segment, left.element.offset, left.offset)
                < (right.element.segment, right.element.offset, right.offset)
        }.map(\.element.finding)
    }

    /// The numbers of the segments that hold something.
    var usedNumbers: [UInt64] { reader.files.map(\.number) }

    /// The files that are ready for use, and those that look like it and aren't any good.
    mutating func takeSpares() -> (spares: [SegmentFile], useless: [SegmentFile]) {
        let useless = reader.takeUselessSpares()
        return (reader.spares, useless)
    }

    /// Lists the segments, reads their heads and looks for the end.
    mutating func find(_ mode: OpenMode = .read) throws(StorageError) {
        reader = LogReader(settings: settings)
        try reader.refuseOthers()
        try reader.open(mode, isLenient: true)
        for header in reader.headers.values {
            highestID = max(highestID, header.highestID)
            highestGroup = max(highestGroup, header.firstGroup)
        }
        for (position, _) in reader.files.enumerated().suffix(1) {
            let scan = try reader.scan(position)
            let groups = scan.groups + scan.groupsBeyondBreak()
            highestGroup = max(highestGroup, groups.map(\.header.number).max() ?? 0)
        }
        torn = try findTornTail()
        reader.tail = []
    }

    /// Reads all segments that `find` found, from the newest to the oldest, gives the live jobs and writes down what is
    /// wrong.
    mutating func run(
        _ progress: (UInt64, UInt64) -> Void, _ deliver: (StoredJob, Bool) -> Void
    ) throws(StorageError) {
        for (earlier, later) in zip(reader.files, reader.files.dropFirst()) where later.number != earlier.number + 1 {
            note(earlier.number + 1, nil, "the segment is missing")
        }
        var replay = Replay()
        var look = Replay.Look()
        look.headlessCodec = settings.codecName
        look.isLenient = true
        look.checksEach = true
        var following: UInt64?
        let all = reader.files.reduce(0) { $0 + $1.size }
        var done: UInt64 = 0
        for position in reader.files.indices.reversed() {
            let scan = try reader.scan(position)
            done += scan.fileBytes
            defer { progress(done, all) }
            // What a start would cut isn't there: groups behind a hole may be about jobs that are in it.
            if let torn, scan.number > torn.segment || (scan.number == torn.segment && torn.offset == 0) { continue }
            if let torn, scan.number == torn.segment {
                scan.cut(at: torn.group)
            } else {
                check(scan, following)
                scan.acceptGroupsBeyondBreak()
            }
            following = scan.header?.firstGroup
            do throws(Replay.Fault) {
                _ = try replay.take(scan, codecs: settings.readableCodecs, look, deliver)
            } catch {
                note(scan.number, error.offset, error.reason)
            }
        }
        for fault in replay.faults { note(fault.segment, fault.offset, fault.reason) }
        if replay.orphans > 0 {
            let text = "changes whose jobs aren't in the log: \(replay.orphans)"
            notes.append((.max, 0, StorageFinding(isDamage: true, text: text)))
        }
        highestID = max(highestID, replay.highestID)
        if notes.contains(where: \.finding.isDamage) {
            let text = "jobs that can be read: \(replay.jobs)"
            notes.append((.max, 1, StorageFinding(isDamage: false, text: text)))
        }
    }

    /// The place where a start would cut the log; nil where it ends as it should, or is damaged.
    private mutating func findTornTail() throws(StorageError) -> LogReader.TornTail? {
        do throws(StorageError) {
            try reader.findEnd()
        } catch {
            guard case .corrupt = error else { throw error }
            return nil
        }
        guard let torn = reader.torn else { return nil }
        note(
            torn.segment, torn.offset, "\(torn.reason); written last and never synced, a start ends the log there",
            isDamage: false)
        return torn
    }

    private mutating func check(_ scan: SegmentScan, _ following: UInt64?) {
        if let broken = scan.broken, following == nil || scan.nextGroup != following {
            let beyond = scan.groupsBeyondBreak().first
            let until = beyond.map { "up to byte \($0.offset), group \($0.header.number)" } ?? "to its end"
            note(scan.number, broken.offset, "\(broken.reason); unreadable \(until)")
        } else if let following, scan.nextGroup != following {
            note(scan.number, scan.end, "groups \(scan.nextGroup) to \(following - 1) are missing")
        }
    }

    private mutating func note(_ segment: UInt64, _ offset: Int?, _ reason: String, isDamage: Bool = true) {
        let place = settings.path(ofSegment: segment) + (offset.map { " at byte \($0)" } ?? "")
        notes.append((segment, offset ?? 0, StorageFinding(isDamage: isDamage, text: "\(place): \(reason)")))
    }
}
