// SPDX-License-Identifier: MIT
// What the Glibc module of Swift 6.3 lacks, and calls whose C form Swift can't import (variadic, macros).

#ifndef CLINUX_H
#define CLINUX_H

// No _GNU_SOURCE here: it changes the layout of names that the Glibc module has seen without it.
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>


/// Adds a descriptor to an epoll set. Returns 0 or an errno.
int clinux_epoll_add(int set, int descriptor, uint32_t events, uint64_t token);
/// Changes what is waited for. Returns 0 or an errno.
int clinux_epoll_modify(int set, int descriptor, uint32_t events, uint64_t token);
/// Takes a descriptor out of an epoll set. Returns 0 or an errno.
int clinux_epoll_remove(int set, int descriptor);

/// Accepts a connection, non-blocking and closed on exec. Returns the descriptor, or the errno as a negative number.
int clinux_accept(int listener, struct sockaddr_storage *address, socklen_t *length);

/// The pid, uid and gid at the other end of a Unix socket. Returns 0 or an errno.
int clinux_peer(int descriptor, int32_t *pid, uint32_t *uid, uint32_t *gid);

/// A descriptor for signals that the caller has blocked, non-blocking. Returns it, or the errno as a negative number.
int clinux_signal_descriptor(const sigset_t *set);

/// The number of the next signal of such a descriptor, 0 if there is none.
int clinux_next_signal(int descriptor);

/// Takes the write lock of a whole file for this open file, without waiting. Returns 0 or an errno: EAGAIN or EACCES
/// where another open file, of this process or of another, has a lock, or another process has one by lockf.
int clinux_lock(int descriptor);

/// Gives that lock up, also where a process that is being started has the descriptor, too, for a moment.
void clinux_unlock(int descriptor);

/// Gives a file room on the disk for its first bytes, and makes it that long if it is shorter. Returns 0 or an errno.
int clinux_reserve(int descriptor, int64_t bytes);

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4) of bytes, going on from the CRC of those before them (0 at the beginning).
/// Uses the processor's instruction where there is one.
uint32_t clinux_crc32c(uint32_t crc, const void *bytes, size_t count);

/// The same without that instruction, for machines that lack it; the tests compare the two.
uint32_t clinux_crc32c_portable(uint32_t crc, const void *bytes, size_t count);

/// Has the processor fetch up to 1 KiB into its cache, from there on.
static inline void clinux_prefetch(const void *bytes, size_t count) {
    for (size_t line = 0; line < count && line < 1024; line += 64) __builtin_prefetch((const char *)bytes + line);
}

/// How many processors this process may run on, at least 1.
int clinux_processors(void);

/// Lets malloc map blocks of that size or more one by one from now on. It would else raise that size to that of any
/// mapped block that is freed, up to 32 MiB, and what lies in its heap goes back to the system from the end only.
void clinux_map_large_blocks(size_t bytes);

/// Mounts an empty file system of that size on a folder, for this process and its children alone; without root in a user
/// namespace, which needs a process with one thread. Returns 0 or an errno.
int clinux_mount_small_disk(const char *folder, uint64_t bytes);

#endif
