// SPDX-License-Identifier: MIT
//
// The exact form of each reply.

#include "load.h"

#include <stdio.h>
#include <string.h>

char *write_number(char *to, uint64_t value) {
    char digits[20];
    int count = 0;
    do digits[count++] = (char)('0' + value % 10); while (value /= 10);
    while (count) *to++ = digits[--count];
    return to;
}

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

static void check_inserted(struct connection *c, const char *line, size_t length, struct reply *reply) {
    if (!begins(line, length, "INSERTED ", 9)
        || read_number(line + 9, line + length, '\r', &reply->id) != line + length - 1 || reply->id == 0)
        wrong(c, "INSERTED <id>", line, length);
    if (!options.floor) id_given_out(reply->id);
}

// Answers how many bytes of body and CRLF follow the line, 0 if they are not all there yet.
static size_t check_reserved(
    struct connection *c, const char *line, size_t length, size_t available, struct reply *reply) {
    uint64_t size;
    if (!begins(line, length, "RESERVED ", 9)) wrong(c, "RESERVED <id> <bytes>", line, length);
    const char *at = read_number(line + 9, line + length, ' ', &reply->id);
    if (!at || read_number(at, line + length, '\r', &size) != line + length - 1 || reply->id == 0)
        wrong(c, "RESERVED <id> <bytes>", line, length);
    if (size != options.size) wrong(c, "a body of the size that was put", line, length);
    if (available < length + options.size + 2) return 0;
    const char *body = line + length;
    if (memcmp(body + options.size, "\r\n", 2) != 0) wrong(c, "CRLF after the body", body + options.size, 2);
    // A floor's bodies are nobody's.
    if (options.floor) return options.size + 2;
    size_t good = body_check(body, &reply->counter);
    if (good < options.size) {
        fprintf(stderr, "load: body damaged at byte %zu of %" PRIu32 "\n", good, options.size);
        wrong(c, options.text ? "the text that was put" : "the bytes that were put", body + good, options.size - good);
    }
    id_reserved(reply->id);
    return options.size + 2;
}

// The line must be this, to the byte: a word, and a text or a number where there is one.
static void check_line(const struct connection *c, const char *line, size_t length, const char *word, const char *text) {
    char expected[LINE_MAX_BYTES];
    int count = snprintf(expected, sizeof expected, "%s%s\r\n", word, text);
    if (length != (size_t)count || memcmp(line, expected, length) != 0) {
        expected[count - 2] = 0;
        wrong(c, expected, line, length);
    }
}

static void check_count(const struct connection *c, const char *line, size_t length, const char *word, uint32_t count) {
    char digits[16];
    *write_number(digits, count) = 0;
    check_line(c, line, length, word, digits);
}

static void check_tube(const struct connection *c, const char *line, size_t length, uint32_t tube) {
    char name[TUBE_NAME_BYTES];
    tube_name(tube, name);
    check_line(c, line, length, "USING ", name);
}

size_t reply_take(struct connection *c, const char *bytes, size_t available, struct reply *reply) {
    size_t search = available < LINE_MAX_BYTES ? available : LINE_MAX_BYTES;
    const char *newline = memchr(bytes, '\n', search);
    if (!newline) {
        if (available >= LINE_MAX_BYTES) wrong(c, "a line", bytes, available);
        return 0;
    }
    size_t length = (size_t)(newline - bytes) + 1;
    struct expected expected = c->expected[c->expected_first];
    reply->request = expected.request;
    reply->argument = expected.argument;
    switch (expected.request) {
    case INSERT:
        check_inserted(c, bytes, length, reply);
        break;
    case RESERVE:
    case RESERVE_NOW: {
        if (expected.request == RESERVE_NOW && length == 11 && memcmp(bytes, "TIMED_OUT\r\n", 11) == 0) {
            reply->timed_out = true;
            break;
        }
        size_t body = check_reserved(c, bytes, length, available, reply);
        if (body == 0) return 0;
        length += body;
        break;
    }
    case REMOVE:
        if (length != 9 || memcmp(bytes, "DELETED\r\n", 9) != 0) wrong(c, "DELETED", bytes, length);
        break;
    case BURY: check_line(c, bytes, length, "BURIED", ""); break;
    case KICK: check_count(c, bytes, length, "KICKED ", expected.argument); break;
    case WATCH:
    case IGNORE: check_count(c, bytes, length, "WATCHING ", expected.argument); break;
    case USE: check_tube(c, bytes, length, expected.argument); break;
    case ASK_USED: check_tube(c, bytes, length, TUBE_DEFAULT); break;
    }
    return length;
}
