// SPDX-License-Identifier: MIT

internal import Glibc
internal import Logging
internal import TrellisCore

/// How the configuration is read again, and what is going on of it.
struct Reloading {
    /// Who reads it; nil where there is nothing to read.
    var source: UpdateSource?
    /// Whether a thread reads it at the moment.
    var isUnderWay = false
    /// Whether it was asked for again meanwhile.
    var isAskedAgain = false
    /// How many transports there have been: the number of the next.
    var transportCount = 0
}

/// An update whose new listeners are open.
///
/// Unchecked, as listeners are no values: the thread that opened them hands them to the loop, and lets go of them.
struct PreparedUpdate: @unchecked Sendable {
    var update: ServerUpdate
    var listeners: [OpenListener]

    /// Asks for the update and opens what it adds.
    static func make(
        _ source: UpdateSource, managesSockets: Bool, firstNumber: Int
    ) -> Result<PreparedUpdate, UpdateRefusal> {
        do throws(UpdateRefusal) {
            let update = try source(managesSockets)
            do throws(TransportError) {
                let listeners = try OpenListener.open(update.added, firstNumber: firstNumber)
                return .success(PreparedUpdate(update: update, listeners: listeners))
            } catch {
                throw UpdateRefusal([error.description])
            }
        } catch {
            return .failure(error)
        }
    }
}

/// SIGHUP: a thread reads the configuration, the loop takes over what came of it.
extension EventLoop {
    mutating func reload() {
        guard let source = reloading.source else {
            logger.warning("got SIGHUP: there is no configuration file to read again; nothing is changed")
            return
        }
        guard !isStopping else { return }
        guard !reloading.isUnderWay else {
            reloading.isAskedAgain = true
            return
        }
        logger.info("got SIGHUP: reading the configuration again")
        let mailbox = mailbox
        let managesSockets = listeners.contains { $0.transport == nil && !($0.listener is ClosedListener) }
        let firstNumber = reloading.transportCount
        reloading.isUnderWay = startThread {
            let outcome = PreparedUpdate.make(source, managesSockets: managesSockets, firstNumber: firstNumber)
            mailbox.leave { $0.reloaded = outcome }
        }
        if !reloading.isUnderWay { logger.error("the configuration stays as it was: the system has no thread for it") }
    }

    mutating func finishReload(_ outcome: Result<PreparedUpdate, UpdateRefusal>) {
        reloading.isUnderWay = false
        switch outcome {
        case .success(let prepared) where isStopping:
            for entry in prepared.listeners { entry.listener.close() }
        case .success(let prepared): apply(prepared)
        case .failure(let refusal):
            for reason in refusal.reasons { logger.error("\(reason)") }
            logger.error("the configuration stays as it was, since the new one can't be used")
        }
        if reloading.isAskedAgain {
            reloading.isAskedAgain = false
            reload()
        }
    }

    private mutating func apply(_ prepared: PreparedUpdate) {
        let update = prepared.update
        if let gate {
            // Every loop, this one included, takes the settings over when it comes in the next time.
            gate.enter(as: number) { $0.exchange(update.settings) }
        } else {
            engine.pointee.exchange(update.settings.engine)
            engine.pointee.exchange(update.settings.tubeRules)
            deliver()
            takeOver(update.settings)
        }
        var changes = update.changes
        reloading.transportCount += update.added.count
        for entry in prepared.listeners {
            add(entry)
            changes.append("listens on \(entry.listener.endpoint), too")
        }
        for number in update.removed {
            let endpoints = listeners.filter { $0.transport == number }.map(\.listener.endpoint)
            closeListeners(of: number)
            changes += endpoints.map { "listens on \($0) no longer" }
        }
        connectionLimit = update.settings.connections ?? Server.raiseDescriptorLimit()
        resumeAccepting()
        update.onApplied()
        tell(changes, update.restarts)
    }

    private func tell(_ changes: [String], _ restarts: [String]) {
        for line in changes { logger.notice("reload: \(line)") }
        for line in restarts { logger.warning("reload: \(line)") }
        let verdict = changes.isEmpty ? "nothing is changed" : "changed: \(changes.count)"
        logger.notice("reloaded; \(verdict)\(restarts.isEmpty ? "" : "; waiting for a restart: \(restarts.count)")")
    }

    /// Goes on by other settings, between two batches.
    ///
    /// Clients that waited for room go on by the new limits of what is kept for them.
    mutating func takeOver(_ new: ServerSettings) {
        let former = settings
        settings = new
        guard settings.inputBytes != former.inputBytes || settings.outputBytes != former.outputBytes else { return }
        let need = inputRoom
        // It never shrinks: what connections left over under a larger limit must still have room.
        if need > input.count {
            input.deallocate()
            input = .allocate(byteCount: need, alignment: 64)
        }
        for case let connection? in connections where !connection.pointee.isClosing {
            if connection.pointee.queuedBytes <= settings.outputBytes { markResumable(connection) }
            updateInterest(connection)
        }
    }
}
