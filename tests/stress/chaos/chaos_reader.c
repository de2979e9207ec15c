/* chaos_reader.c - reads in a group, checks and books every record, holds a
 * few, and acknowledges them in any order. */
#include "chaos.h"

#include <string.h>
#include <unistd.h>

#include "support/support.h"

struct reader {
    struct chaos_run *run;
    const struct chaos_group *group;
    struct shmq_topic *topic;
    struct shmq_consumer *consumer;
    uint32_t idx; /* of the group */
    uint32_t member; /* this life */
    uint64_t random;
    uint32_t held_cnt;
    struct shmq_message held[CHAOS_HELD_MAX];
    uint64_t held_at[CHAOS_HELD_MAX]; /* indexes of marks */
    uint64_t held_ns[CHAOS_HELD_MAX]; /* when their receive began */
    uint32_t last_life;
    uint64_t next[CHAOS_LIFE_MAX]; /* smallest record in order */
};

/* -- history */

/* `held`: the record that is ended, or HELD_MAX. */
static struct hist_op *begin(
    struct reader *r, enum hist_kind kind, uint32_t held)
{
    struct hist_op *op = hist_log_begin(r->run->log, kind);
    op->group = (uint8_t)r->idx;
    op->member = r->member;
    if (held < CHAOS_HELD_MAX) {
        op->producer = r->held[held].producer;
        op->seq = r->held[held].sequence;
        op->last = r->held_ns[held];
        op->cnt = 1;
    }
    hist_log_open(r->run->log);
    return op;
}

static void end(struct reader *r, struct hist_op *op, int rc)
{
    if (rc == SHMQ_ERR_STALE)
        op->result = HIST_STALE;
    hist_log_end(r->run->log);
}

static void end_receive(struct reader *r, struct hist_op *op, int rc,
    const struct shmq_message *msg)
{
    op->kind = rc == SHMQ_ERR_EMPTY || rc == SHMQ_ERR_TIMEOUT ? HIST_EMPTY
                                                              : HIST_NOTHING;
    if (rc == 0) {
        op->kind = HIST_DELIVER;
        op->producer = msg->producer;
        op->seq = msg->sequence;
        op->pos = op->last = msg->position;
        op->attempt = msg->attempt;
        op->flags =
            (msg->flags & SHMQ_MESSAGE_REDELIVERED) != 0 ? HIST_AGAIN : 0;
        atomic_signal_fence(memory_order_seq_cst);
        op->cnt = 1;
    }
    hist_log_end(r->run->log);
}

static bool find_life(struct reader *r, uint64_t identity, uint32_t *ret)
{
    struct chaos_books *books = r->run->books;
    uint32_t cnt = atomic_load(&books->life_cnt);
    if (atomic_load(&books->lives[r->last_life].identity) != identity) {
        uint32_t life = cnt;
        while (life > 0 &&
            atomic_load(&books->lives[life - 1].identity) != identity)
            life--;
        if (life == 0)
            return false;
        r->last_life = life - 1;
    }
    *ret = r->last_life;
    return true;
}

static bool is_whole(
    struct reader *r, const struct shmq_message *msg, uint64_t hash)
{
    struct shmq_attr key;
    int rc = shmq_message_attr(msg, SHMQ_ATTR_KEY, 0, &key);
    bool key_right = !chaos_has_key(hash)
        ? rc == SHMQ_ERR_NOENT
        : rc == 0 && key.value_bytes == sizeof(hash) &&
            memcmp(key.value, &hash, sizeof(hash)) == 0;
    uint64_t right = msg->size == chaos_size(hash)
        ? chaos_check(msg->data, msg->size, hash)
        : 0;
    if (key_right && msg->size == chaos_size(hash) && right == msg->size)
        return true;
    chaos_complain(r->run,
        "torn: group %u position %llu seq %llu flags %u size %llu, "
        "should be %llu; right up to %llu, key %s",
        r->idx, (unsigned long long)msg->position,
        (unsigned long long)msg->sequence, msg->flags,
        (unsigned long long)msg->size, (unsigned long long)chaos_size(hash),
        (unsigned long long)right, key_right ? "right" : "wrong");
    return false;
}

static void raise_high(_Atomic uint64_t *high, uint64_t value)
{
    uint64_t was = atomic_load(high);
    while (was < value && !atomic_compare_exchange_weak(high, &was, value))
        continue;
}

/* Exclusive: each producer's records in order in one reader's life, also those
 * that come again; and what is not flagged is behind all that was handed out.
 * Shared: what is not flagged is in order at each member. */
