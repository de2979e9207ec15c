/* scenario_claims.c - claims of shared groups: the dead, the stopped, those who
 * give back, and those whose lease ends. */
#include "parts.h"

static struct {
    struct shmq_producer *producer;
    struct o_reader reader[5];
} side;

/* Four records; members 1 to 3, and one of the judge that is always there. */
static void members_begin(uint32_t flags, uint64_t lease_ns)
{
    struct shmq_consumer_options o = o_options("g", SHMQ_GROUP_SHARED, flags);
    o.attrs.lease_ns = lease_ns;
    o.attrs.max_attempts = 100;
    x_as(4);
    side.producer = o_producer(4, 0);
    for (uint32_t i = 0; i < 4; i++) {
        x_as((i + 1) % 4);
        X_TRUE(o_reader_try((i + 1) % 4, &o, 0, &side.reader[(i + 1) % 4]) ==
            SHMQ_OK);
    }
    /* Who has looked before does not look at every claim again. */
    for (uint32_t i = 0; i < 4; i++) {
        struct o_hand h;
        x_as((i + 1) % 4);
        X_TRUE(o_receive(&side.reader[(i + 1) % 4], &h) == SHMQ_ERR_EMPTY);
    }
    x_as(4);
    for (uint32_t i = 0; i < 3; i++)
        (void)o_publish(side.producer, 0, 2);
}

static void finish(void)
{
    p_check_found(&side.reader[0], UINT32_MAX);
    for (uint32_t i = 1; i <= 3; i++)
        p_close(i, &side.reader[i]);
    p_finish_shared(&side.reader[0]);
    struct shmq_group_stat st;
    uint32_t cnt = 0;
    x_call(X_STEPS);
    X_TRUE(shmq_topic_groups(x_topic(0), &st, 1, &cnt) == SHMQ_OK && cnt == 1);
    X_TRUE(st.lag_messages == 0);
}

/* -- reaping ------------------------------------------------------------------
 */

static void reap_begin(void)
{
    members_begin(0, 0);
}

/* Whoever attaches reaps. */
static void attach_and_leave(void)
{
    struct shmq_consumer *c;
    x_call(X_STEPS);
    if (shmq_consumer_open(x_topic(x_who()), NULL, &c) == SHMQ_OK) {
        x_call(X_STEPS);
        shmq_consumer_close(c);
    }
}

static void hold_and_release(struct o_reader *r, uint32_t cnt)
{
    struct o_hand h[2];
    for (uint32_t i = 0; i < cnt; i++) {
        bool one = o_receive(r, &h[0]) == SHMQ_OK;
        bool two = one && x_below(2) && o_receive(r, &h[1]) == SHMQ_OK;
        if (two)
            (void)o_release(r, &h[1]);
        if (one)
            (void)o_release(r, &h[0]);
        else if (!x_idle())
            return;
    }
}

static void reap_thread(uint32_t who)
{
    if (who <= 2) {
        hold_and_release(&side.reader[who], 3);
    } else if (who == 3) {
        attach_and_leave();
        (void)p_consume(&side.reader[3], 2);
        attach_and_leave();
    } else if (who == 4) {
        p_produce(side.producer, 0, 3, 1);
    } else {
        attach_and_leave();
        attach_and_leave();
    }
}

#define CLAIM_SETUP(start) \
    { \
        SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 4, 512, 2, 7, 1, 0, (start), 0 \
    }

const struct x_scenario x_shared_reap = {"shared-reap",
    "members die or are stopped with claims; two reapers, who may stall, too",
    CLAIM_SETUP(0), 5, EVERYBODY, EVERYBODY, reap_begin, reap_thread, finish,
    &side, sizeof side};

/* Fewer claim words than slots: members wait for the window. */
const struct x_scenario x_shared_window = {"shared-window",
    "the same with two claim words for four slots",
    {SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 4, 512, 2, 7, 1, 0, 0, 2}, 5,
    EVERYBODY, EVERYBODY, reap_begin, reap_thread, finish, &side, sizeof side};

