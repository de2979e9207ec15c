/* brute.c - tries all orders of a small history's operations against a
 * sequential topic. Shares nothing with the checker but the format. */
#include <string.h>

#include "history/checker/small.h"

#define STEP_MAX 60u
#define RECORD_MAX 16u
#define WHO_MAX 16u
#define SEEN_CNT (1u << 16)
#define STEP_LIMIT 3000000u

enum step_kind {
    STEP_PUBLISH,
    STEP_DELIVER,
    STEP_EMPTY,
    STEP_ACK,
    STEP_NACK,
    STEP_LOSS,
    STEP_LEASE
};

/* One atomic step; deliveries and acks of several records are several. */
struct step {
    enum step_kind kind;
    const struct hist_op *op;
    uint64_t inv, ret; /* ret NEVER: need not have happened */
    uint64_t seq, pos;
    uint32_t lease_of; /* LEASE: step of the delivery */
    bool single; /* DELIVER: from a publish of one record */
};

enum status { NEVER_HANDED = 0, HELD, FREE_AGAIN, DONE };

struct world {
    uint64_t mask; /* steps taken */
    uint64_t last_pos; /* of the log, plus one */
    uint32_t records; /* in the log */
    uint32_t lost, killed; /* members */
    uint64_t expired, ended; /* delivery steps */
    uint64_t rec_pos[RECORD_MAX];
    uint64_t rec_seq[RECORD_MAX];
    uint64_t rec_producer[RECORD_MAX];
    uint8_t status[2][RECORD_MAX];
    uint8_t held_by[2][RECORD_MAX]; /* delivery step */
    uint8_t any_nack[2];
    uint8_t reader_used[2], reader_valid[2];
    uint32_t reader[2];
    uint64_t reader_pos[2]; /* plus one */
    uint64_t fresh_pos[2]; /* plus one */
    uint64_t member_fresh[WHO_MAX];
    uint64_t next_seq[WHO_MAX];
};

struct search {
    const struct small *h;
    struct step steps[STEP_MAX];
    uint32_t cnt;
    uint32_t tries;
    uint32_t group_lost[2]; /* members of the group, as a mask */
    uint64_t seen[SEEN_CNT];
};

static uint32_t producer_index(uint64_t identity)
{
    return (uint32_t)(identity % WHO_MAX);
}

static struct step *add(struct search *s, enum step_kind kind,
    const struct hist_op *op, uint64_t inv, uint64_t ret)
{
    if (s->cnt == STEP_MAX)
        return NULL;
    struct step *step = &s->steps[s->cnt++];
    *step = (struct step){.kind = kind,
        .op = op,
        .inv = inv,
        .ret = ret,
        .seq = op->seq,
        .pos = op->pos};
    return step;
}

/* An unknown publish lies where somebody got it from. */
static bool find_pos(
    const struct small *h, const struct hist_op *publish, uint64_t *ret)
{
    for (uint32_t i = 0; i < h->cnt; i++) {
        const struct hist_op *op = &h->ops[i];
        if (op->kind == HIST_DELIVER && op->result == HIST_OK &&
            op->producer == publish->producer && op->seq >= publish->seq &&
            op->seq < publish->seq + publish->cnt) {
            *ret = op->pos - (op->seq - publish->seq);
            return true;
        }
    }
    return false;
}

/* When the member's first delivery of the same publish began; and whether that
 * publish has one record. */
static uint64_t claim_inv(
    const struct small *h, const struct hist_op *deliver, bool *ret_single)
{
    *ret_single = true;
    uint64_t inv = deliver->inv_ns;
    for (uint32_t i = 0; i < h->cnt; i++) {
        const struct hist_op *p = &h->ops[i];
        if (p->kind != HIST_PUBLISH || p->result == HIST_REFUSED ||
            p->producer != deliver->producer || deliver->seq < p->seq ||
            deliver->seq >= p->seq + p->cnt)
            continue;
        *ret_single = p->cnt == 1;
        for (uint32_t j = 0; j < h->cnt; j++) {
            const struct hist_op *op = &h->ops[j];
            if (op->kind == HIST_DELIVER && op->member == deliver->member &&
                op->group == deliver->group && op->producer == p->producer &&
                op->seq >= p->seq && op->seq < p->seq + p->cnt &&
                op->inv_ns < inv)
                inv = op->inv_ns;
        }
    }
    return inv;
}

