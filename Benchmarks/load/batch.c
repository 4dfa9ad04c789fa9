// SPDX-License-Identifier: MIT
//
// The workloads of batches: each connection sends P requests of one kind in one write, waits for all their replies, and
// goes on with the next kind.

#include "load.h"

#include <string.h>

enum { PREPARING, PUTTING, RESERVING, DELETING };

static struct connection **connections;
static uint32_t preparing, active;

static bool are_preparing(void) {
    return preparing > 0;
}

static bool are_active(void) {
    return active > 0;
}

// Whether the table knows every job that a reserve can bring.
static bool has_table(void) {
    if (options.floor) return false;
    return options.workload == CYCLE || (!options.prepared && options.fill > 0 && options.fill_as == FILL_READY);
}

static void ask_puts(struct connection *c) {
    bool is_known = options.workload == CYCLE && !options.floor;
    for (uint32_t i = 0; i < options.in_flight; i++) {
        uint32_t job = is_known ? job_take() : 0;
        ask_put(c, PRIORITY, 0, is_known ? jobs[job].counter : next_free_counter(), job);
    }
}

static void ask_batch(struct connection *c, uint32_t phase) {
    c->phase = phase;
    c->asked_at = now();
    switch (phase) {
    case PUTTING:
        ask_puts(c);
        break;
    case RESERVING:
        c->got = 0;
        for (uint32_t i = 0; i < options.in_flight; i++) ask_reserve(c, options.workload != DRAIN);
        break;
    default:
        for (uint32_t i = 0; i < c->got; i++) ask_about(c, REMOVE, c->ids[i]);
    }
    flush(c);
}

static void take(struct connection *c, const struct reply *reply) {
    switch (reply->request) {
    case INSERT:
        if (options.workload == CYCLE && !options.floor) job_inserted(reply->argument, reply->id);
        break;
    case RESERVE:
    case RESERVE_NOW:
        if (reply->timed_out) break;
        uint32_t index;
        if (has_table()) job_reserved(reply->counter, reply->id, &index);
        c->ids[c->got++] = reply->id;
        figures.jobs += measuring;
        break;
    default: break;
    }
}

static void finish(struct connection *c) {
    c->finished = true;
    active--;
}

// Once the run is stopping, a cycle is still completed, so that no job is lost unseen.
static void next_phase(struct connection *c) {
    if (c->phase == PREPARING) {
        preparing--;
        return;
    }
    if (measuring) histogram_add(&figures.batches, now() - c->asked_at);
    switch (options.workload) {
    case CYCLE:
        if (c->phase == PUTTING) ask_batch(c, RESERVING);
        else if (c->phase == RESERVING) ask_batch(c, DELETING);
        else if (stopping) finish(c);
        else ask_batch(c, PUTTING);
        break;
    case PUT:
        if (stopping) finish(c);
        else ask_batch(c, PUTTING);
        break;
    default:
        if (c->phase == RESERVING && c->got > 0) ask_batch(c, DELETING);
        else if (c->phase == RESERVING || stopping) finish(c);
        else ask_batch(c, RESERVING);
    }
}

static const struct role worker = {take, next_phase};

// Each connection in a tube of its own, as far as there are enough.
static void open_all(void) {
    size_t batch = options.in_flight * (64 + (size_t)options.size);
    connections = allocate(options.connections, sizeof *connections);
    for (uint32_t i = 0; i < options.connections; i++) {
        struct connection *c = connections[i] = connection_open(&worker, batch + options.size);
        c->ids = allocate(options.in_flight, sizeof *c->ids);
        if (options.tubes == 0) continue;
        uint32_t tube = (uint32_t)((uint64_t)i * options.tubes / options.connections);
        ask_tube(c, USE, tube, 0);
        ask_tube(c, WATCH, tube, 2);
        ask_tube(c, IGNORE, TUBE_DEFAULT, 1);
        preparing++;
        flush(c);
    }
    turn_while(are_preparing);
}

// A cycle leaves as many as it found, its own instead of others' where it is prepared; a whole drain leaves none.
static void check_left_over(uint32_t found) {
    if (!has_table()) return;
    bool is_partial = options.seconds > 0 || options.requests;
    if (options.workload == DRAIN && is_partial) return;
    uint64_t due = options.workload == DRAIN ? 0 : found + strangers;
    if (live_jobs != due) fail("%" PRIu64 " jobs were put but never seen again", live_jobs - due);
}

void batch_run(void) {
    open_all();
    active = options.connections;
    uint32_t left_over = live_jobs;
    for (uint32_t i = 0; i < options.connections; i++)
        ask_batch(connections[i], options.workload == DRAIN ? RESERVING : PUTTING);
    double warm = now() + options.warmup;
    while (active > 0 && now() < warm) turn(warm, NULL);
    measure_begin();
    double end = now() + (options.seconds > 0 ? options.seconds : 1e9);
    uint64_t before = reply_count;
    while (active > 0) {
        turn(end, NULL);
        if (options.requests && reply_count - before >= options.requests) break;
        if (now() >= end) break;
    }
    measure_end();
    turn_while(are_active);
    check_left_over(left_over);
}
