/* Levels, read-only, what the drain and its clients tell each other. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "segment.h"
#include "support/proc.h"
#include "support/small_shmqd.h"
#include "support/unit.h"
#include "topic_impl.h"
#include "watermarks.h"

static struct shmq_topic_attrs small_ring(void)
{
    return t_mpmc(16, 16384);
}

TEST(a_level_is_reached_when_the_drain_has_told)
{
    struct shmq_topic_attrs a = small_ring();
    struct small *d = small_start("t", &a);
    struct shmq_topic *t = t_open("t");
    struct shmq_producer *p = t_producer(t);
    uint64_t pos = t_publish(p, 1, 16);
    T_OK(shmq_producer_level_wait(p, pos, SHMQ_LEVEL_PUBLISHED, 0));
    T_RC(shmq_producer_level_wait(p, pos, SHMQ_LEVEL_WRITTEN, 0),
        SHMQ_ERR_TIMEOUT);
    T_RC(shmq_topic_level_wait(
             t, pos, SHMQ_LEVEL_DURABLE, shmq_deadline(30 * T_MS)),
        SHMQ_ERR_TIMEOUT);
    T_SAYS("slow or full");
    d->lazy = true;
    T_EQ(small_turn(d), 1);
    T_OK(shmq_producer_level_wait(p, pos, SHMQ_LEVEL_WRITTEN, 0));
    T_RC(shmq_producer_level_wait(p, pos, SHMQ_LEVEL_DEFAULT, 0),
        SHMQ_ERR_TIMEOUT);
    small_flush(d);
    T_OK(shmq_producer_level_wait(p, pos, SHMQ_LEVEL_DEFAULT, 0));
    T_RC(shmq_producer_level_wait(p, pos, 9, 0), SHMQ_ERR_INVAL);
    struct shmq_watermarks w = {.struct_bytes = sizeof w};
    T_OK(shmq_topic_watermarks(t, &w));
    T_EQ(w.published, w.durable);
    T_EQ(w.served, 1);
    small_kill(d);
    T_OK(shmq_topic_watermarks(t, &w));
    T_EQ(w.served, 0);
    pos = t_publish(p, 2, 16);
    T_RC(shmq_producer_level_wait(
             p, pos, SHMQ_LEVEL_DURABLE, shmq_deadline(30 * T_MS)),
        SHMQ_ERR_TIMEOUT);
    T_SAYS("does not serve");
    small_again(d);
    T_EQ(small_turn(d), 1);
    small_flush(d);
    T_OK(shmq_producer_level_wait(p, pos, SHMQ_LEVEL_DURABLE, 0));
    shmq_producer_close(p);
    shmq_topic_close(t);
    small_end(d);
}

TEST(waiters_are_woken_long_before_their_sleep_ends)
{
    struct shmq_topic_attrs a = small_ring();
    struct small *d = small_start("t", &a);
    struct shmq_topic *t = t_open("t");
    struct shmq_producer *p = t_producer(t);
    uint64_t fast = 0;
    small_run(d);
    for (int i = 0; i < 100; i++) {
        uint64_t begin = t_now_ns();
        uint8_t data[16];
        t_fill(data, sizeof data, (uint64_t)i);
        T_OK(shmq_producer_publish_level_wait(p, data, sizeof data,
            SHMQ_LEVEL_DURABLE, shmq_deadline(T_PATIENCE), NULL));
        fast += t_now_ns() - begin < 20 * T_MS;
    }
    T_TRUE(fast >= 80);
    shmq_producer_close(p);
    shmq_topic_close(t);
    small_end(d);
}

TEST(a_full_ring_waits_for_the_drain_alone)
{
    struct shmq_topic_attrs a = small_ring();
    struct small *d = small_start("t", &a);
    struct shmq_topic *t = t_open("t");
    struct shmq_producer *p = t_producer(t);
    struct shmq_consumer *slow = t_shared(t, "slow");
    t_publish_run(p, 0, 16);
    T_RC(shmq_producer_publish(p, "x", 1, NULL), SHMQ_ERR_FULL);
    T_RC(shmq_producer_publish_wait(p, "x", 1, shmq_deadline(20 * T_MS), NULL),
        SHMQ_ERR_TIMEOUT);
    T_SAYS("shmqd");
    T_EQ(small_turn(d), 16);
    t_publish_run(p, 16, 16); /* though nobody has read anything */
    t_take_run(slow, 0, 16);
    T_EQ(small_turn(d), 16);
    t_take_run(slow, 16, 16);
    shmq_consumer_close(slow);
    shmq_producer_close(p);
    shmq_topic_close(t);
    small_end(d);
}

