/* scenario_groups.c - groups that come and go: made by several at once,
 * removed under their members, made again, reset, absent. */
#include <string.h>

#include "parts.h"
#include "words.h"

static struct {
    struct shmq_producer *producer;
    struct o_reader reader[6];
    uint32_t next_group;
} side;

static void groups_begin(void)
{
    x_as(1);
    side.producer = o_producer(1, 0);
    (void)o_publish(side.producer, 0, 1);
    (void)o_publish(side.producer, 0, 2);
}

/* What may come back when groups change under one's feet. */
static bool is_flux(int rc)
{
    return rc == SHMQ_ERR_BUSY || rc == SHMQ_ERR_NOENT ||
        rc == SHMQ_ERR_EXISTS || rc == SHMQ_ERR_LIMIT || rc == SHMQ_ERR_STALE ||
        rc == SHMQ_ERR_CLOSED;
}

static void flux(const char *what, int rc)
{
    if (rc != SHMQ_OK && !is_flux(rc))
        x_fail("%s: %s (%s)", what, shmq_err_name(rc), shmq_error_text());
}

/* Joins (or makes) a group of the name, reads a little, leaves. Each time it is
 * a group of its own for the oracle: nothing is known of which one it is. */
static void visit(const char *name, uint32_t kind, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        struct shmq_consumer_options o = o_options(name, kind, 0);
        struct o_reader r;
        uint32_t group = x_who() % O_GROUPS;
        memset(&oracle.groups[group], 0, sizeof oracle.groups[group]);
        int rc = o_reader_try(x_who(), &o, group, &r);
        flux("visit", rc);
        if (rc)
            continue;
        /* It may be another by now, or none. */
        oracle.groups[group].flux = oracle.groups[group].lossy = true;
        (void)p_consume(&r, 2);
        x_call(X_STEPS);
        shmq_consumer_close(r.consumer);
    }
}

static void remove_and_make(const char *name, uint32_t kind)
{
    struct shmq_group_attrs a = {sizeof a, kind, 0, 0, 0, NULL};
    x_call(X_STEPS);
    flux("remove", shmq_group_remove(x_topic(x_who()), name, SHMQ_GROUP_FORCE));
    x_call(X_STEPS);
    flux("create", shmq_group_create(x_topic(x_who()), name, &a, NULL));
    x_call(X_STEPS);
    flux("remove", shmq_group_remove(x_topic(x_who()), name, 0));
}

static void cycle_thread(uint32_t who)
{
    uint32_t kind = SHMQ_GROUP_SHARED;
    if (who == 1)
        p_produce(side.producer, 0, 5, 2);
    else if (who <= 3)
        visit("g", kind, 2);
    else
        remove_and_make("g", kind);
}

/* Once the group is gone nothing is left that holds anybody up. */
static void cycle_end(void)
{
    p_bury();
    for (uint32_t i = 0; i < 2; i++) {
        x_call(X_STEPS);
        int rc = shmq_group_remove(x_topic(0), "g", SHMQ_GROUP_FORCE);
        if (rc != SHMQ_OK && rc != SHMQ_ERR_NOENT)
            x_fail("remove: %s", shmq_err_name(rc));
    }
    p_bury(); /* sweeps */
    struct shmqi_ring *r = x_ring();
    for (uint32_t i = 0; i < r->group_cnt; i++) {
        uint64_t w = x_memory_newest(&r->groups[i].word);
        if ((w >> 32 & 15) != 0)
            x_fail("entry %u is still there: %#llx", i, (unsigned long long)w);
    }
    struct o_reader reader = o_reader(0, "g", 0, SHMQ_GROUP_SHARED, 0);
    memset(&oracle.groups[0], 0, sizeof oracle.groups[0]);
    oracle.groups[0].shared = true;
    (void)o_drain(&reader);
    p_fill(&reader, 7);
}

const struct x_scenario x_group_cycle = {"group-cycle",
    "a shared group is removed under its members and made again",
    {SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 4, 256, 2, 5, 1, 0, 0, 0}, 4,
    EVERYBODY, EVERYBODY, groups_begin, cycle_thread, cycle_end, &side,
    sizeof side};

static void cycle_exclusive_thread(uint32_t who)
{
    uint32_t kind = SHMQ_GROUP_EXCLUSIVE;
    if (who == 1)
        p_produce(side.producer, 0, 5, 2);
    else if (who <= 3)
        visit("g", kind, 2);
    else
        remove_and_make("g", kind);
}

