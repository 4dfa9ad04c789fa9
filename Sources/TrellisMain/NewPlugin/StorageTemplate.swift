// SPDX-License-Identifier: MIT

/// The package that `trellisd new-plugin storage` writes.
struct StorageTemplate {
    /// The name of the plugin, such as `my-store`.
    let name: String
    /// The path of a checkout of Trellis.
    let checkout: String

    /// The name of the type and its module, such as `MyStoreStorage`.
    var type: String {
        name.split(separator: "-").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined() + "Storage"
    }

    /// Every file: its path in the package and its text.
    var files: [(path: String, text: String)] {
        [
            ("Package.swift", Self.package),
            ("Sources/\(type)/\(type).swift", Self.store),
            ("Sources/\(type)/Record.swift", Self.record),
            ("Sources/trellisd-\(name)/Main.swift", Self.main),
            ("Tests/\(type)Tests/\(type)Tests.swift", Self.tests),
            ("README.md", Self.readme),
            (".gitignore", ".build\n"),
        ].map { path, text in
            let filled = text.replacing("__TYPE__", with: type).replacing("__NAME__", with: name)
            return (path, filled.replacing("__CHECKOUT__", with: quoted(checkout)))
        }
    }

    /// A text as a literal of Swift.
    private func quoted(_ text: String) -> String {
        "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }

    private static let package = #"""
        // swift-tools-version: 6.2

        import PackageDescription

        let package = Package(
            name: "__NAME__-storage",
            dependencies: [.package(name: "trellis", path: __CHECKOUT__)],
            targets: [
                .target(
                    name: "__TYPE__",
                    dependencies: [
                        .product(name: "TrellisCore", package: "trellis"),
                        .product(name: "TrellisFiles", package: "trellis"),
                    ]),
                .executableTarget(
                    name: "trellisd-__NAME__",
                    dependencies: ["__TYPE__", .product(name: "TrellisMain", package: "trellis")]),
                .testTarget(
                    name: "__TYPE__Tests",
                    dependencies: [
                        "__TYPE__",
                        .product(name: "TrellisFiles", package: "trellis"),
                        .product(name: "TrellisTestKit", package: "trellis"),
                    ]),
            ]
        )

        """#

    private static let main = #"""
        import TrellisMain
        import __TYPE__

        /// `trellisd` with one more store: `storage: {use: __NAME__}`.
        @main
        struct Main {
            static func main() { runServer(plugins: builtInPlugins + [.storage(__TYPE__.plugin)]) }
        }

        """#

    private static let store = #"""
        public import TrellisCore
        public import TrellisFiles

        /// A store that appends every change to one file.
        ///
        /// It keeps the contract but for what is marked "Left to you" here and in README.md.
        public final class __TYPE__: Storage {
            /// `storage.__NAME__`.
            public static let plugin = Plugin<any Storage>(
                PluginDescriptor(
                    kind: .storage, name: "__NAME__", version: "0.1", summary: "Appends every change to a file.",
                    options: [
                        Option("directory", .path, default: .text("data"), "The folder of the file. It is made where there is none.")
                    ])
            ) { __TYPE__(directory: $0.text("directory") ?? "data") }

            private let directory: String
            private let path: String
            private let files: any FileSystem
            private var file: (any File)?
            /// Where the next record goes.
            private var end: UInt64 = 0
            /// The records of this turn.
            private var turn: [UInt8] = []

            /// A store in that folder; nothing is opened yet.
            public init(directory: String, files: any FileSystem = LinuxFileSystem.shared) {
                self.directory = directory
                self.files = files
                path = directory + "/jobs.log"
            }

            public func open(_ access: StorageAccess, host: StorageHost) throws(StorageError) {
                var isOurs = true
                do throws(FileError) {
                    if access == .readOnly {
                        file = try files.open(path, .read)
                        return
                    }
                    try files.makeFolder(directory)
                    // A file is on the disk for certain when the folder that names it is; so is a folder.
                    try files.syncFolder(above)
                    let isNew = !(try files.list(directory).contains("jobs.log"))
                    let file = try files.open(path, isNew ? .create : .update)
                    self.file = file
                    isOurs = try file.lock()
                    // Also where it isn't new: who made it may have been ended before this line.
                    try files.syncFolder(directory)
                } catch {
                    throw error.isFull ? .full("\(error)") : .fatal("\(error)")
                }
                guard isOurs else { throw .locked("\(path) is locked by another process") }
            }

            /// The folder that the folder lies in.
            private var above: String {
                guard let slash = directory.lastIndex(of: "/") else { return "." }
                return slash == directory.startIndex ? "/" : String(directory[..<slash])
            }

            public func recover(_ deliver: (StoredJob, StorageNote) -> Void) throws(StorageError) -> JobID {
                guard let file else { return JobID(0) }
                var jobs: [UInt64: Record] = [:]
                var highest: UInt64 = 0
                do throws(FileError) {
                    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(try file.size()), alignment: 1)
                    defer { buffer.deallocate() }
                    let count = try file.readAll(at: 0, into: buffer)
                    var rest = Array(buffer[..<count])[...]
                    while let record = Record(from: &rest) {
                        highest = max(highest, record.id)
                        switch record.kind {
                        case .put, .move: jobs[record.id] = record
                        case .update: jobs[record.id]?.update(by: record)
                        case .delete: jobs[record.id] = nil
                        }
                    }
                    end = UInt64(rest.startIndex)
                    // A turn that was being written when the process ended: nobody was told that it is there. What follows
                    // must not be taken for the end of what comes now.
                    if !rest.isEmpty {
                        try file.resize(to: end)
                        try file.sync()
                    }
                } catch {
                    throw .fatal("\(error)")
                }
                for record in jobs.values { record.lend { deliver($0, StorageNote()) } }
                return JobID(highest)
            }

            // Left to you: a full disk. Say false while a put would take room that changes of the live jobs need.
            public func admit(bodyBytes: Int, tubeNameBytes: Int) -> Bool { true }

            public func append(_ change: Change, note: inout StorageNote) { turn += Record(change).encoded }

            // Left to you: compaction. The file grows with every change; copy what is live into a new one, step by step.
            // Once records are dropped, the highest id needs a place of its own.
            public func maintain(_ job: JobVisitor) throws(StorageError) -> Bool { false }

            // Left to you: speed. The server waits for the disk here; a thread could write, and a ticket tell how far it is.
            public func commit() throws(StorageError) -> Commit {
                guard let file, !turn.isEmpty else { return .durable }
                // Whatever becomes of it: what failed once is never tried again.
                defer { turn = [] }
                do throws(FileError) {
                    let write = turn.withUnsafeBytes { bytes in
                        Result { () throws(FileError) in try file.writeAll(bytes, at: end) }
                    }
                    try write.get()
                    try file.sync()
                } catch {
                    throw .fatal("\(error)")
                }
                end += UInt64(turn.count)
                return .durable
            }

            public func completed() -> Ticket { Ticket(0) }

            public var isCongested: Bool { false }

            public func segment(of note: StorageNote) -> UInt64 { 0 }

            public var statistics: StorageStatistics { StorageStatistics() }

            public func close() throws(StorageError) {
                defer {
                    file?.close()
                    file = nil
                }
                _ = try commit()
            }
        }

