// SPDX-License-Identifier: MIT

public import TrellisCore

/// What the file says of the tubes whose names match a pattern: an entry of the section `tubes`.
public struct TubeChoice: Sendable {
    /// The pattern, as it is written.
    public var pattern: String
    /// Where it stands.
    public var place: Place
    /// What holds for its tubes.
    public var settings: Settings

    /// What may be said of a tube, in the order in which it is documented.
    public static let options: [Option] = [
        Option(
            "weight", .integer(1...1000), default: .integer(1),
            "The tube's share of the workers beside other tubes, with the scheduler fair."),
        Option(
            "concurrency", .integer(1...1_000_000), default: nil,
            "The most jobs of the tube that may be reserved at once."),
        Option(
            "rate", .rate, default: nil,
            """
            How often a job of the tube is given out. After a pause as many come at once as a second brings, and at least \
            one.
            """),
        Option(
            "objective", .duration(0...365 * 86_400_000_000_000), default: nil,
            "How soon after its put a job of the tube should be reserved, with the scheduler deadline."),
        Option(
            "retries", .integer(0...Int64(TubeSettings.mostRetries)), default: nil,
            """
            How often a job is given out again after a delivery that ended without a delete or a burial: by a release, by the \
            end of its time to run, or with the connection. Then it is moved to the tube of dead-letter, or buried.
            """),
        Option(
            "dead-letter", .text, default: nil,
            "The tube that jobs go to which have used up their retries, or waited longer than ttl; they are ready there."
        ),
        Option(
            "ttl", .duration(1_000_000_000...3650 * 86_400_000_000_000), default: nil,
            """
            How long after its put a job may wait. One that is ready then, or becomes ready later, is dropped, or moved to the \
            tube of dead-letter.
            """),
        Option(
            "max-jobs", .integer(1...1_000_000_000), default: nil,
            "The most jobs of the tube, in whatever state. A put beyond them is answered OUT_OF_MEMORY."),
        Option(
            "max-job-size", .size(0...UInt64(ProtocolLimits.largestJobBytes)), default: nil,
            """
            The largest body that a put into the tube may have, where limits.job-size allows more. A put of a larger one is \
            answered JOB_TOO_BIG.
            """),
    ]

    /// What the section is, for people.
    static let documentation = """
        What holds for single tubes. The keys are patterns of names, in quotes: * stands for any characters, ? for one. Of \
        the patterns that match a name, the first holds, and only that. Each limit holds for each tube on its own.
        """

    /// The entry as the engine takes it.
    public var rule: TubeRule {
        let options = settings.options
        return TubeRule(
            TubePattern(pattern),
            TubeSettings(
                weight: UInt32(clamping: options.integer("weight") ?? 1),
                concurrency: options.integer("concurrency").map { UInt32(clamping: $0) },
                rate: options.rate("rate"),
                objectiveNanoseconds: options.duration("objective"),
                retries: options.integer("retries").map { UInt8(clamping: $0) },
                ttlNanoseconds: options.duration("ttl"),
                deadLetter: options.text("dead-letter"),
                maxJobs: options.integer("max-jobs").map { UInt32(clamping: $0) },
                maxJobBytes: options.size("max-job-size").map { UInt32(clamping: $0) }))
    }
}

extension Configuration {
    /// What holds for which tubes, as the engine takes it.
    public var tubeRules: TubeRules { TubeRules(tubes.map(\.rule)) }

    /// The entry that holds for the tube of a name; nil where none does.
    public func tube(named name: String) -> TubeChoice? {
        Array(name.utf8).withUnsafeBytes { tubeRules.firstMatch(BorrowedName($0)) }.map { tubes[$0] }
    }
}
