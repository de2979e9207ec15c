/* soak_reader.c - receives, checks every byte, notes runs of neighbouring
 * records as one operation, holds some, acknowledges them run by run in any
 * order. */
#include <string.h>

#include "stress/soak/soak.h"
#include "support/support.h"

struct run { /* delivered as one operation, not done yet */
    uint64_t producer, seq, inv_ns; /* inv_ns of the delivery */
    uint32_t first, cnt; /* in held */
};

struct reader {
    struct soak_worker *w;
    const struct soak_group *group;
    struct shmq_consumer *consumer;
    uint32_t idx, member;
    struct hist_op *op; /* open: deliveries, or the receive under way */
    uint32_t held_cnt, run_cnt;
    uint32_t stash; /* saboteur: noted late; SOAK_HELD: none */
    struct shmq_message held[SOAK_HELD];
    struct run runs[SOAK_HELD];
};

static struct hist_op *begin(struct reader *r, enum hist_kind kind)
{
    struct hist_op *op = hist_log_begin(r->w->log, kind);
    op->group = (uint8_t)r->idx;
    op->member = r->member;
    return op;
}

static void open_receive(struct reader *r)
{
    r->op = begin(r, HIST_DELIVER);
    hist_log_open(r->w->log);
}

/* Ends the open operation, if there is one. */
static void close_receive(struct reader *r)
{
    if (r->op != NULL)
        hist_log_end(r->w->log);
    r->op = NULL;
}

/* The record goes on where the open operation stands. */
static bool goes_on(const struct reader *r, const struct shmq_message *msg,
    uint64_t first, uint8_t flags)
{
    const struct hist_op *op = r->op;
    return op->cnt != 0 && op->cnt < HIST_RUN_MAX && !r->group->fifo &&
        op->producer == msg->producer && op->seq + op->cnt == msg->sequence &&
        first != msg->sequence && op->flags == flags &&
        op->attempt == msg->attempt;
}

/* Notes one record that was handed out by the receive under way. */
static void note(struct reader *r, uint32_t at)
{
    const struct shmq_message *msg = &r->held[at];
    uint64_t first = 0;
    uint32_t cnt = 0;
    uint8_t flags =
        (msg->flags & SHMQ_MESSAGE_REDELIVERED) != 0 ? HIST_AGAIN : 0;
    bool whole = soak_check(msg, r->w->area->seed, &first, &cnt);
    if (!whole || soak_sabotage_now(r->w, SOAK_TEAR))
        flags |= HIST_TORN;
    if (!goes_on(r, msg, first, flags)) {
        if (r->op->cnt != 0) { /* it came by a call within the last one */
            uint64_t inv_ns = r->op->inv_ns;
            close_receive(r);
            open_receive(r);
            r->op->inv_ns = inv_ns;
        }
        r->op->producer = msg->producer;
        r->op->seq = msg->sequence;
        r->op->pos = msg->position;
        r->op->flags = flags;
        r->op->attempt = msg->attempt;
        r->runs[r->run_cnt++] = (struct run){.producer = msg->producer,
            .seq = msg->sequence,
            .inv_ns = r->op->inv_ns,
            .first = at};
    }
    r->op->last = msg->position;
    atomic_signal_fence(memory_order_seq_cst); /* whole at every instruction */
    r->op->cnt++;
    r->runs[r->run_cnt - 1].cnt++;
    if (msg->sequence == first + cnt - 1 || r->group->fifo)
        close_receive(r);
}

/* Releases run `i`; those refused are noted apart from the others. */
static int finish(struct reader *r, uint32_t i)
{
    struct run *run = &r->runs[i];
    int rc = 0;
    /* A lease may end between two of them. */
    uint32_t step = r->group->lease_ns != 0 ? 1 : run->cnt;
    for (uint32_t done = 0; done < run->cnt; done += step) {
        struct hist_op *op = begin(r, HIST_ACK);
        op->producer = run->producer;
        op->seq = run->seq + done;
        op->cnt = step;
        op->last = run->inv_ns;
        hist_log_open(r->w->log);
        for (uint32_t j = 0; j < step; j++) {
            rc = shmq_consumer_release(
                r->consumer, &r->held[run->first + done + j]);
            if (rc == SHMQ_ERR_STALE && step == 1)
                op->result =
                    soak_sabotage_now(r->w, SOAK_STALE) ? HIST_OK : HIST_STALE;
            else if (rc != 0)
                return rc;
        }
        hist_log_end(r->w->log);
    }
    return 0;
}

static int finish_all(struct reader *r)
{
    int rc = 0;
    while (rc == 0 && r->run_cnt > 0) {
        uint32_t i = (uint32_t)t_below(&r->w->random, r->run_cnt);
        rc = finish(r, i);
        r->runs[i] = r->runs[--r->run_cnt];
    }
    r->held_cnt = 0;
    return rc;
}

/* Gives the only held record back. */
static int give_back(struct reader *r)
{
    struct hist_op *op = begin(r, HIST_NACK);
    op->producer = r->runs[0].producer;
    op->seq = r->runs[0].seq;
    op->last = r->runs[0].inv_ns;
    op->cnt = 1;
    hist_log_open(r->w->log);
    int rc = shmq_consumer_nack(r->consumer, &r->held[0]);
    if (rc == SHMQ_ERR_STALE)
        op->result = HIST_STALE;
    hist_log_end(r->w->log);
    r->run_cnt = r->held_cnt = 0;
    return rc == SHMQ_ERR_STALE ? 0 : rc;
}

