/* random.c - plays a small topic at random and writes down what happened. Each
 * step happens at one moment; the operation's times lie around it. */
#include <string.h>

#include "history/checker/small.h"
#include "support/support.h"

#define ACTOR_MAX 24u
#define REC_MAX 6u

struct actor { /* a process: producer or reader */
    bool alive, reader;
    uint8_t group;
    uint32_t member;
    uint64_t identity, next_seq;
    uint64_t busy_ns; /* its last operation ended */
    uint32_t last_rec; /* exclusive: next record to look at */
    bool started;
    uint64_t fresh; /* records below were passed, first deliveries */
};

struct rec {
    uint64_t producer, seq, pos, at_ns;
};

enum { R_NEVER, R_HELD, R_FREE, R_DONE };

struct play {
    struct small *h;
    uint64_t *random;
    uint64_t now_ns;
    struct actor actors[ACTOR_MAX];
    uint32_t actor_cnt;
    struct rec recs[16];
    uint32_t rec_cnt;
    uint8_t status[2][16];
    uint32_t holder[2][16]; /* actor */
    uint64_t held_ns[2][16]; /* start of the delivery */
    uint32_t late[2][16]; /* actor that lost it and does not know, plus one */
    bool handed[2][16];
    uint64_t next_pos;
    uint64_t fresh[2]; /* fifo */
    uint32_t next_member;
};

static bool chance(struct play *p, uint32_t percent)
{
    return t_below(p->random, 100) < percent;
}

/* An operation of `a` at the present moment: from a bit before to a bit
 * after; time goes on. */
static struct hist_op *note(struct play *p, struct actor *a, uint8_t kind)
{
    struct hist_op *op = &p->h->ops[p->h->cnt];
    uint64_t from_ns = p->now_ns - t_below(p->random, 120);
    if (p->h->cnt + 1 >= SMALL_OP_MAX)
        return NULL;
    p->h->cnt++;
    memset(op, 0, sizeof(*op));
    op->kind = kind;
    op->inv_ns = from_ns > a->busy_ns ? from_ns : a->busy_ns + 1;
    p->now_ns = (p->now_ns > op->inv_ns ? p->now_ns : op->inv_ns) + 1;
    op->ret_ns = p->now_ns + 1 + t_below(p->random, 120);
    a->busy_ns = op->ret_ns + 1;
    op->group = a->reader ? a->group : 0;
    op->member = a->member;
    op->producer = a->identity;
    op->cnt = 1;
    return op;
}

/* It cannot act now: its last operation is still under way. */
static bool busy(const struct play *p, const struct actor *a)
{
    return a->busy_ns > p->now_ns;
}

static struct actor *actor_new(struct play *p, bool reader, uint8_t group)
{
    struct actor *a = &p->actors[p->actor_cnt];
    if (p->actor_cnt == 12)
        return NULL;
    *a = (struct actor){.alive = true, .reader = reader, .group = group};
    a->busy_ns = p->now_ns;
    if (reader)
        a->member = ++p->next_member;
    else
        a->identity = UINT64_C(0x1000) + p->actor_cnt;
    p->actor_cnt++;
    return a;
}

static void publish(struct play *p, struct actor *a)
{
    uint32_t cnt = chance(p, 70) ? 1 : 2;
    if (p->rec_cnt + cnt > REC_MAX)
        return;
    struct hist_op *op = note(p, a, HIST_PUBLISH);
    if (op == NULL)
        return;
    op->seq = a->next_seq;
    op->cnt = cnt;
    if (chance(p, 8)) {
        op->result = HIST_REFUSED;
        return;
    }
    p->next_pos += 1 + t_below(p->random, 3);
    op->pos = p->next_pos;
    op->last = op->pos + cnt - 1;
    p->next_pos = op->last + 1;
    for (uint32_t i = 0; i < cnt; i++)
        p->recs[p->rec_cnt++] =
            (struct rec){a->identity, op->seq + i, op->pos + i, p->now_ns};
    a->next_seq += cnt;
}

static void free_again(struct play *p, uint8_t g, uint32_t r, bool late)
{
    p->status[g][r] = R_FREE;
    if (late)
        p->late[g][r] = p->holder[g][r] + 1;
}

