/* test_message.c - attributes of records, and what a record takes. */
#include "support/unit.h"

#include <stdlib.h>

#include "support/rig.h"

static struct shmq_attr attr(
    uint32_t type, const char *name, const void *value, uint32_t bytes)
{
    struct shmq_attr made;

    memset(&made, 0, sizeof(made));
    made.type = type;
    made.name = name;
    made.value = value;
    made.value_bytes = bytes;
    return made;
}

static struct shmq_record record(const void *data, uint64_t size,
    const struct shmq_attr *attrs, uint32_t cnt)
{
    struct shmq_record made;

    memset(&made, 0, sizeof(made));
    made.data = data;
    made.size = size;
    made.attrs = attrs;
    made.attr_cnt = cnt;
    return made;
}

static void expect_attr(const struct shmq_message *msg, uint32_t type,
    uint32_t nth, const char *name, const void *value, uint32_t bytes)
{
    struct shmq_attr got;

    memset(&got, 0, sizeof(got));
    T_OK(shmq_message_attr(msg, type, nth, &got));
    if (type != 0)
        T_EQ(got.type, type);
    T_EQ(got.value_bytes, bytes);
    T_TRUE(bytes == 0 || memcmp(got.value, value, bytes) == 0);
    if (name == NULL)
        T_TRUE(got.name == NULL);
    else
        T_TRUE(strcmp(got.name, name) == 0);
}

TEST(all_attribute_types_round_trip)
{
    struct rig rig = rig_open(64, 1 << 20);
    const struct shmq_attr attrs[] = {
        attr(SHMQ_ATTR_KEY, NULL, "k\0y", 3),
        attr(SHMQ_ATTR_HEADER, "a", "1", 1),
        attr(SHMQ_ATTR_CONTENT_TYPE, NULL, "text/plain", 10),
        attr(SHMQ_ATTR_REPLY_TO, NULL, "answers", 7),
        attr(SHMQ_ATTR_HEADER, "b", "", 0),
        attr(SHMQ_ATTR_CORRELATION_ID, NULL, "\x01\x02\x03\x04", 4),
        attr(SHMQ_ATTR_HEADER, "a", "again", 5),
    };
    struct shmq_record rec = record("payload", 7, attrs, 7);
    struct shmq_message msg;
    struct shmq_attr got;

    T_OK(shmq_producer_publish_batch(rig.producer, &rec, 1, NULL));
    T_OK(shmq_consumer_receive(rig.consumer, &msg));
    T_EQ(msg.size, 7);
    T_TRUE(memcmp(msg.data, "payload", 7) == 0);
    expect_attr(&msg, SHMQ_ATTR_KEY, 0, NULL, "k\0y", 3);
    expect_attr(&msg, SHMQ_ATTR_CONTENT_TYPE, 0, NULL, "text/plain", 10);
    expect_attr(&msg, SHMQ_ATTR_REPLY_TO, 0, NULL, "answers", 7);
    expect_attr(&msg, SHMQ_ATTR_CORRELATION_ID, 0, NULL, "\1\2\3\4", 4);
    expect_attr(&msg, SHMQ_ATTR_HEADER, 0, "a", "1", 1);
    expect_attr(&msg, SHMQ_ATTR_HEADER, 1, "b", "", 0);
    expect_attr(&msg, SHMQ_ATTR_HEADER, 2, "a", "again", 5);
    for (uint32_t i = 0; i < 7; i++) {
        expect_attr(
            &msg, 0, i, attrs[i].name, attrs[i].value, attrs[i].value_bytes);
        T_OK(shmq_message_attr(&msg, 0, i, &got));
        T_EQ(got.type, attrs[i].type);
    }
    memset(&got, 0x5a, sizeof(got));
    T_RC(shmq_message_attr(&msg, 0, 7, &got), SHMQ_ERR_NOENT);
    T_RC(shmq_message_attr(&msg, SHMQ_ATTR_KEY, 1, &got), SHMQ_ERR_NOENT);
    T_RC(shmq_message_attr(&msg, SHMQ_ATTR_EXPIRY, 0, &got), SHMQ_ERR_NOENT);
    T_EQ(got.value_bytes, 0x5a5a5a5a);
    T_OK(shmq_consumer_release(rig.consumer, &msg));
    rig_close(&rig);
}

