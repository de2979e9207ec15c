/* stream.c - logs in shared memory and their reader; see stream.h. */
#include "history/lib/stream.h"

#include <string.h>
#include <time.h>

uint64_t hist_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void nap(void)
{
    struct timespec time = {.tv_nsec = 100000};
    (void)nanosleep(&time, NULL);
}

/* -- keeper -------------------------------------------------------------- */

int hist_log_take(struct hist_stream *s)
{
    for (uint32_t i = 0; i < HIST_LOG_CNT; i++) {
        struct hist_log *log = &s->logs[i];
        if (atomic_load(&log->state) != HIST_LOG_FREE)
            continue;
        atomic_store(&log->begun, 0);
        atomic_store(&log->ended, 0);
        atomic_store(&log->taken, 0);
        atomic_store(&log->kill_ns, 0);
        atomic_store(&log->member, 0);
        atomic_store(&log->producer, 0);
        atomic_store(&log->state, HIST_LOG_LIVE);
        atomic_fetch_add(&s->opened, 1);
        return (int)i;
    }
    return -1;
}

void hist_log_kill(struct hist_stream *s, int log)
{
    atomic_store(&s->logs[log].kill_ns, hist_now_ns());
}

void hist_log_dead(struct hist_stream *s, int log)
{
    atomic_store(&s->logs[log].death_ns, hist_now_ns());
    atomic_store(&s->logs[log].state, HIST_LOG_DEAD);
}

/* -- writer -------------------------------------------------------------- */

struct hist_op *hist_log_begin(struct hist_log *log, enum hist_kind kind)
{
    uint64_t n = atomic_load_explicit(&log->begun, memory_order_relaxed);
    while (n - atomic_load_explicit(&log->taken, memory_order_acquire) >=
        HIST_LOG_OPS) {
        log->stalls++;
        nap();
    }
    struct hist_op *op = &log->ops[n % HIST_LOG_OPS];
    memset(op, 0, sizeof(*op));
    op->kind = (uint8_t)kind;
    op->inv_ns = hist_now_ns();
    return op;
}

void hist_log_open(struct hist_log *log)
{
    uint64_t n = atomic_load_explicit(&log->begun, memory_order_relaxed);
    atomic_store_explicit(&log->begun, n + 1, memory_order_release);
}

void hist_log_end(struct hist_log *log)
{
    uint64_t n = atomic_load_explicit(&log->ended, memory_order_relaxed);
    log->ops[n % HIST_LOG_OPS].ret_ns = hist_now_ns();
    atomic_store_explicit(&log->ended, n + 1, memory_order_release);
}

void hist_log_note(struct hist_log *log, const struct hist_op *op)
{
    struct hist_op *at = hist_log_begin(log, (enum hist_kind)op->kind);
    uint64_t now_ns = at->inv_ns;
    *at = *op;
    at->inv_ns = now_ns;
    hist_log_open(log);
    hist_log_end(log);
}

/* -- reader -------------------------------------------------------------- */

enum { NONE = 0, READY = 1, BLOCKED = 2 };

struct cursor {
    uint32_t state; /* of `key` */
    bool inside; /* the next point is an end */
    bool killed; /* its loss has been told */
    bool loss; /* the next point is its loss */
    uint64_t n; /* operations read */
    uint64_t key;
    struct hist_op op; /* when inside and READY */
    struct hist_open open;
};

struct reader {
    struct hist_stream *s;
    struct hist_check *check;
    struct cursor cursors[HIST_LOG_CNT];
    uint32_t opened; /* at the last look for new logs */
    uint64_t steps;
};

/* The process died in its last operation. What it was handed until then it has
 * been handed; what else it did is not known. */
static void end_of_dead(struct cursor *cursor, const struct hist_log *log)
{
    uint64_t death_ns = atomic_load(&log->death_ns);
    cursor->op = log->ops[cursor->n % HIST_LOG_OPS];
    cursor->op.result = HIST_UNKNOWN;
    cursor->op.ret_ns = death_ns;
    cursor->key = death_ns;
    cursor->state = READY;
}

/* What it held may be lost from the moment before the signal. */
static void tell_loss(struct reader *r, const struct hist_log *log)
{
    struct hist_op loss = {.kind = HIST_LOSS,
        .member = atomic_load(&log->member),
        .group = (uint8_t)atomic_load(&log->group),
        .inv_ns = atomic_load(&log->kill_ns),
        .ret_ns = atomic_load(&log->kill_ns)};
    struct hist_open open;
    if (loss.member == 0 || loss.inv_ns == 0)
        return;
    hist_check_begin(r->check, &loss, &open);
    hist_check_end(r->check, &loss, &open);
}