static void check_order(
    struct reader *r, uint32_t life, uint64_t seq, bool again)
{
    bool shared = r->group->kind == SHMQ_GROUP_SHARED;
    _Atomic uint64_t *high = &r->run->books->high[r->idx][life];
    uint64_t was = atomic_load(high);
    bool right = shared ? again || seq >= r->next[life]
                        : seq >= r->next[life] && (again || seq >= was);
    if (!right) {
        atomic_fetch_add(&r->run->books->disorder, 1);
        chaos_complain(r->run,
            "order: group %u life %u seq %llu again %d, expected "
            "%llu or more, group was at %llu",
            r->idx, life, (unsigned long long)seq, again,
            (unsigned long long)r->next[life], (unsigned long long)was);
    }
    if (!shared || !again)
        r->next[life] = seq + 1;
    raise_high(high, seq + 1);
}

/* Books a record; false when it cannot be what it claims to be. */
static bool book(
    struct reader *r, const struct shmq_message *msg, uint64_t *ret_at)
{
    struct chaos_books *books = r->run->books;
    bool again = (msg->flags & SHMQ_MESSAGE_REDELIVERED) != 0;
    uint32_t life = 0;
    if (!find_life(r, msg->producer, &life) ||
        msg->sequence >= CHAOS_LIFE_RECORDS) {
        atomic_fetch_add(&books->foreign, 1);
        chaos_complain(r->run, "foreign: producer %llx sequence %llu",
            (unsigned long long)msg->producer,
            (unsigned long long)msg->sequence);
        return false;
    }
    if (!is_whole(r, msg, chaos_hash(r->run, life, msg->sequence)))
        atomic_fetch_add(&books->torn, 1);
    uint64_t at = chaos_index(life, msg->sequence);
    unsigned char bit = again ? CHAOS_HANDED_AGAIN : CHAOS_HANDED;
    unsigned char was = atomic_fetch_or(&r->run->marks[r->idx][at], bit);
    /* One that was stopped in receive books its copy late, after the one to
     * whom the end of its lease gave the record: once is right. */
    unsigned char bad = CHAOS_HANDED;
    if (r->group->lease_ns == 0)
        bad |= CHAOS_HANDED_AGAIN;
    if (!again && (was & bad) != 0) {
        atomic_fetch_add(&books->unflagged, 1);
        chaos_complain(r->run,
            "unflagged: group %u life %u seq %llu mark %u attempt "
            "%u",
            r->idx, life, (unsigned long long)msg->sequence, was, msg->attempt);
    }
    check_order(r, life, msg->sequence, again);
    atomic_fetch_add(&books->handed, 1);
    if (again)
        atomic_fetch_add(&books->again, 1);
    *ret_at = at;
    return true;
}

static int done(struct reader *r, uint32_t i)
{
    uint64_t at = r->held_at[i];
    struct hist_op *op = begin(r, HIST_ACK, i);
    int rc = shmq_consumer_release(r->consumer, &r->held[i]);
    end(r, op, rc);
    r->held_cnt--;
    r->held[i] = r->held[r->held_cnt];
    r->held_at[i] = r->held_at[r->held_cnt];
    r->held_ns[i] = r->held_ns[r->held_cnt];
    if (rc == 0)
        atomic_fetch_or(&r->run->marks[r->idx][at], CHAOS_ACKED);
    else if (rc == SHMQ_ERR_STALE)
        atomic_fetch_add(&r->run->books->stale, 1);
    return rc == SHMQ_ERR_STALE ? 0 : rc;
}

/* Gives the only held record back; an exclusive reader starts again there. */
static int give_back(struct reader *r)
{
    struct hist_op *op = begin(r, HIST_NACK, 0);
    int rc = shmq_consumer_nack(r->consumer, &r->held[0]);
    end(r, op, rc);
    r->held_cnt = 0;
    atomic_fetch_add(&r->run->books->nacks, 1);
    if (r->group->kind != SHMQ_GROUP_SHARED)
        memset(r->next, 0, sizeof(r->next));
    return rc == SHMQ_ERR_STALE ? 0 : rc;
}

/* Lets go of records: all of them, or a random few. */
static int let_go(struct reader *r, bool all)
{
    int rc = 0;
    if (!all && r->held_cnt == 1 && r->group->nacks &&
        t_below(&r->random, 1000) == 0)
        return give_back(r);
    while (rc == 0 && r->held_cnt > 0 &&
        (all || r->held_cnt == CHAOS_HELD_MAX || t_below(&r->random, 3) != 0))
        rc = done(r, (uint32_t)t_below(&r->random, r->held_cnt));
    return rc;
}

