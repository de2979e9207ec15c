/* selftest_compare.c - does `compare` see a ring made 10 % slower, and does it
 * leave equal ones alone? In each of 20 tries three short runs are made: one,
 * the same again, and one with a handicap. */
#include "compare.h"
#include "jitter.h"
#include "selftest.h"
#include "stats.h"
#include "transports/handicap.h"

#include <math.h>
#include <string.h>
#include <stdlib.h>

#define TRIES 20u
#define REPEATS 15u
#define SLICE_NS UINT64_C(30000000)
#define SLOWER 0.10
#define MOVED 0.25 /* of the floor, from one side of the ring to the other */
#define STEPS 1000u

/* More disturbed measurements than this, and nothing can be said. */
#define TOO_BUSY (TRIES * REPEATS / 4)

static struct lab_quiet quiet = {.again_max = 2 * TRIES * REPEATS};

static int measure(const char *name, double *ret_p50, char *error)
{
    struct lab_spec spec = {.mode = LAB_PINGPONG,
        .transport = lab_transport_find(name),
        .size = 64,
        .warm_ns = SLICE_NS / 4,
        .measure_ns = SLICE_NS};
    struct lab_result result;

    lab_measure_quietly(&spec, &quiet, &result);
    if (result.failed) {
        snprintf(error, 192, "%.20s: %.160s", name, result.error);
        return -1;
    }
    *ret_p50 = result.p50;
    return 0;
}

/* One run: the handicapped ring and its floor, interleaved. The floor is
 * measured on both sides of the ring; when the two differ, the cores have just
 * moved apart or together, and the repetition is made again. */
static int short_run(
    uint32_t steps, struct lab_series *ret, double *ret_p50, char *error)
{
    double p50s[REPEATS], before, after;
    uint32_t tries = 0;

    lab_handicap_steps = steps;
    ret->cnt = 0;
    if (measure("handover", &before, error))
        return -1;
    while (ret->cnt < REPEATS && !lab_interrupted) {
        uint32_t i = ret->cnt;

        if (measure("handicap", &p50s[i], error) ||
            measure("handover", &after, error))
            return -1;
        if (fabs(after / before - 1.0) < MOVED || ++tries > REPEATS) {
            ret->floors[i] = (before + after) / 2.0;
            ret->values[i] = p50s[i] / ret->floors[i];
            ret->cnt++;
        }
        before = after;
    }
    *ret_p50 = lab_median(p50s, ret->cnt);
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

struct outcome {
    uint32_t tries, noticed, false_alarms;
    double changes[TRIES]; /* of the slower ring, as measured */
};

/* The handicap is a tenth of what the ring itself took in this very try. */
static int one_try(double ns, struct outcome *outcome, char *error)
{
    static struct lab_series a, again, slow;
    struct lab_difference d;
    double p50;

    if (short_run(0, &a, &p50, error) || short_run(0, &again, &p50, error) ||
        short_run((uint32_t)lround(SLOWER * p50 / ns), &slow, &p50, error))
        return -1;
    lab_compare_series(&a, &again, &d);
    if (getenv("DBG")) fprintf(stderr,"same %+.3f p %.4f noise %.3f n %u/%u floor %.0f %.0f ratio %.3f\n",d.change,d.probability,d.noise,d.a_cnt,d.b_cnt,lab_median(a.floors,a.cnt),lab_median(again.floors,again.cnt),lab_median(a.values,a.cnt));
    outcome->false_alarms += lab_difference_counts(&d, 1) ? 1 : 0;
    lab_compare_series(&a, &slow, &d);
    if (getenv("DBG")) fprintf(stderr,"slow %+.3f p %.4f noise %.3f n %u/%u floor %.0f %.0f\n",d.change,d.probability,d.noise,d.a_cnt,d.b_cnt,lab_median(a.floors,a.cnt),lab_median(slow.floors,slow.cnt));
    outcome->noticed += lab_difference_counts(&d, 1) && d.change > 0 ? 1 : 0;
    outcome->changes[outcome->tries++] = d.change;
    return 0;
}

int lab_selftest_compare(const struct lab_options *options)
{
    struct outcome outcome = {0};
    char error[192] = "";
    double ns = step_ns();
    double try_s = 3.0 * REPEATS * 2 * ((double)SLICE_NS * 1.25e-9 + 0.015);
    int failed;

    lab_progress_start(try_s * TRIES, (int)options->quiet);
    while (outcome.tries < TRIES && !lab_interrupted &&
        quiet.disturbed <= TOO_BUSY) {
        lab_progress(outcome.tries * try_s, "compare: slower and equal rings");
        if (one_try(ns, &outcome, error))
            return lab_check("compare", 0, "%s", error);
    }
    lab_progress_end();
    if (lab_interrupted)
        return 0;
    if (quiet.disturbed > TOO_BUSY)
        return lab_check("compare", 0,
            "cannot tell: the cores were busy with other things in %u of %u "
            "measurements; try again on a quiet machine",
            quiet.again + quiet.disturbed, quiet.measured);
    failed = lab_check("compare-slower", outcome.noticed >= 18,
        "a ring made 10 %% slower (measured %+.1f %%) noticed in %u of %u "
        "tries",
        lab_median(outcome.changes, outcome.tries) * 100.0, outcome.noticed,
        outcome.tries);
    failed += lab_check("compare-equal", outcome.false_alarms <= 1,
        "two runs of the same ring told apart in %u of %u tries",
        outcome.false_alarms, outcome.tries);
    return failed;
}
