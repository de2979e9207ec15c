/* scenario_dead.c - records that leave a group another way: to its dead-letter
 * topic, for a while by a delayed nack, or because they are too old. */
#include "parts.h"

#include "consumer_impl.h"

#define ATTEMPTS 2u
#define POISON 1u /* number of the record that nobody can digest */
#define MS 1000000ull

static struct {
    struct shmq_producer *producer;
    struct o_reader reader[5];
    struct o_reader exclusive;
} side;

/* Members 0 (the judge's, there all the time) to 3; a frame of three records,
 * the poison amid them, and one behind it. */
static void members_begin(uint32_t attempts)
{
    struct shmq_consumer_options o = o_options("g", SHMQ_GROUP_SHARED, 0);
    struct o_hand h;
    oracle.attempts = o.attrs.max_attempts = attempts;
    x_as(4);
    side.producer = o_producer(4, 0);
    for (uint32_t i = 0; i < 4; i++) {
        x_as(i);
        X_TRUE(o_reader_try(i, &o, 0, &side.reader[i]) == SHMQ_OK);
        X_TRUE(o_receive(&side.reader[i], &h) == SHMQ_ERR_EMPTY);
    }
}

static void some_records(void)
{
    x_as(4);
    (void)o_publish_batch(side.producer, 0, 3, 1);
    (void)o_publish(side.producer, 0, 1);
}

/* Gives the poison back and digests the others. */
static void work(struct o_reader *r, uint32_t cnt)
{
    struct o_hand h;
    for (uint32_t i = 0; i < cnt; i++) {
        int rc = o_receive_late(r, &h);
        if (rc == SHMQ_OK && h.number == POISON)
            (void)o_nack(r, &h);
        else if (rc == SHMQ_OK)
            (void)o_release(r, &h);
        else if (!x_idle())
            return;
    }
}

static void leave(struct o_reader *r)
{
    x_call(2 * X_STEPS);
    shmq_consumer_close(r->consumer);
    r->consumer = NULL;
}

/* The judge waits like somebody who sleeps: those look at everything. */
static void drain(struct o_reader *r)
{
    struct o_hand h;
    for (uint32_t i = 0; i < 24; i++) {
        o_letters_safe();
        x_call(2 * X_STEPS);
        shmqi_dead_look(r->consumer);
        int rc = o_receive_wait(r, &h, x_run.now + 3 * MS);
        if (rc == SHMQ_OK && r->group == 0 && h.number == POISON &&
            oracle.attempts == ATTEMPTS)
            (void)o_nack(r, &h);
        else if (rc == SHMQ_OK)
            (void)o_release(r, &h);
        else if (r->consumer->dead.cnt == 0)
            return;
    }
}

/* Who lives and looks on gets rid of what was too slow, or lost. */
static void look_on(struct o_reader *r, uint32_t who)
{
    if (!r->consumer || x_was_killed(who) || x_was_stopped(who))
        return;
    for (uint32_t i = 0; i < 3; i++) {
        o_letters_safe();
        x_call(2 * X_STEPS);
        shmqi_dead_look(r->consumer);
    }
    if (r->consumer->dead.cnt)
        x_fail("process %u waits for a copy for ever", who);
}

/* -- poison -----------------------------------------------------------------
 */

static void bury_begin(void)
{
    members_begin(ATTEMPTS);
    some_records();
    oracle.letters_refused = 2;
}

static void late_begin(void)
{
    bury_begin();
    oracle.dead_is_late = true;
}

static void bury_thread(uint32_t who)
{
    if (who <= 2) {
        work(&side.reader[who], 6);
    } else if (who == 3) {
        work(&side.reader[3], 3);
        leave(&side.reader[3]);
    } else if (who == 4) {
        p_produce(side.producer, 0, 3, 1);
    } else {
        /* shmqd, and once a host whose memory is gone. */
        for (uint32_t i = 0; i < 4; i++) {
            x_step();
            if (i == 1 && x_below(2))
                o_letters_lost();
            else
                o_letters_safe();
            if (!x_idle())
                return;
        }
    }
}

static void bury_end(void)
{
    o_check_buried(0);
    oracle.letters_refused = 0;
    for (uint32_t i = 1; i <= 3; i++)
        look_on(&side.reader[i], i);
    p_check_found(&side.reader[0], ATTEMPTS);
    for (uint32_t i = 1; i <= 3; i++)
        p_close(i, &side.reader[i]);
    p_bury();
    drain(&side.reader[0]);
    o_check_buried(0);
    o_count_letters();
    p_finish_shared(&side.reader[0]);
    struct shmq_group_stat st;
    uint32_t cnt = 0;
    x_call(X_STEPS);
    X_TRUE(shmq_topic_groups(x_topic(0), &st, 1, &cnt) == SHMQ_OK && cnt == 1);
    X_TRUE(st.lag_messages == 0);
}