TEST(attributes_of_a_loan_round_trip)
{
    struct rig rig = rig_open(64, 1 << 20);
    struct shmq_attr key = attr(SHMQ_ATTR_KEY, NULL, "key", 3);
    struct shmq_message msg;
    struct shmq_loan loan;

    T_OK(shmq_producer_loan(rig.producer, 100, &key, 1, &loan));
    t_fill(loan.data, 100, 5);
    key.value = "gone"; /* the value was copied at the loan */
    T_OK(shmq_producer_commit(rig.producer, &loan, 100, NULL));
    T_OK(shmq_consumer_receive(rig.consumer, &msg));
    T_CARRIES(&msg, 5, 100);
    expect_attr(&msg, SHMQ_ATTR_KEY, 0, NULL, "key", 3);
    T_OK(shmq_consumer_release(rig.consumer, &msg));
    rig_close(&rig);
}

TEST(records_of_one_frame_keep_their_own_attributes)
{
    struct rig rig = rig_open(64, 1 << 20);
    struct shmq_record recs[50];
    struct shmq_attr attrs[50];
    char keys[50][8];
    struct shmq_message msg;

    for (uint32_t i = 0; i < 50; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "k%u", i);
        attrs[i] =
            attr(SHMQ_ATTR_KEY, NULL, keys[i], (uint32_t)strlen(keys[i]));
        recs[i] = record(keys[i], i % 3, &attrs[i], i % 2);
    }
    T_OK(shmq_producer_publish_batch(rig.producer, recs, 50, NULL));
    for (uint32_t i = 0; i < 50; i++) {
        T_OK(shmq_consumer_receive(rig.consumer, &msg));
        T_EQ(msg.size, i % 3);
        if (i % 2 == 1)
            expect_attr(&msg, SHMQ_ATTR_KEY, 0, NULL, keys[i],
                (uint32_t)strlen(keys[i]));
        else
            T_EQ(msg.attr_bytes, 0);
        T_OK(shmq_consumer_release(rig.consumer, &msg));
    }
    rig_close(&rig);
}

TEST(the_largest_attributes_round_trip)
{
    struct rig rig = rig_open(64, 1 << 20);
    unsigned char *value = malloc(65000);
    char name[256];
    struct shmq_attr attrs[2];
    struct shmq_record rec;
    struct shmq_message msg;

    T_TRUE(value != NULL);
    t_fill(value, 65000, 9);
    memset(name, 'n', sizeof(name) - 1);
    name[255] = '\0';
    attrs[0] = attr(SHMQ_ATTR_KEY, NULL, value, 65000);
    attrs[1] = attr(SHMQ_ATTR_HEADER, name, "v", 1);
    rec = record(NULL, 0, attrs, 1);
    T_OK(shmq_producer_publish_batch(rig.producer, &rec, 1, NULL));
    rec = record(NULL, 0, attrs + 1, 1);
    T_OK(shmq_producer_publish_batch(rig.producer, &rec, 1, NULL));
    T_OK(shmq_consumer_receive(rig.consumer, &msg));
    expect_attr(&msg, SHMQ_ATTR_KEY, 0, NULL, value, 65000);
    T_OK(shmq_consumer_release(rig.consumer, &msg));
    T_OK(shmq_consumer_receive(rig.consumer, &msg));
    expect_attr(&msg, SHMQ_ATTR_HEADER, 0, name, "v", 1);
    T_OK(shmq_consumer_release(rig.consumer, &msg));
    free(value);
    rig_close(&rig);
}

static void expect_illegal(struct rig *rig, struct shmq_attr wrong)
{
    struct shmq_record rec = record("x", 1, &wrong, 1);
    uint64_t bytes = 77;
    uint64_t position = 88;
    struct shmq_loan loan;

    T_RC(shmq_record_bytes(&rec, &bytes), SHMQ_ERR_INVAL);
    T_EQ(bytes, 77);
    T_RC(shmq_producer_publish_batch(rig->producer, &rec, 1, &position),
        SHMQ_ERR_INVAL);
    T_EQ(position, 88);
    T_RC(
        shmq_producer_loan(rig->producer, 1, &wrong, 1, &loan), SHMQ_ERR_INVAL);
    t_expect_empty(rig->consumer);
}

