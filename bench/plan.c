/* plan.c - making and running the plan of a run. */
#include "plan.h"

#include "clock.h"

#include <stdlib.h>
#include <string.h>

#define PROBE_NS 2000000u
#define OVERHEAD_S 0.03 /* starting and ending the parties of a measurement */

static const struct mode {
    const char *name;
    enum lab_mode mode;
    uint64_t slice_ms;
    const char *floor;
    uint32_t trace;
} modes[] = {{"pingpong", LAB_PINGPONG, 120, "handover", 0},
    {"rate", LAB_RATE, 300, "handover", 0},
    {"stream", LAB_STREAM, 120, "handover", 0}, {"solo", LAB_SOLO, 40, "", 0},
    {"wake", LAB_WAKE, 120, "futex", 0},
    {"cost", LAB_STREAM, 100, "handover", 1}, {"memory", LAB_FILL, 1, "", 0}};
#define MODES (sizeof(modes) / sizeof(modes[0]))

static int add(
    struct lab_plan *plan, const struct lab_entry *entry, uint32_t repeats)
{
    struct lab_entry *e = &plan->entries[plan->cnt];

    if (plan->cnt == LAB_ENTRIES_MAX) {
        fprintf(stderr, "shmq-bench: run: too many combinations\n");
        return -1;
    }
    *e = *entry;
    if (e->spec.mode != LAB_STREAM && e->spec.mode != LAB_FILL) {
        e->pool = malloc(sizeof(*e->pool));
        if (!e->pool)
            return -1;
        lab_hist_reset(e->pool);
    }
    plan->cnt++;
    plan->seconds += (double)(e->spec.warm_ns + e->spec.measure_ns) * 1e-9 *
        (e->once ? 1 : repeats);
    plan->seconds += OVERHEAD_S * (e->once ? 1 : repeats);
    return 0;
}

static void note_skipped(
    struct lab_plan *plan, const char *name, const char *why)
{
    size_t len = strlen(plan->skipped);

    snprintf(plan->skipped + len, sizeof(plan->skipped) - len,
        "skipped %s: %s\n", name, why);
}

static int add_size(struct lab_plan *plan, const struct mode *mode,
    const struct lab_transport *t, uint32_t size,
    const struct lab_options *options)
{
    struct lab_entry entry = {.mode = mode->name};
    const char *refusal;

    entry.spec.mode = mode->mode;
    entry.spec.transport = t;
    entry.spec.size = size;
    entry.spec.senders = mode->mode == LAB_STREAM ? options->senders : 0;
    entry.spec.receivers = mode->mode == LAB_STREAM ? options->receivers : 0;
    entry.spec.rate = options->rate;
    entry.spec.depth = options->depth;
    entry.spec.measure_ns =
        options->slice_ns ? options->slice_ns : mode->slice_ms * 1000000u;
    entry.spec.warm_ns = entry.spec.measure_ns / 4;
    entry.spec.trace = mode->trace;
    entry.once = mode->trace || mode->mode == LAB_FILL;
    refusal = lab_measure_refusal(&entry.spec);
    if (refusal)
        return 0;
    return add(plan, &entry, plan->repeats);
}

/* A transport is in when asked for, or when it is the mode's floor. */
static int add_mode(struct lab_plan *plan, const struct mode *mode,
    const uint32_t *sizes, uint32_t size_cnt, const struct lab_options *options)
{
    for (int i = 0; lab_transports[i]; i++) {
        const struct lab_transport *t = lab_transports[i];
        int floor = strcmp(t->name, mode->floor) == 0;

        if (t->missing || (t->caps & LAB_CAP_SIM))
            continue;
        if (!floor && !lab_listed(options->transports, t->name))
            continue;
        /* A floor that moves one line does it for all sizes. */
        for (uint32_t k = 0; k < ((t->caps & LAB_CAP_LINE) ? 1 : size_cnt);
             k++) {
            if (add_size(plan, mode, t, sizes[k], options))
                return -1;
        }
    }
    return 0;
}

