/* test_consumer.c - receive, release, ack, nack, prefetch, redelivery. */
#include "support/unit.h"

#include <stdlib.h>

struct rig {
    struct shmq_topic *topic;
    struct shmq_producer *producer;
};

static struct rig rig_open(void)
{
    struct shmq_topic_attrs attrs = t_mpmc(64, 65536);
    struct rig rig;

    rig.topic = t_topic("t", &attrs);
    rig.producer = t_producer(rig.topic);
    return rig;
}

static void rig_close(struct rig *rig)
{
    shmq_producer_close(rig->producer);
    shmq_topic_close(rig->topic);
}

static struct shmq_consumer *with(struct rig *rig, const char *group,
    uint32_t kind, uint32_t flags, uint32_t prefetch)
{
    struct shmq_consumer_options options = t_options(group, kind);

    options.flags = flags;
    options.prefetch_frames = prefetch;
    return t_consumer(rig->topic, &options);
}

static struct shmq_message receive(struct shmq_consumer *consumer, uint64_t tag)
{
    struct shmq_message msg;

    T_OK(shmq_consumer_receive(consumer, &msg));
    T_CARRIES(&msg, tag, 16);
    return msg;
}

TEST(wrong_options_are_refused)
{
    struct rig rig = rig_open();
    struct shmq_consumer_options options = t_options("g", 3);
    struct shmq_consumer *consumer = NULL;
    char name[SHMQ_GROUP_MAX + 2];

    T_RC(shmq_consumer_open(rig.topic, &options, &consumer), SHMQ_ERR_INVAL);
    options = t_options("g", SHMQ_GROUP_SHARED);
    options.struct_bytes = 0;
    T_RC(shmq_consumer_open(rig.topic, &options, &consumer), SHMQ_ERR_INVAL);
    options = t_options("g", SHMQ_GROUP_SHARED);
    options.flags = 1u << 31;
    T_RC(shmq_consumer_open(rig.topic, &options, &consumer), SHMQ_ERR_INVAL);
    options = t_options("g", SHMQ_GROUP_SHARED);
    options.start.kind = 5;
    T_RC(shmq_consumer_open(rig.topic, &options, &consumer), SHMQ_ERR_INVAL);
    options = t_options("g", SHMQ_GROUP_SHARED);
    options.prefetch_frames = 1025;
    T_RC(shmq_consumer_open(rig.topic, &options, &consumer), SHMQ_ERR_INVAL);
    options = t_options("", SHMQ_GROUP_SHARED);
    T_RC(shmq_consumer_open(rig.topic, &options, &consumer), SHMQ_ERR_INVAL);
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    options = t_options(name, SHMQ_GROUP_SHARED);
    T_RC(shmq_consumer_open(rig.topic, &options, &consumer), SHMQ_ERR_INVAL);
    T_TRUE(consumer == NULL);
    T_EQ(t_stat(rig.topic).group_cnt, 0);
    options = t_options("g", SHMQ_GROUP_SHARED);
    options.flags = SHMQ_CONSUMER_NO_CREATE;
    T_RC(shmq_consumer_open(rig.topic, &options, &consumer), SHMQ_ERR_NOENT);
    T_EQ(t_stat(rig.topic).group_cnt, 0);
    options.flags = 0;
    options.attrs.struct_bytes = 0;
    options.prefetch_frames = 1024;
    T_OK(shmq_consumer_open(rig.topic, &options, &consumer));
    T_EQ(shmq_consumer_created_group(consumer), 1);
    shmq_consumer_close(consumer);
    options.flags = SHMQ_CONSUMER_NO_CREATE;
    T_OK(shmq_consumer_open(rig.topic, &options, &consumer));
    T_EQ(shmq_consumer_created_group(consumer), 0);
    shmq_consumer_close(consumer);
    shmq_consumer_close(NULL);
    rig_close(&rig);
}

TEST(empty_leaves_ret_alone)
{
    struct rig rig = rig_open();
    struct shmq_consumer *consumer = t_exclusive(rig.topic, "g");
    struct shmq_message msg;
    struct shmq_message before;

    memset(&msg, 0x5a, sizeof(msg));
    before = msg;
    T_RC(shmq_consumer_receive(consumer, &msg), SHMQ_ERR_EMPTY);
    T_RC(shmq_consumer_receive_wait(consumer, shmq_deadline(5 * T_MS), &msg),
        SHMQ_ERR_TIMEOUT);
    T_RC(shmq_consumer_receive_wait(consumer, 0, &msg), SHMQ_ERR_TIMEOUT);
    T_TRUE(memcmp(&msg, &before, sizeof(msg)) == 0);
    shmq_consumer_close(consumer);
    rig_close(&rig);
}

