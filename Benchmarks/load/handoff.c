// SPDX-License-Identifier: MIT
//
// Producers put, workers wait in reserve: how many jobs pass, and how long each is under way.
//
// Closed loop: a producer sends the next put when its job is in a worker's hands. Open loop (--rate): puts are due at a
// steady pace, whatever the server does, and a job's time begins when it was due, not when it could be sent.

#include "load.h"

#include <stdlib.h>
#include <string.h>

enum { PREPARING, PRODUCING, RESERVING, DELETING };

static struct connection **producers, *kicker;
static uint32_t preparing, deleting;
static uint64_t puts;
static double next_due, began, kick_asked, kick_answered;

static bool are_preparing(void) {
    return preparing > 0;
}

static bool are_under_way(void) {
    return live_jobs > 0 || deleting > 0 || (kick_asked > 0 && kick_answered == 0);
}

// MARK: Producers

static void produce(uint32_t producer, double due) {
    struct connection *c = producers[producer];
    uint32_t job = job_take();
    jobs[job].due = due;
    jobs[job].owner = producer;
    // All tubes in turn, but not in the order in which they were made.
    if (options.tubes > 0) ask_tube(c, USE, (uint32_t)(puts * 7919 % options.tubes), 0);
    puts++;
    ask_put(c, PRIORITY, 0, jobs[job].counter, job);
    flush(c);
}

static void settled(uint32_t job) {
    if (options.rate == 0 && !stopping) produce(jobs[job].owner, now());
}

static void produced(struct connection *c, const struct reply *reply) {
    (void)c;
    if (reply->request == INSERT && job_inserted(reply->argument, reply->id)) settled(reply->argument);
}

static void nothing(struct connection *c) {
    (void)c;
}

static const struct role producer = {produced, nothing};

// Sends what is due by now.
static void keep_pace(void) {
    double time = now();
    for (; next_due <= time && !stopping; next_due += 1 / options.rate) {
        if (measuring) histogram_add(&figures.lateness, time - next_due);
        produce((uint32_t)(puts % options.connections), next_due);
    }
}

// MARK: Workers

// With --kick only the jobs that were due while it went on count.
static bool counts(const struct job *job) {
    if (!measuring || job->due < began) return false;
    if (!options.kick) return true;
    return kick_asked > 0 && job->due >= kick_asked && (kick_answered == 0 || job->due <= kick_answered);
}

static void consumed(struct connection *c, const struct reply *reply) {
    if (reply->request != RESERVE) return;
    uint32_t index;
    bool is_settled = job_reserved(reply->counter, reply->id, &index);
    figures.jobs += measuring;
    if (counts(&jobs[index])) histogram_add(&figures.latencies, now() - jobs[index].due);
    c->ids[0] = reply->id;
    if (is_settled) settled(index);
}

static void next_job(struct connection *c) {
    switch (c->phase) {
    case PREPARING:
        preparing--;
        return;
    case RESERVING:
        c->phase = DELETING;
        deleting++;
        ask_about(c, REMOVE, c->ids[0]);
        break;
    default:
        c->phase = RESERVING;
        deleting--;
        ask_reserve(c, true);
    }
    flush(c);
}

static const struct role worker = {consumed, next_job};

static uint32_t random_tube(void) {
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((state >> 33) % options.tubes);
}

// The first tubes, the same for all; or the worker's own, which all workers together miss none of, and others.
static void watch_tubes(struct connection *c, uint32_t place) {
    bool *seen = allocate(options.tubes, sizeof *seen);
    for (uint32_t watched = 0; watched < options.watch; watched++) {
        uint32_t tube = options.scattered ? place % options.tubes : watched;
        while (seen[tube]) tube = random_tube();
        seen[tube] = true;
        ask_tube(c, WATCH, tube, watched + 2);
    }
    ask_tube(c, IGNORE, TUBE_DEFAULT, options.watch);
    free(seen);
}

static struct connection *open_worker(uint32_t place) {
    struct connection *c = connection_open(&worker, LINE_MAX_BYTES + options.size);
    c->ids = allocate(1, sizeof *c->ids);
    if (options.tubes > 0) {
        preparing++;
        watch_tubes(c, place);
        flush(c);
        // One after the other: a server must not be the faster the more of them come at once.
        turn_while(are_preparing);
    }
    return c;
}

// MARK: The kick

static void kicked(struct connection *c, const struct reply *reply) {
    (void)c;
    if (reply->request != KICK) return;
    kick_answered = now();
    figures.kick_seconds = kick_answered - kick_asked;
}

static const struct role kicking = {kicked, nothing};

static void kick_when_due(double time, double due) {
    if (!options.kick || kick_asked > 0 || time < due) return;
    kick_asked = time;
    ask_kick(kicker, options.fill);
    flush(kicker);
}

// MARK: Running

static void open_all(void) {
    producers = allocate(options.connections, sizeof *producers);
    for (uint32_t i = 0; i < options.connections; i++) producers[i] = connection_open(&producer, LINE_MAX_BYTES);
    struct connection **workers = allocate(options.consumers, sizeof *workers);
    for (uint32_t i = 0; i < options.consumers; i++) workers[i] = open_worker(i);
    if (options.kick) {
        kicker = connection_open(&kicking, LINE_MAX_BYTES);
        ask_tube(kicker, USE, TUBE_FILLED, 0);
        flush(kicker);
    }
    for (uint32_t i = 0; i < options.consumers; i++) {
        workers[i]->phase = RESERVING;
        ask_reserve(workers[i], true);
        flush(workers[i]);
    }
    free(workers);
}

static void run_until(double end) {
    bool is_open = options.rate > 0;
    while (now() < end) turn(is_open && next_due < end ? next_due : end, is_open ? keep_pace : NULL);
}

void handoff_run(void) {
    open_all();
    next_due = now();
    if (options.rate == 0)
        for (uint32_t i = 0; i < options.connections * options.in_flight; i++) produce(i % options.connections, now());
    run_until(now() + options.warmup);
    measure_begin();
    began = now();
    double middle = began + options.seconds / 2, end = began + options.seconds;
    while (now() < end || (options.kick && kick_answered == 0)) {
        kick_when_due(now(), middle);
        run_until(now() < middle ? middle : now() < end ? end : now() + 0.01);
    }
    measure_end();
    turn_while(are_under_way);
}
