/* Readers of durable topics: from the log, then from the ring, same positions;
 * what is missing is told. */
#include "support/small_shmqd.h"
#include "support/unit.h"

#include <sys/resource.h>

static struct shmq_topic_attrs mpmc_small(void)
{
    return t_mpmc(16, 16384);
}

static struct shmq_consumer *reader(
    struct shmq_topic *t, const char *group, uint32_t kind, uint32_t flags)
{
    struct shmq_consumer_options o = t_options(group, kind);
    o.flags |= flags;
    return t_consumer(t, &o);
}

/* Takes tags [first, first + cnt) in order, without a gap. */
static void take_all(struct shmq_consumer *c, uint64_t first, uint64_t cnt)
{
    struct shmq_message m;
    uint64_t last = 0;
    for (uint64_t i = 0; i < cnt; i++) {
        T_OK(shmq_consumer_receive(c, &m));
        T_CARRIES(&m, first + i, 16);
        T_TRUE(i == 0 || m.position > last);
        last = m.position;
        T_OK(shmq_consumer_release(c, &m));
    }
}

static struct shmq_gap gap_of(struct shmq_consumer *c)
{
    struct shmq_message m;
    struct shmq_gap g;
    T_RC(shmq_consumer_receive(c, &m), SHMQ_ERR_GAP);
    T_OK(shmq_consumer_gap(c, &g));
    return g;
}

/* 100 rings behind: producers never wait for the reader, it gets everything. */
static void far_behind(const struct shmq_topic_attrs *a, uint32_t kind)
{
    struct small *d = small_start("t", a);
    struct shmq_topic *t = t_open("t");
    struct shmq_producer *p = t_producer(t);
    struct shmq_consumer *c = reader(t, "g", kind, 0);
    const uint64_t cnt = a->ring == SHMQ_RING_SPSC ? 20000 : 1600;
    for (uint64_t i = 0; i < cnt; i++) {
        uint8_t data[16];
        t_fill(data, sizeof data, i);
        while (
            shmq_producer_publish(p, data, sizeof data, NULL) == SHMQ_ERR_FULL)
            T_TRUE(small_turn(d) > 0);
    }
    (void)small_turn(d);
    take_all(c, 0, cnt);
    T_EQ(t_stat(t).dropped_old, 0);
    /* And now from memory. */
    t_publish_run(p, 7, 3);
    (void)small_turn(d);
    take_all(c, 7, 3);
    t_expect_empty(c);
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(t);
    small_end(d);
}

TEST(an_exclusive_group_100_rings_behind_gets_everything)
{
    struct shmq_topic_attrs a = mpmc_small();
    far_behind(&a, SHMQ_GROUP_EXCLUSIVE);
}

TEST(a_shared_group_100_rings_behind_gets_everything)
{
    struct shmq_topic_attrs a = mpmc_small();
    far_behind(&a, SHMQ_GROUP_SHARED);
}

TEST(an_spsc_group_100_rings_behind_gets_everything)
{
    struct shmq_topic_attrs a = t_spsc(8192);
    far_behind(&a, SHMQ_GROUP_EXCLUSIVE);
}

TEST(a_group_made_late_begins_at_the_first_record_of_the_log)
{
    struct shmq_topic_attrs a = mpmc_small();
    struct small *d = small_start("t", &a);
    struct shmq_topic *t = t_open("t");
    struct shmq_producer *p = t_producer(t);
    for (uint64_t i = 0; i < 50; i++) {
        t_publish_run(p, i, 1);
        (void)small_turn(d);
    }
    struct shmq_consumer *c = reader(t, "late", SHMQ_GROUP_SHARED, 0);
    take_all(c, 0, 50);
    t_expect_empty(c);
    struct shmq_consumer *e = t_ephemeral(t, SHMQ_START_EARLIEST);
    take_all(e, 0, 50);
    t_expect_empty(e);
    shmq_consumer_close(e);
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(t);
    small_end(d);
}

