/* mutate.c - makes one thing in a small history wrong; see small.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history/checker/small.h"
#include "support/support.h"

const char *small_mutation_name(enum small_mutation mutation)
{
    static const char *const names[SMALL_MUTATION_CNT] = {"lost", "unacked",
        "doubled", "swapped", "torn", "phantom", "refused", "positions",
        "position", "flag", "ack-result", "time", "travel", "no-loss",
        "unknown", "member"};
    return names[mutation];
}

#define MOVED 128 /* scratch flag */

static struct hist_op *pick(struct small *h, uint8_t kind, uint64_t *random)
{
    uint32_t start = (uint32_t)t_below(random, h->cnt == 0 ? 1 : h->cnt);
    for (uint32_t i = 0; i < h->cnt; i++) {
        struct hist_op *op = &h->ops[(start + i) % h->cnt];
        if (op->kind == kind)
            return op;
    }
    return NULL;
}

static void drop(struct small *h, struct hist_op *op)
{
    size_t at = (size_t)(op - h->ops);
    h->cnt--;
    memmove(op, op + 1, (h->cnt - at) * sizeof(*op));
}

/* Both are of one process. */
static bool same_process(const struct hist_op *a, const struct hist_op *b)
{
    bool publish = a->kind == HIST_PUBLISH;
    if (publish != (b->kind == HIST_PUBLISH))
        return false;
    return publish ? a->producer == b->producer : a->member == b->member;
}

static bool same_record(const struct hist_op *a, const struct hist_op *b)
{
    return a->producer == b->producer && a->seq == b->seq;
}

/* The delivery's acks by the same member go with it. */
static bool drop_delivery(struct small *h, struct hist_op *op, bool deliver)
{
    struct hist_op gone = *op;
    if (deliver)
        drop(h, op);
    for (uint32_t i = 0; i < h->cnt;) {
        struct hist_op *at = &h->ops[i];
        if ((at->kind == HIST_ACK || at->kind == HIST_NACK) &&
            at->member == gone.member && same_record(at, &gone))
            drop(h, at);
        else
            i++;
    }
    return true;
}

/* The same record once more, some time later. */
static bool deliver_again(struct small *h, struct hist_op *op, uint64_t *random)
{
    const struct hist_op *other = pick(h, HIST_DELIVER, random);
    if (h->cnt + 1 >= SMALL_OP_MAX)
        return false;
    struct hist_op *copy = &h->ops[h->cnt++];
    *copy = *op;
    copy->inv_ns = op->ret_ns + 1 + t_below(random, 300);
    copy->ret_ns = copy->inv_ns + 1 + t_below(random, 50);
    if (t_below(random, 2) == 0)
        copy->member = other->member;
    if (t_below(random, 2) == 0)
        copy->flags ^= HIST_AGAIN;
    return true;
}

static void exchange(uint64_t *a, uint64_t *b)
{
    uint64_t c = *a;
    *a = *b;
    *b = c;
}

/* The ends of delivery `of`, by the same member, become those of `to`. */
static void retarget(
    struct small *h, const struct hist_op *of, const struct hist_op *to)
{
    for (uint32_t i = 0; i < h->cnt; i++) {
        struct hist_op *at = &h->ops[i];
        if ((at->kind != HIST_ACK && at->kind != HIST_NACK) ||
            at->member != of->member || !same_record(at, of) ||
            (at->flags & MOVED) != 0)
            continue;
        at->member = to->member;
        at->producer = to->producer;
        at->seq = to->seq;
        at->flags |= MOVED;
    }
}

static void settle(struct small *h)
{
    for (uint32_t i = 0; i < h->cnt; i++)
        h->ops[i].flags &= (uint8_t)~MOVED;
}

static bool swap(struct small *h, uint8_t kind, uint64_t *random)
{
    struct hist_op *a = pick(h, kind, random);
    struct hist_op *b = pick(h, kind, random);
    if (a == NULL || a == b || a->cnt != b->cnt)
        return false;
    struct hist_op was_a = *a;
    struct hist_op was_b = *b;
    exchange(&a->pos, &b->pos);
    exchange(&a->last, &b->last);
    if (kind == HIST_PUBLISH)
        return true;
    exchange(&a->producer, &b->producer);
    exchange(&a->seq, &b->seq);
    if (a->member != b->member) {
        retarget(h, &was_a, a);
        retarget(h, &was_b, b);
    }
    return true;
}

