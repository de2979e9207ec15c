/* test_consumer_seek.c - starts, seek, position, drained. */
#include "support/unit.h"

struct rig {
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    uint64_t positions[60];
};

/* A topic of `slots` frames with `cnt` records published, tags from 0. */
static struct rig rig_open(uint64_t slots, uint32_t cnt)
{
    struct shmq_topic_attrs attrs = t_mpmc(slots, 65536);
    struct rig rig;

    memset(&rig, 0, sizeof(rig));
    rig.topic = t_topic("t", &attrs);
    rig.producer = t_producer(rig.topic);
    for (uint32_t i = 0; i < cnt; i++)
        rig.positions[i] = t_publish(rig.producer, i, 16);
    return rig;
}

static void rig_close(struct rig *rig)
{
    shmq_producer_close(rig->producer);
    shmq_topic_close(rig->topic);
}

static struct shmq_consumer *open_at(struct rig *rig, const char *group,
    uint32_t group_kind, uint32_t kind, uint64_t value)
{
    struct shmq_consumer_options options = t_options(group, group_kind);

    options.start = t_start(kind, value);
    return t_consumer(rig->topic, &options);
}

static void starts(struct rig *rig, const char *group, uint32_t group_kind,
    uint32_t kind, uint64_t value, uint64_t first)
{
    struct shmq_consumer *c = open_at(rig, group, group_kind, kind, value);

    if (first < 20)
        t_take_run(c, first, 20 - first);
    t_expect_empty(c);
    T_RC(shmq_consumer_drained(c), 1);
    shmq_consumer_close(c);
    if (group != NULL)
        T_OK(shmq_group_remove(rig->topic, group, 0));
}

static void starts_everywhere(struct rig *rig, const char *group, uint32_t kind)
{
    starts(rig, group, kind, SHMQ_START_DEFAULT, 0, group == NULL ? 20 : 0);
    starts(rig, group, kind, SHMQ_START_EARLIEST, 0, 0);
    starts(rig, group, kind, SHMQ_START_LATEST, 0, 20);
    starts(rig, group, kind, SHMQ_START_POSITION, 0, 0);
    starts(rig, group, kind, SHMQ_START_POSITION, rig->positions[7], 7);
    starts(rig, group, kind, SHMQ_START_POSITION, rig->positions[7] + 1, 8);
    starts(rig, group, kind, SHMQ_START_POSITION, rig->positions[19], 19);
    starts(rig, group, kind, SHMQ_START_POSITION, rig->positions[19] + 1, 20);
    starts(rig, group, kind, SHMQ_START_TIME, 0, 0);
    starts(rig, group, kind, SHMQ_START_TIME, UINT64_MAX / 2, 20);
}

TEST(readers_start_where_they_are_told)
{
    struct rig rig = rig_open(64, 20);

    starts_everywhere(&rig, NULL, SHMQ_GROUP_DEFAULT);
    starts_everywhere(&rig, "x", SHMQ_GROUP_EXCLUSIVE);
    starts_everywhere(&rig, "s", SHMQ_GROUP_SHARED);
    rig_close(&rig);
}

TEST(a_group_that_exists_goes_on_where_it_is)
{
    struct rig rig = rig_open(64, 20);
    struct shmq_consumer *c =
        open_at(&rig, "x", SHMQ_GROUP_EXCLUSIVE, SHMQ_START_EARLIEST, 0);

    t_take_run(c, 0, 5);
    shmq_consumer_close(c);
    c = open_at(&rig, "x", SHMQ_GROUP_EXCLUSIVE, SHMQ_START_LATEST, 0);
    T_RC(shmq_consumer_created_group(c), 0);
    t_take_run(c, 5, 15);
    shmq_consumer_close(c);
    rig_close(&rig);
}

TEST(times_select_the_first_record_not_before)
{
    struct rig rig = rig_open(64, 5);
    struct shmq_consumer *c = t_ephemeral(rig.topic, SHMQ_START_LATEST);
    struct shmq_start start = t_start(SHMQ_START_TIME, 0);
    int64_t later;

    /* The clock of records ticks every 1 to 10 ms. */
    later = t_wall_ns() + 20000000;
    T_EVENTUALLY(t_wall_ns() > later + 20000000);
    for (uint32_t i = 5; i < 10; i++)
        (void)t_publish(rig.producer, i, 16);
    start.value = (uint64_t)later;
    T_OK(shmq_consumer_seek(c, &start));
    t_take_run(c, 5, 5);
    T_OK(shmq_consumer_seek(c, &start));
    t_take_run(c, 5, 5);
    shmq_consumer_close(c);
    rig_close(&rig);
}