TEST(named_groups_of_disk_topics_wait_for_durable)
{
    struct shmq_topic_attrs a = mpmc_small();
    struct small *d = small_start("t", &a);
    struct shmq_topic *t = t_open("t");
    struct shmq_producer *p = t_producer(t);
    struct shmq_consumer *g = reader(t, "g", SHMQ_GROUP_SHARED, 0);
    struct shmq_consumer *x = reader(t, "x", SHMQ_GROUP_EXCLUSIVE, 0);
    struct shmq_consumer *pub =
        reader(t, "p", SHMQ_GROUP_SHARED, SHMQ_CONSUMER_READ_PUBLISHED);
    struct shmq_consumer *e = t_ephemeral(t, SHMQ_START_EARLIEST);
    t_publish_run(p, 0, 3);
    t_expect_empty(g);
    t_expect_empty(x);
    take_all(pub, 0, 3);
    take_all(e, 0, 3);
    d->lazy = true;
    T_EQ(small_turn(d), 3);
    t_expect_empty(g); /* written only */
    t_expect_empty(x);
    small_flush(d);
    take_all(g, 0, 3);
    take_all(x, 0, 3);
    shmq_consumer_close(e);
    shmq_consumer_close(pub);
    shmq_consumer_close(x);
    shmq_consumer_close(g);
    shmq_producer_close(p);
    shmq_topic_close(t);
    small_end(d);
}

/* Positions go on, the hole is told, nothing comes twice or is skipped. */
/* One gap of so many frames, and none of another kind. */
static void expect_counted(
    struct shmq_topic *t, uint32_t reason, uint64_t frames)
{
    struct shmq_topic_stat st = t_stat(t);
    if (frames == 0) /* spsc: how many is not known */
        frames = 1;
    T_EQ(st.gap_retention, reason == SHMQ_GAP_RETENTION ? frames : 0);
    T_EQ(st.gap_truncated, reason == SHMQ_GAP_TRUNCATED ? frames : 0);
    T_EQ(st.gap_lost, reason == SHMQ_GAP_LOST ? frames : 0);
    T_EQ(st.dropped_corrupt, reason == SHMQ_GAP_CORRUPT ? frames : 0);
    T_EQ(st.dropped_old, 0);
}

static void reboots(const struct shmq_topic_attrs *a, uint32_t kind)
{
    struct small *d = small_start("t", a);
    struct shmq_topic *t = t_open("t");
    struct shmq_producer *p = t_producer(t);
    struct shmq_consumer *c = reader(t, "g", kind, 0);
    struct shmq_message m;
    t_publish_run(p, 0, 10);
    (void)small_turn(d);
    take_all(c, 0, 4);
    T_OK(shmq_consumer_receive(c, &m)); /* handed out, not done */
    uint64_t handed = m.position;
    shmq_consumer_close(c);
    small_journal(d);
    T_EQ(d->group_cnt, 1);
    t_publish_run(p, 10, 2); /* never durable */
    uint64_t lost = t_publish(p, 12, 16), end = d->end;
    shmq_producer_close(p);
    shmq_topic_close(t);
    small_reboot(d);
    t = t_open("t");
    p = t_producer(t);
    uint64_t again = t_publish(p, 20, 16);
    T_TRUE(again > lost);
    (void)small_turn(d);
    c = reader(t, "g", kind, 0);
    T_OK(shmq_consumer_receive(c, &m));
    T_CARRIES(&m, 4, 16);
    T_EQ(m.position, handed);
    T_TRUE(m.flags & SHMQ_MESSAGE_REDELIVERED);
    T_OK(shmq_consumer_release(c, &m));
    take_all(c, 5, 5);
    struct shmq_gap g = gap_of(c);
    T_EQ(g.reason, SHMQ_GAP_LOST);
    T_EQ(g.from, end);
    T_EQ(g.to, again);
    expect_counted(t, g.reason, g.frames);
    take_all(c, 20, 1);
    t_expect_empty(c);
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(t);
    small_end(d);
}

TEST(after_a_reboot_an_exclusive_group_goes_on_at_its_place)
{
    struct shmq_topic_attrs a = mpmc_small();
    reboots(&a, SHMQ_GROUP_EXCLUSIVE);
}

