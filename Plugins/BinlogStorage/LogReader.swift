// SPDX-License-Identifier: MIT

internal import TrellisCore
internal import TrellisFiles

/// Reads a log's folder: finds its end, and gives the live jobs.
struct LogReader {
    let settings: LogSettings
    /// The files of segments in use, by number, oldest first; found by `open`.
    var files: [(number: UInt64, file: any File, size: UInt64)] = []
    /// Files that are ready for use and hold nothing yet.
    private(set) var spares: [SegmentFile] = []
    private(set) var storeID: UInt64 = 0
    private(set) var headers: [UInt64: SegmentHeader] = [:]
    /// The segments at the end that were looked at whole, oldest first.
    var tail: [SegmentScan] = []
    /// The newest group known to have been on the disk.
    private(set) var syncedGroup: UInt64 = 0
    private(set) var torn: TornTail?
    /// The files behind it, oldest first.
    private(set) var behind: [SegmentFile] = []

    /// The first group that isn't there, and where.
    struct TornTail {
        var group: UInt64
        var segment: UInt64
        var offset: Int
        var reason: String
    }

    /// Asked between two files; opening ends with `stopped` on true.
    private let shouldStop: @Sendable () -> Bool

    init(settings: LogSettings, shouldStop: @escaping @Sendable () -> Bool = { false }) {
        self.settings = settings
        self.shouldStop = shouldStop
    }

    var isEmpty: Bool { files.isEmpty }

    // MARK: Finding

    /// Lists and opens the files, reads the heads and finds the end.
    ///
    /// A lenient look goes on where a segment is missing or has no head.
    mutating func open(_ mode: OpenMode, isLenient: Bool = false) throws(StorageError) {
        let numbers = try fileFault { () throws(FileError) in
            try settings.files.list(settings.directory).compactMap(LogFormat.segmentNumber).sorted()
        }
        for number in numbers {
            if shouldStop() { throw .stopped }
            let path = settings.path(ofSegment: number)
            let (file, size) = try fileFault { () throws(FileError) in
                let file = try settings.files.open(path, mode)
                // The heads; fetching more would give those that hold nothing memory.
                file.expect(.parts)
                return (file, try file.size())
            }
            files.append((number, file, size))
            if size >= UInt64(LogFormat.segmentHeaderBytes) { try readHeader(number, file) }
        }
        try setSparesAside()
        if isLenient { return }
        for (earlier, later) in zip(files, files.dropFirst()) where later.number != earlier.number + 1 {
            throw damage(settings.path(ofSegment: earlier.number + 1), 0, "the segment is missing")
        }
        if headers.isEmpty && !files.isEmpty {
            throw damage(settings.path(ofSegment: files[0].number), 0, "the segment's head can't be read")
        }
    }

    private mutating func readHeader(_ number: UInt64, _ file: any File) throws(StorageError) {
        let path = settings.path(ofSegment: number)
        let header: SegmentHeader
        switch try fileFault({ () throws(FileError) in try head(of: file) }) {
        case .success(let found): header = found
        case .failure(.version(let version)):
            throw .corrupt(
                "\(path) has format \(version), and this version of Trellis reads format \(LogFormat.version)")
        case .failure(.unused), .failure(.notASegment), .failure(.checksum), .failure(.content): return
        }
        guard header.number == number else { return }
        guard storeID == 0 || header.storeID == storeID else {
            let others = headers.keys.min().map(settings.path(ofSegment:)) ?? ""
            throw .corrupt("\(path) and \(others) belong to different stores; move away what isn't of this one")
        }
        storeID = header.storeID
        let readable = [LogSettings.plainCodec] + settings.readableCodecs.map(\.name)
        guard readable.contains(header.codec) else {
            throw .corrupt(
                "\(path) was written by \(header.pluginID) with codec \(header.codec), which \(settings.pluginID) can't "
                    + "read; use \(header.pluginID)")
        }
        headers[number] = header
    }