/* Notes record `at`, or what a saboteur makes of it. */
static void note_or_not(struct reader *r, uint32_t at)
{
    if (soak_sabotage_now(r->w, SOAK_DROP))
        return;
    if (soak_sabotage_now(r->w, SOAK_SWAP) && r->stash == SOAK_HELD) {
        r->stash = at;
        return;
    }
    note(r, at);
    if (soak_sabotage_now(r->w, SOAK_DOUBLE)) {
        close_receive(r);
        open_receive(r);
        note(r, at);
        close_receive(r);
        r->run_cnt--; /* it is done once */
    }
    if (r->stash != SOAK_HELD) {
        uint32_t late = r->stash;
        r->stash = SOAK_HELD;
        if (r->op == NULL)
            open_receive(r);
        note(r, late);
    }
}

/* One receive; 1 when there is nothing now. */
static int receive(struct reader *r, bool wait)
{
    struct shmq_message *msg = &r->held[r->held_cnt];
    if (r->op == NULL)
        open_receive(r);
    int rc = wait
        ? shmq_consumer_receive_wait(r->consumer, shmq_deadline(2 * T_MS), msg)
        : shmq_consumer_receive(r->consumer, msg);
    if (rc == 0) {
        note_or_not(r, r->held_cnt++);
        return 0;
    }
    bool none = rc == SHMQ_ERR_EMPTY || rc == SHMQ_ERR_TIMEOUT;
    /* Told that there is nothing: the next call says so by itself. */
    if (none && r->op->cnt == 0 && r->stash == SOAK_HELD)
        r->op->kind = HIST_EMPTY;
    else if (r->op->cnt == 0)
        r->op->kind = HIST_NOTHING;
    close_receive(r);
    if (none || rc == SHMQ_ERR_LIMIT || rc == SHMQ_ERR_INTR)
        return 1;
    return rc;
}

static int turn(struct reader *r)
{
    uint32_t most = r->group->fifo
        ? 1
        : 1 + (uint32_t)t_below(&r->w->random, SOAK_HELD - 1);
    int rc = receive(r, false);
    if (rc == 1)
        rc = receive(r, true);
    while (rc == 0 && r->held_cnt < most)
        rc = receive(r, false);
    close_receive(r);
    if (rc < 0)
        return rc;
    r->stash = SOAK_HELD; /* too late */
    if (r->held_cnt == 1 && t_below(&r->w->random, 500) == 0)
        return give_back(r);
    return finish_all(r);
}

static int open_reader(struct reader *r)
{
    struct shmq_consumer_options options = {.struct_bytes = sizeof(options),
        .flags = r->group->copy ? SHMQ_CONSUMER_COPY : 0,
        .group = r->group->name,
        .attrs = {.kind = r->group->kind, .lease_ns = r->group->lease_ns},
        .prefetch_frames = r->group->prefetch_frames};
    struct hist_op tick = {.kind = HIST_NOTHING};
    int rc;
    if (r->group->kind == SHMQ_GROUP_SHARED)
        options.attrs.max_attempts = 100;
    while (
        (rc = shmq_consumer_open(r->w->topic, &options, &r->consumer)) != 0) {
        if (rc != SHMQ_ERR_BUSY && rc != SHMQ_ERR_LIMIT)
            return rc;
        hist_log_note(r->w->log, &tick);
        t_sleep_ns(T_MS);
    }
    atomic_fetch_add(&r->w->area->ready, 1);
    return 0;
}

static void lose(struct reader *r, uint8_t flags)
{
    struct hist_op loss = {.kind = HIST_LOSS,
        .group = (uint8_t)r->idx,
        .member = r->member,
        .flags = flags};
    hist_log_note(r->w->log, &loss);
}

int soak_reader(struct soak_worker *w, uint32_t group)
{
    static struct reader reader;
    struct reader *r = &reader;
    r->w = w;
    r->idx = group;
    r->stash = SOAK_HELD;
    r->group = &w->scene->groups[group];
    r->member = atomic_fetch_add(&w->area->member_cnt, 1) + 1;
    atomic_store(&w->log->group, group);
    atomic_store(&w->log->member, r->member);
    int rc = open_reader(r);
    while (rc == 0) {
        rc = turn(r);
        if (rc == 0 && soak_worker_turn(w, NULL, r->consumer)) {
            for (uint32_t i = 0; i < 8 && rc == 0 && !r->group->fifo; i++)
                rc = receive(r, false); /* with something in hand */
            close_receive(r);
            lose(r, 0);
            soak_worker_exec(w);
        }
        if (rc == 0 && atomic_load(&w->area->finish) != 0) {
            rc = shmq_consumer_drained(r->consumer);
            if (rc == 1)
                break;
        }
    }
    if (rc < 0)
        return rc;
    lose(r, HIST_CLOSED);
    shmq_consumer_close(r->consumer);
    return 0;
}
