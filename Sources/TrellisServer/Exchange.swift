// SPDX-License-Identifier: MIT

internal import TrellisCore

/// What a loop has for its next entry into an engine that others share, and what it brought from the last one.
///
/// A loop that has its engine alone leaves all of it empty.
struct Exchange {
    /// Room in the loop's buffer beyond what one connection may need: how much a batch may hold.
    static let batchBytes = 256 << 10
    /// How many steps a connection is given out of what it had left over: they may all be decoded in vain.
    static let stepsFromLeftover = 64
    /// Bodies that were sent are given back at the next entry; it comes after this time at the latest, in milliseconds.
    static let returnMilliseconds: Int32 = 10
    /// So many bytes of them, and the loop doesn't sleep before it has given them back.
    static let returnBytes = 4 << 20

    // MARK: To hand over

    var batch = Batch()
    var accepted: [Connection.Link] = []
    /// Connections that wait, and whose peers will send no more.
    var ended: [ConnectionID] = []
    /// Connections that were closed.
    var gone: [ConnectionID] = []
    /// Bodies that were sent, or copied to be sent: their count isn't atomic.
    var spent: [Body] = []
    var spentBytes = 0

    // MARK: Brought

    var delivery = LoopPort.Delivery()
    var phase = SharedEngine.Phase.serving
    /// When the loop is to come in for the engine's timers.
    var alarm = Instant.never
    /// Whether it is to come in at once, for long work.
    var mustReturn = false
    var completedTicket = Ticket(0)
    var failure: ServerError?
    var closedCount = 0
    /// Settings to take over behind the entry, and how many were there so far.
    var newSettings: ServerSettings?
    var settingsCount = 0
    /// While the server stops: what the loop said of itself, and whether all are quiet.
    var saidQuiet = false
    var isAllQuiet = false

    /// Whether the loop must come in without waiting for events.
    var isUrgent: Bool { mustReturn || !gone.isEmpty || spentBytes > Self.returnBytes }

    /// Gives a body back at the next entry.
    mutating func giveBack(_ body: Body) {
        spent.append(body)
        spentBytes += body.count + 64
    }
}
