/* sleep.h - the words of sleeping and waking; the system calls are in wait.c.
 *
 * Sleeper: futex word (T9), asleep (T10) or polling (T11), armed (T7, T8), and
 * only then the last look at the ring; FUTEX_WAIT on the word that was loaded.
 * Waker: publish, then armed? (P6; T1 for room), take all bits (T6), and for
 * each endpoint they stand for: futex word + 1 (T2), then asleep? (T3), polls?
 * (T4, T5). The waker sees the bit, or the sleeper sees the record; if the bit
 * was taken the futex word has moved. */
#ifndef SHMQI_SLEEP_H
#define SHMQI_SLEEP_H

#include "layout.h"

enum shmqi_waiting {
    SHMQI_AWAKE = 0,
    SHMQI_WAITS_DATA = 1,
    SHMQI_WAITS_ROOM = 2
};

static inline uint64_t shmqi_armed_bit(const struct shmqi_ring *r, uint32_t idx)
{
    uint32_t n = idx < r->producer_cnt ? idx : idx - r->producer_cnt;
    return 1ull << (n & 63);
}

/* -- sleeper ----------------------------------------------------------------
 */

/* Announces, so that later loads see what was published before a publisher
 * could see the announcement (mpmc: both sides seq_cst; spsc: wait.h). */
static inline void shmqi_arm(const struct shmqi_ring *r, uint32_t idx)
{
    shmqi_word *armed = idx < r->producer_cnt ? &r->control->armed_producers
                                              : &r->control->armed_members;
    (void)shm_or(T7, armed, shmqi_armed_bit(r, idx));
    shm_fence(T8);
}

/* Returns the value to sleep on. */
static inline uint32_t shmqi_sleep_announce(
    const struct shmqi_ring *r, uint32_t idx, enum shmqi_waiting what)
{
    struct shmqi_endpoint_shm *e = &r->endpoints[idx];
    uint32_t value = shm_ld(T9, &e->wake);
    shm_st(T10, &e->waiting, what);
    shmqi_arm(r, idx);
    return value;
}

static inline void shmqi_sleep_over(const struct shmqi_ring *r, uint32_t idx)
{
    shm_st(T10, &r->endpoints[idx].waiting, SHMQI_AWAKE);
}

static inline void shmqi_poll_announce(const struct shmqi_ring *r, uint32_t idx)
{
    shm_st(T11, &r->endpoints[idx].doorbell, 1);
    shmqi_arm(r, idx);
}

/* False: the bell was rung, or a waker that took the bit died before it rang;
 * ask again. */
static inline bool shmqi_poll_announced(
    const struct shmqi_ring *r, uint32_t idx)
{
    return (shm_ld(T12, &r->control->armed_members) &
               shmqi_armed_bit(r, idx)) != 0 &&
        shm_ld(T12, &r->endpoints[idx].doorbell) != 0;
}

/* True: the bell was still to be rung. Taken by exchange: one waker rings. */
static inline bool shmqi_bell_take(const struct shmqi_ring *r, uint32_t idx)
{
    return shm_xchg(T5, &r->endpoints[idx].doorbell, 0) != 0;
}

/* -- waker ------------------------------------------------------------------
 */

/* After a publish: does any member sleep? */
static inline bool shmqi_members_armed(const struct shmqi_ring *r)
{
    return __builtin_expect(shm_ld(P6, &r->control->armed_members) != 0, 0);
}

/* After a floor moved: does any producer? */
static inline bool shmqi_producers_armed(const struct shmqi_ring *r)
{
    return __builtin_expect(shm_ld(T1, &r->control->armed_producers) != 0, 0);
}

static inline uint64_t shmqi_members_disarm(const struct shmqi_ring *r)
{
    return shm_xchg(T6, &r->control->armed_members, 0);
}

static inline uint64_t shmqi_producers_disarm(const struct shmqi_ring *r)
{
    return shm_xchg(T6, &r->control->armed_producers, 0);
}

/* What endpoint `idx` needs to be woken. */
#define SHMQI_WAKE_FUTEX 1u
#define SHMQI_WAKE_BELL 2u

static inline unsigned shmqi_wake_word(const struct shmqi_ring *r, uint32_t idx)
{
    struct shmqi_endpoint_shm *e = &r->endpoints[idx];
    unsigned how = 0;
    (void)shm_add(T2, &e->wake, 1);
    if (shm_ld(T3, &e->waiting) != SHMQI_AWAKE)
        how |= SHMQI_WAKE_FUTEX;
    if (shm_ld(T4, &e->doorbell) != 0 && shmqi_bell_take(r, idx))
        how |= SHMQI_WAKE_BELL;
    return how;
}

#endif
