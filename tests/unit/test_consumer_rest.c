/* test_consumer_rest.c - the records of a frame taken and released together:
 * they are what receive and release would have brought one by one. */
#include "support/unit.h"

#include <stdlib.h>
#include <string.h>

#define RECORDS 200u
#define ROOM 65536u

/* A record as it lies in a frame. */
struct head {
    uint32_t size;
    uint16_t attr_bytes, zero;
};

static uint8_t memory[ROOM] __attribute__((aligned(8)));

static uint64_t pad8(uint64_t n)
{
    return (n + 7) & ~UINT64_C(7);
}

/* Sizes and attributes that follow from the tag. */
static uint32_t size_of(uint64_t tag)
{
    return 8 + (uint32_t)(tag * 7 % 41);
}

static uint32_t key_bytes(uint64_t tag)
{
    return tag % 3 ? 0 : 1 + (uint32_t)(tag % 11);
}

static void publish(struct shmq_producer *p, uint64_t first, uint32_t cnt)
{
    static uint8_t data[RECORDS][64], keys[RECORDS][16];
    static struct shmq_record records[RECORDS];
    static struct shmq_attr attrs[RECORDS];

    memset(records, 0, sizeof(records));
    for (uint32_t i = 0; i < cnt; i++) {
        uint64_t tag = first + i;
        t_fill(data[i], size_of(tag), tag);
        memset(keys[i], 'a' + (int)(tag % 26), sizeof(keys[i]));
        attrs[i] =
            (struct shmq_attr){SHMQ_ATTR_KEY, key_bytes(tag), keys[i], NULL};
        records[i].data = data[i];
        records[i].size = size_of(tag);
        records[i].attrs = &attrs[i];
        records[i].attr_cnt = key_bytes(tag) ? 1 : 0;
    }
    T_OK(shmq_producer_publish_batch(p, records, cnt, NULL));
}

/* Looks at `cnt` records at `at`; returns their length. */
static uint64_t look(const uint8_t *at, uint32_t cnt, uint64_t tag)
{
    const uint8_t *begin = at;

    for (uint32_t i = 0; i < cnt; i++, tag++) {
        struct head head;
        uint32_t key = key_bytes(tag) ? 4 + key_bytes(tag) : 0;
        memcpy(&head, at, sizeof(head));
        T_EQ(head.size, size_of(tag));
        T_EQ(head.attr_bytes, key);
        T_EQ(head.zero, 0);
        at += sizeof(head);
        for (uint64_t b = key; b < pad8(key); b++)
            T_EQ(at[b], 0);
        for (uint32_t b = 4; b < key; b++)
            T_EQ(at[b], 'a' + tag % 26);
        at += pad8(key);
        T_TRUE(t_matches(at, head.size, tag));
        for (uint64_t b = head.size; b < pad8(head.size); b++)
            T_EQ(at[b], 0);
        at += pad8(head.size);
    }
    return (uint64_t)(at - begin);
}

static uint32_t rest(struct shmq_consumer *c, const struct shmq_message *msg,
    uint64_t room, uint32_t max, uint64_t tag)
{
    uint64_t bytes = 1;
    int cnt;

    memset(memory, 0xee, sizeof(memory));
    cnt = shmq_consumer_receive_rest(c, msg, memory, room, max, &bytes);
    T_TRUE(cnt >= 0);
    T_TRUE((uint32_t)cnt <= max && bytes <= room);
    T_EQ(look(memory, (uint32_t)cnt, tag), bytes);
    return (uint32_t)cnt;
}

static struct shmq_consumer *reader(
    struct shmq_topic *topic, uint32_t kind, const char *group)
{
    struct shmq_consumer_options o = t_options(group, kind);

    if (!group)
        return t_ephemeral(topic, SHMQ_START_EARLIEST);
    o.prefetch_frames = 8;
    return t_consumer(topic, &o);
}

static void all_kinds(void (*play)(struct shmq_topic *, struct shmq_producer *,
    struct shmq_consumer *, const char *group))
{
    static const struct {
        uint32_t kind;
        const char *group;
    } kinds[] = {
        {SHMQ_GROUP_SHARED, "s"}, {SHMQ_GROUP_EXCLUSIVE, "x"}, {0, NULL}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        struct shmq_topic_attrs attrs = t_mpmc(64, 65536);
        struct shmq_topic *topic = t_topic("t", &attrs);
        struct shmq_producer *p = t_producer(topic);
        struct shmq_consumer *c = reader(topic, kinds[i].kind, kinds[i].group);

        play(topic, p, c, kinds[i].group);
        shmq_consumer_close(c);
        shmq_producer_close(p);
        shmq_topic_close(topic);
        T_OK(shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE));
    }
}

