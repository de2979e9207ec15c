/* points.h - calls a function before every access of the library to shared
 * memory, and then does the access as ever. For builds with SHMQ_HOOKS.
 *
 * t_points(f) installs f, which is told the operation ("load", "store", "cas",
 * "rmw", "fence", "get", "put") and the edge ("" for plain bytes);
 * t_points(NULL) takes it away. t_die_at(k) installs one that kills the process
 * at the k-th access from now (0: never); t_points_seen() tells how many there
 * were. */
#ifndef SHMQ_TEST_POINTS_H
#define SHMQ_TEST_POINTS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "hooks.h"

#ifdef SHMQ_HOOKS

static void (*t_point)(const char *op, const char *edge);

static uint64_t t_point_load(
    const char *edge, const void *word, uint32_t bytes, int order)
{
    (void)order;
    t_point("load", edge);
    return bytes == 4 ? __atomic_load_n((const uint32_t *)word, 5)
                      : __atomic_load_n((const uint64_t *)word, 5);
}

static void t_point_store(
    const char *edge, void *word, uint32_t bytes, uint64_t value, int order)
{
    (void)order;
    t_point("store", edge);
    if (bytes == 4)
        __atomic_store_n((uint32_t *)word, (uint32_t)value, 5);
    else
        __atomic_store_n((uint64_t *)word, value, 5);
}

static bool t_point_cas(const char *edge, void *word, uint64_t expected,
    uint64_t desired, int order)
{
    (void)order;
    t_point("cas", edge);
    return __atomic_compare_exchange_n(
        (uint64_t *)word, &expected, desired, false, 5, 5);
}

static uint64_t t_point_rmw8(void *word, enum shmqi_rmw op, uint64_t value)
{
    switch (op) {
    case SHMQI_RMW_ADD:
        return __atomic_fetch_add((uint64_t *)word, value, 5);
    case SHMQI_RMW_OR:
        return __atomic_fetch_or((uint64_t *)word, value, 5);
    case SHMQI_RMW_AND:
        return __atomic_fetch_and((uint64_t *)word, value, 5);
    default:
        return __atomic_exchange_n((uint64_t *)word, value, 5);
    }
}

static uint64_t t_point_rmw(const char *edge, void *word, uint32_t bytes,
    enum shmqi_rmw op, uint64_t value, int order)
{
    (void)order;
    t_point("rmw", edge);
    if (bytes == 8)
        return t_point_rmw8(word, op, value);
    return op == SHMQI_RMW_ADD /* the only one of futex words */
        ? __atomic_fetch_add((uint32_t *)word, (uint32_t)value, 5)
        : __atomic_exchange_n((uint32_t *)word, (uint32_t)value, 5);
}

static void t_point_fence(const char *edge, int order)
{
    (void)order;
    t_point("fence", edge);
    __atomic_thread_fence(5);
}

static void t_point_get(void *to, const void *from, uint64_t bytes)
{
    t_point("get", "");
    memcpy(to, from, bytes);
}

static void t_point_put(void *to, const void *from, uint64_t bytes)
{
    t_point("put", "");
    memcpy(to, from, bytes);
}

static inline void t_points(void (*point)(const char *op, const char *edge))
{
    static const struct shmqi_hooks hooks = {t_point_load, t_point_store,
        t_point_cas, t_point_rmw, t_point_fence, t_point_get, t_point_put};

    t_point = point;
    shmqi_hooks = point != NULL ? &hooks : NULL;
}

static uint64_t t_points_cnt, t_points_last;

static inline void t_count_and_die(const char *op, const char *edge)
{
    (void)op;
    (void)edge;
    if (++t_points_cnt == t_points_last)
        (void)kill(getpid(), SIGKILL);
}

static inline void t_die_at(uint64_t k)
{
    t_points_cnt = 0;
    t_points_last = k;
    t_points(t_count_and_die);
}

static inline uint64_t t_points_seen(void)
{
    return t_points_cnt;
}

#endif
#endif
