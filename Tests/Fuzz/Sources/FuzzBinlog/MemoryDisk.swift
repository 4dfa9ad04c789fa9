// SPDX-License-Identifier: MIT

import Glibc
import Synchronization
import TrellisFiles

/// Files of one folder that exist in memory only.
final class MemoryDisk: FileSystem {
    fileprivate final class Content: Sendable {
        let bytes: Mutex<[UInt8]>

        init(_ bytes: [UInt8]) { self.bytes = Mutex(bytes) }
    }

    private let files: Mutex<[String: Content]>

    init(_ contents: [String: [UInt8]]) { files = Mutex(contents.mapValues { Content($0) }) }

    /// What the files hold, by path.
    var contents: [String: [UInt8]] {
        files.withLock { $0.mapValues { content in content.bytes.withLock { $0 } } }
    }

    func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
        let content = files.withLock { files -> Content? in
            if mode != .create { return files[path] }
            guard files[path] == nil else { return nil }
            let content = Content([])
            files[path] = content
            return content
        }
        guard let content else { throw FileError(call: "open", path: path, number: mode == .create ? EEXIST : ENOENT) }
        return MemoryFile(path: path, content: content)
    }

    func rename(_ path: String, to newPath: String) throws(FileError) {
        let isThere = files.withLock { files in
            guard let content = files.removeValue(forKey: path) else { return false }
            files[newPath] = content
            return true
        }
        if !isThere { throw FileError(call: "rename", path: path, number: ENOENT) }
    }

    func remove(_ path: String) throws(FileError) {
        let content = files.withLock { $0.removeValue(forKey: path) }
        if content == nil { throw FileError(call: "unlink", path: path, number: ENOENT) }
    }

    func list(_ folder: String) -> [String] {
        files.withLock { files in files.keys.map { String($0.dropFirst(folder.utf8.count + 1)) }.sorted() }
    }

    func makeFolder(_ folder: String) {}
    func syncFolder(_ folder: String) {}
    func freeBytes(_ folder: String) -> UInt64 { 1 << 40 }
}

private final class MemoryFile: File {
    let path: String
    private let content: MemoryDisk.Content

    init(path: String, content: MemoryDisk.Content) {
        self.path = path
        self.content = content
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        content.bytes.withLock { bytes in
            guard offset < UInt64(bytes.count) else { return 0 }
            let count = min(buffer.count, bytes.count - Int(offset))
            bytes.withUnsafeBytes {
                buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(offset)...].prefix(count)))
            }
            return count
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> Int {
        content.bytes.withLock { content in
            let end = Int(offset) + bytes.count
            if end > content.count { content += [UInt8](repeating: 0, count: end - content.count) }
            content.replaceSubrange(Int(offset)..<end, with: bytes)
        }
        return bytes.count
    }

    func reserve(_ size: UInt64) {
        content.bytes.withLock { bytes in
            if Int(size) > bytes.count { bytes += [UInt8](repeating: 0, count: Int(size) - bytes.count) }
        }
    }

    func resize(to size: UInt64) {
        content.bytes.withLock { $0 = Array($0.prefix(Int(size))) }
        reserve(size)
    }

    func size() -> UInt64 { content.bytes.withLock { UInt64($0.count) } }
    func sync() {}
    func lock() -> Bool { true }
    func close() {}
}
