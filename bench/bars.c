/* bars.c - `shmq-bench bars`: every speed, recovery and footprint bar.
 *
 * Comparisons of transports run interleaved: in each repetition every cell
 * once, one after the other; a ratio is always between neighbours of one
 * repetition, so slow drifts of the machine cancel out. */
#include "bars.h"

#include "clock.h"
#include "env.h"
#include "jitter.h"
#include "lab.h"

#include <string.h>

enum cell_idx {
    HANDOVER_PING,
    ALL_PING,
    SPSC_PING,
    MPMC_PING,
    SPSC_STREAM,
    CK_STREAM,
    BATCH_STREAM,
    DPDK_BATCH_STREAM,
    DPDK_ELEM_BATCH_STREAM,
    MPMC_STREAM,
    DPDK_STREAM,
    DPDK_ELEM_STREAM,
    FUTEX_WAKE,
    SPSC_WAKE,
    MPMC_WAKE,
    CELL_CNT
};

struct cell {
    const char *transport;
    enum lab_mode mode;
    uint64_t ms;
};

static const struct cell cells[CELL_CNT] = {
    [HANDOVER_PING] = {"handover", LAB_PINGPONG, 150},
    [ALL_PING] = {"handover-all", LAB_PINGPONG, 150},
    [SPSC_PING] = {"spsc", LAB_PINGPONG, 150},
    [MPMC_PING] = {"mpmc", LAB_PINGPONG, 150},
    [SPSC_STREAM] = {"spsc", LAB_STREAM, 150},
    [CK_STREAM] = {"ck-spsc", LAB_STREAM, 150},
    [BATCH_STREAM] = {"mpmc-64", LAB_STREAM, 150},
    [DPDK_BATCH_STREAM] = {"dpdk-mpsc-64", LAB_STREAM, 150},
    [DPDK_ELEM_BATCH_STREAM] = {"dpdk-elem-64", LAB_STREAM, 150},
    [MPMC_STREAM] = {"mpmc", LAB_STREAM, 150},
    [DPDK_STREAM] = {"dpdk-mpsc", LAB_STREAM, 150},
    [DPDK_ELEM_STREAM] = {"dpdk-elem", LAB_STREAM, 150},
    [FUTEX_WAKE] = {"futex", LAB_WAKE, 200},
    [SPSC_WAKE] = {"spsc", LAB_WAKE, 200},
    [MPMC_WAKE] = {"mpmc", LAB_WAKE, 200},
};

enum metric { P50, P999, RATE };

struct comparison {
    struct lab_bar bar;
    enum metric metric;
    enum cell_idx ours, reference;
    enum cell_idx other; /* another way to use the peer; 0: none. The faster
                            of the two is the reference */
};

#define BAR(name_, what_, sense_, limit_, unit_) \
    { \
        .name = name_, .what = what_, .sense = sense_, .limit = limit_, \
        .unit = unit_ \
    }

static struct comparison comparisons[] = {
    {BAR("handover-all-p50",
         "for scale: all 72 bytes handed over without a ring / one cache line",
         LAB_REPORT, 0.0, "ns"),
        P50, ALL_PING, HANDOVER_PING, 0},
    {BAR("spsc-latency-p50", "SPSC 64 B one way / cache-line hand-over",
         LAB_AT_MOST, 1.15, "ns"),
        P50, SPSC_PING, HANDOVER_PING, 0},
    {BAR("spsc-latency-p99.9", "SPSC 64 B one way / cache-line hand-over",
         LAB_AT_MOST, 2.0, "ns"),
        P999, SPSC_PING, HANDOVER_PING, 0},
    {BAR("mpmc-latency-p50", "MPMC 64 B one way / cache-line hand-over",
         LAB_AT_MOST, 1.4, "ns"),
        P50, MPMC_PING, HANDOVER_PING, 0},
    {BAR("mpmc-latency-p99.9", "MPMC 64 B one way / cache-line hand-over",
         LAB_AT_MOST, 2.0, "ns"),
        P999, MPMC_PING, HANDOVER_PING, 0},
    {BAR("spsc-stream", "SPSC 64 B streaming / ck_ring SPSC", LAB_AT_LEAST, 1.0,
         "msg/s"),
        RATE, SPSC_STREAM, CK_STREAM, 0},
    {BAR("mpmc-stream-64",
         "MPMC 64 B, 64 records a frame / DPDK bulk-64 enqueue, its better way",
         LAB_AT_LEAST, 1.5, "msg/s"),
        RATE, BATCH_STREAM, DPDK_BATCH_STREAM, DPDK_ELEM_BATCH_STREAM},
    {BAR("mpmc-stream-1",
         "MPMC 64 B, 1 record a frame / DPDK single enqueue, its better way",
         LAB_AT_LEAST, 0.8, "msg/s"),
        RATE, MPMC_STREAM, DPDK_STREAM, DPDK_ELEM_STREAM},
    {BAR("spsc-wake", "SPSC wake-up / futex round trip", LAB_AT_MOST, 1.3,
         "ns"),
        P50, SPSC_WAKE, FUTEX_WAKE, 0},
    {BAR("mpmc-wake", "MPMC wake-up / futex round trip", LAB_AT_MOST, 1.3,
         "ns"),
        P50, MPMC_WAKE, FUTEX_WAKE, 0},
};
#define COMPARISONS (sizeof(comparisons) / sizeof(comparisons[0]))

