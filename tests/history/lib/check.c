/* check.c - the history checker: dispatch, publishes, verdict. */
#include "history/lib/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

const char *hist_fault_name(enum hist_fault fault)
{
    static const char *const names[HIST_F_CNT] = {"malformed", "phantom",
        "refused", "realtime", "position", "torn", "lost", "doubled", "order",
        "skipped", "empty", "stale", "window"};
    return names[fault];
}

void hc_fault(struct hist_check *c, enum hist_fault fault,
    const struct hist_op *op, const char *text)
{
    struct hist_verdict *v = &c->verdict;
    v->faults[fault]++;
    if (v->fault_cnt++ != 0)
        return;
    (void)snprintf(v->first, sizeof(v->first),
        "%s: %s: kind %u group %u member %u producer %" PRIx64 " seq %" PRIu64
        "+%u position %" PRIu64 " flags %u result %u, from %" PRIu64
        " to %" PRIu64,
        hist_fault_name(fault), text, op->kind, op->group, op->member,
        op->producer, op->seq, op->cnt, op->pos, op->flags, op->result,
        op->inv_ns, op->ret_ns);
}

struct hc_member *hc_member(struct hist_check *c, uint32_t id)
{
    if (id >= c->member_cap) {
        uint32_t cap = c->member_cap == 0 ? 64 : c->member_cap;
        while (cap <= id)
            cap *= 2;
        c->members =
            hc_grow(c, c->members, c->member_cap * sizeof(struct hc_member),
                cap * sizeof(struct hc_member));
        for (uint32_t i = c->member_cap; i < cap; i++)
            c->members[i].lost_ns = HC_NEVER;
        c->member_cap = cap;
    }
    return &c->members[id];
}

struct hist_check *hist_check_new(const struct hist_config *config)
{
    struct hist_check *c = calloc(1, sizeof(*c));
    if (c == NULL)
        abort();
    c->config = *config;
    c->bytes = sizeof(*c);
    for (uint32_t g = 0; g < HIST_GROUP_MAX; g++)
        c->groups[g].cause_ns = HC_NEVER;
    return c;
}

void hc_know(struct hist_check *c, uint64_t last, uint64_t now_ns)
{
    if (c->known > last)
        return;
    c->known = last + 1;
    c->past_at = (c->past_at + 1) % HC_PAST;
    c->past[c->past_at].at_ns = now_ns;
    c->past[c->past_at].known = last + 1;
}

/* What was known at `at_ns`; too little when that is long ago. */
static uint64_t known_at(const struct hist_check *c, uint64_t at_ns)
{
    for (uint32_t i = 0; i < HC_PAST; i++) {
        uint32_t j = (c->past_at + HC_PAST - i) % HC_PAST;
        if (c->past[j].at_ns <= at_ns)
            return c->past[j].known;
    }
    return 0;
}

/* -- publishes ----------------------------------------------------------- */

static void publish_begin(struct hist_check *c, const struct hist_op *op)
{
    struct hc_producer *p = hc_producer_find(c, op->producer, true);
    if (p->ended || op->seq != p->next_seq || op->cnt == 0 ||
        op->cnt > HIST_RUN_MAX) {
        hc_fault(c, HIST_F_MALFORMED, op, "not this producer's next records");
        return;
    }
    struct hc_run *run = hc_run_new(c);
    run->producer = p;
    run->seq = op->seq;
    run->cnt = op->cnt;
    run->inv_ns = op->inv_ns;
    run->snap = c->known;
    run->result = HC_OPEN;
    p->next_seq += op->cnt;
    hc_producer_push(c, p, run);
}

static void publish_refused(
    struct hist_check *c, struct hc_run *run, const struct hist_op *op)
{
    struct hc_producer *p = run->producer;
    p->next_seq -= run->cnt;
    if (run->logged) {
        hc_fault(c, HIST_F_REFUSED, op, "was delivered all the same");
        return; /* stays in the log; the history is wrong anyway */
    }
    p->cnt--;
    hc_run_free(c, run);
}

static void publish_end(struct hist_check *c, const struct hist_op *op)
{
    struct hc_producer *p = hc_producer_find(c, op->producer, false);
    struct hc_run *run =
        p == NULL || p->cnt == 0 ? NULL : hc_producer_at(p, p->cnt - 1);
    if (run == NULL || run->result != HC_OPEN || run->seq != op->seq ||
        run->cnt != op->cnt)
        return; /* its begin was at fault */
    run->result = op->result;
    if (op->result == HIST_UNKNOWN) {
        c->verdict.unknown++;
        hc_producer_end(c, p, op->ret_ns);
        return;
    }
    if (op->result != HIST_OK) {
        publish_refused(c, run, op);
        return;
    }
    if (c->config.dense && op->last != op->pos + op->cnt - 1)
        hc_fault(c, HIST_F_POSITION, op, "has holes");
    if (run->logged && c->config.dense &&
        (run->pos != op->pos || run->last != op->last))
        hc_fault(c, HIST_F_POSITION, op, "was delivered from elsewhere");
    if (run->logged && !c->config.dense &&
        (run->pos < op->pos || run->last > op->last))
        hc_fault(c, HIST_F_POSITION, op, "was delivered from elsewhere");
    run->pos = op->pos;
    run->last = op->last;
    if (!run->logged)
        hc_log_insert(c, run, op);
    hc_know(c, op->last, op->ret_ns);
    hc_log_prune(c);
}

