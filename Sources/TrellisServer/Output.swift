// SPDX-License-Identifier: MIT

internal import CLinux
internal import Glibc
internal import TrellisCore
internal import TrellisWire

/// What a connection is still to be sent: replies in order, the bodies of large ones by reference.
///
/// Bytes before `released` may go; what is behind waits until the store has made it safe. The two are counted from the
/// beginning of the connection, so that a mark taken in one turn means the same in a later one.
struct Output {
    /// A body that isn't copied: it goes out after the bytes before `position`.
    private struct Reference {
        var position: UInt64
        var body: Body
    }

    /// How far replies may be let out: so many bytes and so many bodies.
    struct Mark: Equatable {
        var bytes: UInt64 = 0
        var references: UInt64 = 0
    }

    /// Bodies up to this size are copied: cheaper than a place in the list and two in the vector.
    private static let copiedBytes = 8 << 10
    private static let smallestCapacity = 4 << 10
    private static let vectorLength = 64

    /// Holds the bytes from `base` on, counted from the beginning of the connection; those before `sent` are gone.
    private var storage: UnsafeMutableRawPointer
    private var capacity: Int
    private var base: UInt64 = 0
    private var sent: UInt64 = 0
    private var end: UInt64 = 0
    private var references: [Reference] = []
    /// How many bodies went before the first of `references`.
    private var referencesSent: UInt64 = 0
    /// The bytes of the first body that went already.
    private var sentOfFirst = 0
    private var released = Mark()
    /// All that is queued, in bytes, bodies included.
    private(set) var queuedBytes = 0

    init() {
        capacity = Self.smallestCapacity
        storage = .allocate(byteCount: capacity, alignment: 16)
    }

    /// Frees the memory and answers the bodies that nobody will send.
    mutating func dismantle() -> [Body] {
        storage.deallocate()
        return references.map(\.body)
    }

    var isEmpty: Bool { queuedBytes == 0 }

    /// The end of what is queued now.
    var mark: Mark { Mark(bytes: end, references: referencesSent + UInt64(references.count)) }

    /// The end of what may go.
    var releasedMark: Mark { released }

    /// Whether anything may go that hasn't gone.
    var canSend: Bool { released.bytes > sent || released.references > referencesSent }

    /// Lets out all up to the mark.
    ///
    /// A mark that was passed before changes nothing: it may stand for replies that went long ago.
    mutating func release(upTo mark: Mark) {
        if mark.bytes > released.bytes { released = mark }
    }

    /// Whether it is worth being used again by another connection, now that it is empty: not where it has grown large.
    var isReusable: Bool { capacity <= 16 * Self.smallestCapacity }

    /// Begins, empty, where the output of the connection ended.
    mutating func begin(at mark: Mark) {
        base = mark.bytes
        sent = mark.bytes
        end = mark.bytes
        referencesSent = mark.references
        released = mark
    }

    /// Adds a reply.
    ///
    /// True if it took over the reference to the reply's body.
    @inline(__always)
    mutating func append(_ reply: Reply) -> Bool {
        if Int(end - base) + ReplyEncoder.headBytes > capacity { makeRoom(ReplyEncoder.headBytes) }
        let head = ReplyEncoder.encodeHead(of: reply, to: storage + Int(end - base))
        end += UInt64(head)
        queuedBytes += head
        guard let body = reply.body else { return false }
        return append(body)
    }

    private mutating func append(_ body: Body) -> Bool {
        let isReferred = body.count > Self.copiedBytes
        let copied = isReferred ? 0 : body.count
        if Int(end - base) + copied + 2 > capacity { makeRoom(copied + 2) }
        if isReferred {
            references.append(Reference(position: end, body: body))
        } else if let start = body.bytes.baseAddress {
            (storage + Int(end - base)).copyMemory(from: start, byteCount: copied)
        }
        (storage + Int(end - base) + copied).storeBytes(of: 0x0A0D, as: UInt16.self)
        end += UInt64(copied + 2)
        queuedBytes += body.count + 2
        return isReferred
    }

