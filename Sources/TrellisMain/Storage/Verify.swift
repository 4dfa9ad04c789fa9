// SPDX-License-Identifier: MIT

import ArgumentParser
import TrellisConfiguration
import TrellisCore

/// `trellisd storage verify`.
struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check all that is stored; change nothing.",
        discussion: """
            Prints a line for each finding. Exit status: 0 where nothing is damaged (a torn tail, which the next start \
            cuts, is told and is no damage), 65 where something is.
            """)

    @OptionGroup var source: SourceFlags
    @Flag(help: "Show progress also where standard error is no terminal.")
    var progress = false

    func run() throws {
        try withFailures {
            let store = try source.selection.load().verifiable()
            let shown = Progress("verify", isWanted: progress)
            let findings = try store.verify { shown.report(bytes: $0, of: $1) }
            shown.finish()
            let writer = LineWriter()
            for finding in findings { writer.write(finding.line) }
            let damaged = findings.count(where: \.isDamage)
            writer.write(
                damaged == 0
                    ? "sound" : "damaged places: \(damaged); `trellisd storage repair` with --in-place keeps all else")
            try writer.finish()
            if damaged > 0 { throw ExitCode(ExitStatus.damaged) }
        }
    }
}

extension StorageFinding {
    /// The finding as the tools print it.
    var line: String { (isDamage ? "damaged: " : "note: ") + text }
}

extension Choice where Product == any Storage {
    /// The store, if it can check itself.
    func verifiable() throws(CommandFailure) -> any VerifiableStorage {
        if let store = make() as? any VerifiableStorage { return store }
        throw CommandFailure(
            "\(plugin.descriptor.id) can't check what it stores; dump and convert work with any store",
            exitStatus: ExitStatus.unavailable)
    }
}
