// SPDX-License-Identifier: MIT

internal import TrellisCore

/// What several loops share: the engine, one at a time, and what they leave for each other there.
///
/// A loop comes in through the gate once a turn (`EventLoop.enter`), has its commands performed, leaves replies to the
/// connections of other loops at their ports, and takes what lies at its own.
struct SharedEngine: ~Copyable {
    /// How far the server has come.
    enum Phase {
        case serving
        /// No commands are performed any more; replies still go out.
        case stopping
        /// Each loop closes what it has.
        case closing
    }

    /// The most loops there can be: they are told apart by the bits of a word.
    static let mostLoops = 64

    let engine: UnsafeMutablePointer<Engine>
    let storage: any Storage
    let count: Int
    private let ports: UnsafeMutablePointer<LoopPort>

    private(set) var phase = Phase.serving
    /// Why the store can't go on; every loop refuses what it holds and ends.
    private(set) var failure: ServerError?
    /// Which loop has the connection of an index.
    private var owners: [UInt8] = []
    private(set) var connectionCount = 0
    /// How many connections were ever closed, and whether more are accepted: the first loop sets it, and while it has
    /// no place for more it is to hear of each one that goes.
    private(set) var closedCount = 0
    var isAccepting = true
    private(set) var isCongested = false
    /// What holds since a configuration was read again, and how often one was.
    private(set) var settings: ServerSettings?
    private(set) var settingsCount = 0

    /// The newest ticket given out, and the newest one known to be complete.
    private var newestTicket = Ticket(0)
    private(set) var completedTicket = Ticket(0)
    /// The deadline that some loop has set its alarm to, and which one: the engine's next one is no earlier.
    private var alarm = Instant.never
    private var alarmOwner = 0
    /// The loop that comes in again at once, as long as engine or store have long work.
    private var worker: Int?
    private var lastMoment = Moment(monotonic: Instant(nanoseconds: .min), wallNanoseconds: 0)
    /// Loops that got replies since the last stamp, and loops to wake when the lock was left, by bit.
    private var touched: UInt64 = 0
    private var nudged: UInt64 = 0

    init(engine: UnsafeMutablePointer<Engine>, storage: any Storage, loops: Int) {
        precondition(loops <= Self.mostLoops, "there are too many loops to tell apart")
        self.engine = engine
        self.storage = storage
        count = loops
        ports = .allocate(capacity: count)
        ports.initialize(repeating: LoopPort(), count: count)
    }

    /// The engine must still be there: replies that nobody took go back to it.
    deinit {
        for number in 0..<count {
            for effect in ports[number].delivery.effects {
                if let body = effect.reply.body { engine.pointee.release(body) }
            }
        }
        ports.deinitialize(count: count)
        ports.deallocate()
    }

    /// The port of a loop, the same address always.
    func port(_ number: Int) -> UnsafeMutablePointer<LoopPort> { ports + number }

    /// Brings the engine up to the time, or to the time that another loop has brought it to already.
    mutating func advance(to moment: Moment) {
        if moment.monotonic > lastMoment.monotonic { lastMoment = moment }
        engine.pointee.advance(to: lastMoment)
        collect()
    }

    // MARK: Replies

    /// Takes all effects out of the engine and lays them where the loops of their connections find them.
    @inline(__always)
    mutating func collect() {
        while let effect = engine.pointee.nextEffect() { post(effect) }
    }

    @inline(__always)
    mutating func post(_ effect: Effect) {
        let owner = Int(owners[Int(effect.connection.index)])
        ports[owner].delivery.effects.append(effect)
        touched |= 1 &<< UInt64(owner)
    }

    /// Closes an entry: one step of what the store has to do, one commit, and what the new replies wait for.
    ///
    /// True if the store has more to do at once.
    mutating func commit(maintaining: Bool) throws(StorageError) -> Bool {
        let hasMaintenance = maintaining ? try engine.pointee.maintain() : false
        let before = completedTicket
        switch try engine.pointee.commit() {
        case .durable:
            stamp(nil)
            completedTicket = newestTicket
        case .pending(let ticket):
            newestTicket = ticket
            stamp(ticket)
            completedTicket = max(completedTicket, try storage.completed())
        }
        if completedTicket > before {
            for number in 0..<count where ports[number].awaitsTicket { nudge(number) }
        }
        let wasCongested = isCongested
        isCongested = storage.isCongested
        if wasCongested && !isCongested { nudgeAll() }
        return hasMaintenance
    }

