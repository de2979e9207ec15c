/* soak_producer.c - publishes singly, in batches and by loans until told to
 * leave; every call is in the history. */
#include <string.h>

#include "stress/soak/soak.h"
#include "support/support.h"

struct author {
    struct soak_worker *w;
    struct shmq_producer *producer;
    uint64_t identity, seq;
    uint64_t positions[SOAK_BATCH];
    struct shmq_record records[SOAK_BATCH];
    char bytes[SOAK_BATCH * (SOAK_PAYLOAD_MAX / 16) + SOAK_PAYLOAD_MAX];
};

static bool try_again(int rc)
{
    return rc == SHMQ_ERR_FULL || rc == SHMQ_ERR_TIMEOUT || rc == SHMQ_ERR_INTR;
}

static struct hist_op *begin(struct author *a, uint32_t cnt)
{
    struct hist_op *op = hist_log_begin(a->w->log, HIST_PUBLISH);
    op->producer = a->identity;
    op->seq = a->seq;
    op->cnt = cnt;
    hist_log_open(a->w->log);
    return op;
}

/* The call returned `rc`; 0 also when it may be tried again. */
static int end(struct author *a, struct hist_op *op, int rc)
{
    if (rc == 0) {
        op->pos = a->positions[0];
        op->last = a->positions[op->cnt - 1];
        a->seq += op->cnt;
    } else
        op->result = HIST_REFUSED;
    hist_log_end(a->w->log);
    return try_again(rc) ? 0 : rc;
}

/* Up to `max` of the next records, as far as they fit. */
static uint32_t prepare(struct author *a, uint32_t max)
{
    uint64_t sizes[SOAK_BATCH];
    uint64_t used = 0;
    uint32_t cnt = 0;
    for (; cnt < max; cnt++) {
        sizes[cnt] = soak_size(a->w->area->seed, a->identity, a->seq + cnt);
        uint64_t room = (sizes[cnt] + 7) & ~UINT64_C(7);
        if (cnt > 0 && used + room > sizeof(a->bytes))
            break;
        used += room;
    }
    used = 0;
    for (uint32_t i = 0; i < cnt; i++) {
        char *at = a->bytes + used;
        soak_fill(at, sizes[i], a->w->area->seed, a->identity, a->seq + i,
            a->seq, cnt);
        a->records[i] = (struct shmq_record){.data = at, .size = sizes[i]};
        used += (sizes[i] + 7) & ~UINT64_C(7);
    }
    return cnt;
}

static int publish_batch(struct author *a, uint32_t max)
{
    uint32_t cnt = prepare(a, max);
    bool wait = t_below(&a->w->random, 4) != 0;
    struct hist_op *op = begin(a, cnt);
    int rc = wait ? shmq_producer_publish_batch_wait(a->producer, a->records,
                        cnt, shmq_deadline(50 * T_MS), a->positions)
                  : shmq_producer_publish_batch(
                        a->producer, a->records, cnt, a->positions);
    return end(a, op, rc);
}

static int publish_one(struct author *a)
{
    (void)prepare(a, 1);
    struct hist_op *op = begin(a, 1);
    int rc = shmq_producer_publish_wait(a->producer, a->records[0].data,
        a->records[0].size, shmq_deadline(50 * T_MS), a->positions);
    return end(a, op, rc);
}

/* A loan; one in eight is aborted with rubbish in it. */
static int publish_loan(struct author *a)
{
    uint64_t size = soak_size(a->w->area->seed, a->identity, a->seq);
    uint64_t more = t_below(&a->w->random, 64);
    struct shmq_loan loan;
    int rc = shmq_producer_loan_wait(
        a->producer, size + more, NULL, 0, shmq_deadline(50 * T_MS), &loan);
    if (rc != 0)
        return try_again(rc) ? 0 : rc;
    if (t_below(&a->w->random, 8) == 0) {
        memset(loan.data, 0xee, size);
        return shmq_producer_abort(a->producer, &loan);
    }
    soak_fill(
        loan.data, size, a->w->area->seed, a->identity, a->seq, a->seq, 1);
    struct hist_op *op = begin(a, 1);
    rc = shmq_producer_commit_wait(
        a->producer, &loan, size, shmq_deadline(50 * T_MS), a->positions);
    bool again = try_again(rc);
    rc = end(a, op, rc);
    return again ? shmq_producer_abort(a->producer, &loan) : rc;
}

static int publish_some(struct author *a)
{
    uint64_t dice = t_below(&a->w->random, 100);
    if (soak_sabotage_now(a->w, SOAK_PHANTOM)) {
        (void)prepare(a, 1);
        int rc = shmq_producer_publish(
            a->producer, a->records[0].data, a->records[0].size, a->positions);
        a->seq += rc == 0;
        return try_again(rc) ? 0 : rc;
    }
    if (dice < 4)
        return publish_loan(a);
    if (dice < 8 || a->w->scene->single)
        return publish_one(a);
    return publish_batch(a,
        dice < 30 ? 1 + (uint32_t)t_below(&a->w->random, SOAK_BATCH)
                  : SOAK_BATCH);
}

/* Others hold the role, or the dead are not proven dead: 1 when told to leave
 * meanwhile. */
static int open_producer(struct author *a)
{
    struct hist_op tick = {.kind = HIST_NOTHING};
    int rc;
    while ((rc = shmq_producer_open(a->w->topic, NULL, &a->producer)) != 0) {
        if (rc != SHMQ_ERR_BUSY && rc != SHMQ_ERR_LIMIT)
            return rc;
        if (atomic_load(&a->w->area->quit) != 0)
            return 1;
        hist_log_note(a->w->log, &tick);
        t_sleep_ns(T_MS);
    }
    a->identity = shmq_producer_identity(a->producer);
    atomic_store(&a->w->log->producer, a->identity);
    return 0;
}

int soak_producer(struct soak_worker *w)
{
    static struct author author;
    struct author *a = &author;
    a->w = w;
    int rc = open_producer(a);
    if (rc == 1)
        return 0;
    while (rc == 0 && atomic_load(&w->area->quit) == 0) {
        for (uint32_t i = 0; i < 32 && rc == 0; i++)
            rc = publish_some(a);
        if (rc == 0 && shmq_producer_sequence(a->producer) != a->seq)
            soak_complain(w->area, "the next sequence is not the one noted");
        if (rc != 0 || !soak_worker_turn(w, a->producer, NULL))
            continue;
        struct hist_op left = {.kind = HIST_LOSS, .producer = a->identity};
        hist_log_note(w->log, &left);
        atomic_store(&w->log->producer, 0);
        soak_worker_exec(w);
    }
    if (rc != 0)
        return rc;
    shmq_producer_close(a->producer);
    struct hist_op left = {.kind = HIST_LOSS, .producer = a->identity};
    hist_log_note(w->log, &left);
    return 0;
}