const struct x_scenario x_group_cycle_x = {"group-cycle-x",
    "the same with an exclusive group",
    {SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 4, 256, 2, 5, 1, 0, 0, 0}, 4,
    EVERYBODY, EVERYBODY, groups_begin, cycle_exclusive_thread, cycle_end,
    &side, sizeof side};

/* -- made by several at once
 * --------------------------------------------------- */

static void create_begin(void)
{
    x_as(1);
    side.producer = o_producer(1, 0);
    (void)o_publish(side.producer, 0, 1);
}

/* All join one group, whoever made it: together they miss nothing. */
static void create_thread(uint32_t who)
{
    if (who == 1) {
        p_produce(side.producer, 0, 4, 1);
        return;
    }
    struct shmq_consumer_options o = o_options("g", SHMQ_GROUP_SHARED, 0);
    int rc = o_reader_try(who, &o, 0, &side.reader[who]);
    if (rc)
        x_fail("join: %s (%s)", shmq_err_name(rc), shmq_error_text());
    (void)p_consume(&side.reader[who], 2);
}

static void create_end(void)
{
    uint64_t first = UINT64_MAX;
    p_bury();
    struct o_reader r = o_reader(0, "g", 0, SHMQ_GROUP_SHARED, 0);
    (void)o_drain(&r);
    for (uint32_t i = 0; i < oracle.cnt[0]; i++)
        if (oracle.groups[0].marks[0][i].handed &&
            oracle.records[0][i].published == O_YES &&
            oracle.records[0][i].position < first)
            first = oracle.records[0][i].position;
    o_check_done(0, first);
    uint32_t cnt = 0;
    struct shmq_group_stat st;
    x_call(X_STEPS);
    X_TRUE(shmq_topic_groups(x_topic(0), &st, 1, &cnt) == SHMQ_OK && cnt == 1);
}

const struct x_scenario x_group_create = {"group-create",
    "three make and join one group at once while a producer publishes",
    {SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 4, 512, 1, 5, 2, 0, 0, 0}, 4,
    EVERYBODY, EVERYBODY, create_begin, create_thread, create_end, &side,
    sizeof side};

/* -- half made
 * ------------------------------------------------------------------------ */

#define HALF_MADE_NS 40000000u

static void half_made_begin(void)
{
    x_as(1);
    side.producer = o_producer(1, 0);
}

static bool any_group_exists(void)
{
    struct shmqi_ring *r = x_ring();
    for (uint32_t i = 0; i < r->group_cnt; i++) {
        uint32_t state =
            shmqi_gword_unpack(x_memory_newest(&r->groups[i].word)).state;
        if (state == SHMQI_GROUP_READY || state == SHMQI_GROUP_ABSENT)
            return true;
    }
    return false;
}

/* Nobody reads. Only a group that was made may hold the producer up. */
static void half_made_thread(uint32_t who)
{
    struct shmq_start start = {SHMQ_START_EARLIEST, 0, 0};
    if (who != 1) {
        start.kind = who == 2 ? SHMQ_START_EARLIEST : SHMQ_START_LATEST;
        x_call(X_STEPS);
        flux("create", shmq_group_create(x_topic(who), "g", NULL, &start));
        x_call(X_STEPS);
        flux("remove", shmq_group_remove(x_topic(who), "g", 0));
        return;
    }
    for (uint32_t i = 0; i < 10; i++) {
        int rc = o_publish_wait(side.producer, 0, 1, x_run.now + HALF_MADE_NS);
        if (rc == SHMQ_OK)
            continue;
        if (!any_group_exists())
            x_fail("held up by a group that was never made: %s",
                shmq_err_name(rc));
        return;
    }
}

static void half_made_end(void)
{
    p_bury();
    x_call(X_STEPS);
    int rc = shmq_group_remove(x_topic(0), "g", 0);
    if (rc != SHMQ_OK && rc != SHMQ_ERR_NOENT)
        x_fail("remove: %s", shmq_err_name(rc));
    p_bury(); /* sweeps */
    struct shmqi_ring *r = x_ring();
    for (uint32_t i = 0; i < r->group_cnt; i++) {
        uint64_t w = x_memory_newest(&r->groups[i].word);
        if ((w >> 32 & 15) != 0)
            x_fail("entry %u is still there: %#llx", i, (unsigned long long)w);
    }
}

