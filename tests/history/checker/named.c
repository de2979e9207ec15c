/* named.c - one right history and what each kind of fault makes of it: the
 * checker must name the fault. */
#include <stdio.h>
#include <string.h>

#include "history/checker/small.h"

enum { SHARED = 0, EXCLUSIVE = 1 };

/* Two producers, three publishes (A0 A1 together, B0, A2); group 0 shared by
 * members 1 and 2, group 1 read by member 3. */
#define RECORDS(who, first, n, at) \
    .producer = (who), .seq = (first), .cnt = (n), .pos = (at), \
    .last = (at) + (n)-1
#define A0_A1 RECORDS(0xa, 0, 2, 4096)
#define A0 RECORDS(0xa, 0, 1, 4096)
#define A1 RECORDS(0xa, 1, 1, 4097)
#define B0 RECORDS(0xb, 0, 1, 8192)
#define A2 RECORDS(0xa, 2, 1, 12288)
#define OP(what, inv, ret, ...) \
    { \
        .kind = HIST_##what, .inv_ns = (inv), .ret_ns = (ret), __VA_ARGS__ \
    }
#define BY(who) .member = (who)
#define READER .group = EXCLUSIVE, .member = 3
static const struct hist_op base[] = {
    OP(PUBLISH, 100, 110, A0_A1),
    OP(PUBLISH, 120, 130, B0),
    OP(PUBLISH, 140, 150, A2),
    /* 3: the shared group; member 1 takes A0 A1 and is killed, 2 goes on */
    OP(DELIVER, 160, 170, BY(1), A0_A1),
    OP(ACK, 180, 190, BY(1), A0),
    OP(DELIVER, 165, 175, BY(2), B0),
    OP(ACK, 185, 195, BY(2), B0),
    OP(LOSS, 200, 200, BY(1)),
    OP(DELIVER, 210, 220, BY(2), A1, .flags = HIST_AGAIN, .attempt = 1),
    OP(ACK, 230, 240, BY(2), A1),
    OP(DELIVER, 250, 260, BY(2), A2),
    OP(ACK, 270, 280, BY(2), A2),
    /* 12: the exclusive group */
    OP(DELIVER, 115, 125, READER, A0_A1),
    OP(ACK, 126, 127, READER, A0_A1),
    OP(EMPTY, 128, 129, READER),
    OP(DELIVER, 135, 145, READER, B0),
    OP(ACK, 146, 147, READER, B0),
    OP(DELIVER, 148, 158, READER, A2),
    OP(ACK, 159, 161, READER, A2),
};
#define BASE_CNT (sizeof(base) / sizeof(base[0]))

static void drop(struct small *h, uint32_t at)
{
    h->cnt--;
    memmove(&h->ops[at], &h->ops[at + 1], (h->cnt - at) * sizeof(h->ops[0]));
}

