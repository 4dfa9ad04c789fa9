// SPDX-License-Identifier: MIT

import Glibc
import LiveServer
import Testing

/// A small file system of its own, which can really be full.
struct SmallDisk {
    enum Kind: String, CaseIterable, Sendable {
        /// In memory.
        case tmpfs
        /// In a file, through a loop device.
        case ext4
    }

    /// Where it is.
    let path: String
    private let folder: String

    /// Why none of that kind can be had here; nil where one can.
    static func refusal(_ kind: Kind) -> String? { refusals[kind] ?? nil }

    private static let refusals: [Kind: String?] = {
        var refusals: [Kind: String?] = [:]
        for kind in Kind.allCases {
            do throws(Unexpected) {
                try SmallDisk(kind, mebibytes: 4).remove()
                refusals[kind] = .some(nil)
            } catch {
                refusals[kind] = "\(error)"
            }
        }
        return refusals
    }()

    init(_ kind: Kind, mebibytes: Int = 24) throws(Unexpected) {
        guard geteuid() == 0 else { throw Unexpected("only root can mount a file system") }
        folder = try makeTemporaryFolder()
        path = "\(folder)/disk"
        mkdir(path, 0o700)
        do {
            switch kind {
            case .tmpfs: try Self.run(["mount", "-t", "tmpfs", "-o", "size=\(mebibytes)m", "tmpfs", path], folder)
            case .ext4:
                let image = "\(folder)/image"
                try Self.run(["truncate", "-s", "\(mebibytes)M", image], folder)
                try Self.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], folder)
                try Self.run(["mount", "-o", "loop", image, path], folder)
            }
        } catch {
            removeFolder(folder)
            throw error
        }
    }

    private static func run(_ command: [String], _ folder: String) throws(Unexpected) {
        let process = try ChildProcess(
            ["/usr/bin/env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"] + command, log: "\(folder)/said")
        guard process.waitForExit(seconds: 30) == 0 else {
            let said = process.output().split(separator: "\n").first ?? ""
            throw Unexpected("\(command.joined(separator: " ")): \(said)")
        }
    }

    /// Bytes that are free.
    var freeBytes: UInt64 {
        var status = statvfs()
        return statvfs(path, &status) == 0 ? UInt64(status.f_bavail) * UInt64(status.f_frsize) : 0
    }

    /// Fills all that is free with a file.
    func fill(_ name: String) throws(Unexpected) {
        let file = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Unexpected("can't make a file in \(path)") }
        defer { close(file) }
        let piece = [UInt8](repeating: 1, count: 65_536)
        var size = piece.count
        while size > 0 {
            if write(file, piece, size) <= 0 { size /= 2 }
        }
    }

    /// Removes a file of it.
    func remove(_ name: String) { unlink("\(path)/\(name)") }

    /// Unmounts it; what is in it is lost.
    func remove() throws(Unexpected) {
        try Self.run(["umount", path], folder)
        removeFolder(folder)
    }
}

extension Trait where Self == ConditionTrait {
    /// For a test that needs a file system of its own: it is skipped, with the reason, where none can be had.
    static func needs(_ kind: SmallDisk.Kind) -> Self {
        let refusal = SmallDisk.refusal(kind)
        return .enabled(if: refusal == nil, "no \(kind.rawValue) of its own can be had here: \(refusal ?? "")")
    }
}