TEST(after_a_reboot_a_shared_group_goes_on_at_its_place)
{
    struct shmq_topic_attrs a = mpmc_small();
    reboots(&a, SHMQ_GROUP_SHARED);
}

TEST(after_a_reboot_an_spsc_group_goes_on_at_its_place)
{
    struct shmq_topic_attrs a = t_spsc(8192);
    reboots(&a, SHMQ_GROUP_EXCLUSIVE);
}

/* A group that had been handed more than survived is told so. */
static void truncates(uint32_t kind)
{
    struct shmq_topic_attrs a = mpmc_small();
    struct small *d = small_start("t", &a);
    struct shmq_topic *t = t_open("t");
    struct shmq_producer *p = t_producer(t);
    struct shmq_consumer *c =
        reader(t, "g", kind, SHMQ_CONSUMER_READ_PUBLISHED);
    t_publish_run(p, 0, 3);
    (void)small_turn(d);
    t_publish_run(p, 3, 2);
    take_all(c, 0, 5);
    uint64_t end = d->end;
    small_journal(d);
    T_EQ(d->groups[0].floor, end);
    T_TRUE(d->groups[0].next > end);
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(t);
    small_reboot(d);
    t = t_open("t");
    c = reader(t, "g", kind, SHMQ_CONSUMER_READ_PUBLISHED);
    struct shmq_gap g = gap_of(c);
    T_EQ(g.reason, SHMQ_GAP_TRUNCATED);
    T_EQ(g.from, end);
    expect_counted(t, g.reason, g.frames);
    t_expect_empty(c);
    shmq_consumer_close(c);
    shmq_topic_close(t);
    small_end(d);
}

TEST(what_an_exclusive_group_had_read_and_was_lost_is_truncated)
{
    truncates(SHMQ_GROUP_EXCLUSIVE);
}

TEST(what_a_shared_group_had_read_and_was_lost_is_truncated)
{
    truncates(SHMQ_GROUP_SHARED);
}

/* Five segments of `per` records each, and an empty one. */
static void five_segments(
    struct small *d, struct shmq_producer *p, uint64_t per)
{
    for (uint64_t s = 0; s < 5; s++) {
        for (uint64_t i = 0; i < per; i++) {
            t_publish_run(p, s * per + i, 1);
            (void)small_turn(d);
        }
        small_roll(d);
    }
}

/* From `next` on what was read ahead, one gap up to where the log begins, and
 * from `behind` on the rest. */
static struct shmq_gap take_past_a_gap(struct small *d, struct shmq_consumer *c,
    uint64_t next, uint64_t behind, uint64_t end)
{
    struct shmq_gap g = {0, 0, 0, 0, 0, 0};
    struct shmq_message m;
    uint64_t gaps = 0;
    for (int rc; (rc = shmq_consumer_receive(c, &m)) != SHMQ_ERR_EMPTY;) {
        if (rc == SHMQ_ERR_GAP) {
            T_OK(shmq_consumer_gap(c, &g));
            T_EQ(g.reason, SHMQ_GAP_RETENTION);
            T_TRUE(next <= behind);
            gaps++;
            next = behind;
            continue;
        }
        T_OK(rc);
        T_CARRIES(&m, next, 16);
        next++;
        T_OK(shmq_consumer_release(c, &m));
    }
    T_EQ(gaps, 1);
    T_EQ(next, end);
    T_EQ(g.to, d->begin[d->low_no]);
    return g;
}

static void retains(
    uint32_t kind, const struct shmq_topic_attrs *a, uint64_t per)
{
    struct small *d = small_start("t", a);
    struct shmq_topic *t = t_open("t");
    struct shmq_producer *p = t_producer(t);
    struct shmq_consumer *c = reader(t, "g", kind, 0);
    five_segments(d, p, per);
    take_all(c, 0, 10);
    small_retain(d, 3);
    struct shmq_gap g = take_past_a_gap(d, c, 10, 3 * per, 5 * per);
    expect_counted(t, g.reason, g.frames);
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(t);
    small_end(d);
}

