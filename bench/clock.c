/* clock.c - calibration and checks of the tick counter. */
#define _GNU_SOURCE
#include "clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lab_clock lab_clock = {.ns_per_tick = 1.0, .source = "clock_gettime"};

struct pair {
    uint64_t ticks, ns;
};

static struct pair first_pair;

/* Both clocks read at one instant: the tightest of many tries. */
static struct pair read_pair(void)
{
    struct pair best = {0, 0};
    uint64_t best_width = UINT64_MAX;

    for (int i = 0; i < 50; i++) {
        uint64_t before = lab_ticks();
        uint64_t ns = lab_raw_ns();
        uint64_t after = lab_ticks();

        if (after - before < best_width) {
            best_width = after - before;
            best.ticks = before + (after - before) / 2;
            best.ns = ns;
        }
    }
    return best;
}

static double rate_ns(struct pair a, struct pair b)
{
    if (b.ticks <= a.ticks)
        return 1.0;
    return (double)(b.ns - a.ns) / (double)(b.ticks - a.ticks);
}

static int flags_invariant(void)
{
#if defined(__x86_64__)
    char line[8192];
    int found = 0;
    FILE *f = fopen("/proc/cpuinfo", "re");

    if (!f)
        return 0;
    while (!found && fgets(line, sizeof(line), f)) {
        if (strncmp(line, "flags", 5) == 0)
            found =
                strstr(line, " constant_tsc") && strstr(line, " nonstop_tsc")
                ? 1
                : -1;
    }
    fclose(f);
    return found == 1;
#else
    return 1;
#endif
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

#define READS 20001
#define CHUNK 16

/* What reading costs, and in what steps the counter moves. */
static void measure_reading(void)
{
    static uint64_t cost[READS];
    uint64_t step = UINT64_MAX;

    for (int i = 0; i < READS; i++) {
        uint64_t first = lab_ticks(), last = first;

        for (int k = 0; k < CHUNK; k++)
            last = lab_ticks();
        cost[i] = last - first;
    }
    qsort(cost, READS, sizeof(cost[0]), by_value);
    lab_clock.read_ticks = (double)cost[READS / 2] / CHUNK;
    for (int i = 1; i < READS; i++) {
        uint64_t more = cost[i] - cost[i - 1];

        if (more && more < step)
            step = more;
    }
    lab_clock.step_ticks = step == UINT64_MAX ? 1.0 : (double)step;
}

void lab_clock_calibrate(void)
{
    struct timespec nap = {.tv_nsec = 60000000};

#if defined(__x86_64__)
    lab_clock.source = "tsc";
#elif defined(__aarch64__)
    lab_clock.source = "cntvct";
#endif
    lab_clock.invariant = flags_invariant();
    first_pair = read_pair();
    nanosleep(&nap, NULL);
    lab_clock.ns_per_tick = rate_ns(first_pair, read_pair());
    measure_reading();
    lab_clock.tick_ghz = 1.0 / lab_clock.ns_per_tick;
}

void lab_clock_check(void)
{
    double now = rate_ns(first_pair, read_pair());

    lab_clock.drift_ppm = (now / lab_clock.ns_per_tick - 1.0) * 1e6;
}

const char *lab_clock_doubt(void)
{
    if (!lab_clock.invariant)
        return "the time-stamp counter is not invariant";
    if (fabs(lab_clock.drift_ppm) > 200.0)
        return "the tick rate changed by more than 200 ppm during the run";
    if (fabs(lab_clock.skew_ns) > lab_clock.skew_bound_ns + 50.0)
        return "the cores' tick counters differ";
    return NULL;
}
