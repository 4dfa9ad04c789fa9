// SPDX-License-Identifier: MIT

import ArgumentParser
import TrellisCore
import TrellisServer

/// Why a command can't do its work, in words for the operator.
struct CommandFailure: Error {
    var message: String
    var exitStatus: Int32

    init(_ message: String, exitStatus: Int32 = 1) {
        self.message = message
        self.exitStatus = exitStatus
    }
}

extension CommandFailure {
    init(_ error: StorageError) {
        let status: Int32 =
            switch error {
            case .locked: ExitStatus.inUse
            case .corrupt: ExitStatus.damaged
            case .full, .fatal, .stopped: 1
            }
        self.init(ServerError.storage(error).description, exitStatus: status)
    }
}

/// Runs the work of a command; a failure becomes a line and an exit status.
func withFailures(_ body: () throws -> Void) throws {
    do {
        try body()
    } catch let failure as CommandFailure {
        complain(failure.message)
        throw ExitCode(failure.exitStatus)
    } catch let error as StorageError {
        let failure = CommandFailure(error)
        complain(failure.message)
        throw ExitCode(failure.exitStatus)
    }
}

/// What a store opened by a command may say.
let commandHost = StorageHost(
    wake: {},
    report: { level, text in
        if level == .warning { complain("warning: \(text)") }
    })
