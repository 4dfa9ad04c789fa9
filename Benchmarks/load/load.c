// SPDX-License-Identifier: MIT
//
// A load generator for the beanstalk protocol that believes nothing: every byte of every reply is checked, and the first
// wrong one ends the run with a message and exit status 1. See Benchmarks/README.md for what the workloads do.
//
//     cc -O2 -o load load.c
//     ./load --tcp 127.0.0.1:11300 --connections 50 --in-flight 1 --seconds 5

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    BODY_MIN = 8,             // the counter that the pattern is made from
    LINE_MAX_BYTES = 224,     // the longest line of the protocol
    EVENTS = 256,             // taken per epoll_wait
    PRIORITY = 1024,          // of every put
    TIME_TO_RUN = 600,        // seconds; longer than any run, so that no reservation expires
    EXIT_WRONG = 1,           // a reply was wrong, or the server went away
    EXIT_USAGE = 2
};

enum workload { CYCLE, PUT, DRAIN };
enum phase { PUTTING, RESERVING, DELETING };

static struct {
    const char *tcp, *unix_path, *workload_name;
    enum workload workload;
    uint32_t connections, in_flight, size;
    uint64_t requests;
    double seconds, warmup, timeout;
    bool json;
} options = {.workload_name = "cycle", .connections = 1, .in_flight = 1, .size = 64, .timeout = 10};

// A job of the cycle workload between its put and the moment when both its INSERTED and its RESERVED reply were seen.
// The two may come in either order, for another connection may get the job before its producer hears of it.
struct job {
    uint64_t counter;         // what the body is made from
    uint64_t id;              // from the reply that came first; 0 before
    bool inserted, reserved;
    uint32_t next_free;
};

struct connection {
    int fd;
    enum phase phase;
    bool finished, wants_write;
    uint32_t asked;           // requests of this phase
    uint32_t answered;
    uint32_t got;             // jobs reserved in this phase, ids in `ids`
    uint64_t *ids;
    uint32_t *jobs;           // index into `jobs` of each put of this phase
    char *in, *out;
    size_t in_start, in_end, in_capacity;
    size_t out_start, out_end;
};

static struct connection *connections;
static struct job *jobs;
static uint32_t first_free_job, job_capacity;
static uint64_t next_counter, reply_count, drained;
static uint32_t live_jobs, open_connections;
static bool stopping;
static int epoll_fd;

// MARK: Telling

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
    va_list arguments;
    fputs("load: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(EXIT_WRONG);
}

// Prints at most 80 bytes of a reply with the control characters visible.
static void print_escaped(const char *bytes, size_t count) {
    for (size_t i = 0; i < count && i < 80; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte == '\r') fputs("\\r", stderr);
        else if (byte == '\n') fputs("\\n", stderr);
        else if (byte < 32 || byte > 126) fprintf(stderr, "\\x%02x", byte);
        else fputc(byte, stderr);
    }
    if (count > 80) fprintf(stderr, "... (%zu bytes)", count);
}

__attribute__((noreturn)) static void wrong(
    const struct connection *c, const char *expected, const char *bytes, size_t count) {
    fprintf(stderr, "load: connection %td, reply %" PRIu64 ": expected %s, got \"",
        c - connections, reply_count + 1, expected);
    print_escaped(bytes, count);
    fputs("\"\n", stderr);
    exit(EXIT_WRONG);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (!memory) fail("out of memory");
    return memory;
}

// MARK: Ids that were seen

// One bit per id, in pages, since servers give ids in sequence from some start.
struct page { uint64_t number; uint64_t bits[1 << 10]; };
struct id_set { struct page **pages; size_t count, capacity, last; };

// False if the id was there before.
static bool id_set_add(struct id_set *set, uint64_t id) {
    uint64_t number = id >> 16, bit = UINT64_C(1) << (id & 63);
    size_t at = set->last;
    if (at >= set->count || set->pages[at]->number != number) {
        // From the newest page back: it is nearly always among the last ones.
        for (at = set->count; at > 0 && set->pages[at - 1]->number != number; at--) {}
        if (at == 0) {
            if (set->count == set->capacity) {
                set->capacity = set->capacity ? set->capacity * 2 : 64;
                set->pages = realloc(set->pages, set->capacity * sizeof *set->pages);
                if (!set->pages) fail("out of memory");
            }
            set->pages[set->count] = allocate(1, sizeof(struct page));
            set->pages[set->count++]->number = number;
            at = set->count;
        }
        set->last = --at;
    }
    uint64_t *word = &set->pages[at]->bits[(id & 0xffff) >> 6];
    if (*word & bit) return false;
    *word |= bit;
    return true;
}

