// SPDX-License-Identifier: MIT
//
// Bodies: a counter, then bytes that follow from it and from the place, so that bytes which are lost, doubled, swapped or
// another job's show.

#include "load.h"

#include <stdlib.h>
#include <string.h>

// Each body is a stretch of one table of noise, which begins somewhere in the first 64 KiB. So a large body is neither
// computed nor copied by the generator, which would cost more than all that the server does with it.
enum { STARTS = 1 << 16 };
static char *noise;

static const uint64_t step = UINT64_C(0x9e3779b97f4a7c15);

// splitmix64: Steele, Lea, Flood, 2014.
static uint64_t mix(uint64_t word) {
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

void body_prepare(void) {
    size_t words = (STARTS + (size_t)options.size) / 8 + 1;
    noise = allocate(words, 8);
    for (size_t i = 0; i < words; i++) {
        uint64_t word = mix((i + 1) * step);
        memcpy(noise + i * 8, &word, 8);
    }
}

const char *body_pattern(uint64_t counter) {
    return options.text ? NULL : noise + (counter * step >> 48);
}

// Pieces of which text is made, 16 bytes each; 14 random digits follow each.
static const char pieces[16][17] = {
    "{\"id\": \"invoice-", "\", \"customer\": ", ", \"email\": \"user", "@example.com\", \"", "created\": \"2026-", "-03T12:30:00Z\", ",
    "\"type\": \"report", ".export\", \"tag\"", ": [\"webhook\", \"", "retry\"], \"next\"", ": \"https://api.", "example.com/v1/q", "ueue\", \"attempt",
    "\": {\"amount\": ", ", \"currency\": \"", "EUR\"}, \"status\"",
};

// Text that compresses about as JSON of applications does: the counter, then pieces and hexadecimal digits in turn.
static void write_text(char *to, uint64_t counter) {
    uint64_t state = counter * UINT64_C(0xff51afd7ed558ccd);
    for (size_t at = 8; at < options.size;) {
        uint64_t word = mix(state += step);
        char part[32];
        memcpy(part, pieces[word >> 60], 16);
        for (int digit = 0; digit < 14; digit++) part[16 + digit] = "0123456789abcdef"[word >> (4 * digit) & 15];
        size_t count = options.size - at < 30 ? options.size - at : 30;
        memcpy(to + at, part, count);
        at += count;
    }
}

void body_write(char *to, uint64_t counter) {
    memcpy(to, &counter, 8);
    if (options.text) write_text(to, counter);
    else memcpy(to + 8, body_pattern(counter), options.size - 8);
}

size_t body_check(const char *body, uint64_t *counter) {
    static char *text;
    memcpy(counter, body, 8);
    const char *expected = body_pattern(*counter);
    if (options.text) {
        if (!text) text = allocate(options.size, 1);
        write_text(text, *counter);
        expected = text + 8;
    }
    if (memcmp(body + 8, expected, options.size - 8) == 0) return options.size;
    size_t at = 8;
    while (body[at] == expected[at - 8]) at++;
    return at;
}
