// SPDX-License-Identifier: MIT

import TrellisTestKit

/// Where a job stands, as far as that outlives a crash: one that is reserved comes back ready.
enum Standing: Equatable {
    /// Not put yet, or deleted.
    case absent
    case ready
    /// The delay ends between these two moments, in seconds.
    case delayed(ClosedRange<Double>)
    /// It was buried between these two moments of the ledger's clock.
    case buried(ClosedRange<Int>)
}

/// What a job is after a change that the store is told of.
struct Version {
    var standing: Standing
    var priority: Int
    /// The delay asked for last, in seconds.
    var delay: Int
    var releases = 0
    var buries = 0
    var kicks = 0
    /// How often it had been reserved then.
    var reserves = 0
    /// The connection that sent the command, and the number of the command there.
    var connection = -1
    var command = -1
    /// Whether the command was answered, or what it did was seen by somebody.
    var isCertain = true
}

/// A job as clients know it.
struct LedgerJob {
    /// Stands at the beginning of the body, since the id isn't known until the put is answered.
    let key: Int
    let tube: String
    let ttr: Int
    let bodyBytes: Int
    var id: Int?
    /// When it was put, in seconds.
    var putAt: ClosedRange<Double>
    /// What it was when the server started, then what each change made of it.
    var versions: [Version]
    /// How often it may have been reserved at the most.
    var reserves = 0

    /// What it is once all that was sent is done.
    var current: Version { versions[versions.count - 1] }

    /// The last version that certainly was; one from there on is that of a crash.
    var lastCertain: Int { versions.lastIndex { $0.isCertain } ?? 0 }

    /// A change was answered or seen; so were all before it.
    mutating func makeCertain(upTo last: Int, _ now: Now) {
        for position in 0...last where !versions[position].isCertain {
            versions[position].isCertain = true
            versions[position].end(now)
        }
        putAt = putAt.lowerBound...min(putAt.upperBound, now.seconds)
    }
}

/// The time, in seconds and on the ledger's clock, which counts the commands sent.
struct Now {
    var seconds: Double
    var clock: Int
}

extension Version {
    /// The change was done by now.
    mutating func end(_ now: Now) {
        switch standing {
        case .absent, .ready: break
        case .delayed(let range):
            standing = .delayed(range.lowerBound...min(range.upperBound, now.seconds + Double(delay)))
        case .buried(let range): standing = .buried(range.lowerBound...min(range.upperBound, now.clock))
        }
    }

    /// The command that ends a reservation, is sent now.
    mutating func release(_ priority: Int, delay: Int, _ now: Now) {
        self.priority = priority
        self.delay = delay
        releases += 1
        standing = delay == 0 ? .ready : .delayed(now.seconds + Double(delay)...Double.infinity)
    }

    mutating func bury(_ priority: Int, _ now: Now) {
        self.priority = priority
        buries += 1
        standing = .buried(now.clock...Int.max)
    }

    mutating func delete() { standing = .absent }

    mutating func kick() {
        kicks += 1
        standing = .ready
    }
}

/// The bodies of jobs: their key, then bytes that follow from it, some that can be compressed and some that can't.
enum Bodies {
    static let largest = 2_500_000
    private static let text = Array(
        String(repeating: "all work and no play makes jack a dull boy ", count: 60_000).utf8)
    private static let noise = {
        var random = SeededGenerator(seed: 1)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(largest + 1_000_008)
        while bytes.count < largest + 1_000_000 { withUnsafeBytes(of: random.next()) { bytes.append(contentsOf: $0) } }
        return bytes
    }()

    static func body(key: Int, bytes count: Int) -> [UInt8] {
        let head = Array("\(key):".utf8)
        guard count > head.count else { return head }
        // Neighbours have little in common.
        let start = key % 2 == 0 ? key % 8191 : key * 104_729 % 1_000_000
        return head + (key % 2 == 0 ? text : noise)[start..<start + count - head.count]
    }

    /// The key that a body begins with.
    static func key(of body: [UInt8]) -> Int? {
        guard let colon = body.prefix(20).firstIndex(of: UInt8(ascii: ":")) else { return nil }
        return Int(String(decoding: body[..<colon], as: UTF8.self))
    }
}