#define DEAD_SETUP(flags) \
    { \
        SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 4, 512, 2, 7, 2, flags, 0, 0 \
    }

const struct x_scenario x_bury = {"bury",
    "a poison record goes to the dead-letter topic, which may be full",
    DEAD_SETUP(0), 4, EVERYBODY, EVERYBODY, bury_begin, bury_thread, bury_end,
    &side, sizeof side};

const struct x_scenario x_bury_late = {"bury-late",
    "the same where copies take time to be safe, or are lost with their ring",
    DEAD_SETUP(0), 5, 0x1e, 0x1e, late_begin, bury_thread, bury_end, &side,
    sizeof side};

/* -- delayed nack ------------------------------------------------------------
 */

static void later_begin(void)
{
    members_begin(100);
    some_records();
}

static void give_back_later(struct o_reader *r, uint32_t cnt)
{
    struct o_hand h;
    for (uint32_t i = 0; i < cnt; i++) {
        int rc = o_receive(r, &h);
        if (rc == SHMQ_OK && x_below(2))
            (void)o_nack_later(r, &h, (1 + x_below(3)) * MS);
        else if (rc == SHMQ_OK)
            (void)o_release(r, &h);
        else if (x_below(2))
            x_advance(2 * MS);
        else if (!x_idle())
            return;
    }
}

static void later_thread(uint32_t who)
{
    if (who <= 3)
        give_back_later(&side.reader[who], 5);
    if (who == 3)
        leave(&side.reader[3]);
    if (who == 4)
        p_produce(side.producer, 0, 2, 1);
}

/* What is given back is found by everybody who looks on, also by those who
 * looked while it was on its way. */
static void later_end(void)
{
    for (uint32_t i = 1; i <= 3; i++)
        if (side.reader[i].consumer && !x_was_killed(i) && !x_was_stopped(i))
            p_check_found(&side.reader[i], UINT32_MAX);
    p_check_found(&side.reader[0], UINT32_MAX);
    for (uint32_t i = 1; i <= 3; i++)
        p_close(i, &side.reader[i]);
    p_finish_shared(&side.reader[0]);
}

const struct x_scenario x_nack_later = {"nack-later",
    "members give records back for later, and one leaves meanwhile",
    DEAD_SETUP(0), 4, EVERYBODY, EVERYBODY, later_begin, later_thread,
    later_end, &side, sizeof side};

/* -- time to live ------------------------------------------------------------
 */

static void expire_begin(void)
{
    struct shmq_consumer_options o = o_options("x", SHMQ_GROUP_EXCLUSIVE, 0);
    members_begin(100);
    x_as(5);
    X_TRUE(o_reader_try(5, &o, 1, &side.exclusive) == SHMQ_OK);
    some_records();
    oracle.dead_is_late = true;
    oracle.letters_refused = 1;
}

static void slowly(struct o_reader *r, uint32_t cnt)
{
    struct o_hand h;
    for (uint32_t i = 0; i < cnt; i++) {
        if (x_below(2))
            x_advance(2 * MS);
        int rc = o_receive_late(r, &h);
        if (rc == SHMQ_OK)
            (void)o_release(r, &h);
        else if (rc == SHMQ_ERR_STALE || !x_idle())
            return;
    }
}

static void expire_thread(uint32_t who)
{
    if (who <= 2)
        slowly(&side.reader[who], 4);
    else if (who == 5)
        slowly(&side.exclusive, 4);
    else if (who == 4)
        p_produce(side.producer, 0, 2, 1);
    else
        for (uint32_t i = 0; i < 4 && x_idle(); i++)
            o_letters_safe();
}

static void expire_end(void)
{
    struct shmq_consumer_options o = o_options("x", SHMQ_GROUP_EXCLUSIVE, 0);
    struct o_reader r;
    o_check_buried(0);
    o_check_buried(1);
    oracle.letters_refused = 0;
    for (uint32_t i = 1; i <= 3; i++)
        look_on(&side.reader[i], i);
    look_on(&side.exclusive, 5);
    for (uint32_t i = 1; i <= 3; i++)
        p_close(i, &side.reader[i]);
    p_close(5, &side.exclusive);
    p_bury();
    x_advance(5 * MS);
    drain(&side.reader[0]);
    if (o_reader_try(0, &o, 1, &r) != SHMQ_OK)
        x_fail("the role does not pass: %s", shmq_error_text());
    drain(&r);
    o_check_buried(0);
    o_check_buried(1);
    o_count_letters();
    p_finish_shared(&side.reader[0]);
    o_check_done(1, 0);
}

const struct x_scenario x_expire = {"expire",
    "records grow too old for a shared and an exclusive group",
    DEAD_SETUP(SHMQ_TOPIC_TTL_DEAD_LETTER), 5, 0x36, 0x36, expire_begin,
    expire_thread, expire_end, &side, sizeof side};
