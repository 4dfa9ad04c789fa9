// SPDX-License-Identifier: MIT

internal import Glibc

/// Becomes another user for good, with that user's groups.
///
/// Nothing is done where the process is that user already.
func becomeUser(_ name: String) throws(ServerError) {
    guard let entry = getpwnam(name) else {
        throw .privileges("can't become the user \(name): there is no such user; make one or choose another")
    }
    let user = entry.pointee.pw_uid
    let group = entry.pointee.pw_gid
    if geteuid() == user { return }
    guard geteuid() == 0 else {
        throw .privileges("can't become the user \(name): only root can; start as root or as \(name)")
    }
    guard initgroups(name, group) == 0, setgid(group) == 0, setuid(user) == 0 else {
        throw .system("can't become the user \(name)", errno)
    }
    // The way back must be shut: a process that can become root again hasn't dropped anything.
    if setuid(0) == 0 && user != 0 { throw .privileges("the user \(name) could become root again") }
}
