/* measure.h - one measurement: a mode, a transport, a size, for some time. */
#ifndef LAB_MEASURE_H
#define LAB_MEASURE_H

#include "world.h"

enum lab_mode {
    LAB_PINGPONG = 1, /* closed loop; latency is half the round trip */
    LAB_RATE = 2, /* open loop; one way, from the intended send time */
    LAB_STREAM = 3, /* as much as goes through */
    LAB_WAKE = 4, /* ping-pong between sleepers */
    LAB_SOLO = 5, /* one party sends to itself */
    LAB_FILL = 6 /* nobody receives: how much fits, in how much memory */
};

struct lab_spec {
    enum lab_mode mode;
    const struct lab_transport *transport;
    uint32_t size;
    uint32_t batch; /* 0: the transport's */
    uint32_t depth; /* 0: 4096, less for large messages */
    uint32_t senders; /* 0: 1 */
    uint32_t receivers; /* 0: 1 */
    uint64_t rate; /* messages a second, open loop */
    uint64_t warm_ns;
    uint64_t measure_ns;
    uint32_t trace; /* count system calls; everything else is void then */
};

/* What came out. Latencies in ns; only what the mode measures is set. */
struct lab_result {
    int failed;
    char error[192];
    uint32_t threads; /* it ran between threads */
    uint32_t crowded; /* more parties than cores */
    uint64_t samples;
    double p50, p90, p99, p999, p9999, max, min, mean;
    double rate; /* messages a second that went through */
    double bytes_rate;
    double cpu_ns_per_message; /* both sides */
    uint64_t switches, forced_switches;
    double held_d; /* messages that fitted */
    double memory_per_message;
    double footprint_d; /* bytes of shared memory; 0: not known */
    double pss_bytes_d; /* proportional memory of all parties */
    double syscalls_per_message; /* both sides, when traced */
    double seconds; /* measured */
};

/* Runs it. `hist` (may be NULL) gets the samples added, in ticks; in the
 * closed loops as whole round trips. */
void lab_measure(
    const struct lab_spec *spec, struct lab_result *ret, struct lab_hist *hist);

/* Whether the transport can do it at all: NULL, or why not. */
const char *lab_measure_refusal(const struct lab_spec *spec);

/* Ticks of a histogram in ns, less the cost of the one clock reading in it (not
 * in the open loop, which reads two clocks): a closed loop's round trip is
 * halved, a chunk of the solo mode shared out among its messages. */
double lab_latency_ns(double ticks, enum lab_mode mode);

#define LAB_SOLO_CHUNK 16u /* messages between two readings of the clock */

/* --- for the files that measure --------------------------------------- */

/* One measurement under way; in the parent, inherited by the parties. */
struct lab_run {
    struct lab_spec spec;
    struct lab_channel there; /* senders to receivers */
    struct lab_channel back; /* closed loop only */
};

int lab_run_pingpong(struct lab_party *party);
int lab_run_rate(struct lab_party *party);
int lab_run_stream(struct lab_party *party);
int lab_run_solo(struct lab_party *party);
int lab_run_fill(struct lab_party *party);

/* One sample: begun at `at`, `took` so long, both in ticks. */
static inline void lab_record(
    struct lab_report *report, uint64_t at, uint64_t took)
{
    lab_hist_record(&report->hist, took);
    if (__builtin_expect(lab_setup.raw != NULL, 0))
        lab_raw_add(lab_setup.raw, at, took);
}

/* What the parties report, checked and added up; `hist` may be NULL. */
void lab_result_read(const struct lab_world *world, const struct lab_spec *spec,
    struct lab_result *ret, struct lab_hist *hist);

/* Opens an end or fails the party. */
int lab_end_open(struct lab_party *party, struct lab_end *end,
    struct lab_channel *channel, enum lab_role role, uint32_t idx);

/* Around the stretch whose processor time and system calls count. */
void lab_count_begin(struct lab_party *party);
void lab_count_end(struct lab_party *party);

/* Sends `cnt` messages, trying until there is room. 0, or -1: party failed. */
static inline int lab_push(
    struct lab_party *party, struct lab_end *end, const void *src, uint32_t cnt)
{
    struct lab_patience patience = {0, party->world->crowded};
    const struct lab_transport *t = end->channel->transport;

    for (;;) {
        uint32_t n = t->send(end, src, cnt);

        if (__builtin_expect(n == cnt, 1))
            return 0;
        if (n == LAB_FAILED)
            return lab_party_fail(party, "send", end->error);
        if (lab_party_lost(party->world))
            return -1;
        lab_wait_a_bit(&patience);
    }
}

/* Receives at least one message, at most `max`. 0, or -1: party failed. */
static inline int lab_pull(struct lab_party *party, struct lab_end *end,
    struct lab_sink *sink, uint32_t max)
{
    struct lab_patience patience = {0, party->world->crowded};
    const struct lab_transport *t = end->channel->transport;
    uint32_t sleeps = end->channel->flags & LAB_CHANNEL_SLEEP;

    for (;;) {
        uint32_t n =
            sleeps ? t->wait(end, sink, 100000000) : t->receive(end, sink, max);

        if (n == LAB_FAILED)
            return lab_party_fail(party, "receive", end->error);
        if (n > 0)
            return 0;
        if (lab_party_lost(party->world))
            return -1;
        if (!sleeps && patience.crowded)
            lab_wait_a_bit(&patience);
    }
}

#endif
