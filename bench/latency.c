/* latency.c - the two latency modes: closed loop and open loop. */
#define _GNU_SOURCE
#include "measure.h"

#include <string.h>

#define SLEEP_NS 60000u

struct ends {
    struct lab_end tx, rx;
    struct lab_source source;
    struct lab_sink sink;
};

static int open_both(struct lab_party *party, struct ends *e)
{
    struct lab_run *run = party->arg;
    struct lab_channel *out = party->idx ? &run->back : &run->there;
    struct lab_channel *in = party->idx ? &run->there : &run->back;

    e->sink.size = run->spec.size;
    if (lab_source_open(&e->source, run->spec.size, 0, 0))
        return lab_party_fail(party, "messages", "out of memory");
    /* Receivers first: a sender may need somebody to talk to. */
    if (lab_end_open(party, &e->rx, in, LAB_RECEIVER, 0))
        return -1;
    if (lab_end_open(party, &e->tx, out, LAB_SENDER, 0)) {
        in->transport->close(&e->rx);
        return -1;
    }
    return 0;
}

static void close_both(struct ends *e)
{
    e->tx.channel->transport->close(&e->tx);
    e->rx.channel->transport->close(&e->rx);
    lab_source_close(&e->source);
}

static int answer(struct lab_party *party, struct ends *e)
{
    while (!e->sink.ends) {
        if (lab_pull(party, &e->rx, &e->sink, 1))
            return -1;
        if (e->sink.ends)
            break;
        if (lab_push(party, &e->tx, lab_source_next(&e->source, 1), 1))
            return -1;
    }
    return 0;
}

/* Before a message that is to wake somebody: long enough for the other side
 * to be asleep. */
static void let_sleep(void)
{
    uint64_t end = lab_ticks() + lab_ns_ticks(SLEEP_NS);

    while (lab_ticks() < end)
        lab_relax();
}

static int ask(struct lab_party *party, struct ends *e)
{
    const struct lab_spec *spec = &((struct lab_run *)party->arg)->spec;
    struct lab_report *report = party->report;
    uint64_t begin = lab_ticks();
    uint64_t warm = begin + lab_ns_ticks(spec->warm_ns);
    uint64_t end = warm + lab_ns_ticks(spec->measure_ns);
    uint64_t t0, t1;

    do {
        const void *src = lab_source_next(&e->source, 1);

        if (spec->mode == LAB_WAKE)
            let_sleep();
        t0 = lab_ticks();
        if (lab_push(party, &e->tx, src, 1) ||
            lab_pull(party, &e->rx, &e->sink, 1))
            return -1;
        t1 = lab_ticks();
        if (t0 >= warm)
            lab_record(report, t0, t1 - t0);
        else
            report->first_ticks = t1;
    } while (t1 < end);
    report->last_ticks = t1;
    return lab_push(party, &e->tx, lab_source_end(&e->source), 1);
}

int lab_run_pingpong(struct lab_party *party)
{
    struct ends e;
    int rc;

    memset(&e, 0, sizeof(e));
    if (open_both(party, &e))
        return -1;
    lab_party_ready(party);
    lab_count_begin(party);
    rc = party->idx ? answer(party, &e) : ask(party, &e);
    lab_count_end(party);
    party->report->cnt = lab_sink_cnt(&e.sink);
    party->report->sum =
        e.source.sum - lab_sink_sum(&e.sink); /* echo: all comes back */
    party->report->disorder = e.sink.disorder + e.sink.wrong_size;
    close_both(&e);
    return rc;
}

/* --- open loop --------------------------------------------------------- */

struct schedule {
    struct lab_report *report;
    uint64_t start; /* ticks */
    double gap; /* ticks between intended sends */
    uint64_t first; /* message that is the first to count */
};

static uint64_t intended(const struct schedule *s, uint64_t seq)
{
    return s->start + (uint64_t)((double)seq * s->gap);
}

static void on_arrival(struct lab_sink *sink, uint64_t producer, uint64_t seq)
{
    const struct schedule *s = sink->ctx;
    uint64_t now = lab_ticks(), then = intended(s, seq);

    (void)producer;
    if (seq >= s->first)
        lab_record(s->report, then, now > then ? now - then : 0);
}

static void schedule_fill(struct schedule *s, struct lab_party *party)
{
    const struct lab_spec *spec = &((struct lab_run *)party->arg)->spec;

    s->report = party->report;
    s->start = party->world->start_ticks;
    s->gap = 1e9 / (double)spec->rate / lab_clock.ns_per_tick;
    s->first = (uint64_t)((double)spec->warm_ns * 1e-9 * (double)spec->rate);
}

/* Sends each message when its time has come, or at once when it is late:
 * it is counted from the time it was meant for. */
static int send_on_time(
    struct lab_party *party, struct lab_end *tx, struct lab_source *source)
{
    const struct lab_spec *spec = &((struct lab_run *)party->arg)->spec;
    struct lab_patience patience = {0, party->world->crowded};
    struct schedule s;
    uint64_t last;

    schedule_fill(&s, party);
    last = s.first +
        (uint64_t)((double)spec->measure_ns * 1e-9 * (double)spec->rate);
    party->report->first_ticks = s.start;
    for (uint64_t seq = 0; seq < last; seq++) {
        uint64_t when = intended(&s, seq);

        while (lab_ticks() < when)
            lab_wait_a_bit(&patience);
        if (lab_push(party, tx, lab_source_next(source, 1), 1))
            return -1;
    }
    party->report->last_ticks = lab_ticks();
    party->report->cnt = last;
    party->report->sum = source->sum;
    return lab_push(party, tx, lab_source_end(source), 1);
}

static int run_sender(struct lab_party *party)
{
    struct lab_run *run = party->arg;
    struct lab_source source;
    struct lab_end tx;
    int rc;

    if (lab_source_open(&source, run->spec.size, 0, 0))
        return lab_party_fail(party, "messages", "out of memory");
    if (lab_end_open(party, &tx, &run->there, LAB_SENDER, 0))
        return -1;
    lab_party_ready(party);
    rc = send_on_time(party, &tx, &source);
    run->there.transport->close(&tx);
    lab_source_close(&source);
    return rc;
}

int lab_run_rate(struct lab_party *party)
{
    struct lab_run *run = party->arg;
    struct lab_sink sink;
    struct schedule s;
    struct lab_end rx;

    if (party->idx == 0)
        return run_sender(party);
    memset(&sink, 0, sizeof(sink));
    sink.size = run->spec.size;
    if (lab_end_open(party, &rx, &run->there, LAB_RECEIVER, 0))
        return -1;
    lab_party_ready(party);
    lab_count_begin(party);
    schedule_fill(&s, party);
    sink.ctx = &s;
    sink.on_message = on_arrival;
    while (!sink.ends) {
        if (lab_pull(party, &rx, &sink, 64))
            return -1;
    }
    lab_count_end(party);
    party->report->cnt = lab_sink_cnt(&sink);
    party->report->sum = lab_sink_sum(&sink);
    party->report->disorder = sink.disorder + sink.wrong_size;
    run->there.transport->close(&rx);
    return 0;
}