static struct id_set inserted_ids, reserved_ids;

// MARK: Bodies

// A step that is odd and has many bits set, so that words which are lost, doubled or swapped show.
#define STEP UINT64_C(0x9e3779b97f4a7c15)

// The counter, then a pattern that follows from it.
static void write_body(char *to, uint64_t counter) {
    uint64_t word = counter;
    size_t at = 0;
    for (; at + 8 <= options.size; at += 8, word = (word ^ (word >> 29)) + STEP) memcpy(to + at, &word, 8);
    memcpy(to + at, &word, options.size - at);
}

// Answers the counter.
static uint64_t check_body(const struct connection *c, const char *body) {
    uint64_t word, found;
    memcpy(&word, body, 8);
    uint64_t counter = word;
    size_t at = 0;
    for (; at + 8 <= options.size; at += 8, word = (word ^ (word >> 29)) + STEP) {
        memcpy(&found, body + at, 8);
        if (found != word) break;
    }
    size_t rest = options.size - at < 8 ? options.size - at : 8;
    if (memcmp(body + at, &word, rest) != 0) {
        fprintf(stderr, "load: body damaged at byte %zu of %" PRIu32 "\n", at, options.size);
        wrong(c, "the bytes that were put", body + at, options.size - at);
    }
    return counter;
}

// MARK: Jobs of the cycle

static uint32_t take_job(void) {
    uint32_t index = first_free_job;
    if (index == job_capacity) fail("more jobs are under way than puts were sent: a reserve was answered twice");
    struct job *job = &jobs[index];
    first_free_job = job->next_free;
    live_jobs++;
    // The index sits in the low bits, so that a body leads back to its job.
    job->counter = next_counter++ << 24 | index;
    job->id = 0;
    job->inserted = job->reserved = false;
    return index;
}

static void settle_job(struct job *job) {
    if (!job->inserted || !job->reserved) return;
    job->next_free = first_free_job;
    first_free_job = (uint32_t)(job - jobs);
    live_jobs--;
}

static void job_inserted(const struct connection *c, uint32_t index, uint64_t id) {
    struct job *job = &jobs[index];
    if (job->reserved && job->id != id)
        fail("connection %td: job was put as %" PRIu64 " and reserved as %" PRIu64, c - connections, id, job->id);
    job->id = id;
    job->inserted = true;
    settle_job(job);
}

static void job_reserved(const struct connection *c, uint64_t counter, uint64_t id) {
    uint32_t index = (uint32_t)(counter & 0xffffff);
    if (index >= job_capacity || jobs[index].counter != counter || jobs[index].reserved)
        fail("connection %td: job %" PRIu64 " was not put in this run, or was reserved before; is the queue empty at the "
             "start?", c - connections, id);
    struct job *job = &jobs[index];
    if (job->inserted && job->id != id)
        fail("connection %td: job was put as %" PRIu64 " and reserved as %" PRIu64, c - connections, job->id, id);
    job->id = id;
    job->reserved = true;
    settle_job(job);
}

// MARK: Requests

static char *write_number(char *to, uint64_t value) {
    char digits[20];
    int count = 0;
    do digits[count++] = (char)('0' + value % 10); while (value /= 10);
    while (count) *to++ = digits[--count];
    return to;
}

static char put_line[64];
static size_t put_line_length;

static void ask_puts(struct connection *c) {
    char *to = c->out;
    for (uint32_t i = 0; i < options.in_flight; i++) {
        uint64_t counter;
        if (options.workload == CYCLE) {
            c->jobs[i] = take_job();
            counter = jobs[c->jobs[i]].counter;
        } else {
            counter = next_counter++;
        }
        memcpy(to, put_line, put_line_length);
        to += put_line_length;
        write_body(to, counter);
        to += options.size;
        *to++ = '\r', *to++ = '\n';
    }
    c->out_end = (size_t)(to - c->out);
    c->asked = options.in_flight;
}

