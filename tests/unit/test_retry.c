/* test_retry.c - delayed nack, records that expire, history of dead letters. */
#include "support/unit.h"

#include <stdlib.h>

#include "support/proc.h"

/* Records published just now must not expire before they are looked at, also on
 * a machine that stands still for a moment. */
#define TTL_NS (700 * T_MS)
#define OLD_NS (900 * T_MS)

static struct shmq_topic *topic_with_ttl(
    uint64_t ttl_ns, uint32_t flags, uint32_t ring)
{
    struct shmq_topic_attrs attrs =
        ring == SHMQ_RING_SPSC ? t_spsc(65536) : t_mpmc(64, 65536);

    attrs.ttl_ns = ttl_ns;
    attrs.flags = flags;
    return t_topic("t", &attrs);
}

static struct shmq_consumer *member(struct shmq_topic *topic, uint32_t attempts)
{
    struct shmq_consumer_options options = t_options("s", SHMQ_GROUP_SHARED);

    options.attrs.max_attempts = attempts;
    return t_consumer(topic, &options);
}

/* -- delayed nack -----------------------------------------------------------
 */

TEST(a_delayed_nack_gives_the_record_back_when_its_time_has_come)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_producer *p = t_producer(topic);
    struct shmq_consumer *a = member(topic, 0), *b = member(topic, 0);
    struct shmq_message msg;
    uint64_t nacked;

    t_publish_run(p, 0, 3);
    T_OK(shmq_consumer_receive(a, &msg));
    T_EQ(t_tag(&msg), 0);
    nacked = t_now_ns();
    T_OK(shmq_consumer_nack_later(a, &msg, 80 * T_MS));
    T_RC(shmq_consumer_release(a, &msg), SHMQ_ERR_STALE);
    /* The others go on, although the prefetch is one frame. */
    t_take(a, 1, 16);
    t_take(b, 2, 16);
    t_expect_empty(b);
    T_RC(shmq_consumer_drained(a), 0);
    T_OK(shmq_consumer_receive_wait(a, shmq_deadline(T_PATIENCE), &msg));
    T_TRUE(t_now_ns() - nacked >= 80 * T_MS);
    T_TRUE(t_now_ns() - nacked < T_PATIENCE / 4);
    T_EQ(t_tag(&msg), 0);
    T_EQ(msg.attempt, 1);
    T_TRUE(msg.flags & SHMQ_MESSAGE_REDELIVERED);
    T_OK(shmq_consumer_release(a, &msg));
    T_RC(shmq_consumer_drained(a), 1);
    shmq_consumer_close(a);
    shmq_consumer_close(b);
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

TEST(many_records_are_delayed_each_for_its_own_time)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_producer *p = t_producer(topic);
    struct shmq_consumer *c = member(topic, 0);
    struct shmq_message msg;
    uint64_t due[20];

    t_publish_run(p, 0, 20);
    for (uint64_t i = 0; i < 20; i++) {
        uint64_t delay = (60 + 10 * (19 - i)) * T_MS;
        T_OK(shmq_consumer_receive(c, &msg));
        T_EQ(t_tag(&msg), i);
        due[i] = t_now_ns() + delay;
        T_OK(shmq_consumer_nack_later(c, &msg, delay));
    }
    t_expect_empty(c);
    for (uint32_t seen = 0; seen != 0xfffff;) {
        T_OK(shmq_consumer_receive_wait(c, shmq_deadline(T_PATIENCE), &msg));
        T_TRUE(t_tag(&msg) < 20 && t_now_ns() >= due[t_tag(&msg)]);
        T_TRUE(!(seen & 1u << t_tag(&msg)));
        seen |= 1u << t_tag(&msg);
        T_OK(shmq_consumer_release(c, &msg));
    }
    t_expect_empty(c);
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

TEST(a_delayed_record_of_a_frame_goes_with_those_behind_it)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_producer *p = t_producer(topic);
    struct shmq_consumer_options options = t_options("s", SHMQ_GROUP_SHARED);
    struct shmq_consumer *c;
    struct shmq_message msg[3];

    options.prefetch_frames = 2;
    c = t_consumer(topic, &options);
    (void)t_publish_frame(p, 0, 5);
    for (int i = 0; i < 3; i++)
        T_OK(shmq_consumer_receive(c, &msg[i]));
    T_OK(shmq_consumer_nack_later(c, &msg[1], 30 * T_MS));
    /* The view of record 0 is not over: it goes when that is. */
    t_sleep_ns(50 * T_MS);
    t_expect_empty(c);
    T_OK(shmq_consumer_release(c, &msg[0]));
    t_expect_empty(c);
    for (uint64_t i = 1; i < 5; i++) {
        struct shmq_message m;
        T_OK(shmq_consumer_receive_wait(c, shmq_deadline(T_PATIENCE), &m));
        T_EQ(t_tag(&m), i);
        T_OK(shmq_consumer_release(c, &m));
    }
    T_RC(shmq_consumer_drained(c), 1);
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

