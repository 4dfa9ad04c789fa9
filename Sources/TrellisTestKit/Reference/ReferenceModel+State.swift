// SPDX-License-Identifier: MIT

/// The moves that commands and the passing of time have in common.
extension ReferenceModel {
    mutating func answer(_ client: Int, _ line: String) {
        answers.append(Answer(client: client, bytes: Array("\(line)\r\n".utf8)))
    }

    mutating func answer(_ client: Int, _ word: String, job: Job) {
        let head = Array("\(word) \(job.id) \(job.body.count)\r\n".utf8)
        answers.append(Answer(client: client, bytes: head + job.body + Array("\r\n".utf8)))
    }

    mutating func answer(_ client: Int, text: String) {
        answer(client, "OK \(text.utf8.count)\r\n\(text)")
    }

    mutating func takeAnswers() -> [Answer] {
        let taken = answers
        answers = []
        return taken
    }

    /// The point in time that many seconds from now.
    func later(_ seconds: UInt32) -> Int64 {
        let (sum, overflow) = now.addingReportingOverflow(Int64(seconds) * Self.second)
        return overflow ? Self.never : sum
    }

    // MARK: Changing one job, tube or client

    func job(_ id: UInt64) -> Job? { jobs.first { $0.id == id } }

    func client(_ name: Int) -> Client {
        guard let client = clients.first(where: { $0.name == name }) else {
            preconditionFailure("client \(name) is not connected")
        }
        return client
    }

    func tube(_ name: String) -> Tube? { tubes.first { $0.name == name } }

    mutating func change(job id: UInt64, _ body: (inout Job) -> Void) {
        for place in jobs.indices where jobs[place].id == id { body(&jobs[place]) }
    }

    mutating func change(tube name: String, _ body: (inout Tube) -> Void) {
        for place in tubes.indices where tubes[place].name == name { body(&tubes[place]) }
    }

    mutating func change(client name: Int, _ body: (inout Client) -> Void) {
        for place in clients.indices where clients[place].name == name { body(&clients[place]) }
    }

    // MARK: Tubes

    mutating func makeTubeIfMissing(_ name: String) {
        if tube(name) == nil { makeTube(name, index: tubeIndexes.take()) }
    }

    mutating func removeTubeIfUnneeded(_ name: String) {
        guard let tube = tube(name), name != "default" else { return }
        if clients.contains(where: { $0.used == name || $0.watched.contains(name) }) { return }
        if jobs.contains(where: { $0.tube == name }) { return }
        if isLingering(tube) { return change(tube: name) { $0.lingers = true } }
        tubes.removeAll { $0.name == name }
        tubeIndexes.free.append(tube.index)
    }

    /// Whether no job of the tube may be given out: it is paused, or at a limit.
    func isHeld(_ name: String) -> Bool {
        guard let tube = tube(name) else { return false }
        return tube.pausedUntil != nil || tube.waitsForToken || isFull(tube)
    }

    // MARK: Which job

    /// Of those jobs the one with the least (key, id).
    private func least(_ some: [Job], by key: (Job) -> Int64) -> Job? {
        some.min { (key($0), $0.id) < (key($1), $1.id) }
    }

    func ready(in tube: String) -> Job? {
        least(jobs.filter { $0.tube == tube && $0.state == .ready }) { Int64($0.priority) }
    }

    func delayed(in tube: String) -> Job? {
        least(jobs.filter { $0.tube == tube && $0.state == .delayed }) { $0.deadline }
    }

    func buried(in tube: String) -> Job? {
        least(jobs.filter { $0.tube == tube && $0.state == .buried }) { Int64($0.burial) }
    }

    func firstReserved(by client: Int) -> Job? {
        least(jobs.filter { $0.holder == client }) { Int64($0.reservation) }
    }

    func soonestReserved(by client: Int) -> Job? {
        least(jobs.filter { $0.holder == client }) { $0.deadline }
    }

    /// The job that a reserve of the client takes.
    func next(for client: Int) -> Job? {
        let watched = self.client(client).watched
        let candidates = jobs.filter { $0.state == .ready && watched.contains($0.tube) && !isHeld($0.tube) }
        return least(candidates) { Int64($0.priority) }
    }

    // MARK: Moving a job

    /// The job is ready from now on; whoever waits for it first gets it.
    mutating func makeReady(_ id: UInt64) {
        change(job: id) {
            $0.state = .ready
            $0.holder = nil
        }
        settle(id)
    }

    mutating func makeDelayed(_ id: UInt64) {
        let now = self.now
        guard let job = job(id) else { return }
        precondition(job.delay > 0 && now <= later(job.delay), "a delay is in the future")
        let deadline = later(job.delay)
        change(job: id) {
            $0.state = .delayed
            $0.holder = nil
            $0.deadline = deadline
        }
    }

    /// Gives what the tube has to those who wait, first come, first served.
    mutating func offer(_ tube: String) {
        while !isHeld(tube), ready(in: tube) != nil {
            guard let worker = waiters.first(where: { client($0).watched.contains(tube) }) else { return }
            guard let job = next(for: worker) else { return }
            stopWaiting(worker)
            takeToken(of: job.tube)
            give(job.id, to: worker)
        }
    }

    mutating func give(_ id: UInt64, to client: Int) {
        guard let job = job(id) else { return }
        let deadline = later(job.ttr)
        reservations += 1
        let reservation = reservations
        change(job: id) {
            $0.state = .reserved
            $0.reservation = reservation
            $0.holder = client
            $0.deadline = deadline
            $0.reserves += 1
        }
        answer(client, "RESERVED", job: job)
    }

    mutating func stopWaiting(_ name: Int) {
        waiters.removeAll { $0 == name }
        change(client: name) { $0.waitsUntil = nil }
    }
}
