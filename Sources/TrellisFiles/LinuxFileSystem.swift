// SPDX-License-Identifier: MIT

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

extension FileError {
    /// The failure of whoever found no room at that path.
    public static func full(_ path: String) -> FileError { FileError(call: "write", path: path, number: noSpace) }

    static let noSpace = ENOSPC
    static let overQuota = EDQUOT
    static let readOnlyDisk = EROFS

    static func text(_ number: Int32) -> String { String(cString: strerror(number)) }
}
