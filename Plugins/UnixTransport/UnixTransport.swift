// SPDX-License-Identifier: MIT

internal import Glibc
public import TrellisCore
internal import TrellisSockets

/// Listens on a Unix socket.
///
/// The file gets the configured mode and owner before anybody can connect, replaces a stale one, and is removed at the
/// end.
public final class UnixTransport: Transport {
    private let path: String
    private let mode: UInt32
    private let owner: String?

    /// The longest path of a socket, in bytes: what fits into a `sockaddr_un` with its terminating zero.
    static let pathBytes = 107

    /// Listens on that path once opened; `owner` is `user` or `user:group`.
    public init(path: String, mode: UInt32, owner: String?) {
        self.path = path
        self.mode = mode
        self.owner = owner
    }

    /// `transport.unix`.
    public static let plugin = Plugin<any Transport>(
        PluginDescriptor(
            kind: .transport, name: "unix", version: "1.0", summary: "Listens on a Unix socket.",
            options: [
                Option(
                    "path", .path,
                    required: "The socket file. A stale one is replaced; one that a live server listens on is refused."),
                Option(
                    "mode", .fileMode, default: .fileMode(0o660),
                    "Permissions of the socket file; to connect, a client needs write permission."),
                Option(
                    "owner", .text, default: nil,
                    "Owner of the socket file, as user or user:group; the user that starts the server unless given."),
            ]),
        validate: { options in
            let path = options.text("path") ?? ""
            if path.isEmpty { return [OptionFault(key: "path", message: "is empty; give the path of a socket file")] }
            guard path.utf8.count > pathBytes else { return [] }
            return [
                OptionFault(key: "path", message: "is longer than \(pathBytes) bytes, the most that the system takes")
            ]
        },
        make: { options in
            UnixTransport(
                path: options.text("path") ?? "", mode: options.fileMode("mode") ?? 0o660, owner: options.text("owner"))
        })

    /// Makes the socket with its mode and owner, and listens.
    public func open() throws(TransportError) -> [any Listener] {
        let owner = try lookUpOwner()
        try removeStale()
        let descriptor = socket(
            AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { throw failure("make a socket for") }
        // Bound with no permissions at all: nobody connects before mode and owner are right. The file gets the mode of the
        // socket; a umask would hold for the files of other threads, too.
        fchmod(descriptor, 0)
        guard withAddress({ bind(descriptor, $0, $1) }) == 0 else {
            let error = failure("listen on")
            close(descriptor)
            throw error
        }
        do throws(TransportError) {
            if let owner, chown(path, owner.user, owner.group) != 0 { throw failure("set the owner of") }
            if chmod(path, mode) != 0 { throw failure("set the mode of") }
            if listen(descriptor, 1024) != 0 { throw failure("listen on") }
        } catch {
            unlink(path)
            close(descriptor)
            throw error
        }
        return [SocketListener(descriptor: descriptor, endpoint: "unix:\(path)", onClose: remover())]
    }

    /// Removes the file at the end, if it is still the one that was made here.
    private func remover() -> () -> Void {
        let path = path
        let made = fileIdentity()
        return {
            var now = stat()
            if let made, lstat(path, &now) == 0, now.st_dev == made.device, now.st_ino == made.inode { unlink(path) }
        }
    }

    private func fileIdentity() -> (device: dev_t, inode: ino_t)? {
        var status = stat()
        return lstat(path, &status) == 0 ? (status.st_dev, status.st_ino) : nil
    }

    private func removeStale() throws(TransportError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw TransportError("can't listen on unix:\(path): a file that is no socket is there; choose another path")
        }
        let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard probe >= 0 else { throw failure("make a socket for") }
        defer { close(probe) }
        setNonBlocking(probe)
        let answer = withAddress { connect(probe, $0, $1) }
        // A full backlog (EAGAIN) is a live server too.
        guard answer != 0, errno == ECONNREFUSED || errno == ENOENT else {
            if answer != 0 && errno != EAGAIN { throw failure("find out who listens on") }
            throw TransportError(
                "can't listen on unix:\(path): a live server listens there; stop it, or choose another path")
        }
        if unlink(path) != 0 && errno != ENOENT { throw failure("replace the stale socket") }
    }

    private func lookUpOwner() throws(TransportError) -> (user: uid_t, group: gid_t)? {
        guard let owner else { return nil }
        let parts = owner.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let entry = getpwnam(parts[0]) else {
            throw TransportError("can't give unix:\(path) to \(parts[0]): there is no such user")
        }
        let user = entry.pointee.pw_uid
        guard parts.count == 2 else { return (user, entry.pointee.pw_gid) }
        guard let group = getgrnam(parts[1]) else {
            throw TransportError("can't give unix:\(path) to the group \(parts[1]): there is no such group")
        }
        return (user, group.pointee.gr_gid)
    }

    private func withAddress(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { bytes in
            for (index, byte) in path.utf8.prefix(Self.pathBytes).enumerated() { bytes[index] = byte }
        }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    private func failure(_ what: String) -> TransportError {
        let number = errno
        let advice =
            switch number {
            case ENOENT: "; make its folder first"
            case EACCES, EPERM: "; the server's user may not write there"
            default: ""
            }
        return TransportError("can't \(what) unix:\(path): \(describe(errorNumber: number))\(advice)")
    }
}
