// SPDX-License-Identifier: MIT
//
// Errors, memory, time, processor time and distributions.

#include "load.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

void fail(const char *format, ...) {
    va_list arguments;
    fputs("load: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(EXIT_WRONG);
}

void *allocate(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (!memory) fail("out of memory");
    return memory;
}

static double seconds_of(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t) < 0) return 0;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double now(void) {
    return seconds_of(CLOCK_MONOTONIC);
}

double own_cpu_seconds(void) {
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

double server_cpu_seconds(void) {
    clockid_t clock;
    if (options.server == 0) return 0;
    if (clock_getcpuclockid(options.server, &clock) != 0) fail("there is no process %d", (int)options.server);
    return seconds_of(clock);
}

// MARK: Distributions

void histogram_add(struct histogram *histogram, double seconds) {
    double microseconds = seconds > 0 ? seconds * 1e6 : 0;
    if (microseconds > histogram->longest) histogram->longest = microseconds;
    uint64_t whole = (uint64_t)(microseconds * STEPS);
    uint32_t exponent = 0;
    while (whole >= 2 * STEPS) whole >>= 1, exponent++;
    uint32_t place = exponent * STEPS + (uint32_t)(whole >= STEPS ? whole - STEPS : 0);
    if (place >= STEPS * DOUBLINGS) place = STEPS * DOUBLINGS - 1;
    histogram->counts[place]++;
    histogram->total++;
}

double histogram_percentile(const struct histogram *histogram, double part) {
    uint64_t wanted = (uint64_t)((double)histogram->total * part), seen = 0;
    for (uint32_t place = 0; place < STEPS * DOUBLINGS; place++) {
        seen += histogram->counts[place];
        if (seen > wanted) return (double)((place % STEPS + STEPS + 1) * (UINT64_C(1) << (place / STEPS))) / STEPS;
    }
    return histogram->longest;
}
