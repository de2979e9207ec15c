/* check_deliver.c - a delivery against the log, the order promised to its
 * group, and earlier deliveries. */
#include "history/lib/check.h"

#include <stddef.h>

/* Its call stood still for a lease or longer, in which others may have got, and
 * done, what it was handed first. */
static bool stood_still(const struct hist_check *c, const struct hist_op *op)
{
    uint64_t lease_ns = c->config.groups[op->group].lease_ns;
    return lease_ns != 0 && op->ret_ns - op->inv_ns >= lease_ns;
}

/* The run that was delivered from; NULL, with a fault, when there is none. */
static struct hc_run *find_run(struct hist_check *c, const struct hist_op *op)
{
    const struct hc_producer *p = hc_producer_find(c, op->producer, false);
    struct hc_run *run = p == NULL ? NULL : hc_run_find(p, op->seq);
    if (run != NULL && op->seq + op->cnt <= run->seq + run->cnt)
        return run;
    if (run == NULL && stood_still(c, op) && hc_long_done(c, op))
        return NULL; /* its ack must be refused */
    if (run != NULL)
        hc_fault(c, HIST_F_PHANTOM, op, "more than was published there");
    else if (p != NULL && op->seq < p->next_seq)
        hc_fault(c, HIST_F_DOUBLED, op, "done by all long ago");
    else
        hc_fault(c, HIST_F_PHANTOM, op, "nobody has begun to publish it");
    return NULL;
}

/* Where the whole run lies, as far as this delivery tells. */
static void learn(
    struct hist_check *c, struct hc_run *run, const struct hist_op *op)
{
    uint64_t before = op->seq - run->seq;
    if (run->logged)
        return;
    run->pos = c->config.dense ? op->pos - before : op->pos;
    run->last = c->config.dense ? run->pos + run->cnt - 1 : op->last;
    hc_log_insert(c, run, op);
}

static bool place_fits(const struct hist_check *c, const struct hc_run *run,
    const struct hist_op *op)
{
    uint64_t before = op->seq - run->seq;
    bool at_end = before + op->cnt == run->cnt;
    if (c->config.dense)
        return op->pos == run->pos + before &&
            op->last == op->pos + op->cnt - 1;
    if (run->result != HIST_OK) /* ends not known for certain */
        return true;
    if (op->result == HIST_UNKNOWN) /* nor the last one's place */
        return before == 0 ? op->pos == run->pos : op->pos > run->pos;
    if ((op->cnt == 1) != (op->pos == op->last) || op->last < op->pos)
        return false;
    return (before == 0 ? op->pos == run->pos : op->pos > run->pos) &&
        (at_end ? op->last == run->last : op->last < run->last);
}

/* Every record behind the reader's last one and before this one is done. */
static bool passed_done(const struct hist_check *c, const struct hc_run *run,
    const struct hist_op *op, const struct hc_reader *last)
{
    uint32_t g = op->group;
    uint32_t at = hc_log_find(c, op->pos);
    uint32_t from = 0;
    uint32_t skip = 0; /* records of this run that are behind the reader */
    if (last != NULL) {
        from = hc_log_find(c, last->last_pos);
        const struct hc_run *first =
            from <= at && from < c->log_cnt ? hc_log_at(c, from) : NULL;
        if (first != NULL && first->pos <= last->last_pos) {
            uint32_t had = (uint32_t)(last->last_seq + 1 - first->seq);
            if (first == run)
                skip = had;
            else if (((first->done[g] | hc_bits(0, had)) & hc_all(first)) !=
                hc_all(first))
                return false;
            from++;
        }
    }
    uint64_t before = hc_bits(0, (uint32_t)(op->seq - run->seq));
    if ((before & ~hc_bits(0, skip) & ~run->done[g]) != 0)
        return false;
    return from >= at || hc_log_done(c, g, from, at);
}

