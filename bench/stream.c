/* stream.c - throughput: senders send as fast as it goes, receivers take as
 * fast as it comes; one to one, many to one, one to many.
 *
 * The rate is what the receivers took between the end of the warm-up and the
 * moment the senders were told to stop, by their own clocks. */
#define _GNU_SOURCE
#include "measure.h"

#include <string.h>

static int send_all(
    struct lab_party *party, struct lab_end *tx, struct lab_source *source)
{
    const struct lab_spec *spec = &((struct lab_run *)party->arg)->spec;
    uint32_t batch = spec->batch;
    uint64_t end = lab_ticks() + lab_ns_ticks(spec->warm_ns + spec->measure_ns);

    do {
        for (uint32_t i = 0; i < 16; i++) {
            if (lab_push(party, tx, lab_source_next(source, batch), batch))
                return -1;
            party->report->cnt += batch;
        }
    } while (lab_ticks() < end && !lab_party_lost(party->world));
    return 0;
}

/* The last sender to finish tells every receiver. */
static int send_ends(
    struct lab_party *party, struct lab_end *tx, struct lab_source *source)
{
    const struct lab_spec *spec = &((struct lab_run *)party->arg)->spec;
    struct lab_world *world = party->world;

    party->report->sum = source->sum;
    atomic_fetch_add(&world->sent_cnt, party->report->cnt);
    if (atomic_fetch_add(&world->senders_done, 1) + 1 < spec->senders)
        return 0;
    for (uint32_t i = 0; i < spec->receivers; i++) {
        if (lab_push(party, tx, lab_source_end(source), 1))
            return -1;
    }
    return 0;
}

static int run_sender(struct lab_party *party)
{
    struct lab_run *run = party->arg;
    uint32_t cnt = run->spec.batch > 1 ? run->spec.batch : 0;
    struct lab_source source;
    struct lab_end tx;
    int rc;

    if (lab_source_open(&source, run->spec.size, cnt, party->idx))
        return lab_party_fail(party, "messages", "out of memory");
    if (lab_end_open(party, &tx, &run->there, LAB_SENDER, party->idx))
        return -1;
    lab_party_ready(party);
    lab_count_begin(party);
    rc = send_all(party, &tx, &source);
    lab_count_end(party);
    if (rc == 0)
        rc = send_ends(party, &tx, &source);
    run->there.transport->close(&tx);
    lab_source_close(&source);
    return rc;
}

/* Everything was sent, and all receivers together have taken it. */
static int all_taken(struct lab_world *world, uint32_t senders)
{
    return atomic_load(&world->senders_done) == senders &&
        atomic_load(&world->taken_cnt) >= atomic_load(&world->sent_cnt);
}

/* The clock is read once in so many small messages of a fast transport;
 * else with every one. */
#define LOOK_EVERY 512u

static uint64_t look_every(const struct lab_channel *channel)
{
    if (channel->size > 1024 || (channel->transport->caps & LAB_CAP_BLOCKS))
        return 1;
    return LOOK_EVERY;
}

static void note_time(struct lab_report *report, uint64_t got, uint64_t *from,
    uint64_t warm, uint64_t end)
{
    uint64_t now = lab_ticks();

    if (report->first_ticks == 0 && now >= warm) {
        report->first_ticks = now;
        *from = got;
    }
    if (now <= end) {
        report->last_ticks = now;
        report->measured_cnt = got - *from;
    }
}

static int take_all(
    struct lab_party *party, struct lab_end *rx, struct lab_sink *sink)
{
    const struct lab_spec *spec = &((struct lab_run *)party->arg)->spec;
    struct lab_report *report = party->report;
    struct lab_patience patience = {0, party->world->crowded};
    const struct lab_transport *t = rx->channel->transport;
    uint64_t warm = lab_ticks() + lab_ns_ticks(spec->warm_ns);
    uint64_t end = warm + lab_ns_ticks(spec->measure_ns);
    uint64_t told = 0, look = 0, from = 0, got = 0;
    uint64_t every = look_every(rx->channel);
    /* Some transports keep no order among senders: a last message may overtake
     * others, so with more than one it is the count that tells. */
    int counted = sink->competing || spec->senders > 1;

    for (;;) {
        uint32_t n = t->receive(rx, sink, 64);

        if (n == LAB_FAILED)
            return lab_party_fail(party, "receive", rx->error);
        got += n;
        if (got >= look) {
            note_time(report, got, &from, warm, end);
            look = got + every;
        }
        if (n && !sink->ends)
            continue;
        look = got; /* nothing to do: time to look at the clock */
        if (counted && lab_sink_cnt(sink) > told) {
            atomic_fetch_add(
                &party->world->taken_cnt, lab_sink_cnt(sink) - told);
            told = lab_sink_cnt(sink);
        }
        if (sink->ends && !counted)
            return 0;
        if (lab_party_lost(party->world))
            return -1;
        if (counted && all_taken(party->world, spec->senders))
            return 0;
        lab_wait_a_bit(&patience);
    }
}

static int run_receiver(struct lab_party *party)
{
    struct lab_run *run = party->arg;
    struct lab_sink sink;
    struct lab_end rx;
    int rc;

    memset(&sink, 0, sizeof(sink));
    sink.size = run->spec.size;
    sink.competing = run->spec.receivers > 1;
    if (lab_end_open(party, &rx, &run->there, LAB_RECEIVER,
            party->idx - run->spec.senders))
        return -1;
    lab_party_ready(party);
    lab_count_begin(party);
    rc = take_all(party, &rx, &sink);
    lab_count_end(party);
    party->report->cnt = lab_sink_cnt(&sink);
    party->report->sum = lab_sink_sum(&sink);
    party->report->disorder = sink.disorder + sink.wrong_size;
    run->there.transport->close(&rx);
    return rc;
}

int lab_run_stream(struct lab_party *party)
{
    const struct lab_run *run = party->arg;

    return party->idx < run->spec.senders ? run_sender(party)
                                          : run_receiver(party);
}