static int nack_for_an_hour(void *ctx)
{
    struct shmq_consumer *c = member(t_open("t"), 0);
    struct shmq_message msg;

    (void)ctx;
    T_OK(shmq_consumer_receive(c, &msg));
    T_OK(shmq_consumer_nack_later(c, &msg, 3600000 * T_MS));
    t_tell(1);
    t_wait_for_death();
}

TEST(a_delay_ends_with_its_owner)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_producer *p = t_producer(topic);
    struct shmq_consumer *a = member(topic, 0), *b;
    struct shmq_message msg;
    struct t_proc proc;

    (void)t_publish(p, 7, 16);
    t_spawn(&proc, nack_for_an_hour, NULL);
    (void)t_recv(&proc);
    t_expect_empty(a);
    t_kill(&proc);
    T_OK(shmq_consumer_receive_wait(a, shmq_deadline(T_PATIENCE), &msg));
    T_EQ(t_tag(&msg), 7);
    T_EQ(msg.attempt, 1);
    (void)t_bury(&proc);
    /* In order, too: and it counts as a failed attempt. */
    T_OK(shmq_consumer_nack_later(a, &msg, 3600000 * T_MS));
    b = member(topic, 0);
    t_expect_empty(b);
    shmq_consumer_close(a);
    T_OK(shmq_consumer_receive(b, &msg));
    T_EQ(msg.attempt, 2);
    T_OK(shmq_consumer_release(b, &msg));
    shmq_consumer_close(b);
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

TEST(delayed_attempts_end_in_the_dead_letter_topic)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_producer *p = t_producer(topic);
    struct shmq_consumer *c = member(topic, 3);
    struct shmq_group_stat stat;
    struct shmq_message msg;

    (void)t_publish(p, 1, 16);
    for (uint32_t i = 0; i < 3; i++) {
        T_OK(shmq_consumer_receive_wait(c, shmq_deadline(T_PATIENCE), &msg));
        T_EQ(msg.attempt, i);
        T_OK(shmq_consumer_nack_later(c, &msg, 5 * T_MS));
    }
    T_RC(shmq_consumer_receive_wait(c, shmq_deadline(50 * T_MS), &msg),
        SHMQ_ERR_TIMEOUT);
    T_TRUE(t_group_stat(topic, "s", &stat));
    T_EQ(stat.dead_lettered, 1);
    T_RC(shmq_consumer_drained(c), 1);
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

TEST(readers_without_others_have_no_delayed_nack)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_producer *p = t_producer(topic);
    struct shmq_consumer *x = t_exclusive(topic, "x");
    struct shmq_consumer *e = t_ephemeral(topic, SHMQ_START_LATEST);
    struct shmq_message msg;

    (void)t_publish(p, 1, 16);
    T_OK(shmq_consumer_receive(x, &msg));
    T_RC(shmq_consumer_nack_later(x, &msg, T_MS), SHMQ_ERR_INVAL);
    T_RC(shmq_consumer_nack_later(x, &msg, 25ull * 3600000 * T_MS),
        SHMQ_ERR_INVAL);
    T_OK(shmq_consumer_nack_later(x, &msg, 0)); /* as nack */
    t_take(x, 1, 16);
    T_OK(shmq_consumer_receive(e, &msg));
    T_RC(shmq_consumer_nack_later(e, &msg, T_MS), SHMQ_ERR_INVAL);
    T_OK(shmq_consumer_release(e, &msg));
    shmq_consumer_close(x);
    shmq_consumer_close(e);
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

/* -- time to live ------------------------------------------------------------
 */

/* What is left of the history of the oldest dead letter of "t". */
static void check_history(struct shmq_consumer *reader, uint64_t tag,
    uint64_t position, const char *rest)
{
    struct shmq_message msg;
    struct shmq_attr attr;
    char want[160];

    T_OK(shmq_consumer_receive(reader, &msg));
    T_EQ(t_tag(&msg), tag);
    T_OK(shmq_message_attr(&msg, SHMQ_ATTR_DEAD_LETTER, 0, &attr));
    (void)snprintf(
        want, sizeof(want), "t %llu %s", (unsigned long long)position, rest);
    T_EQ(attr.value_bytes, strlen(want));
    T_TRUE(memcmp(attr.value, want, attr.value_bytes) == 0);
    T_OK(shmq_consumer_release(reader, &msg));
}

