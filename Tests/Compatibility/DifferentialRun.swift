// SPDX-License-Identifier: MIT

import Glibc
import LiveServer

/// One run: the commands of a seed to both servers, one outstanding at a time, every reply compared.
///
/// A connection that waits in `reserve` stays so until a command of another brings its job, or it hangs up.
final class DifferentialRun {
    private struct Connection {
        var ours: Client
        var theirs: Client
        /// The command that waits for its reply.
        var waiting: String?
        /// The rest of a put that has been sent half.
        var rest: String?
        /// The job whose body is being sent.
        var hiddenID: Int?
    }

    private static let hasSeveralThreads = getenv("TRELLIS_IO_THREADS") != nil

    private let seed: UInt64
    private let route: Route
    private let ours: LiveServer
    private let theirs: LiveServer
    private let observers: (ours: Client, theirs: Client)
    private var connections: [Connection] = []
    private var stream: DifferentialStream
    private var log: [String] = []
    private var stepNumber = 0

    init(seed: UInt64, route: Route, ours: LiveServer, theirs: LiveServer) throws {
        self.seed = seed
        self.route = route
        self.ours = ours
        self.theirs = theirs
        stream = DifferentialStream(seed: seed)
        observers = (try ours.connect(route), try theirs.connect(route))
        for observer in [observers.ours, observers.theirs] { try observer.call("use observer", "USING observer") }
    }

    /// Runs that many steps.
    func run(steps: Int) throws {
        for number in 0..<DifferentialStream.connections {
            connections.append(Connection(ours: try ours.connect(route), theirs: try theirs.connect(route)))
            try perform(stream.opening(number), number)
        }
        for number in 0..<steps {
            stepNumber = number
            try step()
        }
    }

    private func step() throws {
        let number = stream.below(connections.count)
        if connections[number].waiting != nil {
            if stream.chance(15) { try hangUp(number) }
        } else if let rest = connections[number].rest {
            if stream.chance(10) { return try hangUp(number) }
            if stream.chance(60) { return }
            connections[number].rest = nil
            if let id = connections[number].hiddenID { stream.hiddenIDs.remove(id) }
            try perform(DifferentialStep(text: rest, isPlain: false), number)
        } else if stream.chance(1) {
            try hangUp(number)
        } else if stream.chance(2) {
            try beginPut(number)
        } else {
            var step = stream.step(number)
            while step.isPlain, !step.closes, stream.chance(20) {
                let next = stream.step(number)
                guard next.isPlain, !next.closes else { break }
                step.text += next.text
                step.replies += next.replies
            }
            try perform(step, number)
        }
    }

    /// Sends a step to both servers and compares what comes.
    private func perform(_ step: DifferentialStep, _ number: Int) throws {
        // One of the known differences: the reference doesn't answer a line whose CR is byte 224.
        if step.text.split(separator: "\r\n").contains(where: { $0.utf8.count == 223 }) { return }
        note(number, quoted(step.text.utf8))
        if step.isPlain, step.text.utf8.count > 1, stream.chance(10) {
            let bytes = Array(step.text.utf8)
            let cut = 1 + stream.below(bytes.count - 1)
            send(Array(bytes[..<cut]), number)
            try settle()
            send(Array(bytes[cut...]), number)
        } else {
            send(Array(step.text.utf8), number)
        }
        let command = step.text
        if step.mayBlock {
            try settle()
            connections[number].waiting = command
        } else {
            for _ in 0..<step.replies { try compareReply(number) }
        }
        if step.closes {
            try expectEnds(number)
            try reconnect(number)
        }
        try collectFromWaiting()
    }

    /// Reads the replies of connections that waited and have been served.
    private func collectFromWaiting() throws {
        let waiting = connections.indices.filter { connections[$0].waiting != nil }
        if waiting.isEmpty { return }
        try settle()
        for number in waiting {
            let connection = connections[number]
            let served = connection.ours.hasInput(within: 0) || connection.theirs.hasInput(within: 0)
            guard served, let command = connection.waiting else { continue }
            guard connection.ours.hasInput(within: 2), connection.theirs.hasInput(within: 2) else {
                let who = connection.ours.hasInput(within: 0) ? "ours" : "the reference"
                throw failure("only \(who) serves connection \(number), which waits in \(quoted(command.utf8))")
            }
            connections[number].waiting = nil
            try compareReply(number)
        }
    }

