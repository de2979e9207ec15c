/* measure_read.c - from what the parties report to a result, and whether every
 * byte arrived. */
#include "measure.h"

#include <stdio.h>
#include <string.h>

static void read_latency(
    struct lab_result *ret, const struct lab_hist *hist, enum lab_mode mode)
{
    ret->samples = hist->cnt;
    ret->p50 = lab_latency_ns(lab_hist_quantile(hist, 0.5), mode);
    ret->p90 = lab_latency_ns(lab_hist_quantile(hist, 0.9), mode);
    ret->p99 = lab_latency_ns(lab_hist_quantile(hist, 0.99), mode);
    ret->p999 = lab_latency_ns(lab_hist_quantile(hist, 0.999), mode);
    ret->p9999 = lab_latency_ns(lab_hist_quantile(hist, 0.9999), mode);
    ret->max = lab_latency_ns((double)hist->max, mode);
    ret->min = hist->cnt ? lab_latency_ns((double)hist->min, mode) : 0.0;
    ret->mean = lab_latency_ns(lab_hist_mean(hist), mode);
}

/* All bytes that were sent were received, in order, or the figure is void. */
static int check_stream(const struct lab_world *world,
    const struct lab_spec *spec, struct lab_result *ret)
{
    uint64_t sent = 0, taken = 0, sent_sum = 0, taken_sum = 0, disorder = 0;

    for (uint32_t i = 0; i < world->party_cnt; i++) {
        const struct lab_report *r = &world->reports[i];

        if (i < spec->senders) {
            sent += r->cnt;
            sent_sum += r->sum;
        } else {
            taken += r->cnt;
            taken_sum += r->sum;
            disorder += r->disorder;
        }
    }
    if (sent == taken && sent_sum == taken_sum && disorder == 0)
        return 0;
    snprintf(ret->error, sizeof(ret->error),
        "sent %llu, received %llu, out of order %llu, sums %s",
        (unsigned long long)sent, (unsigned long long)taken,
        (unsigned long long)disorder,
        sent_sum == taken_sum ? "agree" : "differ");
    return -1;
}

/* Of both parties: what was sent less what was received is nothing. A floor
 * that moves one line cannot carry all words. */
static int check_echo(const struct lab_world *world,
    const struct lab_spec *spec, struct lab_result *ret)
{
    const struct lab_report *r = world->reports;

    if (r[0].disorder == 0 && r[1].disorder == 0 && r[0].cnt == r[1].cnt &&
        ((spec->transport->caps & LAB_CAP_LINE) ||
            (r[0].sum == 0 && r[1].sum == 0)))
        return 0;
    snprintf(ret->error, sizeof(ret->error),
        "%llu sent, %llu echoed, %llu out of order, sums %s",
        (unsigned long long)r[1].cnt, (unsigned long long)r[0].cnt,
        (unsigned long long)(r[0].disorder + r[1].disorder),
        r[0].sum == 0 && r[1].sum == 0 ? "agree" : "differ");
    return -1;
}

static int check_solo(const struct lab_world *world,
    const struct lab_spec *spec, struct lab_result *ret)
{
    const struct lab_report *r = world->reports;

    if (r->disorder == 0 && r->cnt == r->taken_cnt &&
        ((spec->transport->caps & LAB_CAP_LINE) || r->sum == 0))
        return 0;
    snprintf(ret->error, sizeof(ret->error),
        "%llu sent, %llu received, %llu out of order, sums %s",
        (unsigned long long)r->cnt, (unsigned long long)r->taken_cnt,
        (unsigned long long)r->disorder, r->sum ? "differ" : "agree");
    return -1;
}

static void read_rate(const struct lab_world *world,
    const struct lab_spec *spec, struct lab_result *ret)
{
    for (uint32_t i = spec->senders; i < world->party_cnt; i++) {
        const struct lab_report *r = &world->reports[i];
        double s = lab_ticks_ns(r->last_ticks - r->first_ticks) * 1e-9;

        if (r->first_ticks == 0 || r->last_ticks <= r->first_ticks)
            continue;
        ret->rate += (double)r->measured_cnt / s;
        ret->samples += r->measured_cnt;
        if (s > ret->seconds)
            ret->seconds = s;
    }
    ret->bytes_rate = ret->rate * spec->size;
    if (ret->samples == 0 && !ret->failed) {
        ret->failed = 1;
        snprintf(ret->error, sizeof(ret->error),
            "nothing arrived within the measured time");
    }
}

static void read_usage(const struct lab_world *world, struct lab_result *ret)
{
    uint64_t cpu = 0, cnt = 0, syscalls = 0;

    for (uint32_t i = 0; i < world->party_cnt; i++) {
        const struct lab_report *r = &world->reports[i];

        cpu += r->cpu_ns;
        syscalls += r->syscalls;
        ret->pss_bytes_d += (double)r->pss_bytes;
        ret->switches += r->switches;
        ret->forced_switches += r->forced_switches;
        if (r->cnt > cnt)
            cnt = r->cnt;
    }
    if (cnt) {
        ret->cpu_ns_per_message = (double)cpu / (double)cnt;
        ret->syscalls_per_message = (double)syscalls / (double)cnt;
    }
}

void lab_result_read(const struct lab_world *world, const struct lab_spec *spec,
    struct lab_result *ret, struct lab_hist *hist)
{
    const struct lab_hist *found = &world->reports[0].hist;

    read_usage(world, ret);
    if (spec->mode == LAB_FILL) {
        ret->held_d = (double)world->reports[0].cnt;
        ret->samples = world->reports[0].cnt;
        return;
    }
    if (spec->mode == LAB_STREAM) {
        ret->failed = check_stream(world, spec, ret) != 0;
        read_rate(world, spec, ret);
        return;
    }
    if (spec->mode == LAB_RATE) {
        ret->failed = check_stream(world, spec, ret) != 0;
        found = &world->reports[1].hist;
    } else if (spec->mode == LAB_SOLO) {
        ret->failed = check_solo(world, spec, ret) != 0;
    } else {
        ret->failed = check_echo(world, spec, ret) != 0;
    }
    read_latency(ret, found, spec->mode);
    ret->seconds = (double)spec->measure_ns * 1e-9;
    if (hist)
        lab_hist_add(hist, found);
}
