// SPDX-License-Identifier: MIT

internal import TrellisCore
internal import TrellisFiles

/// The segments of a log from the newest to the oldest, each read and checked by a thread while the one before is being
/// replayed.
final class SegmentScans: Sendable {
    private struct State {
        var ready: [SegmentScan] = []
        var failure: StorageError?
        /// Rooms that nobody uses; a segment is read when there is one.
        var rooms: [SegmentRoom]
        var isStopping = false
    }

    private let reader: LogReader
    private let state = Monitor(State(rooms: [SegmentRoom(), SegmentRoom(), SegmentRoom()]))
    private let worker: Worker?

    /// The segments at the positions below; read as they are asked for where there is no thread.
    init(_ reader: LogReader, below end: Int, hasThread: Bool) {
        self.reader = reader
        let state = state
        guard hasThread, end > 0 else {
            worker = nil
            return
        }
        worker = Worker {
            for position in (0..<end).reversed() {
                // An empty list stands for the end.
                let taken = state.wait { state -> [SegmentRoom]? in
                    if state.isStopping { return [] }
                    return state.rooms.popLast().map { [$0] }
                }
                guard let room = taken?.first else { return }
                // While this one is looked at the disk can be at work on the next.
                if position > 0 { reader.files[position - 1].file.expect(.whole) }
                do throws(StorageError) {
                    let scan = try reader.scan(position, into: room)
                    state.withLock { $0.ready.append(scan) }
                } catch {
                    state.withLock { $0.failure = error }
                    state.notify()
                    // What lies behind isn't what is waited for.
                    return
                }
                state.notify()
            }
        }
    }

    /// The next one, which is that at the position.
    func next(_ position: Int) throws(StorageError) -> SegmentScan {
        guard worker != nil else { return try reader.scan(position) }
        let result = state.wait { state -> Result<SegmentScan, StorageError>? in
            if !state.ready.isEmpty { return .success(state.ready.removeFirst()) }
            return state.failure.map { .failure($0) }
        }
        guard let result else { preconditionFailure("a wait without a limit ended without a result") }
        return try result.get()
    }

    /// Takes the memory of a segment back that isn't needed any more.
    func giveBack(_ room: SegmentRoom) {
        state.withLock { state in
            if state.rooms.count < 3 { state.rooms.append(room) }
        }
        state.notify()
    }

    /// Ends the thread.
    func stop() {
        state.withLock { $0.isStopping = true }
        state.notify()
        worker?.join()
    }
}
