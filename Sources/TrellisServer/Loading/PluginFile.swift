// SPDX-License-Identifier: MIT

internal import Glibc
internal import TrellisSockets

/// A file that is about to become part of this process.
struct PluginFile {
    /// What is loaded: the path without links.
    let resolvedPath: String

    init(_ path: String, trust: PluginLoader.Trust) throws(PluginLoadError) {
        let resolved = realpath(path, nil)
        let number = errno
        defer { free(resolved) }
        let found = resolved.map { String(cString: $0) }
        if trust == .ownersOnly, !path.hasPrefix("/") {
            throw PluginLoadError(path: path, reason: "must be an absolute path\(found.map { ": \($0)" } ?? "")")
        }
        guard let found else {
            throw PluginLoadError(path: path, reason: "can't be found: \(TrellisSockets.describe(errorNumber: number))")
        }
        resolvedPath = found
        guard trust == .ownersOnly else { return }
        // A link could be led elsewhere by whoever may write the folder that it lies in.
        for item in [resolvedPath, Self.folder(of: resolvedPath), Self.folder(of: path)] {
            if let fault = Self.fault(of: item) { throw PluginLoadError(path: path, reason: fault) }
        }
    }

    private static func folder(of path: String) -> String {
        let folder = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
        return folder.isEmpty ? "/" : String(folder)
    }

    /// Who else may write a file or folder, in words; nil where nobody may.
    private static func fault(of path: String) -> String? {
        var status = stat()
        guard stat(path, &status) == 0 else {
            return "is refused: \(path) can't be looked at: \(TrellisSockets.describe(errorNumber: errno))"
        }
        let user = geteuid()
        if status.st_uid != 0 && status.st_uid != user {
            let owners = user == 0 ? "root" : "root or user \(user), who runs this server"
            return "is refused: \(path) belongs to user \(status.st_uid), and must belong to \(owners)"
        }
        if status.st_mode & (S_IWGRP | S_IWOTH) != 0 {
            let mode = String(status.st_mode & 0o7777, radix: 8)
            return "is refused: \(path) may be written by others than its owner (mode \(mode)); chmod go-w it"
        }
        return nil
    }
}