        """#

    private static let record = #"""
        import TrellisCore
        import TrellisFiles

        /// One change as it lies in the file: length, checksum, numbers, tube, body.
        struct Record {
            enum Kind: UInt8 {
                case put = 1
                case update = 2
                case delete = 3
                case move = 4
            }

            let kind: Kind
            let id: UInt64
            /// All numbers of the job in one order, the same for reading and writing.
            private var numbers: [UInt64]
            private let tube: [UInt8]
            private let body: [UInt8]

            private static let count = 13

            init(_ change: Change) {
                let job: StoredJob
                switch change {
                case .put(let put): (kind, job) = (.put, put)
                case .update(let update): (kind, job) = (.update, update)
                case .delete(let delete): (kind, job) = (.delete, delete)
                case .move(let move, _): (kind, job) = (.move, move)
                }
                id = job.id.rawValue
                let counters = job.counters
                numbers = [
                    UInt64(job.state.rawValue), UInt64(job.priority), UInt64(job.delay), UInt64(job.ttr),
                    UInt64(bitPattern: job.createdAt), UInt64(bitPattern: job.deadline), job.sequence,
                    UInt64(counters.reserves), UInt64(counters.timeouts), UInt64(counters.releases),
                    UInt64(counters.buries), UInt64(counters.kicks), UInt64(counters.failures),
                ]
                tube = Array(job.tube.bytes)
                body = Array(job.body)
            }

            /// Takes the state of a later record; tube and body stay.
            mutating func update(by later: Record) { numbers = later.numbers }

