// SPDX-License-Identifier: MIT

import LiveServer
import Testing
import TrellisCore
import TrellisServer
import TrellisTestKit

/// A store behind the C interface.
@Suite struct LoadedStorageTests {
    private let folder: PluginFolder
    private let plugin: Plugin<any Storage>

    init() throws {
        folder = try PluginFolder()
        plugin = try loadStorage(try folder.compile("Tests/LoadingTests/Plugins/faulty.c", to: "faulty"))
    }

    private func make(_ fault: String, path: String) -> any Storage {
        var options = Options(defaultsOf: plugin.descriptor.options)
        options.values["path"] = .text(path)
        options.values["fault"] = .text(fault)
        return plugin.make(options)
    }

    @Test func keepsTheContract() throws {
        var places = 0
        try StorageConformance(keepsJobs: true) {
            places += 1
            let path = "\(folder.path)/\(places)"
            return { make("none", path: path) }
        }.run()
    }

    @Test func errorsNameThePluginAndTheFunction() throws {
        let label = "storage.faulty of \(folder.path)/faulty.so"
        let closed = make("open-fails", path: "\(folder.path)/a")
        #expect(throws: StorageError.fatal("\(label), open: the disk isn't there")) {
            try closed.open(.readWrite, host: StorageHost(wake: {}))
        }
        try closed.close()

        let bad = make("gives-a-bad-job", path: "\(folder.path)/b")
        try bad.open(.readWrite, host: StorageHost(wake: {}))
        #expect(throws: StorageError.corrupt("\(label), recover: job 1 came in the state 9, which there isn't")) {
            try bad.recover { _, _ in }
        }
        try bad.close()

        let nonsense = make("commit-answers-nonsense", path: "\(folder.path)/c")
        try nonsense.open(.readWrite, host: StorageHost(wake: {}))
        _ = try nonsense.recover { _, _ in }
        #expect(try nonsense.commit() == .durable)
        put(JobID(1), to: nonsense)
        let error = StorageError.fatal("\(label), commit: answered 77, which it can't in trellis_plugin.h")
        #expect(throws: error) { try nonsense.commit() }
        // It isn't asked again.
        #expect(throws: error) { try nonsense.commit() }
        #expect(throws: error) { try nonsense.completed() }
        #expect(!nonsense.admit(bodyBytes: 1, tubeNameBytes: 1))
        try nonsense.close()

        let locked = make("none", path: "\(folder.path)/d")
        try locked.open(.readWrite, host: StorageHost(wake: {}))
        #expect(
            throws: StorageError.locked("\(label), open: \(folder.path)/d is locked by another process")
        ) {
            try make("none", path: "\(folder.path)/d").open(.readWrite, host: StorageHost(wake: {}))
        }
        try locked.close()
    }

    private func put(_ id: JobID, to store: any Storage) {
        var note = StorageNote()
        Array("default".utf8).withUnsafeBytes { name in
            store.append(
                .put(
                    StoredJob(
                        id: id, tube: BorrowedName(name), state: .ready, priority: 0, delay: 0, ttr: 1, createdAt: 0,
                        deadline: 0, sequence: 1, counters: JobCounters(), body: name)), note: &note)
        }
    }
}