static bool add_op(struct search *s, const struct hist_op *op)
{
    bool unknown = op->result == HIST_UNKNOWN;
    uint64_t ret = unknown ? SMALL_NEVER : op->ret_ns;
    uint64_t lease_ns = s->h->config.groups[op->group].lease_ns;
    switch (op->kind) {
    case HIST_PUBLISH: {
        uint64_t pos = op->pos;
        if (unknown && !find_pos(s->h, op, &pos))
            return true;
        struct step *step = add(s, STEP_PUBLISH, op, op->inv_ns, ret);
        if (step != NULL)
            step->pos = pos;
        return step != NULL;
    }
    case HIST_EMPTY:
        return unknown || add(s, STEP_EMPTY, op, op->inv_ns, ret) != NULL;
    case HIST_LOSS:
        return op->producer != 0 ||
            add(s, STEP_LOSS, op, op->inv_ns, SMALL_NEVER) != NULL;
    case HIST_DELIVER:
    case HIST_ACK:
    case HIST_NACK:
        for (uint32_t i = 0; i < op->cnt; i++) {
            enum step_kind kind = op->kind == HIST_DELIVER ? STEP_DELIVER
                : op->kind == HIST_ACK                     ? STEP_ACK
                                                           : STEP_NACK;
            if (kind == STEP_DELIVER && unknown)
                return true;
            uint32_t at = s->cnt;
            struct step *step = add(s, kind, op, op->inv_ns, ret);
            if (step == NULL)
                return false;
            step->seq = op->seq + i;
            step->pos = op->pos + i;
            if (kind != STEP_DELIVER || lease_ns == 0)
                continue;
            uint64_t inv = claim_inv(s->h, op, &step->single);
            step = add(s, STEP_LEASE, op, inv + lease_ns, SMALL_NEVER);
            if (step == NULL)
                return false;
            step->lease_of = at;
        }
        return true;
    default:
        return true;
    }
}

static int find_record(const struct world *w, uint64_t producer, uint64_t seq)
{
    for (uint32_t i = 0; i < w->records; i++)
        if (w->rec_producer[i] == producer && w->rec_seq[i] == seq)
            return (int)i;
    return -1;
}

static bool take_publish(struct world *w, const struct step *step)
{
    const struct hist_op *op = step->op;
    uint32_t p = producer_index(op->producer);
    if (op->seq != w->next_seq[p])
        return false;
    if (op->result == HIST_REFUSED)
        return true;
    if (step->pos < w->last_pos || w->records + op->cnt > RECORD_MAX ||
        (op->result == HIST_OK && op->last != op->pos + op->cnt - 1))
        return false;
    for (uint32_t i = 0; i < op->cnt; i++) {
        uint32_t r = w->records++;
        w->rec_pos[r] = step->pos + i;
        w->rec_seq[r] = op->seq + i;
        w->rec_producer[r] = op->producer;
    }
    w->next_seq[p] += op->cnt;
    w->last_pos = step->pos + op->cnt;
    return true;
}

/* Records behind the reader, or all of them, and before `pos` are done. */
static bool all_done(
    const struct world *w, uint32_t g, uint64_t from, uint64_t pos)
{
    for (uint32_t r = 0; r < w->records; r++)
        if (w->rec_pos[r] >= from && w->rec_pos[r] < pos &&
            w->status[g][r] != DONE)
            return false;
    return true;
}

