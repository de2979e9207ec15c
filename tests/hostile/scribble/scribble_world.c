/* scribble_world.c - time, sleep and chance of the games, so that a seed
 * replays: the clock moves by a fixed step at each look at it and by what was
 * slept, nobody really sleeps, and random numbers come from the seed. The
 * library is linked statically, so these definitions are the ones it calls. */
#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "scribble.h"
#include "support/support.h"

#define LOOK_NS 100u

static bool virtual_world;
static uint64_t now_ns, chance;

void scribble_world(uint64_t seed)
{
    virtual_world = true;
    now_ns = 1000000000000ull;
    chance = ~seed;
}

static long real_syscall(long number, long a, long b, long c, long d, long e)
{
    static long (*real)(long, ...);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "syscall");
    return real(number, a, b, c, d, e, 0L);
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
    if (!virtual_world)
        return (int)real_syscall(SYS_clock_gettime, clock, (long)ts, 0, 0, 0);
    now_ns += LOOK_NS;
    ts->tv_sec = (time_t)(now_ns / 1000000000u);
    ts->tv_nsec = (long)(now_ns % 1000000000u);
    return 0;
}

int usleep(useconds_t us)
{
    struct timespec ts = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    if (!virtual_world)
        return nanosleep(&ts, NULL);
    now_ns += us * 1000ull;
    return 0;
}

/* A futex wait always times out: the games have one thread. */
long syscall(long number, ...)
{
    va_list ap;
    va_start(ap, number);
    long a = va_arg(ap, long), b = va_arg(ap, long), c = va_arg(ap, long);
    long d = va_arg(ap, long), e = va_arg(ap, long);
    va_end(ap);
    if (!virtual_world || number != SYS_futex || b != FUTEX_WAIT)
        return real_syscall(number, a, b, c, d, e);
    const struct timespec *ts = (const struct timespec *)d;
    if (*(volatile uint32_t *)a != (uint32_t)c) {
        errno = EAGAIN;
    } else {
        now_ns += (uint64_t)ts->tv_sec * 1000000000u + (uint64_t)ts->tv_nsec;
        errno = ETIMEDOUT;
    }
    return -1;
}

ssize_t getrandom(void *to, size_t bytes, unsigned flags)
{
    if (!virtual_world)
        return real_syscall(SYS_getrandom, (long)to, (long)bytes, flags, 0, 0);
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)to)[i] = (uint8_t)t_random(&chance);
    return (ssize_t)bytes;
}
