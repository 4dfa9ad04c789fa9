// SPDX-License-Identifier: MIT

import ArgumentParser
import Glibc
import TrellisConfiguration
import TrellisCore

/// `trellisd storage convert`.
struct Convert: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Copy all jobs from one store to another, which must be empty.",
        discussion: """
            Any store to any other. The source is left as it is; the copy is read again and compared, job by job. To a \
            compressed log: --to-use compressed-binlog --to-set directory=DIR --to-set codec=lz4.
            """)

    @OptionGroup var source: SourceFlags
    @OptionGroup var target: TargetFlags
    @Flag(help: "Show progress also where standard error is no terminal.")
    var progress = false

    func validate() throws {
        guard let from = source.directory, let to = target.toDirectory, isSame(from, to) else { return }
        throw ValidationError("--directory and --to-directory are the same folder; say another one.")
    }

    /// Whether two paths lead to the same place.
    private func isSame(_ one: String, _ other: String) -> Bool {
        var (first, second) = (stat(), stat())
        guard stat(one, &first) == 0, stat(other, &second) == 0 else { return false }
        return first.st_dev == second.st_dev && first.st_ino == second.st_ino
    }

    func run() throws {
        try withFailures {
            let from = try source.selection.load().make()
            let to = try target.selection.load(isTarget: true)
            // It is opened first: where it can't be read nothing is made.
            defer { try? from.close() }
            try from.open(.readOnly, host: commandHost)
            let transfer = Transfer(to, Progress("convert", isWanted: progress))
            try transfer.run { put throws(StorageError) in
                var failure: StorageError?
                let highest = try from.recover { job, _ in
                    guard failure == nil else { return }
                    do throws(StorageError) { try put(job) } catch { failure = error }
                }
                if let failure { throw failure }
                return highest
            }
            let writer = LineWriter()
            writer.write(transfer.summary)
            try writer.finish()
        }
    }
}
