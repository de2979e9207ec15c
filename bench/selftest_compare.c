/* selftest_compare.c - does `compare` see a ring made 10 % slower, and does it
 * leave equal ones alone? In each try three rings are measured turn about, as
 * `compare` does with two builds: one, the same again, and one with a
 * handicap. */
#include "compare.h"
#include "jitter.h"
#include "selftest.h"
#include "transports/handicap.h"

#include <math.h>
#include <string.h>

#define TRIES 20u
#define REPEATS 16u
#define SLICE_NS UINT64_C(20000000)
#define SLOWER 0.10
#define STEPS 1000u

/* More disturbed measurements than this share, and nothing can be said. */
#define BUSY_SHARE 4u

static struct lab_quiet quiet;

static int measure(uint32_t steps, double *ret_p50, char *error)
{
    struct lab_spec spec = {.mode = LAB_PINGPONG,
        .transport = lab_transport_find("handicap"),
        .size = 64,
        .warm_ns = SLICE_NS / 4,
        .measure_ns = SLICE_NS};
    struct lab_result result;

    lab_handicap_steps = steps;
    lab_measure_quietly(&spec, &quiet, &result);
    if (result.failed) {
        snprintf(error, 192, "%.160s", result.error);
        return -1;
    }
    *ret_p50 = result.p50;
    return 0;
}

/* What one step of the handicap takes, in ns. */
static double step_ns(void)
{
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < 200; i++) {
        uint64_t begin = lab_ticks(), took;

        lab_handicap_burn(STEPS);
        took = lab_ticks() - begin;
        if (took < best)
            best = took;
    }
    return lab_ticks_ns(best) / STEPS;
}

enum { ONE, AGAIN, SLOW, SERIES };

/* The handicap is a tenth of what the ring itself took a repetition ago; who
 * is first changes from repetition to repetition. */
static int one_repetition(uint32_t rep, double ns, double *ring_ns,
    struct lab_series *series, char *error)
{
    uint32_t steps = (uint32_t)lround(SLOWER * *ring_ns / ns);
    double p50;

    for (uint32_t i = 0; i < SERIES; i++) {
        uint32_t which = (i + rep) % SERIES;

        if (measure(which == SLOW ? steps : 0, &p50, error))
            return -1;
        series[which].values[series[which].cnt++] = p50;
    }
    *ring_ns = series[ONE].values[series[ONE].cnt - 1];
    return 0;
}

struct outcome {
    uint32_t tries, noticed, false_alarms;
    double changes[LAB_SERIES_MAX]; /* of the slower ring, as measured */
};

static int one_try(double ns, struct outcome *outcome, char *error)
{
    static struct lab_series series[SERIES];
    struct lab_difference d;
    double ring_ns;

    if (measure(0, &ring_ns, error))
        return -1;
    memset(series, 0, sizeof(series));
    for (uint32_t rep = 0; rep < REPEATS && !lab_interrupted; rep++) {
        if (one_repetition(rep, ns, &ring_ns, series, error))
            return -1;
    }
    if (lab_interrupted)
        return 0;
    lab_compare_pairs(&series[ONE], &series[AGAIN], &d);
    outcome->false_alarms += lab_difference_counts(&d, 1) ? 1 : 0;
    lab_compare_pairs(&series[ONE], &series[SLOW], &d);
    outcome->noticed += lab_difference_counts(&d, 1) && d.change > 0 ? 1 : 0;
    outcome->changes[outcome->tries++] = d.change;
    return 0;
}

static int judge(const struct outcome *o)
{
    int failed;

    if (quiet.disturbed > quiet.measured / BUSY_SHARE)
        return lab_check("compare", 0,
            "cannot tell: the cores were busy with other things in %u of %u "
            "measurements; try again on a quiet machine",
            quiet.again + quiet.disturbed, quiet.measured);
    failed = lab_check("compare-slower", o->noticed * 20 >= o->tries * 18,
        "a ring made 10 %% slower (measured %+.1f %%, %+.1f to %+.1f) noticed "
        "in %u of %u tries",
        lab_median(o->changes, o->tries) * 100.0,
        lab_least(o->changes, o->tries) * 100.0,
        lab_most(o->changes, o->tries) * 100.0, o->noticed, o->tries);
    return failed +
        lab_check("compare-equal", o->false_alarms * 20 <= o->tries,
            "two runs of the same ring told apart in %u of %u tries",
            o->false_alarms, o->tries);
}

int lab_selftest_compare(const struct lab_options *options)
{
    uint32_t tries = options->repeats ? options->repeats : TRIES;
    double try_s = 3.0 * REPEATS * ((double)SLICE_NS * 1.25e-9 + 0.012);
    static struct outcome outcome;
    double ns = step_ns();
    char error[192] = "";

    quiet.again_max = tries * REPEATS;
    lab_progress_start(try_s * tries, (int)options->quiet);
    while (outcome.tries < tries && !lab_interrupted) {
        lab_progress(outcome.tries * try_s, "compare: slower and equal rings");
        if (one_try(ns, &outcome, error))
            return lab_check("compare", 0, "%s", error);
    }
    lab_progress_end();
    return outcome.tries ? judge(&outcome) : 0;
}
