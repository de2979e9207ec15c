/* check_claim.c - who held a record, one after the other.
 *
 * A record's holds must fit into one order: the first one unflagged or with a
 * cause; each next one flagged, and only after its predecessor was given back
 * or lost; an ack counts only while the hold lasts, a refused one only after
 * it. A record is rarely held twice, so all orders can be tried. */
#include "history/lib/check.h"

#include <stddef.h>

#define EPISODE_MAX 8u

struct trial {
    const struct hist_check *c;
    const struct hc_hold *all; /* of the run */
    const struct hist_group *group;
    const struct hc_hold *holds[EPISODE_MAX];
    uint32_t cnt;
    bool single; /* the publish has one record */
    uint64_t cause_ns;
    bool done; /* the last hold must have ended with an ack */
};

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* A lease covers the member's whole claim on the publish. One that comes back
 * when it is over may still be handed more of it at that instant, so its
 * first delivery counts. */
static uint64_t lease_from(const struct trial *t, const struct hc_hold *hold)
{
    uint64_t from_ns = hold->inv_ns;
    for (const struct hc_hold *at = t->all; at != NULL; at = at->next)
        if (at->member == hold->member)
            from_ns = sooner(from_ns, at->inv_ns);
    return from_ns + t->group->lease_ns;
}

/* From when on the hold that began at `since` may be over for the group,
 * without the holder's ack or nack; HC_NEVER when it cannot be. Where records
 * may be overwritten that is at any time. */
static uint64_t lost_from(
    const struct trial *t, const struct hc_hold *hold, uint64_t since)
{
    uint64_t cause = t->c->members[hold->member].lost_ns;
    if (t->group->lease_ns != 0)
        cause = sooner(cause, lease_from(t, hold));
    if (t->group->lossy)
        cause = 0;
    return cause == HC_NEVER ? HC_NEVER : later(since, cause);
}

/* The earliest time at which the record is free again after `hold`, which
 * began at `since`; HC_NEVER when it never is. */
static uint64_t free_from(
    const struct trial *t, const struct hc_hold *hold, uint64_t since)
{
    const struct hc_member *member = &t->c->members[hold->member];
    if (hold->end == HC_NACKED && hold->end_result == HIST_OK)
        return later(since, hold->end_inv_ns);
    if (hold->end == HC_ACKED && hold->end_result == HIST_OK) {
        /* Acks behind a record that is not done yet are kept by the member:
         * they are gone with it, or with its lease. */
        uint64_t lost_ns = member->killed ? member->lost_ns : HC_NEVER;
        if (t->group->lease_ns != 0 && !t->single)
            lost_ns = sooner(lost_ns, lease_from(t, hold));
        return lost_ns == HC_NEVER
            ? HC_NEVER
            : later(later(since, hold->end_inv_ns), lost_ns);
    }
    uint64_t free_ns = lost_from(t, hold, since);
    if (hold->end == HC_NACKED && hold->end_result == HIST_UNKNOWN)
        free_ns = sooner(free_ns, later(since, hold->end_inv_ns));
    return free_ns;
}

/* Tries to append each hold not in `used` to an order whose last hold is `at`,
 * begun at `since`. */
static bool extend(
    const struct trial *t, uint32_t used, uint32_t at, uint64_t since)
{
    if (used == (1u << t->cnt) - 1)
        return !t->done ||
            (t->holds[at]->end == HC_ACKED &&
                t->holds[at]->end_result != HIST_STALE);
    uint64_t free_ns = used == 0 ? 0 : free_from(t, t->holds[at], since);
    if (free_ns == HC_NEVER)
        return false;
    for (uint32_t i = 0; i < t->cnt; i++) {
        const struct hc_hold *hold = t->holds[i];
        if ((used & 1u << i) != 0 || (!hold->again && used != 0))
            continue;
        uint64_t from = later(free_ns, hold->inv_ns);
        if (used == 0 && hold->again)
            from =
                t->cause_ns == HC_NEVER ? HC_NEVER : later(from, t->cause_ns);
        if (from > hold->ret_ns)
            continue;
        /* Refused, so it was lost before the answer. */
        if (hold->end != HC_HELD && hold->end_result == HIST_STALE &&
            lost_from(t, hold, from) > hold->end_ret_ns)
            continue;
        if (extend(t, used | 1u << i, i, from))
            return true;
    }
    return false;
}

bool hc_claims_possible(const struct hist_check *c, const struct hc_run *run,
    uint32_t g, uint32_t bit, bool done)
{
    struct trial t = {.c = c,
        .all = run->holds[g],
        .single = run->cnt == 1,
        .group = &c->config.groups[g],
        .cause_ns = c->groups[g].cause_ns,
        .done = done};
    if (t.group->lease_ns != 0 || t.group->lossy)
        t.cause_ns = 0; /* of one that was stopped before it got it */
    for (const struct hc_hold *hold = run->holds[g]; hold != NULL;
         hold = hold->next) {
        if ((hold->bits >> bit & 1) == 0)
            continue;
        if (t.cnt == EPISODE_MAX)
            return true; /* the last eight fit */
        t.holds[t.cnt++] = hold;
    }
    return extend(&t, 0, 0, 0);
}

