// SPDX-License-Identifier: MIT

#include <pthread.h>
#include <string.h>

#include "CLinux.h"

// Eight tables, so that eight bytes are taken at a time (slicing-by-8: Kounavis and Berry, 2005).
static uint32_t tables[8][256];
static pthread_once_t tables_made = PTHREAD_ONCE_INIT;

static void make_tables(void) {
    for (uint32_t index = 0; index < 256; index++) {
        uint32_t crc = index;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
        tables[0][index] = crc;
    }
    for (int table = 1; table < 8; table++) {
        for (uint32_t index = 0; index < 256; index++) {
            uint32_t crc = tables[table - 1][index];
            tables[table][index] = crc >> 8 ^ tables[0][crc & 0xFF];
        }
    }
}

uint32_t clinux_crc32c_portable(uint32_t crc, const void *bytes, size_t count) {
    pthread_once(&tables_made, make_tables);
    const unsigned char *at = bytes;
    crc = ~crc;
    for (; count >= 8; at += 8, count -= 8) {
        uint32_t low = crc ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);
        crc = tables[7][low & 0xFF] ^ tables[6][low >> 8 & 0xFF] ^ tables[5][low >> 16 & 0xFF] ^ tables[4][low >> 24] ^
              tables[3][at[4]] ^ tables[2][at[5]] ^ tables[1][at[6]] ^ tables[0][at[7]];
    }
    for (; count > 0; at++, count--) crc = crc >> 8 ^ tables[0][(crc ^ *at) & 0xFF];
    return ~crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>

#define WITH_INSTRUCTIONS __attribute__((target("sse4.2,pclmul")))

static uint64_t word(const unsigned char *at) {
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

// A register as it would be after so many more bytes of zero as the factor stands for: x^(8 * bytes - 33) modulo the
// polynomial. The product lacks 33 of these bits: one as both are reflected, 32 which the instruction adds.
WITH_INSTRUCTIONS static inline uint64_t behind_zeroes(uint64_t crc, uint32_t factor) {
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc), _mm_cvtsi64_si128(factor), 0);
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

// The instruction takes three cycles and the processor begins one in each: so three parts of a block are taken side by
// side, and put together by what the first would be behind the other two, and the second behind the third.
WITH_INSTRUCTIONS static inline uint64_t three_parts(
    uint64_t crc, const unsigned char *at, size_t part, uint32_t behind_one, uint32_t behind_two) {
    uint64_t second = 0, third = 0;
    for (const unsigned char *end = at + part; at < end; at += 8) {
        crc = _mm_crc32_u64(crc, word(at));
        second = _mm_crc32_u64(second, word(at + part));
        third = _mm_crc32_u64(third, word(at + 2 * part));
    }
    return behind_zeroes(crc, behind_two) ^ behind_zeroes(second, behind_one) ^ third;
}

WITH_INSTRUCTIONS static uint32_t with_instructions(uint32_t crc, const unsigned char *at, size_t count) {
    uint64_t wide = ~crc;
    for (; count >= 3 * 1024; at += 3 * 1024, count -= 3 * 1024) wide = three_parts(wide, at, 1024, 0x170076FA, 0xA51B6135);
    for (; count >= 3 * 64; at += 3 * 64, count -= 3 * 64) wide = three_parts(wide, at, 64, 0x9E4ADDF8, 0x0D3B6092);
    for (; count >= 8; at += 8, count -= 8) wide = _mm_crc32_u64(wide, word(at));
    crc = (uint32_t)wide;
    for (; count > 0; at++, count--) crc = _mm_crc32_u8(crc, *at);
    return ~crc;
}

uint32_t clinux_crc32c(uint32_t crc, const void *bytes, size_t count) {
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul")
        ? with_instructions(crc, bytes, count) : clinux_crc32c_portable(crc, bytes, count);
}
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>

uint32_t clinux_crc32c(uint32_t crc, const void *bytes, size_t count) {
    const unsigned char *at = bytes;
    crc = ~crc;
    for (; count >= 8; at += 8, count -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        crc = __crc32cd(crc, word);
    }
    for (; count > 0; at++, count--) crc = __crc32cb(crc, *at);
    return ~crc;
}
#else
uint32_t clinux_crc32c(uint32_t crc, const void *bytes, size_t count) {
    return clinux_crc32c_portable(crc, bytes, count);
}
#endif
