// SPDX-License-Identifier: MIT
// Calls on files that fail, wait or are slow, as a test says: a server loads it by LD_PRELOAD. In the folder DISK_FAULTS, a
// file NAME.fails holds the error number with which the call NAME fails; while there is NAME.waits, it waits; NAME.slow
// holds the microseconds that it takes longer.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int number_in(const char *call, const char *what)
{
    char path[512], text[16] = {0};
    const char *folder = getenv("DISK_FAULTS");
    snprintf(path, sizeof path, "%s/%s.%s", folder ? folder : "", call, what);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -1;
    long count = read(file, text, sizeof text - 1);
    close(file);
    return count > 0 ? atoi(text) : 0;
}

/// Waits as long as the call is to, and sets errno where it is to fail.
static int is_to_fail(const char *call)
{
    while (number_in(call, "waits") >= 0)
        usleep(1000);
    int slow = number_in(call, "slow");
    if (slow > 0)
        usleep(slow);
    int number = number_in(call, "fails");
    if (number > 0)
        errno = number;
    return number > 0;
}

int fdatasync(int file)
{
    return is_to_fail("fdatasync") ? -1 : (int)syscall(SYS_fdatasync, file);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset)
{
    return is_to_fail("pwrite") ? -1 : syscall(SYS_pwrite64, file, bytes, count, offset);
}

ssize_t pread(int file, void *bytes, size_t count, off_t offset)
{
    // Whole segments are apart from their heads.
    return is_to_fail(count > 65536 ? "pread-whole" : "pread") ? -1 : syscall(SYS_pread64, file, bytes, count, offset);
}

int unlink(const char *path)
{
    return is_to_fail("unlink") ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
