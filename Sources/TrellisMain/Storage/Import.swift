// SPDX-License-Identifier: MIT

import ArgumentParser
import BeanstalkdBinlog
import TrellisConfiguration
import TrellisCore

/// `trellisd storage import`.
struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Copy the jobs of a beanstalkd binlog into a store, which must be empty.",
        discussion: """
            DIR is what beanstalkd was started with (-b DIR); it is left as it is, and must not be in use. Formats 5 and 7 \
            (beanstalkd 1.4 to 1.13) are read. Where a part of it can't be read, all else is copied, warnings say what is \
            missing, and the exit status is 65.
            """)

    @Argument(help: ArgumentHelp("The folder of beanstalkd's binlog.", valueName: "dir"))
    var folder: String
    @OptionGroup var target: TargetFlags
    @Flag(help: "Show progress also where standard error is no terminal.")
    var progress = false

    func run() throws {
        try withFailures {
            let to = try target.selection.load(isTarget: true)
            let log = BeanstalkdBinlog(directory: folder)
            defer { log.close() }
            try log.open()
            let shown = Progress("import", isWanted: progress)
            let transfer = Transfer(to, shown)
            var found: BeanstalkdBinlog.Summary?
            try transfer.run { put throws(StorageError) in
                let summary = try log.read(put) { progress in
                    if case .scanning(let done, let all) = progress { shown.report(bytes: done, of: all) }
                }
                found = summary
                return summary.highestID
            }
            guard let summary = found else { return }
            warn(summary)
            let writer = LineWriter()
            writer.write(
                "read from \(folder): files: \(summary.files), records: \(summary.records), deleted jobs: "
                    + "\(summary.deletedJobs)")
            writer.write(transfer.summary)
            try writer.finish()
            if !summary.damage.isEmpty { throw ExitCode(ExitStatus.damaged) }
        }
    }

    private func warn(_ summary: BeanstalkdBinlog.Summary) {
        for damage in summary.damage { complain("warning: \(folder)/\(damage)") }
        if summary.unendedBodies > 0, let first = summary.firstUnendedBody {
            complain(
                "warning: bodies without an end: \(summary.unendedBodies), the first that of job \(first.rawValue)")
        }
        if summary.unreadableBodies > 0 { complain("warning: bodies that can't be read: \(summary.unreadableBodies)") }
    }
}
