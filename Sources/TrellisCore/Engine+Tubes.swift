// SPDX-License-Identifier: MIT

/// Commands on tubes.
extension Engine {
    mutating func use(_ name: BorrowedName, _ session: UnsafeMutablePointer<SessionRecord>, _ client: UInt32) {
        counters.use += 1
        let tube = findOrMakeTube(name)
        let old = session.pointee.used
        tubes[tube].pointee.using += 1
        tubes[old].pointee.using -= 1
        session.pointee.used = tube
        if tube != old { removeTubeIfUnneeded(old) }
        answerUsed(session, client)
    }

    mutating func ignore(_ name: BorrowedName, _ session: UnsafeMutablePointer<SessionRecord>, _ client: UInt32) {
        counters.ignore += 1
        guard let tube = findTube(name) else {
            push(.watching(watchSets[session.pointee.watched].pointee.count), to: client)
            return
        }
        if let count = ignore(tube, by: session) {
            push(.watching(count), to: client)
        } else {
            push(.notIgnored, to: client)
        }
    }

    mutating func pause(_ name: BorrowedName, _ seconds: UInt32, _ client: UInt32) {
        counters.pauseTube += 1
        guard let index = findTube(name) else {
            push(.notFound, to: client)
            return
        }
        let tube = tubes[index]
        tube.pointee.pauses += 1
        push(.paused, to: client)
        if seconds == 0 {
            endPause(of: index)
            serve(index)
            return
        }
        hold(index, for: .pause)
        tube.pointee.pauseSeconds = seconds
        tube.pointee.pausedUntil = now.advanced(bySeconds: seconds)
        armTube(index)
    }

    /// The tube isn't paused any more.
    ///
    /// Waiters aren't served yet (`serve`).
    mutating func endPause(of index: UInt32) {
        let tube = tubes[index]
        guard tube.pointee.isPaused else { return }
        tube.pointee.pausedUntil = .never
        tube.pointee.pauseSeconds = 0
        lift(.pause, from: index)
    }

    mutating func answerUsed(_ session: UnsafeMutablePointer<SessionRecord>, _ client: UInt32) {
        answer(UnsafeRawBufferPointer(tubes[session.pointee.used].pointee.name), client) { .using($0) }
    }

    /// Answers with a text.
    mutating func answer(_ text: UnsafeRawBufferPointer, _ client: UInt32, _ reply: (Body) -> Reply) {
        guard let body = bodies.copy(text) else {
            push(.outOfMemory, to: client)
            return
        }
        push(reply(body), to: client)
    }
}
