// SPDX-License-Identifier: MIT

import ArgumentParser
import TrellisConfiguration
import TrellisCore

/// `trellisd storage dump`.
struct Dump: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print all stored jobs.",
        discussion: """
            A line for each job, in the order of the store. With --json an object on each line: id, tube, state (ready, \
            delayed, buried), pri, delay and ttr in seconds, created and (delayed jobs) ready-at as ISO 8601 times, \
            sequence (buried jobs are kicked in its order), reserves, timeouts, releases, buries, kicks, failures \
            (where there are any), and body, or body-base64 where it is no UTF-8.
            Where the store is damaged, the jobs that come before the damage is met are printed; the exit status is 65.
            """)

    @OptionGroup var source: SourceFlags
    @Flag(help: "Print JSON, one object per line.")
    var json = false
    @Flag(help: "Print the bodies as well; JSON always has them.")
    var bodies = false
    @ArgumentParser.Option(help: ArgumentHelp("Only jobs of this tube.", valueName: "name"))
    var tube: String?
    @ArgumentParser.Option(help: ArgumentHelp("Only jobs in this state: ready, delayed or buried.", valueName: "state"))
    var state: String?

    func validate() throws {
        if let state, !["ready", "delayed", "buried"].contains(state) {
            throw ValidationError("A stored job is ready, delayed or buried, not \"\(state)\".")
        }
    }

    func run() throws {
        try withFailures {
            let choice = try source.selection.load()
            let writer = LineWriter()
            let outcome = Result { () throws(StorageError) in
                _ = try readAll(choice.make()) { job in
                    if let tube, job.tubeText != tube { return }
                    if let state, job.stateText != state { return }
                    writer.write(json ? job.json : job.line(withBody: bodies))
                }
            }
            try writer.finish()
            try outcome.get()
        }
    }
}

/// Opens a store to be read alone, gives its jobs and closes it; answers the highest id.
@discardableResult
func readAll(_ store: any Storage, _ deliver: (StoredJob) -> Void) throws(StorageError) -> JobID {
    do throws(StorageError) {
        try store.open(.readOnly, host: commandHost)
        let highest = try store.recover { job, _ in deliver(job) }
        try store.close()
        return highest
    } catch {
        try? store.close()
        throw error
    }
}
