// SPDX-License-Identifier: MIT

/// A call on a file that failed: what was tried, where, and the system's error number.
public struct FileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The system call, for example `fdatasync`.
    public var call: String
    /// The path it was made on.
    public var path: String
    /// The errno.
    public var number: Int32

    /// Puts the three together.
    public init(call: String, path: String, number: Int32) {
        self.call = call
        self.path = path
        self.number = number
    }

    /// Whether the disk, or the user's share of it, is full.
    public var isFull: Bool { number == FileError.noSpace || number == FileError.overQuota }

    /// Whether the disk is one that nobody may write to.
    public var isReadOnlyDisk: Bool { number == FileError.readOnlyDisk }

    /// `fdatasync of data/000001.log: Input/output error`.
    public var description: String { "\(call) of \(path): \(FileError.text(number))" }
}

/// How a file is opened.
public enum OpenMode: Hashable, Sendable {
    /// An existing file, to be read.
    case read
    /// An existing file, to be read and written.
    case update
    /// A new file, to be read and written; it is an error if there is one already.
    case create
}

/// How a file is going to be read.
public enum ExpectedReading: Hashable, Sendable {
    /// In small parts, without what lies behind them.
    case parts
    /// All of it, soon.
    case whole
}

/// An open file.
///
/// What is written is on the disk for certain only when `sync` has returned; what is under way when the power fails may
/// be there in part. One thread at a time may write, any may read.
public protocol File: AnyObject, Sendable {
    /// Where it was opened.
    var path: String { get }
    /// Reads at most as many bytes as there is room for; fewer at the end of the file, 0 behind it.
    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(FileError) -> Int
    /// Writes a beginning of the bytes, at least one, and answers how many.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) -> Int
    /// Returns when all that was written is on the disk (fdatasync).
    ///
    /// After an error what was written may be lost for good, also where a later `sync` succeeds: never try again.
    func sync() throws(FileError)
    /// Cuts the file, or extends it by zeroes.
    func resize(to size: UInt64) throws(FileError)
    /// Makes sure that the disk has room for the first `size` bytes, and that the file is at least that long.
    ///
    /// What is new reads as zeroes, and is as durable as a write is: after `sync`. After an error, `isFull` where the
    /// disk has no room, the file is as long as it was.
    func reserve(_ size: UInt64) throws(FileError)
    /// The size, in bytes.
    func size() throws(FileError) -> UInt64
    /// The next part, from an offset on, that may hold something: what lies before it, or all where there is none, is zero.
    ///
    /// Costs no reading: it is what the file system knows of room that was never written. One that can't tell answers all
    /// of the file from the offset on, and so does a type of file that doesn't have this method.
    func data(from offset: UInt64) throws(FileError) -> Range<UInt64>?
    /// Says how the file will be read: the system may fetch what comes next, or spare itself what doesn't.
    func expect(_ reading: ExpectedReading)
    /// Takes the lock that only one open file can have, until this one is closed. False where another one has it.
    ///
    /// The file has to be open for writing.
    func lock() throws(FileError) -> Bool
    /// Closes the file. May be called twice.
    func close()
}

/// What stores write through, so that a test can make every call fail.
///
/// A change of a folder (a file made, renamed, removed) is on the disk for certain only after `syncFolder`.
public protocol FileSystem: AnyObject, Sendable {
    /// Opens a file.
    func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File
    /// Gives a file another name in the same folder, in the place of any file that had it.
    func rename(_ path: String, to newPath: String) throws(FileError)
    /// Removes a file.
    func remove(_ path: String) throws(FileError)
    /// The names of the files in a folder, sorted.
    func list(_ folder: String) throws(FileError) -> [String]
    /// Makes a folder, readable by its owner alone, and those above it that are missing.
    func makeFolder(_ folder: String) throws(FileError)
    /// Returns when the entries of a folder are on the disk.
    func syncFolder(_ folder: String) throws(FileError)
    /// Bytes that an ordinary user could still write to the file system of a folder.
    func freeBytes(_ folder: String) throws(FileError) -> UInt64
}

extension File {
    /// All from the offset on: reading it is what there is.
    public func data(from offset: UInt64) throws(FileError) -> Range<UInt64>? {
        let size = try size()
        return offset < size ? offset..<size : nil
    }

    /// Nothing: it is advice.
    public func expect(_ reading: ExpectedReading) {}

    /// Writes all bytes, in as many calls as it takes.
    public func writeAll(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) {
        var written = 0
        while written < bytes.count {
            written += try write(UnsafeRawBufferPointer(rebasing: bytes[written...]), at: offset + UInt64(written))
        }
    }

    /// Reads as many bytes as there is room for, in as many calls as it takes; fewer only at the end of the file.
    public func readAll(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(FileError) -> Int {
        var got = 0
        while got < buffer.count {
            let part = try read(
                at: offset + UInt64(got), into: UnsafeMutableRawBufferPointer(rebasing: buffer[got...]))
            if part == 0 { break }
            got += part
        }
        return got
    }
}
