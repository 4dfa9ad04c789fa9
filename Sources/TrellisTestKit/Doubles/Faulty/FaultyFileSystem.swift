// SPDX-License-Identifier: MIT

internal import Glibc
internal import Synchronization
public import TrellisFiles

/// A file system in memory that forgets, fails and fills up as real ones do, when a test wants it to.
///
/// It is for tests of stores. A store that writes through `FileSystem` runs on it unchanged, and the test can then
///
/// - cut the power at any moment: `crash` gives the file system as a machine could find it afterwards. A write is
///   certain to be there only after `sync` of its file; a new file, a rename and a removal only after `syncFolder` of
///   the folder (and the folder itself only after `syncFolder` of the one above it);
/// - kill the process: `killed` gives what the next process finds;
/// - let any call fail, by its number, by its kind, or for as long as the test likes (`failCall`, `failAll`);
/// - fill the disk (`capacity`), damage what is on it (`corrupt`), and see what is there (`contents`).
///
/// Nothing here is left to chance but by the generator that a test gives: the same calls and the same seed end the same.
/// The proof that a store loses nothing it has promised looks like this:
///
/// ```swift
/// for number in 1... {
///     let disk = FaultyFileSystem(folders: ["/data"])
///     disk.failCall(number, .powerLoss)
///     let promised = live(on: disk)            // runs the store until it ends or fails; what it said is durable
///     if !disk.hasLostPower { break }          // the life has fewer calls than that
///     var generator = SeededGenerator(seed: UInt64(number))
///     for _ in 0..<10 { check(promised, on: disk.crash(&generator)) }
/// }
/// ```
///
/// A call with a number is one of `Call`; asking for a size and for free space has none. Paths begin at the root,
/// with or without a slash; there are no links and no `..`. May be used by several threads at once, each of which
/// finds the calls of the others whole.
public final class FaultyFileSystem: FileSystem, Sendable {
    let state: Mutex<FaultyState>

    /// An empty disk with folders that have always been there.
    ///
    /// With a capacity it holds so many bytes of content and of reserved space, counted in pages of 4 KiB.
    public init(folders: [String] = [], capacity: UInt64? = nil) {
        var state = FaultyState()
        state.capacity = capacity
        for folder in folders {
            do throws(FileError) {
                try state.addDurableFolder(folder)
            } catch {
                preconditionFailure("nothing is in the way of a folder on an empty disk: \(error)")
            }
        }
        self.state = Mutex(state)
    }

    init(_ state: FaultyState) { self.state = Mutex(state) }

    // MARK: The contract

    /// Opens a file.
    ///
    /// One that was opened to be read cannot be written, and none can be used after it was closed.
    public func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any File {
        let (node, handle) = try state.withLock { state throws(FileError) in try state.open(path, mode) }
        return FaultyFile(path: path, system: self, node: node, handle: handle, isWritable: mode != .read)
    }

    /// Gives a file another name in its folder.
    public func rename(_ path: String, to newPath: String) throws(FileError) {
        try state.withLock { state throws(FileError) in try state.rename(path, to: newPath) }
    }

    /// Removes a file; who has it open can go on with it.
    public func remove(_ path: String) throws(FileError) {
        try state.withLock { state throws(FileError) in try state.remove(path) }
    }

    /// The names of the files and folders in a folder, sorted.
    public func list(_ folder: String) throws(FileError) -> [String] {
        try state.withLock { state throws(FileError) in try state.list(folder) }
    }

    /// Makes a folder and those above it that are missing; each is durable after `syncFolder` of the one above it.
    public func makeFolder(_ folder: String) throws(FileError) {
        try state.withLock { state throws(FileError) in try state.makeFolder(folder) }
    }

    /// Makes the names in a folder durable, and nothing else: neither what the files hold nor the folder's own name.
    ///
    /// A failed call changes nothing.
    public func syncFolder(_ folder: String) throws(FileError) {
        try state.withLock { state throws(FileError) in try state.syncFolder(folder) }
    }

    /// What the capacity leaves; a pebibyte where there is none.
    public func freeBytes(_ folder: String) throws(FileError) -> UInt64 {
        try state.withLock { state throws(FileError) in try state.freeBytes(folder) }
    }

    // MARK: Room

    /// How many bytes the disk holds, in whole pages of 4 KiB; nil for as many as one likes.
    ///
    /// Beyond it a write gives as much as fits, or fails with `ENOSPC`, as does `reserve`. Writes to pages that were
    /// written or reserved before never do, nor does `resize`, which makes holes. May change at any time.
    public var capacity: UInt64? {
        get { state.withLock { $0.capacity } }
        set { state.withLock { $0.capacity = newValue } }
    }

    /// What the files have of the disk, in whole pages: written or reserved, whether it is synced or not.
    ///
    /// A file that was removed counts until it is closed.
    public var usedBytes: UInt64 { state.withLock { $0.usedBytes } }

    // MARK: Behind the store's back

    /// The paths of all files, sorted.
    public var paths: [String] {
        state.withLock { state in
            var result: [String] = []
            for (path, folder) in state.folders {
                for case (let name, .file) in folder.live { result.append(FaultyState.path(of: name, in: path)) }
            }
            return result.sorted()
        }
    }

    /// What a program would read in a file; nil where there is none.
    public func contents(of path: String) -> [UInt8]? {
        state.withLock { state in state.file(at: path).flatMap { state.nodes[$0]?.live.bytes } }
    }

    /// Puts a file on the disk as if it had always been there, with its folder; whoever has it open sees the new bytes.
    ///
    /// What was pending in its folder and in those above it is synced by this.
    public func setContents(_ path: String, _ bytes: [UInt8]) {
        state.withLock { state in
            do throws(FileError) {
                try state.setContents(path, bytes)
            } catch {
                preconditionFailure("there can be no file: \(error)")
            }
        }
    }

    /// Flips bits of one byte of a file, on the disk and in memory: those that are set in `bits`.
    public func corrupt(_ path: String, at offset: UInt64, xor bits: UInt8) {
        state.withLock { state in
            guard let id = state.file(at: path), let node = state.nodes[id], offset < node.live.size else {
                preconditionFailure("\(path) has no byte \(offset)")
            }
            state.change(id) { $0.flip(bits, at: offset) }
        }
    }
}
