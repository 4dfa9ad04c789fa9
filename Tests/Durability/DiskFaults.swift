// SPDX-License-Identifier: MIT

import Glibc
import LiveServer

/// Makes calls on files of a real server fail, wait or take long, by a library that it loads before all others.
struct DiskFaults {
    private let folder: String
    private let library: String

    /// Makes the library, with the compiler that Swift brings along or any other.
    init() throws(Unexpected) {
        folder = try makeTemporaryFolder()
        library = "\(folder)/faults.so"
        let source = "\(#filePath.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" })/disk_faults.c"
        var said = ""
        for compiler in ["clang", "cc", "gcc"] {
            guard
                let process = try? ChildProcess(
                    [compiler, "-shared", "-fPIC", "-O1", "-o", library, source], log: "\(folder)/compiler.log")
            else { continue }
            if process.waitForExit(seconds: 60) == 0 { return }
            said += process.output()
        }
        removeFolder(folder)
        throw Unexpected("no C compiler (clang, cc, gcc) can make a library of \(source): \(said)")
    }

    /// What the shell does before it becomes a server that has the faults.
    var shell: String { "export DISK_FAULTS=\(folder) LD_PRELOAD=\(library)" }

    /// From now on the call fails.
    func fail(_ call: String, _ number: Int32) throws(Unexpected) {
        // It is there whole or not at all.
        try writeFile("\(folder)/next", "\(number)")
        rename("\(folder)/next", "\(folder)/\(call).fails")
    }

    /// From now on the call waits until `goOn`.
    func hold(_ call: String) throws(Unexpected) { try writeFile("\(folder)/\(call).waits", "") }

    /// The call waits no more.
    func goOn(_ call: String) { unlink("\(folder)/\(call).waits") }

    /// From now on the call takes so much longer.
    func slow(_ call: String, milliseconds: Int) throws(Unexpected) {
        try writeFile("\(folder)/\(call).slow", "\(milliseconds * 1000)")
    }

    /// All calls do what they should.
    func heal() {
        for call in ["fdatasync", "pwrite", "pread", "pread-whole", "unlink"] {
            for what in ["fails", "waits", "slow"] { unlink("\(folder)/\(call).\(what)") }
        }
    }

    /// Removes the library.
    func remove() { removeFolder(folder) }
}
