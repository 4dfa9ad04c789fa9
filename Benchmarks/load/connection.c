// SPDX-License-Identifier: MIT
//
// Connections: opening, asking, writing, and reading until every reply that is due was checked.

#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    EVENTS = 256,             // taken per epoll_wait
    PIECES = 256,             // given to one writev
    COPIED = 1024             // bodies up to this size are cheaper copied than written as a piece of their own
};

// Edge-triggered: the kernel looks at a connection once for each time that something comes, not twice.
static const uint32_t WATCHED = EPOLLIN | EPOLLRDHUP | EPOLLET;

uint64_t reply_count;
static int epoll_fd;
static uint32_t next_connection;
// The line of the last put: nearly all have the same.
static char put_line[64];
static size_t put_line_length;
static uint32_t put_priority, put_delay;

// MARK: Telling

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

void wrong(const struct connection *c, const char *expected, const char *bytes, size_t count) {
    fprintf(stderr, "load: connection %" PRIu32 ", reply %" PRIu64 ": expected %s, got \"", c->number, reply_count + 1,
        expected);
    print_escaped(bytes, count);
    fputs("\"\n", stderr);
    exit(EXIT_WRONG);
}

// MARK: Opening

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

void connections_prepare(void) {
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) fail("epoll_create1: %s", strerror(errno));
}

struct connection *connection_open(const struct role *role, size_t expected_bytes) {
    struct connection *c = allocate(1, sizeof *c);
    c->number = next_connection++;
    c->role = role;
    c->fd = options.tcp ? connect_tcp() : connect_unix();
    // What comes in one read, up to a bound, and always room for one whole reply.
    c->in_capacity = (expected_bytes < 1 << 20 ? expected_bytes : 1 << 20) + 2 * LINE_MAX_BYTES;
    c->in = allocate(1, c->in_capacity);
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0) fail("O_NONBLOCK: %s", strerror(errno));
    struct epoll_event event = {.events = WATCHED, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll_ctl: %s", strerror(errno));
    return c;
}

void connection_close(struct connection *c) {
    close(c->fd);
    free(c->expected);
    free(c->in);
    free(c->out);
    free(c->pieces);
    free(c->ids);
    free(c);
}

// MARK: Asking

// The memory with twice the capacity.
static void *grown(void *memory, uint32_t *capacity, size_t size) {
    *capacity = *capacity ? *capacity * 2 : 8;
    void *result = realloc(memory, *capacity * size);
    if (!result) fail("out of memory");
    return result;
}

static void expect(struct connection *c, enum request request, uint32_t argument) {
    if (c->expected_count == c->expected_capacity) {
        // The ring is made straight before it grows.
        uint32_t old = c->expected_capacity;
        struct expected *ring = grown(NULL, &c->expected_capacity, sizeof *ring);
        for (uint32_t i = 0; i < old; i++) ring[i] = c->expected[(c->expected_first + i) & (old - 1)];
        free(c->expected);
        c->expected = ring;
        c->expected_first = 0;
    }
    uint32_t place = (c->expected_first + c->expected_count++) & (c->expected_capacity - 1);
    c->expected[place] = (struct expected){request, argument};
}

// Room for so many bytes at the end of the output.
static char *room(struct connection *c, size_t count) {
    if (c->out_capacity - c->out_end < count) {
        c->out_capacity = (c->out_end + count) * 2;
        c->out = realloc(c->out, c->out_capacity);
        if (!c->out) fail("out of memory");
    }
    return c->out + c->out_end;
}

static struct piece *new_piece(struct connection *c) {
    if (c->piece_count == c->piece_capacity)
        c->pieces = grown(c->pieces, &c->piece_capacity, sizeof *c->pieces);
    return &c->pieces[c->piece_count++];
}

// The output ends here now.
static void wrote_to(struct connection *c, const char *end) {
    size_t count = (size_t)(end - (c->out + c->out_end));
    struct piece *last = c->piece_count > c->piece_first ? &c->pieces[c->piece_count - 1] : NULL;
    if (last && !last->shared) last->length += count;
    else *new_piece(c) = (struct piece){NULL, c->out_end, count};
    c->out_end += count;
}

