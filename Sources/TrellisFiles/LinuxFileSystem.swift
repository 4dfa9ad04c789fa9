// SPDX-License-Identifier: MIT

internal import CLinux
internal import Glibc

/// The files of this machine.
public final class LinuxFileSystem: FileSystem {
    /// The one that stores use unless they are given another.
    public static let shared = LinuxFileSystem()

    private init() {}

    /// Opens a file; a new one can be read and written by its owner and read by its group.
    public func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
        let flags =
            switch mode {
            case .read: O_RDONLY
            case .update: O_RDWR
            case .create: O_RDWR | O_CREAT | O_EXCL
            }
        let descriptor = Glibc.open(path, flags | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw FileError(call: "open", path: path, number: errno) }
        return LinuxFile(descriptor: descriptor, path: path)
    }

    /// Gives a file another name.
    public func rename(_ path: String, to newPath: String) throws(FileError) {
        if Glibc.rename(path, newPath) != 0 { throw FileError(call: "rename", path: path, number: errno) }
    }

    /// Removes a file.
    public func remove(_ path: String) throws(FileError) {
        if unlink(path) != 0 { throw FileError(call: "unlink", path: path, number: errno) }
    }

    /// The names of all entries but `.` and `..`, sorted.
    public func list(_ folder: String) throws(FileError) -> [String] {
        guard let stream = opendir(folder) else { throw FileError(call: "opendir", path: folder, number: errno) }
        defer { closedir(stream) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        if errno != 0 { throw FileError(call: "readdir", path: folder, number: errno) }
        return names.sorted()
    }

    /// Makes a folder and those above it that are missing.
    public func makeFolder(_ folder: String) throws(FileError) {
        if mkdir(folder, 0o750) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = folder.lastIndex(of: "/"), slash != folder.startIndex else {
            throw FileError(call: "mkdir", path: folder, number: errno)
        }
        try makeFolder(String(folder[..<slash]))
        if mkdir(folder, 0o750) != 0 && errno != EEXIST {
            throw FileError(call: "mkdir", path: folder, number: errno)
        }
    }

    /// Returns when the entries of a folder are on the disk.
    public func syncFolder(_ folder: String) throws(FileError) {
        let descriptor = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError(call: "open", path: folder, number: errno) }
        defer { Glibc.close(descriptor) }
        if fsync(descriptor) != 0 { throw FileError(call: "fsync", path: folder, number: errno) }
    }

    /// Bytes that an ordinary user could still write there.
    public func freeBytes(_ folder: String) throws(FileError) -> UInt64 {
        var status = statvfs()
        if statvfs(folder, &status) != 0 { throw FileError(call: "statvfs", path: folder, number: errno) }
        return UInt64(status.f_bavail) * UInt64(status.f_frsize)
    }
}

/// A descriptor of a file.
private final class LinuxFile: File {
    let path: String
    private let descriptor: Int32

    init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { Glibc.close(descriptor) }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(FileError) -> Int {
        try repeated("pread") { pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset)) }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) -> Int {
        try repeated("pwrite") { pwrite(descriptor, bytes.baseAddress, bytes.count, off_t(offset)) }
    }

    func sync() throws(FileError) {
        if fdatasync(descriptor) != 0 { throw failure("fdatasync") }
    }

    func resize(to size: UInt64) throws(FileError) {
        if ftruncate(descriptor, off_t(size)) != 0 { throw failure("ftruncate") }
    }

    func size() throws(FileError) -> UInt64 {
        var status = stat()
        if fstat(descriptor, &status) != 0 { throw failure("fstat") }
        return UInt64(status.st_size)
    }

    func lock() throws(FileError) -> Bool {
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return true }
        if errno == EWOULDBLOCK { return false }
        throw failure("flock")
    }

    /// The descriptor itself is closed when nobody has the file any more: a thread may still be in a call on it.
    func close() {}

    /// A transfer, again if a signal came between.
    private func repeated(_ call: String, _ transfer: () -> Int) throws(FileError) -> Int {
        while true {
            let count = transfer()
            if count >= 0 { return count }
            if errno != EINTR { throw failure(call) }
        }
    }

    private func failure(_ call: String) -> FileError { FileError(call: call, path: path, number: errno) }
}

extension FileError {
    static let noSpace = ENOSPC
    static let overQuota = EDQUOT

    static func text(_ number: Int32) -> String { String(cString: strerror(number)) }
}
