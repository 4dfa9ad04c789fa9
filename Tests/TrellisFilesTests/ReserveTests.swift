// SPDX-License-Identifier: MIT

import Foundation
import Testing

@testable import TrellisFiles

@Suite struct ReserveTests {
    private let files = LinuxFileSystem.shared
    private let path = "/tmp/trellis-reserve-\(getpid())-\(UInt64.random(in: 0...UInt64.max))"

    /// Calls with a new file of the bytes 1, 2, 3.
    private func withFile(_ body: (any File) throws -> Void) throws {
        let file = try files.open(path, .create)
        defer { try? files.remove(path) }
        try [UInt8]([1, 2, 3]).withUnsafeBytes { try file.writeAll($0, at: 0) }
        try body(file)
    }

    private func bytes(of file: any File, count: Int) throws -> [UInt8] {
        var buffer = [UInt8](repeating: 0xEE, count: count)
        let got = try buffer.withUnsafeMutableBytes { try file.readAll(at: 0, into: $0) }
        return Array(buffer[..<got])
    }

    private func bytesOnDisk() -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_blocks) * 512 : 0
    }

    @Test func reservedSpaceIsThereAndReadsAsZeroes() throws {
        try withFile { file in
            try file.reserve(1 << 20)
            #expect(try file.size() == 1 << 20)
            #expect(bytesOnDisk() >= 1 << 20)
            let content = try bytes(of: file, count: 2 << 20)
            #expect(content.count == 1 << 20)
            #expect(content[..<3] == [1, 2, 3] && content[3...].allSatisfy { $0 == 0 })
        }
    }

    @Test func roomThatWasNeverWrittenToIsKnownToHoldNothing() throws {
        try withFile { file in
            try file.reserve(4 << 20)
            file.expect(.parts)
            try [UInt8]([7]).withUnsafeBytes { try file.writeAll($0, at: 2 << 20) }
            try file.sync()
            var parts: [Range<UInt64>] = []
            var offset: UInt64 = 0
            while let part = try file.data(from: offset) {
                #expect(part.lowerBound >= offset && part.upperBound > part.lowerBound)
                parts.append(part)
                offset = part.upperBound
            }
            // Where something lies is told for certain; of the rest the most is told to be empty.
            #expect([0, 1, 2, 2 << 20].allSatisfy { byte in parts.contains { $0.contains(byte) } })
            #expect(parts.reduce(0) { $0 + $1.count } < 1 << 20)
            #expect(try file.data(from: 4 << 20) == nil)
            #expect(try file.data(from: 3 << 20) == nil)
            file.expect(.whole)
            #expect(try bytes(of: file, count: 5 << 20).count == 4 << 20)
        }
    }

    @Test func aFileThatCannotTellAnswersAllOfIt() throws {
        try withFile { file in
            let plain = PlainFile(file)
            let found = try [0, 2, 3].map { try plain.data(from: $0) }
            #expect(found == [0..<3, 2..<3, nil])
        }
    }

    @Test func aLongFileStaysLongAndItsHolesAreFilled() throws {
        try withFile { file in
            try file.resize(to: 2 << 20)
            #expect(bytesOnDisk() < 1 << 20)
            try file.reserve(0)
            try file.reserve(1 << 20)
            #expect(try file.size() == 2 << 20)
            #expect(bytesOnDisk() >= 1 << 20)
        }
    }

    @Test func withoutFallocateZeroesAreWritten() throws {
        try withFile { file in
            let file = try #require(file as? LinuxFile)
            try file.writeZeroes(from: 3, to: 600_001)
            try file.writeZeroes(from: 600_001, to: 7)
            #expect(try file.size() == 600_001)
            #expect(bytesOnDisk() >= 600_001)
            let content = try bytes(of: file, count: 700_000)
            #expect(content[..<3] == [1, 2, 3] && content[3...].allSatisfy { $0 == 0 })
        }
    }

    @Test func fullDiskIsSaidToBeFull() throws {
        // A device that takes no fallocate and has no room for a byte.
        let device = try #require(try files.open("/dev/full", .update) as? LinuxFile)
        let error = try #require(throws: FileError.self) { try device.writeZeroes(from: 0, to: 1) }
        #expect(error.isFull)
    }

    @Test func moreThanAFileCanBeIsRefused() throws {
        try withFile { file in
            #expect(throws: FileError(call: "fallocate", path: path, number: EFBIG)) { try file.reserve(1 << 63) }
            let size = try file.size()
            #expect(size == 3)
        }
    }

    @Test func aReservationThatFailedHalfWayLeavesTheSize() async {
        await #expect(processExitsWith: .success) {
            let path = "/tmp/trellis-reserve-half-\(getpid())"
            let plain = try LinuxFileSystem.shared.open(path, .create)
            defer { try? LinuxFileSystem.shared.remove(path) }
            try plain.resize(to: 3)
            // Nothing but a limit stops a write of zeroes half-way without filling a disk.
            signal(SIGXFSZ, SIG_IGN)
            var limit = rlimit(rlim_cur: 1 << 20, rlim_max: 1 << 20)
            guard setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0 else { exit(2) }
            let file = try #require(plain as? LinuxFile)
            let error = #expect(throws: FileError.self) {
                try file.orAsLong { () throws(FileError) in try file.writeZeroes(from: 3, to: 2 << 20) }
            }
            #expect(error?.number == EFBIG)
            #expect(try file.size() == 3)
        }
    }
}

/// A file with no more methods than it must have.
private final class PlainFile: File {
    private let file: any File
    var path: String { file.path }

    init(_ file: any File) { self.file = file }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(FileError) -> Int {
        try file.read(at: offset, into: buffer)
    }
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) -> Int {
        try file.write(bytes, at: offset)
    }
    func sync() throws(FileError) { try file.sync() }
    func resize(to size: UInt64) throws(FileError) { try file.resize(to: size) }
    func reserve(_ size: UInt64) throws(FileError) { try file.reserve(size) }
    func size() throws(FileError) -> UInt64 { try file.size() }
    func lock() throws(FileError) -> Bool { try file.lock() }
    func close() { file.close() }
}
