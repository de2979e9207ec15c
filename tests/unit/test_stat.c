/* test_stat.c - what stat tells of topics, groups and endpoints. */
#include "support/unit.h"

#include "support/proc.h"

static struct shmq_topic *small_topic(void)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 65536);

    return t_topic("t", &attrs);
}

TEST(an_empty_topic_has_nothing_in_it)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_topic_stat stat = t_stat(topic);
    uint32_t cnt = 77;

    T_EQ(stat.depth_messages, 0);
    T_EQ(stat.total_messages, 0);
    T_EQ(stat.earliest_position, stat.published_position);
    T_EQ(stat.capacity_frames, 16);
    T_EQ(stat.capacity_bytes, 65536);
    T_TRUE(stat.segment_bytes > 0);
    T_EQ(stat.producer_cnt + stat.member_cnt + stat.group_cnt, 0);
    T_OK(shmq_topic_groups(topic, NULL, 0, &cnt));
    T_EQ(cnt, 0);
    cnt = 77;
    T_OK(shmq_topic_endpoints(topic, NULL, 0, &cnt));
    T_EQ(cnt, 0);
    stat.struct_bytes = 0;
    T_RC(shmq_topic_stat(topic, &stat), SHMQ_ERR_INVAL);
    shmq_topic_close(topic);
}

static void range_is_that_of_stat(struct shmq_topic *topic)
{
    struct shmq_topic_stat stat = t_stat(topic);
    uint64_t earliest = 1, published = 1;

    T_OK(shmq_topic_range(topic, &earliest, &published));
    T_EQ(earliest, stat.earliest_position);
    T_EQ(published, stat.published_position);
    T_RC(shmq_topic_range(topic, NULL, &published), SHMQ_ERR_INVAL);
}

static void counts_follow(struct shmq_topic *topic)
{
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c = t_exclusive(topic, "g");
    struct shmq_topic_stat stat;
    struct shmq_group_stat group;
    uint64_t first = t_publish(producer, 0, 10);

    (void)t_publish(producer, 1, 0);
    (void)t_publish(producer, 2, 100);
    stat = t_stat(topic);
    T_EQ(stat.earliest_position, first);
    T_TRUE(stat.published_position > first);
    range_is_that_of_stat(topic);
    T_EQ(stat.depth_messages, 3);
    T_EQ(stat.depth_bytes, 110);
    T_EQ(stat.total_messages, 3);
    T_EQ(stat.total_bytes, 110);
    T_EQ(stat.producer_cnt, 1);
    T_EQ(stat.member_cnt, 1);
    T_EQ(stat.group_cnt, 1);
    T_EQ(stat.ring_full, 0);
    T_TRUE(t_group_stat(topic, "g", &group));
    T_EQ(group.floor_position, first);
    T_EQ(group.lag_messages, 3);
    T_EQ(group.lag_bytes, 110);
    T_TRUE(group.oldest_unread_ns >= 0);
    T_EQ(group.member_cnt, 1);
    T_EQ(group.gates, 1);
    T_EQ(group.idle_since_ns, 0);
    t_take(c, 0, 10);
    t_take(c, 1, 0);
    t_take(c, 2, 100);
    t_expect_empty(c);
    T_TRUE(t_group_stat(topic, "g", &group));
    T_EQ(group.lag_messages, 0);
    T_EQ(group.lag_bytes, 0);
    T_EQ(group.oldest_unread_ns, 0);
    T_EQ(group.floor_position, t_stat(topic).published_position);
    shmq_consumer_close(c);
    T_TRUE(t_group_stat(topic, "g", &group));
    T_EQ(group.member_cnt, 0);
    T_TRUE(group.idle_since_ns > t_wall_ns() - 60000 * (int64_t)T_MS);
    T_TRUE(group.idle_since_ns <= t_wall_ns());
    shmq_producer_close(producer);
    stat = t_stat(topic);
    T_EQ(stat.total_messages, 3);
    T_EQ(stat.total_bytes, 110);
    T_EQ(stat.producer_cnt + stat.member_cnt, 0);
}

TEST(counts_follow_what_is_published_and_done)
{
    struct shmq_topic_attrs attrs = t_spsc(65536);
    struct shmq_topic *topic = small_topic();

    counts_follow(topic);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    topic = t_topic("t", &attrs);
    T_EQ(t_stat(topic).capacity_bytes, 65536);
    T_EQ(t_stat(topic).capacity_frames, 0);
    counts_follow(topic);
    shmq_topic_close(topic);
}