static int parse_sizes(const char *text, uint32_t *sizes, uint32_t *ret_cnt)
{
    *ret_cnt = 0;
    while (*text) {
        char *end;
        unsigned long v = strtoul(text, &end, 10);

        if (end == text)
            return -1;
        if (*end == 'K' || *end == 'M')
            v <<= *end++ == 'K' ? 10 : 20;
        if (v < 8 || v > (16u << 20) || v % 8 || *ret_cnt == 16 ||
            (*end && *end != ','))
            return -1;
        sizes[(*ret_cnt)++] = (uint32_t)v;
        text = *end ? end + 1 : end;
    }
    return *ret_cnt ? 0 : -1;
}

int lab_plan_make(struct lab_plan *plan, const struct lab_options *options)
{
    uint32_t sizes[16], size_cnt;

    memset(plan, 0, sizeof(*plan));
    plan->repeats = options->repeats ? options->repeats : 5;
    if (parse_sizes(options->sizes ? options->sizes : "64", sizes, &size_cnt)) {
        fprintf(stderr,
            "shmq-bench: run: --sizes: 8 to 16M, multiples of 8, "
            "at most 16 of them\n");
        return -1;
    }
    plan->entries = calloc(LAB_ENTRIES_MAX, sizeof(*plan->entries));
    if (!plan->entries)
        return -1;
    for (int i = 0; lab_transports[i]; i++) {
        const struct lab_transport *t = lab_transports[i];
        char why[80];

        if (!t->missing || !lab_listed(options->transports, t->name))
            continue;
        snprintf(why, sizeof(why), "not built in, install %s", t->missing);
        note_skipped(plan, t->name, why);
    }
    for (size_t i = 0; i < MODES; i++) {
        if (lab_listed(options->modes, modes[i].name) &&
            add_mode(plan, &modes[i], sizes, size_cnt, options))
            return -1;
    }
    return 0;
}

void lab_plan_free(struct lab_plan *plan)
{
    for (uint32_t i = 0; i < plan->cnt; i++)
        free(plan->entries[i].pool);
    free(plan->entries);
    memset(plan, 0, sizeof(*plan));
}

/* Raw samples that cannot be written end the run. */
static int measure(struct lab_entry *e, uint32_t rep, const char *raw_dir,
    struct lab_jitter *before)
{
    struct lab_jitter after;

    if (lab_setup.raw)
        lab_setup.raw->cnt = 0;
    lab_measure(&e->spec, &e->results[rep], e->pool);
    lab_jitter_probe(2, PROBE_NS, &after);
    e->disturbed[rep] = (uint8_t)lab_jitter_disturbed(before, &after);
    *before = after; /* one probe serves both neighbours */
    if (!lab_setup.raw || !e->pool || e->results[rep].failed)
        return 0;
    return lab_raw_write(raw_dir, e, rep);
}

uint32_t lab_plan_run(struct lab_plan *plan, const struct lab_options *options)
{
    struct lab_jitter before;
    double done = 0.0;

    lab_jitter_probe(2, PROBE_NS, &before);
    for (uint32_t rep = 0; rep < plan->repeats; rep++) {
        for (uint32_t i = 0; i < plan->cnt; i++) {
            struct lab_entry *e = &plan->entries[i];
            char what[64];

            if (lab_interrupted)
                return rep;
            if (e->once && rep > 0)
                continue;
            snprintf(what, sizeof(what), "%u/%u %s %s", rep + 1, plan->repeats,
                e->mode, e->spec.transport->name);
            lab_progress(done, what);
            if (measure(e, rep, options->raw, &before))
                return rep;
            done += (double)(e->spec.warm_ns + e->spec.measure_ns) * 1e-9 +
                OVERHEAD_S;
        }
    }
    return plan->repeats;
}
