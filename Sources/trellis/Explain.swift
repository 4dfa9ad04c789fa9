// SPDX-License-Identifier: MIT

import ArgumentParser

/// `trellis explain`.
struct Explain: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Says why a job is still waiting.",
        discussion: """
            What holds it up, one reason a line: a delay, a pause, a limit, other jobs, workers that are missing. It asks \
            the server a few questions and changes nothing.
            """)

    @OptionGroup var options: ServerOptions
    @ParentCommand var parent: Trellis

    @Argument(help: "The id of the job.")
    var id: UInt64

    func run() throws {
        try report {
            let connection = try options.connect(or: parent.options)
            let job = try connection.statistics("stats-job \(id)")
            let tube = try connection.statistics("stats-tube \(job["tube"])")
            let first = job["state"] == "ready" ? try connection.firstReady(in: job["tube"]) : nil
            let lines = Explanation(id: id, job: job, tube: tube, first: first).lines
            try write(Array((lines.joined(separator: "\n") + "\n").utf8))
        }
    }
}

/// The counters of a job, a tube or the server.
struct Statistics {
    private var values: [Substring: Substring] = [:]

    /// Reads the text of the reply.
    init(_ text: String) {
        for line in text.split(separator: "\n") {
            guard let colon = line.firstRange(of: ": ") else { continue }
            values[line[..<colon.lowerBound]] = line[colon.upperBound...]
        }
    }

    /// The value of a key without its quotes; empty where there is no such key.
    subscript(key: String) -> String {
        let value = values[key[...]] ?? ""
        return value.count >= 2 && value.hasPrefix("\"") ? String(value.dropFirst().dropLast()) : String(value)
    }

    func number(_ key: String) -> UInt64 { UInt64(self[key]) ?? 0 }
}

extension ServerConnection {
    /// Asks for counters.
    func statistics(_ command: String) throws(Failure) -> Statistics {
        let words = try call(command, expecting: "OK")
        return Statistics(String(decoding: try readBody(words.first.flatMap { Int($0) } ?? 0), as: UTF8.self))
    }

    /// The ready job that is next in the order of the tube, and its counters; nil where it was taken meanwhile.
    func firstReady(in tube: String) throws(Failure) -> (id: UInt64, job: Statistics)? {
        try call("use \(tube)", expecting: "USING")
        let words = try call("peek-ready").split(separator: " ")
        guard words.count == 3, words[0] == "FOUND", let id = UInt64(words[1]), let size = Int(words[2]) else {
            return nil
        }
        _ = try readBody(size)
        let reply = try call("stats-job \(id)").split(separator: " ")
        guard reply.first == "OK" else { return nil }
        let text = try readBody(reply.count > 1 ? Int(reply[1]) ?? 0 : 0)
        return (id, Statistics(String(decoding: text, as: UTF8.self)))
    }
}

/// Why a job waits, in sentences, from what the server said.
struct Explanation {
    var id: UInt64
    var job: Statistics
    var tube: Statistics
    /// Of a ready job: the one that is next in its tube.
    var first: (id: UInt64, job: Statistics)?

    private var name: String { job["tube"] }

    /// One line that says how the job stands, then one for each reason.
    var lines: [String] {
        switch job["state"] {
        case "reserved":
            ["\(head) is reserved: a worker has it, for \(seconds(job.number("time-left"))) more unless it touches it."]
        case "buried":
            ["\(head) is buried: it waits until somebody kicks it (kick-job \(id)) or deletes it."] + failures
        case "delayed":
            ["\(head) is delayed: it will be ready in \(seconds(job.number("time-left")))."] + pause.map { "- \($0)" }
                + failures
        default: ready
        }
    }

    private var head: String { "Job \(id) in the tube \(name)" }

    private var ready: [String] {
        var reasons = pause
        switch tube["limited-by"] {
        case "concurrency":
            reasons.append(
                "\(tube.number("current-jobs-reserved")) of the tube's jobs are reserved, and \(rule) allows "
                    + "\(tube["concurrency"]) at once: one of them must be finished first.")
        case "rate": reasons.append("The tube has used up its rate: \(rule) allows \(tube["rate"]).")
        default: break
        }
        if let first, first.id != id {
            let others = tube.number("current-jobs-ready")
            reasons.append(
                "Job \(first.id) (priority \(first.job["pri"]), put \(seconds(first.job.number("age"))) ago) is next in "
                    + "the tube; \(others) jobs are ready there.")
        }
        let isHeld = tube.number("pause") > 0 || ["concurrency", "rate"].contains(tube["limited-by"])
        // Every connection begins by watching `default`, and the one that asked has not ceased to.
        let watching = tube.number("current-watching") - (name == "default" ? 1 : 0)
        if watching == 0 {
            reasons.append("No worker watches the tube.")
        } else if tube.number("current-waiting") == 0, !isHeld {
            reasons.append(
                "None of the \(watching) connections that watch the tube waits for a job: they are "
                    + "busy, or have jobs of other tubes first.")
        }
        let start = "\(head) is ready (priority \(job["pri"]), put \(seconds(job.number("age"))) ago)"
        let lines =
            reasons.isEmpty
            ? ["\(start), and nothing holds it up."] : ["\(start), and waits:"] + reasons.map { "- \($0)" }
        return lines + failures + life
    }

    /// When the policy of the tube has the job go; one line, or none.
    private var life: [String] {
        guard !tube["ttl"].isEmpty else { return [] }
        let fate = tube["dead-letter"].isEmpty ? "is dropped" : "goes to \(tube["dead-letter"])"
        let (age, ttl) = (job.number("age"), tube.number("ttl"))
        return [
            "It \(fate) in \(seconds(ttl - min(age, ttl))) unless it is taken: \(rule) has a ttl of \(seconds(ttl))."
        ]
    }

    /// What the policy of the tube says of deliveries that failed; one line, or none.
    private var failures: [String] {
        let count = job.number("failures")
        guard count > 0 else { return [] }
        let fate = tube["dead-letter"].isEmpty ? "it is buried" : "it goes to \(tube["dead-letter"])"
        return [
            "Deliveries that failed: \(count); \(rule) allows \(tube["retries"]) retries, after which \(fate)."
        ]
    }

    private var pause: [String] {
        let left = tube.number("pause-time-left")
        return tube.number("pause") > 0 ? ["The tube is paused for \(seconds(left)) more."] : []
    }

    private var rule: String { "the rule \"\(tube["rule"])\"" }

    private func seconds(_ count: UInt64) -> String { count == 1 ? "1 second" : "\(count) seconds" }
}