static bool mutate_result(struct hist_op *op, uint64_t *random)
{
    if (op == NULL)
        return false;
    (void)random;
    op->result = op->result == HIST_OK ? HIST_STALE : HIST_OK;
    return true;
}

static bool mutate_time(struct hist_op *op, uint64_t *random)
{
    uint64_t by = 1 + t_below(random, 400);
    uint64_t len = t_below(random, 100) + 1;
    if (op->kind == HIST_LOSS)
        len = 0;
    op->inv_ns = t_below(random, 2) == 0 ? op->inv_ns + by : op->inv_ns - by;
    op->ret_ns = op->inv_ns + len;
    return true;
}

static bool mutate_unknown(struct small *h, struct hist_op *op)
{
    if (op->kind == HIST_LOSS || op->kind == HIST_EMPTY ||
        op->kind == HIST_DELIVER || op->result != HIST_OK)
        return false;
    for (uint32_t i = 0; i < h->cnt; i++)
        if (same_process(&h->ops[i], op) && h->ops[i].inv_ns > op->inv_ns &&
            h->ops[i].kind != HIST_LOSS)
            return false;
    op->result = HIST_UNKNOWN;
    return true;
}

/* The delivery is another one now; what ended it ends that. */
static bool become(
    struct small *h, struct hist_op *op, uint64_t more, uint32_t member)
{
    struct hist_op was = *op;
    op->seq += more;
    op->member = member;
    retarget(h, &was, op);
    return true;
}

static bool mutate(
    struct small *h, enum small_mutation mutation, uint64_t *random)
{
    struct hist_op *deliver = pick(h, HIST_DELIVER, random);
    struct hist_op *publish = pick(h, HIST_PUBLISH, random);
    struct hist_op *any = &h->ops[t_below(random, h->cnt == 0 ? 1 : h->cnt)];
    if (deliver == NULL || publish == NULL)
        return false;
    switch (mutation) {
    case SMALL_LOST:
    case SMALL_UNACKED:
        return drop_delivery(h, deliver, mutation == SMALL_LOST);
    case SMALL_DOUBLED:
        return deliver_again(h, deliver, random);
    case SMALL_SWAPPED:
        return swap(h, HIST_DELIVER, random);
    case SMALL_TORN:
        deliver->flags |= HIST_TORN;
        return true;
    case SMALL_PHANTOM:
        return become(h, deliver, 1 + t_below(random, 3), deliver->member);
    case SMALL_REFUSED:
        publish->result = HIST_REFUSED;
        return true;
    case SMALL_POSITIONS:
        return swap(h, HIST_PUBLISH, random);
    case SMALL_POSITION:
        deliver->pos += 1 + t_below(random, 2);
        deliver->last = deliver->pos;
        return true;
    case SMALL_FLAG:
        deliver->flags ^= HIST_AGAIN;
        deliver->attempt = 0;
        return true;
    case SMALL_ACK_RESULT:
        return mutate_result(pick(h, HIST_ACK, random), random);
    case SMALL_TIME:
        return mutate_time(any, random);
    case SMALL_TRAVEL:
        deliver->inv_ns -= 600;
        deliver->ret_ns = deliver->inv_ns + 5;
        return true;
    case SMALL_NO_LOSS:
        if ((any = pick(h, HIST_LOSS, random)) == NULL)
            return false;
        drop(h, any);
        return true;
    case SMALL_UNKNOWN:
        return mutate_unknown(h, any);
    case SMALL_MEMBER:
        any = pick(h, HIST_DELIVER, random);
        return any->group == deliver->group &&
            become(h, deliver, 0, any->member);
    case SMALL_MUTATION_CNT:
        break;
    }
    return false;
}

/* A process does one thing at a time, nothing after its death, and ends each
 * delivery of a record at most once and after it. */