static void ask_reserves(struct connection *c) {
    static const char plain[] = "reserve\r\n", bounded[] = "reserve-with-timeout 0\r\n";
    const char *line = options.workload == DRAIN ? bounded : plain;
    size_t length = options.workload == DRAIN ? sizeof bounded - 1 : sizeof plain - 1;
    char *to = c->out;
    for (uint32_t i = 0; i < options.in_flight; i++, to += length) memcpy(to, line, length);
    c->out_end = (size_t)(to - c->out);
    c->asked = options.in_flight;
    c->got = 0;
}

static void ask_deletes(struct connection *c) {
    char *to = c->out;
    for (uint32_t i = 0; i < c->got; i++) {
        memcpy(to, "delete ", 7);
        to = write_number(to + 7, c->ids[i]);
        *to++ = '\r', *to++ = '\n';
    }
    c->out_end = (size_t)(to - c->out);
    c->asked = c->got;
}

static void watch_for(struct connection *c, bool write) {
    if (c->wants_write == write) return;
    c->wants_write = write;
    struct epoll_event event = {.events = EPOLLIN | (write ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event) < 0) fail("epoll_ctl: %s", strerror(errno));
}

static void flush(struct connection *c) {
    while (c->out_start < c->out_end) {
        ssize_t written = write(c->fd, c->out + c->out_start, c->out_end - c->out_start);
        if (written >= 0) c->out_start += (size_t)written;
        else if (errno == EAGAIN) break;
        else if (errno != EINTR) fail("connection %td: write: %s", c - connections, strerror(errno));
    }
    watch_for(c, c->out_start < c->out_end);
}

static void ask(struct connection *c, enum phase phase) {
    c->phase = phase;
    c->answered = 0;
    c->out_start = 0;
    switch (phase) {
    case PUTTING: ask_puts(c); break;
    case RESERVING: ask_reserves(c); break;
    case DELETING: ask_deletes(c); break;
    }
    flush(c);
}

static void finish(struct connection *c) {
    c->finished = true;
    open_connections--;
}

// All requests of the phase are answered: on to the next. Once the run is stopping, a cycle is still completed, so that
// the queue is left empty and a lost job shows.
static void next_phase(struct connection *c) {
    switch (options.workload) {
    case CYCLE:
        if (c->phase == PUTTING) ask(c, RESERVING);
        else if (c->phase == RESERVING) ask(c, DELETING);
        else if (stopping) finish(c);
        else ask(c, PUTTING);
        break;
    case PUT:
        if (stopping) finish(c);
        else ask(c, PUTTING);
        break;
    case DRAIN:
        if (c->phase == RESERVING && c->got > 0) ask(c, DELETING);
        else if (c->phase == RESERVING || stopping) finish(c);
        else ask(c, RESERVING);
        break;
    }
}

// MARK: Replies

// Reads a decimal number without sign, leading zero or overflow, and the byte that must follow it. NULL if it is not one.
static const char *read_number(const char *at, const char *end, char after, uint64_t *value) {
    const char *start = at;
    uint64_t result = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(result, 10, &result)) return NULL;
        if (__builtin_add_overflow(result, (uint64_t)(*at - '0'), &result)) return NULL;
    }
    if (at == start || (*start == '0' && at - start > 1) || at == end || *at != after) return NULL;
    *value = result;
    return at + 1;
}

static bool begins(const char *bytes, size_t count, const char *prefix, size_t length) {
    return count >= length && memcmp(bytes, prefix, length) == 0;
}

static void check_inserted(struct connection *c, const char *line, size_t length) {
    uint64_t id;
    if (!begins(line, length, "INSERTED ", 9)
        || read_number(line + 9, line + length, '\r', &id) != line + length - 1 || id == 0)
        wrong(c, "INSERTED <id>", line, length);
    if (!id_set_add(&inserted_ids, id)) fail("connection %td: id %" PRIu64 " was given out twice", c - connections, id);
    if (options.workload == CYCLE) job_inserted(c, c->jobs[c->answered], id);
}

