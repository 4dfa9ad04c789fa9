// SPDX-License-Identifier: MIT
//
// A scheduler for trellisd: lottery scheduling. Each watched tube that has a job holds as many tickets as its weight, and one
// ticket is drawn; within the tube, the most urgent job is next, then the oldest. So over time every tube gets its share of
// the workers, and none starves. (C. Waldspurger, W. Weihl: Lottery Scheduling, OSDI 1994.)
//
//     cc -std=c11 -O2 -Wall -fPIC -shared -fvisibility=hidden -I ../../Sources/CTrellisPlugin/include -o liblottery.so lottery.c
//     trellisd plugins test scheduler ./liblottery.so
//
// The number that is drawn next is part of the state, and changes when a job is taken: so `pick` changes nothing, and the same
// calls give the same answers.

#include <stdlib.h>
#include <stdio.h>
#include "trellis_plugin.h"

struct entry {
    uint64_t id;
    uint32_t priority;
    uint32_t slot;
};

// The ready jobs of a tube: a binary heap, the next one first.
struct tube {
    struct entry *heap;
    uint32_t count;
    uint32_t capacity;
    uint32_t weight;
    bool is_eligible;
};

struct trellis_order {
    struct tube *tubes;
    uint32_t tube_capacity;
    // Where in its tube's heap the job of a slot is.
    uint32_t *places;
    uint32_t place_capacity;
    uint64_t random;
    // Memory ran out: nothing is answered any more, and the server goes on without this scheduler.
    bool has_failed;
};

// Makes room for a number of elements; the new ones are 0.
static bool grow(void **array, uint32_t *capacity, uint32_t need, size_t size) {
    if (need <= *capacity) return true;
    uint32_t larger = need < 16 ? 16 : need + need / 2;
    char *memory = realloc(*array, larger * size);
    if (!memory) return false;
    for (size_t byte = *capacity * size; byte < larger * size; byte++) memory[byte] = 0;
    *array = memory;
    *capacity = larger;
    return true;
}

// --- The heap ---

static bool precedes(const struct entry *a, const struct entry *b) {
    return a->priority != b->priority ? a->priority < b->priority : a->id < b->id;
}

static void set(struct trellis_order *order, struct tube *tube, uint32_t place, struct entry entry) {
    tube->heap[place] = entry;
    order->places[entry.slot] = place;
}

// Puts an entry where it belongs, from a free place on.
static void sift(struct trellis_order *order, struct tube *tube, uint32_t place, struct entry entry) {
    while (place > 0 && precedes(&entry, &tube->heap[(place - 1) / 2])) {
        set(order, tube, place, tube->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child >= tube->count) break;
        if (child + 1 < tube->count && precedes(&tube->heap[child + 1], &tube->heap[child])) child++;
        if (!precedes(&tube->heap[child], &entry)) break;
        set(order, tube, place, tube->heap[child]);
        place = child;
    }
    set(order, tube, place, entry);
}

static void take_out(struct trellis_order *order, const struct trellis_ready_job *job) {
    if (order->has_failed) return;
    struct tube *tube = &order->tubes[job->tube];
    uint32_t place = order->places[job->slot];
    struct entry last = tube->heap[--tube->count];
    if (place < tube->count) sift(order, tube, place, last);
    if (tube->count == 0) {
        // A queue that has drained keeps no memory.
        free(tube->heap);
        tube->heap = NULL;
        tube->capacity = 0;
    }
}

// --- The contract ---

static int32_t open_order(
    const struct trellis_order_open *request, struct trellis_order **result, char *error, size_t capacity
) {
    struct trellis_order *order = calloc(1, sizeof *order);
    if (!order) {
        snprintf(error, capacity, "there is no memory");
        return TRELLIS_FATAL;
    }
    for (size_t i = 0; i < request->value_count; i++) order->random = (uint64_t)request->values[i].number;
    *result = order;
    return TRELLIS_OK;
}

static void close_order(struct trellis_order *order) {
    for (uint32_t i = 0; i < order->tube_capacity; i++) free(order->tubes[i].heap);
    free(order->tubes);
    free(order->places);
    free(order);
}

