// SPDX-License-Identifier: MIT

/// The commands.
extension ReferenceModel {
    /// Performs a client's command, for which `canPerform` must hold.
    ///
    /// Answers what clients receive because of it.
    public mutating func perform(_ command: ClientCommand, by client: Int) -> [Answer] {
        precondition(canPerform(command, by: client), "client \(client) can't do \(command) now")
        if command.word != "" { counts[command.word, default: 0] += 1 }
        switch command {
        case .put, .body: performPut(command, by: client)
        case .reserve: reserve(by: client, until: Self.never, mayWait: true)
        case .reserveWithTimeout(let seconds): reserve(by: client, until: later(seconds), mayWait: seconds > 0)
        case .reserveJob, .delete, .release, .bury, .touch: performOnJob(command, by: client)
        case .kick, .kickJob: performKick(command, by: client)
        case .use, .watch, .ignore, .pauseTube: performOnTube(command, by: client)
        case .peek, .peekReady, .peekDelayed, .peekBuried: performPeek(command, by: client)
        case .stats, .statsJob, .statsTube, .listTubes, .listTubeUsed, .listTubesWatched:
            performListing(command, by: client)
        case .pauseTubeMisnamed, .malformed: answer(client, "BAD_FORMAT")
        case .unknown: answer(client, "UNKNOWN_COMMAND")
        case .quit: return disconnect(client)
        }
        return takeAnswers()
    }

    // MARK: Put

    private mutating func performPut(_ command: ClientCommand, by client: Int) {
        switch command {
        case .put(let priority, let delay, let ttr, let size, let hasTrailingBytes):
            let tube = self.client(client).used
            if isTooBig(size, for: tube) {
                if size <= maxJobSize { countRefusedPut(into: tube) }
                return change(client: client) { $0.announced = .refused("JOB_TOO_BIG") }
            }
            if hasTrailingBytes { return answer(client, "BAD_FORMAT") }
            if hasAllJobs(tube) {
                countRefusedPut(into: tube)
                return change(client: client) {
                    $0.isProducer = true
                    $0.announced = .refused("OUT_OF_MEMORY")
                }
            }
            lastID += 1
            let job = Job(
                id: lastID, tube: tube, priority: priority, delay: delay, ttr: max(1, ttr),
                body: Array(repeating: 0, count: Int(size)), created: now, state: .ready)
            change(client: client) {
                $0.isProducer = true
                $0.announced = .job(job)
            }
        case .body(let bytes, let endsWithCRLF):
            guard let announced = self.client(client).announced else { return }
            change(client: client) { $0.announced = nil }
            switch announced {
            case .refused(let reply): answer(client, reply)
            case .job(let job): completePut(job, body: bytes, endsWithCRLF: endsWithCRLF, by: client)
            }
        default: break
        }
    }

    private mutating func completePut(_ announced: Job, body: [UInt8], endsWithCRLF: Bool, by client: Int) {
        precondition(body.count == announced.body.count, "the body is as long as the put line said")
        if !endsWithCRLF { return answer(client, "EXPECTED_CRLF") }
        if isDraining { return answer(client, "DRAINING") }
        if hasAllJobs(announced.tube) {
            countRefusedPut(into: announced.tube)
            return answer(client, "OUT_OF_MEMORY")
        }
        var job = announced
        job.body = body
        totalJobs += 1
        change(tube: job.tube) { $0.totalJobs += 1 }
        jobs.append(job)
        jobs.sort { $0.id < $1.id }
        answer(client, "INSERTED \(job.id)")
        place(job.id, delay: job.delay)
    }

    mutating func place(_ id: UInt64, delay: UInt32) {
        if delay > 0 { makeDelayed(id) } else { makeReady(id) }
    }

    // MARK: Reserve

    private mutating func reserve(by name: Int, until end: Int64, mayWait: Bool) {
        change(client: name) { $0.isWorker = true }
        if let job = next(for: name) {
            takeToken(of: job.tube)
            return give(job.id, to: name)
        }
        if let soonest = soonestReserved(by: name), now >= soonest.deadline - Self.second {
            return answer(name, "DEADLINE_SOON")
        }
        if !mayWait { return answer(name, "TIMED_OUT") }
        change(client: name) { $0.waitsUntil = end }
        waiters.append(name)
    }

    // MARK: One job

