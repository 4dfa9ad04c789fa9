// SPDX-License-Identifier: MIT

import ArgumentParser
import TrellisConfiguration
import TrellisCore

/// `trellisd storage stat`.
struct Stat: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Count stored jobs and what they take.",
        discussion: """
            Jobs per state and tube. For a log, each segment with the bytes of its file and what of them is written, the \
            bytes of its records before compression, what of those live jobs need and what is dead, the ratio of records \
            to what is written, the codec, and how many live jobs lie in it.
            """)

    @OptionGroup var source: SourceFlags
    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        try withFailures {
            let choice = try source.selection.load()
            let store = choice.make()
            var all = JobCount()
            var tubes: [String: JobCount] = [:]
            let highest = try readAll(store) { job in
                all.add(job)
                tubes[job.tubeText, default: JobCount()].add(job)
            }
            let counts = tubes.sorted { $0.key < $1.key }
            let segments = (store as? any SegmentedStorage)?.recoveredSegments
            let writer = LineWriter()
            if json {
                writer.write(object(choice.plugin.descriptor.id, all, highest, counts, segments))
            } else {
                writer.write("\(choice.plugin.descriptor.id): \(all.text); highest id: \(highest.rawValue)")
                if !counts.isEmpty {
                    for line in Self.table(counts) { writer.write(line) }
                }
                if let segments {
                    for line in SegmentTable(segments).lines { writer.write(line) }
                }
            }
            try writer.finish()
        }
    }

    private func object(
        _ plugin: String, _ all: JobCount, _ highest: JobID, _ tubes: [(key: String, value: JobCount)],
        _ segments: [SegmentStatistics]?
    ) -> String {
        var line = JSONLine()
        line.add("storage", plugin)
        all.add(to: &line)
        line.add("highest-id", highest.rawValue)
        line.add(
            "tubes",
            list: tubes.map { name, count in
                var tube = JSONLine()
                tube.add("tube", name)
                count.add(to: &tube)
                return tube
            })
        if let segments { SegmentTable(segments).add(to: &line) }
        return line.closed
    }

    private static func table(_ tubes: [(key: String, value: JobCount)]) -> [String] {
        // The name stands last: it may be long.
        var rows = [["jobs", "ready", "delayed", "buried", "body bytes", "tube"]]
        for (name, count) in tubes {
            let numbers = [count.jobs, count.ready, count.delayed, count.buried].map(String.init)
            rows.append(numbers + ["\(count.bytes)", name])
        }
        return aligned(rows)
    }
}

/// How many jobs there are of each state, and the size of their bodies.
struct JobCount {
    private(set) var ready = 0
    private(set) var delayed = 0
    private(set) var buried = 0
    private(set) var bytes: UInt64 = 0

    var jobs: Int { ready + delayed + buried }

    mutating func add(_ job: StoredJob) {
        switch job.state {
        case .ready: ready += 1
        case .delayed: delayed += 1
        case .buried: buried += 1
        }
        bytes += UInt64(job.body.count)
    }

    func add(to line: inout JSONLine) {
        line.add("jobs", jobs)
        line.add("ready", ready)
        line.add("delayed", delayed)
        line.add("buried", buried)
        line.add("body-bytes", bytes)
    }

    var text: String {
        "jobs: \(jobs), ready: \(ready), delayed: \(delayed), buried: \(buried); bytes of bodies: \(bytes)"
    }
}