static void seeks(struct rig *rig, struct shmq_consumer *c)
{
    struct shmq_start start = t_start(SHMQ_START_EARLIEST, 0);
    uint64_t rnd = t_seed_say("seek");
    uint64_t position = 0;

    for (uint32_t i = 0; i < 500; i++) {
        uint64_t to = t_below(&rnd, 20);
        start = t_start(SHMQ_START_POSITION, rig->positions[to]);
        T_OK(shmq_consumer_seek(c, &start));
        T_OK(shmq_consumer_position(c, &position));
        T_EQ(position, rig->positions[to]);
        for (uint64_t n = t_below(&rnd, 4); n > 0 && to < 20; n--, to++)
            t_take(c, to, 16);
        if (to < 20) {
            T_OK(shmq_consumer_position(c, &position));
            T_EQ(position, rig->positions[to]);
        }
    }
    start = t_start(SHMQ_START_LATEST, 0);
    T_OK(shmq_consumer_seek(c, &start));
    t_expect_empty(c);
    start = t_start(SHMQ_START_EARLIEST, 0);
    T_OK(shmq_consumer_seek(c, &start));
    t_take_run(c, 0, 20);
    start = t_start(5, 0);
    T_RC(shmq_consumer_seek(c, &start), SHMQ_ERR_INVAL);
    t_expect_empty(c);
}

TEST(readers_seek_to_and_fro)
{
    struct rig rig = rig_open(64, 20);
    struct shmq_consumer *c = t_ephemeral(rig.topic, SHMQ_START_LATEST);

    seeks(&rig, c);
    shmq_consumer_close(c);
    c = t_exclusive(rig.topic, "x");
    seeks(&rig, c);
    shmq_consumer_close(c);
    c = t_shared(rig.topic, "s");
    T_RC(shmq_consumer_seek(c, &(struct shmq_start){SHMQ_START_LATEST, 0, 0}),
        SHMQ_ERR_INVAL);
    t_take_run(c, 0, 20);
    shmq_consumer_close(c);
    rig_close(&rig);
}

TEST(a_seek_voids_what_is_held)
{
    struct rig rig = rig_open(64, 20);
    struct shmq_consumer *c = t_exclusive(rig.topic, "x");
    struct shmq_start start = t_start(SHMQ_START_POSITION, rig.positions[2]);
    struct shmq_message msg;
    int rc;

    t_take(c, 0, 16);
    T_OK(shmq_consumer_receive(c, &msg));
    T_OK(shmq_consumer_seek(c, &start));
    rc = shmq_consumer_release(c, &msg);
    T_TRUE(rc == SHMQ_ERR_INVAL || rc == SHMQ_ERR_STALE);
    t_take_run(c, 2, 18);
    t_expect_empty(c);
    shmq_consumer_close(c);
    rig_close(&rig);
}

TEST(beyond_the_end_a_reader_waits_for_that_position)
{
    struct rig rig = rig_open(64, 20);
    struct shmq_consumer *c = t_ephemeral(rig.topic, SHMQ_START_EARLIEST);
    uint64_t step = rig.positions[19] - rig.positions[18];
    struct shmq_start start =
        t_start(SHMQ_START_POSITION, rig.positions[19] + 3 * step);

    T_OK(shmq_consumer_seek(c, &start));
    for (uint32_t i = 20; i < 25; i++) {
        rig.positions[i] = t_publish(rig.producer, i, 16);
        if (rig.positions[i] < start.value)
            t_expect_empty(c);
        else
            t_take(c, i, 16);
    }
    shmq_consumer_close(c);
    rig_close(&rig);
}

TEST(without_groups_the_newest_ring_full_stays_readable)
{
    struct rig rig = rig_open(16, 50);
    struct shmq_consumer *c = t_ephemeral(rig.topic, SHMQ_START_EARLIEST);
    struct shmq_start start = t_start(SHMQ_START_POSITION, rig.positions[3]);
    struct shmq_message msg;
    uint64_t first;

    T_OK(shmq_consumer_receive(c, &msg));
    first = t_tag(&msg);
    T_TRUE(first >= 50 - 16 && first <= 50 - 8);
    T_EQ(t_stat(rig.topic).earliest_position, msg.position);
    T_OK(shmq_consumer_release(c, &msg));
    t_take_run(c, first + 1, 50 - first - 1);
    t_expect_empty(c);
    T_OK(shmq_consumer_seek(c, &start));
    t_take(c, first, 16);
    shmq_consumer_close(c);
    c = t_exclusive(rig.topic, "x");
    t_take_run(c, first, 50 - first);
    shmq_consumer_close(c);
    rig_close(&rig);
}

