/* solo.c - one party that sends to itself: what sending and receiving cost on
 * one core, with nothing under way between cores. Far steadier than anything
 * between two cores, so small changes of the code show here first. */
#include "measure.h"

#include <string.h>

struct both {
    struct lab_end tx, rx;
    struct lab_source source;
    struct lab_sink sink;
};

static int open_both(struct lab_party *party, struct both *b)
{
    struct lab_run *run = party->arg;

    memset(b, 0, sizeof(*b));
    b->sink.size = run->spec.size;
    if (lab_source_open(&b->source, run->spec.size, 0, 0))
        return lab_party_fail(party, "messages", "out of memory");
    if (lab_end_open(party, &b->rx, &run->there, LAB_RECEIVER, 0))
        return -1;
    return lab_end_open(party, &b->tx, &run->there, LAB_SENDER, 0);
}

static int there_and_taken(struct lab_party *party, struct both *b)
{
    for (uint32_t i = 0; i < LAB_SOLO_CHUNK; i++) {
        if (lab_push(party, &b->tx, lab_source_next(&b->source, 1), 1) ||
            lab_pull(party, &b->rx, &b->sink, 1))
            return -1;
    }
    return 0;
}

static int measure(struct lab_party *party, struct both *b)
{
    const struct lab_spec *spec = &((struct lab_run *)party->arg)->spec;
    uint64_t warm = lab_ticks() + lab_ns_ticks(spec->warm_ns);
    uint64_t end = warm + lab_ns_ticks(spec->measure_ns);
    uint64_t t0, t1;

    do {
        t0 = lab_ticks();
        if (there_and_taken(party, b))
            return -1;
        t1 = lab_ticks();
        if (t0 >= warm)
            lab_record(party->report, t0, t1 - t0);
    } while (t1 < end);
    return 0;
}

int lab_run_solo(struct lab_party *party)
{
    struct lab_report *report = party->report;
    struct both b;
    int rc;

    if (open_both(party, &b))
        return -1;
    lab_party_ready(party);
    lab_count_begin(party);
    rc = measure(party, &b);
    lab_count_end(party);
    report->cnt = b.source.next_seq;
    report->taken_cnt = lab_sink_cnt(&b.sink);
    report->sum = b.source.sum - lab_sink_sum(&b.sink);
    report->disorder = b.sink.disorder + b.sink.wrong_size;
    b.tx.channel->transport->close(&b.tx);
    b.rx.channel->transport->close(&b.rx);
    lab_source_close(&b.source);
    return rc;
}