// Answers how many bytes of body and CRLF follow the line, 0 if they are not all there yet.
static size_t check_reserved(struct connection *c, const char *line, size_t length, size_t available) {
    uint64_t id, size;
    if (!begins(line, length, "RESERVED ", 9)) wrong(c, "RESERVED <id> <bytes>", line, length);
    const char *at = read_number(line + 9, line + length, ' ', &id);
    if (!at || read_number(at, line + length, '\r', &size) != line + length - 1 || id == 0)
        wrong(c, "RESERVED <id> <bytes>", line, length);
    if (size != options.size) wrong(c, "a body of the size that was put", line, length);
    if (available < length + options.size + 2) return 0;
    const char *body = line + length;
    uint64_t counter = check_body(c, body);
    if (memcmp(body + options.size, "\r\n", 2) != 0) wrong(c, "CRLF after the body", body + options.size, 2);
    if (!id_set_add(&reserved_ids, id)) fail("connection %td: job %" PRIu64 " was reserved twice", c - connections, id);
    if (options.workload == CYCLE) job_reserved(c, counter, id);
    c->ids[c->got++] = id;
    return options.size + 2;
}

// Checks one reply. Answers its length, or 0 if it is not all there yet.
static size_t take_reply(struct connection *c, const char *bytes, size_t available) {
    size_t search = available < LINE_MAX_BYTES ? available : LINE_MAX_BYTES;
    const char *newline = memchr(bytes, '\n', search);
    if (!newline) {
        if (available >= LINE_MAX_BYTES) wrong(c, "a line", bytes, available);
        return 0;
    }
    size_t length = (size_t)(newline - bytes) + 1;
    switch (c->phase) {
    case PUTTING:
        check_inserted(c, bytes, length);
        break;
    case RESERVING: {
        if (options.workload == DRAIN && length == 11 && memcmp(bytes, "TIMED_OUT\r\n", 11) == 0) break;
        size_t body = check_reserved(c, bytes, length, available);
        if (body == 0) return 0;
        length += body;
        drained++;
        break;
    }
    case DELETING:
        if (length != 9 || memcmp(bytes, "DELETED\r\n", 9) != 0) wrong(c, "DELETED", bytes, length);
        break;
    }
    c->answered++;
    reply_count++;
    return length;
}

static void receive(struct connection *c) {
    if (c->in_start > 0 && c->in_capacity - c->in_end < LINE_MAX_BYTES + options.size + 2) {
        memmove(c->in, c->in + c->in_start, c->in_end - c->in_start);
        c->in_end -= c->in_start;
        c->in_start = 0;
    }
    ssize_t count = read(c->fd, c->in + c->in_end, c->in_capacity - c->in_end);
    if (count < 0) {
        if (errno == EAGAIN || errno == EINTR) return;
        fail("connection %td: read: %s", c - connections, strerror(errno));
    }
    if (count == 0) fail("connection %td: closed by the server after %" PRIu64 " replies", c - connections, reply_count);
    c->in_end += (size_t)count;
    while (c->in_start < c->in_end && c->answered < c->asked) {
        size_t used = take_reply(c, c->in + c->in_start, c->in_end - c->in_start);
        if (used == 0) return;
        c->in_start += used;
    }
    if (c->answered < c->asked) {
        c->in_start = c->in_end = 0;
        return;
    }
    // Every request is answered, so that nothing more may be there.
    if (c->in_start < c->in_end) wrong(c, "nothing", c->in + c->in_start, c->in_end - c->in_start);
    c->in_start = c->in_end = 0;
    next_phase(c);
}

// MARK: Connecting

static int connect_tcp(void) {
    char host[256];
    const char *colon = strrchr(options.tcp, ':');
    if (!colon || (size_t)(colon - options.tcp) >= sizeof host) fail("--tcp wants HOST:PORT, not \"%s\"", options.tcp);
    snprintf(host, sizeof host, "%.*s", (int)(colon - options.tcp), options.tcp);
    size_t length = strlen(host);
    char *name = host;
    if (length > 1 && host[0] == '[' && host[length - 1] == ']') host[length - 1] = 0, name = host + 1;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int error = getaddrinfo(name, colon + 1, &hints, &found);
    if (error) fail("%s: %s", options.tcp, gai_strerror(error));
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket: %s", strerror(errno));
    if (connect(fd, found->ai_addr, found->ai_addrlen) < 0) fail("%s: %s", options.tcp, strerror(errno));
    int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) fail("TCP_NODELAY: %s", strerror(errno));
    freeaddrinfo(found);
    return fd;
}

