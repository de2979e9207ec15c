/* cli_clock.h - the monotonic clock, and sums that stay at "for ever". */
#ifndef SHMQ_CLI_CLOCK_H
#define SHMQ_CLI_CLOCK_H

#include <stdint.h>
#include <time.h>

#include <shmq.h>

static inline uint64_t cli_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* `from_ns` + `duration_ns`; SHMQ_FOREVER when the duration is. */
static inline uint64_t cli_later(uint64_t from_ns, uint64_t duration_ns)
{
    if (duration_ns > SHMQ_FOREVER - from_ns)
        return SHMQ_FOREVER;
    return from_ns + duration_ns;
}

static inline uint64_t cli_sooner(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

/* Sleeps until then, or until a signal. */
void cli_sleep_until(uint64_t deadline_ns);

#endif
