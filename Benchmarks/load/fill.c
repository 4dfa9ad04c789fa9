// SPDX-License-Identifier: MIT
//
// What is there before the run: jobs, and tubes with a job each.

#include "load.h"

enum { FILLERS = 4, BATCH = 64 };
enum { PUTTING, RESERVING, BURYING };

static uint64_t total, put_count, reserve_count;
static uint32_t open_fillers;
static enum fill_as kind;
static bool in_tubes;

static bool are_open(void) {
    return open_fillers > 0;
}

// Jobs that the run takes are kept in its table.
static void put_one(struct connection *c, uint64_t place) {
    if (in_tubes) ask_tube(c, USE, (uint32_t)place, 0);
    bool is_known = kind == FILL_READY;
    uint32_t job = is_known ? job_take() : 0;
    ask_put(c, kind == FILL_LAST ? PRIORITY_LAST : PRIORITY, kind == FILL_DELAYED ? TIME_TO_RUN : 0,
        is_known ? jobs[job].counter : next_free_counter(), job);
}

static void next_batch(struct connection *c) {
    if (c->phase == RESERVING) {
        c->phase = BURYING;
        for (uint32_t i = 0; i < c->got; i++) ask_about(c, BURY, c->ids[i]);
    } else if (put_count < total) {
        for (int i = 0; i < BATCH && put_count < total; i++) put_one(c, put_count++);
    } else if (kind == FILL_BURIED && reserve_count < total) {
        c->phase = RESERVING;
        c->got = 0;
        for (int i = 0; i < BATCH && reserve_count < total; i++, reserve_count++) ask_reserve(c, true);
    } else {
        c->finished = true;
        open_fillers--;
    }
    flush(c);
}

static void take(struct connection *c, const struct reply *reply) {
    if (reply->request == INSERT && kind == FILL_READY) job_inserted(reply->argument, reply->id);
    if (reply->request == RESERVE) c->ids[c->got++] = reply->id;
}

static const struct role filler = {take, next_batch};

static void put_all(void) {
    struct connection *fillers[FILLERS];
    put_count = reserve_count = 0;
    open_fillers = FILLERS;
    for (int i = 0; i < FILLERS; i++) {
        struct connection *c = fillers[i] = connection_open(&filler, BATCH * (LINE_MAX_BYTES + (size_t)options.size));
        c->ids = allocate(BATCH, sizeof *c->ids);
        if (kind == FILL_BURIED || kind == FILL_DELAYED) {
            ask_tube(c, USE, TUBE_FILLED, 0);
            ask_tube(c, WATCH, TUBE_FILLED, 2);
            ask_tube(c, IGNORE, TUBE_DEFAULT, 1);
            flush(c);
        } else {
            next_batch(c);
        }
    }
    turn_while(are_open);
    for (int i = 0; i < FILLERS; i++) connection_close(fillers[i]);
}

void fill_run(void) {
    if (options.tubes > 0 && options.workload != HANDOFF) {
        total = options.tubes, kind = FILL_LAST, in_tubes = true;
        put_all();
    }
    if (options.fill > 0) {
        total = options.fill, kind = options.fill_as, in_tubes = false;
        put_all();
    }
}