    private func head(of file: any File) throws(FileError) -> Result<SegmentHeader, SegmentHeader.Fault> {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: LogFormat.usedHeaderBytes, alignment: 8)
        defer { bytes.deallocate() }
        let count = try file.readAll(at: 0, into: bytes)
        do throws(SegmentHeader.Fault) {
            return .success(try SegmentHeader(decoding: UnsafeRawBufferPointer(rebasing: bytes[..<count])))
        } catch {
            return .failure(error)
        }
    }

    /// Takes the files at the end that hold nothing out of the list.
    private mutating func setSparesAside() throws(StorageError) {
        var unused: [(number: UInt64, file: any File, size: UInt64)] = []
        while let last = files.last, headers[last.number] == nil {
            unused.insert(last, at: 0)
            files.removeLast()
        }
        // A power loss may take the head of a segment, or all of it, and leave what was written behind it. All are looked
        // at: groups that a later life wrote again could else be followed by some of an earlier one.
        while let last = unused.last, try isZero(last.file) {
            spares.insert(SegmentFile(number: last.number, file: last.file, capacity: last.size), at: 0)
            unused.removeLast()
        }
        files += unused
    }

    /// Whether a file holds nothing.
    ///
    /// Room that was never written to isn't read: with 10^6 jobs that is 200 MB.
    private func isZero(_ file: any File) throws(StorageError) -> Bool {
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.pieceBytes, alignment: 16)
        defer { piece.deallocate() }
        return try fileFault { () throws(FileError) in
            var offset: UInt64 = 0
            while let data = try file.data(from: offset) {
                let wanted = min(UInt64(piece.count), data.upperBound - data.lowerBound)
                let count = try file.readAll(
                    at: data.lowerBound, into: UnsafeMutableRawBufferPointer(rebasing: piece[..<Int(wanted)]))
                guard UnsafeRawBufferPointer(rebasing: piece[..<count]).isZero else { return false }
                if count < wanted { break }
                offset = data.lowerBound + UInt64(count)
            }
            return true
        }
    }

    /// Files are read in pieces of this size, in bytes.
    private static let pieceBytes = 256 << 10

    /// The content of a segment, looked at whole; in room of the caller's, if there is some.
    func scan(_ position: Int, into kept: SegmentRoom? = nil) throws(StorageError) -> SegmentScan {
        let (number, file, size) = files[position]
        file.expect(.whole)
        let room = kept ?? SegmentRoom(bytes: max(Int(size), LogFormat.segmentHeaderBytes))
        room.empty()
        let buffer = room.content
        let scan = SegmentScan(
            number: number, path: settings.path(ofSegment: number), room: room, header: headers[number],
            storeID: storeID)
        var isRead = false
        while !isRead {
            let wanted = min(Self.pieceBytes, Int(size) - buffer.count)
            let count = try fileFault { () throws(FileError) in
                let free = buffer.tail(Int(size) - buffer.count)
                return try file.readAll(
                    at: UInt64(buffer.count), into: UnsafeMutableRawBufferPointer(rebasing: free[..<wanted]))
            }
            buffer.append(count)
            isRead = count < wanted || buffer.count == Int(size)
            scan.goOn(isRead: isRead)
        }
        return scan
    }

    // MARK: The end

    /// Finds where the log ends: the groups that aren't known to have been synced may be torn.
    ///
    /// Throws `corrupt` where a group is missing that was.
    mutating func findEnd() throws(StorageError) {
        var position = files.count
        while position > 0 {
            position -= 1
            let scan = try scan(position)
            tail.insert(scan, at: 0)
            syncedGroup = max(syncedGroup, scan.syncedGroup)
            // Without a head it isn't known which groups belong here; the segment before tells.
            if let header = scan.header, header.firstGroup <= syncedGroup + 1 { break }
        }
        guard let first = tail.first else { return }
        var expected = first.nextGroup
        for scan in tail {
            if let header = scan.header, header.firstGroup != expected, scan !== first {
                try tear(scan, at: 0, expected, "group \(header.firstGroup) stands where group \(expected) should be")
                return
            }
            guard let broken = scan.broken else {
                expected = scan.nextGroup
                continue
            }
            try tear(scan, at: broken.offset, scan.header == nil ? expected : scan.nextGroup, broken.reason)
            return
        }
    }

    private mutating func tear(
        _ scan: SegmentScan, at offset: Int, _ group: UInt64, _ reason: String
    ) throws(StorageError) {
        if group <= syncedGroup { throw damage(scan.path, offset, reason) }
        torn = TornTail(group: group, segment: scan.number, offset: offset, reason: reason)
    }

    /// Leaves of the scans and the files what comes before the torn tail.
    mutating func cutTornTail() {
        guard let torn else { return }
        while let last = files.last, last.number > torn.segment || (last.number == torn.segment && torn.offset == 0) {
            // A segment that lost its head holds nothing, unless it is the only one.
            behind.insert(SegmentFile(number: last.number, file: last.file, capacity: last.size), at: 0)
            headers[last.number] = nil
            files.removeLast()
            tail.removeLast()
        }
        tail.last?.cut(at: torn.group)
    }

    /// The ready files that don't follow the last segment in use without a gap, or are too small.
    mutating func takeUselessSpares() -> [SegmentFile] {
        var next = (files.last?.number ?? 0) + 1
        var kept = 0
        while kept < spares.count, spares[kept].number == next,
            spares[kept].capacity >= settings.segmentBytes || spares[kept].capacity >= 1 << 20
        {
            kept += 1
            next += 1
        }
        defer { spares.removeLast(spares.count - kept) }
        return Array(spares[kept...])
    }

    /// The newest head that can be read.
    func newestHeader() -> SegmentHeader? {
        let names = (try? settings.files.list(settings.directory)) ?? []
        for number in names.compactMap(LogFormat.segmentNumber).sorted().reversed() {
            guard let file = try? settings.files.open(settings.path(ofSegment: number), .read) else { continue }
            if case .success(let header) = try? head(of: file) { return header }
        }
        return nil
    }

    /// Refuses a folder that beanstalkd keeps its jobs in.
    func refuseOthers() throws(StorageError) {
        let names = try fileFault { () throws(FileError) in try settings.files.list(settings.directory) }
        guard !names.contains(where: { LogFormat.segmentNumber($0) != nil }) else { return }
        let isForeign = names.contains { name in
            name.hasPrefix("binlog.") && !name.dropFirst(7).isEmpty
                && name.dropFirst(7).utf8.allSatisfy { (48...57).contains($0) }
        }
        guard isForeign else { return }
        throw .corrupt(
            "\(settings.directory) holds a binlog of beanstalkd; "
                + "`trellisd storage import \(settings.directory) --to-directory DIRECTORY` makes a new one of it")
    }

    func damage(_ path: String, _ offset: Int, _ reason: String) -> StorageError {
        .corrupt(
            "\(path) at byte \(offset): \(reason); `trellisd storage verify --directory \(settings.directory)` shows all "
                + "of it, `trellisd storage repair --directory \(settings.directory) --in-place` keeps what can be read"
        )
    }
}

/// Runs calls on files, and says what a failure means for a store that is being opened.
func fileFault<Result>(_ body: () throws(FileError) -> Result) throws(StorageError) -> Result {
    do throws(FileError) {
        return try body()
    } catch {
        throw error.isFull ? .full("\(error); free some space and start again") : .fatal("\(error)")
    }
}
