/* clock.h - the lab's time: processor ticks, calibrated against the kernel.
 *
 * Ticks are those of the time-stamp counter on x86 and of the virtual counter
 * on aarch64, else nanoseconds of CLOCK_MONOTONIC_RAW. A figure is only as good
 * as this clock, so it is checked: invariant, one rate at the start and at the
 * end of the run, and one value on the cores used. */
#ifndef LAB_CLOCK_H
#define LAB_CLOCK_H

#include <stdint.h>
#include <time.h>

struct lab_clock {
    double ns_per_tick;
    double tick_ghz;
    double step_ticks; /* smallest difference of two readings */
    double read_ticks; /* what one reading costs */
    double drift_ppm; /* rate at the end against that at the start */
    double skew_ns; /* between the first two cores; see world.c */
    double skew_bound_ns; /* the skew is known to within this much */
    int invariant; /* constant_tsc and nonstop_tsc */
    const char *source; /* "tsc", "cntvct" or "clock_gettime" */
};

extern struct lab_clock lab_clock;

/* Nanoseconds of CLOCK_MONOTONIC. */
static inline uint64_t lab_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline uint64_t lab_raw_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Now, in ticks; not before the loads ahead of it are done. */
static inline uint64_t lab_ticks(void)
{
#if defined(__x86_64__)
    __builtin_ia32_lfence(); /* cheaper than rdtscp, and orders as well */
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t v;

    __asm__ __volatile__("isb; mrs %0, cntvct_el0" : "=r"(v)::"memory");
    return v;
#else
    return lab_raw_ns();
#endif
}

static inline void lab_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static inline double lab_ticks_ns(uint64_t ticks)
{
    return (double)ticks * lab_clock.ns_per_tick;
}

static inline uint64_t lab_ns_ticks(uint64_t ns)
{
    return (uint64_t)((double)ns / lab_clock.ns_per_tick);
}

/* Measures the tick rate (about 60 ms) into lab_clock. */
void lab_clock_calibrate(void);

/* Measures the rate since lab_clock_calibrate() into lab_clock.drift_ppm. */
void lab_clock_check(void);

/* NULL when latencies may be trusted, else why not. */
const char *lab_clock_doubt(void);

#endif
