// SPDX-License-Identifier: MIT

import TrellisCore

/// Statistics and lists.
extension ReferenceModel {
    mutating func performListing(_ command: ClientCommand, by name: Int) {
        switch command {
        case .stats: answer(name, text: dictionary(serverStatistics()))
        case .statsJob(let id):
            guard let job = job(id) else { return answer(name, "NOT_FOUND") }
            answer(name, text: dictionary(statistics(of: job)))
        case .statsTube(let tube):
            guard let tube = self.tube(tube) else { return answer(name, "NOT_FOUND") }
            answer(name, text: dictionary(statistics(of: tube)))
        case .listTubes: answer(name, text: list(tubes.map(\.name)))
        case .listTubeUsed: answer(name, "USING \(client(name).used)")
        default: answer(name, text: list(client(name).watched))
        }
    }

    private func dictionary(_ entries: [(String, Any)]) -> String {
        "---\n" + entries.map { "\($0.0): \($0.1)\n" }.joined()
    }

    private func list(_ names: [String]) -> String {
        "---\n" + names.map { "- \($0)\n" }.joined()
    }

    private func quoted(_ text: String) -> String { "\"\(text)\"" }

    private func counted(_ some: [Job]) -> [(String, Any)] {
        [
            ("current-jobs-urgent", some.filter { $0.state == .ready && $0.priority < 1024 }.count),
            ("current-jobs-ready", some.filter { $0.state == .ready }.count),
            ("current-jobs-reserved", some.filter { $0.state == .reserved }.count),
            ("current-jobs-delayed", some.filter { $0.state == .delayed }.count),
            ("current-jobs-buried", some.filter { $0.state == .buried }.count),
        ]
    }

    private func serverStatistics() -> [(String, Any)] {
        let commands = [
            "put", "peek", "peek-ready", "peek-delayed", "peek-buried", "reserve", "reserve-with-timeout", "delete",
            "release", "use", "watch", "ignore", "bury", "kick", "touch", "stats", "stats-job", "stats-tube",
            "list-tubes", "list-tube-used", "list-tubes-watched", "pause-tube",
        ]
        var all = counted(jobs)
        all += commands.map { ("cmd-\($0)", counts[$0] ?? 0) }
        all += [
            ("job-timeouts", timeouts),
            ("total-jobs", totalJobs),
            ("max-job-size", maxJobSize),
            ("current-tubes", tubes.count),
            ("current-connections", clients.count),
            ("current-producers", clients.filter(\.isProducer).count),
            ("current-workers", clients.filter(\.isWorker).count),
            ("current-waiting", waiters.count),
            ("total-connections", totalConnections),
            ("pid", identity.processID),
            ("version", quoted(identity.version)),
            ("rusage-utime", "0.000000"),
            ("rusage-stime", "0.000000"),
            ("uptime", (now - start) / Self.second),
            ("binlog-oldest-index", 0),
            ("binlog-current-index", 0),
            ("binlog-records-migrated", 0),
            ("binlog-records-written", 0),
            ("binlog-max-size", 0),
            ("draining", isDraining),
            ("id", identity.instanceID),
            ("hostname", quoted(identity.hostname)),
            ("os", quoted(identity.operatingSystem)),
            ("platform", quoted(identity.platform)),
        ]
        return all + policyStatistics
    }

    private func statistics(of tube: Tube) -> [(String, Any)] {
        var all: [(String, Any)] = [("name", quoted(tube.name))]
        all += counted(jobs.filter { $0.tube == tube.name })
        all += [
            ("total-jobs", tube.totalJobs),
            ("current-using", clients.filter { $0.used == tube.name }.count),
            ("current-watching", clients.filter { $0.watched.contains(tube.name) }.count),
            ("current-waiting", waiters.filter { client($0).watched.contains(tube.name) }.count),
            ("cmd-delete", tube.deletes),
            ("cmd-pause-tube", tube.pauses),
            ("pause", tube.pauseSeconds),
            ("pause-time-left", tube.pausedUntil.map { ($0 - now) / Self.second } ?? 0),
        ]
        if let settings = tube.settings {
            all += [
                ("rule", quoted(tube.name)),
                ("weight", settings.weight),
                ("concurrency", settings.concurrency ?? 0),
                ("rate", settings.rate.map { "\($0.count)/\($0.span.rawValue)" } ?? "0"),
                ("limited-by", isFull(tube) ? "concurrency" : tube.waitsForToken ? "rate" : "none"),
            ]
        }
        return all + policyStatistics(of: tube)
    }

    private func statistics(of job: Job) -> [(String, Any)] {
        let isTimed = job.state == .reserved || job.state == .delayed
        let all: [(String, Any)] = [
            ("id", job.id),
            ("tube", quoted(job.tube)),
            ("state", job.state.rawValue),
            ("pri", job.priority),
            ("age", (now - job.created) / Self.second),
            ("delay", job.delay),
            ("ttr", job.ttr),
            ("time-left", isTimed ? (job.deadline - now) / Self.second : 0),
            ("file", 0),
            ("reserves", job.reserves),
            ("timeouts", job.timeouts),
            ("releases", job.releases),
            ("buries", job.buries),
            ("kicks", job.kicks),
        ]
        return tubeSettings[job.tube]?.retries == nil ? all : all + [("failures", job.failures)]
    }
}