static void refuses(const struct shmq_topic_attrs *a)
{
    struct small *d = small_start("t", a);
    struct shmq_topic *t = t_open("t");
    struct shmq_producer *p = t_producer(t);
    uint64_t pos = t_publish(p, 1, 16);
    shmqi_drain_set_state(d->drain, SHMQ_DURABLE_READ_ONLY);
    T_RC(shmq_producer_publish(p, "x", 1, NULL), SHMQ_ERR_READ_ONLY);
    T_RC(shmq_producer_publish_wait(p, "x", 1, shmq_deadline(T_PATIENCE), NULL),
        SHMQ_ERR_READ_ONLY);
    T_RC(shmq_producer_level_wait(
             p, pos, SHMQ_LEVEL_DURABLE, shmq_deadline(T_PATIENCE)),
        SHMQ_ERR_DURABILITY_FAILED);
    shmqi_drain_set_state(d->drain, SHMQ_DURABLE_OK);
    T_TRUE(t_publish(p, 2, 16) > pos);
    T_EQ(small_turn(d) > 0, 1);
    T_OK(shmq_producer_level_wait(p, pos, SHMQ_LEVEL_DURABLE, 0));
    shmq_producer_close(p);
    shmq_topic_close(t);
    small_end(d);
}

TEST(a_read_only_topic_refuses_at_once)
{
    struct shmq_topic_attrs a = small_ring();
    refuses(&a);
}

TEST(a_read_only_spsc_topic_refuses_at_once)
{
    struct shmq_topic_attrs a = t_spsc(8192);
    refuses(&a);
}

TEST(a_commit_waits_until_the_place_is_journaled)
{
    struct shmq_topic_attrs a = small_ring();
    struct small *d = small_start("t", &a);
    struct shmq_topic *t = t_open("t");
    struct shmq_producer *p = t_producer(t);
    struct shmq_consumer *s = t_shared(t, "s"), *x = t_exclusive(t, "x");
    struct shmq_consumer *e = t_ephemeral(t, SHMQ_START_EARLIEST);
    uint64_t safe = 0;
    t_publish_run(p, 0, 5);
    (void)small_turn(d);
    t_take_run(s, 0, 3);
    t_take_run(x, 0, 5);
    uint64_t asked = shmqi_drain_commits(d->drain);
    T_RC(shmq_consumer_commit_wait(s, shmq_deadline(10 * T_MS), NULL),
        SHMQ_ERR_TIMEOUT);
    T_TRUE(shmqi_drain_commits(d->drain) > asked);
    small_journal(d);
    T_OK(shmq_consumer_commit_wait(s, shmq_deadline(T_PATIENCE), &safe));
    T_EQ(safe, 3ull << 12);
    T_RC(shmq_consumer_commit_wait(x, 1, NULL), SHMQ_ERR_TIMEOUT);
    small_journal(d); /* the floor that the commit has told */
    T_OK(shmq_consumer_commit_wait(x, shmq_deadline(T_PATIENCE), &safe));
    T_EQ(safe, 5ull << 12);
    T_RC(shmq_consumer_commit_wait(e, 0, NULL), SHMQ_ERR_INVAL);
    t_take_run(s, 3, 2);
    small_run(d);
    T_OK(shmq_consumer_commit_wait(s, shmq_deadline(T_PATIENCE), &safe));
    T_EQ(safe, 5ull << 12);
    small_kill(d);
    t_publish_run(p, 5, 1);
    shmq_consumer_close(e);
    shmq_consumer_close(x);
    shmq_consumer_close(s);
    shmq_producer_close(p);
    shmq_topic_close(t);
    small_end(d);
}

/* Members can write floors; the journal must not believe them. */
TEST(a_scribbled_floor_is_not_journaled_beyond_what_is_safe)
{
    struct shmq_topic_attrs a = small_ring();
    struct small *d = small_start("t", &a);
    struct shmq_topic *t = t_open("t");
    struct shmq_producer *p = t_producer(t);
    struct shmq_consumer *s = t_shared(t, "s");
    t_publish_run(p, 0, 3);
    (void)small_turn(d);
    t_publish_run(p, 3, 3);
    struct shmqi_group_shm *g = &t->segment->ring.groups[0];
    for (uint64_t bits = 0; bits < 52; bits++) {
        atomic_store(&g->floor, 1ull << bits);
        atomic_store(&g->seen, ~0ull >> bits);
        atomic_store(&g->next, ~0ull << bits);
        small_journal(d);
        T_EQ(d->group_cnt, 1);
        T_TRUE(d->groups[0].floor <= d->end);
        T_TRUE(d->groups[0].next >= d->groups[0].floor);
        T_TRUE(d->groups[0].next <= 6ull << 12);
    }
    shmq_consumer_close(s);
    shmq_producer_close(p);
    shmq_topic_close(t);
    small_end(d);
}