static bool pair_right(const struct small *h, uint32_t i, uint32_t j)
{
    const struct hist_op *a = &h->ops[i];
    const struct hist_op *b = &h->ops[j];
    if (!same_process(a, b))
        return true;
    if (a->inv_ns > b->inv_ns || (a->inv_ns == b->inv_ns && i > j)) {
        const struct hist_op *c = a;
        a = b;
        b = c;
    }
    if (a->kind == HIST_LOSS)
        return false;
    if (a->result == HIST_UNKNOWN)
        return b->kind == HIST_LOSS;
    return a->ret_ns < b->inv_ns;
}

static bool is_end(const struct hist_op *op)
{
    return op->kind == HIST_ACK || op->kind == HIST_NACK;
}

bool small_is_history(const struct small *h)
{
    for (uint32_t i = 0; i < h->cnt; i++) {
        const struct hist_op *op = &h->ops[i];
        uint32_t begun = 0;
        uint32_t ended = 0;
        for (uint32_t j = 0; j < h->cnt; j++) {
            const struct hist_op *other = &h->ops[j];
            if (i < j && !pair_right(h, i, j))
                return false;
            if (!is_end(op) || other->member != op->member ||
                !same_record(other, op) || other->group != op->group ||
                other->inv_ns > op->inv_ns)
                continue;
            begun += other->kind == HIST_DELIVER;
            ended += is_end(other);
        }
        if (is_end(op) && ended > begun)
            return false;
    }
    return true;
}

struct point {
    uint64_t *at;
    uint32_t key;
};

static int by_time(const void *a, const void *b)
{
    const struct point *x = a, *y = b;
    if (*x->at != *y->at)
        return *x->at < *y->at ? -1 : 1;
    return x->key < y->key ? -1 : x->key > y->key;
}

/* A loss is one moment: both its times stay equal. */
void small_sort(struct small *h)
{
    struct point points[2 * SMALL_OP_MAX];
    uint32_t cnt = 0;
    for (uint32_t i = 0; i < h->cnt; i++) {
        points[cnt++] = (struct point){&h->ops[i].inv_ns, 2 * i};
        if (h->ops[i].kind != HIST_LOSS)
            points[cnt++] = (struct point){&h->ops[i].ret_ns, 2 * i + 1};
    }
    qsort(points, cnt, sizeof(points[0]), by_time);
    for (uint32_t i = 0; i < cnt; i++)
        *points[i].at = *points[i].at * 128 + i;
    for (uint32_t g = 0; g < h->config.group_cnt; g++)
        h->config.groups[g].lease_ns *= 128;
    for (uint32_t i = 0; i < h->cnt; i++)
        if (h->ops[i].kind == HIST_LOSS)
            h->ops[i].ret_ns = h->ops[i].inv_ns;
}

bool small_mutate(
    struct small *h, enum small_mutation mutation, uint64_t *random)
{
    /* Back to the times of before small_sort(), nearly. */
    for (uint32_t i = 0; i < h->cnt; i++) {
        h->ops[i].inv_ns /= 128;
        h->ops[i].ret_ns /= 128;
    }
    for (uint32_t g = 0; g < h->config.group_cnt; g++)
        h->config.groups[g].lease_ns /= 128;
    bool done = mutate(h, mutation, random);
    settle(h);
    small_sort(h);
    return done && small_is_history(h);
}

void small_print(const struct small *h)
{
    static const char *const kinds[] = {
        "-", "publish", "deliver", "empty", "ack", "nack", "loss"};
    static const char *const results[] = {"ok", "refused", "stale", "unknown"};
    for (uint32_t g = 0; g < h->config.group_cnt; g++)
        printf("  group %u shared %d fifo %d lease %" PRIu64 "\n", g,
            h->config.groups[g].shared, h->config.groups[g].fifo,
            h->config.groups[g].lease_ns);
    for (uint32_t i = 0; i < h->cnt; i++) {
        const struct hist_op *op = &h->ops[i];
        printf("  %8" PRIu64 " %8" PRIu64 " %-8s %-7s g%u m%u producer %" PRIx64
               " seq %" PRIu64 "+%u pos %" PRIu64 "%s%s\n",
            op->inv_ns, op->ret_ns, kinds[op->kind], results[op->result],
            op->group, op->member, op->producer, op->seq, op->cnt, op->pos,
            (op->flags & HIST_AGAIN) != 0 ? " again" : "",
            (op->flags & HIST_CLOSED) != 0 ? " closed" : "");
    }
}
