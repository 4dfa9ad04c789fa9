// SPDX-License-Identifier: MIT

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "CLinux.h"

static int write_text(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return errno;
    ssize_t count = write(file, text, strlen(text));
    int result = count < 0 ? errno : 0;
    close(file);
    return result;
}

/// Becomes root in a user namespace of its own, for which nobody's leave is needed on most systems.
static int enter_user_namespace(void) {
    unsigned user = geteuid(), group = getegid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return errno;
    char map[64];
    snprintf(map, sizeof map, "0 %u 1", user);
    int result = write_text("/proc/self/uid_map", map);
    if (result == 0) result = write_text("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", group);
    return result != 0 ? result : write_text("/proc/self/gid_map", map);
}

int clinux_mount_small_disk(const char *folder, uint64_t bytes) {
    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0) {
        int result = enter_user_namespace();
        if (result != 0) return result;
    }
    // What is mounted here isn't to be seen elsewhere.
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return errno;
    char options[64];
    snprintf(options, sizeof options, "size=%llu,mode=0700", (unsigned long long)bytes);
    return mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, options) == 0 ? 0 : errno;
}
