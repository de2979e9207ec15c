/* measure.c - from a specification to a result. */
#define _GNU_SOURCE
#include "measure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BATCH_MAX (UINT64_C(4) << 20)
#define SOLO_BLOCKS_MAX 4096u /* so much surely fits a blocking transport */
#define MEMORY_MAX (UINT64_C(64) << 20) /* of one channel's messages */

static uint64_t cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Memory of this process, shared pages shared out among their users. */
static uint64_t pss_bytes(void)
{
    unsigned long long kib = 0;
    char line[128];
    FILE *f = fopen("/proc/self/smaps_rollup", "re");

    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "Pss: %llu", &kib) == 1)
            break;
    }
    if (f)
        fclose(f);
    return kib * 1024;
}

void lab_count_begin(struct lab_party *party)
{
    party->report->cpu_ns = cpu_ns();
    atomic_store(&party->report->counting, 1);
}

void lab_count_end(struct lab_party *party)
{
    atomic_store(&party->report->counting, 0);
    party->report->cpu_ns = cpu_ns() - party->report->cpu_ns;
    party->report->pss_bytes = pss_bytes();
}

int lab_end_open(struct lab_party *party, struct lab_end *end,
    struct lab_channel *channel, enum lab_role role, uint32_t idx)
{
    memset(end, 0, sizeof(*end));
    end->channel = channel;
    end->role = role;
    end->idx = idx;
    if (channel->transport->open(end) == 0)
        return 0;
    return lab_party_fail(party, "open", end->error);
}

const char *lab_measure_refusal(const struct lab_spec *spec)
{
    const struct lab_transport *t = spec->transport;
    uint64_t max = t->size_max ? t->size_max : UINT64_C(16) << 20;

    if (t->missing)
        return "not built in";
    if (spec->trace && ((t->caps & LAB_CAP_THREADS) || lab_setup.threads))
        return "threads are not traced";
    if (spec->mode == LAB_STREAM || spec->mode == LAB_RATE) {
        if (t->caps & LAB_CAP_NO_STREAM)
            return "one message at a time";
        if (spec->size > max)
            return "message too large for it";
    }
    if (spec->size > max && !(t->caps & LAB_CAP_NO_STREAM))
        return "message too large for it";
    if (t->batch > 1 && (uint64_t)t->batch * spec->size > BATCH_MAX)
        return "batch too large";
    if (spec->senders > 1 && !(t->caps & LAB_CAP_MANY_TX))
        return "one sender only";
    if (spec->receivers > 1 && !(t->caps & LAB_CAP_MANY_RX))
        return "one receiver only";
    if (spec->mode == LAB_WAKE && !(t->caps & LAB_CAP_WAIT))
        return "its receivers cannot sleep";
    if (spec->mode == LAB_FILL &&
        ((t->caps & (LAB_CAP_BLOCKS | LAB_CAP_NO_STREAM)) || !t->footprint))
        return "what it takes cannot be seen";
    if (spec->mode == LAB_SOLO && (t->caps & LAB_CAP_BLOCKS) &&
        spec->size > SOLO_BLOCKS_MAX)
        return "it may block before anything is received";
    if ((spec->mode == LAB_PINGPONG || spec->mode == LAB_RATE ||
            spec->mode == LAB_WAKE || spec->mode == LAB_SOLO) &&
        t->batch > 1)
        return "a batch has no latency of its own";
    return NULL;
}

static void fill_defaults(struct lab_spec *spec)
{
    if (!spec->batch)
        spec->batch = spec->transport->batch ? spec->transport->batch : 1;
    if (!spec->senders)
        spec->senders = 1;
    if (!spec->receivers)
        spec->receivers = 1;
    if (!spec->rate)
        spec->rate = 10000;
    if (!spec->depth) {
        spec->depth = 4096;
        while (
            spec->depth > 4 && (uint64_t)spec->depth * spec->size > MEMORY_MAX)
            spec->depth /= 2;
    }
}

static int make_channel(
    struct lab_channel *channel, const struct lab_spec *spec, const char *way)
{
    static unsigned int serial;

    memset(channel, 0, sizeof(*channel));
    channel->transport = spec->transport;
    snprintf(channel->name, sizeof(channel->name), "bench-%ld-%u-%s",
        (long)getpid(), serial++, way);
    channel->size = spec->size;
    channel->batch = spec->batch;
    channel->depth = spec->depth;
    channel->senders = spec->senders;
    channel->receivers = spec->receivers;
    channel->back = way[0] == 'b';
    if (spec->mode == LAB_WAKE)
        channel->flags |= LAB_CHANNEL_SLEEP;
    channel->fds[0] = channel->fds[1] = -1;
    return spec->transport->create(channel);
}

