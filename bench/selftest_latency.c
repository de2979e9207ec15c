/* selftest_latency.c - is a known distribution of latencies reported right?
 *
 * The transport `injected` serves each message in a known time: 40 us, one in
 * 50 takes 1 ms more, one in 50,000 (every 10 s at 5,000 a second) 100 ms more.
 * With that, and one server, every latency follows by arithmetic. The open loop
 * must report it; the closed loop cannot, because it stops asking while the
 * server is stuck. */
#include "clock.h"
#include "jitter.h"
#include "selftest.h"
#include "transports/handicap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RATE 5000u
#define SECONDS 20u
#define MESSAGES (RATE * SECONDS)
#define ATTEMPTS 4
#define TOLERANCE 0.02

static const double quantiles[3] = {0.5, 0.99, 0.999};

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Latencies in ns, from the schedule alone. */
static int exact_latencies(double *ret)
{
    double *latency = calloc(MESSAGES, sizeof(*latency));
    double gap = 1e9 / RATE, free_at = 0.0;

    if (!latency)
        return -1;
    for (uint64_t seq = 0; seq < MESSAGES; seq++) {
        double arrival = (double)seq * gap;

        free_at = fmax(arrival, free_at) +
            (double)lab_injected_ns(&lab_injection, seq);
        latency[seq] = free_at - arrival;
    }
    qsort(latency, MESSAGES, sizeof(*latency), ascending);
    for (int i = 0; i < 3; i++)
        ret[i] = latency[(uint64_t)(quantiles[i] * MESSAGES)];
    free(latency);
    return 0;
}

static void measure(
    enum lab_mode mode, uint64_t seconds, struct lab_result *ret)
{
    struct lab_spec spec = {.mode = mode,
        .transport = lab_transport_find("injected"),
        .size = 8,
        .rate = RATE,
        .measure_ns = seconds * 1000000000u};
    uint64_t timeout = lab_setup.timeout_ns;

    lab_setup.timeout_ns = (seconds + 10) * 1000000000u;
    lab_measure(&spec, ret, NULL);
    lab_setup.timeout_ns = timeout;
}

static double worst_of(const struct lab_result *r, const double *exact)
{
    double worst = fabs(r->p50 / exact[0] - 1.0);

    worst = fmax(worst, fabs(r->p99 / exact[1] - 1.0));
    return fmax(worst, fabs(r->p999 / exact[2] - 1.0));
}

/* Being away from the core at the wrong moment spoils it: tried again. */
static int open_loop(const double *exact, struct lab_result *ret)
{
    int tries = 0;
    double worst;

    do {
        lab_progress(0.0, "open loop with injected delays");
        measure(LAB_RATE, SECONDS, ret);
        worst = worst_of(ret, exact);
    } while (!ret->failed && worst > TOLERANCE && ++tries < ATTEMPTS &&
        !lab_interrupted);
    if (ret->failed)
        return lab_check("open-loop", 0, "%s", ret->error);
    return lab_check("open-loop", worst <= TOLERANCE,
        "p50 %.1f us (exact %.1f), p99 %.2f ms (%.2f), p99.9 %.2f ms "
        "(%.2f): within %.2f %%%s",
        ret->p50 * 1e-3, exact[0] * 1e-3, ret->p99 * 1e-6, exact[1] * 1e-6,
        ret->p999 * 1e-6, exact[2] * 1e-6, worst * 100.0,
        tries ? ", after being disturbed" : "");
}

static int closed_loop(const double *exact)
{
    struct lab_result result;
    double p999;
    int tries = 0;

    do {
        measure(LAB_PINGPONG, 8, &result);
        p999 = result.p999 * 2.0; /* the delay is in one direction only */
    } while (
        !result.failed && p999 > 2e6 && ++tries < ATTEMPTS && !lab_interrupted);
    if (result.failed)
        return lab_check("closed-loop", 0, "%s", result.error);
    return lab_check("closed-loop", p999 < 0.2 * exact[2],
        "p99.9 %.2f ms of a true %.2f ms: what it omits, as the manual says",
        p999 * 1e-6, exact[2] * 1e-6);
}

int lab_selftest_latency(const struct lab_options *options)
{
    struct lab_result result;
    double exact[3];
    int failed;

    lab_injection = (struct lab_injection){.base_ns = 40000,
        .delay_ns = 1000000,
        .delay_every = 50,
        .stall_ns = 100000000,
        .stall_every = RATE * 10};
    if (exact_latencies(exact))
        return lab_check("open-loop", 0, "out of memory");
    lab_progress_start(SECONDS + 8.0, (int)options->quiet);
    failed = open_loop(exact, &result);
    if (!lab_interrupted)
        failed += closed_loop(exact);
    lab_progress_end();
    return failed;
}