/* The next record for `a`, or rec_cnt. */
static uint32_t next_for(struct play *p, struct actor *a)
{
    uint8_t g = a->group;
    if (!p->h->config.groups[g].shared) {
        uint32_t r = a->started ? a->last_rec : 0;
        if (!a->started)
            while (r < p->rec_cnt && p->status[g][r] == R_DONE)
                r++;
        return r;
    }
    uint32_t first = p->rec_cnt;
    for (uint32_t r = 0; r < p->rec_cnt; r++) {
        if (p->status[g][r] == R_FREE && chance(p, 60))
            return r;
        if (p->status[g][r] == R_NEVER && r >= a->fresh && first == p->rec_cnt)
            first = r;
    }
    return first;
}

static void receive(struct play *p, struct actor *a, bool noted)
{
    uint8_t g = a->group;
    uint32_t r = next_for(p, a);
    uint32_t self = (uint32_t)(a - p->actors);
    if (r >= p->rec_cnt) {
        if (noted && !p->h->config.groups[g].shared)
            (void)note(p, a, HIST_EMPTY);
        return;
    }
    struct hist_op *op = noted ? note(p, a, HIST_DELIVER) : NULL;
    if (noted && op == NULL)
        return;
    bool again = p->handed[g][r];
    if (op != NULL) {
        op->producer = p->recs[r].producer;
        op->seq = p->recs[r].seq;
        op->pos = op->last = p->recs[r].pos;
        op->flags = again ? HIST_AGAIN : 0;
        op->attempt = again && chance(p, 50) ? 1 : 0;
        p->held_ns[g][r] = op->inv_ns;
    } else
        p->held_ns[g][r] = p->now_ns;
    p->handed[g][r] = true;
    p->status[g][r] = R_HELD;
    p->holder[g][r] = self;
    a->started = true;
    a->last_rec = r + 1;
    if (!again && a->fresh <= r)
        a->fresh = r + 1;
}

/* Ends one record that it holds, or thinks it holds. */
static void end_one(struct play *p, struct actor *a)
{
    uint8_t g = a->group;
    uint32_t self = (uint32_t)(a - p->actors);
    uint32_t start = (uint32_t)t_below(p->random, 16);
    for (uint32_t i = 0; i < 16; i++) {
        uint32_t r = (start + i) % 16;
        bool mine = r < p->rec_cnt && p->status[g][r] == R_HELD &&
            p->holder[g][r] == self;
        bool late = r < p->rec_cnt && !mine && p->late[g][r] == self + 1;
        if (!mine && !late)
            continue;
        bool nack = chance(p, 12);
        /* An exclusive reader gives back only its last record. */
        if (nack && !p->h->config.groups[g].shared && r + 1 != a->last_rec)
            nack = false;
        struct hist_op *op = note(p, a, nack ? HIST_NACK : HIST_ACK);
        if (op == NULL)
            return;
        op->producer = p->recs[r].producer;
        op->seq = p->recs[r].seq;
        if (late) {
            op->result = HIST_STALE;
            p->late[g][r] = 0;
        } else if (nack) {
            p->status[g][r] = R_FREE;
            a->started = a->started && p->h->config.groups[g].shared;
        } else
            p->status[g][r] = R_DONE;
        return;
    }
}

static void expire(struct play *p)
{
    for (uint8_t g = 0; g < p->h->config.group_cnt; g++) {
        uint64_t lease_ns = p->h->config.groups[g].lease_ns;
        uint32_t r = (uint32_t)t_below(p->random, 16);
        if (lease_ns != 0 && r < p->rec_cnt && p->status[g][r] == R_HELD &&
            p->now_ns > p->held_ns[g][r] + lease_ns)
            free_again(p, g, r, true);
    }
}

