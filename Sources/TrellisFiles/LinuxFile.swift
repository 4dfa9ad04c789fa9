// SPDX-License-Identifier: MIT

internal import CLinux
internal import Glibc

/// A descriptor of a file.
final class LinuxFile: File {
    let path: String
    private let descriptor: Int32

    init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit {
        // Closing alone leaves a lock to a process that is being started, until it has given up what it inherited.
        clinux_unlock(descriptor)
        Glibc.close(descriptor)
    }

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

    func reserve(_ size: UInt64) throws(FileError) {
        try orAsLong { () throws(FileError) in try allocate(size) }
    }

    /// Does something that makes the file longer; after an error the file is as long as it was.
    func orAsLong(_ extend: () throws(FileError) -> Void) throws(FileError) {
        let length = try size()
        do throws(FileError) {
            try extend()
        } catch {
            // The error that matters is the first one.
            _ = ftruncate(descriptor, off_t(length))
            throw error
        }
    }

    private func allocate(_ size: UInt64) throws(FileError) {
        guard size > 0 else { return }
        guard let end = Int64(exactly: size) else { throw FileError(call: "fallocate", path: path, number: EFBIG) }
        while true {
            switch clinux_reserve(descriptor, end) {
            case 0: return
            case EINTR: continue
            case EOPNOTSUPP, ENOSYS, EINVAL: return try writeZeroes(from: self.size(), to: size)
            case let number: throw FileError(call: "fallocate", path: path, number: number)
            }
        }
    }

    /// What `reserve` does where the file system can't: the room is there when something has been written to it.
    func writeZeroes(from start: UInt64, to end: UInt64) throws(FileError) {
        let piece: UInt64 = 256 << 10
        guard start < end else { return }
        let zeroes = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(min(piece, end - start)), alignment: 16)
        defer { zeroes.deallocate() }
        zeroes.initializeMemory(as: UInt8.self, repeating: 0)
        var offset = start
        while offset < end {
            let rest = UnsafeRawBufferPointer(rebasing: zeroes[..<Int(min(UInt64(zeroes.count), end - offset))])
            offset += UInt64(try write(rest, at: offset))
        }
    }

    func size() throws(FileError) -> UInt64 {
        var status = stat()
        if fstat(descriptor, &status) != 0 { throw failure("fstat") }
        return UInt64(status.st_size)
    }

    func data(from offset: UInt64) throws(FileError) -> Range<UInt64>? {
        // SEEK_DATA and SEEK_HOLE, which the Glibc module lacks. Nothing else here depends on where the file stands.
        let start = lseek(descriptor, off_t(offset), 3)
        if start < 0 && errno == ENXIO { return nil }
        let end = start < 0 ? -1 : lseek(descriptor, start, 4)
        if start < end { return UInt64(start)..<UInt64(end) }
        // Where the calls aren't known, reading is what there is.
        let size = try size()
        return offset < size ? offset..<size : nil
    }

    func expect(_ reading: ExpectedReading) {
        // Advice: whatever is wrong will be told by a read.
        switch reading {
        case .parts: _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_RANDOM)
        case .whole:
            _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_NORMAL)
            _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_WILLNEED)
        }
    }

    /// A lock of the open file description: two opens in one process exclude each other, as with flock, and unlike flock
    /// it excludes beanstalkd, which locks its directory by lockf.
    func lock() throws(FileError) -> Bool {
        switch clinux_lock(descriptor) {
        case 0: return true
        case EAGAIN, EACCES: return false
        case let number: throw FileError(call: "fcntl", path: path, number: number)
        }
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