static void in_one_go(struct shmq_topic *topic, struct shmq_producer *p,
    struct shmq_consumer *c, const char *group)
{
    struct shmq_message msg;
    uint64_t tag = 0;

    (void)topic, (void)group;
    /* More than the arena holds: what records leave behind is there. */
    for (uint32_t round = 0; round < 40; round++) {
        uint32_t cnt = 1 + round * 5;
        publish(p, tag, cnt);
        T_OK(shmq_consumer_receive(c, &msg));
        T_EQ(t_tag(&msg), tag);
        T_EQ(rest(c, &msg, ROOM, RECORDS, tag + 1), cnt - 1);
        T_RC(shmq_consumer_release_many(c, &msg, cnt), (int)cnt);
        T_RC(shmq_consumer_release_many(c, &msg, cnt), 0);
        T_RC(shmq_consumer_drained(c), 1);
        tag += cnt;
    }
    t_expect_empty(c);
}

TEST(what_follows_in_the_frame_comes_as_it_lies_there)
{
    all_kinds(in_one_go);
}

static void in_pieces(struct shmq_topic *topic, struct shmq_producer *p,
    struct shmq_consumer *c, const char *group)
{
    struct shmq_message msg;
    uint64_t chance = t_seed_say("pieces"), tag = 0, end = 0;

    (void)topic, (void)group;
    while (tag < 4000) {
        uint32_t cnt;
        if (tag == end) {
            cnt = 1 + (uint32_t)t_below(&chance, RECORDS);
            publish(p, tag, cnt);
            end = tag + cnt;
        }
        T_OK(shmq_consumer_receive(c, &msg));
        T_EQ(t_tag(&msg), tag);
        cnt = 1 +
            rest(c, &msg, t_below(&chance, 600), (uint32_t)t_below(&chance, 30),
                tag + 1);
        /* From the end to the beginning, in pieces. */
        for (uint32_t left = cnt; left;) {
            struct shmq_message first;
            uint32_t n = 1 + (uint32_t)t_below(&chance, left);
            shmq_consumer_nth(&msg, left - n, &first);
            T_EQ(first.position, msg.position + left - n);
            T_RC(shmq_consumer_release_many(c, &first, n), (int)n);
            left -= n;
        }
        tag += cnt;
        T_RC(shmq_consumer_drained(c), tag == end);
    }
}

TEST(room_and_number_end_it_and_receive_goes_on_behind)
{
    all_kinds(in_pieces);
}

TEST(what_is_not_released_comes_to_the_next_member)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_producer *p = t_producer(topic);
    uint64_t chance = t_seed_say("given back"), tag = 0;

    for (uint32_t round = 0; round < 50; round++) {
        struct shmq_consumer *c = reader(topic, SHMQ_GROUP_SHARED, "s");
        uint32_t cnt = 2 + (uint32_t)t_below(&chance, RECORDS - 1);
        uint32_t from = (uint32_t)t_below(&chance, cnt);
        uint32_t n = 1 + (uint32_t)t_below(&chance, cnt - from);
        struct shmq_message msg, piece;

        publish(p, tag, cnt);
        T_OK(shmq_consumer_receive(c, &msg));
        T_EQ(rest(c, &msg, ROOM, RECORDS, tag + 1), cnt - 1);
        shmq_consumer_nth(&msg, from, &piece);
        T_RC(shmq_consumer_release_many(c, &piece, n), (int)n);
        shmq_consumer_close(c);
        /* What is done from the beginning on does not come again. */
        c = reader(topic, SHMQ_GROUP_SHARED, "s");
        for (uint32_t i = from ? 0 : n; i < cnt; i++) {
            T_OK(shmq_consumer_receive(c, &msg));
            T_EQ(t_tag(&msg), tag + i);
            T_TRUE(msg.flags & SHMQ_MESSAGE_REDELIVERED);
            T_EQ(rest(c, &msg, ROOM, RECORDS, tag + i + 1), 0);
            T_RC(shmq_consumer_release_many(c, &msg, 1), 1);
        }
        t_expect_empty(c);
        T_RC(shmq_consumer_drained(c), 1);
        shmq_consumer_close(c);
        tag += cnt;
    }
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