static int wanted(const struct lab_options *options, const char *name)
{
    return lab_listed_part(options->bars, name);
}

static int cell_wanted(const struct lab_options *options, uint32_t idx)
{
    for (uint32_t i = 0; i < COMPARISONS; i++) {
        const struct comparison *c = &comparisons[i];

        if ((c->ours == idx || c->reference == idx ||
                (c->other && c->other == idx)) &&
            wanted(options, c->bar.name))
            return 1;
    }
    return 0;
}

/* A repetition on disturbed cores says little about the library: it is
 * measured again, up to so many times in a whole run, then taken as it is. */
static struct lab_quiet quiet = {.again_max = 40};
static struct lab_quiet quiet_special = {.again_max = 6}; /* they take long */

static int measure_cell(
    uint32_t idx, const struct lab_options *options, struct lab_result *ret)
{
    struct lab_spec spec = {.mode = cells[idx].mode,
        .transport = lab_transport_find(cells[idx].transport),
        .size = 64,
        .warm_ns = 40000000,
        .measure_ns = cells[idx].ms * 1000000u};

    if (options->slice_ns)
        spec.measure_ns = options->slice_ns;
    return lab_measure_quietly(&spec, &quiet, ret);
}

static double read_metric(const struct lab_result *result, enum metric metric)
{
    switch (metric) {
    case P50:
        return result->p50;
    case P999:
        return result->p999;
    case RATE:
        return result->rate;
    }
    return 0.0;
}

static void compare(struct comparison *c, const struct lab_result *results,
    const int *disturbed)
{
    const struct lab_transport *t =
        lab_transport_find(cells[c->reference].transport);
    const struct lab_result *a = &results[c->ours], *b = &results[c->reference];
    struct lab_bar *bar = &c->bar;

    if (c->other && !results[c->other].failed &&
        results[c->other].rate > b->rate)
        b = &results[c->other];
    if (t->missing) {
        snprintf(bar->skipped, sizeof(bar->skipped), "not built in: install %s",
            t->missing);
        return;
    }
    if (a->failed || b->failed) {
        snprintf(bar->failed, sizeof(bar->failed), "%s",
            a->failed ? a->error : b->error);
        return;
    }
    if (bar->cnt < LAB_BAR_REPEATS_MAX)
        bar->disturbed[bar->cnt] =
            (uint8_t)(disturbed[c->ours] | disturbed[c->reference]);
    lab_bar_add(bar, read_metric(a, c->metric), read_metric(b, c->metric));
}

static double run_comparisons(
    const struct lab_options *options, uint32_t n, double done)
{
    static struct lab_result results[CELL_CNT];
    int disturbed[CELL_CNT] = {0};

    for (uint32_t rep = 0; rep < n && !lab_interrupted; rep++) {
        for (uint32_t i = 0; i < CELL_CNT && !lab_interrupted; i++) {
            if (!cell_wanted(options, i))
                continue;
            lab_progress(done, cells[i].transport);
            disturbed[i] = measure_cell(i, options, &results[i]);
            done += 0.05 + (double)cells[i].ms * 1e-3;
        }
        for (uint32_t i = 0; i < COMPARISONS && !lab_interrupted; i++) {
            if (wanted(options, comparisons[i].bar.name))
                compare(&comparisons[i], results, disturbed);
        }
    }
    return done;
}

static int special_wanted(
    const struct lab_options *options, const struct lab_special *special)
{
    for (const struct lab_bar *bar = special->bars; bar->name; bar++) {
        if (wanted(options, bar->name))
            return 1;
    }
    return 0;
}