static void ask_line(struct connection *c, const char *line, size_t length, enum request request, uint32_t argument) {
    char *to = room(c, length);
    memcpy(to, line, length);
    wrote_to(c, to + length);
    expect(c, request, argument);
}

void tube_name(uint32_t tube, char *name) {
    switch (tube) {
    case TUBE_DEFAULT: strcpy(name, "default"); break;
    case TUBE_FILLED: strcpy(name, "filled"); break;
    case TUBE_ELSEWHERE: strcpy(name, "elsewhere"); break;
    default: snprintf(name, TUBE_NAME_BYTES, "t%" PRIu32, tube);
    }
}

void ask_tube(struct connection *c, enum request request, uint32_t tube, uint32_t watched) {
    const char *verb = request == USE ? "use" : request == WATCH ? "watch" : "ignore";
    char name[TUBE_NAME_BYTES], line[LINE_MAX_BYTES];
    tube_name(tube, name);
    int length = snprintf(line, sizeof line, "%s %s\r\n", verb, name);
    ask_line(c, line, (size_t)length, request, request == USE ? tube : watched);
}

void ask_used(struct connection *c) {
    static const char line[] = "list-tube-used\r\n";
    ask_line(c, line, sizeof line - 1, ASK_USED, 0);
}

void ask_put(struct connection *c, uint32_t priority, uint32_t delay, uint64_t counter, uint32_t job) {
    if (put_line_length == 0 || priority != put_priority || delay != put_delay) {
        put_priority = priority, put_delay = delay;
        put_line_length = (size_t)snprintf(put_line, sizeof put_line, "put %" PRIu32 " %" PRIu32 " %d %" PRIu32 "\r\n",
            priority, delay, TIME_TO_RUN, options.size);
    }
    bool copied = options.size <= COPIED || options.text;
    char *to = room(c, sizeof put_line + (copied ? options.size : 8) + 2);
    memcpy(to, put_line, put_line_length);
    to += put_line_length;
    if (copied) {
        body_write(to, counter);
        to += options.size;
    } else {
        memcpy(to, &counter, 8);
        wrote_to(c, to + 8);
        *new_piece(c) = (struct piece){body_pattern(counter), 0, options.size - 8};
        to = room(c, 2);
    }
    *to++ = '\r', *to++ = '\n';
    wrote_to(c, to);
    expect(c, INSERT, job);
}

void ask_reserve(struct connection *c, bool waits) {
    static const char plain[] = "reserve\r\n", bounded[] = "reserve-with-timeout 0\r\n";
    if (waits) ask_line(c, plain, sizeof plain - 1, RESERVE, 0);
    else ask_line(c, bounded, sizeof bounded - 1, RESERVE_NOW, 0);
}

void ask_about(struct connection *c, enum request request, uint64_t id) {
    char *to = room(c, 64);
    memcpy(to, request == BURY ? "bury \0" : "delete ", 7);
    to = write_number(to + (request == BURY ? 5 : 7), id);
    if (request == BURY) *to++ = ' ', to = write_number(to, PRIORITY);
    *to++ = '\r', *to++ = '\n';
    wrote_to(c, to);
    expect(c, request, 0);
}

void ask_kick(struct connection *c, uint64_t bound) {
    char line[64];
    ask_line(c, line, (size_t)snprintf(line, sizeof line, "kick %" PRIu64 "\r\n", bound), KICK, (uint32_t)bound);
}

// MARK: Writing

static void watch_for(struct connection *c, bool write) {
    if (c->wants_write == write) return;
    c->wants_write = write;
    struct epoll_event event = {.events = WATCHED | (write ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event) < 0) fail("epoll_ctl: %s", strerror(errno));
}

static ssize_t write_pieces(struct connection *c) {
    struct iovec parts[PIECES];
    int count = 0;
    for (uint32_t i = c->piece_first; i < c->piece_count && count < PIECES; i++, count++) {
        struct piece *piece = &c->pieces[i];
        parts[count].iov_base = (char *)(piece->shared ? piece->shared : c->out) + piece->offset;
        parts[count].iov_len = piece->length;
    }
    return count == 1 ? write(c->fd, parts[0].iov_base, parts[0].iov_len) : writev(c->fd, parts, count);
}