TEST(those_that_were_over_or_have_moved_on_are_not_counted)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_producer *p = t_producer(topic);
    struct shmq_consumer *c = reader(topic, SHMQ_GROUP_SHARED, "s");
    struct shmq_message msg, one;

    publish(p, 0, 100);
    T_OK(shmq_consumer_receive(c, &msg));
    T_EQ(rest(c, &msg, ROOM, RECORDS, 1), 99);
    shmq_consumer_nth(&msg, 10, &one);
    T_OK(shmq_consumer_release(c, &one));
    T_RC(shmq_consumer_release_many(c, &msg, 20), 19);
    shmq_consumer_nth(&msg, 50, &one);
    T_OK(shmq_consumer_nack(c, &one)); /* and all behind it */
    shmq_consumer_nth(&msg, 20, &one);
    T_RC(shmq_consumer_release_many(c, &one, 80), 30);
    for (uint64_t tag = 50; tag < 100; tag++) {
        T_OK(shmq_consumer_receive(c, &msg));
        T_EQ(msg.attempt, tag == 50 ? 1 : 0);
        T_EQ(t_tag(&msg), tag);
        T_OK(shmq_consumer_release(c, &msg));
    }
    T_RC(shmq_consumer_drained(c), 1);
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

TEST(a_lease_that_ended_takes_all_of_them)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_producer *p = t_producer(topic);
    struct shmq_consumer_options o = t_options("s", SHMQ_GROUP_SHARED);
    struct shmq_consumer *late, *other;
    struct shmq_message msg, again;

    o.attrs.lease_ns = 50 * T_MS;
    late = t_consumer(topic, &o);
    other = t_consumer(topic, &o);
    publish(p, 0, 40);
    T_OK(shmq_consumer_receive(late, &msg));
    T_EQ(rest(late, &msg, ROOM, RECORDS, 1), 39);
    T_OK(shmq_consumer_receive_wait(other, shmq_deadline(T_PATIENCE), &again));
    T_EQ(t_tag(&again), 0);
    T_RC(shmq_consumer_release_many(late, &msg, 40), 0);
    T_OK(shmq_consumer_release(other, &again));
    shmq_consumer_close(other);
    shmq_consumer_close(late);
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

TEST(what_another_has_by_now_is_not_handed_out)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_producer *p = t_producer(topic);
    struct shmq_consumer_options o = t_options("s", SHMQ_GROUP_SHARED);
    struct shmq_consumer *late, *other;
    struct shmq_message msg, again;

    o.attrs.lease_ns = 50 * T_MS;
    late = t_consumer(topic, &o);
    other = t_consumer(topic, &o);
    publish(p, 0, 40);
    T_OK(shmq_consumer_receive(late, &msg));
    T_OK(shmq_consumer_receive_wait(other, shmq_deadline(T_PATIENCE), &again));
    T_EQ(t_tag(&again), 0);
    T_EQ(rest(late, &msg, ROOM, RECORDS, 1), 0);
    T_RC(shmq_consumer_release(late, &msg), SHMQ_ERR_STALE);
    T_OK(shmq_consumer_release(other, &again));
    shmq_consumer_close(other);
    shmq_consumer_close(late);
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

TEST(wrong_use_is_refused)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_producer *p = t_producer(topic);
    struct shmq_consumer *c = reader(topic, SHMQ_GROUP_SHARED, "s");
    struct shmq_message a, b;
    uint64_t bytes;

    publish(p, 0, 10);
    T_OK(shmq_consumer_receive(c, &a));
    T_OK(shmq_consumer_receive(c, &b));
    T_RC(shmq_consumer_receive_rest(c, &a, memory, ROOM, 5, &bytes),
        SHMQ_ERR_INVAL);
    T_RC(shmq_consumer_receive_rest(c, NULL, memory, ROOM, 5, &bytes),
        SHMQ_ERR_INVAL);
    T_EQ(rest(c, &b, 7, 5, 2), 0); /* no room for one */
    T_EQ(rest(c, &b, ROOM, 0, 2), 0);
    T_RC(shmq_consumer_release_many(c, &a, 0), SHMQ_ERR_INVAL);
    T_RC(shmq_consumer_release_many(c, &a, SHMQ_BATCH_MAX + 1), SHMQ_ERR_INVAL);
    /* Beyond what was handed out: what was is released. */
    T_RC(shmq_consumer_release_many(c, &a, 9), 2);
    t_take(c, 2, size_of(2));
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

static const struct CMUnitTest tests[] = {
    T(what_follows_in_the_frame_comes_as_it_lies_there),
    T(room_and_number_end_it_and_receive_goes_on_behind),
    T(what_is_not_released_comes_to_the_next_member),
    T(those_that_were_over_or_have_moved_on_are_not_counted),
    T(a_lease_that_ended_takes_all_of_them),
    T(what_another_has_by_now_is_not_handed_out),
    T(wrong_use_is_refused),
};
T_MAIN(tests)