/* One repetition of a special; made again when the cores were busy. */
static void measure_special(struct lab_special *s, uint32_t kills)
{
    struct lab_jitter before, after;

    for (;;) {
        lab_jitter_probe(2, 3000000, &before);
        s->measure(s->bars, kills);
        lab_jitter_probe(2, 3000000, &after);
        quiet_special.measured++;
        if (!lab_jitter_disturbed(&before, &after))
            return;
        if (quiet_special.again >= quiet_special.again_max || lab_interrupted) {
            quiet_special.disturbed++;
            for (struct lab_bar *bar = s->bars; bar->name; bar++) {
                if (bar->cnt)
                    bar->disturbed[bar->cnt - 1] = 1;
            }
            return;
        }
        quiet_special.again++;
        for (struct lab_bar *bar = s->bars; bar->name; bar++)
            lab_bar_undo(bar);
    }
}

static void run_specials(
    const struct lab_options *options, uint32_t n, double done)
{
    for (struct lab_special *s = lab_specials; s->names; s++) {
        uint32_t times = s->once ? 1 : n;

        if (!special_wanted(options, s))
            continue;
        for (uint32_t rep = 0; rep < times && !lab_interrupted; rep++) {
            lab_progress(done, s->names);
            measure_special(s, options->kills);
            done += s->seconds;
        }
    }
}

static double plan_seconds(const struct lab_options *options, uint32_t n)
{
    double seconds = 0.0;

    for (uint32_t i = 0; i < CELL_CNT; i++) {
        if (cell_wanted(options, i))
            seconds += (0.05 + (double)cells[i].ms * 1e-3) * n;
    }
    for (struct lab_special *s = lab_specials; s->names; s++) {
        if (special_wanted(options, s))
            seconds += s->seconds * (s->once ? 1 : n);
    }
    return seconds;
}

/* Returns how many missed. */
static uint32_t print_bars(const struct lab_options *options)
{
    uint32_t missed = 0;

    for (uint32_t i = 0; i < COMPARISONS; i++) {
        if (!wanted(options, comparisons[i].bar.name))
            continue;
        lab_bar_settle(&comparisons[i].bar);
        lab_bar_print(&comparisons[i].bar);
        missed += lab_bar_verdict(&comparisons[i].bar) == 0;
    }
    for (struct lab_special *s = lab_specials; s->names; s++) {
        for (struct lab_bar *bar = s->bars; bar->name; bar++) {
            if (!wanted(options, bar->name))
                continue;
            lab_bar_settle(bar);
            lab_bar_print(bar);
            missed += lab_bar_verdict(bar) == 0;
        }
    }
    return missed;
}

/* A part of any bar's name. */
static int known_part(const char *part)
{
    if (!part[0])
        return 0;
    for (uint32_t i = 0; i < COMPARISONS; i++) {
        if (strstr(comparisons[i].bar.name, part))
            return 1;
    }
    for (struct lab_special *s = lab_specials; s->names; s++) {
        for (const struct lab_bar *bar = s->bars; bar->name; bar++) {
            if (strstr(bar->name, part))
                return 1;
        }
    }
    return 0;
}

int lab_cmd_bars(const struct lab_options *options)
{
    uint32_t n = options->repeats ? options->repeats : 7;
    uint32_t missed;
    double done;

    if (!lab_all_known("bars", "--bars", options->bars, known_part))
        return LAB_EXIT_USAGE;
    if (n > LAB_BAR_REPEATS_MAX)
        n = LAB_BAR_REPEATS_MAX;
    if (n < 5)
        fprintf(stderr,
            "shmq-bench: bars: fewer than 5 repetitions: "
            "for a look only\n");
    lab_env_print_short(stderr);
    lab_progress_start(plan_seconds(options, n), (int)options->quiet);
    done = run_comparisons(options, n, 0.0);
    run_specials(options, n, done);
    lab_progress_end();
    if (lab_interrupted)
        return 1;
    missed = print_bars(options);
    quiet.measured += quiet_special.measured;
    quiet.again += quiet_special.again;
    quiet.disturbed += quiet_special.disturbed;
    if (quiet.disturbed || quiet.again)
        fprintf(stderr,
            "shmq-bench: bars: the cores were busy with other things in %u of "
            "%u measurements;\n  %u were made again, %u stand as they are\n",
            quiet.again + quiet.disturbed, quiet.measured, quiet.again,
            quiet.disturbed);
    lab_clock_check();
    if (lab_clock_doubt())
        fprintf(stderr, "shmq-bench: bars: do not trust latencies: %s\n",
            lab_clock_doubt());
    return missed ? 1 : 0;
}