static int connect_unix(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(options.unix_path) >= sizeof address.sun_path) fail("%s: the path is too long", options.unix_path);
    strcpy(address.sun_path, options.unix_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("%s: %s", options.unix_path, strerror(errno));
    return fd;
}

static void open_all(void) {
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) fail("epoll_create1: %s", strerror(errno));
    connections = allocate(options.connections, sizeof *connections);
    size_t longest = (size_t)options.size + 2 + sizeof put_line;
    size_t batch = options.in_flight * longest;
    for (uint32_t i = 0; i < options.connections; i++) {
        struct connection *c = &connections[i];
        c->fd = options.tcp ? connect_tcp() : connect_unix();
        // The whole batch, up to a bound, and always room for one whole reply.
        c->in_capacity = (batch < 1 << 20 ? batch : 1 << 20) + 2 * (LINE_MAX_BYTES + (size_t)options.size + 2);
        c->in = allocate(1, c->in_capacity);
        c->out = allocate(1, batch);
        c->ids = allocate(options.in_flight, sizeof *c->ids);
        c->jobs = allocate(options.in_flight, sizeof *c->jobs);
        if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0) fail("O_NONBLOCK: %s", strerror(errno));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll_ctl: %s", strerror(errno));
    }
    open_connections = options.connections;
}

// MARK: Running

// One wait and what it brought.
static void turn(void) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll_fd, events, EVENTS, (int)(options.timeout * 1000));
    if (count < 0 && errno != EINTR) fail("epoll_wait: %s", strerror(errno));
    if (count == 0)
        fail("no reply for %g seconds; %" PRIu64 " replies came, %" PRIu32 " connections wait", options.timeout,
            reply_count, open_connections);
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        if (c->finished) fail("connection %td: bytes or an end came after the last reply", c - connections);
        if (events[i].events & EPOLLOUT) flush(c);
        if (events[i].events & ~(uint32_t)EPOLLOUT) receive(c);
    }
}

struct figures { double seconds, cpu; uint64_t requests; };

static struct figures run(void) {
    for (uint32_t i = 0; i < options.connections; i++)
        ask(&connections[i], options.workload == DRAIN ? RESERVING : PUTTING);
    double start = now(), time = start;
    while (open_connections > 0 && (time = now()) < start + options.warmup) turn();
    double begin = now(), cpu = cpu_seconds(), end = options.seconds > 0 ? begin + options.seconds : 0;
    uint64_t before = reply_count;
    while (open_connections > 0) {
        turn();
        if (options.requests && reply_count - before >= options.requests) break;
        if (end > 0 && now() >= end) break;
    }
    struct figures result = {now() - begin, cpu_seconds() - cpu, reply_count - before};
    stopping = true;
    while (open_connections > 0) turn();
    if (live_jobs > 0) fail("%" PRIu32 " jobs were put but never seen again", live_jobs);
    return result;
}

static void report(struct figures figures) {
    double rate = figures.seconds > 0 ? (double)figures.requests / figures.seconds : 0;
    double share = figures.seconds > 0 ? figures.cpu / figures.seconds : 0;
    if (options.json) {
        printf("{\"workload\": \"%s\", \"transport\": \"%s\", \"connections\": %" PRIu32 ", \"in_flight\": %" PRIu32
               ", \"size\": %" PRIu32 ", \"seconds\": %.6f, \"requests\": %" PRIu64
               ", \"requests_per_second\": %.1f, \"generator_cpu\": %.4f, \"jobs_reserved\": %" PRIu64 "}\n",
            options.workload_name, options.tcp ? "tcp" : "unix", options.connections, options.in_flight, options.size,
            figures.seconds, figures.requests, rate, share, drained);
        return;
    }
    printf("%.0f requests/s: %" PRIu64 " in %.3f s; the generator used %.0f %% of a core%s\n", rate, figures.requests,
        figures.seconds, share * 100, share > 0.95 ? " and may be what limits the figure" : "");
}

// MARK: Options

