// SPDX-License-Identifier: MIT

import Glibc
import LiveServer
import Testing

/// One server a folder.
@Suite(.onThreads) struct LockTests {
    /// What a server says that is started in the folder while another uses it.
    private func expectRefusal(_ directory: String, _ server: TrellisProcess) throws {
        for arguments in [
            ["-l", "unix:\(server.folder)/other.sock", "-b", directory],
            ["storage", "dump", "--directory", directory],
        ] {
            let second = try server.startAnother(arguments)
            #expect(second.waitForExit(seconds: 20) == 10, "\(arguments)")
            #expect(
                second.output()
                    == "trellisd: the storage is in use: \(directory) is locked by another server; stop it first\n")
        }
        #expect(!fileExists("\(server.folder)/other.sock"))
    }

    @Test func aFolderOfARunningServerIsRefused() throws {
        let server = try TrellisProcess(storage: "use: binlog, directory: FOLDER/data")
        defer { server.kill() }
        let client = try server.connect()
        try client.put("mine")
        try expectRefusal("\(server.folder)/data", server)
        // beanstalkd sees the lock, too.
        let other = try ChildProcess(
            BeanstalkdProcess.arguments("\(server.folder)/data", try Ports.next()), log: "\(server.folder)/other.log")
        #expect(other.waitForExit(seconds: 20) == 10)
        try client.reserve(1, "mine")
        // A crash gives the lock up.
        server.crash()
        let next = try server.startAgain()
        try next.connect().reserve(1, "mine")
        try next.stop()
    }

    @Test func aFolderOfARunningBeanstalkdIsRefused() throws {
        let server = try TrellisProcess()
        defer { server.kill() }
        let directory = "\(server.folder)/jobs"
        let beanstalkd = try BeanstalkdProcess(directory)
        defer { beanstalkd.stop() }
        let client = try Client(port: beanstalkd.port)
        try client.put("theirs")
        try expectRefusal(directory, server)
        let importing = try server.startAnother(
            ["storage", "import", directory, "--to-directory", "\(server.folder)/new"])
        #expect(importing.waitForExit(seconds: 20) == 10)
        #expect(importing.output().contains("\(directory) is in use: a running beanstalkd has locked"))
        try client.reserve(1, "theirs")
    }
}
