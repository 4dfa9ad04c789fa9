// SPDX-License-Identifier: MIT

internal import Synchronization

extension FaultyFileSystem {
    /// A call that has a number and can fail.
    public enum Call: String, Hashable, Sendable, CaseIterable {
        /// `FileSystem.open`
        case open
        /// `File.read`
        case read
        /// `File.write`
        case write
        /// `File.sync`
        case sync
        /// `File.resize`
        case resize
        /// `File.reserve`
        case reserve
        /// `File.lock`
        case lock
        /// `FileSystem.rename`
        case rename
        /// `FileSystem.remove`
        case remove
        /// `FileSystem.list`
        case list
        /// `FileSystem.makeFolder`
        case makeFolder
        /// `FileSystem.syncFolder`
        case syncFolder

        /// What errors name.
        var systemCall: String {
            switch self {
            case .open: "open"
            case .read: "pread"
            case .write: "pwrite"
            case .sync: "fdatasync"
            case .resize: "ftruncate"
            case .reserve: "fallocate"
            case .lock: "fcntl"
            case .rename: "rename"
            case .remove: "unlink"
            case .list: "opendir"
            case .makeFolder: "mkdir"
            case .syncFolder: "fsync"
            }
        }
    }

    /// What happens to a call.
    public enum Fault: Hashable, Sendable {
        /// It fails with an errno and changes nothing.
        ///
        /// A `sync` that fails does as Linux does: what it should have written counts as written, though it isn't on
        /// the disk. A later `sync` succeeds and doesn't write it, and a power loss can still take it.
        case error(Int32)
        /// A write of two bytes or more writes only a beginning, of at least one byte, and says so. Other calls go on
        /// as if nothing were.
        case shortWrite
        /// The same, and the next write to that file fails with the errno, as on a disk that fills up.
        case shortWriteThenError(Int32)
        /// The power fails: this call and every later one, whatever it asks for, throws `EIO` and changes nothing.
        ///
        /// The test can let the store run until it has given up, and then go on with what `crash` gives.
        case powerLoss
    }

    // MARK: What goes wrong

    /// Lets the call with that number fail; the first one since the file system was made is 1.
    public func failCall(_ number: Int, _ fault: Fault) {
        state.withLock { $0.faults[number] = fault }
    }

    /// Lets a call of one kind fail: 1 is the next one of that kind.
    public func failNext(_ number: Int = 1, of call: Call, _ fault: Fault) {
        state.withLock { state in
            let number = state.counts[call, default: 0] + number
            state.faultsOfCalls[FaultyState.CallNumber(call: call, number: number)] = fault
        }
    }

    /// Lets every call of a kind fail with an errno, until `lift`.
    public func failAll(of call: Call, with number: Int32) {
        state.withLock { $0.standing[call] = number }
    }

    /// Ends what `failAll` began.
    public func lift(_ call: Call) {
        state.withLock { $0.standing[call] = nil }
    }

    // MARK: What happened

    /// How many calls there were that have a number, those that failed included.
    public var callCount: Int { state.withLock { $0.count } }

    /// How many calls of one kind there were.
    public func callCount(of call: Call) -> Int { state.withLock { $0.counts[call, default: 0] } }

    /// Whether a `powerLoss` has come.
    public var hasLostPower: Bool { state.withLock { $0.isOff } }

    /// Whether calls are written down; they aren't unless a test asks for it.
    public var logsCalls: Bool {
        get { state.withLock { $0.log != nil } }
        set { state.withLock { state in state.log = newValue ? state.log ?? [] : nil } }
    }

    /// The calls since `logsCalls` was set, in order: `write /data/1.log 512 at 4096`, `sync /data/1.log`.
    public var calls: [String] { state.withLock { $0.log ?? [] } }
}