    private mutating func performOnJob(_ command: ClientCommand, by name: Int) {
        switch command {
        case .reserveJob(let id):
            guard let job = job(id), job.state != .reserved else { return answer(name, "NOT_FOUND") }
            change(client: name) { $0.isWorker = true }
            give(id, to: name)
        case .delete(let id):
            guard let job = job(id), job.holder == nil || job.holder == name else { return answer(name, "NOT_FOUND") }
            jobs.removeAll { $0.id == id }
            change(tube: job.tube) { $0.deletes += 1 }
            removeTubeIfUnneeded(job.tube)
            answer(name, "DELETED")
            offer(job.tube)
        case .release(let id, let priority, let delay):
            guard job(id)?.holder == name else { return answer(name, "NOT_FOUND") }
            change(job: id) {
                $0.priority = priority
                $0.delay = delay
                $0.releases += 1
            }
            answer(name, "RELEASED")
            takeBack(id, delay: delay)
            if let job = job(id) { offer(job.tube) }
        case .bury(let id, let priority):
            guard job(id)?.holder == name else { return answer(name, "NOT_FOUND") }
            bury(id, priority: priority)
            answer(name, "BURIED")
            if let job = job(id) { offer(job.tube) }
        case .touch(let id):
            guard let job = job(id), job.holder == name else { return answer(name, "NOT_FOUND") }
            let deadline = later(job.ttr)
            change(job: id) { $0.deadline = deadline }
            answer(name, "TOUCHED")
        default: break
        }
    }

    mutating func bury(_ id: UInt64, priority: UInt32) {
        lastBurial += 1
        let burial = lastBurial
        change(job: id) {
            $0.state = .buried
            $0.holder = nil
            $0.priority = priority
            $0.burial = burial
            $0.buries += 1
        }
    }

    // MARK: Kick

    private mutating func performKick(_ command: ClientCommand, by name: Int) {
        switch command {
        case .kick(let bound):
            let tube = client(name).used
            let hasBuried = buried(in: tube) != nil
            // Each job is offered before the next is kicked, but none twice: a kicked job isn't buried or delayed.
            var kicked: UInt32 = 0
            while kicked < bound, let job = hasBuried ? buried(in: tube) : delayed(in: tube) {
                kick(job.id)
                kicked += 1
            }
            answer(name, "KICKED \(kicked)")
        case .kickJob(let id):
            guard let job = job(id), job.state == .buried || job.state == .delayed else {
                return answer(name, "NOT_FOUND")
            }
            kick(id)
            answer(name, "KICKED")
        default: break
        }
    }

    private mutating func kick(_ id: UInt64) {
        change(job: id) {
            $0.kicks += 1
            $0.failures = 0
        }
        makeReady(id)
    }

    // MARK: Tubes

    private mutating func performOnTube(_ command: ClientCommand, by name: Int) {
        switch command {
        case .use(let tube):
            let old = client(name).used
            makeTubeIfMissing(tube)
            change(client: name) { $0.used = tube }
            removeTubeIfUnneeded(old)
            answer(name, "USING \(tube)")
        case .watch(let tube):
            if !client(name).watched.contains(tube) {
                makeTubeIfMissing(tube)
                change(client: name) { $0.watched.append(tube) }
            }
            answer(name, "WATCHING \(client(name).watched.count)")
        case .ignore(let tube):
            let watched = client(name).watched
            if watched == [tube] { return answer(name, "NOT_IGNORED") }
            change(client: name) { $0.watched.removeAll { $0 == tube } }
            removeTubeIfUnneeded(tube)
            answer(name, "WATCHING \(client(name).watched.count)")
        case .pauseTube(let tube, let seconds):
            guard self.tube(tube) != nil else { return answer(name, "NOT_FOUND") }
            let end = later(seconds)
            change(tube: tube) {
                $0.pauses += 1
                $0.pauseSeconds = seconds
                $0.pausedUntil = end
            }
            answer(name, "PAUSED")
            if seconds == 0 { endPause(of: tube) }
        default: break
        }
    }

    // MARK: Peek

    private mutating func performPeek(_ command: ClientCommand, by name: Int) {
        let tube = client(name).used
        let found: Job?
        switch command {
        case .peek(let id): found = job(id)
        case .peekReady: found = ready(in: tube)
        case .peekDelayed: found = delayed(in: tube)
        default: found = buried(in: tube)
        }
        guard let found else { return answer(name, "NOT_FOUND") }
        answer(name, "FOUND", job: found)
    }
}
