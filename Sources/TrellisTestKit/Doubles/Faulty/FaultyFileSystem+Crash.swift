// SPDX-License-Identifier: MIT

internal import Synchronization

/// What is left of a file system.
///
/// Each of these is a new file system: nobody has a file open, nobody has a lock, no call is set to fail and the next
/// one is number 1. The capacity stays. This one goes on as it was, and neither sees what happens to the other. Pages
/// are shared until one of the two writes to them, so that even a crash of large files is cheap.
extension FaultyFileSystem {
    /// Something that was done and not synced, of which a power loss may leave nothing.
    public enum Unsynced: Hashable, Sendable {
        /// The 4 KiB of a file at an offset.
        case page(file: String, offset: UInt64)
        /// The new size of a file; it is asked for behind the file's pages.
        case size(file: String)
        /// A change of a folder, as `add name`, `remove name`, `rename name to name`.
        case change(folder: String, String)
    }

    /// What a power loss leaves of the unsynced, where it isn't chance.
    public enum Survival: Hashable, Sendable, CaseIterable {
        /// Only what was synced is there.
        case nothing
        /// All that was written is there: the disk was fast.
        case everything
    }

    /// The file system as it could be found after a power loss at this moment, by chance.
    ///
    /// Of the unsynced pages any subset is there, of some only a few sectors of 512 bytes; the others are as they were
    /// synced last. The size of a file that has changed is the old or the new one, or where it has grown one between. Of
    /// the unsynced changes of each folder the first few are there, from none to all. In particular a rename can be
    /// there without what was written to the file before it.
    public func crash(_ generator: inout some RandomNumberGenerator) -> FaultyFileSystem {
        var decider = RandomDecider(generator)
        defer { generator = decider.generator }
        return crash(by: &decider)
    }

    /// The file system as it could be found after a power loss at this moment, in the best and in the worst case.
    ///
    /// The worst one is not always the hardest to get over: use the random ones too.
    public func crash(_ survival: Survival) -> FaultyFileSystem {
        var decider = UniformDecider(survives: survival == .everything)
        return crash(by: &decider)
    }

    /// The file system as it could be found after a power loss at this moment, where a test says what has survived.
    ///
    /// The changes of a folder are asked for in order, until the first that has not.
    public func crash(where survives: (Unsynced) -> Bool) -> FaultyFileSystem {
        withoutActuallyEscaping(survives) { survives in
            var decider = AskingDecider(survives: survives)
            return crash(by: &decider)
        }
    }

    /// What the next process finds after this one was killed: all that was written, synced or not.
    ///
    /// What wasn't synced still isn't: the power can fail afterwards.
    public func killed() -> FaultyFileSystem {
        FaultyFileSystem(state.withLock { $0.killed() })
    }

    private func crash(by decider: inout some CrashDecider) -> FaultyFileSystem {
        // The test's closure and generator may call this file system, so they run without its lock.
        let copy = state.withLock { $0 }
        return FaultyFileSystem(copy.crashed(&decider))
    }
}
