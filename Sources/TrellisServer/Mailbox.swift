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
    }

    private let notes = Mutex(Notes())
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
