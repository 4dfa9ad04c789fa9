// SPDX-License-Identifier: MIT
// A storage plugin for trellisd in Swift that is loaded from a shared object. Build and test it:
//
//     swiftc -O -parse-as-library -module-name SwiftSlots -emit-library -I ../../Sources/CTrellisPlugin/include \
//         -o libswiftslots.so Slots.swift
//     trellisd plugins test storage ./libswiftslots.so
//
// It keeps jobs in a file of slots, as the one in C does, and has a thread that writes and syncs, so that the server goes
// on meanwhile: `commit` answers TRELLIS_PENDING, and `completed` tells how far the thread has come.
//
// Only C types cross the border between plugin and server. What is Swift stays on this side.

import CTrellisPlugin
import Glibc

/// A slot on the disk: two checksums, the job's numbers as C has them, the name of its tube; behind that sector, its body.
private enum Layout {
    static let sector = 512
    static let job = 16
    static let tube = job + MemoryLayout<trellis_job>.size
    static let longestTube = 200

    /// FNV-1a.
    static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}

/// What a turn changed, on its way to the disk.
private struct Batch {
    var ticket: UInt64
    var writes: [(offset: Int, bytes: [UInt8])]
}

/// Why a call can't be answered: a status and a text.
private struct Failure: Error {
    var status = TRELLIS_FATAL
    var text: String

    static func system(_ what: String) -> Failure {
        let isFull = errno == ENOSPC || errno == EFBIG || errno == EDQUOT
        return Failure(
            status: isFull ? TRELLIS_FULL : TRELLIS_FATAL, text: "\(what): \(String(cString: strerror(errno)))")
    }
}

private final class Store {
    let host: UnsafePointer<trellis_host>
    private let file: Int32
    private let slots: Int
    private let slotBytes: Int
    private var highest: UInt64 = 0
    /// The first sector of each slot, as it is with the changes of this turn.
    private var heads: [[UInt8]]
    private var free: [Int] = []
    private var writes: [(offset: Int, bytes: [UInt8])] = []
    private var newest: UInt64 = 0
    private let writer: Writer