double lab_latency_ns(double ticks, enum lab_mode mode)
{
    double share = mode == LAB_SOLO ? LAB_SOLO_CHUNK : 2.0;

    if (mode == LAB_RATE)
        return ticks * lab_clock.ns_per_tick;
    ticks -= lab_clock.read_ticks;
    return ticks > 0 ? ticks * lab_clock.ns_per_tick / share : 0.0;
}

static uint32_t fill_parties(struct lab_run *run, struct lab_party *parties)
{
    const struct lab_spec *spec = &run->spec;
    uint32_t cnt = spec->mode == LAB_STREAM ? spec->senders + spec->receivers
        : spec->mode == LAB_SOLO || spec->mode == LAB_FILL ? 1
                                                           : 2;

    if (cnt > LAB_PARTIES_MAX)
        return 0;
    for (uint32_t i = 0; i < cnt; i++) {
        parties[i].arg = run;
        parties[i].run = spec->mode == LAB_STREAM ? lab_run_stream
            : spec->mode == LAB_RATE              ? lab_run_rate
            : spec->mode == LAB_SOLO              ? lab_run_solo
            : spec->mode == LAB_FILL              ? lab_run_fill
                                                  : lab_run_pingpong;
    }
    return cnt;
}

static int run_world(struct lab_world *world, struct lab_party *parties,
    uint32_t cnt, struct lab_result *ret, uint32_t trace)
{
    if (!trace)
        return lab_world_run(world, parties, cnt, ret->threads, ret->error);
    if (ret->threads) {
        snprintf(ret->error, sizeof(ret->error), "threads are not traced");
        return -1;
    }
    if (lab_world_start(world, parties, cnt, 0, ret->error))
        return -1;
    return lab_world_trace(world, parties, cnt, ret->error);
}

static void run_channels(
    struct lab_run *run, struct lab_result *ret, struct lab_hist *hist)
{
    const struct lab_spec *spec = &run->spec;
    struct lab_party parties[LAB_PARTIES_MAX];
    struct lab_world *world = lab_world_get();
    uint32_t cnt;

    memset(parties, 0, sizeof(parties));
    cnt = fill_parties(run, parties);
    if (!world || !cnt) {
        snprintf(ret->error, sizeof(ret->error), "too many parties");
        ret->failed = 1;
        return;
    }
    ret->threads =
        lab_setup.threads || (spec->transport->caps & LAB_CAP_THREADS);
    ret->crowded = cnt > lab_setup.cpu_cnt;
    if (run_world(world, parties, cnt, ret, spec->trace)) {
        ret->failed = 1;
        return;
    }
    lab_result_read(world, spec, ret, hist);
    if (spec->transport->footprint)
        ret->footprint_d = (double)spec->transport->footprint(&run->there);
    if (spec->mode == LAB_FILL && ret->held_d > 0.0)
        ret->memory_per_message = ret->footprint_d / ret->held_d;
}

void lab_measure(
    const struct lab_spec *spec, struct lab_result *ret, struct lab_hist *hist)
{
    static struct lab_run run;
    int closed = spec->mode == LAB_PINGPONG || spec->mode == LAB_WAKE;
    const char *refusal = lab_measure_refusal(spec);

    memset(ret, 0, sizeof(*ret));
    memset(&run, 0, sizeof(run));
    run.spec = *spec;
    if ((spec->transport->caps & LAB_CAP_LINE) && spec->size > 64)
        run.spec.size = 64; /* a floor moves one line, whatever is asked */
    fill_defaults(&run.spec);
    ret->failed = 1;
    if (refusal) {
        snprintf(ret->error, sizeof(ret->error), "%s", refusal);
        return;
    }
    if (make_channel(&run.there, &run.spec, "a")) {
        snprintf(ret->error, sizeof(ret->error), "%s", run.there.error);
        return;
    }
    if (closed && make_channel(&run.back, &run.spec, "b")) {
        snprintf(ret->error, sizeof(ret->error), "%s", run.back.error);
        spec->transport->destroy(&run.there);
        return;
    }
    ret->failed = 0;
    run_channels(&run, ret, hist);
    spec->transport->destroy(&run.there);
    if (closed)
        spec->transport->destroy(&run.back);
}