/* Records of the run not done in the group. */
uint64_t hc_left(
    const struct hist_check *c, const struct hc_run *run, uint32_t g)
{
    uint64_t left = hc_all(run) & ~run->done[g];
    uint64_t look = run->twice[g] & ~left;
    for (uint32_t bit = 0; look != 0 && bit < run->cnt; bit++)
        if ((look >> bit & 1) != 0 && !hc_claims_possible(c, run, g, bit, true))
            left |= UINT64_C(1) << bit;
    return left;
}

/* -- acks ---------------------------------------------------------------- */

static struct hc_run *run_of(struct hist_check *c, const struct hist_op *op)
{
    const struct hc_producer *p = hc_producer_find(c, op->producer, false);
    struct hc_run *run = p == NULL ? NULL : hc_run_find(p, op->seq);
    if (run == NULL || op->seq + op->cnt > run->seq + run->cnt)
        return NULL;
    return run;
}

static void acked(struct hc_hold *hold, const struct hist_op *op)
{

    hold->end = op->kind == HIST_ACK ? HC_ACKED : HC_NACKED;
    hold->end_result = HIST_UNKNOWN; /* as yet */
    hold->end_inv_ns = op->inv_ns;
    hold->end_ret_ns = HC_NEVER;
}

/* Splits the bits that are not in `bits` from the hold. */
static void split(struct hist_check *c, struct hc_hold *hold, uint64_t bits)
{
    if ((hold->bits & ~bits) == 0)
        return;
    struct hc_hold *rest = hc_hold_new(c);
    *rest = *hold;
    rest->bits = hold->bits & ~bits;
    hold->bits &= bits;
    hold->next = rest;
}

void hc_ack_begin(
    struct hist_check *c, const struct hist_op *op, struct hist_open *open)
{
    struct hc_run *run = run_of(c, op);
    /* A member that stood still while its lease ended and others went on: what
     * it held may be forgotten here. It must be refused. */
    open->late = run == NULL && c->config.groups[op->group].lease_ns != 0 &&
        hc_long_done(c, op);
    if (open->late)
        return;
    uint64_t bits =
        run == NULL ? 0 : hc_bits((uint32_t)(op->seq - run->seq), op->cnt);
    uint64_t left = bits;
    struct hc_hold *hold = run == NULL ? NULL : run->holds[op->group];
    for (; hold != NULL && left != 0; hold = hold->next) {
        if (hold->member != op->member || hold->end != HC_HELD ||
            (hold->bits & left) == 0 ||
            (op->last != 0 && op->last != hold->inv_ns))
            continue;
        split(c, hold, left);
        left &= ~hold->bits;
        acked(hold, op);
    }
    if (run == NULL || left != 0) {
        hc_fault(c, HIST_F_MALFORMED, op, "ends what it does not hold");
        return;
    }
    if (op->kind == HIST_ACK)
        run->done[op->group] |= bits; /* perhaps, from now on */
    else if (op->inv_ns < c->groups[op->group].cause_ns)
        c->groups[op->group].cause_ns = op->inv_ns;
}

/* A refused ack did nothing, unless another one did. */
static void undo(struct hc_run *run, uint32_t g, uint64_t bits)
{
    run->done[g] &= ~bits;
    for (const struct hc_hold *hold = run->holds[g]; hold != NULL;
         hold = hold->next)
        if (hold->end == HC_ACKED && hold->end_result != HIST_STALE)
            run->done[g] |= hold->bits & bits;
}

void hc_ack_end(struct hist_check *c, const struct hist_op *op,
    const struct hist_open *open)
{
    struct hc_run *run = run_of(c, op);
    uint32_t g = op->group;
    if (open->late && op->result == HIST_OK)
        hc_fault(c, HIST_F_STALE, op, "counted although all were done");
    if (run == NULL)
        return;
    uint64_t bits = hc_bits((uint32_t)(op->seq - run->seq), op->cnt);
    for (struct hc_hold *hold = run->holds[g]; hold != NULL;
         hold = hold->next) {
        if (hold->member != op->member || hold->end_inv_ns != op->inv_ns ||
            hold->end == HC_HELD || (hold->bits & bits) == 0)
            continue;
        hold->end_result = op->result;
        hold->end_ret_ns = op->result == HIST_UNKNOWN ? HC_NEVER : op->ret_ns;
    }
    if (op->result == HIST_STALE && op->kind == HIST_ACK)
        undo(run, g, bits);
    if (op->kind == HIST_NACK && op->result == HIST_OK &&
        c->groups[g].reader.member == op->member)
        c->groups[g].reader.valid = false; /* it starts again */
    uint64_t look = op->result == HIST_STALE ? bits : bits & run->twice[g];
    for (uint32_t bit = 0; bit < run->cnt; bit++) {
        if ((look >> bit & 1) == 0 || hc_claims_possible(c, run, g, bit, false))
            continue;
        hc_fault(c, HIST_F_STALE, op,
            op->result == HIST_STALE ? "refused without a cause"
                                     : "counted although the claim had moved");
        return;
    }
}
