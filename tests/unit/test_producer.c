/* test_producer.c - publishing by copy, in batches, and its outcomes. */
#include "support/unit.h"

#include <stdlib.h>

#include "support/rig.h"

TEST(records_of_every_size_arrive_whole)
{
    static const uint64_t sizes[] = {0, 1, 7, 8, 63, 64, 65, 4096, 4097};
    struct rig rig = rig_open(64, 65536);
    uint64_t max = 65536 / 2 - 128;

    for (uint64_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        (void)t_publish(rig.producer, i, sizes[i]);
        t_take(rig.consumer, i, sizes[i]);
    }
    (void)t_publish(rig.producer, 99, max);
    t_take(rig.consumer, 99, max);
    t_expect_empty(rig.consumer);
    rig_close(&rig);
}

TEST(an_empty_record_needs_no_memory)
{
    struct rig rig = rig_open(64, 65536);
    struct shmq_message msg;

    T_OK(shmq_producer_publish(rig.producer, NULL, 0, NULL));
    T_OK(shmq_consumer_receive(rig.consumer, &msg));
    T_EQ(msg.size, 0);
    T_EQ(msg.attr_bytes, 0);
    T_OK(shmq_consumer_release(rig.consumer, &msg));
    T_RC(shmq_producer_publish(rig.producer, NULL, 1, NULL), SHMQ_ERR_INVAL);
    t_expect_empty(rig.consumer);
    rig_close(&rig);
}

TEST(a_record_over_the_maximum_is_too_large)
{
    struct rig rig = rig_open(64, 65536);
    uint64_t max = 65536 / 2 - 128;
    unsigned char *data = calloc(1, max + 1);
    uint64_t position = 77;
    struct shmq_loan loan;

    T_TRUE(data != NULL);
    memset(&loan, 0x5a, sizeof(loan));
    T_RC(shmq_producer_publish(rig.producer, data, max + 1, &position),
        SHMQ_ERR_TOO_LARGE);
    T_RC(shmq_producer_publish_wait(
             rig.producer, data, max + 1, SHMQ_FOREVER, &position),
        SHMQ_ERR_TOO_LARGE);
    T_RC(shmq_producer_publish(rig.producer, data, UINT64_MAX, &position),
        SHMQ_ERR_TOO_LARGE);
    T_RC(shmq_producer_publish(rig.producer, data, UINT64_MAX - 100, &position),
        SHMQ_ERR_TOO_LARGE);
    T_RC(shmq_producer_publish(rig.producer, data, 1ull << 32, &position),
        SHMQ_ERR_TOO_LARGE);
    T_RC(shmq_producer_loan(rig.producer, max + 1, NULL, 0, &loan),
        SHMQ_ERR_TOO_LARGE);
    T_RC(shmq_producer_loan_wait(
             rig.producer, UINT64_MAX, NULL, 0, SHMQ_FOREVER, &loan),
        SHMQ_ERR_TOO_LARGE);
    T_EQ(position, 77);
    T_EQ(loan.size, 0x5a5a5a5a5a5a5a5a);
    t_expect_empty(rig.consumer);
    T_EQ(shmq_producer_sequence(rig.producer), 0);
    free(data);
    rig_close(&rig);
}

