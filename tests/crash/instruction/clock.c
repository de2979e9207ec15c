/* clock.c - one clock for tracer, victim and others.
 *
 * The library's calls of clock_gettime(2), usleep(3) and nanosleep(2) end here:
 * time stands still but for a microsecond at each look. So an operation takes
 * the same way through the code however slowly it is stepped, and lease ends,
 * patience and deadlines come when a test wants them. Kernel sleeps (futexes)
 * stay real. */
#include <time.h>
#include <unistd.h>

#include <sys/syscall.h>

#include "proof.h"

#define TICK_NS 1000u

uint64_t real_ns(void)
{
    struct timespec ts;
    (void)syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    if (!the_clock)
        return (int)syscall(SYS_clock_gettime, clock, ret);
    uint64_t now = atomic_fetch_add(the_clock, TICK_NS);
    ret->tv_sec = (time_t)(now / 1000000000u);
    ret->tv_nsec = (long)(now % 1000000000u);
    return 0;
}

void real_pause(uint64_t ns)
{
    struct timespec ts = {0, (long)ns};
    (void)syscall(SYS_nanosleep, &ts, NULL);
}

int nanosleep(const struct timespec *ts, struct timespec *left)
{
    if (!the_clock)
        return (int)syscall(SYS_nanosleep, ts, left);
    (void)atomic_fetch_add(
        the_clock, (uint64_t)ts->tv_sec * 1000000000u + (uint64_t)ts->tv_nsec);
    return 0;
}

int usleep(useconds_t us)
{
    if (the_clock)
        (void)atomic_fetch_add(the_clock, us * 1000ull);
    return 0;
}
