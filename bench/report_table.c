/* report_table.c - the terminal table of a run. */
#include "plan.h"
#include "stats.h"

#include <string.h>

/* "123", "1.23k", "45.6M" into a small text. */
static const char *short_number(double v, char *text, size_t cap)
{
    static const struct {
        double scale;
        char mark;
    } scales[] = {{1e9, 'G'}, {1e6, 'M'}, {1e3, 'k'}};

    for (int i = 0; i < 3; i++) {
        if (v >= scales[i].scale * 0.9995) {
            snprintf(text, cap, "%.3g%c", v / scales[i].scale, scales[i].mark);
            return text;
        }
    }
    snprintf(text, cap, v >= 10 ? "%.0f" : "%.2g", v);
    return text;
}

static void cell(const struct lab_figures *figures, const struct lab_figure *f,
    const char *metric)
{
    const struct lab_figure *m =
        lab_figures_find(figures, f->mode, f->transport, f->size, metric);
    char text[32] = "";

    if (m && m->cnt)
        short_number(lab_median(m->values, m->cnt), text, sizeof(text));
    printf(" %8s", text);
}

static void print_row(const struct lab_figures *figures,
    const struct lab_figure *f, const char *const *metrics)
{
    char a[32] = "", b[32] = "", spread[72] = "", relative[32] = "", n[32];

    if (f->cnt)
        snprintf(spread, sizeof(spread), "%s..%s",
            short_number(lab_least(f->values, f->cnt), a, sizeof(a)),
            short_number(lab_most(f->values, f->cnt), b, sizeof(b)));
    if (f->relative_cnt)
        snprintf(relative, sizeof(relative), "%.2f",
            lab_median(f->relative, f->relative_cnt));
    printf("%-13s %8u", f->transport, f->size);
    for (; *metrics; metrics++)
        cell(figures, f, *metrics);
    printf(" %15s %8s %7s", spread, relative,
        short_number((double)f->samples, n, sizeof(n)));
    printf(" %s%s\n", f->mark[0] ? "! " : "", f->mark);
}

static void print_mode(const struct lab_figures *figures, const char *mode,
    const char *title, const char *const *metrics)
{
    int any = 0;

    for (uint32_t i = 0; i < figures->cnt; i++) {
        const struct lab_figure *f = &figures->list[i];

        if (strcmp(f->mode, mode) || strcmp(f->metric, metrics[0]))
            continue;
        if (!any) {
            printf("\n%s\n%-13s %8s", title, "transport", "bytes");
            for (const char *const *m = metrics; *m; m++)
                printf(" %8s", *m);
            printf(" %15s %8s %7s\n", "range", "x floor", "samples");
        }
        any = 1;
        print_row(figures, f, metrics);
    }
}

void lab_report_table(
    const struct lab_plan *plan, const struct lab_figures *figures)
{
    static const char *const latency[] = {
        "p50", "p90", "p99", "p99.9", "p99.99", NULL};
    static const char *const rate[] = {
        "rate", "bytes", "cpu", "pss", "shm", NULL};
    static const char *const calls[] = {"syscalls", NULL};
    static const char *const memory[] = {"memory", "held", NULL};
    static const char *const hold[] = {"hold-up", "max", "stalls", NULL};
    static const char *const time[] = {"time", NULL};
    static const char *const p50[] = {"p50", NULL};
    static const struct {
        const char *mode, *title;
        const char *const *metrics;
    } tables[] = {
        {"pingpong", "PING-PONG: half a round trip, ns (closed loop)", latency},
        {"rate", "FIXED RATE: one way from the intended send time, ns",
            latency},
        {"stream", "STREAMING: messages/s; cpu ns/message; pss, shm bytes",
            rate},
        {"solo", "SOLO: send and receive on one core, ns a message", latency},
        {"wake", "WAKE-UP: half a round trip between sleepers, ns", latency},
        {"cost", "SYSTEM CALLS per message, both sides, streaming", calls},
        {"memory",
            "MEMORY: bytes of shared memory per message that fits, and how "
            "many fit",
            memory},
        {"kill-producer", "KILL a producer: longest hold-up of others, ns",
            hold},
        {"stop-producer", "STOP a producer: longest hold-up of others, ns",
            hold},
        {"kill-consumer", "KILL a consumer: longest hold-up of others, ns",
            hold},
        {"stop-consumer", "STOP a consumer: longest hold-up of others, ns",
            hold},
        {"ops", "FLOORS: memcpy, ns", time},
        {"ops", "FLOORS: write + fdatasync, ns", p50},
    };

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        print_mode(figures, tables[i].mode, tables[i].title, tables[i].metrics);
    printf("\nmedians of %u repetitions; range: of the first column's "
           "repetitions;\nx floor: against the floor of the same repetition "
           "(rates: messages per\nhand-over time); empty: too few samples; "
           "!: do not trust it\n%s",
        plan->repeats, plan->skipped);
}