static void lost_in_shared(struct small *h)
{
    drop(h, 11);
    drop(h, 10);
}
static void lost_when_killed(struct small *h)
{
    drop(h, 9);
    drop(h, 8);
}
static void lost_half_a_batch(struct small *h)
{
    h->ops[12].cnt = h->ops[13].cnt = 1;
    h->ops[12].last = h->ops[13].last = 4096;
}
static void doubled_unflagged(struct small *h)
{
    h->ops[8].flags = 0;
    h->ops[8].attempt = 0;
}
static void doubled_without_cause(struct small *h)
{
    drop(h, 7);
}
static void doubled_after_ack(struct small *h)
{
    h->ops[10].producer = 0xb;
    h->ops[10].seq = 0;
    h->ops[10].pos = h->ops[10].last = 8192;
    h->ops[10].flags = HIST_AGAIN;
}
static void swapped(struct small *h)
{
    h->ops[15].producer = h->ops[16].producer = 0xa;
    h->ops[15].seq = h->ops[16].seq = 2;
    h->ops[15].pos = h->ops[15].last = 12288;
    h->ops[15].ret_ns = 145;
    h->ops[17].producer = h->ops[18].producer = 0xb;
    h->ops[17].seq = h->ops[18].seq = 0;
    h->ops[17].pos = h->ops[17].last = 8192;
}
static void torn(struct small *h)
{
    h->ops[5].flags = HIST_TORN;
}
static void phantom(struct small *h)
{
    h->ops[10].seq = h->ops[11].seq = 3;
}
static void phantom_of_nobody(struct small *h)
{
    h->ops[5].producer = h->ops[6].producer = 0xc;
}
static void refused(struct small *h)
{
    h->ops[2].result = HIST_REFUSED; /* said so after it was delivered */
    h->ops[17].ret_ns = 149;
}
static void travelled(struct small *h)
{
    h->ops[17].inv_ns = 137;
    h->ops[17].ret_ns = 138; /* before its publish began */
    h->ops[15].ret_ns = 136;
    drop(h, 18);
    drop(h, 16);
}
static void positions_against_time(struct small *h)
{
    h->ops[1].pos = h->ops[1].last = 2048;
    for (uint32_t i = 0; i < h->cnt; i++)
        if (h->ops[i].producer == 0xb)
            h->ops[i].pos = h->ops[i].last = 2048;
}
static void position_of_another(struct small *h)
{
    h->ops[5].pos = h->ops[5].last = 12288;
}
static void skipped(struct small *h)
{
    drop(h, 16);
    drop(h, 15);
}
static void went_back(struct small *h)
{
    h->ops[14] = h->ops[12];
    h->ops[14].inv_ns = 155;
    h->ops[14].ret_ns = 156;
    h->ops[14].flags = HIST_AGAIN;
    h->ops[17].ret_ns = 154;
}
static void empty_but_there(struct small *h)
{
    h->ops[14].inv_ns = 131; /* B0 was published by 130 */
    h->ops[14].ret_ns = 132;
}
static void stale_ack_counted(struct small *h)
{
    drop(h, 7); /* member 1 was not killed, its lease ended */
    h->config.groups[SHARED].lease_ns = 30;
    h->ops[h->cnt] = h->ops[8]; /* it acknowledges late, and that counts */
    h->ops[h->cnt].member = 1;
    h->ops[h->cnt].inv_ns = 300;
    h->ops[h->cnt].ret_ns = 310;
    h->cnt++;
}
static void stale_ack_refused(struct small *h)
{
    stale_ack_counted(h);
    h->ops[h->cnt - 1].result = HIST_STALE; /* as it must be */
}
/* One more record, done by all; nothing that is done is kept from then on. */
static void forget(struct small *h)
{
#define C0 RECORDS(0xc, 0, 1, 16384)
    static const struct hist_op more[] = {
        OP(PUBLISH, 281, 282, C0),
        OP(DELIVER, 283, 284, BY(2), C0),
        OP(ACK, 285, 286, BY(2), C0),
        OP(DELIVER, 283, 284, READER, C0),
        OP(ACK, 285, 286, READER, C0),
    };
    memcpy(&h->ops[h->cnt], more, sizeof(more));
    for (uint32_t i = 0; i < sizeof(more) / sizeof(more[0]); i++, h->cnt++)
        if (h->ops[h->cnt].kind == HIST_ACK)
            h->ops[h->cnt].last = 0;
    h->config.keep_runs = 0;
}
static void forgotten_ack_counted(struct small *h)
{
    stale_ack_counted(h);
    forget(h);
}
static void forgotten_ack_refused(struct small *h)
{
    stale_ack_refused(h);
    forget(h);
}
static void forgotten_ack_without_lease(struct small *h)
{
    forgotten_ack_refused(h);
    h->config.groups[SHARED].lease_ns = 0;
    h->ops[h->cnt++] = (struct hist_op)OP(LOSS, 200, 200, BY(1));
}
static void ack_of_nothing(struct small *h)
{
    forgotten_ack_refused(h);
    h->ops[18].seq = 7; /* of A, which published three */
}
/* Member 1 stood still in its call: 2 has got and done both meanwhile. */
static void forgotten_delivery(struct small *h)
{
    h->config.groups[SHARED].lease_ns = 30;
    h->ops[3].ret_ns = 300;
    h->ops[8].seq = h->ops[9].seq = 0;
    h->ops[8].cnt = h->ops[9].cnt = 2;
    h->ops[8].pos = h->ops[9].pos = 4096;
    drop(h, 7);
    drop(h, 4);
    forget(h);
}
static void delivered_when_all_had_it(struct small *h)
{
    forgotten_delivery(h);
    h->ops[3].inv_ns = 290;
}
static void lease_too_short(struct small *h)
{
    drop(h, 7);
    h->config.groups[SHARED].lease_ns = 61; /* 160 to 220 */
}
static void refused_without_cause(struct small *h)
{
    h->ops[11].result = HIST_STALE;
}
static void unknown_publish_seen(struct small *h)
{
    h->ops[2].result = HIST_UNKNOWN; /* killed in it, took effect */
}
static void unknown_publish_unseen(struct small *h)
{
    h->ops[2].result = HIST_UNKNOWN;
    drop(h, 18);
    drop(h, 17);
    drop(h, 11);
    drop(h, 10);
}
static void unknown_publish_half_seen(struct small *h)
{
    h->ops[2].result = HIST_UNKNOWN;
    drop(h, 11);
    drop(h, 10);
}
static void two_readers(struct small *h)
{
    h->ops[15].member = h->ops[16].member = 4;
}

