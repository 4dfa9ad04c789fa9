// SPDX-License-Identifier: MIT

internal import Glibc
internal import TrellisFiles

/// All that a faulty file system knows; its owner guards it by a lock.
struct FaultyState: Sendable {
    typealias Call = FaultyFileSystem.Call
    typealias Fault = FaultyFileSystem.Fault

    /// What `begin` lets a call do.
    enum Course {
        case whole
        case short(Int32?)
    }

    struct CallNumber: Hashable, Sendable {
        var call: Call
        var number: Int
    }

    // The script.
    var faults: [Int: Fault] = [:]
    var faultsOfCalls: [CallNumber: Fault] = [:]
    var standing: [Call: Int32] = [:]
    var count = 0
    var counts: [Call: Int] = [:]
    var log: [String]?
    var isOff = false

    // The disk.
    var capacity: UInt64?
    private(set) var folders: [String: FaultyFolder] = ["/": FaultyFolder()]
    private(set) var nodes: [Int: FaultyNode] = [:]
    private var handles: [Int: Int] = [:]
    private var newest = 0

    // MARK: Calls

    /// Counts a call, and throws if it is to fail.
    mutating func begin(_ call: Call, _ path: String, _ detail: String = "") throws(FileError) -> Course {
        count += 1
        let ofCall = counts[call, default: 0] + 1
        counts[call] = ofCall
        log?.append(detail.isEmpty ? "\(call.rawValue) \(path)" : "\(call.rawValue) \(path) \(detail)")
        if isOff { throw failure(call, path, EIO) }
        let fault = faults[count] ?? faultsOfCalls[CallNumber(call: call, number: ofCall)]
        switch fault {
        case .powerLoss:
            isOff = true
            throw failure(call, path, EIO)
        case .error(let number): throw failure(call, path, number)
        case nil, .shortWrite, .shortWriteThenError: break
        }
        if let number = standing[call] { throw failure(call, path, number) }
        switch fault {
        case .shortWrite where call == .write: return .short(nil)
        case .shortWriteThenError(let number) where call == .write: return .short(number)
        default: return .whole
        }
    }

    func failure(_ call: Call, _ path: String, _ number: Int32) -> FileError {
        FileError(call: call.systemCall, path: path, number: number)
    }

    func checkPower(_ call: String, _ path: String) throws(FileError) {
        if isOff { throw FileError(call: call, path: path, number: EIO) }
    }

    // MARK: Names

    /// `/a/b` for `a//b/`; everything is below `/`.
    static func normal(_ path: String) -> String {
        "/" + path.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
    }

    /// The folder of a normal path and the name in it.
    static func parts(_ path: String) -> (folder: String, name: String) {
        let slash = path.lastIndex(of: "/") ?? path.startIndex
        let folder = slash == path.startIndex ? "/" : String(path[..<slash])
        return (folder, String(path[path.index(after: slash)...]))
    }

    static func path(of name: String, in folder: String) -> String {
        folder == "/" ? "/" + name : folder + "/" + name
    }

    func file(at path: String) -> Int? {
        let (folder, name) = Self.parts(Self.normal(path))
        guard case .file(let id) = folders[folder]?.live[name] else { return nil }
        return id
    }

    private func file(at path: String, for call: Call) throws(FileError) -> Int {
        let (folder, name) = Self.parts(Self.normal(path))
        switch folders[folder]?.live[name] {
        case .file(let id): return id
        case .folder: throw failure(call, path, EISDIR)
        case nil: throw failure(call, path, ENOENT)
        }
    }

    // MARK: The calls of a file system

    mutating func open(_ path: String, _ mode: OpenMode) throws(FileError) -> (node: Int, handle: Int) {
        _ = try begin(.open, path, "\(mode)")
        let id: Int
        if mode == .create {
            let (folder, name) = Self.parts(Self.normal(path))
            guard let entries = folders[folder]?.live else { throw failure(.open, path, ENOENT) }
            guard entries[name] == nil, !name.isEmpty else { throw failure(.open, path, EEXIST) }
            newest += 1
            id = newest
            nodes[id] = FaultyNode(path: Self.normal(path))
            folders[folder]?.perform(.add(name, .file(id)))
        } else {
            id = try file(at: path, for: .open)
        }
        newest += 1
        handles[newest] = id
        nodes[id]?.opens += 1
        return (id, newest)
    }

    mutating func rename(_ path: String, to newPath: String) throws(FileError) {
        _ = try begin(.rename, path, "to \(newPath)")
        let id = try file(at: path, for: .rename)
        let (folder, name) = Self.parts(Self.normal(path))
        let (newFolder, newName) = Self.parts(Self.normal(newPath))
        guard folder == newFolder else { throw failure(.rename, path, EXDEV) }
        switch folders[folder]?.live[newName] {
        case .file(id): return
        case .file(let replaced): nodes[replaced]?.links -= 1
        case .folder: throw failure(.rename, path, EISDIR)
        case nil: break
        }
        folders[folder]?.perform(.rename(name, to: newName))
        nodes[id]?.path = Self.normal(newPath)
    }

    mutating func remove(_ path: String) throws(FileError) {
        _ = try begin(.remove, path)
        let id = try file(at: path, for: .remove)
        let (folder, name) = Self.parts(Self.normal(path))
        folders[folder]?.perform(.remove(name))
        nodes[id]?.links -= 1
    }