static int note_gap(struct reader *r)
{
    struct chaos_books *books = r->run->books;
    struct shmq_gap gap;
    int rc = shmq_consumer_gap(r->consumer, &gap);
    if (rc != 0)
        return rc;
    if (r->run->positions == NULL) {
        atomic_fetch_add(&books->gaps, 1);
        chaos_complain(r->run, "gap: group %u from %llu to %llu, reason %u",
            r->idx, (unsigned long long)gap.from, (unsigned long long)gap.to,
            gap.reason);
    } else if (r->group->immortal) {
        uint32_t i = atomic_fetch_add(&books->gap_cnt, 1);
        atomic_fetch_add(&books->gap_frames, gap.frames);
        if (i < CHAOS_GAP_MAX)
            books->gap[i] = (struct chaos_gap){gap.from, gap.to};
    }
    return 0;
}

static int open_reader(struct reader *r)
{
    const struct chaos_group *group = r->group;
    struct shmq_consumer_options options = {.struct_bytes = sizeof(options),
        .flags = group->copy ? SHMQ_CONSUMER_COPY : 0,
        .group = group->name,
        .attrs = {.kind = group->kind, .lease_ns = group->lease_ns},
        .start = {.kind = SHMQ_START_EARLIEST},
        .prefetch_frames = group->name == NULL ? 0 : CHAOS_HELD_MAX};
    uint64_t end_ns = t_now_ns() + T_PATIENCE;
    int rc;
    if (group->kind == SHMQ_GROUP_SHARED)
        options.attrs.max_attempts = 100;
    if (group->name == NULL)
        options.attrs.kind = 0;
    while ((rc = shmq_consumer_open(r->topic, &options, &r->consumer)) != 0) {
        if ((rc != SHMQ_ERR_BUSY && rc != SHMQ_ERR_LIMIT) ||
            t_now_ns() > end_ns)
            return rc;
        struct hist_op tick = {.kind = HIST_NOTHING};
        hist_log_note(r->run->log, &tick);
        t_pause();
    }
    atomic_fetch_add(&r->run->books->takeovers, 1);
    return 0;
}

/* Nothing to receive: 1 when there never will be. */
static int idle(struct reader *r)
{
    int rc = let_go(r, true);
    if (rc != 0 || atomic_load(&r->run->books->finish) == 0)
        return rc;
    return shmq_consumer_drained(r->consumer);
}

static int turn(struct reader *r)
{
    struct shmq_message *msg = &r->held[r->held_cnt];
    struct hist_op *op = begin(r, HIST_DELIVER, CHAOS_HELD_MAX);
    r->held_ns[r->held_cnt] = op->inv_ns;
    int rc =
        shmq_consumer_receive_wait(r->consumer, shmq_deadline(5 * T_MS), msg);
    end_receive(r, op, rc, msg);
    switch (rc) {
    case 0:
        if (!book(r, msg, &r->held_at[r->held_cnt]))
            return shmq_consumer_release(r->consumer, msg);
        r->held_cnt++;
        return let_go(r, false);
    case SHMQ_ERR_GAP:
        return note_gap(r);
    case SHMQ_ERR_LIMIT:
        return let_go(r, true);
    case SHMQ_ERR_TIMEOUT:
    case SHMQ_ERR_INTR:
        return idle(r);
    default:
        return rc;
    }
}

int chaos_reader(struct chaos_run *run, uint32_t group)
{
    static struct reader reader;
    struct reader *r = &reader;
    r->run = run;
    r->idx = group;
    r->group = &run->scene->groups[group];
    r->random = run->seed ^ (uint64_t)getpid() << 24;
    r->member = atomic_fetch_add(&run->books->members, 1) + 1;
    atomic_store(&run->log->group, group);
    atomic_store(&run->log->member, r->member);
    int rc = shmq_topic_open(t_ns, "chaos", &r->topic);
    if (rc == 0)
        rc = open_reader(r);
    while (rc == 0)
        rc = turn(r);
    if (rc < 0) {
        chaos_complain(run, "reader of group %u: %s: %s", group,
            shmq_err_name(rc), shmq_error_text());
        return 1;
    }
    struct hist_op loss = {.kind = HIST_LOSS,
        .group = (uint8_t)r->idx,
        .member = r->member,
        .flags = HIST_CLOSED};
    hist_log_note(run->log, &loss);
    shmq_consumer_close(r->consumer);
    shmq_topic_close(r->topic);
    return 0;
}
