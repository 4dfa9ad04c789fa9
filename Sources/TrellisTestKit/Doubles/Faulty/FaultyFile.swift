// SPDX-License-Identifier: MIT

internal import Glibc
internal import Synchronization
internal import TrellisFiles

/// An open file of a faulty file system.
final class FaultyFile: File {
    let path: String
    private let system: FaultyFileSystem
    private let node: Int
    private let handle: Int
    private let isWritable: Bool

    init(path: String, system: FaultyFileSystem, node: Int, handle: Int, isWritable: Bool) {
        self.path = path
        self.system = system
        self.node = node
        self.handle = handle
        self.isWritable = isWritable
    }

    deinit { close() }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(FileError) -> Int {
        try system.state.withLock { state throws(FileError) in
            _ = try begin(.read, "\(buffer.count) at \(offset)", &state)
            return state.nodes[node]?.live.read(at: offset, into: buffer) ?? 0
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) -> Int {
        try system.state.withLock { state throws(FileError) in
            let course = try begin(.write, "\(bytes.count) at \(offset)", &state, writes: true)
            try checkSize(.write, offset, bytes.count, state)
            var count = bytes.count
            if let number = state.nodes[node]?.nextWriteError {
                state.change(node) { $0.nextWriteError = nil }
                throw state.failure(.write, path, number)
            }
            if case .short(let number) = course {
                // Not always the half: a cut should fall on every part of what is written.
                count = min(count, max(1, count * (state.count % 7 + 1) / 8))
                state.change(node) { $0.nextWriteError = number }
            }
            count = min(count, bytesWithRoom(count, at: Int(offset), state))
            if count == 0, bytes.count > 0 { throw state.failure(.write, path, ENOSPC) }
            state.change(node) { $0.write(UnsafeRawBufferPointer(rebasing: bytes[..<count]), at: Int(offset)) }
            return count
        }
    }

    func sync() throws(FileError) {
        try system.state.withLock { state throws(FileError) in
            do throws(FileError) {
                _ = try begin(.sync, "", &state)
            } catch {
                if !state.isOff, state.isOpen(handle) { state.change(node) { $0.failSync() } }
                throw error
            }
            state.change(node) { $0.sync() }
        }
    }

    func resize(to size: UInt64) throws(FileError) {
        try system.state.withLock { state throws(FileError) in
            _ = try begin(.resize, "to \(size)", &state, writes: true)
            try checkSize(.resize, size, 0, state)
            state.change(node) { $0.resize(to: size) }
        }
    }

    func reserve(_ size: UInt64) throws(FileError) {
        try system.state.withLock { state throws(FileError) in
            _ = try begin(.reserve, "\(size)", &state, writes: true)
            try checkSize(.reserve, size, 0, state)
            let needed = state.nodes[node]?.live.pagesWithoutRoom(before: FaultyNode.pages(in: size)) ?? 0
            if needed > state.freePages { throw state.failure(.reserve, path, ENOSPC) }
            state.change(node) { $0.reserve(size) }
        }
    }

    func size() throws(FileError) -> UInt64 {
        try system.state.withLock { state throws(FileError) in
            try state.checkPower("fstat", path)
            guard state.isOpen(handle) else { throw FileError(call: "fstat", path: path, number: EBADF) }
            return state.nodes[node]?.live.size ?? 0
        }
    }

    func lock() throws(FileError) -> Bool {
        try system.state.withLock { state throws(FileError) in
            _ = try begin(.lock, "", &state, writes: true)
            if let holder = state.nodes[node]?.lockHolder { return holder == handle }
            state.change(node) { $0.lockHolder = handle }
            return true
        }
    }

    func close() {
        system.state.withLock { $0.close(handle) }
    }

    private func begin(
        _ call: FaultyFileSystem.Call, _ detail: String, _ state: inout FaultyState, writes: Bool = false
    ) throws(FileError) -> FaultyState.Course {
        let course = try state.begin(call, path, detail)
        guard state.isOpen(handle), isWritable || !writes else { throw state.failure(call, path, EBADF) }
        return course
    }

    /// A file of the double has at most a tebibyte, which keeps its table of pages small.
    private func checkSize(
        _ call: FaultyFileSystem.Call, _ offset: UInt64, _ count: Int, _ state: FaultyState
    ) throws(FileError) {
        let largest: UInt64 = 1 << 40
        if offset > largest || UInt64(count) > largest - offset { throw state.failure(call, path, EFBIG) }
    }

    /// How many of the bytes to be written at a place the disk has room for.
    private func bytesWithRoom(_ count: Int, at offset: Int, _ state: FaultyState) -> Int {
        guard state.capacity != nil, count > 0, let content = state.nodes[node]?.live else { return count }
        let pages = offset / FaultyContent.pageSize...(offset + count - 1) / FaultyContent.pageSize
        var free: Int?
        for page in pages where !content.hasRoom(at: page) {
            let left = free ?? state.freePages
            if left == 0 { return max(0, page * FaultyContent.pageSize - offset) }
            free = left - 1
        }
        return count
    }
}
