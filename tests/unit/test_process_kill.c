/* test_process_kill.c - processes killed or stopped at random points under
 * load. */
#include <sys/wait.h>

#include "support/unit.h"

#include <stdlib.h>

#include "support/proc.h"

#define RECORDS_MAX 4000000u

/* It was alive until it was killed: none of its checks had failed. */
static void bury(struct t_proc *proc)
{
    T_TRUE(WIFSIGNALED(t_bury(proc)));
}

/* Memory of parent and children, outside the library. */
struct shared {
    uint64_t acknowledged; /* records whose publish returned */
    uint64_t taken; /* records released by members */
    uint64_t lease_ns; /* of the shared group */
    uint64_t stale; /* releases that came too late */
    uint64_t again; /* deliveries beyond the first */
    unsigned char seen[]; /* per record: deliveries */
};

static void store(uint64_t *at, uint64_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static uint64_t load(uint64_t *at)
{
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static uint64_t size_of(uint64_t tag)
{
    return 8 + tag * 11 % 200;
}

/* Publishes tags from 0 on in every way there is, until killed. */
static int publish_for_ever(void *ctx)
{
    struct shared *shared = ctx;
    struct shmq_producer *producer = t_producer(t_open("t"));
    uint64_t tag = 0;

    t_tell(1);
    for (;;) {
        unsigned char data[3][208];
        if (tag % 4 == 1) {
            struct shmq_loan loan;
            T_OK(shmq_producer_loan_wait(
                producer, size_of(tag), NULL, 0, SHMQ_FOREVER, &loan));
            t_fill(loan.data, size_of(tag), tag);
            T_OK(shmq_producer_commit_wait(
                producer, &loan, size_of(tag), SHMQ_FOREVER, NULL));
            tag += 1;
        } else if (tag % 4 == 0) {
            t_fill(data[0], size_of(tag), tag);
            T_OK(shmq_producer_publish_wait(
                producer, data[0], size_of(tag), SHMQ_FOREVER, NULL));
            tag += 1;
        } else {
            struct shmq_record records[2];
            memset(records, 0, sizeof(records));
            for (uint32_t i = 0; i < 2; i++) {
                t_fill(data[i], size_of(tag + i), tag + i);
                records[i].data = data[i];
                records[i].size = size_of(tag + i);
            }
            T_OK(shmq_producer_publish_batch_wait(
                producer, records, 2, SHMQ_FOREVER, NULL));
            tag += 2;
        }
        store(&shared->acknowledged, tag);
    }
    return 0;
}

/* Reads until nothing comes; the tags of the live producer go on from
 * *next. */
static void read_all(struct shmq_consumer *c, uint64_t *next)
{
    struct shmq_message msg;
    int rc;

    while ((rc = shmq_consumer_receive(c, &msg)) == 0) {
        T_CARRIES(&msg, *next, size_of(*next));
        T_EQ(msg.sequence, *next);
        (*next)++;
        T_OK(shmq_consumer_release(c, &msg));
    }
    T_RC(rc, SHMQ_ERR_EMPTY);
}

static void kill_producers(
    const struct shmq_topic_attrs *attrs, uint32_t rounds)
{
    struct shared *shared = t_shared_memory(sizeof(*shared));
    struct shmq_topic *topic = t_topic("t", attrs);
    struct shmq_consumer *c = t_exclusive(topic, "x");
    uint64_t rnd = t_seed_say("kill producers");

    for (uint32_t round = 0; round < rounds; round++) {
        struct t_proc proc;
        uint64_t end_ns;
        uint64_t next = 0;
        store(&shared->acknowledged, 0);
        t_spawn(&proc, publish_for_ever, shared);
        (void)t_recv(&proc);
        end_ns = t_now_ns() + t_below(&rnd, 4000000);
        while (t_now_ns() < end_ns)
            read_all(c, &next);
        t_kill(&proc);
        read_all(c, &next);
        T_TRUE(next >= load(&shared->acknowledged));
        T_TRUE(next <= load(&shared->acknowledged) + 2);
        bury(&proc);
    }
    shmq_consumer_close(c);
    shmq_topic_close(topic);
}

TEST(a_killed_producer_loses_nothing_and_tears_nothing)
{
    struct shmq_topic_attrs attrs = t_mpmc(64, 16384);

    attrs.max_producers = 2; /* arenas are adopted again and again */
    kill_producers(&attrs, 60);
}

TEST(a_killed_spsc_producer_loses_nothing_and_tears_nothing)
{
    struct shmq_topic_attrs attrs = t_spsc(8192);

    kill_producers(&attrs, 60);
}

TEST(dead_producers_use_up_no_limit_while_their_records_are_unread)
{
    struct shmq_topic_attrs attrs = t_mpmc(4096, 8192);
    struct shared *shared = t_shared_memory(sizeof(*shared));
    struct shmq_topic *topic;
    struct shmq_consumer *c;
    uint64_t rnd = t_seed_say("unread records");
    uint64_t totals = 0;
    uint64_t got = 0;
    struct shmq_message msg;
    int rc;

    attrs.max_producers = 2;
    topic = t_topic("t", &attrs);
    c = t_exclusive(topic, "x");
    for (uint32_t round = 0; round < 40; round++) {
        struct t_proc proc;
        store(&shared->acknowledged, 0);
        t_spawn(&proc, publish_for_ever, shared);
        (void)t_recv(&proc);
        t_sleep_ns(t_below(&rnd, 500000));
        t_kill(&proc);
        bury(&proc);
        totals += load(&shared->acknowledged);
        if (round % 8 != 7)
            continue;
        while ((rc = shmq_consumer_receive(c, &msg)) == 0) {
            T_CARRIES(&msg, t_tag(&msg), size_of(t_tag(&msg)));
            T_OK(shmq_consumer_release(c, &msg));
            got++;
        }
        T_RC(rc, SHMQ_ERR_EMPTY);
    }
    T_TRUE(got >= totals && got <= totals + 2 * 40);
    shmq_consumer_close(c);
    shmq_topic_close(topic);
}

/* -- members ------------------------------------------------------------- */

static int consume_for_ever(void *ctx)
{
    struct shared *shared = ctx;
    struct shmq_consumer_options options = t_options("s", SHMQ_GROUP_SHARED);
    struct shmq_consumer *c;
    struct shmq_message msg;

    options.attrs.max_attempts = 100;
    options.attrs.lease_ns = shared->lease_ns;
    options.prefetch_frames = 3;
    c = t_consumer(t_open("t"), &options);
    t_tell(1);
    for (;;) {
        unsigned char before;
        int rc;
        T_OK(shmq_consumer_receive_wait(c, SHMQ_FOREVER, &msg));
        T_CARRIES(&msg, t_tag(&msg), size_of(t_tag(&msg)));
        T_TRUE(t_tag(&msg) < RECORDS_MAX);
        before =
            __atomic_fetch_add(&shared->seen[t_tag(&msg)], 1, __ATOMIC_SEQ_CST);
        if (before > 0) {
            /* Without a lease; with one a late first owner may count late. */
            T_TRUE(shared->lease_ns != 0 ||
                (msg.flags & SHMQ_MESSAGE_REDELIVERED) != 0);
            (void)__atomic_fetch_add(&shared->again, 1, __ATOMIC_SEQ_CST);
        }
        rc = shmq_consumer_release(c, &msg);
        if (rc == SHMQ_ERR_STALE && shared->lease_ns != 0)
            (void)__atomic_fetch_add(&shared->stale, 1, __ATOMIC_SEQ_CST);
        else
            T_OK(rc);
        (void)__atomic_fetch_add(&shared->taken, 1, __ATOMIC_SEQ_CST);
    }
    return 0;
}

/* Stops one process after the other for a moment; then everything published
 * has been delivered: without a lease exactly once. */
static void stop_at_random(uint64_t lease_ns, uint32_t stops)
{
    struct shared *shared = t_shared_memory(sizeof(*shared) + RECORDS_MAX);
    struct shmq_topic_attrs attrs = t_mpmc(64, 16384);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_group_attrs group;
    struct shmq_consumer_options options = t_options("s", SHMQ_GROUP_SHARED);
    uint64_t rnd = t_seed_say("stops");
    struct t_proc procs[4];
    struct shmq_consumer *last;
    uint64_t published;

    shared->lease_ns = lease_ns;
    memset(&group, 0, sizeof(group));
    group.struct_bytes = sizeof(group);
    group.max_attempts = 100;
    group.lease_ns = lease_ns;
    T_OK(shmq_group_create(topic, "s", &group, NULL));
    t_spawn(&procs[0], publish_for_ever, shared);
    for (uint32_t i = 1; i < 4; i++)
        t_spawn(&procs[i], consume_for_ever, shared);
    for (uint32_t i = 0; i < 4; i++)
        (void)t_recv(&procs[i]);
    for (uint32_t i = 0; i < stops; i++) {
        struct t_proc *victim = &procs[t_below(&rnd, 4)];
        uint64_t taken = load(&shared->taken);
        t_stop(victim);
        if (lease_ns != 0 && i % 4 == 0)
            t_sleep_ns(2 * lease_ns);
        else if (victim != &procs[0])
            t_sleep_ns(t_below(&rnd, 2000000));
        t_cont(victim);
        T_EVENTUALLY(load(&shared->taken) > taken);
    }
    t_kill(&procs[0]);
    bury(&procs[0]);
    last = t_consumer(topic, &options);
    T_EVENTUALLY(shmq_consumer_drained(last) == 1);
    published = load(&shared->acknowledged);
    T_TRUE(published < RECORDS_MAX);
    for (uint64_t tag = 0; tag < published; tag++)
        T_TRUE(shared->seen[tag] >= 1);
    if (lease_ns == 0)
        T_EQ(load(&shared->again), 0);
    T_TRUE(load(&shared->stale) <= load(&shared->again) + 8);
    shmq_consumer_close(last);
    for (uint32_t i = 1; i < 4; i++) {
        t_kill(&procs[i]);
        bury(&procs[i]);
    }
    shmq_topic_close(topic);
}

TEST(stopped_members_and_producers_lose_and_double_nothing)
{
    stop_at_random(0, 200);
}

TEST(members_stopped_beyond_their_lease_lose_nothing)
{
    stop_at_random(20 * T_MS, 100);
}

TEST(killed_members_lose_nothing_and_redeliveries_are_flagged)
{
    struct shared *shared = t_shared_memory(sizeof(*shared) + RECORDS_MAX);
    struct shmq_topic_attrs attrs = t_mpmc(64, 16384);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_group_attrs group;
    struct shmq_group_stat stat;
    uint64_t rnd = t_seed_say("kill members");
    struct t_proc producer;
    struct t_proc members[3];
    struct shmq_consumer *last;
    uint64_t published;

    memset(&group, 0, sizeof(group));
    group.struct_bytes = sizeof(group);
    group.max_attempts = 100;
    T_OK(shmq_group_create(topic, "s", &group, NULL));
    t_spawn(&producer, publish_for_ever, shared);
    for (uint32_t i = 0; i < 3; i++)
        t_spawn(&members[i], consume_for_ever, shared);
    for (uint32_t kills = 0; kills < 60; kills++) {
        struct t_proc *victim = &members[t_below(&rnd, 3)];
        uint64_t taken = load(&shared->taken);
        uint64_t end_ns = t_now_ns() + t_below(&rnd, 10000000);
        T_EVENTUALLY(load(&shared->taken) > taken && t_now_ns() > end_ns);
        t_kill(victim);
        bury(victim);
        t_spawn(victim, consume_for_ever, shared);
    }
    t_kill(&producer);
    bury(&producer);
    last = t_shared(topic, "s");
    T_EVENTUALLY(shmq_consumer_drained(last) == 1);
    for (uint32_t i = 0; i < 3; i++) {
        t_kill(&members[i]);
        bury(&members[i]);
    }
    t_expect_empty(last);
    published = load(&shared->acknowledged);
    T_TRUE(published < RECORDS_MAX);
    for (uint64_t tag = 0; tag < published; tag++)
        T_TRUE(shared->seen[tag] >= 1);
    T_TRUE(t_group_stat(topic, "s", &stat));
    T_EQ(stat.claimed, 0);
    T_EQ(stat.dead_lettered, 0);
    T_EQ(stat.lag_messages, 0);
    shmq_consumer_close(last);
    shmq_topic_close(topic);
}

static int consume_alone_for_ever(void *ctx)
{
    struct shared *shared = ctx;
    struct shmq_consumer *c = t_exclusive(t_open("t"), "x");
    struct shmq_message msg;
    bool first = true;
    uint64_t next = 0;

    t_tell(1);
    for (;;) {
        unsigned char before;
        T_OK(shmq_consumer_receive_wait(c, SHMQ_FOREVER, &msg));
        T_CARRIES(&msg, t_tag(&msg), size_of(t_tag(&msg)));
        T_TRUE(t_tag(&msg) < RECORDS_MAX);
        T_TRUE(first || t_tag(&msg) == next);
        before =
            __atomic_fetch_add(&shared->seen[t_tag(&msg)], 1, __ATOMIC_SEQ_CST);
        if (before > 0)
            T_TRUE(msg.flags & SHMQ_MESSAGE_REDELIVERED);
        else if (t_tag(&msg) > 0)
            T_TRUE(shared->seen[t_tag(&msg) - 1] > 0);
        next = t_tag(&msg) + 1;
        first = false;
        T_OK(shmq_consumer_release(c, &msg));
        (void)__atomic_fetch_add(&shared->taken, 1, __ATOMIC_SEQ_CST);
    }
    return 0;
}

static void kill_exclusive_readers(const struct shmq_topic_attrs *attrs)
{
    struct shared *shared = t_shared_memory(sizeof(*shared) + RECORDS_MAX);
    struct shmq_topic *topic = t_topic("t", attrs);
    uint64_t rnd = t_seed_say("kill readers");
    struct shmq_group_attrs group;
    struct t_proc producer;
    struct t_proc reader;
    struct shmq_consumer *last;
    struct shmq_message msg;
    uint64_t published;
    int rc;

    memset(&group, 0, sizeof(group));
    group.struct_bytes = sizeof(group);
    group.kind = SHMQ_GROUP_EXCLUSIVE;
    T_OK(shmq_group_create(topic, "x", &group, NULL));
    t_spawn(&producer, publish_for_ever, shared);
    for (uint32_t kills = 0; kills < 40; kills++) {
        uint64_t taken = load(&shared->taken);
        uint64_t end_ns = t_now_ns() + t_below(&rnd, 5000000);
        t_spawn(&reader, consume_alone_for_ever, shared);
        T_EVENTUALLY(load(&shared->taken) > taken && t_now_ns() > end_ns);
        t_kill(&reader);
        bury(&reader);
    }
    t_kill(&producer);
    bury(&producer);
    last = t_exclusive(topic, "x");
    while ((rc = shmq_consumer_receive(last, &msg)) == 0) {
        shared->seen[t_tag(&msg)] = 1;
        T_OK(shmq_consumer_release(last, &msg));
    }
    T_RC(rc, SHMQ_ERR_EMPTY);
    published = load(&shared->acknowledged);
    T_TRUE(published < RECORDS_MAX);
    for (uint64_t tag = 0; tag < published; tag++)
        T_TRUE(shared->seen[tag] >= 1);
    shmq_consumer_close(last);
    shmq_topic_close(topic);
}

TEST(killed_exclusive_readers_are_followed_without_loss)
{
    struct shmq_topic_attrs attrs = t_mpmc(64, 16384);

    kill_exclusive_readers(&attrs);
}

TEST(killed_spsc_readers_are_followed_without_loss)
{
    struct shmq_topic_attrs attrs = t_spsc(16384);

    kill_exclusive_readers(&attrs);
}

static int attach_and_die(void *ctx)
{
    struct shmq_topic *topic = t_open("t");

    (void)ctx;
    (void)t_producer(topic);
    (void)t_shared(topic, "s");
    (void)t_ephemeral(topic, SHMQ_START_LATEST);
    t_tell(1);
    t_wait_for_death();
}

TEST(endpoints_of_dead_processes_use_up_no_limit)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 4096);
    struct shmq_topic *topic;

    attrs.max_producers = 1;
    attrs.max_members = 2;
    attrs.max_groups = 1;
    topic = t_topic("t", &attrs);
    for (uint32_t i = 0; i < 20; i++) {
        struct t_proc proc;
        t_spawn(&proc, attach_and_die, NULL);
        T_EQ(t_recv(&proc), 1);
        t_kill(&proc);
        if (i % 2)
            bury(&proc);
    }
    T_EQ(t_stat(topic).producer_cnt, 0);
    T_EQ(t_stat(topic).member_cnt, 0);
    shmq_producer_close(t_producer(topic));
    shmq_topic_close(topic);
}

static const struct CMUnitTest tests[] = {
    T(a_killed_producer_loses_nothing_and_tears_nothing),
    T(a_killed_spsc_producer_loses_nothing_and_tears_nothing),
    T(dead_producers_use_up_no_limit_while_their_records_are_unread),
    T(stopped_members_and_producers_lose_and_double_nothing),
    T(members_stopped_beyond_their_lease_lose_nothing),
    T(killed_members_lose_nothing_and_redeliveries_are_flagged),
    T(killed_exclusive_readers_are_followed_without_loss),
    T(killed_spsc_readers_are_followed_without_loss),
    T(endpoints_of_dead_processes_use_up_no_limit),
};
T_MAIN(tests)
