// SPDX-License-Identifier: MIT

import CSQLite
import Foundation
import Testing
import TrellisCore
import TrellisTestKit

@testable import SQLiteStorage

/// `trellisd-sqlite plugins test storage sqlite` tests the rest: SIGKILL, a full disk.
@Suite struct SQLiteStorageTests {
    /// A folder that goes with the test.
    private final class Scratch {
        let path = FileManager.default.temporaryDirectory.appending(path: "sqlite-storage-\(UUID().uuidString)").path

        init() { try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    @Test func keepsTheContract() throws {
        try StorageConformance(keepsJobs: true) {
            let scratch = Scratch()
            return { SQLiteStorage(path: scratch.path + "/jobs.sqlite") }
        }.run()
    }

    @Test func oneServerAtATime() throws {
        let scratch = Scratch()
        let path = scratch.path + "/jobs.sqlite"
        let (first, second) = (SQLiteStorage(path: path), SQLiteStorage(path: path))
        try first.open(.readWrite, host: StorageHost(wake: {}))
        #expect(throws: StorageError.locked("\(path): database is locked")) {
            try second.open(.readWrite, host: StorageHost(wake: {}))
        }
        try second.close()
        try first.close()
    }

    @Test func aDatabaseOfTheFirstSchemaIsBroughtToTheNewest() throws {
        let scratch = Scratch()
        let path = scratch.path + "/jobs.sqlite"
        let old = try Database(path, isReadOnly: false)
        try old.run(SQLiteStorage.migrations[0])
        try old.run("INSERT INTO jobs VALUES (7, 'emails', 'body', 60, 0, 1, 5, 0, 0, 1); PRAGMA user_version = 1")
        old.close()
        let store = SQLiteStorage(path: path)
        try store.open(.readWrite, host: StorageHost(wake: {}))
        var bodies: [String] = []
        let highest = try store.recover { job, _ in bodies.append(String(decoding: job.body, as: UTF8.self)) }
        #expect(bodies == ["body"] && highest == JobID(7))
        try store.close()
    }

    @Test func aNewerSchemaIsLeftAlone() throws {
        let scratch = Scratch()
        let path = scratch.path + "/jobs.sqlite"
        let newer = try Database(path, isReadOnly: false)
        try newer.run("PRAGMA user_version = 99")
        newer.close()
        let store = SQLiteStorage(path: path)
        #expect(throws: StorageError.fatal("\(path) has schema 99, and this program knows only 3")) {
            try store.open(.readWrite, host: StorageHost(wake: {}))
        }
        try store.close()
    }
}
