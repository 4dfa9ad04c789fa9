// SPDX-License-Identifier: MIT

internal import TrellisFiles

/// Reads one file after the other in large pieces and lends out parts of them.
///
/// It reads ahead the further the longer it is used in order, so that neither a scan nor scattered bodies cost more
/// than they must. Its memory is fixed, but for bodies that are larger than it.
struct ReadBuffer: ~Copyable {
    private static let smallestRead = 16 << 10
    static let largestRead: UInt64 = 1 << 20

    private let memory: UnsafeMutableRawBufferPointer
    private var file: (any File)?
    private var start: UInt64 = 0
    private var count = 0
    private var readAhead = ReadBuffer.smallestRead
    /// The size of the file when it was begun.
    private(set) var size: UInt64 = 0

    /// A buffer for files of at most that size.
    init(largestFile: UInt64) {
        let capacity = max(UInt64(Self.smallestRead), min(Self.largestRead, largestFile))
        memory = .allocate(byteCount: Int(capacity), alignment: 8)
    }

    deinit { memory.deallocate() }

    /// Goes on with another file.
    mutating func begin(_ file: any File) throws(FileError) {
        self.file?.close()
        self.file = file
        start = 0
        count = 0
        readAhead = Self.smallestRead
        size = 0
        size = try file.size()
    }

    /// Closes the file.
    mutating func end() {
        file?.close()
        file = nil
        count = 0
    }

    /// That many bytes from there, at most as many as fit; fewer only at the end of the file.
    ///
    /// They are valid until the next call.
    mutating func bytes(at offset: UInt64, count wanted: Int) throws(FileError) -> UnsafeRawBufferPointer {
        let wanted = min(wanted, memory.count)
        if offset < start || offset - start + UInt64(wanted) > UInt64(count) {
            try fill(from: offset, atLeast: wanted)
        }
        let skipped = Int(offset - start)
        return UnsafeRawBufferPointer(rebasing: memory[skipped..<min(count, skipped + wanted)])
    }

    private mutating func fill(from offset: UInt64, atLeast wanted: Int) throws(FileError) {
        let end = start + UInt64(count)
        let isOnward = offset >= start && (offset <= end || offset - end <= UInt64(readAhead))
        readAhead = isOnward ? min(memory.count, readAhead * 4) : min(memory.count, Self.smallestRead)
        start = offset
        count = 0
        guard let file else { return }
        if readAhead > wanted {
            // Where what lies ahead can't be read, what is wanted may be readable still.
            let room = UnsafeMutableRawBufferPointer(rebasing: memory[..<readAhead])
            if let got = try? file.readAll(at: offset, into: room) {
                count = got
                return
            }
            readAhead = Self.smallestRead
        }
        count = try file.readAll(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: memory[..<wanted]))
    }

    /// Lends out that many bytes from there; fewer only at the end of the file.
    mutating func withBytes<E: Error, R>(
        at offset: UInt64, count wanted: Int, _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> Result<R, FileError> {
        if wanted <= memory.count {
            let part: UnsafeRawBufferPointer
            do throws(FileError) { part = try bytes(at: offset, count: wanted) } catch { return .failure(error) }
            return .success(try body(part))
        }
        let large = UnsafeMutableRawBufferPointer.allocate(byteCount: wanted, alignment: 8)
        defer { large.deallocate() }
        var got = 0
        do throws(FileError) { got = try file?.readAll(at: offset, into: large) ?? 0 } catch { return .failure(error) }
        return .success(try body(UnsafeRawBufferPointer(rebasing: large[..<got])))
    }

    /// The offset behind the last byte, from there on, that isn't 0; nil where all are.
    mutating func endOfData(from offset: UInt64) throws(FileError) -> UInt64? {
        var end: UInt64?
        var offset = offset
        while true {
            let part = try bytes(at: offset, count: offset < start + UInt64(count) ? 1 : Self.smallestRead)
            if part.isEmpty { return end }
            // What the buffer holds beyond the part is looked at as well.
            let rest = UnsafeRawBufferPointer(rebasing: memory[Int(offset - start)..<count])
            if let last = rest.lastIndex(where: { $0 != 0 }) { end = offset + UInt64(last) + 1 }
            offset += UInt64(rest.count)
        }
    }
}
