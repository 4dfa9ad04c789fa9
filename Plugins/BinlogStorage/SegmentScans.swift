// SPDX-License-Identifier: MIT

internal import TrellisCore

/// The segments of a log from the newest to the oldest, each read and checked by a thread while the one before is being
/// replayed.
final class SegmentScans: Sendable {
    private struct State {
        var ready: [SegmentScan] = []
        var failure: StorageError?
        /// Buffers that nobody uses; a segment is read when there is one.
        var buffers: [LogBuffer]
        var isStopping = false
    }

    private let reader: LogReader
    private let state = Monitor(State(buffers: [LogBuffer(), LogBuffer(), LogBuffer()]))
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
                let taken = state.wait { state -> [LogBuffer]? in
                    if state.isStopping { return [] }
                    return state.buffers.popLast().map { [$0] }
                }
                guard let buffer = taken?.first else { return }
                do throws(StorageError) {
                    let scan = try reader.scan(position, into: buffer)
                    state.withLock { $0.ready.append(scan) }
                } catch {
                    state.withLock { $0.failure = error }
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
    func giveBack(_ buffer: LogBuffer) {
        state.withLock { state in
            if state.buffers.count < 3 { state.buffers.append(buffer) }
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