TEST(illegal_attributes_are_refused)
{
    struct rig rig = rig_open(64, 1 << 20);
    char name[257];
    static unsigned char value[65001];

    memset(name, 'n', sizeof(name) - 1);
    name[256] = '\0';
    expect_illegal(&rig, attr(0, NULL, "v", 1));
    expect_illegal(&rig, attr(1u << 16, NULL, "v", 1));
    expect_illegal(&rig, attr(SHMQ_ATTR_HEADER, NULL, "v", 1));
    expect_illegal(&rig, attr(SHMQ_ATTR_HEADER, "", "v", 1));
    expect_illegal(&rig, attr(SHMQ_ATTR_HEADER, name, "v", 1));
    expect_illegal(&rig, attr(SHMQ_ATTR_KEY, NULL, value, 65001));
    expect_illegal(&rig, attr(SHMQ_ATTR_KEY, NULL, NULL, 1));
    rig_close(&rig);
}

TEST(attributes_of_more_than_64_kib_are_refused)
{
    struct rig rig = rig_open(64, 1 << 20);
    static unsigned char value[40000];
    const struct shmq_attr attrs[] = {
        attr(SHMQ_ATTR_KEY, NULL, value, sizeof(value)),
        attr(SHMQ_ATTR_CONTENT_TYPE, NULL, value, sizeof(value)),
    };
    struct shmq_record rec = record("x", 1, attrs, 2);
    uint64_t bytes = 77;

    T_RC(shmq_record_bytes(&rec, &bytes), SHMQ_ERR_INVAL);
    T_EQ(bytes, 77);
    T_RC(shmq_producer_publish_batch(rig.producer, &rec, 1, NULL),
        SHMQ_ERR_INVAL);
    rig_close(&rig);
}

TEST(record_bytes_are_aligned_and_grow_with_the_parts)
{
    struct shmq_attr key = attr(SHMQ_ATTR_KEY, NULL, "12345678", 8);
    struct shmq_record rec = record(NULL, 0, NULL, 0);
    uint64_t empty = 0;
    uint64_t bytes = 0;
    uint64_t keyed = 0;

    T_OK(shmq_record_bytes(&rec, &empty));
    T_TRUE(empty >= 8 && empty % 8 == 0);
    rec = record("x", 1, NULL, 0);
    T_OK(shmq_record_bytes(&rec, &bytes));
    T_EQ(bytes, empty + 8);
    rec.attrs = &key;
    rec.attr_cnt = 1;
    T_OK(shmq_record_bytes(&rec, &keyed));
    T_TRUE(keyed >= bytes + 8 && keyed % 8 == 0);
    rec = record(NULL, 1 << 20, NULL, 0);
    rec.data = "";
    T_OK(shmq_record_bytes(&rec, &bytes));
    T_EQ(bytes, empty + (1 << 20));
}

TEST(a_frame_that_record_bytes_says_fits_is_published)
{
    struct shmq_topic_attrs attrs = t_mpmc(64, 1 << 15);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_record recs[SHMQ_BATCH_MAX];
    uint64_t bytes = 0;
    uint32_t cnt;

    for (uint32_t i = 0; i < SHMQ_BATCH_MAX; i++)
        recs[i] = record("12345678", 8, NULL, 0);
    T_OK(shmq_record_bytes(&recs[0], &bytes));
    cnt = (uint32_t)(((1 << 14) - 64) / bytes);
    T_TRUE(cnt > 100 && cnt < SHMQ_BATCH_MAX);
    T_OK(shmq_producer_publish_batch(producer, recs, cnt, NULL));
    T_RC(shmq_producer_publish_batch(producer, recs, 2 * cnt + 20, NULL),
        SHMQ_ERR_TOO_LARGE);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

static const struct CMUnitTest tests[] = {
    T(all_attribute_types_round_trip),
    T(attributes_of_a_loan_round_trip),
    T(records_of_one_frame_keep_their_own_attributes),
    T(the_largest_attributes_round_trip),
    T(illegal_attributes_are_refused),
    T(attributes_of_more_than_64_kib_are_refused),
    T(record_bytes_are_aligned_and_grow_with_the_parts),
    T(a_frame_that_record_bytes_says_fits_is_published),
};
T_MAIN(tests)