TEST(what_retention_took_from_an_exclusive_group_is_one_gap)
{
    struct shmq_topic_attrs a = mpmc_small();
    retains(SHMQ_GROUP_EXCLUSIVE, &a, 20);
}

TEST(what_retention_took_from_a_shared_group_is_one_gap)
{
    struct shmq_topic_attrs a = mpmc_small();
    retains(SHMQ_GROUP_SHARED, &a, 20);
}

/* Slots for all of the records, memory for a quarter of them. */
static struct shmq_topic_attrs more_slots_than_memory(void)
{
    return t_mpmc(4096, 16384);
}

TEST(an_exclusive_group_passes_a_gap_whose_slots_are_still_there)
{
    struct shmq_topic_attrs a = more_slots_than_memory();
    retains(SHMQ_GROUP_EXCLUSIVE, &a, 200);
}

TEST(a_shared_group_passes_a_gap_whose_slots_are_still_there)
{
    struct shmq_topic_attrs a = more_slots_than_memory();
    retains(SHMQ_GROUP_SHARED, &a, 200);
}

TEST(seeking_finds_positions_and_times_in_history)
{
    struct shmq_topic_attrs a = mpmc_small();
    a.timestamps = SHMQ_TIMESTAMPS_RECORD;
    struct small *d = small_start("t", &a);
    struct shmq_topic *t = t_open("t");
    struct shmq_producer *p = t_producer(t);
    uint64_t pos[200];
    int64_t half = 0;
    for (uint64_t i = 0; i < 200; i++) {
        if (i == 100)
            half = t_wall_ns();
        pos[i] = t_publish(p, i, 16);
        (void)small_turn(d);
    }
    struct shmq_consumer *c = reader(t, "x", SHMQ_GROUP_EXCLUSIVE, 0);
    for (uint64_t i = 0; i < 200; i += 37) {
        struct shmq_start to = t_start(SHMQ_START_POSITION, pos[i]);
        T_OK(shmq_consumer_seek(c, &to));
        t_take(c, i, 16);
    }
    struct shmq_start to = t_start(SHMQ_START_TIME, (uint64_t)half);
    T_OK(shmq_consumer_seek(c, &to));
    take_all(c, 100, 100);
    t_expect_empty(c);
    to = t_start(SHMQ_START_EARLIEST, 0);
    T_OK(shmq_consumer_seek(c, &to));
    take_all(c, 0, 200);
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(t);
    small_end(d);
}

/* Before 2026-11-22 what was held counted as done when it failed. */
TEST(a_seek_that_fails_lets_go_of_nothing)
{
    struct shmq_topic_attrs a = mpmc_small();
    struct small *d = small_start("t", &a);
    struct shmq_topic *t = t_open("t");
    struct shmq_producer *p = t_producer(t);
    struct shmq_message held[3];
    struct rlimit old, none;
    for (uint64_t i = 0; i < 6; i++)
        t_publish(p, i, 16);
    (void)small_turn(d);
    struct shmq_consumer *c = reader(t, "x", SHMQ_GROUP_EXCLUSIVE, 0);
    for (uint64_t i = 0; i < 3; i++)
        T_OK(shmq_consumer_receive(c, &held[i]));
    T_OK(shmq_consumer_release(c, &held[0]));
    T_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = 0; /* nothing can be opened */
    T_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct shmq_start to = t_start(SHMQ_START_TIME, 1);
    int rc = shmq_consumer_seek(c, &to);
    T_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    T_RC(rc, SHMQ_ERR_SYS);
    /* It goes on as if nothing had been asked; and so does the next reader. */
    T_OK(shmq_consumer_release(c, &held[1]));
    t_take(c, 3, 16);
    shmq_consumer_close(c);
    c = reader(t, "x", SHMQ_GROUP_EXCLUSIVE, 0);
    take_all(c, 2, 4);
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(t);
    small_end(d);
}