TEST(every_group_sees_every_record)
{
    struct rig rig = rig_open();
    struct shmq_consumer *a = t_exclusive(rig.topic, "a");
    struct shmq_consumer *b = t_shared(rig.topic, "b");
    struct shmq_consumer *c = t_ephemeral(rig.topic, SHMQ_START_LATEST);
    struct shmq_consumer *d = t_consumer(rig.topic, NULL);

    t_publish_run(rig.producer, 0, 20);
    (void)t_publish_frame(rig.producer, 20, 20);
    t_take_run(a, 0, 40);
    t_take_run(b, 0, 40);
    t_take_run(c, 0, 40);
    t_take_run(d, 0, 40);
    t_expect_empty(a);
    t_expect_empty(b);
    t_expect_empty(c);
    t_expect_empty(d);
    shmq_consumer_close(a);
    shmq_consumer_close(b);
    shmq_consumer_close(c);
    shmq_consumer_close(d);
    rig_close(&rig);
}

TEST(members_of_a_shared_group_compete)
{
    struct rig rig = rig_open();
    struct shmq_consumer *members[3];
    unsigned char seen[60] = {0};

    for (uint32_t i = 0; i < 3; i++)
        members[i] = t_shared(rig.topic, "g");
    t_publish_run(rig.producer, 0, 60);
    for (uint32_t i = 0; i < 60; i++) {
        struct shmq_message msg;
        T_OK(shmq_consumer_receive(members[i % 3], &msg));
        T_EQ(msg.flags, 0);
        T_EQ(seen[t_tag(&msg)]++, 0);
        T_OK(shmq_consumer_release(members[i % 3], &msg));
    }
    for (uint32_t i = 0; i < 3; i++) {
        t_expect_empty(members[i]);
        shmq_consumer_close(members[i]);
    }
    rig_close(&rig);
}

static void release_in_any_order(struct rig *rig, struct shmq_consumer *c)
{
    static const uint32_t order[] = {3, 0, 4, 9, 1, 2, 8, 5, 7, 6};
    struct shmq_message msgs[10];

    for (uint32_t lap = 0; lap < 30; lap++) {
        t_publish_run(rig->producer, lap * 10, 5);
        (void)t_publish_frame(rig->producer, lap * 10 + 5, 5);
        for (uint32_t i = 0; i < 10; i++)
            msgs[i] = receive(c, lap * 10 + i);
        for (uint32_t i = 0; i < 10; i++) {
            T_CARRIES(&msgs[order[i]], lap * 10 + order[i], 16);
            T_OK(shmq_consumer_release(c, &msgs[order[i]]));
        }
        t_expect_empty(c);
        T_RC(shmq_consumer_drained(c), 1);
    }
}

TEST(records_are_released_in_any_order)
{
    struct rig rig = rig_open();
    struct shmq_consumer *c = with(&rig, "x", SHMQ_GROUP_EXCLUSIVE, 0, 20);

    release_in_any_order(&rig, c);
    T_OK(shmq_group_remove(rig.topic, "x", SHMQ_GROUP_FORCE));
    shmq_consumer_close(c);
    c = with(&rig, "s", SHMQ_GROUP_SHARED, 0, 20);
    T_OK(shmq_group_reset(rig.topic, "s",
        &(struct shmq_start){SHMQ_START_LATEST, 0, 0}, SHMQ_GROUP_FORCE));
    shmq_consumer_close(c);
    c = with(&rig, "s", SHMQ_GROUP_SHARED, 0, 20);
    release_in_any_order(&rig, c);
    shmq_consumer_close(c);
    T_OK(shmq_group_remove(rig.topic, "s", 0));
    c = with(&rig, "x", SHMQ_GROUP_EXCLUSIVE, SHMQ_CONSUMER_COPY, 20);
    T_OK(shmq_consumer_seek(c, &(struct shmq_start){SHMQ_START_LATEST, 0, 0}));
    release_in_any_order(&rig, c);
    shmq_consumer_close(c);
    c = t_ephemeral(rig.topic, SHMQ_START_LATEST);
    T_OK(shmq_group_remove(rig.topic, "x", 0));
    release_in_any_order(&rig, c);
    shmq_consumer_close(c);
    rig_close(&rig);
}

