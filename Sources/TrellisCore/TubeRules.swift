// SPDX-License-Identifier: MIT

/// What the operator has said of a tube, as it holds for one tube.
public struct TubeSettings: Hashable, Sendable {
    /// Its share of the workers beside other tubes, for schedulers that share; at least 1.
    public var weight: UInt32
    /// The most jobs that may be reserved at once; nil without a limit.
    public var concurrency: UInt32?
    /// How often a job may be given out; nil without a limit.
    public var rate: Rate?
    /// How soon after its put a job should be reserved, in nanoseconds, for schedulers that look at deadlines; nil where
    /// nobody said.
    public var objectiveNanoseconds: Int64?
    /// How many deliveries of a job may fail (end without a delete or a burial) before it is put aside, at most 250; nil
    /// where that isn't counted.
    public var retries: UInt8?
    /// How long after its put a ready job may wait before it goes, in nanoseconds; nil without an end.
    public var ttlNanoseconds: Int64?
    /// The tube of jobs that have failed too often, or waited too long; without one, these are dropped, and those buried.
    ///
    /// Following these from tube to tube must come to an end.
    public var deadLetter: String?
    /// The most jobs that the tube takes by puts, in whatever state they are; nil without a bound.
    public var maxJobs: UInt32?
    /// The largest body that a put into the tube may have, in bytes; nil where only the server's limit holds.
    public var maxJobBytes: UInt32?

    /// What holds for a tube of which nothing was said.
    public init(
        weight: UInt32 = 1, concurrency: UInt32? = nil, rate: Rate? = nil, objectiveNanoseconds: Int64? = nil,
        retries: UInt8? = nil, ttlNanoseconds: Int64? = nil, deadLetter: String? = nil, maxJobs: UInt32? = nil,
        maxJobBytes: UInt32? = nil
    ) {
        self.weight = max(1, weight)
        self.concurrency = concurrency
        self.rate = rate
        self.objectiveNanoseconds = objectiveNanoseconds
        self.retries = retries
        self.ttlNanoseconds = ttlNanoseconds
        self.deadLetter = deadLetter
        self.maxJobs = maxJobs
        self.maxJobBytes = maxJobBytes
    }

    /// Whether the engine must count something before the tube may be served.
    var isLimited: Bool { concurrency != nil || rate != nil }

    /// The most `retries` that can be asked for: a job's failures are counted up to 255.
    public static let mostRetries: UInt8 = 250

    /// Whether puts into the tube may be refused.
    var isBounded: Bool { maxJobs != nil || maxJobBytes != nil }
}

/// Settings for all tubes whose names match a pattern.
public struct TubeRule: Hashable, Sendable {
    /// The pattern.
    public var pattern: TubePattern
    /// What holds for its tubes.
    public var settings: TubeSettings

    /// Puts the two together.
    public init(_ pattern: TubePattern, _ settings: TubeSettings) {
        self.pattern = pattern
        self.settings = settings
    }
}

/// All rules, in the order in which the operator wrote them: of those that match a name the first holds, and only that.
public struct TubeRules: Hashable, Sendable {
    /// The rules.
    public var rules: [TubeRule]

    /// Wraps rules.
    public init(_ rules: [TubeRule] = []) { self.rules = rules }

    /// The place of the first rule that matches the name; nil where none does.
    ///
    /// - Complexity: the number of rules, times what `TubePattern.matches` says.
    public func firstMatch(_ name: BorrowedName) -> Int? {
        rules.firstIndex { $0.pattern.matches(name.bytes) }
    }

    /// What holds for a tube of the name.
    public func settings(for name: BorrowedName) -> TubeSettings {
        firstMatch(name).map { rules[$0].settings } ?? TubeSettings()
    }
}

/// A pattern of tube names: `*` stands for any characters or none, `?` for any one, all else for itself.
public struct TubePattern: Hashable, Sendable, CustomStringConvertible {
    private let bytes: [UInt8]

    /// Wraps a pattern; every text is one.
    public init(_ text: String) { bytes = Array(text.utf8) }

    /// The pattern as it was written.
    public var description: String { String(decoding: bytes, as: UTF8.self) }

    /// Whether the whole name matches.
    ///
    /// - Complexity: the product of both lengths at the worst; the length of the name for patterns with one asterisk.
    public func matches(_ name: UnsafeRawBufferPointer) -> Bool {
        matches(count: name.count, isWild: { _ in false }, character: { name[$0] })
    }

    /// Whether every name that the other pattern matches is matched by this one, as far as that shows: a false may be
    /// wrong for patterns with several wildcards, a true never is.
    public func covers(_ other: TubePattern) -> Bool {
        // An asterisk of the other can only be covered by one of ours: it is no character that `?` could stand for.
        matches(
            count: other.bytes.count, isWild: { other.bytes[$0] == Self.any }, character: { other.bytes[$0] })
    }

    private static let any = UInt8(ascii: "*")
    private static let one = UInt8(ascii: "?")

    /// Goes through the name once for each asterisk: where it fails, the last asterisk takes one character more.
    private func matches(count: Int, isWild: (Int) -> Bool, character: (Int) -> UInt8) -> Bool {
        var position = 0
        var place = 0
        var lastAsterisk: (place: Int, position: Int)?
        while position < count {
            if place < bytes.count, bytes[place] == Self.any {
                lastAsterisk = (place, position)
                place += 1
            } else if place < bytes.count, !isWild(position),
                bytes[place] == Self.one || bytes[place] == character(position)
            {
                place += 1
                position += 1
            } else if let asterisk = lastAsterisk {
                lastAsterisk = (asterisk.place, asterisk.position + 1)
                place = asterisk.place + 1
                position = asterisk.position + 1
            } else {
                return false
            }
        }
        return bytes[place...].allSatisfy { $0 == Self.any }
    }
}