static void end_life(struct play *p, struct actor *a)
{
    struct small *h = p->h;
    uint8_t g = a->group;
    uint32_t self = (uint32_t)(a - p->actors);
    bool closes = a->reader && chance(p, 30);
    if (h->config.groups[g].fifo && a->reader)
        return;
    if (!closes && a->reader && chance(p, 30))
        receive(p, a, false); /* got one and died before it could say so */
    a->alive = false;
    if (!a->reader)
        return;
    if (p->now_ns <= a->busy_ns)
        p->now_ns = a->busy_ns + 1;
    struct hist_op *op = note(p, a, HIST_LOSS);
    if (op == NULL)
        return;
    op->flags = closes ? HIST_CLOSED : 0;
    op->ret_ns = op->inv_ns;
    p->now_ns++;
    for (uint32_t r = 0; r < p->rec_cnt; r++)
        if (p->holder[g][r] == self && p->handed[g][r] &&
            (p->status[g][r] == R_HELD ||
                (!closes && p->status[g][r] == R_DONE && chance(p, 15) &&
                    h->config.groups[g].shared)))
            free_again(p, g, r, false);
}

/* All that is left is handed out and done; false when there is no room. */
static void drain(struct play *p)
{
    for (uint32_t turn = 0; turn < 60; turn++) {
        p->now_ns += 150;
        for (uint8_t g = 0; g < p->h->config.group_cnt; g++) {
            struct actor *a = NULL;
            for (uint32_t i = 0; i < p->actor_cnt; i++)
                if (p->actors[i].alive && p->actors[i].reader &&
                    p->actors[i].group == g && (a == NULL || chance(p, 50)))
                    a = &p->actors[i];
            if (a == NULL)
                a = actor_new(p, true, g);
            if (a == NULL)
                return;
            bool left = false;
            for (uint32_t r = 0; r < p->rec_cnt; r++)
                left = left || p->status[g][r] != R_DONE;
            if (!left || busy(p, a))
                continue;
            if (chance(p, 50) && next_for(p, a) < p->rec_cnt)
                receive(p, a, true);
            else
                for (uint32_t i = 0; i < p->actor_cnt; i++)
                    if (p->actors[i].reader && p->actors[i].alive &&
                        p->actors[i].group == g && !busy(p, &p->actors[i]))
                        end_one(p, &p->actors[i]);
        }
    }
}

static void configure(struct play *p)
{
    struct hist_config *config = &p->h->config;
    *config = (struct hist_config){.group_cnt = chance(p, 70) ? 1 : 2,
        .dense = true,
        .keep_runs = 64,
        .limit_runs = 1000};
    for (uint32_t g = 0; g < config->group_cnt; g++) {
        struct hist_group *group = &config->groups[g];
        group->shared = chance(p, 60);
        group->fifo = group->shared && chance(p, 40);
        if (group->shared && !group->fifo && chance(p, 40))
            group->lease_ns = 100 + t_below(p->random, 200);
    }
}

void small_random(struct small *h, uint64_t *random)
{
    static struct play play;
    struct play *p = &play;
    memset(p, 0, sizeof(*p));
    memset(h, 0, sizeof(*h));
    p->h = h;
    p->random = random;
    p->now_ns = 10000;
    p->next_pos = t_below(random, 100);
    configure(p);
    uint32_t producers = 1 + (uint32_t)t_below(random, 2);
    for (uint32_t i = 0; i < producers; i++)
        (void)actor_new(p, false, 0);
    for (uint8_t g = 0; g < h->config.group_cnt; g++)
        for (uint32_t i = 0; i < (h->config.groups[g].shared ? 2u : 1u); i++)
            (void)actor_new(p, true, g);
    uint32_t turns = 8 + (uint32_t)t_below(random, 16);
    for (uint32_t turn = 0; turn < turns; turn++) {
        struct actor *a = &p->actors[t_below(random, p->actor_cnt)];
        p->now_ns += t_below(random, 40);
        expire(p);
        if (!a->alive || busy(p, a))
            continue;
        if (chance(p, 5)) {
            bool reader = a->reader;
            uint8_t g = a->group;
            end_life(p, a);
            if (!a->alive)
                (void)actor_new(p, reader, g);
        } else if (!a->reader)
            publish(p, a);
        else if (chance(p, 60))
            receive(p, a, true);
        else
            end_one(p, a);
    }
    drain(p);
    small_sort(h);
}