TEST(attributes_count_towards_the_maximum)
{
    struct shmq_topic_attrs attrs = t_mpmc(64, 65536);
    struct shmq_attr key = {SHMQ_ATTR_KEY, 60, NULL, NULL};
    struct shmq_record rec;
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    static const char bytes[128];

    attrs.max_message_bytes = 100;
    topic = t_topic("t", &attrs);
    producer = t_producer(topic);
    memset(&rec, 0, sizeof(rec));
    key.value = bytes;
    rec.data = bytes;
    rec.size = 100;
    T_OK(shmq_producer_publish_batch(producer, &rec, 1, NULL));
    rec.attrs = &key;
    rec.attr_cnt = 1;
    T_RC(shmq_producer_publish_batch(producer, &rec, 1, NULL),
        SHMQ_ERR_TOO_LARGE);
    rec.size = 8;
    T_OK(shmq_producer_publish_batch(producer, &rec, 1, NULL));
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(positions_grow_and_sequences_count_from_zero)
{
    struct rig rig = rig_open(16, 65536);
    uint64_t last = 0;

    for (uint64_t i = 0; i < 200; i++) {
        struct shmq_message msg;
        uint64_t position;
        T_EQ(shmq_producer_sequence(rig.producer), i);
        position = t_publish(rig.producer, i, 16);
        T_TRUE(i == 0 || position > last);
        last = position;
        T_OK(shmq_consumer_receive(rig.consumer, &msg));
        T_CARRIES(&msg, i, 16);
        T_EQ(msg.position, position);
        T_EQ(msg.sequence, i);
        T_EQ(msg.producer, shmq_producer_identity(rig.producer));
        T_EQ(msg.attempt, 0);
        T_EQ(msg.flags, 0);
        T_OK(shmq_consumer_release(rig.consumer, &msg));
    }
    rig_close(&rig);
}

TEST(each_producer_counts_for_itself)
{
    struct rig rig = rig_open(64, 65536);
    struct shmq_producer *other = t_producer(rig.topic);
    uint64_t first = shmq_producer_identity(rig.producer);
    uint64_t second = shmq_producer_identity(other);
    uint64_t cnt[2] = {0, 0};

    T_TRUE(first != second && first != 0 && second != 0);
    T_TRUE(first < 1ull << 62 && second < 1ull << 62);
    for (uint64_t i = 0; i < 30; i++) {
        struct shmq_message msg;
        bool mine = i % 3 == 0;
        (void)t_publish(mine ? rig.producer : other, i, 16);
        T_OK(shmq_consumer_receive(rig.consumer, &msg));
        T_EQ(msg.producer, mine ? first : second);
        T_EQ(msg.sequence, cnt[mine ? 0 : 1]++);
        T_OK(shmq_consumer_release(rig.consumer, &msg));
    }
    shmq_producer_close(other);
    other = t_producer(rig.topic);
    T_TRUE(shmq_producer_identity(other) != second);
    T_EQ(shmq_producer_sequence(other), 0);
    shmq_producer_close(other);
    rig_close(&rig);
}

TEST(records_carry_the_time_of_publishing)
{
    struct rig rig = rig_open(64, 65536);
    struct shmq_message msg;
    int64_t before;
    int64_t after;

    before = t_wall_ns();
    (void)t_publish(rig.producer, 1, 16);
    after = t_wall_ns();
    T_OK(shmq_consumer_receive(rig.consumer, &msg));
    T_TRUE(msg.time_ns >= before - 20000000 && msg.time_ns <= after);
    T_OK(shmq_consumer_release(rig.consumer, &msg));
    rig_close(&rig);
}

static void batch_round_trip(struct rig *rig, uint32_t cnt)
{
    struct shmq_record *recs = calloc(cnt, sizeof(*recs));
    uint64_t *data = calloc(cnt, sizeof(*data));
    uint64_t *positions = calloc(cnt, sizeof(*positions));
    uint64_t first = shmq_producer_sequence(rig->producer);

    T_TRUE(recs != NULL && data != NULL && positions != NULL);
    for (uint32_t i = 0; i < cnt; i++) {
        t_fill(&data[i], 8, i);
        recs[i].data = &data[i];
        recs[i].size = i % 9;
    }
    T_OK(shmq_producer_publish_batch(rig->producer, recs, cnt, positions));
    T_EQ(shmq_producer_sequence(rig->producer), first + cnt);
    for (uint32_t i = 0; i < cnt; i++) {
        struct shmq_message msg;
        T_TRUE(i == 0 || positions[i] > positions[i - 1]);
        T_OK(shmq_consumer_receive(rig->consumer, &msg));
        T_CARRIES(&msg, i, i % 9);
        T_EQ(msg.position, positions[i]);
        T_EQ(msg.sequence, first + i);
        T_OK(shmq_consumer_release(rig->consumer, &msg));
    }
    t_expect_empty(rig->consumer);
    free(recs);
    free(data);
    free(positions);
}

TEST(batches_of_every_size_arrive_in_order)
{
    struct rig rig = rig_open(4, 1 << 18);

    batch_round_trip(&rig, 1);
    batch_round_trip(&rig, 2);
    batch_round_trip(&rig, 63);
    batch_round_trip(&rig, 64);
    batch_round_trip(&rig, 65);
    batch_round_trip(&rig, 1000);
    batch_round_trip(&rig, SHMQ_BATCH_MAX - 1);
    batch_round_trip(&rig, SHMQ_BATCH_MAX);
    rig_close(&rig);
}

TEST(wrong_batches_are_refused_whole)
{
    struct rig rig = rig_open(64, 1 << 18);
    struct shmq_record *recs = calloc(SHMQ_BATCH_MAX + 1, sizeof(*recs));
    uint64_t positions[2] = {77, 77};
    static const unsigned char data[65536];

    T_TRUE(recs != NULL);
    T_RC(shmq_producer_publish_batch(rig.producer, recs, 0, positions),
        SHMQ_ERR_INVAL);
    T_RC(shmq_producer_publish_batch(
             rig.producer, recs, SHMQ_BATCH_MAX + 1, positions),
        SHMQ_ERR_INVAL);
    T_RC(shmq_producer_publish_batch(rig.producer, NULL, 1, positions),
        SHMQ_ERR_INVAL);
    recs[1].size = 1;
    T_RC(shmq_producer_publish_batch(rig.producer, recs, 2, positions),
        SHMQ_ERR_INVAL);
    recs[1].data = data;
    recs[1].size = UINT64_MAX - 8;
    T_RC(shmq_producer_publish_batch(rig.producer, recs, 2, positions),
        SHMQ_ERR_TOO_LARGE);
    for (uint32_t i = 0; i < 4; i++) {
        recs[i].data = data;
        recs[i].size = sizeof(data);
    }
    T_RC(shmq_producer_publish_batch(rig.producer, recs, 4, positions),
        SHMQ_ERR_TOO_LARGE);
    T_RC(shmq_producer_publish_batch_wait(
             rig.producer, recs, 4, SHMQ_FOREVER, positions),
        SHMQ_ERR_TOO_LARGE);
    T_EQ(positions[0], 77);
    T_EQ(positions[1], 77);
    T_EQ(shmq_producer_sequence(rig.producer), 0);
    t_expect_empty(rig.consumer);
    free(recs);
    rig_close(&rig);
}

TEST(options_are_checked)
{
    struct rig rig = rig_open(64, 65536);
    struct shmq_producer_options options;
    struct shmq_producer *producer = NULL;

    memset(&options, 0, sizeof(options));
    T_RC(shmq_producer_open(rig.topic, &options, &producer), SHMQ_ERR_INVAL);
    options.struct_bytes = sizeof(options);
    options.flags = 1;
    T_RC(shmq_producer_open(rig.topic, &options, &producer), SHMQ_ERR_INVAL);
    T_TRUE(producer == NULL);
    options.flags = 0;
    options.spin_ns = SHMQ_FOREVER;
    T_OK(shmq_producer_open(rig.topic, &options, &producer));
    T_OK(shmq_producer_publish_wait(producer, "x", 1, SHMQ_FOREVER, NULL));
    shmq_producer_close(producer);
    shmq_producer_close(NULL);
    rig_close(&rig);
}

TEST(producers_are_limited_and_closed_ones_do_not_count)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 4096);
    struct shmq_producer *producers[3];
    struct shmq_producer *more = NULL;
    struct shmq_topic *topic;

    attrs.max_producers = 3;
    topic = t_topic("t", &attrs);
    for (uint32_t i = 0; i < 3; i++)
        producers[i] = t_producer(topic);
    T_RC(shmq_producer_open(topic, NULL, &more), SHMQ_ERR_LIMIT);
    T_TRUE(more == NULL);
    T_EQ(t_stat(topic).producer_cnt, 3);
    shmq_producer_close(producers[1]);
    more = t_producer(topic);
    t_publish_run(more, 0, 5);
    shmq_producer_close(more);
    shmq_producer_close(producers[0]);
    shmq_producer_close(producers[2]);
    T_EQ(t_stat(topic).producer_cnt, 0);
    shmq_topic_close(topic);
}

