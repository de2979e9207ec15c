/* test_dead_letters.c - what goes with a record to the dead-letter topic.
 */
#include "support/unit.h"

#include <stdlib.h>

/* A record of 16 bytes with these attributes, given back until it goes. */
static struct shmq_consumer *bury(struct shmq_topic *topic,
    const struct shmq_attr *attrs, uint32_t cnt, const char *dead_letter)
{
    struct shmq_consumer_options options = t_options("s", SHMQ_GROUP_SHARED);
    struct shmq_producer *p = t_producer(topic);
    uint8_t payload[16];
    struct shmq_record rec = {payload, sizeof payload, attrs, cnt, 0};
    struct shmq_consumer *c;
    struct shmq_message msg;

    options.attrs.max_attempts = 2;
    options.attrs.dead_letter = dead_letter;
    c = t_consumer(topic, &options);
    t_fill(payload, sizeof payload, 7);
    T_OK(shmq_producer_publish_batch(p, &rec, 1, NULL));
    for (int i = 0; i < 2; i++) {
        T_OK(shmq_consumer_receive(c, &msg));
        T_OK(shmq_consumer_nack(c, &msg));
    }
    t_expect_empty(c);
    /* It is gone, and what comes behind it is not held up. */
    (void)t_publish(p, 8, 16);
    t_take(c, 8, 16);
    shmq_producer_close(p);
    return c;
}

static void attributes_arrive(uint32_t cnt, uint32_t bytes, uint32_t arrive)
{
    static uint8_t value[65000];
    struct shmq_topic_attrs topic_attrs = t_mpmc(64, 1u << 20);
    struct shmq_topic *topic, *dead;
    struct shmq_attr *attrs = calloc(cnt, sizeof *attrs), attr;
    struct shmq_consumer *c, *reader;
    struct shmq_message msg;

    T_TRUE(attrs);
    topic_attrs.max_message_bytes = 200000;
    topic = t_topic("t", &topic_attrs);
    for (uint32_t i = 0; i < cnt; i++)
        attrs[i] = (struct shmq_attr){
            SHMQ_ATTR_HEADER, i == 0 ? bytes : 520, value, "h"};
    c = bury(topic, attrs, cnt, NULL);
    dead = t_open("@dead.t");
    reader = t_ephemeral(dead, SHMQ_START_EARLIEST);
    T_OK(shmq_consumer_receive(reader, &msg));
    T_EQ(t_tag(&msg), 7);
    T_OK(shmq_message_attr(&msg, SHMQ_ATTR_HEADER, arrive - 1, &attr));
    T_EQ(attr.value_bytes, arrive == 1 ? bytes : 520);
    T_RC(shmq_message_attr(&msg, SHMQ_ATTR_HEADER, arrive, &attr),
        SHMQ_ERR_NOENT);
    T_OK(shmq_message_attr(&msg, SHMQ_ATTR_DEAD_LETTER, 0, &attr));
    T_OK(shmq_consumer_release(reader, &msg));
    t_expect_empty(reader);
    shmq_consumer_close(reader);
    shmq_consumer_close(c);
    shmq_topic_close(dead);
    shmq_topic_close(topic);
    free(attrs);
}

TEST(all_attributes_go_with_a_dead_letter)
{
    attributes_arrive(100, 520, 100);
}

/* 65,535 bytes are the most that a record may have; its history takes some. */
TEST(attributes_that_leave_no_room_for_the_history_are_left_out)
{
    attributes_arrive(2, 65000, 1);
}

TEST(where_the_history_does_not_fit_the_record_goes_without)
{
    struct shmq_topic_attrs attrs = t_mpmc(64, 65536);
    struct shmq_topic *topic = t_topic("t", NULL), *dead;
    struct shmq_consumer *c, *reader;
    struct shmq_message msg;
    struct shmq_attr attr;

    attrs.max_message_bytes = 16;
    dead = t_topic("small", &attrs);
    c = bury(topic, NULL, 0, "small");
    reader = t_ephemeral(dead, SHMQ_START_EARLIEST);
    T_OK(shmq_consumer_receive(reader, &msg));
    T_EQ(t_tag(&msg), 7);
    T_RC(shmq_message_attr(&msg, SHMQ_ATTR_DEAD_LETTER, 0, &attr),
        SHMQ_ERR_NOENT);
    T_OK(shmq_consumer_release(reader, &msg));
    shmq_consumer_close(reader);
    shmq_consumer_close(c);
    shmq_topic_close(dead);
    shmq_topic_close(topic);
}

/* A place for one producer is enough for all members: nobody keeps it. */
TEST(members_share_the_producers_of_a_dead_letter_topic)
{
    struct shmq_topic_attrs one = t_mpmc(64, 65536);
    struct shmq_topic *topic = t_topic("t", NULL), *dead;
    struct shmq_consumer *members[3], *reader;
    struct shmq_message msg;
    uint64_t end = t_now_ns() + T_PATIENCE;

    one.max_producers = 1;
    dead = t_topic("d", &one);
    for (int i = 0; i < 3; i++)
        members[i] = bury(topic, NULL, 0, "d");
    reader = t_ephemeral(dead, SHMQ_START_EARLIEST);
    for (int i = 0; i < 3; i++) {
        T_OK(shmq_consumer_receive_wait(
            reader, shmq_deadline(T_PATIENCE), &msg));
        T_EQ(t_tag(&msg), 7);
        T_OK(shmq_consumer_release(reader, &msg));
    }
    T_TRUE(t_now_ns() < end);
    for (int i = 0; i < 3; i++)
        shmq_consumer_close(members[i]);
    shmq_consumer_close(reader);
    shmq_topic_close(dead);
    shmq_topic_close(topic);
}

static const struct CMUnitTest tests[] = {
    T(members_share_the_producers_of_a_dead_letter_topic),
    T(all_attributes_go_with_a_dead_letter),
    T(attributes_that_leave_no_room_for_the_history_are_left_out),
    T(where_the_history_does_not_fit_the_record_goes_without),
};
T_MAIN(tests)
