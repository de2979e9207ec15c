/* copy.h - writing frames and records into memory that the caller owns, and
 * asking for its lines. */
#ifndef SHMQI_COPY_H
#define SHMQI_COPY_H

#include <stdint.h>
#include <string.h>

#include "hooks.h"

/* Asks for the line at `at` to be written. (gcc emits prefetchw only for
 * processors that it is told of; all 64-bit ones take it, some do nothing.) */
static inline void shmqi_prefetch_write(const void *at)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)at));
#else
    __builtin_prefetch(at, 1);
#endif
}

/* Longer records are not asked for in advance: their lines would crowd out what
 * a processor has under way (4 KiB: half the throughput of an spsc ring). */
#define SHMQI_PREFETCH_MAX 1280u

/* Asks for the lines of the next record's `bytes` bytes at `at`, behind the
 * first two. */
static inline void shmqi_prefetch_rest(const uint8_t *at, uint64_t bytes)
{
    if (bytes <= SHMQI_PREFETCH_MAX)
        for (uint64_t i = 128; i < bytes; i += 64)
            shmqi_prefetch_write(at + i);
}

/* memcpy for sizes that are mostly small and not known to the compiler: no
 * call up to 128 bytes. Blocks may overlap each other, never the bounds. */
static inline __attribute__((always_inline)) void shmqi_copy(
    void *to, const void *from, uint64_t n)
{
    uint8_t *d = to;
    const uint8_t *s = from;
#ifdef SHMQ_HOOKS
    if (shmqi_hooks) {
        shmqi_hooks->put(to, from, n);
        return;
    }
#endif
    if (n > 128) {
        memcpy(d, s, n);
    } else if (n == 64) { /* a cache line: no loop */
        memcpy(d, s, 64);
    } else if (n >= 16) {
        for (uint64_t i = 0; i + 16 < n; i += 16)
            memcpy(d + i, s + i, 16);
        memcpy(d + n - 16, s + n - 16, 16);
    } else if (n >= 8) {
        memcpy(d, s, 8);
        memcpy(d + n - 8, s + n - 8, 8);
    } else {
        for (uint64_t i = 0; i < n; i++)
            d[i] = s[i];
    }
}

/* memcpy of a header, whose size the compiler knows. */
static inline __attribute__((always_inline)) void shmqi_put(
    void *to, const void *from, uint64_t n)
{
#ifdef SHMQ_HOOKS
    if (shmqi_hooks) {
        shmqi_hooks->put(to, from, n);
        return;
    }
#endif
    memcpy(to, from, n);
}

/* A header goes word by word: put together in memory first, it would be copied
 * by loads wider than the stores before them, which cannot be forwarded. */
static inline __attribute__((always_inline)) void shmqi_put_word(
    void *to, uint64_t value)
{
    shmqi_put(to, &value, sizeof value);
}

#endif
