// SPDX-License-Identifier: MIT
// A scheduler that is first come, first served, with a planted fault: the option `fault` says which. It is as simple as can
// be, and slow. The macro DEFECT makes one that can't be loaded.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "trellis_plugin.h"

#ifndef DEFECT
#define DEFECT 0
#endif
enum { NO_PICK = 1, NO_TABLE, OLD_PLUGIN };

enum { SLOTS = 100000, TUBES = 1000 };

struct trellis_order {
    char fault[32];
    // By slot; 0 where no ready job is.
    uint64_t ids[SLOTS];
    uint32_t tubes[SLOTS];
    uint32_t slots;
    bool is_held[TUBES];
    uint32_t last_removed;
};

static bool has(const struct trellis_order *order, const char *fault) { return strcmp(order->fault, fault) == 0; }

static int32_t open_order(
    const struct trellis_order_open *request, struct trellis_order **result, char *error, size_t capacity
) {
    if (strcmp(request->values[0].text, "open-fails") == 0) {
        snprintf(error, capacity, "the stars are wrong");
        return TRELLIS_FATAL;
    }
    if (strcmp(request->values[0].text, "opens-nothing") == 0) return TRELLIS_OK;
    struct trellis_order *order = calloc(1, sizeof *order);
    snprintf(order->fault, sizeof order->fault, "%s", request->values[0].text);
    order->last_removed = TRELLIS_NO_JOB;
    *result = order;
    return TRELLIS_OK;
}

static void close_order(struct trellis_order *order) { free(order); }
static void tube_opened(struct trellis_order *order, const struct trellis_tube *tube) { order->is_held[tube->index] = false; }
static void tube_closed(struct trellis_order *order, uint32_t tube) { (void)order, (void)tube; }

static void ready(struct trellis_order *order, const struct trellis_ready_job *job) {
    if (has(order, "crashes")) abort();
    order->ids[job->slot] = job->id;
    order->tubes[job->slot] = job->tube;
    if (job->slot >= order->slots) order->slots = job->slot + 1;
}

static void removed(struct trellis_order *order, const struct trellis_ready_job *job) {
    order->ids[job->slot] = 0;
    order->last_removed = job->slot;
}

static void reserved(
    struct trellis_order *order, const struct trellis_ready_job *job, const struct trellis_watch_set *watched
) {
    (void)watched;
    removed(order, job);
}

static void eligible(struct trellis_order *order, uint32_t tube, bool is_eligible) {
    if (!has(order, "serves-what-is-held")) order->is_held[tube] = !is_eligible;
}

static uint32_t least(const struct trellis_order *order, uint32_t tube, uint32_t best) {
    for (uint32_t slot = 0; slot < order->slots; slot++) {
        if (order->ids[slot] && (order->tubes[slot] == tube || tube == TRELLIS_NO_JOB)
            && (best == TRELLIS_NO_JOB || order->ids[slot] < order->ids[best])) {
            best = slot;
        }
    }
    return best;
}

static uint32_t pick(struct trellis_order *order, const struct trellis_watch_set *watched) {
    if (has(order, "answers-nothing")) return TRELLIS_NO_JOB;
    if (has(order, "answers-no-slot")) return 99999999;
    if (has(order, "answers-a-gone-job") && order->last_removed != TRELLIS_NO_JOB) return order->last_removed;
    if (has(order, "answers-what-is-not-watched")) return least(order, TRELLIS_NO_JOB, TRELLIS_NO_JOB);
    uint32_t best = TRELLIS_NO_JOB;
    for (size_t i = 0; i < watched->tube_count; i++) {
        if (!order->is_held[watched->tubes[i]]) best = least(order, watched->tubes[i], best);
    }
    return best;
}

static uint32_t peek(struct trellis_order *order, uint32_t tube) {
    if (has(order, "peeks-at-nothing")) return TRELLIS_NO_JOB;
    return least(order, has(order, "peeks-elsewhere") ? TRELLIS_NO_JOB : tube, TRELLIS_NO_JOB);
}

static const char *const faults[] = {
    "none", "open-fails", "opens-nothing", "answers-nothing", "answers-no-slot", "answers-a-gone-job",
    "answers-what-is-not-watched", "serves-what-is-held", "peeks-at-nothing", "peeks-elsewhere", "crashes", NULL,
};

static const struct trellis_option option = {
    .size = sizeof option, .key = "fault", .type = TRELLIS_CHOICE, .default_kind = TRELLIS_DEFAULT_TEXT,
    .default_text = "none", .choices = faults, .documentation = "What it does wrong.",
};

static const struct trellis_scheduler functions = {
    .size = sizeof functions,
    .open = open_order,
    .tube_opened = tube_opened,
    .tube_closed = tube_closed,
    .ready = ready,
    .removed = removed,
    .reserved = reserved,
    .eligible = eligible,
    .pick = DEFECT == NO_PICK ? NULL : pick,
    .peek = DEFECT == NO_PICK ? NULL : peek,
    .close = close_order,
};

static const struct trellis_plugin plugin = {
    // As if it had been built when the header had no schedulers.
    .size = DEFECT == OLD_PLUGIN ? offsetof(struct trellis_plugin, scheduler) : sizeof plugin,
    .abi_version = TRELLIS_ABI_VERSION,
    .option_count = 1,
    .options = &option,
    .kind = "scheduler",
    .name = "wrong",
    .version = "1.0",
    .summary = "First come, first served, with a fault.",
    .scheduler = DEFECT == NO_TABLE ? NULL : &functions,
};

const struct trellis_plugin *trellis_plugin_at(uint32_t index) { return index == 0 ? &plugin : NULL; }
