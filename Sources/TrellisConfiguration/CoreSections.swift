// SPDX-License-Identifier: MIT

public import TrellisCore

/// A section of the server's own, described like the options of a plugin.
public struct CoreSection: Sendable {
    /// Its key in the file; empty for the keys at the top level.
    public var name: String
    /// One or two sentences for the person who writes the file.
    public var documentation: String
    /// Its options, in the order in which they are documented.
    public var options: [Option]

    /// How much the server takes.
    public static let limits = CoreSection(
        name: "limits", documentation: "How much the server takes.",
        options: [
            Option(
                "job-size", .size(0...UInt64(ProtocolLimits.largestJobBytes)),
                default: .size(UInt64(ProtocolLimits.defaultJobBytes)), "The largest job body that put accepts."),
            Option(
                "memory", .size(1 << 20...1 << 50), default: .size(4 << 30),
                """
                Memory for jobs, bodies and records together. Beyond it put is answered OUT_OF_MEMORY; everything else \
                goes on.
                """),
            Option(
                "connections", .choiceOrInteger(["auto"], 1...10_000_000), default: .text("auto"),
                """
                The most connections at a time; more wait to be accepted. auto: as many as the limit of open files \
                (ulimit -n) allows.
                """),
            Option(
                "output", .size(1 << 10...1 << 30), default: .size(1 << 20),
                """
                Output that is queued for a client that does not read. Beyond it the client's commands wait until it \
                reads.
                """),
            Option(
                "input", .size(1 << 10...1 << 30), default: .size(64 << 10),
                "Commands that are kept for a client that sends more while its reserve waits for a job."),
        ])

    /// What is logged.
    public static let log = CoreSection(
        name: "log", documentation: "What is logged; it goes to standard error, one line per message.",
        options: [
            Option(
                "level", .choice(["trace", "debug", "info", "notice", "warning", "error", "critical"]),
                default: .text("notice"),
                "The least urgent messages that are logged. notice is a line at the start and one at the stop.")
        ])

    /// The keys at the top level that aren't sections.
    public static let top = CoreSection(
        name: "", documentation: "",
        options: [
            Option(
                "io-threads", .choiceOrInteger(["auto"], 1...64), default: .integer(1),
                """
                How many threads read, decode and write; the queue itself is one, which each of them enters in turn. \
                auto: one fewer than the process has cores, at most 8.
                """),
            Option(
                "user", .text, default: nil,
                "The user to become once all listeners are open, with that user's primary group; needs root."),
        ])

    /// All sections of the server's own, in the order of the file.
    public static let all = [limits, log, top]
}