TEST(totals_outlive_their_producers)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_topic_stat stat;

    for (uint32_t i = 0; i < 20; i++) {
        struct shmq_producer *producer = t_producer(topic);
        t_publish_run(producer, 0, 5);
        (void)t_publish_frame(producer, 5, 5);
        shmq_producer_close(producer);
    }
    stat = t_stat(topic);
    T_EQ(stat.total_messages, 200);
    T_EQ(stat.total_bytes, 3200);
    shmq_topic_close(topic);
}

TEST(groups_are_sorted_by_name_and_counted_beyond_the_buffer)
{
    struct shmq_topic *topic = small_topic();
    static const char *const names[] = {"pear", "apple", "fig"};
    struct shmq_group_stat groups[3];
    uint32_t cnt = 0;

    for (uint32_t i = 0; i < 3; i++)
        T_OK(shmq_group_create(topic, names[i], NULL, NULL));
    memset(groups, 0x5a, sizeof(groups));
    T_OK(shmq_topic_groups(topic, groups, 2, &cnt));
    T_EQ(cnt, 3);
    T_TRUE(strcmp(groups[0].name, "apple") == 0);
    T_TRUE(strcmp(groups[1].name, "fig") == 0);
    T_EQ(groups[2].kind, 0x5a5a5a5a);
    T_OK(shmq_topic_groups(topic, groups, 3, &cnt));
    T_TRUE(strcmp(groups[2].name, "pear") == 0);
    shmq_topic_close(topic);
}

TEST(endpoints_show_who_holds_what)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *member = t_shared(topic, "s");
    struct shmq_consumer *unnamed = t_ephemeral(topic, SHMQ_START_LATEST);
    struct shmq_endpoint_stat points[4];
    struct shmq_message msg;
    uint32_t roles[5] = {0};
    uint32_t cnt = 0;

    t_publish_run(producer, 0, 3);
    T_OK(shmq_consumer_receive(member, &msg));
    memset(points, 0, sizeof(points));
    T_OK(shmq_topic_endpoints(topic, points, 4, &cnt));
    T_EQ(cnt, 3);
    for (uint32_t i = 0; i < 3; i++) {
        T_TRUE(i == 0 || points[i].id > points[i - 1].id);
        T_EQ(points[i].pid, getpid());
        T_EQ(points[i].state, SHMQ_STATE_RUNNING);
        T_TRUE(points[i].role >= 1 && points[i].role <= 3);
        roles[points[i].role]++;
        T_TRUE(points[i].comm[0] != '\0');
        T_TRUE(points[i].since_ns <= t_wall_ns());
        T_TRUE(points[i].since_ns > t_wall_ns() - 60000 * (int64_t)T_MS);
        if (points[i].role == SHMQ_ROLE_PRODUCER) {
            T_EQ(points[i].identity, shmq_producer_identity(producer));
            T_EQ(points[i].messages, 3);
        } else if (points[i].role == SHMQ_ROLE_MEMBER) {
            T_EQ(points[i].id, shmq_consumer_endpoint(member));
            T_TRUE(strcmp(points[i].group, "s") == 0);
            T_EQ(points[i].holds_frames, 1);
            T_EQ(points[i].messages, 1);
        } else {
            T_EQ(points[i].id, shmq_consumer_endpoint(unnamed));
            T_TRUE(points[i].group[0] == '\0');
        }
    }
    T_TRUE(roles[1] == 1 && roles[2] == 1 && roles[3] == 1);
    shmq_consumer_close(member);
    shmq_consumer_close(unnamed);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

static int hold_a_record(void *ctx)
{
    struct shmq_consumer *c = t_shared(t_open("t"), "s");
    struct shmq_message msg;

    (void)ctx;
    T_OK(shmq_consumer_receive(c, &msg));
    t_tell(shmq_consumer_endpoint(c));
    t_wait_for_death();
}

