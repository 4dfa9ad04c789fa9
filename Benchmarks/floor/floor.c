// SPDX-License-Identifier: MIT
//
// The floor under every server of this protocol that runs on one thread with epoll: it finds out which reply is due and
// sends a canned one. It holds no jobs. What it takes in processor time and system calls, nobody can do without.
//
//     cc -O2 -o floor floor.c
//     ./floor --tcp 127.0.0.1:11300        or --unix PATH

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    READ_BYTES = 1 << 16,
    LINE_BYTES = 224,
    BODY_BYTES = 1 << 16,     // the largest body that a reply can have
    REPLY_BYTES = 64          // without its body
};

struct connection {
    int fd;
    uint64_t skip;            // bytes of a body and its CRLF that are still to come
    size_t kept;              // bytes of a line that is not whole
    char line[LINE_BYTES];
};

static char input[LINE_BYTES + READ_BYTES];
static char *output;
static size_t output_end, output_capacity;
static char body[BODY_BYTES + 2];
static size_t body_size = 64;
static uint64_t inserted, reserved;

static void stop(const char *what) {
    perror(what);
    exit(1);
}

static void add(const char *bytes, size_t count) {
    memcpy(output + output_end, bytes, count);
    output_end += count;
}

static void add_number(uint64_t value) {
    char digits[20];
    int start = sizeof digits;
    do digits[--start] = (char)('0' + value % 10); while (value /= 10);
    add(digits + start, sizeof digits - (size_t)start);
}

static void make_room(void) {
    if (output_capacity - output_end > BODY_BYTES + REPLY_BYTES) return;
    output_capacity = 2 * output_capacity + 2 * (BODY_BYTES + REPLY_BYTES);
    output = realloc(output, output_capacity);
    if (!output) stop("realloc");
}

static void add_inserted(void) {
    make_room();
    add("INSERTED ", 9);
    add_number(++inserted);
    add("\r\n", 2);
}

// A line without its body. A put is answered when its body has come.
static void take_line(struct connection *c, const char *line, const char *end) {
    make_room();
    switch (*line) {
    case 'p': {
        uint64_t size = 0;
        const char *at = end - 2;
        while (at > line && at[-1] != ' ') at--;
        while (*at >= '0' && *at <= '9') size = size * 10 + (uint64_t)(*at++ - '0');
        c->skip = size + 2;
        if (size <= BODY_BYTES) body_size = size;
        break;
    }
    case 'r':
        add("RESERVED ", 9);
        add_number(++reserved);
        add(" ", 1);
        add_number(body_size);
        add("\r\n", 2);
        memcpy(body + body_size, "\r\n", 2);
        add(body, body_size + 2);
        memset(body + body_size, 'x', 2);
        break;
    case 'd': add("DELETED\r\n", 9); break;
    case 'l': add("USING default\r\n", 15); break;
    default: add("UNKNOWN_COMMAND\r\n", 17);
    }
}

static void send_all(int fd) {
    for (size_t sent = 0; sent < output_end;) {
        ssize_t count = send(fd, output + sent, output_end - sent, MSG_NOSIGNAL);
        if (count >= 0) sent += (size_t)count;
        else if (errno == EAGAIN) poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        else break;
    }
    output_end = 0;
}

// One read, and one write of all the replies. Answers whether there is more to read, perhaps: behind a full read, and the
// end behind the last bytes.
static bool serve(struct connection *c, bool has_ended) {
    memcpy(input, c->line, c->kept);
    ssize_t count = recv(c->fd, input + c->kept, READ_BYTES, 0);
    if (count <= 0) {
        if (count < 0 && errno == EAGAIN) return false;
        close(c->fd);
        free(c);
        return false;
    }
    bool has_more = has_ended || count == READ_BYTES;
    const char *at = input, *end = input + c->kept + count;
    c->kept = 0;
    while (at < end) {
        if (c->skip > 0) {
            uint64_t part = (uint64_t)(end - at) < c->skip ? (uint64_t)(end - at) : c->skip;
            at += part;
            c->skip -= part;
            if (c->skip == 0) add_inserted();
            continue;
        }
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (!newline) {
            c->kept = (size_t)(end - at) < LINE_BYTES ? (size_t)(end - at) : 0;
            memcpy(c->line, at, c->kept);
            break;
        }
        take_line(c, at, newline + 1);
        at = newline + 1;
    }
    send_all(c->fd);
    return has_more;
}

static int listen_tcp(char *text) {
    char *colon = strrchr(text, ':');
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (colon) *colon = 0;
    if (!colon || inet_pton(AF_INET, text, &address.sin_addr) != 1) stop("--tcp wants ADDRESS:PORT");
    address.sin_port = htons((uint16_t)atoi(colon + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) stop("bind");
    return fd;
}

static int listen_unix(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) stop("bind");
    return fd;
}

static void accept_all(int epoll, int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct connection *c = calloc(1, sizeof *c);
        if (!c) stop("calloc");
        c->fd = fd;
        // Edge-triggered, the kernel looks at a connection once for each time that something comes, not twice.
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = c};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) stop("epoll_ctl");
    }
}

int main(int count, char **arguments) {
    int is_tcp = count == 3 && strcmp(arguments[1], "--tcp") == 0;
    if (!is_tcp && !(count == 3 && strcmp(arguments[1], "--unix") == 0)) {
        fputs("usage: floor (--tcp ADDRESS:PORT | --unix PATH)\n", stderr);
        return 2;
    }
    memset(body, 'x', sizeof body);
    int listener = is_tcp ? listen_tcp(arguments[2]) : listen_unix(arguments[2]);
    if (listen(listener, 1024) < 0) stop("listen");
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) stop("epoll_ctl");
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            bool has_ended = events[i].events & ~(uint32_t)EPOLLIN;
            if (!events[i].data.ptr) accept_all(epoll, listener);
            else while (serve(events[i].data.ptr, has_ended)) {}
        }
    }
}