static bool order_right(
    const struct search *s, struct world *w, const struct step *step, int r)
{
    const struct hist_op *op = step->op;
    uint32_t g = op->group;
    uint32_t m = op->member;
    uint64_t pos = w->rec_pos[r];
    if (s->h->config.groups[g].shared) {
        if ((op->flags & HIST_AGAIN) != 0)
            return true;
        if (pos < w->member_fresh[m] ||
            (s->h->config.groups[g].fifo && pos < w->fresh_pos[g]))
            return false;
        w->member_fresh[m] = pos + 1;
        if (w->fresh_pos[g] < pos + 1)
            w->fresh_pos[g] = pos + 1;
        return true;
    }
    if (w->reader_used[g] && w->reader[g] != m &&
        ((w->lost >> w->reader[g] & 1) == 0 || (w->lost >> m & 1) != 0))
        return false;
    bool goes_on = w->reader_valid[g] && w->reader[g] == m;
    if (goes_on && pos < w->reader_pos[g])
        return false;
    if (!all_done(w, g, goes_on ? w->reader_pos[g] : 0, pos))
        return false;
    w->reader_used[g] = w->reader_valid[g] = 1;
    w->reader[g] = m;
    w->reader_pos[g] = pos + 1;
    return true;
}

/* The holder of a held or done record lost it. */
static bool is_lost(
    const struct search *s, const struct world *w, uint32_t g, int r)
{
    uint32_t by = w->held_by[g][r];
    uint32_t m = s->steps[by].op->member;
    if (w->status[g][r] == DONE)
        return (w->killed >> m & 1) != 0 ||
            (!s->steps[by].single && (w->expired >> by & 1) != 0);
    return (w->lost >> m & 1) != 0 || (w->expired >> by & 1) != 0;
}

static bool take_deliver(const struct search *s, struct world *w, uint32_t at)
{
    const struct step *step = &s->steps[at];
    const struct hist_op *op = step->op;
    uint32_t g = op->group;
    bool again = (op->flags & HIST_AGAIN) != 0;
    int r = find_record(w, op->producer, step->seq);
    if (r < 0 || w->rec_pos[r] != step->pos || (op->flags & HIST_TORN) != 0 ||
        op->last != op->pos + op->cnt - 1 || (op->attempt != 0 && !again))
        return false;
    bool cause = (w->lost & s->group_lost[g]) != 0 || w->any_nack[g] != 0 ||
        s->h->config.groups[g].lease_ns != 0;
    switch ((enum status)w->status[g][r]) {
    case NEVER_HANDED:
        if (again && !cause)
            return false;
        break;
    case FREE_AGAIN:
        if (!again)
            return false;
        break;
    case HELD:
    case DONE:
        if (!again || !is_lost(s, w, g, r))
            return false;
        break;
    }
    if (!order_right(s, w, step, r))
        return false;
    w->status[g][r] = HELD;
    w->held_by[g][r] = (uint8_t)at;
    return true;
}

/* The newest delivery of the record to this member that it has not ended;
 * STEP_MAX when there is none. */
static uint32_t ends_which(const struct search *s, const struct world *w,
    const struct hist_op *op, uint64_t seq)
{
    uint32_t found = STEP_MAX;
    for (uint32_t i = 0; i < s->cnt; i++) {
        const struct step *step = &s->steps[i];
        if ((w->mask >> i & 1) != 0 && (w->ended >> i & 1) == 0 &&
            step->kind == STEP_DELIVER && step->op->member == op->member &&
            step->seq == seq && step->op->producer == op->producer &&
            step->op->group == op->group &&
            (found == STEP_MAX || step->inv > s->steps[found].inv))
            found = i;
    }
    return found;
}