    /// Makes two round trips on connections of their own.
    ///
    /// What was sent before has been worked off then, and its replies have been written. The command moves no counter.
    private func settle() throws {
        for _ in 0..<2 {
            for observer in [observers.ours, observers.theirs] { try observer.call("barrier", "UNKNOWN_COMMAND") }
        }
        if Self.hasSeveralThreads { try ours.waitUntilItRests(route) }
    }

    private func send(_ bytes: [UInt8], _ number: Int) {
        connections[number].ours.send(bytes: bytes)
        connections[number].theirs.send(bytes: bytes)
    }

    private func compareReply(_ number: Int) throws {
        let our: DifferentialReply
        let their: DifferentialReply
        do {
            their = try DifferentialReply(from: connections[number].theirs)
        } catch {
            throw failure("no good reply of the reference: \(error)")
        }
        do {
            our = try DifferentialReply(from: connections[number].ours)
        } catch {
            throw failure("no good reply of ours: \(error); the reference: \(their.description)")
        }
        note(number, "    -> " + their.description)
        if let reason = KnownDifference.unknown(ours: our, theirs: their) {
            throw failure("\(reason)\n  ours:      \(our.description)\n  reference: \(their.description)")
        }
        learn(our, number)
    }

    private func learn(_ reply: DifferentialReply, _ number: Int) {
        let words = reply.line.split(separator: " ")
        guard words.count >= 2, let id = Int(words[1]) else { return }
        switch words[0] {
        case "INSERTED": stream.highestID = max(stream.highestID, id)
        case "RESERVED": stream.held[number].insert(id)
        default: break
        }
    }

    private func beginPut(_ number: Int) throws {
        let (first, rest) = stream.interruptedPut()
        // A whole put tells which id the half one gets.
        let id = try observers.theirs.put()
        guard try observers.ours.put() == id else { throw failure("ours gives another id than \(id)") }
        for observer in [observers.ours, observers.theirs] { try observer.delete(id) }
        note(number, quoted(first.utf8) + " (a part; job \(id + 1))")
        send(Array(first.utf8), number)
        try settle()
        stream.highestID = id + 1
        connections[number].hiddenID = id + 1
        stream.hiddenIDs.insert(id + 1)
        connections[number].rest = rest
    }

    private func hangUp(_ number: Int) throws {
        note(number, "hangs up")
        connections[number].ours.close()
        connections[number].theirs.close()
        connections[number].waiting = nil
        connections[number].rest = nil
        if let id = connections[number].hiddenID { stream.hiddenIDs.remove(id) }
        try waitUntilGone()
        try collectFromWaiting()
        try reconnect(number)
    }

    /// Waits until both servers have seen the connection go.
    ///
    /// Both are asked equally often, so that `cmd-stats` stays the same.
    private func waitUntilGone() throws {
        let deadline = monotonicSeconds() + Client.patience
        while true {
            let our = try observers.ours.statistics().number("current-connections")
            let their = try observers.theirs.statistics().number("current-connections")
            if our == connections.count, their == connections.count { return }
            guard monotonicSeconds() < deadline else { throw failure("a closed connection is still counted") }
        }
    }

    private func expectEnds(_ number: Int) throws {
        do {
            try connections[number].theirs.expectEnd()
            try connections[number].ours.expectEnd()
        } catch {
            throw failure("\(error)")
        }
        connections[number].ours.close()
        connections[number].theirs.close()
        try waitUntilGone()
        try collectFromWaiting()
    }

    private func reconnect(_ number: Int) throws {
        stream.held[number] = []
        connections[number] = Connection(ours: try ours.connect(route), theirs: try theirs.connect(route))
        try perform(stream.opening(number), number)
    }

    private func note(_ number: Int, _ text: String) {
        let text = text.count > 300 ? "\(text.prefix(300))... (\(text.count))" : text
        log.append("  #\(stepNumber) [\(number)] \(text)")
        if log.count > 400 { log.removeFirst(200) }
    }

    private func failure(_ sentence: String) -> Unexpected {
        Unexpected(
            """
            seed \(seed) over \(route), step \(stepNumber): \(sentence)
            The last commands, each with the reference's reply:
            \(log.suffix(60).joined(separator: "\n"))
            Again: TRELLIS_DIFFERENTIAL_SEED=\(seed) swift test --filter DifferentialTests
            """)
    }
}