TEST(states_are_running_stopped_and_dead)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_endpoint_stat point;
    struct shmq_group_stat group;
    struct t_proc proc;
    uint32_t id;

    T_NEED_PROC();
    T_OK(shmq_group_create(topic, "s", NULL, NULL));
    t_publish_run(producer, 0, 1);
    t_spawn(&proc, hold_a_record, NULL);
    id = (uint32_t)t_recv(&proc);
    T_TRUE(t_endpoint_stat(topic, proc.pid, &point));
    T_EQ(point.id, id);
    T_EQ(point.state, SHMQ_STATE_RUNNING);
    T_EQ(point.holds_frames, 1);
    t_stop(&proc);
    T_TRUE(t_endpoint_stat(topic, proc.pid, &point));
    T_EQ(point.state, SHMQ_STATE_STOPPED);
    t_cont(&proc);
    T_TRUE(t_endpoint_stat(topic, proc.pid, &point));
    T_EQ(point.state, SHMQ_STATE_RUNNING);
    t_kill(&proc);
    if (t_endpoint_stat(topic, proc.pid, &point))
        T_EQ(point.state, SHMQ_STATE_DEAD);
    T_TRUE(t_group_stat(topic, "s", &group));
    T_EQ(group.member_cnt, 0);
    (void)t_bury(&proc);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

static int wait_for_room(void *ctx)
{
    struct shmq_producer *producer = t_producer(t_open("t"));

    (void)ctx;
    t_tell(1);
    T_OK(shmq_producer_publish_wait(producer, "x", 1, SHMQ_FOREVER, NULL));
    t_tell(2);
    shmq_producer_close(producer);
    return 0;
}

static int hold_the_ring_up(void *ctx)
{
    struct shmq_consumer *c = t_exclusive(t_open("t"), "g");

    (void)ctx;
    t_tell(shmq_consumer_endpoint(c));
    t_wait_for_death();
}

TEST(a_stopped_reader_is_shown_as_the_one_that_blocks)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_endpoint_stat blocked;
    struct shmq_endpoint_stat blocker;
    struct t_proc reader;
    struct t_proc writer;

    T_NEED_PROC();
    t_spawn(&reader, hold_the_ring_up, NULL);
    (void)t_recv(&reader);
    t_stop(&reader);
    t_publish_run(producer, 0, 16);
    shmq_producer_close(producer);
    t_spawn(&writer, wait_for_room, NULL);
    (void)t_recv(&writer);
    T_EVENTUALLY(
        t_endpoint_stat(topic, writer.pid, &blocked) && blocked.waiting == 2);
    T_TRUE(t_endpoint_stat(topic, reader.pid, &blocker));
    T_EQ(blocker.state, SHMQ_STATE_STOPPED);
    T_EQ(blocker.block_cnt, 1);
    T_EQ(blocker.blocks[0], blocked.id);
    T_EQ(t_stat(topic).ring_full, 1);
    t_kill(&reader);
    T_OK(shmq_group_remove(topic, "g", 0));
    T_EQ(t_recv(&writer), 2);
    t_join(&writer);
    (void)t_bury(&reader);
    shmq_topic_close(topic);
}

static int sleep_for_data(void *ctx)
{
    struct shmq_consumer *c = t_exclusive(t_open("t"), "g");
    struct shmq_message msg;

    (void)ctx;
    t_tell(1);
    T_OK(shmq_consumer_receive_wait(c, SHMQ_FOREVER, &msg));
    T_OK(shmq_consumer_release(c, &msg));
    shmq_consumer_close(c);
    return 0;
}

TEST(a_sleeping_reader_is_shown_waiting)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_endpoint_stat point;
    struct t_proc proc;

    t_spawn(&proc, sleep_for_data, NULL);
    (void)t_recv(&proc);
    T_EVENTUALLY(
        t_endpoint_stat(topic, proc.pid, &point) && point.waiting == 1);
    t_publish_run(producer, 0, 1);
    t_join(&proc);
    T_TRUE(!t_endpoint_stat(topic, proc.pid, &point));
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

static const struct CMUnitTest tests[] = {
    T(an_empty_topic_has_nothing_in_it),
    T(counts_follow_what_is_published_and_done),
    T(totals_outlive_their_producers),
    T(groups_are_sorted_by_name_and_counted_beyond_the_buffer),
    T(endpoints_show_who_holds_what),
    T(states_are_running_stopped_and_dead),
    T(a_stopped_reader_is_shown_as_the_one_that_blocks),
    T(a_sleeping_reader_is_shown_waiting),
};
T_MAIN(tests)
