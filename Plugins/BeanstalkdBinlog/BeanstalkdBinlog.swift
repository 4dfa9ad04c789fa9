// SPDX-License-Identifier: MIT

internal import Glibc
public import TrellisCore
public import TrellisFiles

/// Reads the directory that beanstalkd keeps its jobs in (`beanstalkd -b`), in the versions 5 and 7 of its format.
///
/// It changes nothing there. A first pass over the files replays the log and keeps of each live job all but its body; a
/// second one fetches the bodies. So memory is taken for live jobs only, and no body but the one being delivered is in it.
///
/// Like the reference it gives up a file at the first record that can't be true and goes on with the next file. It
/// keeps all that the reference keeps after a restart, and some that it drops: jobs of 65,534 bytes and more, jobs
/// whose later record is damaged, and the order of buried jobs.
///
/// The calling order: `open`, `read` (as often as you like), `close`. One thread at a time.
public final class BeanstalkdBinlog {
    private let directory: String
    private let files: any FileSystem
    private var lock: (any File)?
    private var names: [String] = []
    private var isOpen = false

    /// A reader of the directory; nothing happens until `open`.
    public init(directory: String, files: any FileSystem = LinuxFileSystem.shared) {
        self.directory = directory
        self.files = files
    }

    deinit { close() }

    /// Whether a directory is one that can be read: whether a file `binlog.N` in it begins with version 5 or 7.
    public static func isOne(_ directory: String, files: any FileSystem) throws(FileError) -> Bool {
        if case .readable = try find(in: directory, files: files) { true } else { false }
    }

    /// Looks at the names in a directory, and where they are those of a log, at the first bytes of the files.
    public static func find(in directory: String, files: any FileSystem) throws(FileError) -> Finding {
        var first: Finding?
        for name in logNames(try files.list(directory)) {
            let file = try files.open("\(directory)/\(name)", .read)
            defer { file.close() }
            guard let version = try version(of: file) else { continue }
            if RecordFormat(version: version) != nil { return .readable(file: name, version: version) }
            first = first ?? .unreadable(file: name, reason: refusal(of: version))
        }
        return first ?? .nothing
    }

    /// Takes the lock of the directory, so that no beanstalkd can start on it meanwhile, and lists its files.
    ///
    /// Throws `locked` while a beanstalkd runs on it, `corrupt` where it holds no log that can be read. Where it
    /// throws, nothing is open.
    public func open() throws(StorageError) {
        guard !isOpen else { return }
        do throws(StorageError) { try prepare() } catch {
            close()
            throw error
        }
        isOpen = true
    }

    private func prepare() throws(StorageError) {
        let finding: Finding
        let isFree: Bool
        do throws(FileError) {
            isFree = try takeLock()
            names = Self.logNames(try files.list(directory))
            finding = try Self.find(in: directory, files: files)
        } catch {
            throw .fatal("\(error)")
        }
        if !isFree { throw .locked("\(directory) is in use: a running beanstalkd has locked \(directory)/lock") }
        if names.isEmpty { throw .corrupt("\(directory) holds no log of beanstalkd: there is no file binlog.N in it") }
        if case .unreadable(let file, let reason) = finding { throw .corrupt("\(directory)/\(file): \(reason)") }
    }

    /// Replays the log and delivers every live job once: first those that aren't buried, as their bodies lie in the
    /// files; then the buried ones in the order in which they were buried.
    ///
    /// `sequence` ascends from 1. What was reserved is ready. Damage is told in the summary and is no error. An error
    /// of `deliver` ends the reading and is passed on.
    public func read(
        _ deliver: (StoredJob) throws(StorageError) -> Void, progress: (Progress) -> Void = { _ in }
    ) throws(StorageError) -> Summary {
        guard isOpen else { throw .fatal("\(directory) was not opened") }
        var sizes: [UInt64] = []
        do throws(FileError) {
            for name in names {
                let file = try files.open("\(directory)/\(name)", .read)
                defer { file.close() }
                sizes.append(try file.size())
            }
        } catch {
            throw .fatal("\(error)")
        }
        var replay = Replay(directory: directory, files: files, names: names, sizes: sizes)
        try replay.scan(progress: progress)
        try replay.deliver(deliver, progress: progress)
        return replay.summary
    }

    /// Lets go of the directory.
    ///
    /// May be called twice.
    public func close() {
        lock?.close()
        lock = nil
        names = []
        isOpen = false
    }

    /// False where another process has the lock.
    private func takeLock() throws(FileError) -> Bool {
        let file: any File
        do throws(FileError) { file = try files.open("\(directory)/lock", .update) } catch {
            // Without the file there was never a server; and none runs where nothing can be written.
            if error.number == ENOENT || error.number == EROFS { return true }
            throw error
        }
        lock = file
        return try file.lock()
    }

    /// The names of the log's files, in the order in which they were written.
    ///
    /// The reference makes them from a C int; what it wouldn't write it wouldn't read either.
    private static func logNames(_ names: [String]) -> [String] {
        var numbers: [Int32] = []
        for name in names where name.hasPrefix("binlog.") {
            let digits = name.dropFirst("binlog.".count)
            if let number = Int32(digits), number >= 0, String(number) == digits { numbers.append(number) }
        }
        return numbers.sorted().map { "binlog.\($0)" }
    }

    /// The version word; nil where it isn't written yet: the reference extends a file by zeroes before it writes.
    private static func version(of file: any File) throws(FileError) -> UInt32? {
        var word: UInt32 = 0
        var got = 0
        var failure: FileError?
        withUnsafeMutableBytes(of: &word) { bytes in
            do throws(FileError) { got = try file.readAll(at: 0, into: bytes) } catch { failure = error }
        }
        if let failure { throw failure }
        let version = UInt32(littleEndian: word)
        return got < RecordFormat.versionBytes || version == 0 ? nil : version
    }

    /// Why a file with that version isn't read.
    static func refusal(of version: UInt32) -> String {
        if RecordFormat(version: version.byteSwapped) != nil {
            return "it was written on a big-endian machine (version \(version.byteSwapped), bytes swapped)"
        }
        return "it has the unknown version \(version); 5 and 7 can be read"
    }
}
