// SPDX-License-Identifier: MIT

/// The text of a statistics reply: `---`, then a `key: value` a line, in the reference's order and quoting.
private struct StatisticsText {
    private(set) var bytes: [UInt8] = Array("---\n".utf8)

    mutating func add(_ key: StaticString, _ value: some BinaryInteger) { add(key, raw: String(value)) }

    mutating func add(_ key: StaticString, quoted value: String) { add(key, raw: "\"\(value)\"") }

    mutating func add(_ key: StaticString, raw value: String) {
        key.withUTF8Buffer { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: ": ".utf8)
        bytes.append(contentsOf: value.utf8)
        bytes.append(UInt8(ascii: "\n"))
    }
}

/// Commands that ask and change nothing.
extension Engine {
    mutating func answerQuestion(
        _ command: Command, _ session: UnsafeMutablePointer<SessionRecord>, _ client: UInt32
    ) {
        switch command {
        case .stats:
            counters.stats += 1
            answer(statistics(), client)
        case .statsJob(let id):
            counters.statsJob += 1
            answer(index.slot(of: id).map { statistics(ofJob: $0) }, client)
        case .statsTube(let name):
            counters.statsTube += 1
            answer(findTube(name).map { statistics(ofTube: $0) }, client)
        case .listTubes:
            counters.listTubes += 1
            var list = NameList()
            var tube = oldestTube
            while tube != none {
                list.add(tubes[tube].pointee.name)
                tube = tubes[tube].pointee.newer
            }
            answer(list.bytes, client)
        case .listTubesWatched:
            counters.listTubesWatched += 1
            var list = NameList()
            for tube in watchSets[session.pointee.watched].pointee.list { list.add(tubes[tube.index].pointee.name) }
            answer(list.bytes, client)
        default:
            counters.listTubeUsed += 1
            answerUsed(session, client)
        }
    }

    private mutating func answer(_ text: [UInt8]?, _ client: UInt32) {
        guard let text else {
            push(.notFound, to: client)
            return
        }
        text.withUnsafeBytes { answer($0, client) { .ok($0) } }
    }

    private func name(_ tube: UInt32) -> String { String(decoding: tubes[tube].pointee.name, as: UTF8.self) }

    private func seconds(_ nanoseconds: Int64) -> Int64 { nanoseconds / 1_000_000_000 }

    private func statistics(ofJob slot: UInt32) -> [UInt8] {
        let job = jobs[slot]
        var text = StatisticsText()
        text.add("id", job.pointee.id.rawValue)
        text.add("tube", quoted: name(job.pointee.tube.index))
        var deadline: Instant?
        switch job.pointee.state {
        case .incoming: preconditionFailure("an incoming job is seen by nobody")
        case .ready: text.add("state", raw: "ready")
        case .buried: text.add("state", raw: "buried")
        case .delayed:
            text.add("state", raw: "delayed")
            deadline = tubes[job.pointee.tube.index].pointee.delays[job.pointee.place].deadline
        case .reserved:
            text.add("state", raw: "reserved")
            deadline = sessions[job.pointee.link].pointee.reservations[job.pointee.place].deadline
        }
        text.add("pri", job.pointee.priority)
        text.add("age", seconds(now.nanoseconds - job.pointee.createdAt.nanoseconds))
        text.add("delay", job.pointee.delay)
        text.add("ttr", job.pointee.ttr)
        text.add("time-left", deadline.map { max(0, seconds($0.nanoseconds - now.nanoseconds)) } ?? 0)
        text.add("file", storage.segment(of: job.pointee.note))
        let counters = self.counters(of: slot)
        text.add("reserves", counters.reserves)
        text.add("timeouts", counters.timeouts)
        text.add("releases", counters.releases)
        text.add("buries", counters.buries)
        text.add("kicks", counters.kicks)
        // A key of our own comes behind all of the reference's, and only where the operator has asked for it.
        if tubes[job.pointee.tube.index].pointee.countsFailures { text.add("failures", counters.failures) }
        return text.bytes
    }

    private func statistics(ofTube index: UInt32) -> [UInt8] {
        let tube = tubes[index]
        var text = StatisticsText()
        text.add("name", quoted: name(index))
        text.add("current-jobs-urgent", tube.pointee.urgent)
        text.add("current-jobs-ready", tube.pointee.ready)
        text.add("current-jobs-reserved", tube.pointee.reserved)
        text.add("current-jobs-delayed", tube.pointee.delays.count)
        text.add("current-jobs-buried", tube.pointee.buried)
        text.add("total-jobs", tube.pointee.totalJobs)
        text.add("current-using", tube.pointee.using)
        text.add("current-watching", tube.pointee.watching)
        text.add("current-waiting", tube.pointee.waiting)
        text.add("cmd-delete", tube.pointee.deletes)
        text.add("cmd-pause-tube", tube.pointee.pauses)
        text.add("pause", tube.pointee.pauseSeconds)
        let left = tube.pointee.isPaused ? tube.pointee.pausedUntil.nanoseconds - now.nanoseconds : 0
        text.add("pause-time-left", max(0, seconds(left)))
        // Keys of our own come behind all of the reference's, and only where the operator has said something.
        if tube.pointee.rule != none { addRule(of: index, to: &text) }
        return text.bytes
    }

    private func addRule(of index: UInt32, to text: inout StatisticsText) {
        let tube = tubes[index]
        let rule = tubeRules.rules[Int(tube.pointee.rule)]
        text.add("rule", quoted: rule.pattern.description)
        text.add("weight", rule.settings.weight)
        text.add("concurrency", rule.settings.concurrency ?? 0)
        text.add("rate", raw: rule.settings.rate?.description ?? "0")
        let holds = tube.pointee.holds
        let limit = holds.contains(.concurrency) ? "concurrency" : holds.contains(.rate) ? "rate" : "none"
        text.add("limited-by", raw: limit)
        addPolicy(rule.settings, tube.pointee.outcomes, to: &text)
    }