    private mutating func stamp(_ ticket: Ticket?) {
        var left = touched
        touched = 0
        nudged |= left
        while left != 0 {
            ports[left.trailingZeroBitCount].stamp(ticket)
            left &= left - 1
        }
    }

    // MARK: Connections

    /// Has the engine know a new connection, and gives it to the loop that has the fewest.
    mutating func connect(_ link: Connection.Link) {
        var owner = 0
        for number in 1..<count where ports[number].connectionCount < ports[owner].connectionCount { owner = number }
        let id = engine.pointee.connect()
        let index = Int(id.index)
        if index >= owners.count { owners.append(contentsOf: repeatElement(0, count: index + 1 - owners.count)) }
        owners[index] = UInt8(owner)
        ports[owner].connectionCount += 1
        connectionCount += 1
        ports[owner].delivery.arrivals.append(LoopPort.Arrival(id: id, link: link))
        nudge(owner)
    }

    /// The connection is gone.
    mutating func disconnect(_ id: ConnectionID) {
        ports[Int(owners[Int(id.index)])].connectionCount -= 1
        connectionCount -= 1
        closedCount += 1
        if !isAccepting { nudge(0) }
        engine.pointee.disconnect(id)
    }

    // MARK: Who does what next

    /// Whether the loop is the one to do a step of long work: nobody else has taken that on.
    func isWorker(_ number: Int) -> Bool { worker == nil || worker == number }

    /// Says whether the loop must come in again at once, for the sake of long work.
    ///
    /// The one that finds the first of it stays with it to the end: the others' commands get through in between.
    mutating func keepWorking(_ number: Int, hasMaintenance: Bool) -> Bool {
        guard isWorker(number) else { return false }
        worker = engine.pointee.hasWork || hasMaintenance ? number : nil
        return worker == number
    }

    /// The time at which the loop must come in again, for the sake of the engine's timers.
    ///
    /// Each deadline has one loop that wakes for it: the one that came upon it.
    mutating func setAlarm(_ number: Int) -> Instant {
        let next = engine.pointee.nextDeadline
        guard next < alarm || alarmOwner == number else { return .never }
        alarm = next
        alarmOwner = number
        return next
    }

    /// Notes that a loop is to come in as soon as it can.
    mutating func nudge(_ number: Int) { nudged |= 1 &<< UInt64(number) }

    mutating func nudgeAll() { nudged = .max >> UInt64(Self.mostLoops - count) }

    /// Answers which loops are to be woken, by bit, but for the one that asks: it takes what there is before it goes.
    mutating func takeNudged(by number: Int) -> UInt64 {
        defer { nudged = 0 }
        return nudged & ~(1 &<< UInt64(number))
    }

    /// Lets other settings hold: the engine's at once, those of each loop when it comes in.
    mutating func exchange(_ new: ServerSettings) {
        engine.pointee.exchange(new.engine)
        engine.pointee.exchange(new.tubeRules)
        collect()
        settings = new
        settingsCount += 1
        nudgeAll()
    }

    // MARK: The end

    /// The store can't go on.
    mutating func fail(_ error: ServerError) {
        if failure == nil { failure = error }
        engine.pointee.isStopping = true
        nudgeAll()
    }

    /// From here on no command is performed and nobody is given a job.
    mutating func beginStop() {
        phase = .stopping
        engine.pointee.isStopping = true
        engine.pointee.cancelWaits()
        nudgeAll()
    }

    /// Every loop closes what it has and ends.
    mutating func beginClosing() {
        phase = .closing
        nudgeAll()
    }

    /// Whether nothing is on its way to any client, and nothing is left to do.
    var isQuiet: Bool {
        !engine.pointee.hasWork && (0..<count).allSatisfy { ports[$0].isQuiet && ports[$0].delivery.isEmpty }
    }

    /// When all loops have ended: the rest of the work on the jobs of closed connections; its effects are for nobody.
    mutating func finish() {
        while engine.pointee.hasWork { engine.pointee.step() }
        while let effect = engine.pointee.nextEffect() {
            if let body = effect.reply.body { engine.pointee.release(body) }
        }
    }
}
