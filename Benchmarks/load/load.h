// SPDX-License-Identifier: MIT
//
// What the files of the load generator share. Benchmarks/README.md says what the workloads do.

#ifndef LOAD_H
#define LOAD_H

#define _GNU_SOURCE
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    BODY_MIN = 8,             // the counter that the pattern is made from
    LINE_MAX_BYTES = 224,     // the longest line of the protocol
    PRIORITY = 1024,          // of every put that is measured
    PRIORITY_LAST = 1 << 30,  // of jobs that the run must never get
    TIME_TO_RUN = 3600,       // seconds; longer than any run, so that no reservation expires
    EXIT_WRONG = 1,           // a reply was wrong, or the server went away
    EXIT_USAGE = 2
};

enum workload { CYCLE, PUT, DRAIN, HANDOFF, FILL, HOLD };
// What becomes of the jobs of --fill: the run takes them; they stay behind all others; they lie in a tube of their own.
enum fill_as { FILL_READY, FILL_LAST, FILL_BURIED, FILL_DELAYED };

struct options {
    const char *tcp, *unix_path, *workload_name;
    enum workload workload;
    enum fill_as fill_as;
    uint32_t connections, in_flight, size, idle, waiting, tubes, watch, consumers;
    uint64_t requests, fill;
    double seconds, warmup, timeout, rate;
    pid_t server;
    bool json, text, floor, scattered, kick, prepared;
};
extern struct options options;

// MARK: support.c

__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);
void *allocate(size_t count, size_t size);
double now(void);
double own_cpu_seconds(void);
// What the process --server has used so far, all its threads; 0 without one.
double server_cpu_seconds(void);

// How often something took how long: 64 steps to each doubling of a microsecond, so that a figure is at most 1.6 % too high.
enum { STEPS = 64, DOUBLINGS = 32 };
struct histogram {
    uint64_t counts[STEPS * DOUBLINGS], total;
    double longest;           // microseconds
};
void histogram_add(struct histogram *histogram, double seconds);
// The microseconds that this part of them kept to.
double histogram_percentile(const struct histogram *histogram, double part);

// MARK: body.c

void body_prepare(void);
// The counter, then what follows from it. `to` has room for the size of the run.
void body_write(char *to, uint64_t counter);
// The bytes behind the counter, which need not be copied; NULL for text.
const char *body_pattern(uint64_t counter);
// Answers where the body is wrong, or the size if it is right; and its counter.
size_t body_check(const char *body, uint64_t *counter);

// MARK: jobs.c

// A job between its put and the moment when both its INSERTED and its RESERVED reply were seen. The two may come in
// either order, for another connection may get the job before its producer hears of it.
struct job {
    uint64_t counter;         // what the body is made from
    uint64_t id;              // from the reply that came first; 0 before
    double due;               // when it was, or should have been, sent: handoff only
    uint32_t owner;           // the producer: handoff only
    uint32_t next_free;
    bool inserted, reserved;
};
extern struct job *jobs;
// Those that are not settled; and those of other runs that were reserved, of which the table knows nothing.
extern uint32_t live_jobs;
extern uint64_t strangers;

void jobs_prepare(uint32_t capacity);
uint32_t job_take(void);
// For jobs that no table is kept of.
uint64_t next_free_counter(void);
// Both answer whether the job is settled: put and reserved. A stranger never is.
bool job_inserted(uint32_t index, uint64_t id);
bool job_reserved(uint64_t counter, uint64_t id, uint32_t *index);
// Fails if the id was there before.
void id_given_out(uint64_t id);
void id_reserved(uint64_t id);

// MARK: connection.c

enum request {
    USE, WATCH, IGNORE, ASK_USED, INSERT, RESERVE, RESERVE_NOW, REMOVE, BURY, KICK
};

// Tubes are t0, t1, ... and these.
enum { TUBE_DEFAULT = 1 << 30, TUBE_FILLED, TUBE_ELSEWHERE };
enum { TUBE_NAME_BYTES = 16 };
void tube_name(uint32_t tube, char *name);

// A request that was sent, and what its reply must say: the tube, the count, or the job's place in the table.
struct expected { enum request request; uint32_t argument; };

struct reply { enum request request; uint32_t argument; uint64_t id, counter; bool timed_out; };

struct connection;
struct role {
    // Each reply, after its form was checked.
    void (*replied)(struct connection *, const struct reply *);
    // All replies that were due are here, and nothing else.
    void (*answered)(struct connection *);
};

struct piece { const char *shared; size_t offset, length; };

struct connection {
    int fd;
    uint32_t number;
    const struct role *role;
    bool finished, wants_write;
    // Requests without reply: a ring.
    struct expected *expected;
    uint32_t expected_first, expected_count, expected_capacity;
    char *in, *out;
    size_t in_start, in_end, in_capacity, out_end, out_capacity;
    struct piece *pieces;     // what is to be written: bytes of `out`, or of the shared pattern
    uint32_t piece_first, piece_count, piece_capacity;
    // The roles' own.
    uint32_t phase, got;
    uint64_t *ids;
    double asked_at;
};

extern uint64_t reply_count;

void connections_prepare(void);
// `expected_bytes`: what may come in one read.
struct connection *connection_open(const struct role *role, size_t expected_bytes);
void connection_close(struct connection *c);
// Asks for USE, WATCH or IGNORE of a tube; `watched` is how many tubes are watched then.
void ask_tube(struct connection *c, enum request request, uint32_t tube, uint32_t watched);
void ask_used(struct connection *c);
void ask_put(struct connection *c, uint32_t priority, uint32_t delay, uint64_t counter, uint32_t job);
void ask_reserve(struct connection *c, bool waits);
void ask_about(struct connection *c, enum request request, uint64_t id);
void ask_kick(struct connection *c, uint64_t bound);
void flush(struct connection *c);
// Waits for events at most until then, and handles them; `between` is called after each, and then the wait ends to the
// microsecond. Fails where nothing comes for too long.
void turn(double until, void (*between)(void));
void turn_while(bool (*condition)(void));
__attribute__((noreturn)) void wrong(
    const struct connection *c, const char *expected, const char *bytes, size_t count);

// MARK: reply.c

// Checks one reply. Answers its length, or 0 if it is not all there yet.
size_t reply_take(struct connection *c, const char *bytes, size_t available, struct reply *reply);
char *write_number(char *to, uint64_t value);

// MARK: The workloads

struct figures {
    double seconds, own_cpu, server_cpu, kick_seconds;
    uint64_t requests, jobs;
    struct histogram batches, latencies, lateness;
};
extern struct figures figures;
extern bool measuring, stopping;

// Measures from now on, and until now.
void measure_begin(void);
void measure_end(void);

void fill_run(void);              // fill.c
void batch_run(void);             // batch.c: cycle, put, drain
void handoff_run(void);           // handoff.c
void hold_run(void);              // hold.c: idle and waiting connections

#endif