/* What is not held cannot be told from what has moved on. */
static bool is_refused(int rc)
{
    return rc == SHMQ_ERR_INVAL || rc == SHMQ_ERR_STALE;
}

TEST(a_record_is_released_once)
{
    struct rig rig = rig_open();
    struct shmq_consumer *c = t_exclusive(rig.topic, "g");
    struct shmq_consumer *other = t_exclusive(rig.topic, "h");
    struct shmq_message msg;
    struct shmq_message copy;

    t_publish_run(rig.producer, 0, 2);
    msg = receive(c, 0);
    copy = msg;
    T_TRUE(is_refused(shmq_consumer_release(other, &copy)));
    T_TRUE(is_refused(shmq_consumer_ack(other, &copy)));
    T_TRUE(is_refused(shmq_consumer_nack(other, &copy)));
    T_OK(shmq_consumer_release(c, &msg));
    T_TRUE(is_refused(shmq_consumer_release(c, &copy)));
    T_TRUE(is_refused(shmq_consumer_ack(c, &copy)));
    T_TRUE(is_refused(shmq_consumer_nack(c, &copy)));
    memset(&copy, 0, sizeof(copy));
    T_TRUE(is_refused(shmq_consumer_release(c, &copy)));
    memset(&copy, 0xff, sizeof(copy));
    T_TRUE(is_refused(shmq_consumer_release(c, &copy)));
    t_take(c, 1, 16);
    shmq_consumer_close(c);
    shmq_consumer_close(other);
    rig_close(&rig);
}

TEST(prefetch_limits_the_frames_held)
{
    struct rig rig = rig_open();
    struct shmq_consumer *c = with(&rig, "x", SHMQ_GROUP_EXCLUSIVE, 0, 2);
    struct shmq_message msgs[4];
    struct shmq_message none;

    t_publish_run(rig.producer, 0, 1);
    (void)t_publish_frame(rig.producer, 1, 3);
    t_publish_run(rig.producer, 4, 2);
    memset(&none, 0x5a, sizeof(none));
    for (uint32_t i = 0; i < 4; i++)
        msgs[i] = receive(c, i);
    T_RC(shmq_consumer_receive(c, &none), SHMQ_ERR_LIMIT);
    T_RC(shmq_consumer_receive_wait(c, SHMQ_FOREVER, &none), SHMQ_ERR_LIMIT);
    T_EQ(none.size, 0x5a5a5a5a5a5a5a5a);
    T_OK(shmq_consumer_release(c, &msgs[0]));
    msgs[0] = receive(c, 4);
    T_RC(shmq_consumer_receive(c, &none), SHMQ_ERR_LIMIT);
    for (uint32_t i = 0; i < 4; i++)
        T_OK(shmq_consumer_release(c, &msgs[i]));
    t_take(c, 5, 16);
    shmq_consumer_close(c);
    rig_close(&rig);
}

TEST(a_shared_member_holds_one_frame_by_default)
{
    struct rig rig = rig_open();
    struct shmq_consumer *c = t_shared(rig.topic, "s");
    struct shmq_message msg;
    struct shmq_message none;

    t_publish_run(rig.producer, 0, 2);
    msg = receive(c, 0);
    T_RC(shmq_consumer_receive(c, &none), SHMQ_ERR_LIMIT);
    T_OK(shmq_consumer_release(c, &msg));
    t_take(c, 1, 16);
    shmq_consumer_close(c);
    rig_close(&rig);
}

static void manual_ack(struct rig *rig, uint32_t kind, const char *group)
{
    struct shmq_consumer *c =
        with(rig, group, kind, SHMQ_CONSUMER_MANUAL_ACK, 8);
    struct shmq_message msg;

    t_publish_run(rig->producer, 0, 3);
    msg = receive(c, 0);
    T_OK(shmq_consumer_ack(c, &msg));
    T_CARRIES(&msg, 0, 16);
    T_OK(shmq_consumer_release(c, &msg));
    msg = receive(c, 1);
    T_OK(shmq_consumer_release(c, &msg));
    T_RC(shmq_consumer_drained(c), 0);
    shmq_consumer_close(c);
    c = with(rig, group, kind, 0, 8);
    msg = receive(c, 1);
    T_TRUE(msg.flags & SHMQ_MESSAGE_REDELIVERED);
    T_OK(shmq_consumer_release(c, &msg));
    msg = receive(c, 2);
    T_EQ(msg.attempt, 0);
    T_OK(shmq_consumer_release(c, &msg));
    t_expect_empty(c);
    T_RC(shmq_consumer_drained(c), 1);
    shmq_consumer_close(c);
    T_OK(shmq_group_remove(rig->topic, group, 0));
}