    mutating func list(_ path: String) throws(FileError) -> [String] {
        _ = try begin(.list, path)
        guard let folder = folders[Self.normal(path)] else { throw failure(.list, path, ENOENT) }
        return folder.live.keys.sorted()
    }

    mutating func makeFolder(_ path: String) throws(FileError) {
        _ = try begin(.makeFolder, path)
        try addFolder(path)
    }

    /// Makes a folder and those above it that are missing.
    private mutating func addFolder(_ path: String) throws(FileError) {
        let path = Self.normal(path)
        guard folders[path] == nil else { return }
        let (above, name) = Self.parts(path)
        try addFolder(above)
        guard folders[above]?.live[name] == nil else { throw failure(.makeFolder, path, EEXIST) }
        folders[above]?.perform(.add(name, .folder))
        folders[path] = FaultyFolder()
    }

    mutating func syncFolder(_ path: String) throws(FileError) {
        _ = try begin(.syncFolder, path)
        guard folders[Self.normal(path)] != nil else { throw failure(.syncFolder, path, ENOENT) }
        folders[Self.normal(path)]?.sync()
        forgetUnreachable()
    }

    func freeBytes(_ path: String) throws(FileError) -> UInt64 {
        try checkPower("statvfs", path)
        guard folders[Self.normal(path)] != nil else { throw FileError(call: "statvfs", path: path, number: ENOENT) }
        let page = UInt64(FaultyContent.pageSize)
        let all = capacity ?? 1 << 50
        return all > usedBytes ? (all - usedBytes) / page * page : 0
    }

    // MARK: Room

    var usedBytes: UInt64 {
        var pages = 0
        for node in nodes.values where node.links > 0 || node.opens > 0 { pages += node.live.usedPages }
        return UInt64(pages * FaultyContent.pageSize)
    }

    /// How many more pages the disk has room for.
    var freePages: Int {
        guard let capacity else { return .max }
        return capacity > usedBytes ? Int(capacity - usedBytes) / FaultyContent.pageSize : 0
    }

    // MARK: Files

    /// Changes a file that exists: somebody has it open.
    mutating func change(_ id: Int, _ body: (inout FaultyNode) -> Void) {
        guard var node = nodes[id] else { return }
        // Were it still in the table, the change would copy its pages.
        nodes[id] = nil
        body(&node)
        nodes[id] = node
    }

    func isOpen(_ handle: Int) -> Bool { handles[handle] != nil }

    mutating func close(_ handle: Int) {
        guard let id = handles.removeValue(forKey: handle) else { return }
        nodes[id]?.opens -= 1
        if nodes[id]?.lockHolder == handle { nodes[id]?.lockHolder = nil }
        if let node = nodes[id], node.links == 0, node.opens == 0 { forgetUnreachable() }
    }

    private mutating func forgetUnreachable() {
        let reachable = Set(folders.values.flatMap(\.files)).union(handles.values)
        if reachable.count < nodes.count { nodes = nodes.filter { reachable.contains($0.key) } }
    }

    // MARK: What tests do behind a program's back

    mutating func setContents(_ path: String, _ bytes: [UInt8]) throws(FileError) {
        let path = Self.normal(path)
        let (folder, name) = Self.parts(path)
        try addDurableFolder(folder)
        if let id = file(at: path) {
            change(id) { $0.replaceContent(FaultyContent(bytes)) }
        } else {
            guard folders[folder]?.live[name] == nil else { throw failure(.open, path, EISDIR) }
            newest += 1
            nodes[newest] = FaultyNode(path: path, content: FaultyContent(bytes))
            folders[folder]?.perform(.add(name, .file(newest)))
        }
        folders[folder]?.sync()
    }

    mutating func addDurableFolder(_ path: String) throws(FileError) {
        try addFolder(path)
        var path = Self.normal(path)
        while path != "/" {
            path = Self.parts(path).folder
            folders[path]?.sync()
        }
    }

    // MARK: Ends

    /// What a process finds that starts after this one was killed.
    func killed() -> FaultyState {
        var result = self
        result.faults = [:]
        result.faultsOfCalls = [:]
        result.standing = [:]
        result.count = 0
        result.counts = [:]
        result.log = nil
        result.isOff = false
        result.handles = [:]
        result.nodes = nodes.mapValues { node in
            var node = node
            node.opens = 0
            node.lockHolder = nil
            node.nextWriteError = nil
            return node
        }
        result.forgetUnreachable()
        return result
    }

    /// What is found after a power loss.
    func crashed(_ decider: inout some CrashDecider) -> FaultyState {
        var result = FaultyState()
        result.capacity = capacity
        result.newest = newest
        var left = ["/"]
        while let path = left.popLast() {
            guard let folder = folders[path] else { continue }
            let entries = folder.crashed(&decider, at: path)
            result.folders[path] = FaultyFolder(entries)
            for (name, entry) in entries.sorted(by: { $0.key < $1.key }) {
                let path = Self.path(of: name, in: path)
                switch entry {
                case .folder: left.append(path)
                case .file(let id):
                    if let node = nodes[id] {
                        result.nodes[id] = FaultyNode(path: path, content: node.crashed(&decider))
                    }
                }
            }
        }
        return result
    }
}
