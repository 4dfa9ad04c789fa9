// SPDX-License-Identifier: MIT

internal import TrellisCore

/// What lies ready for one of several loops, until it comes in and takes it.
///
/// Only for who is inside of the engine.
struct LoopPort {
    /// Replies that wait for the same ticket: those before `end` that no earlier run has.
    struct Run {
        var end: Int
        /// Nil where they may go at once.
        var ticket: Ticket?
    }

    /// A connection that was given to the loop.
    struct Arrival {
        var id: ConnectionID
        var link: Connection.Link
    }

    /// What a loop takes with it.
    struct Delivery {
        /// Replies to the loop's connections, in the order of the engine.
        var effects: [Effect] = []
        /// Those behind the last run were made when the store failed: nobody may see them.
        var runs: [Run] = []
        var arrivals: [Arrival] = []

        var isEmpty: Bool { effects.isEmpty && arrivals.isEmpty }

        mutating func clear() {
            effects.removeAll(keepingCapacity: true)
            runs.removeAll(keepingCapacity: true)
            if !arrivals.isEmpty { arrivals.removeAll() }
        }
    }

    var delivery = Delivery()
    /// The newest ticket that replies of the loop were ever given, and the newest one that it knows to be complete.
    var newestTicket = Ticket(0)
    var toldTicket = Ticket(0)
    var connectionCount = 0
    /// While the server stops: nothing of the loop's is on its way.
    var isQuiet = false

    /// Whether the loop has replies whose tickets it doesn't know to be complete.
    var awaitsTicket: Bool { newestTicket > toldTicket }

    /// Says what the replies wait for that came since the last call; nil where they may go.
    mutating func stamp(_ ticket: Ticket?) {
        let end = delivery.effects.count
        if let last = delivery.runs.last, last.ticket == ticket || last.end == end {
            if last.ticket == ticket { delivery.runs[delivery.runs.count - 1].end = end }
        } else if end > 0 {
            delivery.runs.append(Run(end: end, ticket: ticket))
        }
        if let ticket { newestTicket = ticket }
    }
}
