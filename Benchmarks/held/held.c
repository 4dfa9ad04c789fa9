// SPDX-License-Identifier: MIT
//
// Times how long a process holds its mutexes. Loaded before the C library (LD_PRELOAD), it stands in for the functions
// that lock and unlock. Its sums lie in the file that HELD_FILE names, mapped, so that another program can read them
// while the process runs: before and after some work of which it knows how much it was.
//
// With memory storage the only mutex that trellisd takes again and again is the one around an engine that loops share.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

// Who holds a mutex for longer was put off its core meanwhile: that says nothing of the work.
#define INTERRUPTED_NS 1000000

// As suite/experiments/threads.py reads them.
struct sums {
    uint64_t entries;
    uint64_t waits;
    uint64_t held_ns;
    uint64_t interrupted;
};

static struct sums unread, *sums = &unread;
static uint64_t clock_ns;
static int (*lock)(pthread_mutex_t *);
static int (*unlock)(pthread_mutex_t *);
// Of this thread: how many it holds, and since when.
static __thread unsigned depth;
static __thread uint64_t since;

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void add(uint64_t *sum, uint64_t value) { __atomic_fetch_add(sum, value, __ATOMIC_RELAXED); }

static void find(void) {
    *(void **)&lock = dlsym(RTLD_NEXT, "pthread_mutex_lock");
    *(void **)&unlock = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
}

__attribute__((constructor)) static void start(void) {
    if (!lock) find();
    // What reading the clock adds to each time; the least is the one that nothing disturbed.
    clock_ns = UINT64_MAX;
    for (int i = 0; i < 1000; i++) {
        uint64_t first = now(), difference = now() - first;
        if (difference < clock_ns) clock_ns = difference;
    }
    const char *path = getenv("HELD_FILE");
    int file = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (file < 0) return;
    if (ftruncate(file, sizeof *sums) == 0) {
        void *mapped = mmap(NULL, sizeof *sums, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (mapped != MAP_FAILED) sums = mapped;
    }
    close(file);
}

int pthread_mutex_lock(pthread_mutex_t *mutex) {
    if (!lock) find();
    int result = pthread_mutex_trylock(mutex);
    if (result == EBUSY) {
        add(&sums->waits, 1);
        result = lock(mutex);
    }
    if (result == 0 && depth++ == 0) since = now();
    return result;
}

int pthread_mutex_unlock(pthread_mutex_t *mutex) {
    if (!unlock) find();
    if (depth > 0 && --depth == 0) {
        uint64_t held = now() - since;
        add(&sums->entries, 1);
        if (held > INTERRUPTED_NS) {
            add(&sums->interrupted, 1);
        } else if (held > clock_ns) {
            add(&sums->held_ns, held - clock_ns);
        }
    }
    return unlock(mutex);
}
