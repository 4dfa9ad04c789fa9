// SPDX-License-Identifier: MIT

internal import CLinux
internal import Glibc
internal import Synchronization

/// How other threads reach the loop: they leave a note and wake it.
final class Mailbox: Sendable {
    struct Notes {
        /// Connections whose stream may be ready, by their token.
        var streams: [UInt64] = []
        /// Listeners without a descriptor that may have a connection.
        var listeners: [Int] = []
        var shouldStop = false
        var shouldDrain = false
        var shouldReload = false
        /// What a configuration that was read again came to.
        var reloaded: Result<PreparedUpdate, UpdateRefusal>?
    }

    /// What the loop does, as far as those who leave something for it at the engine must know.
    private enum Sleep {
        static let awake: UInt8 = 0
        static let asleep: UInt8 = 1
        /// Awake, and not to fall asleep before it has come in and looked.
        static let nudged: UInt8 = 2
    }

    private let notes = Mutex(Notes())
    private let sleep = Atomic<UInt8>(Sleep.awake)
    /// The eventfd that becomes readable when there is a note.
    let descriptor: Int32

    init() {
        descriptor = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
    }

    deinit { close(descriptor) }

    func leave(_ note: (inout Notes) -> Void) {
        notes.withLock { note(&$0) }
        wake()
    }

    /// Wakes the loop without a note: it looks at its store.
    func wake() {
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
    }

    /// Whether there is a note that asks to stop; it stays.
    var isStopAsked: Bool { notes.withLock { $0.shouldStop } }

    // MARK: Loops that share an engine

    /// Something lies ready for the loop: wakes it if it sleeps, else keeps it from falling asleep.
    func nudge() {
        if sleep.exchange(Sleep.nudged, ordering: .sequentiallyConsistent) == Sleep.asleep { wake() }
    }

    /// Whether the loop may wait for events; false where it was nudged since it last looked.
    func fallAsleep() -> Bool {
        sleep.compareExchange(
            expected: Sleep.awake, desired: Sleep.asleep, ordering: .sequentiallyConsistent
        ).exchanged
    }

    /// The loop waits no longer.
    func getUp() {
        _ = sleep.compareExchange(
            expected: Sleep.asleep, desired: Sleep.awake, ordering: .sequentiallyConsistent)
    }

    /// The loop takes all that lies ready for it; inside of the engine's lock.
    func look() { sleep.store(Sleep.awake, ordering: .sequentiallyConsistent) }

    // MARK: Taking

    /// All notes since the last call.
    func take() -> Notes {
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
        return notes.withLock { current in
            let taken = current
            current = Notes()
            return taken
        }
    }
}
