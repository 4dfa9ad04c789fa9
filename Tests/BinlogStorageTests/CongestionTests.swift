// SPDX-License-Identifier: MIT

import Foundation
import Testing
import TrellisCore
import TrellisFiles
import TrellisTestKit

@testable import BinlogStorage

/// Files whose syncs can be held up, as a busy disk holds them up.
private final class HeldFileSystem: FileSystem {
    private let disk = LinuxFileSystem.shared
    private let held = Monitor(false)

    func hold(_ isHeld: Bool) {
        held.withLock { $0 = isHeld }
        held.notify()
    }

    func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
        HeldFile(try disk.open(path, mode), held)
    }

    func rename(_ path: String, to newPath: String) throws(FileError) { try disk.rename(path, to: newPath) }
    func remove(_ path: String) throws(FileError) { try disk.remove(path) }
    func list(_ folder: String) throws(FileError) -> [String] { try disk.list(folder) }
    func makeFolder(_ folder: String) throws(FileError) { try disk.makeFolder(folder) }
    func syncFolder(_ folder: String) throws(FileError) { try disk.syncFolder(folder) }
    func freeBytes(_ folder: String) throws(FileError) -> UInt64 { try disk.freeBytes(folder) }
}

private final class HeldFile: File {
    private let file: any File
    private let held: Monitor<Bool>
    /// Segments that are only being made ready aren't held up: the log goes on in them.
    private let isWritten = Monitor(false)

    init(_ file: any File, _ held: Monitor<Bool>) {
        self.file = file
        self.held = held
    }

    var path: String { file.path }

    func sync() throws(FileError) {
        if isWritten.withLock({ $0 }) { _ = held.wait { $0 ? nil : true } }
        try file.sync()
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) -> Int {
        if bytes.contains(where: { $0 != 0 }) { isWritten.withLock { $0 = true } }
        return try file.write(bytes, at: offset)
    }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(FileError) -> Int {
        try file.read(at: offset, into: buffer)
    }

    func resize(to size: UInt64) throws(FileError) { try file.resize(to: size) }
    func reserve(_ size: UInt64) throws(FileError) { try file.reserve(size) }
    func size() throws(FileError) -> UInt64 { try file.size() }
    func lock() throws(FileError) -> Bool { try file.lock() }
    func close() { file.close() }
}

/// A disk that syncs more slowly than clients write.
@Suite struct CongestionTests {
    @Test func clientsWaitBeforeTheLogOutgrowsItsBound() throws {
        let scratch = Scratch()
        let files = HeldFileSystem()
        let settings = LogSettings(directory: scratch.path, sync: .never, segmentBytes: 1 << 20, files: files)
        let bench = LogBench(settings)
        try bench.open()
        var random = SeededGenerator(seed: 1)
        var nextID: UInt64 = 1
        func put() {
            bench.put(nextID, body: [UInt8](repeating: 7, count: 2000))
            nextID += 1
        }
        for _ in 0..<200 { put() }
        try bench.commit()
        files.hold(true)
        var changes = 0
        while !bench.store.isCongested, changes < 20_000 {
            for _ in 0..<8 {
                bench.delete(random.one(of: bench.jobs.keys.sorted()))
                put()
                changes += 1
            }
            try bench.commit()
            let statistics = bench.store.statistics
            try #require(statistics.logBytes <= 2 * statistics.liveBytes + 2 * (1 << 20), "after \(changes) changes")
        }
        #expect(bench.store.isCongested)
        files.hold(false)
        let start = ContinuousClock.now
        while bench.store.isCongested, ContinuousClock.now - start < .seconds(20) {
            usleep(1000)
            try bench.commit()
        }
        #expect(!bench.store.isCongested)
        try bench.close()
    }
}