/* Records only ever move on, and nothing is passed by that is not done. */
static void check_exclusive(
    struct hist_check *c, struct hc_run *run, const struct hist_op *op)
{
    struct hc_reader *reader = &c->groups[op->group].reader;
    bool goes_on = reader->valid && reader->member == op->member;
    /* When a dead reader got it is not known: perhaps before its successor. */
    if (op->result == HIST_UNKNOWN && reader->member != op->member)
        return;
    if (reader->used && reader->member != op->member &&
        (c->members[reader->member].lost_ns == HC_NEVER ||
            c->members[op->member].lost_ns < op->inv_ns))
        hc_fault(c, HIST_F_ORDER, op, "two readers of an exclusive group");
    if (goes_on && op->pos <= reader->last_pos)
        hc_fault(c, HIST_F_ORDER, op, "an exclusive reader went back");
    else if (!c->config.groups[op->group].lossy &&
        !passed_done(c, run, op, goes_on ? reader : NULL))
        hc_fault(c, HIST_F_SKIPPED, op, "records before it are not done");
    reader->member = op->member;
    reader->valid = reader->used = true;
    reader->last_pos = op->last;
    reader->last_seq = op->seq + op->cnt - 1;
    run->done[op->group] &= /* what comes again is to be done again */
        ~hc_bits((uint32_t)(op->seq - run->seq), op->cnt);
}

static void check_shared(struct hist_check *c, const struct hist_op *op,
    const struct hist_open *open)
{
    struct hc_member *member = hc_member(c, op->member);
    struct hc_group *group = &c->groups[op->group];
    if ((op->flags & HIST_AGAIN) != 0)
        return;
    if (op->pos < member->fresh_pos)
        hc_fault(c, HIST_F_ORDER, op, "a member was handed an earlier record");
    if (c->config.groups[op->group].fifo && op->pos < open->fresh)
        hc_fault(c, HIST_F_ORDER, op,
            "a later record had been handed out before this call began");
    member->fresh_pos = op->last + 1;
    if (group->fresh_pos < op->last + 1)
        group->fresh_pos = op->last + 1;
}

static void hold_add(struct hist_check *c, struct hc_run *run,
    const struct hist_op *op, uint64_t bits)
{
    struct hc_hold *hold = hc_hold_new(c);
    hold->bits = bits;
    hold->inv_ns = op->inv_ns;
    hold->ret_ns = op->ret_ns;
    hold->member = op->member;
    hold->again = (op->flags & HIST_AGAIN) != 0;
    hold->next = run->holds[op->group];
    run->holds[op->group] = hold;
}

static void check_twice(struct hist_check *c, struct hc_run *run,
    const struct hist_op *op, uint64_t bits)
{
    uint32_t g = op->group;
    uint64_t look = run->given[g] & bits;
    run->twice[g] |= look;
    if ((op->flags & HIST_AGAIN) != 0)
        look = bits;
    for (uint32_t bit = 0; bit < run->cnt && look != 0; bit++) {
        if ((look >> bit & 1) == 0 || hc_claims_possible(c, run, g, bit, false))
            continue;
        hc_fault(c, HIST_F_DOUBLED, op,
            (op->flags & HIST_AGAIN) != 0
                ? "handed out again without a cause"
                : "handed out again without the flag");
        return;
    }
}

void hc_deliver(struct hist_check *c, const struct hist_op *noted,
    const struct hist_open *open)
{
    struct hist_op copy = *noted;
    const struct hist_op *op = &copy;
    uint32_t g = op->group;
    /* Its reader died while it wrote `cnt` and `last`, which may not agree. */
    if (op->result == HIST_UNKNOWN)
        copy.last = copy.pos + (c->config.dense ? copy.cnt - 1 : 0);
    struct hc_run *run = find_run(c, op);
    if ((op->flags & HIST_TORN) != 0)
        hc_fault(c, HIST_F_TORN, op, "not what was published");
    if (op->attempt != 0 && (op->flags & HIST_AGAIN) == 0)
        hc_fault(c, HIST_F_DOUBLED, op, "an attempt failed, but no flag");
    if (run == NULL)
        return;
    learn(c, run, op);
    if (!place_fits(c, run, op)) {
        hc_fault(c, HIST_F_POSITION, op, "not where it was published");
        return;
    }
    if (!c->config.dense && run->result != HIST_OK) {
        run->pos = op->pos < run->pos ? op->pos : run->pos;
        run->last = op->last > run->last ? op->last : run->last;
    }
    uint64_t bits = hc_bits((uint32_t)(op->seq - run->seq), op->cnt);
    (void)hc_member(c, op->member);
    hold_add(c, run, op, bits);
    check_twice(c, run, op, bits);
    if (c->config.groups[g].shared)
        check_shared(c, op, open);
    else
        check_exclusive(c, run, op);
    run->given[g] |= bits;
    hc_know(c, op->last, op->ret_ns);
    if (c->groups[g].max_pos < op->last + 1)
        c->groups[g].max_pos = op->last + 1;
}