TEST(with_manual_ack_only_an_ack_counts)
{
    struct rig rig = rig_open();

    T_OK(shmq_group_create(rig.topic, "s", NULL, NULL));
    manual_ack(&rig, SHMQ_GROUP_SHARED, "s");
    shmq_producer_close(rig.producer);
    shmq_topic_close(rig.topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    rig = rig_open();
    manual_ack(&rig, SHMQ_GROUP_EXCLUSIVE, "x");
    rig_close(&rig);
}

TEST(an_ack_after_release_counts_with_manual_ack)
{
    struct rig rig = rig_open();
    struct shmq_consumer *c =
        with(&rig, "s", SHMQ_GROUP_SHARED, SHMQ_CONSUMER_MANUAL_ACK, 8);
    struct shmq_message msg;
    struct shmq_message copy;

    t_publish_run(rig.producer, 0, 1);
    msg = receive(c, 0);
    copy = msg;
    T_OK(shmq_consumer_release(c, &msg));
    T_OK(shmq_consumer_ack(c, &copy));
    T_RC(shmq_consumer_drained(c), 1);
    shmq_consumer_close(c);
    rig_close(&rig);
}

TEST(an_early_ack_counts_although_the_record_is_held)
{
    struct rig rig = rig_open();
    struct shmq_consumer *c = t_shared(rig.topic, "s");
    struct shmq_message msg;

    t_publish_run(rig.producer, 0, 1);
    msg = receive(c, 0);
    T_RC(shmq_consumer_drained(c), 0);
    T_OK(shmq_consumer_ack(c, &msg));
    /* Its memory must stay while it is looked at: told to the group then. */
    t_publish_run(rig.producer, 1, 1);
    T_CARRIES(&msg, 0, 16);
    T_OK(shmq_consumer_release(c, &msg));
    t_take_run(c, 1, 1);
    T_RC(shmq_consumer_drained(c), 1);
    shmq_consumer_close(c);
    c = t_shared(rig.topic, "s");
    t_expect_empty(c);
    shmq_consumer_close(c);
    rig_close(&rig);
}

TEST(a_held_record_is_not_overwritten_after_its_ack)
{
    struct shmq_topic_attrs attrs = t_mpmc(4, 4096);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c = t_exclusive(topic, "x");
    struct shmq_message msg;

    t_publish_run(producer, 0, 1);
    msg = receive(c, 0);
    T_OK(shmq_consumer_ack(c, &msg));
    for (uint64_t i = 1; i < 100; i++) {
        unsigned char data[16];
        int rc;
        t_fill(data, sizeof(data), i);
        rc = shmq_producer_publish(producer, data, sizeof(data), NULL);
        T_CARRIES(&msg, 0, 16);
        if (rc == SHMQ_ERR_FULL)
            break;
        T_OK(rc);
    }
    T_CARRIES(&msg, 0, 16);
    T_OK(shmq_consumer_release(c, &msg));
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(a_nack_gives_the_record_to_any_member)
{
    struct rig rig = rig_open();
    struct shmq_consumer *a = t_shared(rig.topic, "s");
    struct shmq_consumer *b = t_shared(rig.topic, "s");
    struct shmq_message msg;
    struct shmq_group_stat stat;

    t_publish_run(rig.producer, 0, 2);
    for (uint32_t attempt = 0; attempt < 10; attempt++) {
        struct shmq_consumer *c = attempt % 2 ? b : a;
        T_OK(shmq_consumer_receive(c, &msg));
        if (t_tag(&msg) == 1) {
            T_OK(shmq_consumer_release(c, &msg));
            T_OK(shmq_consumer_receive(c, &msg));
        }
        T_CARRIES(&msg, 0, 16);
        T_EQ(msg.attempt, attempt);
        T_EQ(msg.flags & SHMQ_MESSAGE_REDELIVERED, attempt > 0);
        T_OK(shmq_consumer_nack(c, &msg));
    }
    T_TRUE(t_group_stat(rig.topic, "s", &stat));
    T_EQ(stat.redelivered, 9);
    T_OK(shmq_consumer_receive(a, &msg));
    T_OK(shmq_consumer_release(a, &msg));
    shmq_consumer_close(a);
    shmq_consumer_close(b);
    rig_close(&rig);
}

TEST(a_nack_gives_later_records_of_the_frame_back_too)
{
    struct rig rig = rig_open();
    struct shmq_consumer *c = with(&rig, "s", SHMQ_GROUP_SHARED, 0, 4);
    struct shmq_message msgs[5];
    int done[5];

    (void)t_publish_frame(rig.producer, 0, 5);
    for (uint32_t i = 0; i < 5; i++)
        msgs[i] = receive(c, i);
    T_OK(shmq_consumer_release(c, &msgs[0]));
    T_OK(shmq_consumer_release(c, &msgs[1]));
    T_OK(shmq_consumer_nack(c, &msgs[2]));
    T_RC(shmq_consumer_release(c, &msgs[3]), SHMQ_ERR_STALE);
    T_RC(shmq_consumer_release(c, &msgs[4]), SHMQ_ERR_STALE);
    for (uint32_t i = 2; i < 5; i++) {
        struct shmq_message msg = receive(c, i);
        T_TRUE(msg.flags & SHMQ_MESSAGE_REDELIVERED);
        T_EQ(msg.attempt, i == 2 ? 1 : 0);
        T_OK(shmq_consumer_release(c, &msg));
    }
    t_expect_empty(c);
    (void)t_publish_frame(rig.producer, 5, 5);
    for (uint32_t i = 0; i < 5; i++)
        msgs[i] = receive(c, 5 + i);
    T_OK(shmq_consumer_nack(c, &msgs[2]));
    for (uint32_t i = 0; i < 5; i++)
        done[i] = i == 2 ? SHMQ_ERR_STALE : shmq_consumer_release(c, &msgs[i]);
    for (uint32_t i = 0; i < 5; i++) {
        T_TRUE(done[i] == 0 || done[i] == SHMQ_ERR_STALE);
        if (done[i] == SHMQ_ERR_STALE)
            t_take(c, 5 + i, 16);
    }
    t_expect_empty(c);
    T_RC(shmq_consumer_drained(c), 1);
    shmq_consumer_close(c);
    rig_close(&rig);
}

TEST(records_that_had_to_wait_for_their_frame_are_found_again)
{
    struct rig rig = rig_open();
    struct shmq_consumer *c = with(&rig, "s", SHMQ_GROUP_SHARED, 0, 8);
    struct shmq_message first, second, other[2];

    /* A frame at its second attempt goes out record by record. */
    (void)t_publish_frame(rig.producer, 0, 2);
    first = receive(c, 0);
    T_OK(shmq_consumer_nack(c, &first));
    first = receive(c, 0);
    T_EQ(first.attempt, 1);
    t_expect_empty(c);
    /* Others go on meanwhile. */
    (void)t_publish_frame(rig.producer, 10, 2);
    (void)t_publish_frame(rig.producer, 20, 1);
    other[0] = receive(c, 10);
    other[1] = receive(c, 11);
    T_OK(shmq_consumer_release(c, &first));
    second = receive(c, 1);
    first = receive(c, 20);
    T_OK(shmq_consumer_release(c, &second));
    T_OK(shmq_consumer_release(c, &first));
    T_OK(shmq_consumer_release(c, &other[1]));
    T_OK(shmq_consumer_release(c, &other[0]));
    t_expect_empty(c);
    T_RC(shmq_consumer_drained(c), 1);
    shmq_consumer_close(c);
    rig_close(&rig);
}

TEST(an_exclusive_reader_gets_a_nacked_record_and_all_after_it_again)
{
    struct rig rig = rig_open();
    struct shmq_consumer *c = t_exclusive(rig.topic, "x");
    struct shmq_message msgs[4];

    t_publish_run(rig.producer, 0, 2);
    (void)t_publish_frame(rig.producer, 2, 3);
    t_take(c, 0, 16);
    for (uint32_t i = 0; i < 3; i++)
        msgs[i] = receive(c, 1 + i);
    T_OK(shmq_consumer_nack(c, &msgs[1]));
    T_OK(shmq_consumer_release(c, &msgs[0]));
    for (uint32_t i = 2; i < 4; i++) {
        struct shmq_message msg = receive(c, i);
        T_TRUE(msg.flags & SHMQ_MESSAGE_REDELIVERED);
        T_OK(shmq_consumer_release(c, &msg));
    }
    msgs[0] = receive(c, 4);
    T_OK(shmq_consumer_release(c, &msgs[0]));
    t_expect_empty(c);
    T_RC(shmq_consumer_drained(c), 1);
    shmq_consumer_close(c);
    rig_close(&rig);
}

TEST(an_ephemeral_reader_cannot_nack)
{
    struct rig rig = rig_open();
    struct shmq_consumer *c = t_ephemeral(rig.topic, SHMQ_START_LATEST);
    struct shmq_message msg;

    t_publish_run(rig.producer, 0, 1);
    msg = receive(c, 0);
    T_RC(shmq_consumer_nack(c, &msg), SHMQ_ERR_INVAL);
    T_OK(shmq_consumer_release(c, &msg));
    shmq_consumer_close(c);
    rig_close(&rig);
}

TEST(closing_gives_back_without_counting_an_attempt)
{
    struct rig rig = rig_open();
    struct shmq_consumer *a = with(&rig, "s", SHMQ_GROUP_SHARED, 0, 8);
    struct shmq_message msg;

    t_publish_run(rig.producer, 0, 1);
    (void)t_publish_frame(rig.producer, 1, 3);
    (void)receive(a, 0);
    msg = receive(a, 1);
    (void)receive(a, 2);
    T_OK(shmq_consumer_release(a, &msg));
    shmq_consumer_close(a);
    a = with(&rig, "s", SHMQ_GROUP_SHARED, 0, 8);
    for (uint32_t i = 0; i < 4; i++) {
        if (i == 1)
            continue;
        msg = receive(a, i);
        T_EQ(msg.attempt, 0);
        if (i != 3)
            T_TRUE(msg.flags & SHMQ_MESSAGE_REDELIVERED);
        T_OK(shmq_consumer_release(a, &msg));
    }
    t_expect_empty(a);
    shmq_consumer_close(a);
    rig_close(&rig);
}

TEST(an_exclusive_group_has_one_reader)
{
    struct rig rig = rig_open();
    struct shmq_consumer *a = t_exclusive(rig.topic, "x");
    struct shmq_consumer_options options = t_options("x", SHMQ_GROUP_EXCLUSIVE);
    struct shmq_consumer *b = NULL;
    char pid[16];

    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    T_RC(shmq_consumer_open(rig.topic, &options, &b), SHMQ_ERR_BUSY);
    T_SAYS(pid);
    T_TRUE(b == NULL);
    t_publish_run(rig.producer, 0, 4);
    t_take_run(a, 0, 2);
    (void)receive(a, 2);
    shmq_consumer_close(a);
    b = t_exclusive(rig.topic, "x");
    t_take_run(b, 2, 2);
    t_expect_empty(b);
    shmq_consumer_close(b);
    rig_close(&rig);
}

TEST(members_are_limited)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 4096);
    struct shmq_consumer *members[2];
    struct shmq_consumer *more = NULL;
    struct shmq_topic *topic;

    attrs.max_members = 2;
    topic = t_topic("t", &attrs);
    members[0] = t_shared(topic, "s");
    members[1] = t_ephemeral(topic, SHMQ_START_LATEST);
    T_RC(shmq_consumer_open(topic, NULL, &more), SHMQ_ERR_LIMIT);
    T_TRUE(more == NULL);
    shmq_consumer_close(members[0]);
    more = t_consumer(topic, NULL);
    shmq_consumer_close(more);
    shmq_consumer_close(members[1]);
    shmq_topic_close(topic);
}

static const struct CMUnitTest tests[] = {
    T(wrong_options_are_refused),
    T(empty_leaves_ret_alone),
    T(every_group_sees_every_record),
    T(members_of_a_shared_group_compete),
    T(records_are_released_in_any_order),
    T(a_record_is_released_once),
    T(prefetch_limits_the_frames_held),
    T(a_shared_member_holds_one_frame_by_default),
    T(with_manual_ack_only_an_ack_counts),
    T(an_ack_after_release_counts_with_manual_ack),
    T(an_early_ack_counts_although_the_record_is_held),
    T(a_held_record_is_not_overwritten_after_its_ack),
    T(a_nack_gives_the_record_to_any_member),
    T(a_nack_gives_later_records_of_the_frame_back_too),
    T(records_that_had_to_wait_for_their_frame_are_found_again),
    T(an_exclusive_reader_gets_a_nacked_record_and_all_after_it_again),
    T(an_ephemeral_reader_cannot_nack),
    T(closing_gives_back_without_counting_an_attempt),
    T(an_exclusive_group_has_one_reader),
    T(members_are_limited),
};
T_MAIN(tests)
