/* run_recovery.c - recovery of every transport that can take part, as part of
 * a run. */
#include "plan.h"
#include "recovery.h"
#include "stats.h"

#include <string.h>

#define TRIALS 15u
#define TRIAL_S 0.03

static const struct {
    const char *mode;
    enum lab_victim victim;
    uint32_t stop;
} cases[] = {{"kill-producer", LAB_VICTIM_PRODUCER, 0},
    {"stop-producer", LAB_VICTIM_PRODUCER, 1},
    {"kill-consumer", LAB_VICTIM_CONSUMER, 0},
    {"stop-consumer", LAB_VICTIM_CONSUMER, 1}};
#define CASES (sizeof(cases) / sizeof(cases[0]))

static int takes_part(
    const struct lab_options *options, const struct lab_transport *t, size_t c)
{
    return !(t->caps & (LAB_CAP_SIM | LAB_CAP_NO_STREAM)) &&
        lab_listed(options->transports, t->name) &&
        !lab_recovery_refusal(t, cases[c].victim);
}

static uint32_t trials_of(const struct lab_options *options)
{
    uint32_t n = options->kills ? options->kills : TRIALS;

    return n > LAB_TRIALS_MAX ? LAB_TRIALS_MAX : n;
}

double lab_recovery_seconds(const struct lab_options *options)
{
    uint32_t n = 0;

    if (!lab_listed(options->modes, "recovery"))
        return 0.0;
    for (size_t c = 0; c < CASES; c++) {
        for (int i = 0; lab_transports[i]; i++)
            n += takes_part(options, lab_transports[i], c) ? 1 : 0;
    }
    return n * (0.1 + TRIAL_S * trials_of(options));
}

static struct lab_figure *figure(struct lab_figures *figures, size_t c,
    const struct lab_transport *t, const char *metric, const char *unit,
    const struct lab_recovery *found)
{
    struct lab_figure *f = lab_figures_add(figures);

    f->mode = cases[c].mode;
    f->transport = t->name;
    f->kind = t->kind;
    f->metric = metric;
    f->unit = unit;
    f->better = -1;
    f->size = 64;
    f->senders = cases[c].victim == LAB_VICTIM_PRODUCER ? 2 : 1;
    f->receivers = cases[c].victim == LAB_VICTIM_CONSUMER ? 2 : 1;
    f->samples = found->cnt + found->stalls;
    if (found->error[0])
        snprintf(f->mark, sizeof(f->mark), "%.120s", found->error);
    else if (found->stalls)
        snprintf(f->mark, sizeof(f->mark), "stalled for good %u of %u times",
            found->stalls, found->cnt + found->stalls);
    return f;
}

static void add_figures(struct lab_figures *figures, size_t c,
    const struct lab_transport *t, const struct lab_recovery *found)
{
    struct lab_figure *f = figure(figures, c, t, "hold-up", "ns", found);

    f->cnt = found->cnt;
    memcpy(f->values, found->hold_ns, found->cnt * sizeof(double));
    f = figure(figures, c, t, "max", "ns", found);
    f->better = 0;
    f->cnt = found->cnt ? 1 : 0;
    f->values[0] = lab_most(found->hold_ns, found->cnt);
    f = figure(figures, c, t, "stalls", "trials", found);
    f->cnt = 1;
    f->values[0] = found->stalls;
}

void lab_run_recovery(
    const struct lab_options *options, double done, struct lab_figures *ret)
{
    uint32_t trials = trials_of(options);

    for (size_t c = 0; c < CASES; c++) {
        for (int i = 0; lab_transports[i] && !lab_interrupted; i++) {
            const struct lab_transport *t = lab_transports[i];
            struct lab_recovery found;
            char what[64];

            if (!takes_part(options, t, c))
                continue;
            snprintf(what, sizeof(what), "%s %s", cases[c].mode, t->name);
            lab_progress(done, what);
            lab_recovery_measure(
                t, cases[c].victim, cases[c].stop, trials, &found);
            add_figures(ret, c, t, &found);
            done += 0.1 + TRIAL_S * trials;
        }
    }
}
