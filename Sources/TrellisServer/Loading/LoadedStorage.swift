// SPDX-License-Identifier: MIT

internal import CTrellisPlugin
internal import Glibc
internal import TrellisCore

/// A store behind the C interface.
///
/// Whatever the store answers is checked here: a status that doesn't exist, a job that can't be, a ticket without the
/// function to ask for it become errors that name the plugin and the function. After an error in service nothing but
/// `close` is called any more.
final class LoadedStorage: Storage {
    private let functions: trellis_storage
    private let descriptor: PluginDescriptor
    private let options: LoadedOptions
    /// What `open` made; nil before, and after `close`.
    private var store: OpaquePointer?
    private var host: LoadedHost?
    private var failure: StorageError?

    init(_ functions: trellis_storage, descriptor: PluginDescriptor, options: Options) {
        self.functions = functions
        self.descriptor = descriptor
        self.options = LoadedOptions(options, schema: descriptor.options)
    }

    // MARK: Life

    func open(_ access: StorageAccess, host: StorageHost) throws(StorageError) {
        guard let open = functions.open else { return }
        let loadedHost = LoadedHost(host)
        self.host = loadedHost
        var made: OpaquePointer?
        let (status, text) = callWithError { error, capacity in
            options.withValues { values in
                var request = trellis_open(
                    size: MemoryLayout<trellis_open>.size, host: loadedHost.table, values: values.baseAddress,
                    value_count: values.count, read_only: access == .readOnly)
                return open(&request, &made, error, capacity)
            }
        }
        if let error = error("open", status, text) { throw error }
        guard let made else { throw .fatal("\(label), open: answered TRELLIS_OK and set no store") }
        store = made
        failure = nil
    }

    func recover(_ deliver: (StoredJob, StorageNote) -> Void) throws(StorageError) -> JobID {
        let store = try running()
        guard let recover = functions.recover else { return JobID(0) }
        var highest: UInt64 = 0
        var fault: String?
        let (status, text) = withoutActuallyEscaping(deliver) { deliver in
            var receiver = JobReceiver(deliver: deliver)
            let result = withUnsafeMutablePointer(to: &receiver) { receiver in
                callWithError { error, capacity in
                    recover(store, JobReceiver.receive, receiver, &highest, error, capacity)
                }
            }
            fault = receiver.fault
            return result
        }
        if let error = error("recover", status, text) { throw error }
        if let fault { throw .corrupt("\(label), recover: \(fault)") }
        return JobID(highest)
    }

    func close() throws(StorageError) {
        guard let store, let close = functions.close else { return }
        self.store = nil
        let (status, text) = callWithError { error, capacity in close(store, error, capacity) }
        host = nil
        if let error = error("close", status, text) { throw Self.inService(error) }
    }

    // MARK: Turns

    func admit(bodyBytes: Int, tubeNameBytes: Int) -> Bool {
        guard let store, failure == nil, let admit = functions.admit else { return false }
        return admit(store, bodyBytes, tubeNameBytes)
    }

    func append(_ change: Change, note: inout StorageNote) {
        guard let store, failure == nil, let append = functions.append else { return }
        switch change {
        case .put(let job): withCJob(job) { append(store, TRELLIS_PUT.rawValue, $0, &note.rawValue) }
        case .update(let job): withCJob(job) { append(store, TRELLIS_UPDATE.rawValue, $0, &note.rawValue) }
        case .move(let job, _): withCJob(job) { append(store, TRELLIS_MOVE.rawValue, $0, &note.rawValue) }
        case .delete(let job): withCJob(job) { append(store, TRELLIS_DELETE.rawValue, $0, &note.rawValue) }
        }
    }

