/* plan_read.c - from results to figures. */
#include "plan.h"

#include "clock.h"
#include "stats.h"

#include <stddef.h>
#include <string.h>

struct metric {
    const char *name;
    const char *unit;
    int better;
    size_t field; /* in struct lab_result */
    double quantile; /* 0: none */
};

static const struct metric latencies[] = {
    {"p50", "ns", -1, offsetof(struct lab_result, p50), 0.5},
    {"p90", "ns", -1, offsetof(struct lab_result, p90), 0.9},
    {"p99", "ns", -1, offsetof(struct lab_result, p99), 0.99},
    {"p99.9", "ns", -1, offsetof(struct lab_result, p999), 0.999},
    {"p99.99", "ns", -1, offsetof(struct lab_result, p9999), 0.9999},
    {"max", "ns", 0, offsetof(struct lab_result, max), 0.0},
};

static const struct metric rates[] = {
    {"rate", "messages/s", 1, offsetof(struct lab_result, rate), 0.0},
    {"bytes", "bytes/s", 1, offsetof(struct lab_result, bytes_rate), 0.0},
    {"cpu", "ns/message", -1, offsetof(struct lab_result, cpu_ns_per_message),
        0.0},
    {"pss", "bytes", -1, offsetof(struct lab_result, pss_bytes_d), 0.0},
    {"shm", "bytes", -1, offsetof(struct lab_result, footprint_d), 0.0},
};

static const struct metric costs[] = {
    {"syscalls", "calls/message", -1,
        offsetof(struct lab_result, syscalls_per_message), 0.0},
};

static const struct metric memories[] = {
    {"memory", "bytes/message", -1,
        offsetof(struct lab_result, memory_per_message), 0.0},
    {"held", "messages", 0, offsetof(struct lab_result, held_d), 0.0},
};

static double value_of(const struct lab_result *r, const struct metric *m)
{
    double v;

    memcpy(&v, (const char *)r + m->field, sizeof(v));
    return v;
}

static const struct lab_entry *floor_of(
    const struct lab_plan *plan, const struct lab_entry *entry)
{
    const char *name = entry->spec.mode == LAB_WAKE ? "futex" : "handover";
    const char *mode = entry->spec.mode == LAB_WAKE ? "wake" : "pingpong";

    if (entry->spec.mode == LAB_SOLO || entry->spec.mode == LAB_FILL)
        return NULL; /* nothing passes between cores */
    for (uint32_t i = 0; i < plan->cnt; i++) {
        const struct lab_entry *e = &plan->entries[i];

        if (strcmp(e->spec.transport->name, name) == 0 &&
            strcmp(e->mode, mode) == 0)
            return e;
    }
    return NULL;
}

/* Latencies are divided by the floor's median latency of their repetition;
 * rates are multiplied by it: messages per hand-over time. */
static void relate(struct lab_figure *f, const struct metric *m,
    const struct lab_entry *floor, uint32_t rep)
{
    const struct lab_result *r = floor ? &floor->results[rep] : NULL;

    if (!r || r->failed || !(r->p50 > 0.0) || strcmp(m->unit, "bytes") == 0 ||
        strcmp(m->unit, "calls/message") == 0)
        return;
    f->floors[f->relative_cnt] = r->p50;
    if (m->better > 0)
        f->relative[f->relative_cnt++] = f->values[f->cnt - 1] * r->p50 * 1e-9;
    else
        f->relative[f->relative_cnt++] = f->values[f->cnt - 1] / r->p50;
}

static void fill_head(
    struct lab_figure *f, const struct lab_entry *e, const struct metric *m)
{
    f->mode = e->mode;
    f->transport = e->spec.transport->name;
    f->kind = e->spec.transport->kind;
    f->metric = m->name;
    f->unit = m->unit;
    f->better = m->better;
    f->size = e->spec.size;
    f->senders = e->spec.senders ? e->spec.senders : 1;
    f->receivers = e->spec.receivers ? e->spec.receivers : 1;
}

static void fill_mark(struct lab_figure *f, const struct lab_entry *e,
    uint32_t failed, uint32_t crowded, const char *error)
{
    const char *doubt = lab_clock_doubt();

    if (failed)
        snprintf(
            f->mark, sizeof(f->mark), "failed %u times: %.90s", failed, error);
    else if (doubt && f->unit[0] == 'n')
        snprintf(f->mark, sizeof(f->mark), "%s", doubt);
    else if (lab_setup.cpu_cnt < 2)
        snprintf(f->mark, sizeof(f->mark), "one core only");
    else if (crowded)
        snprintf(f->mark, sizeof(f->mark), "more parties than cores");
    else if (f->disturbed * 2 > f->cnt)
        snprintf(f->mark, sizeof(f->mark), "the cores were busy");
    else if ((e->spec.transport->caps & LAB_CAP_THREADS) || lab_setup.threads)
        snprintf(f->mark, sizeof(f->mark), "between threads");
}

static void read_metric(const struct lab_plan *plan, const struct lab_entry *e,
    const struct metric *m, uint32_t repeats, struct lab_figures *ret)
{
    struct lab_figure *f = lab_figures_add(ret);
    const struct lab_entry *floor = floor_of(plan, e);
    uint32_t failed = 0, crowded = 0;
    const char *error = "";

    fill_head(f, e, m);
    for (uint32_t rep = 0; rep < repeats; rep++) {
        const struct lab_result *r = &e->results[rep];

        crowded |= r->crowded;
        if (r->failed) {
            failed++;
            error = r->error;
            continue;
        }
        f->samples += r->samples;
        if (m->quantile > 0.0 && r->samples < lab_hist_needs(m->quantile))
            continue;
        f->disturbed += e->disturbed[rep];
        f->values[f->cnt++] = value_of(r, m);
        relate(f, m, floor, rep);
    }
    /* Too few samples in each repetition, enough in all of them. */
    if (f->cnt == 0 && m->quantile > 0.0 && e->pool &&
        e->pool->cnt >= lab_hist_needs(m->quantile)) {
        f->values[f->cnt++] = lab_latency_ns(
            lab_hist_quantile(e->pool, m->quantile), e->spec.mode);
    }
    if (f->relative_cnt != f->cnt)
        f->relative_cnt = 0;
    fill_mark(f, e, failed, crowded, error);
    if (f->cnt == 0 && !failed)
        ret->cnt--; /* nothing that could be stood behind: left blank */
}

void lab_plan_read(
    const struct lab_plan *plan, uint32_t repeats, struct lab_figures *ret)
{
    for (uint32_t i = 0; i < plan->cnt; i++) {
        const struct lab_entry *e = &plan->entries[i];
        uint32_t times = e->once && repeats ? 1 : repeats;
        const struct metric *list = rates;
        size_t cnt = sizeof(rates) / sizeof(*rates);

        if (e->pool) {
            list = latencies;
            cnt = sizeof(latencies) / sizeof(*latencies);
        } else if (e->spec.mode == LAB_FILL) {
            list = memories;
            cnt = sizeof(memories) / sizeof(*memories);
        } else if (e->spec.trace) {
            list = costs;
            cnt = sizeof(costs) / sizeof(*costs);
        }
        for (size_t k = 0; k < cnt; k++)
            read_metric(plan, e, &list[k], times, ret);
    }
}