TEST(a_lapped_ephemeral_reader_gets_a_gap_and_goes_on)
{
    struct rig rig = rig_open(16, 2);
    struct shmq_consumer *c = t_ephemeral(rig.topic, SHMQ_START_EARLIEST);
    struct shmq_message msg;
    struct shmq_gap gap;

    t_take(c, 0, 16);
    for (uint64_t i = 2; i < 60; i++)
        (void)t_publish(rig.producer, i, 16);
    T_RC(shmq_consumer_receive(c, &msg), SHMQ_ERR_GAP);
    T_OK(shmq_consumer_gap(c, &gap));
    T_EQ(gap.from, rig.positions[1]);
    T_EQ(gap.reason, SHMQ_GAP_DROPPED);
    T_OK(shmq_consumer_receive(c, &msg));
    T_EQ(t_tag(&msg), gap.frames + 1);
    T_EQ(gap.to, msg.position);
    T_OK(shmq_consumer_release(c, &msg));
    t_take_run(c, gap.frames + 2, 60 - gap.frames - 2);
    shmq_consumer_close(c);
    rig_close(&rig);
}

TEST(a_copy_stays_whole_while_its_slot_is_overwritten)
{
    struct rig rig = rig_open(4, 1);
    struct shmq_consumer *c = t_ephemeral(rig.topic, SHMQ_START_EARLIEST);
    struct shmq_message msg;

    T_OK(shmq_consumer_receive(c, &msg));
    for (uint64_t i = 1; i < 5000; i++)
        (void)t_publish(rig.producer, i, 64);
    T_CARRIES(&msg, 0, 16);
    T_OK(shmq_consumer_release(c, &msg));
    shmq_consumer_close(c);
    rig_close(&rig);
}

TEST(drained_means_acknowledged_by_the_group)
{
    struct rig rig = rig_open(64, 0);
    struct shmq_consumer *a = t_shared(rig.topic, "s");
    struct shmq_consumer *b = t_shared(rig.topic, "s");
    struct shmq_consumer *e = t_ephemeral(rig.topic, SHMQ_START_LATEST);
    struct shmq_message msg;

    T_RC(shmq_consumer_drained(a), 1);
    T_RC(shmq_consumer_drained(e), 1);
    t_publish_run(rig.producer, 0, 2);
    T_RC(shmq_consumer_drained(a), 0);
    T_RC(shmq_consumer_drained(e), 0);
    T_OK(shmq_consumer_receive(a, &msg));
    t_take(b, 1, 16);
    T_RC(shmq_consumer_drained(b), 0);
    T_RC(shmq_consumer_drained(a), 0);
    T_OK(shmq_consumer_release(a, &msg));
    T_RC(shmq_consumer_drained(b), 1);
    T_RC(shmq_consumer_drained(a), 1);
    t_take_run(e, 0, 2);
    T_RC(shmq_consumer_drained(e), 1);
    shmq_consumer_close(a);
    shmq_consumer_close(b);
    shmq_consumer_close(e);
    rig_close(&rig);
}

TEST(position_of_a_shared_group_is_its_floor)
{
    struct rig rig = rig_open(64, 5);
    struct shmq_consumer_options options = t_options("s", SHMQ_GROUP_SHARED);
    struct shmq_consumer *c;
    struct shmq_message msgs[2];
    uint64_t position = 0;

    options.prefetch_frames = 4;
    c = t_consumer(rig.topic, &options);
    T_OK(shmq_consumer_receive(c, &msgs[0]));
    T_OK(shmq_consumer_receive(c, &msgs[1]));
    T_OK(shmq_consumer_release(c, &msgs[1]));
    T_OK(shmq_consumer_position(c, &position));
    T_EQ(position, rig.positions[0]);
    T_OK(shmq_consumer_release(c, &msgs[0]));
    T_OK(shmq_consumer_position(c, &position));
    T_EQ(position, rig.positions[2]);
    shmq_consumer_close(c);
    rig_close(&rig);
}

static const struct CMUnitTest tests[] = {
    T(readers_start_where_they_are_told),
    T(a_group_that_exists_goes_on_where_it_is),
    T(times_select_the_first_record_not_before),
    T(readers_seek_to_and_fro),
    T(a_seek_voids_what_is_held),
    T(beyond_the_end_a_reader_waits_for_that_position),
    T(without_groups_the_newest_ring_full_stays_readable),
    T(a_lapped_ephemeral_reader_gets_a_gap_and_goes_on),
    T(a_copy_stays_whole_while_its_slot_is_overwritten),
    T(drained_means_acknowledged_by_the_group),
    T(position_of_a_shared_group_is_its_floor),
};
T_MAIN(tests)