/* All of a dead process's operations are read. */
static void retire(struct reader *r, struct hist_log *log)
{
    struct hist_op left = {.kind = HIST_LOSS,
        .producer = atomic_load(&log->producer),
        .inv_ns = atomic_load(&log->death_ns),
        .ret_ns = atomic_load(&log->death_ns)};
    struct hist_open open;
    tell_loss(r, log); /* it may have begun another life meanwhile */
    if (left.producer != 0) {
        hist_check_begin(r->check, &left, &open);
        hist_check_end(r->check, &left, &open);
    }
    atomic_store(&log->state, HIST_LOG_FREE);
}

/* Looks for the next point of an operation. */
static void refresh_op(
    struct reader *r, struct hist_log *log, struct cursor *cursor)
{
    uint32_t state = atomic_load_explicit(&log->state, memory_order_acquire);
    uint64_t n = cursor->n;
    cursor->state = BLOCKED;
    if (state == HIST_LOG_FREE)
        cursor->state = NONE;
    else if (!cursor->inside) {
        if (atomic_load_explicit(&log->begun, memory_order_acquire) > n) {
            cursor->key = log->ops[n % HIST_LOG_OPS].inv_ns;
            cursor->state = READY;
        } else if (state == HIST_LOG_DEAD) {
            retire(r, log);
            memset(cursor, 0, sizeof(*cursor));
        }
    } else if (atomic_load_explicit(&log->ended, memory_order_acquire) > n) {
        cursor->op = log->ops[n % HIST_LOG_OPS];
        cursor->key = cursor->op.ret_ns;
        cursor->state = READY;
    } else if (state == HIST_LOG_DEAD)
        end_of_dead(cursor, log);
}

static void refresh(struct reader *r, uint32_t i)
{
    struct hist_log *log = &r->s->logs[i];
    struct cursor *cursor = &r->cursors[i];
    refresh_op(r, log, cursor);
    uint64_t kill_ns = atomic_load(&log->kill_ns);
    if (cursor->state == NONE || kill_ns == 0 || cursor->killed ||
        (cursor->state == READY && cursor->key < kill_ns))
        return;
    cursor->state = READY;
    cursor->key = kill_ns;
    cursor->loss = true;
}

static void step(struct reader *r, uint32_t i)
{
    struct hist_log *log = &r->s->logs[i];
    struct cursor *cursor = &r->cursors[i];
    if (cursor->loss) {
        tell_loss(r, log);
        cursor->loss = false;
        cursor->killed = true;
    } else if (!cursor->inside) {
        /* The caller may still fill it in; what counts is fixed by now. */
        hist_check_begin(
            r->check, &log->ops[cursor->n % HIST_LOG_OPS], &cursor->open);
        cursor->inside = true;
    } else {
        hist_check_end(r->check, &cursor->op, &cursor->open);
        cursor->inside = false;
        cursor->n++;
        atomic_store_explicit(&log->taken, cursor->n, memory_order_release);
    }
    refresh(r, i);
    if (++r->steps % 4096 == 0) {
        const struct hist_verdict *v = hist_check_state(r->check);
        atomic_store(&r->s->fault_cnt, v->fault_cnt);
        atomic_store(&r->s->published, v->published);
        atomic_store(&r->s->delivered, v->delivered);
    }
}

/* The log with the earliest point; -1 blocked, -2 none at all. */
static int earliest(struct reader *r)
{
    uint32_t opened = atomic_load(&r->s->opened);
    int first = -2;
    for (uint32_t i = 0; i < HIST_LOG_CNT; i++) {
        struct cursor *cursor = &r->cursors[i];
        if (cursor->state == BLOCKED ||
            (cursor->state == NONE && opened != r->opened))
            refresh(r, i);
        if (cursor->state == BLOCKED)
            return -1;
        if (cursor->state == READY &&
            (first < 0 || cursor->key < r->cursors[first].key ||
                (cursor->key == r->cursors[first].key && !cursor->inside)))
            first = (int)i;
    }
    r->opened = opened;
    /* A log opened meanwhile holds only what came later than all seen. */
    return atomic_load(&r->s->opened) == opened ? first : -1;
}

void hist_stream_run(struct hist_stream *s, const struct hist_config *config)
{
    static struct reader reader;
    struct reader *r = &reader;
    memset(r, 0, sizeof(*r));
    r->s = s;
    r->check = hist_check_new(config);
    for (;;) {
        uint32_t close = atomic_load(&s->close);
        int i = earliest(r);
        if (i >= 0)
            step(r, (uint32_t)i);
        else if (i == -2 && close != 0)
            break;
        else
            nap();
    }
    hist_check_finish(r->check, &s->verdict);
    atomic_store(&s->fault_cnt, s->verdict.fault_cnt);
    atomic_store(&s->closed, 1);
}