    func maintain(_ job: JobVisitor) throws(StorageError) -> Bool {
        let store = try running()
        guard let maintain = functions.maintain else { return false }
        var hasMore = false
        let (status, text) = withoutActuallyEscaping(job) { job in
            var shower = JobShower(visit: job)
            return withUnsafeMutablePointer(to: &shower) { shower in
                callWithError { error, capacity in
                    maintain(store, JobShower.show, shower, &hasMore, error, capacity)
                }
            }
        }
        try check("maintain", status, text)
        return hasMore
    }

    func commit() throws(StorageError) -> Commit {
        let store = try running()
        guard let commit = functions.commit else { return .durable }
        var ticket: UInt64 = 0
        let (status, text) = callWithError { error, capacity in commit(store, &ticket, error, capacity) }
        guard status == TRELLIS_PENDING else {
            try check("commit", status, text)
            return .durable
        }
        guard functions.completed != nil else {
            throw fail(.fatal("\(label), commit: answered TRELLIS_PENDING, and there is no function completed"))
        }
        return .pending(Ticket(ticket))
    }

    func completed() throws(StorageError) -> Ticket {
        let store = try running()
        guard let completed = functions.completed else { return Ticket(0) }
        var ticket: UInt64 = 0
        let (status, text) = callWithError { error, capacity in completed(store, &ticket, error, capacity) }
        try check("completed", status, text)
        return Ticket(ticket)
    }

    // MARK: Questions

    var isCongested: Bool {
        guard let store, let isCongested = functions.is_congested else { return false }
        return isCongested(store)
    }

    func segment(of note: StorageNote) -> UInt64 {
        guard let store, let segment = functions.segment else { return 0 }
        return segment(store, note.rawValue)
    }

    var statistics: StorageStatistics {
        guard let store, let statistics = functions.statistics else { return StorageStatistics() }
        var numbers = trellis_statistics()
        numbers.size = MemoryLayout<trellis_statistics>.size
        statistics(store, &numbers)
        return StorageStatistics(numbers)
    }

    // MARK: Errors

    /// How messages begin.
    private var label: String { "\(descriptor.id) of \(descriptor.file ?? "a file")" }

    /// The open store, if it can go on.
    private func running() throws(StorageError) -> OpaquePointer {
        if let failure { throw failure }
        guard let store else { throw .fatal("\(label) isn't open") }
        return store
    }

    private func check(_ function: String, _ status: Int32, _ text: String) throws(StorageError) {
        if let error = error(function, status, text) { throw fail(error) }
    }

    private func fail(_ error: StorageError) -> StorageError {
        let error = Self.inService(error)
        failure = error
        return error
    }

    /// During service every error is the end: the others are for `open` and `recover`.
    private static func inService(_ error: StorageError) -> StorageError {
        switch error {
        case .full(let text), .corrupt(let text), .locked(let text), .fatal(let text): .fatal(text)
        case .stopped: .fatal("it ended as if the start had been cut short, which it was not")
        }
    }

    /// What a status says; nil for TRELLIS_OK.
    private func error(_ function: String, _ status: Int32, _ text: String) -> StorageError? {
        let message = "\(label), \(function): \(text.isEmpty ? "failed and gave no reason" : text)"
        switch status {
        case TRELLIS_OK: return nil
        case TRELLIS_FULL: return .full(message)
        case TRELLIS_CORRUPT: return .corrupt(message)
        case TRELLIS_LOCKED: return .locked(message)
        case TRELLIS_FATAL: return .fatal(message)
        default:
            let reason = text.isEmpty ? "" : " (\(text))"
            return .fatal("\(label), \(function): answered \(status), which it can't in trellis_plugin.h\(reason)")
        }
    }
}

/// Calls a function with room for the text of an error, and answers both.
func callWithError(_ body: (UnsafeMutablePointer<CChar>?, Int) -> Int32) -> (status: Int32, text: String) {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1024) { buffer in
        buffer[0] = 0
        let status = body(buffer.baseAddress, buffer.count)
        guard status != TRELLIS_OK, status != TRELLIS_PENDING else { return (status, "") }
        let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return (status, String(decoding: bytes, as: UTF8.self))
    }
}
