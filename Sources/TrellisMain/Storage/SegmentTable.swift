// SPDX-License-Identifier: MIT

import TrellisCore

/// The segments of a log, as an operator wants to see them.
struct SegmentTable {
    private let used: [SegmentStatistics]
    private let ready: [SegmentStatistics]
    private let all: SegmentStatistics

    init(_ segments: [SegmentStatistics]) {
        used = segments.filter { $0.usedBytes > 0 }
        ready = segments.filter { $0.usedBytes == 0 }
        var all = SegmentStatistics(number: 0)
        for segment in used {
            all.fileBytes += segment.fileBytes
            all.usedBytes += segment.usedBytes
            all.recordBytes += segment.recordBytes
            all.liveBytes += segment.liveBytes
            all.jobs += segment.jobs
        }
        self.all = all
    }

    var lines: [String] {
        var rows = [
            ["segment", "file bytes", "written", "records", "live", "dead", "live %", "ratio", "jobs", "codec"]
        ]
        for segment in used { rows.append(row("\(segment.number)", segment, segment.codec)) }
        if used.count > 1 { rows.append(row("all", all, "")) }
        let room = ready.reduce(0) { $0 + $1.fileBytes }
        return (used.isEmpty ? [] : aligned(rows))
            + ["segments in use: \(used.count); ready for use: \(ready.count), \(room) bytes"]
    }

    private func row(_ name: String, _ segment: SegmentStatistics, _ codec: String) -> [String] {
        let numbers = [
            segment.fileBytes, segment.usedBytes, segment.recordBytes, segment.liveBytes, segment.deadBytes,
            segment.livePercent,
        ]
        return [name] + numbers.map(String.init) + [segment.ratioText, String(segment.jobs), codec]
    }

    func add(to line: inout JSONLine) {
        line.add("segments", used.count)
        all.add(to: &line)
        line.add("ready-segments", ready.count)
        line.add("ready-bytes", ready.reduce(0) { $0 + $1.fileBytes })
        line.add(
            "segment-list",
            list: used.map { segment in
                var object = JSONLine()
                object.add("segment", segment.number)
                object.add("codec", segment.codec)
                object.add("jobs", segment.jobs)
                segment.add(to: &object)
                return object
            })
    }
}

extension SegmentStatistics {
    fileprivate func add(to line: inout JSONLine) {
        line.add("file-bytes", fileBytes)
        line.add("written-bytes", usedBytes)
        line.add("record-bytes", recordBytes)
        line.add("live-bytes", liveBytes)
        line.add("dead-bytes", deadBytes)
        line.add("ratio", raw: ratioText)
    }

    fileprivate var livePercent: UInt64 { recordBytes == 0 ? 0 : liveBytes * 100 / recordBytes }

    /// Bytes of records for each byte that is written, heads and all; with two digits.
    fileprivate var ratioText: String {
        let hundredths = usedBytes == 0 ? 0 : (recordBytes * 100 + usedBytes / 2) / usedBytes
        return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
    }
}

/// Rows as a table: numbers end below each other, and the last column begins so.
func aligned(_ rows: [[String]]) -> [String] {
    var widths: [Int] = []
    for row in rows {
        for (column, text) in row.enumerated() {
            if column == widths.count { widths.append(0) }
            widths[column] = max(widths[column], text.count)
        }
    }
    return rows.map { row in
        row.enumerated().map { column, text in
            let isLast = column == row.count - 1
            return isLast ? text : String(repeating: " ", count: widths[column] - text.count) + text
        }.joined(separator: "  ")
    }
}
