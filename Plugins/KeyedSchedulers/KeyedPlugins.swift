// SPDX-License-Identifier: MIT

public import TrellisCore

extension KeyedScheduler {
    /// `scheduler.fifo`.
    public static let fifo = plugin(
        "fifo", "First come, first served over the watched tubes, whatever the priority."
    ) { _ in .fifo }

    /// `scheduler.lifo`.
    public static let lifo = plugin(
        "lifo", "Last come, first served over the watched tubes, whatever the priority."
    ) { _ in .lifo }

    /// `scheduler.deadline`.
    public static let deadline = plugin(
        "deadline",
        "The earliest deadline first: the time of the put plus the tube's objective, whatever the priority.",
        [
            Option(
                "objective", .duration(0...longest), default: .duration(60_000_000_000),
                "How soon after its put a job should be reserved, in tubes that have no objective of their own.")
        ]
    ) { .deadline(otherwise: $0.duration("objective") ?? 60_000_000_000) }

    /// `scheduler.aging`.
    public static let aging = plugin(
        "aging", "Priority that grows with waiting, so that no job starves.",
        [
            Option(
                "step", .duration(1_000_000...86_400_000_000_000), default: .duration(1_000_000_000),
                """
                How long a job waits to gain one step of priority: with 1s, a job of priority 60 goes before those of \
                priority 0 that are put more than a minute after it. Counted in whole milliseconds.
                """)
        ]
    ) { .aging(pace: max(1, ($0.duration("step") ?? 1_000_000_000) / 1_000_000)) }

    /// A year is longer than any job should wait; the largest keys stay far from what an integer holds.
    private static let longest: Int64 = 365 * 86_400_000_000_000

    private static func plugin(
        _ name: String, _ summary: String, _ options: [Option] = [], _ order: @escaping @Sendable (Options) -> Order
    ) -> Plugin<any Scheduler> {
        Plugin(
            PluginDescriptor(kind: .scheduler, name: name, version: "1.0", summary: summary, options: options)
        ) { KeyedScheduler(order($0)) }
    }
}
