// SPDX-License-Identifier: MIT

import ArgumentParser
import TrellisConfiguration
import TrellisCore

/// `trellisd storage repair`.
struct Repair: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a damaged store one that opens again, with all jobs that can be read.",
        discussion: """
            What stood in damaged places is lost: jobs put there are gone, jobs deleted there may be back. The old files \
            are kept aside, so that there must be room for what can be read once more. Without --in-place it only says \
            what is damaged, and the exit status is 65 if something is. A torn tail is no damage: the next start cuts it.
            """)

    @OptionGroup var source: SourceFlags
    @Flag(help: "Really change the store.")
    var inPlace = false
    @Flag(help: "Show progress also where standard error is no terminal.")
    var progress = false

    func run() throws {
        try withFailures {
            let store = try source.selection.load().verifiable()
            let shown = Progress("repair", isWanted: progress)
            let writer = LineWriter()
            var isLeftDamaged = false
            if inPlace {
                let lines = try store.repair { shown.report(bytes: $0, of: $1) }
                for line in lines { writer.write(line) }
                if lines.isEmpty { writer.write("nothing is damaged; nothing was changed") }
            } else {
                let findings = try store.verify { shown.report(bytes: $0, of: $1) }
                isLeftDamaged = findings.contains(where: \.isDamage)
                for finding in findings { writer.write(finding.line) }
                writer.write(
                    isLeftDamaged ? "nothing was changed; with --in-place all else is kept" : "nothing is damaged")
            }
            shown.finish()
            try writer.finish()
            if isLeftDamaged { throw ExitCode(ExitStatus.damaged) }
        }
    }
}