static const struct {
    const char *name;
    void (*change)(struct small *h);
    int fault; /* enum hist_fault; -1 right */
} cases[] = {
    {"lost", lost_in_shared, HIST_F_LOST},
    {"lost when its reader was killed", lost_when_killed, HIST_F_LOST},
    {"half of a batch lost", lost_half_a_batch, HIST_F_SKIPPED},
    {"doubled without the flag", doubled_unflagged, HIST_F_DOUBLED},
    {"doubled without a cause", doubled_without_cause, HIST_F_DOUBLED},
    {"doubled after its ack", doubled_after_ack, HIST_F_DOUBLED},
    {"swapped", swapped, HIST_F_SKIPPED},
    {"torn", torn, HIST_F_TORN},
    {"phantom", phantom, HIST_F_PHANTOM},
    {"phantom of an unknown producer", phantom_of_nobody, HIST_F_PHANTOM},
    {"delivered though refused", refused, HIST_F_REFUSED},
    {"delivered before its publish", travelled, HIST_F_PHANTOM},
    {"positions against time", positions_against_time, HIST_F_REALTIME},
    {"position of another record", position_of_another, HIST_F_POSITION},
    {"skipped by an exclusive reader", skipped, HIST_F_SKIPPED},
    {"exclusive reader went back", went_back, HIST_F_ORDER},
    {"empty while a record was there", empty_but_there, HIST_F_EMPTY},
    {"late ack counted", stale_ack_counted, HIST_F_STALE},
    {"late ack refused", stale_ack_refused, -1},
    {"late ack of what is forgotten, counted", forgotten_ack_counted,
        HIST_F_STALE},
    {"late ack of what is forgotten, refused", forgotten_ack_refused, -1},
    {"the same without a lease", forgotten_ack_without_lease, HIST_F_MALFORMED},
    {"ack of what nobody published", ack_of_nothing, HIST_F_MALFORMED},
    {"late delivery of what is forgotten", forgotten_delivery, -1},
    {"delivered when all had it", delivered_when_all_had_it, HIST_F_DOUBLED},
    {"redelivered before the lease ended", lease_too_short, HIST_F_DOUBLED},
    {"ack refused without a cause", refused_without_cause, HIST_F_STALE},
    {"publish of a killed producer, seen", unknown_publish_seen, -1},
    {"publish of a killed producer, not seen", unknown_publish_unseen, -1},
    {"publish of a killed producer, seen by one group",
        unknown_publish_half_seen, HIST_F_LOST},
    {"two readers of an exclusive group", two_readers, HIST_F_ORDER},
};

static int judge(const char *name, void (*change)(struct small *h), int fault)
{
    static struct small h;
    struct hist_verdict v;
    memset(&h, 0, sizeof(h));
    h.config = (struct hist_config){
        .group_cnt = 2, .dense = true, .keep_runs = 64, .limit_runs = 1000};
    h.config.groups[SHARED].shared = true;
    memcpy(h.ops, base, sizeof(base));
    h.cnt = BASE_CNT;
    for (uint32_t i = 0; i < h.cnt; i++)
        if (h.ops[i].kind == HIST_ACK)
            h.ops[i].last = 0;
    if (change != NULL)
        change(&h);
    small_check(&h, &v);
    bool right = fault < 0 ? v.fault_cnt == 0 : v.faults[fault] != 0;
    if (right)
        return 0;
    printf("history \"%s\": expected %s, got %s\n", name,
        fault < 0 ? "no fault" : hist_fault_name((enum hist_fault)fault),
        v.fault_cnt == 0 ? "no fault" : v.first);
    return 1;
}

int small_named(void)
{
    uint32_t cnt = sizeof(cases) / sizeof(cases[0]);
    uint32_t wrong = (uint32_t)judge("as it was", NULL, -1);
    for (uint32_t i = 0; i < cnt; i++)
        wrong +=
            (uint32_t)judge(cases[i].name, cases[i].change, cases[i].fault);
    printf("hand-made histories: %u, wrong verdicts %u\n", cnt + 1, wrong);
    return wrong == 0 ? 0 : 1;
}