static bool take_end(const struct search *s, struct world *w, uint32_t at)
{
    const struct step *step = &s->steps[at];
    const struct hist_op *op = step->op;
    uint32_t g = op->group;
    int r = find_record(w, op->producer, step->seq);
    uint32_t which = ends_which(s, w, op, step->seq);
    if (r < 0 || which == STEP_MAX)
        return false;
    bool mine = w->status[g][r] == HELD && w->held_by[g][r] == which;
    w->ended |= UINT64_C(1) << which;
    if (op->result == HIST_STALE) {
        if (mine && !is_lost(s, w, g, r))
            return false;
        if (mine)
            w->status[g][r] = FREE_AGAIN;
        return true;
    }
    if (!mine)
        return false;
    w->status[g][r] = step->kind == STEP_ACK ? DONE : FREE_AGAIN;
    if (step->kind == STEP_NACK) {
        w->any_nack[g] = 1;
        if (w->reader[g] == op->member)
            w->reader_valid[g] = 0;
    }
    return true;
}

static bool take(const struct search *s, struct world *w, uint32_t at)
{
    const struct step *step = &s->steps[at];
    const struct hist_op *op = step->op;
    uint32_t g = op->group;
    w->mask |= UINT64_C(1) << at;
    switch (step->kind) {
    case STEP_PUBLISH:
        return take_publish(w, step);
    case STEP_DELIVER:
        return take_deliver(s, w, at);
    case STEP_ACK:
    case STEP_NACK:
        return take_end(s, w, at);
    case STEP_LOSS:
        w->lost |= 1u << op->member;
        if ((op->flags & HIST_CLOSED) == 0)
            w->killed |= 1u << op->member;
        return true;
    case STEP_LEASE:
        w->expired |= UINT64_C(1) << step->lease_of;
        return true;
    case STEP_EMPTY:
        if (s->h->config.groups[g].shared || !w->reader_valid[g] ||
            w->reader[g] != op->member)
            return true;
        return w->last_pos <= w->reader_pos[g];
    }
    return false;
}

static bool was_seen(struct search *s, const struct world *w)
{
    const unsigned char *at = (const unsigned char *)w;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < sizeof(*w); i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    hash |= 1;
    for (uint32_t i = 0; i < 16; i++) {
        uint64_t *slot = &s->seen[(hash + i) % SEEN_CNT];
        if (*slot == hash)
            return true;
        if (*slot == 0) {
            *slot = hash;
            return false;
        }
    }
    return false;
}

static bool is_end(const struct search *s, const struct world *w)
{
    for (uint32_t i = 0; i < s->cnt; i++)
        if ((w->mask >> i & 1) == 0 && s->steps[i].ret != SMALL_NEVER)
            return false;
    for (uint32_t g = 0; g < s->h->config.group_cnt; g++)
        if (!all_done(w, g, 0, SMALL_NEVER))
            return false;
    return true;
}

/* 1 found, 0 none, -1 given up. */
static int explore(struct search *s, const struct world *w)
{
    if (++s->tries > STEP_LIMIT)
        return -1;
    if (is_end(s, w))
        return 1;
    if (was_seen(s, w))
        return 0;
    uint64_t first_ret = SMALL_NEVER;
    for (uint32_t i = 0; i < s->cnt; i++)
        if ((w->mask >> i & 1) == 0 && s->steps[i].ret < first_ret)
            first_ret = s->steps[i].ret;
    for (uint32_t i = 0; i < s->cnt; i++) {
        struct world next = *w;
        if ((w->mask >> i & 1) != 0 || s->steps[i].inv > first_ret ||
            !take(s, &next, i))
            continue;
        int rc = explore(s, &next);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int small_brute(const struct small *h)
{
    static struct search s;
    struct world w;
    memset(&s, 0, sizeof(s));
    memset(&w, 0, sizeof(w));
    s.h = h;
    for (uint32_t i = 0; i < h->cnt; i++) {
        if (h->ops[i].kind == HIST_LOSS && h->ops[i].producer == 0)
            s.group_lost[h->ops[i].group] |= 1u << h->ops[i].member;
        if (!add_op(&s, &h->ops[i]))
            return -1;
    }
    return explore(&s, &w);
}