    init(_ request: trellis_open) throws(Failure) {
        var texts: [String: String] = [:]
        var numbers: [String: Int] = [:]
        for value in UnsafeBufferPointer(start: request.values, count: request.value_count) {
            let key = String(cString: value.key)
            if let text = value.text { texts[key] = String(cString: text) } else { numbers[key] = Int(value.number) }
        }
        let path = texts["path"] ?? "jobs.slots"
        host = request.host
        slots = numbers["slots"] ?? 4096
        slotBytes = 4096
        heads = Array(repeating: [], count: slots)
        file = open(path, (request.read_only ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw .system("can't open \(path)") }
        writer = Writer(file, host)
        do throws(Failure) {
            guard flock(file, (request.read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0 else {
                throw Failure(status: TRELLIS_LOCKED, text: "\(path) is locked by another process")
            }
            let (size, length) = (Layout.sector + slots * slotBytes, Int(lseek(file, 0, SEEK_END)))
            guard length <= size, !request.read_only || length == size else {
                throw Failure(
                    status: TRELLIS_CORRUPT,
                    text: "\(path) has \(length) bytes, and \(slots) slots take \(size); there can be more, never fewer"
                )
            }
            if !request.read_only {
                errno = posix_fallocate(file, 0, size)
                guard errno == 0, fdatasync(file) == 0, Self.syncFolder(of: path) else {
                    throw .system("can't make \(path) of \(size) bytes")
                }
            }
            guard pread(file, &highest, 8, 0) == 8 else { throw .system("can't read \(path)") }
        } catch {
            Glibc.close(file)
            throw error
        }
        writer.start()
    }

    func recover(_ deliver: (trellis_job, UInt64) -> Void) throws(Failure) -> UInt64 {
        var bytes = [UInt8](repeating: 0, count: slotBytes)
        for slot in (0..<slots).reversed() {
            guard pread(file, &bytes, slotBytes, offset(slot)) == slotBytes else {
                throw .system("can't read slot \(slot)")
            }
            let isLive = bytes.withUnsafeBytes { bytes in
                var job = bytes.load(fromByteOffset: Layout.job, as: trellis_job.self)
                guard job.id != 0, job.body_bytes <= slotBytes - Layout.sector,
                    bytes.load(as: UInt64.self) == Layout.checksum(.init(rebasing: bytes[8..<Layout.sector]))
                else { return false }
                let body = UnsafeRawBufferPointer(rebasing: bytes[Layout.sector..<Layout.sector + job.body_bytes])
                guard bytes.load(fromByteOffset: 8, as: UInt64.self) == Layout.checksum(body) else { return false }
                highest = max(highest, job.id)
                job.tube = bytes.baseAddress?.advanced(by: Layout.tube).assumingMemoryBound(to: CChar.self)
                job.body = body.baseAddress
                deliver(job, UInt64(slot))
                return true
            }
            if isLive { heads[slot] = Array(bytes[..<Layout.sector]) } else { free.append(slot) }
        }
        return highest
    }

    func admit(bodyBytes: Int, tubeBytes: Int) -> Bool {
        !free.isEmpty && bodyBytes <= slotBytes - Layout.sector && tubeBytes <= Layout.longestTube
    }

    func append(_ kind: UInt32, _ job: trellis_job, _ note: inout UInt64) {
        if kind == TRELLIS_PUT.rawValue {
            // `admit` said that there is one.
            guard let slot = free.popLast() else { return }
            note = UInt64(slot)
            highest = max(highest, job.id)
        }
        let slot = Int(note)
        if kind == TRELLIS_DELETE.rawValue {
            heads[slot] = []
            free.append(slot)
            writes.append((offset(slot), [UInt8](repeating: 0, count: Layout.sector)))
            return
        }
        let body = UnsafeRawBufferPointer(start: job.body, count: job.body == nil ? 0 : job.body_bytes)
        var head = kind == TRELLIS_PUT.rawValue ? [UInt8](repeating: 0, count: Layout.sector) : heads[slot]
        head.withUnsafeMutableBytes { head in
            var plain = job
            plain.tube = nil
            plain.body = nil
            head.storeBytes(of: plain, toByteOffset: Layout.job, as: trellis_job.self)
            if kind == TRELLIS_PUT.rawValue || kind == TRELLIS_MOVE.rawValue {
                // A move changes the head only, which is a sector: the disk writes all of it or nothing.
                head[Layout.tube...].copyBytes(from: UnsafeRawBufferPointer(start: job.tube, count: job.tube_bytes))
            }
            if kind == TRELLIS_PUT.rawValue {
                head.storeBytes(of: Layout.checksum(body), toByteOffset: 8, as: UInt64.self)
            }
            let sum = Layout.checksum(UnsafeRawBufferPointer(rebasing: head[8...]))
            head.storeBytes(of: sum, as: UInt64.self)
        }
        heads[slot] = head
        writes.append((offset(slot), kind == TRELLIS_PUT.rawValue ? head + body : head))
    }

    /// Hands the turn over to the thread; answers the ticket of the newest one.
    func commit() -> UInt64 {
        guard !writes.isEmpty else { return newest }
        newest += 1
        let first = withUnsafeBytes(of: highest) { Array($0) }
        writer.give(Batch(ticket: newest, writes: [(0, first)] + writes))
        writes = []
        return newest
    }

    func completed() throws(Failure) -> UInt64 { try writer.completed() }

    func close() throws(Failure) {
        _ = commit()
        writer.stop()
        let result = Result { () throws(Failure) in try writer.completed() }
        Glibc.close(file)
        _ = try result.get()
    }

    /// Brings the folder to the disk, without which the file might be gone after a power failure.
    private static func syncFolder(of path: String) -> Bool {
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { Glibc.close(descriptor) }
        return fsync(descriptor) == 0
    }

    private func offset(_ slot: Int) -> Int { Layout.sector + slot * slotBytes }
}

/// The thread that writes and syncs; what it shares with the server's is behind the lock.
private final class Writer: @unchecked Sendable {
    private let file: Int32
    private let host: UnsafePointer<trellis_host>
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var thread = pthread_t()
    private var batches: [Batch] = []
    private var done: UInt64 = 0
    private var failure: Failure?
    private var isStopping = false

    init(_ file: Int32, _ host: UnsafePointer<trellis_host>) {
        self.file = file
        self.host = host
        pthread_mutex_init(lock, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_mutex_destroy(lock)
        pthread_cond_destroy(changed)
        lock.deallocate()
        changed.deallocate()
    }

    private func locked<Result>(_ body: () -> Result) -> Result {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return body()
    }

    func start() {
        pthread_create(
            &thread, nil,
            { argument in
                argument.map { Unmanaged<Writer>.fromOpaque($0).takeRetainedValue().run() }
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
    }

    func give(_ batch: Batch) {
        locked {
            batches.append(batch)
            pthread_cond_signal(changed)
        }
    }

    func completed() throws(Failure) -> UInt64 {
        let (done, failure) = locked { (self.done, self.failure) }
        if let failure { throw failure }
        return done
    }

    /// Waits until all batches are written.
    func stop() {
        locked {
            isStopping = true
            pthread_cond_signal(changed)
        }
        pthread_join(thread, nil)
    }

    private func run() {
        while let batches = next(), let last = batches.last {
            // All that came meanwhile takes one sync.
            let isWritten = batches.allSatisfy { $0.writes.allSatisfy(write) } && fdatasync(file) == 0
            let failure: Failure? = isWritten ? nil : .system("can't write or sync")
            locked {
                if let failure { self.failure = failure } else { done = last.ticket }
            }
            host.pointee.wake(host.pointee.context)
            if failure != nil { return }
        }
    }

    /// What is to be written; nil at the end.
    private func next() -> [Batch]? {
        locked {
            while batches.isEmpty && !isStopping { pthread_cond_wait(changed, lock) }
            defer { batches = [] }
            return batches.isEmpty ? nil : batches
        }
    }

    private func write(_ write: (offset: Int, bytes: [UInt8])) -> Bool {
        var start = 0
        while start < write.bytes.count {
            let count = write.bytes[start...].withUnsafeBytes {
                pwrite(file, $0.baseAddress, $0.count, write.offset + start)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return false }
            start += count
        }
        return true
    }
}

// MARK: - The table of functions

/// The store behind a pointer of C.
private func store(_ pointer: OpaquePointer?) -> Store {
    guard let pointer else { preconditionFailure("the server calls with what open gave it") }
    return Unmanaged<Store>.fromOpaque(UnsafeRawPointer(pointer)).takeUnretainedValue()
}

/// Runs what may fail; an error becomes a status and a text.
private func answer(
    _ error: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ body: () throws(Failure) -> Int32
) -> Int32 {
    do throws(Failure) {
        return try body()
    } catch let failure {
        failure.text.withCString { text in if let error { strncpy(error, text, capacity - 1) } }
        return failure.status
    }
}

private let table: UnsafePointer<trellis_storage> = {
    var table = trellis_storage()
    table.size = MemoryLayout<trellis_storage>.size
    table.open = { request, result, error, capacity in
        answer(error, capacity) { () throws(Failure) in
            guard let request else { throw Failure(text: "nothing to open") }
            result?.pointee = OpaquePointer(Unmanaged.passRetained(try Store(request.pointee)).toOpaque())
            return TRELLIS_OK
        }
    }
    table.recover = { pointer, deliver, context, highest, error, capacity in
        answer(error, capacity) { () throws(Failure) in
            highest?.pointee = try store(pointer).recover { job, note in
                withUnsafePointer(to: job) { deliver?(context, $0, note) }
            }
            return TRELLIS_OK
        }
    }
    table.admit = { store($0).admit(bodyBytes: $1, tubeBytes: $2) }
    table.append = { pointer, kind, job, note in
        if let job, let note { store(pointer).append(kind, job.pointee, &note.pointee) }
    }
    table.commit = { pointer, ticket, _, _ in
        ticket?.pointee = store(pointer).commit()
        return TRELLIS_PENDING
    }
    table.completed = { pointer, ticket, error, capacity in
        answer(error, capacity) { () throws(Failure) in
            ticket?.pointee = try store(pointer).completed()
            return TRELLIS_OK
        }
    }
    table.close = { pointer, error, capacity in
        guard let pointer else { return TRELLIS_OK }
        let store = Unmanaged<Store>.fromOpaque(UnsafeRawPointer(pointer)).takeRetainedValue()
        return answer(error, capacity) { () throws(Failure) in
            try store.close()
            return TRELLIS_OK
        }
    }
    return immortal(table)
}()

private let plugin: UnsafePointer<trellis_plugin> = {
    var path = trellis_option()
    path.size = MemoryLayout<trellis_option>.size
    path.key = text("path")
    path.type = TRELLIS_PATH.rawValue
    path.default_kind = TRELLIS_DEFAULT_TEXT.rawValue
    path.default_text = text("jobs.slots")
    path.documentation = text("The file of the jobs. It is made where there is none.")
    var slots = trellis_option()
    slots.size = MemoryLayout<trellis_option>.size
    slots.key = text("slots")
    slots.type = TRELLIS_INTEGER.rawValue
    slots.default_kind = TRELLIS_DEFAULT_NUMBER.rawValue
    slots.default_number = 4096
    (slots.minimum, slots.maximum) = (1, 1 << 24)
    slots.documentation = text("How many jobs there can be: later there can be more, never fewer.")
    let options = UnsafeMutablePointer<trellis_option>.allocate(capacity: 2)
    options.initialize(to: path)
    options.advanced(by: 1).initialize(to: slots)
    var plugin = trellis_plugin()
    plugin.size = MemoryLayout<trellis_plugin>.size
    plugin.abi_version = UInt32(TRELLIS_ABI_VERSION)
    plugin.option_count = 2
    plugin.options = UnsafePointer(options)
    plugin.kind = text("storage")
    plugin.name = text("swift-slots")
    plugin.version = text("1.0")
    plugin.summary = text("Keeps small jobs in a file of slots; a thread writes them.")
    plugin.storage = table
    return immortal(plugin)
}()

/// A value that stays where it is for ever.
private func immortal<Value>(_ value: Value) -> UnsafePointer<Value> {
    let pointer = UnsafeMutablePointer<Value>.allocate(capacity: 1)
    pointer.initialize(to: value)
    return UnsafePointer(pointer)
}

/// A text that stays where it is for ever.
private func text(_ text: String) -> UnsafePointer<CChar>? { UnsafePointer(strdup(text)) }

/// The one function that the server looks for.
@_cdecl("trellis_plugin_at")
public func pluginAt(_ index: UInt32) -> UnsafeRawPointer? { index == 0 ? UnsafeRawPointer(plugin) : nil }
