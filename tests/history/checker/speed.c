/* speed.c - one long history without faults: how fast, in how much memory. */
#include <inttypes.h>
#include <stdio.h>

#include "history/checker/small.h"
#include "history/lib/stream.h"

#define BATCH 32u
#define LAG 64u /* publishes between the publisher and the readers */
#define PRODUCERS 4u

struct clock {
    uint64_t now_ns;
};

static void one(struct hist_check *c, struct clock *clock, struct hist_op *op)
{
    struct hist_open open;
    op->inv_ns = ++clock->now_ns;
    hist_check_begin(c, op, &open);
    op->ret_ns = ++clock->now_ns;
    hist_check_end(c, op, &open);
}

static struct hist_op batch(uint64_t number)
{
    uint64_t pos = number << 12;
    return (struct hist_op){.producer = 1 + number % PRODUCERS,
        .seq = number / PRODUCERS * BATCH,
        .cnt = BATCH,
        .pos = pos,
        .last = pos + BATCH - 1};
}

/* An exclusive and a shared group; the shared one has three members. */
static void receive(struct hist_check *c, struct clock *clock, uint64_t number)
{
    for (uint8_t g = 0; g < 2; g++) {
        struct hist_op op = batch(number);
        op.group = g;
        op.member = g == 0 ? 1 : 2 + (uint32_t)(number % 3);
        op.kind = HIST_DELIVER;
        one(c, clock, &op);
        op.kind = HIST_ACK;
        op.last = 0;
        one(c, clock, &op);
    }
}

int small_speed(uint64_t records, double *ret_ops_s, uint64_t *ret_bytes)
{
    struct hist_config config = {.group_cnt = 2,
        .groups = {{.shared = false}, {.shared = true}},
        .dense = true,
        .keep_runs = 4096,
        .limit_runs = 1u << 16};
    struct hist_check *c = hist_check_new(&config);
    struct hist_verdict v;
    struct clock clock = {0};
    uint64_t cnt = records / BATCH;
    uint64_t began_ns = hist_now_ns();
    for (uint64_t i = 0; i < cnt + LAG; i++) {
        struct hist_op op = batch(i);
        op.kind = HIST_PUBLISH;
        if (i < cnt)
            one(c, &clock, &op);
        if (i >= LAG)
            receive(c, &clock, i - LAG);
    }
    hist_check_finish(c, &v);
    double seconds = (double)(hist_now_ns() - began_ns) / 1e9;
    *ret_ops_s = (double)v.ops / seconds;
    *ret_bytes = v.bytes_peak;
    printf("one history: %" PRIu64 " records, %" PRIu64
           " operations in %.2f s, %.1f million noted operations/s, %" PRIu64
           " bytes, faults %" PRIu64 "\n",
        v.published, v.ops, seconds, (double)v.ops / BATCH / seconds / 1e6,
        v.bytes_peak, v.fault_cnt);
    if (v.fault_cnt != 0)
        printf("  %s\n", v.first);
    return v.fault_cnt == 0 && v.published == cnt * BATCH ? 0 : 1;
}