TEST(arenas_are_handed_on_with_records_still_unread)
{
    struct shmq_topic_attrs attrs = t_mpmc(1024, 4096);
    struct shmq_consumer *consumer;
    struct shmq_topic *topic;
    uint64_t published = 0;
    uint64_t taken = 0;

    attrs.max_producers = 2;
    topic = t_topic("t", &attrs);
    consumer = t_exclusive(topic, "g");
    for (uint32_t i = 0; i < 200; i++) {
        struct shmq_producer *producer = t_producer(topic);
        for (uint32_t k = 0; k < 5; k++) {
            unsigned char data[300];
            int rc;
            t_fill(data, sizeof(data), published);
            rc = shmq_producer_publish(producer, data, sizeof(data), NULL);
            if (rc != SHMQ_ERR_FULL) {
                T_OK(rc);
                published++;
            }
        }
        shmq_producer_close(producer);
        while (published - taken > 7)
            t_take(consumer, taken++, 300);
    }
    T_TRUE(published > 300);
    while (taken < published)
        t_take(consumer, taken++, 300);
    t_expect_empty(consumer);
    shmq_consumer_close(consumer);
    shmq_topic_close(topic);
}

static const struct CMUnitTest tests[] = {
    T(records_of_every_size_arrive_whole),
    T(an_empty_record_needs_no_memory),
    T(a_record_over_the_maximum_is_too_large),
    T(attributes_count_towards_the_maximum),
    T(positions_grow_and_sequences_count_from_zero),
    T(each_producer_counts_for_itself),
    T(records_carry_the_time_of_publishing),
    T(batches_of_every_size_arrive_in_order),
    T(wrong_batches_are_refused_whole),
    T(options_are_checked),
    T(producers_are_limited_and_closed_ones_do_not_count),
    T(arenas_are_handed_on_with_records_still_unread),
};
T_MAIN(tests)