static const char usage[] =
    "usage: load (--tcp HOST:PORT | --unix PATH) [options]\n"
    "  --connections C    open connections (1)\n"
    "  --in-flight P      requests sent together on each connection (1)\n"
    "  --workload NAME    cycle: P puts, P reserves, P deletes, again; put: puts only; drain: reserve and delete\n"
    "                     until the tube is empty (cycle)\n"
    "  --size BYTES       of a body, 8 or more (64)\n"
    "  --seconds S        measure for so long (5, unless --requests is given; drain: until empty)\n"
    "  --requests N       measure so many requests, batches are completed\n"
    "  --warmup S         run so long before measuring (0)\n"
    "  --timeout S        give up when no reply comes for so long (10)\n"
    "  --json             print one JSON object\n";

__attribute__((noreturn)) static void refuse(const char *reason) {
    fprintf(stderr, "load: %s\n%s", reason, usage);
    exit(EXIT_USAGE);
}

static double number(const char *text, double least, double most, const char *what) {
    char *end, message[128];
    double value = strtod(text, &end);
    if (end != text && *end == 0 && value >= least && value <= most) return value;
    snprintf(message, sizeof message, "%s must be a number from %.15g to %.15g", what, least, most);
    refuse(message);
}

static void parse(int count, char **arguments) {
    static const struct option names[] = {
        {"tcp", 1, 0, 't'}, {"unix", 1, 0, 'u'}, {"connections", 1, 0, 'c'}, {"in-flight", 1, 0, 'p'},
        {"workload", 1, 0, 'w'}, {"size", 1, 0, 's'}, {"seconds", 1, 0, 'd'}, {"requests", 1, 0, 'n'},
        {"warmup", 1, 0, 'a'}, {"timeout", 1, 0, 'o'}, {"json", 0, 0, 'j'}, {"help", 0, 0, 'h'}, {0, 0, 0, 0},
    };
    int option;
    while ((option = getopt_long(count, arguments, "", names, NULL)) != -1) {
        switch (option) {
        case 't': options.tcp = optarg; break;
        case 'u': options.unix_path = optarg; break;
        case 'c': options.connections = (uint32_t)number(optarg, 1, 100000, "--connections"); break;
        case 'p': options.in_flight = (uint32_t)number(optarg, 1, 10000, "--in-flight"); break;
        case 'w': options.workload_name = optarg; break;
        case 's': options.size = (uint32_t)number(optarg, BODY_MIN, 1 << 30, "--size"); break;
        case 'd': options.seconds = number(optarg, 0.001, 1e6, "--seconds"); break;
        case 'n': options.requests = (uint64_t)number(optarg, 1, 1e15, "--requests"); break;
        case 'a': options.warmup = number(optarg, 0, 1e6, "--warmup"); break;
        case 'o': options.timeout = number(optarg, 0.001, 1e6, "--timeout"); break;
        case 'j': options.json = true; break;
        case 'h': fputs(usage, stdout); exit(0);
        default: refuse("unknown option");
        }
    }
    if (optind < count) refuse("no other arguments are taken");
    if (!options.tcp == !options.unix_path) refuse("one of --tcp and --unix is needed");
    if (strcmp(options.workload_name, "cycle") == 0) options.workload = CYCLE;
    else if (strcmp(options.workload_name, "put") == 0) options.workload = PUT;
    else if (strcmp(options.workload_name, "drain") == 0) options.workload = DRAIN;
    else refuse("--workload must be cycle, put or drain");
    if (!options.seconds && !options.requests && options.workload != DRAIN) options.seconds = 5;
    if ((uint64_t)options.connections * options.in_flight * 2 >= 1 << 24)
        refuse("--connections times --in-flight must be less than 8388608");
}

int main(int count, char **arguments) {
    parse(count, arguments);
    signal(SIGPIPE, SIG_IGN);
    put_line_length = (size_t)snprintf(
        put_line, sizeof put_line, "put %d 0 %d %" PRIu32 "\r\n", PRIORITY, TIME_TO_RUN, options.size);
    // A job is under way until both of its replies were seen: C x P at most wait for a reserve, as many for INSERTED.
    job_capacity = options.connections * options.in_flight * 2;
    jobs = allocate(job_capacity, sizeof *jobs);
    for (uint32_t i = 0; i < job_capacity; i++) jobs[i].next_free = i + 1;
    open_all();
    report(run());
    return 0;
}