void flush(struct connection *c) {
    while (c->piece_first < c->piece_count) {
        ssize_t written = write_pieces(c);
        if (written < 0) {
            if (errno == EAGAIN) break;
            if (errno != EINTR) fail("connection %" PRIu32 ": write: %s", c->number, strerror(errno));
            continue;
        }
        for (size_t left = (size_t)written; left > 0;) {
            struct piece *piece = &c->pieces[c->piece_first];
            size_t part = left < piece->length ? left : piece->length;
            piece->offset += part;
            piece->length -= part;
            left -= part;
            if (piece->length == 0) c->piece_first++;
        }
    }
    if (c->piece_first == c->piece_count) c->piece_first = c->piece_count = 0, c->out_end = 0;
    watch_for(c, c->piece_count > 0);
}

// MARK: Reading

// One read, and all replies in it. Answers whether there is more to read, perhaps: behind a full read, and the end behind
// the last bytes.
static bool receive(struct connection *c, bool has_ended) {
    if (c->in_start > 0 && c->in_capacity - c->in_end < LINE_MAX_BYTES + options.size + 2) {
        memmove(c->in, c->in + c->in_start, c->in_end - c->in_start);
        c->in_end -= c->in_start;
        c->in_start = 0;
    }
    size_t room = c->in_capacity - c->in_end;
    ssize_t count = read(c->fd, c->in + c->in_end, room);
    if (count < 0) {
        if (errno == EINTR) return true;
        if (errno == EAGAIN) return false;
        fail("connection %" PRIu32 ": read: %s", c->number, strerror(errno));
    }
    if (count == 0)
        fail("connection %" PRIu32 ": closed by the server after %" PRIu64 " replies", c->number, reply_count);
    bool has_more = has_ended || (size_t)count == room;
    c->in_end += (size_t)count;
    // What is asked from here on cannot be answered yet.
    uint32_t due = c->expected_count;
    for (; c->in_start < c->in_end && due > 0; due--) {
        struct reply reply = {0};
        size_t used = reply_take(c, c->in + c->in_start, c->in_end - c->in_start, &reply);
        if (used == 0) return has_more;
        c->in_start += used;
        c->expected_first = (c->expected_first + 1) & (c->expected_capacity - 1);
        c->expected_count--;
        reply_count++;
        c->role->replied(c, &reply);
    }
    if (c->in_start < c->in_end) wrong(c, "nothing", c->in + c->in_start, c->in_end - c->in_start);
    c->in_start = c->in_end = 0;
    if (c->expected_count == 0) c->role->answered(c);
    return has_more;
}

// To the microsecond, which epoll_wait is not.
static void sleep_until(double until) {
    double left = until - now();
    if (left <= 0) return;
    struct pollfd waiting = {.fd = epoll_fd, .events = POLLIN};
    struct timespec time = {(time_t)left, (long)((left - (double)(time_t)left) * 1e9)};
    if (ppoll(&waiting, 1, &time, NULL) < 0 && errno != EINTR) fail("ppoll: %s", strerror(errno));
}

void turn(double until, void (*between)(void)) {
    static double silence;
    struct epoll_event events[EVENTS];
    double start = now(), left = until - start;
    int wait = (int)((left < options.timeout ? left : options.timeout) * 1000) + 1;
    int count = epoll_wait(epoll_fd, events, EVENTS, between || left <= 0 ? 0 : wait);
    if (count == 0 && between) {
        sleep_until(until);
        between();
        count = epoll_wait(epoll_fd, events, EVENTS, 0);
    }
    if (count < 0 && errno != EINTR) fail("epoll_wait: %s", strerror(errno));
    silence = count == 0 ? silence + now() - start : 0;
    if (silence > options.timeout) fail("no reply for %g seconds; %" PRIu64 " replies came", silence, reply_count);
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        if (c->finished) fail("connection %" PRIu32 ": bytes or an end came after the last reply", c->number);
        if (events[i].events & EPOLLOUT) flush(c);
        bool has_ended = events[i].events & ~(uint32_t)(EPOLLIN | EPOLLOUT);
        if (has_ended || events[i].events & EPOLLIN)
            while (receive(c, has_ended)) {}
        if (between) between();
    }
}

void turn_while(bool (*condition)(void)) {
    while (condition()) turn(now() + options.timeout, NULL);
}