    /// Drops all that wasn't let out and answers the bodies that nobody will send.
    mutating func dropUnreleased() -> [Body] {
        let kept = Int(released.references - min(released.references, referencesSent))
        let dropped = references[kept...].map(\.body)
        references.removeSubrange(kept...)
        queuedBytes -= dropped.reduce(0) { $0 + $1.count } + Int(end - released.bytes)
        end = released.bytes
        return dropped
    }

    // MARK: Sending

    /// Sends as much as the peer takes of what was let out, up to a limit in bytes.
    ///
    /// Bodies that went are handed to `done`.
    mutating func send(
        atMost limit: Int, _ write: (UnsafeMutablePointer<iovec>, Int) -> TransferOutcome, done: (Body) -> Void
    ) -> TransferOutcome? {
        guard canSend else { return nil }
        let outcome =
            if references.isEmpty { sendBytes(limit, write) } else { sendVector(limit, write) }
        if case .bytes(let count) = outcome { advance(count, done) }
        return outcome
    }

    private func sendBytes(
        _ limit: Int, _ write: (UnsafeMutablePointer<iovec>, Int) -> TransferOutcome
    ) -> TransferOutcome {
        var vector = iovec(iov_base: storage + Int(sent - base), iov_len: min(Int(released.bytes - sent), limit))
        return write(&vector, 1)
    }

    private func sendVector(
        _ limit: Int, _ write: (UnsafeMutablePointer<iovec>, Int) -> TransferOutcome
    ) -> TransferOutcome {
        withUnsafeTemporaryAllocation(of: iovec.self, capacity: Self.vectorLength) { vector in
            var used = 0
            var position = sent
            for (index, reference) in references.enumerated() {
                if used > Self.vectorLength - 3 || referencesSent + UInt64(index) >= released.references { break }
                if reference.position > position {
                    vector[used] = iovec(
                        iov_base: storage + Int(position - base), iov_len: Int(reference.position - position))
                    used += 1
                    position = reference.position
                }
                let skipped = index == 0 ? sentOfFirst : 0
                let bytes = reference.body.mutableBytes
                vector[used] = iovec(
                    iov_base: bytes.baseAddress.map { $0 + skipped }, iov_len: reference.body.count - skipped)
                used += 1
            }
            // Bytes go on to the next body that isn't in the vector, or to the end of what may go.
            let next = references.first { $0.position > position }?.position ?? released.bytes
            let last = min(next, released.bytes)
            if last > position {
                vector[used] = iovec(iov_base: storage + Int(position - base), iov_len: Int(last - position))
                used += 1
            }
            var left = limit
            var kept = 0
            while kept < used && left > 0 {
                vector[kept].iov_len = min(vector[kept].iov_len, left)
                left -= vector[kept].iov_len
                kept += 1
            }
            used = kept
            guard let start = vector.baseAddress else { return .failed(EINVAL) }
            return write(start, used)
        }
    }

    private mutating func advance(_ count: Int, _ done: (Body) -> Void) {
        var count = count
        queuedBytes -= count
        var finished = 0
        for reference in references {
            let before = min(count, Int(reference.position - sent))
            sent += UInt64(before)
            count -= before
            guard sent == reference.position else { break }
            let ofBody = min(count, reference.body.count - sentOfFirst)
            count -= ofBody
            sentOfFirst += ofBody
            guard sentOfFirst == reference.body.count else { break }
            sentOfFirst = 0
            finished += 1
            done(reference.body)
        }
        if finished > 0 {
            references.removeFirst(finished)
            referencesSent += UInt64(finished)
        }
        sent += UInt64(count)
        if sent == end { base = end }
    }

    // MARK: Room

    private mutating func makeRoom(_ need: Int) {
        let live = Int(end - sent)
        if live + need <= capacity / 2 {
            storage.copyMemory(from: storage + Int(sent - base), byteCount: live)
        } else {
            let larger = max(capacity * 2, live + need)
            let memory = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
            memory.copyMemory(from: storage + Int(sent - base), byteCount: live)
            storage.deallocate()
            storage = memory
            capacity = larger
        }
        base = sent
    }
}
