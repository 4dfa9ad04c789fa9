// SPDX-License-Identifier: MIT

import CFuzzer
import Glibc
import TrellisCore

@testable import BinlogStorage

/// Feeds libFuzzer's inputs to the reader of the log: as they are, and with checksums made right, so that it gets past
/// them.
@main
struct FuzzBinlog {
    static func main() {
        var count = CommandLine.argc
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
        let status = LLVMFuzzerRunDriver(&count, &arguments) { data, size in
            FuzzBinlog.test(Array(UnsafeRawBufferPointer(start: data, count: size)))
            return 0
        }
        exit(status)
    }

    private static func test(_ input: [UInt8]) {
        let files = SegmentInput(input).files
        let looked = look(files)
        verify(files, looked)
        open(files, looked)
        repair(files, looked)
    }

    /// A reading, and a second one: they are alike and change nothing.
    private static func look(_ files: [String: [UInt8]]) -> Reading? {
        let disk = MemoryDisk(files)
        let first = Reading(disk, .readOnly)
        if Reading(disk, .readOnly) != first { fatalError("two readings differ") }
        if disk.contents != files { fatalError("a reading changed something") }
        return first
    }

    /// What verify finds sound opens; it changes nothing.
    private static func verify(_ files: [String: [UInt8]], _ looked: Reading?) {
        let disk = MemoryDisk(files)
        let isSound = isSound(disk) ?? false
        if isSound, looked == nil { fatalError("a log that is sound is refused") }
        if disk.contents != files { fatalError("verify changed something") }
    }

    /// Nil where it refuses to look.
    private static func isSound(_ disk: MemoryDisk) -> Bool? {
        do throws(StorageError) {
            let findings = try BinlogStorage(Reading.settings(disk)).verify { done, all in
                if done > all { fatalError("more was read than there is") }
            }
            return !findings.contains(where: \.isDamage)
        } catch {
            guard case .corrupt = error else { fatalError("verify failed with \(error)") }
            return nil
        }
    }

    /// Who serves from the log gets the same jobs; what he adds is there afterwards, with all else.
    private static func open(_ files: [String: [UInt8]], _ looked: Reading?) {
        let disk = MemoryDisk(files)
        var added: UInt64?
        let opened = Reading(disk, .readWrite) { store, highest throws(StorageError) in
            guard highest.rawValue < LogFormat.largestNumber / 2 else { return }
            let id = highest.rawValue + 1
            put(id, to: store)
            added = id
            _ = try store.commit()
        }
        if opened != looked { fatalError("opened to serve, the log gives something else") }
        guard let opened else {
            if disk.contents.filter({ !$0.key.hasSuffix("/lock") }) != files { fatalError("a refused log was changed") }
            return
        }
        guard let again = Reading(disk, .readOnly) else { fatalError("a log that was opened is refused") }
        var jobs = again.sortedJobs
        if let added {
            guard jobs.last?.id == added, again.highest == added else { fatalError("what was added is lost") }
            jobs.removeLast()
        }
        if jobs != opened.sortedJobs { fatalError("jobs have changed while the log was open") }
    }

    private static func put(_ id: UInt64, to store: BinlogStorage) {
        guard store.admit(bodyBytes: 3, tubeNameBytes: 7) else { fatalError("there is no room") }
        let text = Array("defaultnew".utf8)
        var note = StorageNote()
        text.withUnsafeBytes { text in
            let job = StoredJob(
                id: JobID(id), tube: BorrowedName(UnsafeRawBufferPointer(rebasing: text[..<7])), state: .ready,
                priority: 0, delay: 0, ttr: 1, createdAt: 0, deadline: 0, sequence: 1, counters: JobCounters(),
                body: UnsafeRawBufferPointer(rebasing: text[7...]))
            store.append(.put(job), note: &note)
        }
    }

    /// What was mended opens, is sound, and has all jobs of a log that opened before.
    private static func repair(_ files: [String: [UInt8]], _ looked: Reading?) {
        let disk = MemoryDisk(files)
        let lines: [String]
        do throws(StorageError) { lines = try BinlogStorage(Reading.settings(disk)).repair { _, _ in } } catch {
            guard case .corrupt = error else { fatalError("repair failed with \(error)") }
            return
        }
        if lines.isEmpty {
            if disk.contents != files { fatalError("a repair that found nothing changed something") }
            return
        }
        guard let mended = Reading(disk, .readOnly) else { fatalError("a mended log is refused") }
        if isSound(disk) != true { fatalError("a mended log isn't sound") }
        if let looked, mended.sortedJobs != looked.sortedJobs { fatalError("a repair took jobs that could be read") }
        for (path, bytes) in files where disk.contents[path + ".damaged"] != bytes {
            // Files that hold nothing are used.
            if bytes.contains(where: { $0 != 0 }) { fatalError("a file wasn't put aside as it was") }
        }
    }
}