TEST(seeking_in_an_spsc_topic_finds_records)
{
    struct shmq_topic_attrs a = t_spsc(8192);
    struct small *d = small_start("t", &a);
    struct shmq_topic *t = t_open("t");
    struct shmq_producer *p = t_producer(t);
    uint64_t pos[600];
    for (uint64_t i = 0; i < 600; i++) {
        pos[i] = t_publish(p, i, 16 + i % 50);
        if (i % 10 == 9)
            (void)small_turn(d);
    }
    struct shmq_consumer *c = reader(t, "x", SHMQ_GROUP_EXCLUSIVE, 0);
    for (uint64_t i = 0; i < 600; i += 7) {
        struct shmq_start to = t_start(SHMQ_START_POSITION, pos[i] + 8);
        T_OK(shmq_consumer_seek(c, &to));
        struct shmq_message m;
        if (i + 1 == 600)
            break;
        T_OK(shmq_consumer_receive(c, &m));
        T_CARRIES(&m, i + 1, 16 + (i + 1) % 50);
        T_EQ(m.position, pos[i + 1]);
        T_OK(shmq_consumer_release(c, &m));
        to.value = pos[i];
        T_OK(shmq_consumer_seek(c, &to));
        t_take(c, i, 16 + i % 50);
    }
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(t);
    small_end(d);
}

/* Several members share the history; nothing is lost or doubled. */
TEST(members_share_the_history)
{
    struct shmq_topic_attrs a = mpmc_small();
    struct small *d = small_start("t", &a);
    struct shmq_topic *t = t_open("t");
    struct shmq_producer *p = t_producer(t);
    struct shmq_consumer *c[3];
    uint8_t seen[300] = {0};
    for (uint64_t i = 0; i < 300; i += 3) {
        (void)t_publish_frame(p, i, 3);
        (void)small_turn(d);
    }
    for (int i = 0; i < 3; i++)
        c[i] = reader(t, "g", SHMQ_GROUP_SHARED, 0);
    for (uint64_t i = 0, empty = 0; empty < 3; i++) {
        struct shmq_message m;
        int rc = shmq_consumer_receive(c[i % 3], &m);
        empty = rc == SHMQ_ERR_EMPTY ? empty + 1 : 0;
        if (rc == SHMQ_ERR_EMPTY)
            continue;
        T_OK(rc);
        T_TRUE(t_tag(&m) < 300);
        seen[t_tag(&m)]++;
        T_OK(shmq_consumer_release(c[i % 3], &m));
    }
    for (int i = 0; i < 300; i++)
        T_EQ(seen[i], 1);
    for (int i = 0; i < 3; i++)
        shmq_consumer_close(c[i]);
    shmq_producer_close(p);
    shmq_topic_close(t);
    small_end(d);
}

static const struct CMUnitTest tests[] = {
    T(an_exclusive_group_100_rings_behind_gets_everything),
    T(a_shared_group_100_rings_behind_gets_everything),
    T(an_spsc_group_100_rings_behind_gets_everything),
    T(a_group_made_late_begins_at_the_first_record_of_the_log),
    T(named_groups_of_disk_topics_wait_for_durable),
    T(after_a_reboot_an_exclusive_group_goes_on_at_its_place),
    T(after_a_reboot_a_shared_group_goes_on_at_its_place),
    T(after_a_reboot_an_spsc_group_goes_on_at_its_place),
    T(what_an_exclusive_group_had_read_and_was_lost_is_truncated),
    T(what_a_shared_group_had_read_and_was_lost_is_truncated),
    T(what_retention_took_from_an_exclusive_group_is_one_gap),
    T(what_retention_took_from_a_shared_group_is_one_gap),
    T(an_exclusive_group_passes_a_gap_whose_slots_are_still_there),
    T(a_shared_group_passes_a_gap_whose_slots_are_still_there),
    T(seeking_finds_positions_and_times_in_history),
    T(a_seek_that_fails_lets_go_of_nothing),
    T(seeking_in_an_spsc_topic_finds_records),
    T(members_share_the_history),
};

T_MAIN(tests)