/* 40 bits of `next` begin anew. */
const struct x_scenario x_shared_reap_wrap = {"shared-reap-wrap",
    "the same where `next` and the laps of claims wrap",
    CLAIM_SETUP((1ull << 40) - 2), 5, EVERYBODY, EVERYBODY, reap_begin,
    reap_thread, finish, &side, sizeof side};

/* -- giving back
 * ---------------------------------------------------------------- */

static void nack_some(struct o_reader *r, uint32_t cnt)
{
    struct o_hand h;
    for (uint32_t i = 0; i < cnt; i++) {
        int rc = o_receive(r, &h);
        if (rc == SHMQ_OK && x_below(2))
            (void)o_nack(r, &h);
        else if (rc == SHMQ_OK)
            (void)o_release(r, &h);
        else if (!x_idle())
            return;
    }
}

static void nack_thread(uint32_t who)
{
    if (who <= 2) {
        nack_some(&side.reader[who], 3);
    } else if (who == 3) {
        (void)p_consume(&side.reader[3], 2);
        x_call(X_STEPS);
        shmq_consumer_close(side.reader[3].consumer);
        side.reader[3].consumer = NULL;
    } else {
        p_produce(side.producer, 0, 2, 1);
    }
}

const struct x_scenario x_nack = {"nack",
    "members give records back, and one leaves", CLAIM_SETUP(0), 4, EVERYBODY,
    EVERYBODY, reap_begin, nack_thread, finish, &side, sizeof side};

/* Frames of several records, acknowledged one by one. */
static void batch_begin(void)
{
    members_begin(0, 0);
    (void)o_publish_batch(side.producer, 0, 3, 1);
}

static void batch_thread(uint32_t who)
{
    if (who <= 2)
        nack_some(&side.reader[who], 5);
    else if (who == 3)
        (void)p_consume(&side.reader[3], 4);
    else if (o_publish_batch(side.producer, 0, 2, 1) != SHMQ_OK && x_idle())
        (void)o_publish_batch(side.producer, 0, 2, 1);
}

const struct x_scenario x_nack_frames = {"nack-frames",
    "members acknowledge and give back parts of frames of several records",
    CLAIM_SETUP(0), 4, EVERYBODY, EVERYBODY, batch_begin, batch_thread, finish,
    &side, sizeof side};

/* -- leases
 * ------------------------------------------------------------------------ */

static void lease_begin(void)
{
    members_begin(0, 1000000);
    oracle.groups[0].moves = true;
}

static void slowly(struct o_reader *r)
{
    struct o_hand h;
    for (uint32_t i = 0; i < 2; i++) {
        if (o_receive(r, &h) == SHMQ_OK) {
            x_advance(x_below(2) * 2000000);
            x_yield();
            (void)o_release(r, &h);
        } else if (!x_idle()) {
            return;
        }
    }
}

/* Looks whether others are late, as a member does that waits. */
static void wait_for_more(struct o_reader *r)
{
    struct o_hand h;
    for (uint32_t i = 0; i < 3; i++) {
        x_advance(1000000);
        x_call(2 * X_STEPS);
        int rc = o_receive_wait(r, &h, x_run.now + 3000000);
        if (rc == SHMQ_OK)
            (void)o_release(r, &h);
    }
}

static void lease_thread(uint32_t who)
{
    if (who <= 2)
        slowly(&side.reader[who]);
    else if (who == 3)
        wait_for_more(&side.reader[3]);
    else
        p_produce(side.producer, 0, 2, 1);
}

static void lease_end(void)
{
    x_advance(5000000);
    p_bury();
    wait_for_more(&side.reader[0]);
    finish();
}

const struct x_scenario x_lease = {"lease",
    "members hold records for longer than their lease", CLAIM_SETUP(0), 4,
    EVERYBODY, EVERYBODY, lease_begin, lease_thread, lease_end, &side,
    sizeof side};