static void old_records_are_skipped(uint32_t ring)
{
    struct shmq_topic *topic = topic_with_ttl(TTL_NS, 0, ring);
    struct shmq_producer *p = t_producer(topic);
    struct shmq_consumer *x = t_exclusive(topic, "x");
    struct shmq_consumer *s =
        ring == SHMQ_RING_SPSC ? t_exclusive(topic, "s") : member(topic, 0);
    struct shmq_consumer *e = t_ephemeral(topic, SHMQ_START_LATEST);
    struct shmq_group_stat stat;

    t_publish_run(p, 0, 2);
    t_take(x, 0, 16); /* in time */
    (void)t_publish_frame(p, 2, 3);
    t_sleep_ns(OLD_NS);
    t_publish_run(p, 5, 2);
    t_take_run(x, 5, 2);
    t_take_run(s, 5, 2);
    t_take_run(e, 5, 2);
    t_expect_empty(x);
    T_RC(shmq_consumer_drained(x), 1);
    T_RC(shmq_consumer_drained(s), 1);
    T_TRUE(t_group_stat(topic, "x", &stat));
    T_EQ(stat.expired, 4);
    T_EQ(stat.dead_lettered, 0);
    T_TRUE(t_group_stat(topic, "s", &stat));
    T_EQ(stat.expired, 5);
    T_EQ(t_stat(topic).expired, 4 + 5 + 5);
    shmq_consumer_close(x);
    shmq_consumer_close(s);
    shmq_consumer_close(e);
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

TEST(expired_records_are_skipped_and_counted)
{
    old_records_are_skipped(SHMQ_RING_MPMC);
}

TEST(expired_records_are_skipped_and_counted_on_spsc)
{
    old_records_are_skipped(SHMQ_RING_SPSC);
}

static int keep(void *ctx, const struct shmq_message *msg)
{
    *(uint64_t *)ctx += 1 + t_tag(msg) * 0;
    return SHMQ_HANDLED_ACK;
}

TEST(polling_skips_expired_records_too)
{
    struct shmq_topic *topic = topic_with_ttl(TTL_NS, 0, SHMQ_RING_MPMC);
    struct shmq_producer *p = t_producer(topic);
    struct shmq_consumer *x = t_exclusive(topic, "x");
    uint64_t got = 0;

    t_publish_run(p, 0, 10);
    t_sleep_ns(OLD_NS);
    t_publish_run(p, 10, 3);
    T_RC(shmq_consumer_poll(x, keep, &got, 0), 3);
    T_EQ(got, 3);
    T_EQ(t_stat(topic).expired, 10);
    shmq_consumer_close(x);
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

TEST(with_manual_acknowledgement_expired_records_are_done_too)
{
    struct shmq_topic *topic = topic_with_ttl(TTL_NS, 0, SHMQ_RING_MPMC);
    struct shmq_producer *p = t_producer(topic);
    struct shmq_consumer_options options = t_options("s", SHMQ_GROUP_SHARED);
    struct shmq_consumer *c;
    struct shmq_message msg;

    options.flags = SHMQ_CONSUMER_MANUAL_ACK;
    c = t_consumer(topic, &options);
    (void)t_publish_frame(p, 0, 3);
    t_sleep_ns(OLD_NS);
    (void)t_publish(p, 3, 16);
    T_OK(shmq_consumer_receive(c, &msg));
    T_EQ(t_tag(&msg), 3);
    T_OK(shmq_consumer_ack(c, &msg));
    T_OK(shmq_consumer_release(c, &msg));
    T_RC(shmq_consumer_drained(c), 1);
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

TEST(expired_records_go_to_the_dead_letter_topic_when_asked)
{
    struct shmq_topic *topic =
        topic_with_ttl(TTL_NS, SHMQ_TOPIC_TTL_DEAD_LETTER, SHMQ_RING_MPMC);
    struct shmq_producer *p = t_producer(topic);
    struct shmq_consumer *s = member(topic, 0), *x = t_exclusive(topic, "x");
    struct shmq_topic *dead;
    struct shmq_consumer *reader;
    uint64_t position = t_publish_frame(p, 0, 2);

    t_sleep_ns(OLD_NS);
    (void)t_publish(p, 2, 16);
    t_take(s, 2, 16);
    t_take(x, 2, 16);
    dead = t_open("@dead.t");
    reader = t_ephemeral(dead, SHMQ_START_EARLIEST);
    check_history(reader, 0, position, "s 0 expired");
    check_history(reader, 1, position + 1, "s 0 expired");
    check_history(reader, 0, position, "x 0 expired");
    check_history(reader, 1, position + 1, "x 0 expired");
    t_expect_empty(reader);
    shmq_consumer_close(reader);
    shmq_topic_close(dead);
    shmq_consumer_close(s);
    shmq_consumer_close(x);
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

TEST(what_a_full_dead_letter_topic_does_not_take_comes_late)
{
    struct shmq_topic_attrs attrs = t_mpmc(2, 4096);
    struct shmq_topic *dead = t_topic("graveyard", &attrs);
    struct shmq_topic *topic =
        topic_with_ttl(30 * T_MS, SHMQ_TOPIC_TTL_DEAD_LETTER, SHMQ_RING_MPMC);
    struct shmq_consumer_options options = t_options("s", SHMQ_GROUP_SHARED);
    struct shmq_producer *p = t_producer(topic), *filler = t_producer(dead);
    struct shmq_consumer *c;

    T_OK(shmq_group_create(dead, "undertaker", NULL, NULL));
    t_publish_run(filler, 0, 2);
    options.attrs.dead_letter = "graveyard";
    c = t_consumer(topic, &options);
    (void)t_publish(p, 5, 16);
    t_sleep_ns(60 * T_MS);
    t_take(c, 5, 16);
    T_EQ(t_stat(topic).expired, 0);
    shmq_consumer_close(c);
    shmq_producer_close(filler);
    shmq_producer_close(p);
    shmq_topic_close(topic);
    shmq_topic_close(dead);
}

TEST(the_history_says_why_and_grows_with_each_time)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_producer *p = t_producer(topic);
    struct shmq_consumer *c = member(topic, 2), *d, *reader;
    struct shmq_consumer_options options = t_options("again", 0);
    struct shmq_topic *dead, *deader;
    struct shmq_message msg;
    struct shmq_attr attr;
    uint64_t position = t_publish(p, 9, 16);

    for (int i = 0; i < 2; i++) {
        T_OK(shmq_consumer_receive(c, &msg));
        T_OK(shmq_consumer_nack(c, &msg));
    }
    t_expect_empty(c);
    dead = t_open("@dead.t");
    reader = t_ephemeral(dead, SHMQ_START_EARLIEST);
    check_history(reader, 9, position, "s 2 attempts");
    /* A second time: both are told. */
    options.attrs.max_attempts = 2;
    options.attrs.dead_letter = "deader";
    d = t_consumer(dead, &options);
    for (int i = 0; i < 2; i++) {
        T_OK(shmq_consumer_receive(d, &msg));
        T_OK(shmq_consumer_nack(d, &msg));
    }
    t_expect_empty(d);
    shmq_consumer_close(reader);
    deader = t_open("deader");
    reader = t_ephemeral(deader, SHMQ_START_EARLIEST);
    T_OK(shmq_consumer_receive(reader, &msg));
    T_EQ(t_tag(&msg), 9);
    T_OK(shmq_message_attr(&msg, SHMQ_ATTR_DEAD_LETTER, 0, &attr));
    T_TRUE(memcmp(attr.value, "t ", 2) == 0);
    T_OK(shmq_message_attr(&msg, SHMQ_ATTR_DEAD_LETTER, 1, &attr));
    T_TRUE(memcmp(attr.value, "@dead.t ", 8) == 0);
    T_OK(shmq_consumer_release(reader, &msg));
    shmq_consumer_close(reader);
    shmq_consumer_close(c);
    shmq_consumer_close(d);
    shmq_topic_close(deader);
    shmq_topic_close(dead);
    shmq_producer_close(p);
    shmq_topic_close(topic);
}

static const struct CMUnitTest tests[] = {
    T(a_delayed_nack_gives_the_record_back_when_its_time_has_come),
    T(many_records_are_delayed_each_for_its_own_time),
    T(a_delayed_record_of_a_frame_goes_with_those_behind_it),
    T(a_delay_ends_with_its_owner),
    T(delayed_attempts_end_in_the_dead_letter_topic),
    T(readers_without_others_have_no_delayed_nack),
    T(expired_records_are_skipped_and_counted),
    T(expired_records_are_skipped_and_counted_on_spsc),
    T(polling_skips_expired_records_too),
    T(with_manual_acknowledgement_expired_records_are_done_too),
    T(expired_records_go_to_the_dead_letter_topic_when_asked),
    T(what_a_full_dead_letter_topic_does_not_take_comes_late),
    T(the_history_says_why_and_grows_with_each_time),
};
T_MAIN(tests)