TEST(one_daemon_serves_a_topic)
{
    struct shmq_topic_attrs a = small_ring();
    struct small *d = small_start("t", &a);
    struct shmqi_drain *second = NULL;
    struct shmqi_durable_info info;
    T_RC(shmqi_drain_open(t_ns, "t", &second), SHMQ_ERR_BUSY);
    T_TRUE(second == NULL);
    T_OK(shmqi_durable_look(t_ns, "t", &info));
    T_TRUE(info.served && info.marks);
    T_EQ(info.durability, SHMQ_DURABILITY_DISK);
    T_RC(shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE), SHMQ_ERR_BUSY);
    T_SAYS("--data");
    small_kill(d);
    T_OK(shmqi_durable_look(t_ns, "t", &info));
    T_TRUE(!info.served);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    T_EQ(t_file_cnt(), 0);
    small_end(d);
}

TEST(without_a_daemon_a_durable_topic_is_not_made)
{
    struct shmq_topic_attrs a = small_ring();
    a.durability = SHMQ_DURABILITY_DISK;
    uint64_t begin = t_now_ns();
    T_RC(shmq_topic_create(t_ns, "t", &a), SHMQ_ERR_NODAEMON);
    T_TRUE(t_now_ns() - begin >= 1900 * T_MS);
    T_EQ(t_file_cnt(), 0);
}

/* The marks belong to one ring: those of another life are never taken. */
TEST(a_watermark_file_that_is_missing_or_of_another_ring_is_refused)
{
    struct shmq_topic_attrs a = small_ring();
    struct small *d = small_start("t", &a);
    struct shmq_topic *t = NULL;
    small_kill(d);
    const char *path = t_path('m', "t");
    int fd = open(path, O_RDWR);
    uint64_t was, other = 1;
    T_TRUE(pread(fd, &was, 8, 16) == 8);
    T_TRUE(pwrite(fd, &other, 8, 16) == 8);
    T_RC(shmq_topic_open(t_ns, "t", &t), SHMQ_ERR_LAYOUT);
    T_TRUE(pwrite(fd, &was, 8, 16) == 8);
    T_OK(shmq_topic_open(t_ns, "t", &t));
    shmq_topic_close(t);
    T_TRUE(ftruncate(fd, 1000) == 0);
    (void)close(fd);
    T_RC(shmq_topic_open(t_ns, "t", &t), SHMQ_ERR_LAYOUT);
    T_TRUE(unlink(path) == 0);
    T_RC(shmq_topic_open(t_ns, "t", &t), SHMQ_ERR_LAYOUT);
    T_OK(shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE));
    T_EQ(t_file_cnt(), 0);
    small_end(d);
}

static _Atomic int resets; /* -1: enough */

static void *reset_all_the_time(void *topic)
{
    struct shmq_start start = {.kind = SHMQ_START_POSITION};
    while (resets >= 0) {
        int was = resets;
        T_OK(shmq_group_reset(topic, "g", &start, 0));
        if (was >= 0)
            (void)atomic_compare_exchange_strong(&resets, &was, was + 1);
    }
    return NULL;
}

/* What a reset makes anew while it is read is not known to be gone. */
TEST(a_group_that_is_reset_is_never_missing)
{
    struct shmq_topic_attrs a = small_ring();
    struct small *d = small_start("t", &a);
    struct shmq_topic *t = t_open("t");
    struct shmq_group_attrs group = {.struct_bytes = sizeof group};
    struct shmq_start start = {.kind = SHMQ_START_EARLIEST};
    struct shmqi_group_place places[16];
    pthread_t thread;
    long found = 0;
    T_OK(shmq_group_create(t, "g", &group, &start));
    resets = 0;
    T_EQ(pthread_create(&thread, NULL, reset_all_the_time, t), 0);
    while (resets < 3000) {
        bool all;
        uint32_t cnt = shmqi_drain_groups(d->drain, places, 16, &all);
        T_TRUE(cnt == 1 || !all);
        found += cnt;
    }
    resets = -1;
    T_EQ(pthread_join(thread, NULL), 0);
    T_TRUE(found > 0);
    bool all;
    T_EQ(shmqi_drain_groups(d->drain, places, 0, &all), 0);
    T_TRUE(!all); /* no room to say */
    shmq_topic_close(t);
    small_end(d);
}

static const struct CMUnitTest tests[] = {
    T(a_level_is_reached_when_the_drain_has_told),
    T(a_group_that_is_reset_is_never_missing),
    T(waiters_are_woken_long_before_their_sleep_ends),
    T(a_full_ring_waits_for_the_drain_alone),
    T(a_read_only_topic_refuses_at_once),
    T(a_read_only_spsc_topic_refuses_at_once),
    T(a_commit_waits_until_the_place_is_journaled),
    T(a_scribbled_floor_is_not_journaled_beyond_what_is_safe),
    T(one_daemon_serves_a_topic),
    T(without_a_daemon_a_durable_topic_is_not_made),
    T(a_watermark_file_that_is_missing_or_of_another_ring_is_refused),
};

T_MAIN(tests)