const struct x_scenario x_half_made = {"half-made",
    "two make groups and may stop half-way; the producer must not notice",
    {SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 4, 512, 1, 3, 1, 0, 0, 0}, 3,
    EVERYBODY & ~2u, EVERYBODY & ~2u, half_made_begin, half_made_thread,
    half_made_end, &side, sizeof side};

const struct x_scenario x_half_made_spsc = {"half-made-s",
    "the same on the spsc ring",
    {SHMQ_RING_SPSC, SHMQ_ON_FULL_BLOCK, 0, 256, 1, 3, 1, 0, 120, 0}, 3,
    EVERYBODY & ~2u, EVERYBODY & ~2u, half_made_begin, half_made_thread,
    half_made_end, &side, sizeof side};

/* -- reset
 * ------------------------------------------------------------------------- */

static void reset_begin(void)
{
    groups_begin();
    for (uint32_t i = 2; i <= 3; i++) {
        x_as(i);
        side.reader[i] = o_reader(i, "g", 0, SHMQ_GROUP_SHARED, 0);
    }
    oracle.groups[0].flux = oracle.groups[0].lossy = true;
}

static void reset_thread(uint32_t who)
{
    if (who == 1) {
        p_produce(side.producer, 0, 4, 2);
    } else if (who <= 3) {
        (void)p_consume(&side.reader[who], 2);
    } else {
        struct shmq_start start = {SHMQ_START_EARLIEST, 0, 0};
        x_call(X_STEPS);
        flux("reset",
            shmq_group_reset(x_topic(4), "g", &start, SHMQ_GROUP_FORCE));
        visit("g", SHMQ_GROUP_SHARED, 1);
    }
}

static void reset_end(void)
{
    p_close(2, &side.reader[2]); /* it may still look at old frames */
    p_close(3, &side.reader[3]);
    p_bury();
    struct o_reader r = o_reader(0, "g", 2, SHMQ_GROUP_SHARED, 0);
    (void)o_drain(&r);
    /* Published after everything: the group, old or new, has it. */
    struct shmq_producer *p = o_producer(0, 7);
    X_TRUE(o_publish(p, 7, 1) == SHMQ_OK);
    X_TRUE(o_drain(&r) == 1);
}

const struct x_scenario x_group_reset = {"group-reset",
    "a group is reset under its members",
    {SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 4, 256, 2, 5, 1, 0, 0, 0}, 4,
    EVERYBODY, EVERYBODY, reset_begin, reset_thread, reset_end, &side,
    sizeof side};

/* -- absent
 * ------------------------------------------------------------------------- */

static void absent_begin(void)
{
    struct shmq_consumer_options o = o_options("g", SHMQ_GROUP_SHARED, 0);
    groups_begin();
    o.attrs.absent = SHMQ_ABSENT_RELEASE;
    x_as(2);
    X_TRUE(o_reader_try(2, &o, 0, &side.reader[2]) == SHMQ_OK);
    oracle.groups[0].lossy = oracle.groups[0].flux = true;
}

static void absent_thread(uint32_t who)
{
    struct shmq_consumer_options o = o_options("g", SHMQ_GROUP_SHARED, 0);
    struct o_reader r;
    if (who == 1) {
        p_produce(side.producer, 0, 6, 2);
    } else if (who == 2) {
        (void)p_consume(&side.reader[2], 1);
        x_call(X_STEPS);
        shmq_consumer_close(side.reader[2].consumer);
    } else {
        int rc = o_reader_try(who, &o, 0, &r);
        flux("return", rc);
        if (rc)
            return;
        (void)p_consume(&r, 2);
        x_call(X_STEPS);
        shmq_consumer_close(r.consumer);
    }
}

static void absent_end(void)
{
    p_bury();
    struct o_reader r = o_reader(0, "g", 0, SHMQ_GROUP_SHARED, 0);
    (void)o_drain(&r);
    p_fill(&r, 7);
}

const struct x_scenario x_absent = {"absent",
    "a group stops gating when its last member goes, and comes back",
    {SHMQ_RING_MPMC, SHMQ_ON_FULL_BLOCK, 4, 256, 2, 5, 1, 0, 0, 0}, 4,
    EVERYBODY, EVERYBODY, absent_begin, absent_thread, absent_end, &side,
    sizeof side};