/* -- readers ------------------------------------------------------------- */

static void loss(struct hist_check *c, const struct hist_op *op)
{
    if (op->producer != 0) { /* a producer left */
        struct hc_producer *p = hc_producer_find(c, op->producer, false);
        if (p != NULL)
            hc_producer_end(c, p, op->inv_ns);
        return;
    }
    struct hc_member *member = hc_member(c, op->member);
    if (op->inv_ns < member->lost_ns)
        member->lost_ns = op->inv_ns;
    member->killed = member->killed || (op->flags & HIST_CLOSED) == 0;
    if (op->inv_ns < c->groups[op->group].cause_ns)
        c->groups[op->group].cause_ns = op->inv_ns;
}

static void empty(struct hist_check *c, const struct hist_op *op,
    const struct hist_open *open)
{
    const struct hc_reader *reader = &c->groups[op->group].reader;
    if (c->config.groups[op->group].shared || !reader->valid ||
        reader->member != op->member || op->result == HIST_UNKNOWN)
        return;
    if (open->known > reader->last_pos + 1)
        hc_fault(c, HIST_F_EMPTY, op, "a later record was known before");
}

void hist_check_begin(
    struct hist_check *c, const struct hist_op *op, struct hist_open *open)
{
    open->known = known_at(c, op->inv_ns - c->config.settle_ns);
    open->fresh = 0;
    open->late = false;
    open->valid = op->group < c->config.group_cnt;
    if (!open->valid) {
        hc_fault(c, HIST_F_MALFORMED, op, "no such group");
        return;
    }
    switch (op->kind) {
    case HIST_PUBLISH:
        publish_begin(c, op);
        break;
    case HIST_DELIVER:
    case HIST_EMPTY:
        open->fresh = c->groups[op->group].fresh_pos;
        break;
    case HIST_ACK:
    case HIST_NACK:
        hc_ack_begin(c, op, open);
        break;
    case HIST_LOSS:
        loss(c, op);
        break;
    default:
        break;
    }
}

void hist_check_end(struct hist_check *c, const struct hist_op *op,
    const struct hist_open *open)
{
    struct hist_verdict *v = &c->verdict;
    if (!open->valid)
        return;
    v->ops += op->cnt == 0 ? 1 : op->cnt;
    switch (op->kind) {
    case HIST_PUBLISH:
        publish_end(c, op);
        break;
    case HIST_DELIVER:
        if (op->cnt == 0)
            break;
        v->delivered += op->cnt;
        v->again += (op->flags & HIST_AGAIN) != 0 ? op->cnt : 0;
        hc_deliver(c, op, open);
        break;
    case HIST_EMPTY:
        empty(c, op, open);
        break;
    case HIST_ACK:
    case HIST_NACK:
        v->acked += op->kind == HIST_ACK && op->result == HIST_OK ? op->cnt : 0;
        v->stale += op->result == HIST_STALE ? op->cnt : 0;
        v->nacked += op->kind == HIST_NACK ? op->cnt : 0;
        v->unknown += op->result == HIST_UNKNOWN;
        hc_ack_end(c, op, open);
        break;
    default:
        break;
    }
}

const struct hist_verdict *hist_check_state(const struct hist_check *c)
{
    return &c->verdict;
}

void hist_check_finish(struct hist_check *c, struct hist_verdict *ret)
{
    for (uint32_t i = 0; i < c->log_cnt; i++) {
        const struct hc_run *run = hc_log_at(c, i);
        for (uint32_t g = 0; g < c->config.group_cnt; g++) {
            uint64_t left = hc_left(c, run, g);
            struct hist_op op = {.producer = run->producer->identity,
                .seq = run->seq,
                .cnt = run->cnt,
                .pos = run->pos,
                .last = run->last,
                .group = (uint8_t)g,
                .inv_ns = run->inv_ns};
            if (left == 0 || c->config.groups[g].lossy)
                continue;
            hc_fault(c, HIST_F_LOST, &op,
                (left & ~run->given[g]) != 0 ? "never handed out"
                                             : "handed out, never done");
            c->verdict.faults[HIST_F_LOST] +=
                (uint64_t)__builtin_popcountll(left) - 1;
        }
    }
    *ret = c->verdict;
    hc_free_all(c);
}
