// SPDX-License-Identifier: MIT

import Glibc
import TrellisFiles

/// Files `binlog.1`, `binlog.2` and so on that exist in memory only.
final class MemoryFiles: FileSystem {
    private let contents: [[UInt8]]

    init(_ contents: [[UInt8]]) { self.contents = contents }

    func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
        for (index, bytes) in contents.enumerated() where path.hasSuffix("/binlog.\(index + 1)") {
            return MemoryFile(path: path, bytes: bytes)
        }
        throw FileError(call: "open", path: path, number: ENOENT)
    }

    func list(_ folder: String) -> [String] { contents.indices.map { "binlog.\($0 + 1)" } }
    func rename(_ path: String, to newPath: String) { fatalError("the reader changes files") }
    func remove(_ path: String) { fatalError("the reader changes files") }
    func makeFolder(_ folder: String) { fatalError("the reader changes files") }
    func syncFolder(_ folder: String) { fatalError("the reader changes files") }
    func freeBytes(_ folder: String) -> UInt64 { 0 }
}

private final class MemoryFile: File {
    let path: String
    private let bytes: [UInt8]

    init(path: String, bytes: [UInt8]) {
        self.path = path
        self.bytes = bytes
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        guard offset < UInt64(bytes.count) else { return 0 }
        let count = min(buffer.count, bytes.count - Int(offset))
        bytes.withUnsafeBytes {
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(offset)...].prefix(count)))
        }
        return count
    }

    func size() -> UInt64 { UInt64(bytes.count) }
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> Int { fatalError("the reader changes files") }
    func sync() { fatalError("the reader changes files") }
    func resize(to size: UInt64) { fatalError("the reader changes files") }
    func reserve(_ size: UInt64) { fatalError("the reader changes files") }
    func lock() -> Bool { true }
    func close() {}
}