            /// Shows the record as a job.
            func lend(_ use: (StoredJob) -> Void) {
                func number(_ index: Int) -> UInt32 { UInt32(truncatingIfNeeded: numbers[index]) }
                var counters = JobCounters()
                (counters.reserves, counters.timeouts, counters.releases) = (number(7), number(8), number(9))
                (counters.buries, counters.kicks) = (number(10), number(11))
                counters.failures = UInt8(clamping: number(12))
                tube.withUnsafeBytes { tube in
                    body.withUnsafeBytes { body in
                        use(
                            StoredJob(
                                id: JobID(id), tube: BorrowedName(tube),
                                state: StoredJob.State(rawValue: UInt8(truncatingIfNeeded: numbers[0])) ?? .ready,
                                priority: number(1), delay: number(2), ttr: number(3),
                                createdAt: Int64(bitPattern: numbers[4]), deadline: Int64(bitPattern: numbers[5]),
                                sequence: numbers[6], counters: counters, body: body))
                    }
                }
            }

            var encoded: [UInt8] {
                var content = [kind.rawValue] + bytes(id)
                for number in numbers { content += bytes(number) }
                content += [UInt8(tube.count)] + tube + body
                let sum = content.withUnsafeBytes { Checksum.crc32c($0) }
                return bytes(UInt32(content.count)) + bytes(sum) + content
            }

            /// Takes the first record off some bytes; nil, and nothing taken, where none is whole.
            init?(from bytes: inout ArraySlice<UInt8>) {
                var rest = bytes
                guard let length: UInt32 = take(&rest), let sum: UInt32 = take(&rest), length <= rest.count,
                    rest.prefix(Int(length)).withUnsafeBytes({ Checksum.crc32c($0) }) == sum
                else { return nil }
                var content = rest.prefix(Int(length))
                guard let kind = content.popFirst().flatMap({ Kind(rawValue: $0) }), let id: UInt64 = take(&content) else {
                    return nil
                }
                self.kind = kind
                self.id = id
                numbers = []
                for _ in 0..<Self.count {
                    guard let number: UInt64 = take(&content) else { return nil }
                    numbers.append(number)
                }
                guard let tubeBytes = content.popFirst(), tubeBytes <= content.count else { return nil }
                tube = Array(content.prefix(Int(tubeBytes)))
                body = Array(content.dropFirst(Int(tubeBytes)))
                bytes = rest.dropFirst(Int(length))
            }
        }

        private func bytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
            withUnsafeBytes(of: number.littleEndian) { Array($0) }
        }

        /// Takes a number off the front.
        private func take<Number: FixedWidthInteger>(_ bytes: inout ArraySlice<UInt8>) -> Number? {
            let size = MemoryLayout<Number>.size
            guard bytes.count >= size else { return nil }
            defer { bytes = bytes.dropFirst(size) }
            return bytes.prefix(size).withUnsafeBytes { Number(littleEndian: $0.loadUnaligned(as: Number.self)) }
        }

        """#

    private static let tests = #"""
        import Foundation
        import Testing
        import TrellisFiles
        import TrellisTestKit
        import __TYPE__

        @Suite struct __TYPE__Tests {
            /// A folder that goes with the test.
            private final class Scratch {
                let path = FileManager.default.temporaryDirectory.appending(path: "__NAME__-\(UUID().uuidString)").path

                deinit { try? FileManager.default.removeItem(atPath: path) }
            }

            @Test func keepsTheContract() throws {
                try StorageConformance(keepsJobs: true) {
                    let scratch = Scratch()
                    return { __TYPE__(directory: scratch.path) }
                }.run()
            }

            @Test func survivesPowerLossAndFailingCalls() throws {
                try FaultyFilesTest { __TYPE__(directory: "/jobs", files: $0) }.run([.powerLoss, .failingCalls])
            }

            @Test(.disabled("left to you: admit, and compaction"))
            func aFullDiskRefusesPutsAndNothingElse() throws {
                try FaultyFilesTest { __TYPE__(directory: "/jobs", files: $0) }.run([.fullDisk])
            }
        }

        """#

    private static let readme = #"""
        # A store for Trellis

        `__NAME__` appends every change to one file. It works, and is a beginning:

        | | |
        |---|---|
        | jobs, states, counters, the highest id outlive a restart | done, and tested by `swift test` |
        | a power failure or a failing call costs nothing that was acknowledged | done, and tested by `swift test` |
        | a full disk refuses puts and nothing else | left to you: `admit` |
        | the file shrinks again | left to you: `maintain` |
        | the server goes on while the disk syncs | left to you: `commit` answers `.pending`, `completed`, `isCongested`, `host.wake` |
        | `stats` tells how much is stored | left to you: `statistics` |

        Take away the `.disabled` from the last test when you come to it. The rest is tested by the server itself:

            swift build
            .build/debug/trellisd-__NAME__ plugins test storage __NAME__

        And to use it:

            .build/debug/trellisd-__NAME__ --config trellis.yaml     # storage: {use: __NAME__, directory: data}

        The guide is `docs/plugins/storage.md` of Trellis.

        """#
}