    /// What is set, and what came of it.
    private func addPolicy(_ settings: TubeSettings, _ outcomes: PolicyCounters, to text: inout StatisticsText) {
        if let retries = settings.retries { text.add("retries", retries) }
        if let ttl = settings.ttlNanoseconds { text.add("ttl", seconds(ttl)) }
        if let target = settings.deadLetter { text.add("dead-letter", quoted: target) }
        if let jobs = settings.maxJobs { text.add("max-jobs", jobs) }
        if let bytes = settings.maxJobBytes { text.add("max-job-size", bytes) }
        addOutcomes(outcomes, of: [settings], to: &text)
    }

    /// What came of those keys that any of the settings has.
    private func addOutcomes(_ outcomes: PolicyCounters, of settings: [TubeSettings], to text: inout StatisticsText) {
        func add(_ key: StaticString, _ count: UInt64, if isSet: (TubeSettings) -> Bool) {
            if settings.contains(where: isSet) { text.add(key, count) }
        }
        add("jobs-exhausted", outcomes.exhausted) { $0.retries != nil }
        add("jobs-expired", outcomes.expired) { $0.ttlNanoseconds != nil }
        add("jobs-dead-lettered", outcomes.deadLettered) { $0.deadLetter != nil }
        add("puts-refused", outcomes.refused) { $0.isBounded }
    }

    private func statistics() -> [UInt8] {
        var text = StatisticsText()
        text.add("current-jobs-urgent", totals.urgent)
        text.add("current-jobs-ready", totals.ready)
        text.add("current-jobs-reserved", totals.reserved)
        text.add("current-jobs-delayed", totals.delayed)
        text.add("current-jobs-buried", totals.buried)
        addCommands(to: &text)
        text.add("job-timeouts", timeouts)
        text.add("total-jobs", totalJobs)
        text.add("max-job-size", limits.jobBytes)
        text.add("current-tubes", tubes.count)
        text.add("current-connections", connectionCount)
        text.add("current-producers", producerCount)
        text.add("current-workers", workerCount)
        text.add("current-waiting", waitingCount)
        text.add("total-connections", totalConnections)
        addServer(to: &text)
        return text.bytes
    }

    private func addCommands(to text: inout StatisticsText) {
        text.add("cmd-put", counters.put)
        text.add("cmd-peek", counters.peek)
        text.add("cmd-peek-ready", counters.peekReady)
        text.add("cmd-peek-delayed", counters.peekDelayed)
        text.add("cmd-peek-buried", counters.peekBuried)
        text.add("cmd-reserve", counters.reserve)
        text.add("cmd-reserve-with-timeout", counters.reserveWithTimeout)
        text.add("cmd-delete", counters.delete)
        text.add("cmd-release", counters.release)
        text.add("cmd-use", counters.use)
        text.add("cmd-watch", counters.watch)
        text.add("cmd-ignore", counters.ignore)
        text.add("cmd-bury", counters.bury)
        text.add("cmd-kick", counters.kick)
        text.add("cmd-touch", counters.touch)
        text.add("cmd-stats", counters.stats)
        text.add("cmd-stats-job", counters.statsJob)
        text.add("cmd-stats-tube", counters.statsTube)
        text.add("cmd-list-tubes", counters.listTubes)
        text.add("cmd-list-tube-used", counters.listTubeUsed)
        text.add("cmd-list-tubes-watched", counters.listTubesWatched)
        text.add("cmd-pause-tube", counters.pauseTube)
    }

    private func addServer(to text: inout StatisticsText) {
        let time = processorTime()
        let log = storage.statistics
        text.add("pid", identity.processID)
        text.add("version", quoted: identity.version)
        text.add("rusage-utime", raw: Self.decimal(time.userMicroseconds))
        text.add("rusage-stime", raw: Self.decimal(time.systemMicroseconds))
        text.add("uptime", seconds(now.nanoseconds - startedAt.nanoseconds))
        text.add("binlog-oldest-index", log.oldestSegment)
        text.add("binlog-current-index", log.currentSegment)
        text.add("binlog-records-migrated", log.recordsMigrated)
        text.add("binlog-records-written", log.recordsWritten)
        text.add("binlog-max-size", log.segmentBytes)
        text.add("draining", raw: isDraining ? "true" : "false")
        text.add("id", raw: identity.instanceID)
        text.add("hostname", quoted: identity.hostname)
        text.add("os", quoted: identity.operatingSystem)
        text.add("platform", quoted: identity.platform)
        // Keys of our own come behind all of the reference's, and only where there is a log, or a policy.
        if log.segmentBytes > 0 {
            text.add("binlog-bytes", log.logBytes)
            text.add("binlog-live-bytes", log.liveBytes)
            text.add("binlog-slow-syncs", log.slowSyncs)
        }
        addOutcomes(outcomes, of: tubeRules.rules.map(\.settings), to: &text)
    }

    /// Microseconds as seconds with six digits.
    private static func decimal(_ microseconds: Int64) -> String {
        let (whole, rest) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
        let digits = String(rest)
        return "\(whole)." + String(repeating: "0", count: 6 - digits.count) + digits
    }
}

/// The text of a list of tubes.
private struct NameList {
    private(set) var bytes: [UInt8] = Array("---\n".utf8)

    mutating func add(_ name: UnsafeMutableRawBufferPointer) {
        bytes.append(contentsOf: "- ".utf8)
        bytes.append(contentsOf: name)
        bytes.append(UInt8(ascii: "\n"))
    }
}