static void tube_opened(struct trellis_order *order, const struct trellis_tube *tube) {
    if (order->has_failed) return;
    if (!grow((void **)&order->tubes, &order->tube_capacity, tube->index + 1, sizeof *order->tubes)) {
        order->has_failed = true;
        return;
    }
    order->tubes[tube->index] = (struct tube){.weight = tube->weight, .is_eligible = true};
}

static void tube_changed(struct trellis_order *order, const struct trellis_tube *tube) {
    if (!order->has_failed) order->tubes[tube->index].weight = tube->weight;
}

static void tube_closed(struct trellis_order *order, uint32_t tube) {
    if (!order->has_failed) order->tubes[tube] = (struct tube){0};
}

static void ready(struct trellis_order *order, const struct trellis_ready_job *job) {
    if (order->has_failed) return;
    struct tube *tube = &order->tubes[job->tube];
    if (!grow((void **)&order->places, &order->place_capacity, job->slot + 1, sizeof *order->places)
        || !grow((void **)&tube->heap, &tube->capacity, tube->count + 1, sizeof *tube->heap)) {
        order->has_failed = true;
        return;
    }
    tube->count++;
    sift(order, tube, tube->count - 1, (struct entry){.id = job->id, .priority = job->priority, .slot = job->slot});
}

static void reserved(
    struct trellis_order *order, const struct trellis_ready_job *job, const struct trellis_watch_set *watched
) {
    (void)watched;
    take_out(order, job);
    order->random++;
}

static void eligible(struct trellis_order *order, uint32_t tube, bool is_eligible) {
    if (!order->has_failed) order->tubes[tube].is_eligible = is_eligible;
}

// The number drawn: splitmix64 (G. Steele, D. Lea, C. Flood, 2014), a good mix of a counter.
static uint64_t drawn(const struct trellis_order *order) {
    uint64_t number = order->random * 0x9E3779B97F4A7C15;
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9;
    number = (number ^ (number >> 27)) * 0x94D049BB133111EB;
    return number ^ (number >> 31);
}

static uint32_t pick(struct trellis_order *order, const struct trellis_watch_set *watched) {
    if (order->has_failed) return TRELLIS_NO_JOB;
    uint64_t tickets = 0;
    for (size_t i = 0; i < watched->tube_count; i++) {
        const struct tube *tube = &order->tubes[watched->tubes[i]];
        if (tube->is_eligible && tube->count) tickets += tube->weight;
    }
    if (tickets == 0) return TRELLIS_NO_JOB;
    uint64_t ticket = drawn(order) % tickets;
    for (size_t i = 0; i < watched->tube_count; i++) {
        const struct tube *tube = &order->tubes[watched->tubes[i]];
        if (!tube->is_eligible || !tube->count) continue;
        if (ticket < tube->weight) return tube->heap[0].slot;
        ticket -= tube->weight;
    }
    return TRELLIS_NO_JOB;
}

static uint32_t peek(struct trellis_order *order, uint32_t tube) {
    if (order->has_failed || !order->tubes[tube].count) return TRELLIS_NO_JOB;
    return order->tubes[tube].heap[0].slot;
}

// --- The plugin ---

static const struct trellis_option seed = {
    .size = sizeof seed, .key = "seed", .type = TRELLIS_INTEGER, .default_kind = TRELLIS_DEFAULT_NUMBER,
    .default_number = 1, .minimum = 0, .maximum = INT64_MAX, .documentation = "Where the random numbers start.",
};

static const struct trellis_scheduler functions = {
    .size = sizeof functions,
    .open = open_order,
    .tube_opened = tube_opened,
    .tube_changed = tube_changed,
    .tube_closed = tube_closed,
    .ready = ready,
    .removed = take_out,
    .reserved = reserved,
    .eligible = eligible,
    .pick = pick,
    .peek = peek,
    .close = close_order,
};

static const struct trellis_plugin plugin = {
    .size = sizeof plugin,
    .abi_version = TRELLIS_ABI_VERSION,
    .option_count = 1,
    .options = &seed,
    .kind = "scheduler",
    .name = "lottery",
    .version = "1.0",
    .summary = "A lottery among the watched tubes, with as many tickets as their weights; priority within a tube.",
    .scheduler = &functions,
};

const struct trellis_plugin *trellis_plugin_at(uint32_t index) { return index == 0 ? &plugin : NULL; }
