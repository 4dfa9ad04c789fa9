// SPDX-License-Identifier: MIT
//
// Connections that are only there, while something else is measured: idle ones, and workers that wait for a job of another
// tube. At the end the idle ones are asked whether they still answer, and those that wait each get a job.

#include "load.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

enum { AT_ONCE = 100, LONGEST_HOLD = 3600000 };

static struct connection **idle, **waiters;
static uint32_t due, served;

static bool are_due(void) {
    return due > 0;
}

static bool wait_for_jobs(void) {
    return served < options.waiting;
}

static void ignore_reply(struct connection *c, const struct reply *reply) {
    (void)c, (void)reply;
}

static void here(struct connection *c) {
    (void)c;
    due--;
}

static const struct role bystander = {ignore_reply, here};

// An idle connection has spoken once, so that a server has done for it whatever it does for a client.
static struct connection *open_idle(void) {
    struct connection *c = connection_open(&bystander, 0);
    ask_used(c);
    due++;
    flush(c);
    if (due == AT_ONCE) turn_while(are_due);
    return c;
}

static struct connection **open_many(uint32_t count) {
    struct connection **all = allocate(count, sizeof *all);
    for (uint32_t i = 0; i < count; i++) all[i] = open_idle();
    turn_while(are_due);
    return all;
}

static void ask_all(struct connection **all, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        ask_used(all[i]);
        due++;
        flush(all[i]);
    }
    turn_while(are_due);
}

// MARK: Waiting

enum { RESERVING, DELETING };

static void served_by(struct connection *c, const struct reply *reply) {
    if (reply->request == RESERVE) c->ids[0] = reply->id;
}

static void next_of_waiter(struct connection *c) {
    if (c->phase == RESERVING) {
        c->phase = DELETING;
        ask_about(c, REMOVE, c->ids[0]);
        flush(c);
    } else {
        c->finished = true;
        served++;
    }
}

static const struct role waiter = {served_by, next_of_waiter};

static void open_waiters(void) {
    waiters = open_many(options.waiting);
    for (uint32_t i = 0; i < options.waiting; i++) {
        ask_tube(waiters[i], WATCH, TUBE_ELSEWHERE, 2);
        ask_tube(waiters[i], IGNORE, TUBE_DEFAULT, 1);
        due++;
        flush(waiters[i]);
        if (due == AT_ONCE) turn_while(are_due);
    }
    turn_while(are_due);
    for (uint32_t i = 0; i < options.waiting; i++) {
        waiters[i]->role = &waiter;
        waiters[i]->ids = allocate(1, sizeof *waiters[i]->ids);
        ask_reserve(waiters[i], true);
        flush(waiters[i]);
    }
}

// Each that waited gets one job.
static void serve_waiters(void) {
    struct connection *feeder = connection_open(&bystander, options.waiting * (size_t)32);
    ask_tube(feeder, USE, TUBE_ELSEWHERE, 0);
    for (uint32_t i = 0; i < options.waiting; i++) ask_put(feeder, PRIORITY, 0, next_free_counter(), 0);
    due++;
    flush(feeder);
    turn_while(wait_for_jobs);
    turn_while(are_due);
}

void hold_run(void) {
    idle = open_many(options.idle);
    open_waiters();
    puts("ready");
    fflush(stdout);
    // Whoever started this measures meanwhile, and then closes the input.
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;
    while (poll(&input, 1, LONGEST_HOLD) == 1 && read(STDIN_FILENO, &byte, 1) > 0) {}
    ask_all(idle, options.idle);
    if (options.waiting > 0) serve_waiters();
}
