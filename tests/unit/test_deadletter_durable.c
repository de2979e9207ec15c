/* Dead letters of durable topics: nobody is done with a record before its copy
 * is as safe as it was itself (shmq/deadletter.h). */
#include <stdlib.h>

#include "support/proc.h"
#include "support/small_shmqd.h"
#include "support/unit.h"

#define LATE_NS (1000 * T_MS)

/* A topic and its dead-letter topic, each with a shmqd of its own; the latter
 * writes and flushes only when told. */
struct pair {
    struct small *source, *grave;
    struct shmq_topic *topic;
    struct shmq_producer *producer;
};

static struct pair pair_over(
    const struct shmq_topic_attrs *a, uint32_t dead_frames)
{
    struct shmq_topic_attrs dead = t_mpmc(dead_frames, 65536);
    struct pair p;

    dead.durability = a->durability;
    p.source = small_start("t", a);
    p.grave = small_start("@dead.t", &dead);
    p.grave->lazy = true;
    p.topic = t_open("t");
    p.producer = t_producer(p.topic);
    return p;
}

static struct pair pair_with(const struct shmq_topic_attrs *a)
{
    return pair_over(a, 64);
}

static struct pair pair_of(uint32_t ring, uint32_t durability, uint64_t ttl_ns)
{
    struct shmq_topic_attrs a =
        ring == SHMQ_RING_SPSC ? t_spsc(65536) : t_mpmc(64, 65536);

    a.durability = durability;
    a.ttl_ns = ttl_ns;
    a.flags = ttl_ns ? SHMQ_TOPIC_TTL_DEAD_LETTER : 0;
    return pair_with(&a);
}

static void pair_end(struct pair *p)
{
    shmq_producer_close(p->producer);
    shmq_topic_close(p->topic);
    small_end(p->source);
    small_end(p->grave);
    T_OK(shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE));
    T_OK(shmq_topic_unlink(t_ns, "@dead.t", SHMQ_UNLINK_FORCE));
}

static struct shmq_consumer *member(struct shmq_topic *topic)
{
    struct shmq_consumer_options options = t_options("s", SHMQ_GROUP_SHARED);

    options.attrs.max_attempts = 2;
    return t_consumer(topic, &options);
}

static void publish(struct pair *p, uint64_t first, uint64_t cnt)
{
    t_publish_run(p->producer, first, cnt);
    (void)small_turn(p->source);
}

static void refuse(struct shmq_consumer *c, uint64_t tag)
{
    struct shmq_message msg;

    for (uint32_t i = 0; i < 2; i++) {
        T_OK(shmq_consumer_receive(c, &msg));
        T_EQ(t_tag(&msg), tag);
        T_OK(shmq_consumer_nack(c, &msg));
    }
}

static struct shmq_group_stat group(struct shmq_topic *topic, const char *name)
{
    struct shmq_group_stat stat;

    T_TRUE(t_group_stat(topic, name, &stat));
    return stat;
}

/* What the log of the dead-letter topic holds. */
static void expect_buried(uint64_t tag, uint64_t cnt)
{
    struct shmq_topic *dead = t_open("@dead.t");
    struct shmq_consumer_options options = {.struct_bytes = sizeof options,
        .flags = SHMQ_CONSUMER_READ_DURABLE,
        .start.kind = SHMQ_START_EARLIEST};
    struct shmq_consumer *reader = t_consumer(dead, &options);
    struct shmq_message msg;
    struct shmq_attr attr;
    uint64_t found = 0;
    int rc;

    while ((rc = shmq_consumer_receive(reader, &msg)) != SHMQ_ERR_EMPTY) {
        if (rc == SHMQ_ERR_GAP)
            continue;
        T_OK(rc);
        T_EQ(t_tag(&msg), tag + found % cnt);
        T_OK(shmq_message_attr(&msg, SHMQ_ATTR_DEAD_LETTER, 0, &attr));
        found++;
        T_OK(shmq_consumer_release(reader, &msg));
    }
    T_TRUE(found >= cnt && found % cnt == 0);
    shmq_consumer_close(reader);
    shmq_topic_close(dead);
}

/* -- used up attempts ----------------------------------------------------- */

static void the_floor_waits(uint32_t durability)
{
    struct pair p = pair_of(SHMQ_RING_MPMC, durability, 0);
    struct shmq_consumer *c = member(p.topic);
    uint64_t floor;

    publish(&p, 0, 3);
    floor = group(p.topic, "s").floor_position;
    refuse(c, 0);
    t_take_run(c, 1, 2); /* it holds nobody up */
    t_expect_empty(c);
    T_EQ(group(p.topic, "s").floor_position, floor);
    T_EQ(group(p.topic, "s").dead_lettered, 0);
    T_EQ(small_turn(p.grave), 1); /* written */
    t_expect_empty(c);
    if (durability == SHMQ_DURABILITY_DISK) {
        T_EQ(group(p.topic, "s").floor_position, floor);
        T_EQ(group(p.topic, "s").dead_lettered, 0);
        small_flush(p.grave);
        t_expect_empty(c);
    }
    T_EQ(group(p.topic, "s").dead_lettered, 1);
    T_EQ(group(p.topic, "s").lag_messages, 0);
    T_EQ(group(p.topic, "s").claimed, 0);
    T_RC(shmq_consumer_drained(c), 1);
    shmq_consumer_close(c);
    pair_end(&p);
}

TEST(the_floor_waits_until_the_dead_letter_is_durable)
{
    the_floor_waits(SHMQ_DURABILITY_DISK);
}

TEST(the_floor_waits_until_the_dead_letter_is_written)
{
    the_floor_waits(SHMQ_DURABILITY_OS);
}

TEST(one_record_after_the_other_of_a_frame_goes)
{
    struct pair p = pair_of(SHMQ_RING_MPMC, SHMQ_DURABILITY_DISK, 0);
    struct shmq_consumer *c = member(p.topic);

    (void)t_publish_frame(p.producer, 0, 3);
    (void)small_turn(p.source);
    for (uint64_t tag = 0; tag < 3; tag++) {
        refuse(c, tag);
        t_expect_empty(c); /* the rest of the frame waits with it */
        T_EQ(small_turn(p.grave), 1);
        small_flush(p.grave);
    }
    t_expect_empty(c);
    T_EQ(group(p.topic, "s").dead_lettered, 3);
    T_RC(shmq_consumer_drained(c), 1);
    expect_buried(0, 3);
    shmq_consumer_close(c);
    pair_end(&p);
}

/* Claims that wait are bounded; the others wait where they are. */
/* The record has used its attempts up when its slot is still there, and its
 * memory is not: the log has it, or retention took it from there, too. */
static void given_up(bool retained)
{
    struct shmq_topic_attrs a = t_mpmc(4096, 16384);
    a.durability = SHMQ_DURABILITY_DISK;
    struct pair p = pair_with(&a);
    struct shmq_consumer *c = member(p.topic);
    struct shmq_message msg;
    struct shmq_gap gap;

    for (uint64_t tag = 0; tag < 1000; tag++) {
        publish(&p, tag, 1);
        if (tag % 200 == 199)
            small_roll(p.source);
    }
    T_OK(shmq_consumer_receive(c, &msg));
    T_OK(shmq_consumer_nack(c, &msg));
    T_OK(shmq_consumer_receive(c, &msg));
    T_EQ(t_tag(&msg), 0);
    if (retained)
        small_retain(p.source, 3); /* one of them is empty */
    T_OK(shmq_consumer_nack(c, &msg));
    if (retained) {
        shmq_consumer_close(c); /* what it has read ahead goes with it */
        c = member(p.topic);
        T_RC(shmq_consumer_receive(c, &msg), SHMQ_ERR_GAP);
        T_OK(shmq_consumer_gap(c, &gap));
        T_EQ(gap.reason, SHMQ_GAP_RETENTION);
        T_EQ(gap.frames, 600);
        t_take_run(c, 600, 400);
        t_expect_empty(c);
        T_EQ(small_turn(p.grave), 0);
    } else {
        t_take_run(c, 1, 999);
        t_expect_empty(c);
        T_EQ(small_turn(p.grave), 1);
        small_flush(p.grave);
        t_expect_empty(c);
        expect_buried(0, 1);
    }
    T_EQ(group(p.topic, "s").dead_lettered, retained ? 0 : 1);
    T_RC(shmq_consumer_drained(c), 1);
    shmq_consumer_close(c);
    pair_end(&p);
}

TEST(a_dead_letter_comes_from_the_log_when_its_memory_is_given_up)
{
    given_up(false);
}

TEST(a_dead_letter_that_retention_took_is_part_of_the_gap)
{
    given_up(true);
}

TEST(many_wait_at_once)
{
    struct pair p = pair_of(SHMQ_RING_MPMC, SHMQ_DURABILITY_DISK, 0);
    struct shmq_consumer *c = member(p.topic);
    struct shmq_message msg;
    uint64_t end = t_now_ns() + T_PATIENCE;

    publish(&p, 0, 40);
    for (uint32_t i = 0; i < 80; i++) {
        T_OK(shmq_consumer_receive(c, &msg));
        T_OK(shmq_consumer_nack(c, &msg));
    }
    t_expect_empty(c);
    while (shmq_consumer_drained(c) == 0) {
        T_TRUE(t_now_ns() < end);
        (void)small_turn(p.grave);
        small_flush(p.grave);
        T_RC(shmq_consumer_receive_wait(c, shmq_deadline(5 * T_MS), &msg),
            SHMQ_ERR_TIMEOUT);
    }
    T_EQ(group(p.topic, "s").dead_lettered, 40);
    shmq_consumer_close(c);
    pair_end(&p);
}

TEST(a_disk_that_is_away_is_waited_for_and_told_of)
{
    struct pair p = pair_of(SHMQ_RING_MPMC, SHMQ_DURABILITY_DISK, 0);
    struct shmq_consumer *c = member(p.topic);
    struct shmq_message msg;

    small_kill(p.grave);
    publish(&p, 0, 2);
    refuse(c, 0);
    t_take(c, 1, 16);
    T_RC(shmq_consumer_receive_wait(
             c, shmq_deadline(LATE_NS + 400 * T_MS), &msg),
        SHMQ_ERR_TIMEOUT);
    T_TRUE(group(p.topic, "s").dead_waits >= 1);
    T_EQ(group(p.topic, "s").dead_lettered, 0);
    publish(&p, 2, 1);
    t_take(c, 2, 16); /* others go on */
    small_again(p.grave);
    T_EQ(small_turn(p.grave), 1);
    small_flush(p.grave);
    t_expect_empty(c);
    T_EQ(group(p.topic, "s").dead_lettered, 1);
    T_RC(shmq_consumer_drained(c), 1);
    shmq_consumer_close(c);
    pair_end(&p);
}

/* One that keeps less well than the record was kept takes nothing. */
TEST(a_topic_in_memory_takes_no_dead_letter_of_one_on_disk)
{
    struct pair p = pair_of(SHMQ_RING_MPMC, SHMQ_DURABILITY_DISK, 0);
    struct shmq_consumer_options options = t_options("s", SHMQ_GROUP_SHARED);
    struct shmq_topic *memory = t_topic("graveyard", NULL);
    struct shmq_consumer *c;

    options.attrs.max_attempts = 2;
    options.attrs.dead_letter = "graveyard";
    c = t_consumer(p.topic, &options);
    publish(&p, 0, 2);
    refuse(c, 0);
    t_take(c, 1, 16);
    t_expect_empty(c);
    T_EQ(t_stat(memory).total_messages, 0);
    T_EQ(group(p.topic, "s").dead_waits, 1);
    T_EQ(group(p.topic, "s").dead_lettered, 0);
    T_RC(shmq_consumer_drained(c), 0);
    shmq_consumer_close(c);
    shmq_topic_close(memory);
    pair_end(&p);
}

TEST(without_shmqd_the_record_stays_and_nobody_waits_long)
{
    struct shmq_topic_attrs a = t_mpmc(64, 65536);
    struct small *source = small_start("t", &a);
    struct shmq_topic *topic = t_open("t");
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c = member(topic);
    uint64_t begin;

    t_publish_run(producer, 0, 2);
    (void)small_turn(source);
    refuse(c, 0);
    begin = t_now_ns();
    t_take(c, 1, 16);
    t_expect_empty(c);
    T_TRUE(t_now_ns() - begin < LATE_NS / 2);
    T_EQ(group(topic, "s").dead_waits, 1);
    T_RC(shmq_consumer_drained(c), 0);
    T_EQ(group(topic, "s").claimed, 0); /* anybody may try */
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    small_end(source);
}

TEST(a_copy_in_a_ring_that_was_removed_is_made_again)
{
    struct pair p = pair_of(SHMQ_RING_MPMC, SHMQ_DURABILITY_DISK, 0);
    struct shmq_consumer *c = member(p.topic);
    struct shmq_message msg;
    uint64_t end = t_now_ns() + T_PATIENCE;

    publish(&p, 0, 1);
    refuse(c, 0);
    t_expect_empty(c);
    small_reboot(p.grave); /* it had not written the copy */
    while (shmq_consumer_drained(c) == 0) {
        T_TRUE(t_now_ns() < end);
        T_RC(shmq_consumer_receive_wait(c, shmq_deadline(20 * T_MS), &msg),
            SHMQ_ERR_TIMEOUT);
        (void)small_turn(p.grave);
        small_flush(p.grave);
    }
    T_EQ(group(p.topic, "s").dead_lettered, 1);
    expect_buried(0, 1);
    shmq_consumer_close(c);
    pair_end(&p);
}

/* The host goes down at each stage; the record is in the group or buried. */
static void reboots_after(int stage)
{
    struct pair p = pair_of(SHMQ_RING_MPMC, SHMQ_DURABILITY_DISK, 0);
    struct shmq_consumer *c = member(p.topic);
    bool buried;

    publish(&p, 0, 1);
    refuse(c, 0);
    t_expect_empty(c);
    if (stage >= 1)
        T_EQ(small_turn(p.grave), 1);
    if (stage >= 2)
        small_flush(p.grave);
    if (stage >= 3)
        t_expect_empty(c);
    small_journal(p.source);
    shmq_consumer_close(c);
    shmq_producer_close(p.producer);
    shmq_topic_close(p.topic);
    small_reboot(p.source);
    small_reboot(p.grave);
    buried = p.grave->end > 0 && stage >= 2;
    p.topic = t_open("t");
    p.producer = t_producer(p.topic);
    c = member(p.topic);
    publish(&p, 1, 1);
    for (uint64_t tag = stage >= 3; tag < 2;) { /* attempts count anew */
        struct shmq_message msg;
        int rc = shmq_consumer_receive(c, &msg);
        if (rc == SHMQ_ERR_GAP) /* between the log and the new ring */
            continue;
        T_OK(rc);
        T_EQ(t_tag(&msg), tag);
        T_OK(shmq_consumer_release(c, &msg));
        tag++;
    }
    T_RC(shmq_consumer_drained(c), 1);
    if (buried)
        expect_buried(0, 1);
    shmq_consumer_close(c);
    pair_end(&p);
}

TEST(after_a_reboot_the_record_is_in_the_group_or_buried)
{
    for (int stage = 0; stage <= 3; stage++)
        reboots_after(stage);
}

TEST(whoever_closes_gives_the_disk_a_moment)
{
    struct pair p = pair_of(SHMQ_RING_MPMC, SHMQ_DURABILITY_DISK, 0);
    struct shmq_consumer *c = member(p.topic);

    p.grave->lazy = false;
    publish(&p, 0, 1);
    refuse(c, 0);
    t_expect_empty(c);
    small_run(p.grave);
    shmq_consumer_close(c);
    T_EQ(group(p.topic, "s").dead_lettered, 1);
    T_EQ(group(p.topic, "s").lag_messages, 0);
    small_stop(p.grave);
    pair_end(&p);
}

TEST(whoever_closes_gives_back_what_is_not_safe)
{
    struct pair p = pair_of(SHMQ_RING_MPMC, SHMQ_DURABILITY_DISK, 0);
    struct shmq_consumer *c = member(p.topic), *next = member(p.topic);
    uint64_t begin;

    publish(&p, 0, 1);
    refuse(c, 0);
    t_expect_empty(c);
    begin = t_now_ns();
    shmq_consumer_close(c);
    T_TRUE(t_now_ns() - begin < LATE_NS);
    T_EQ(group(p.topic, "s").dead_lettered, 0);
    t_expect_empty(next); /* copies it again */
    T_EQ(small_turn(p.grave), 2);
    small_flush(p.grave);
    t_expect_empty(next);
    T_EQ(group(p.topic, "s").dead_lettered, 1);
    T_RC(shmq_consumer_drained(next), 1);
    expect_buried(0, 1);
    shmq_consumer_close(next);
    pair_end(&p);
}

/* -- expired -------------------------------------------------------------- */

#define EXPIRED 20

static void expire(uint32_t ring, uint32_t kind, uint32_t flags)
{
    struct pair p = pair_of(ring, SHMQ_DURABILITY_DISK, 700 * T_MS);
    struct shmq_consumer_options options = t_options("s", kind);
    struct shmq_consumer *c;
    uint64_t floor;

    options.flags = flags;
    c = t_consumer(p.topic, &options);
    publish(&p, 0, EXPIRED);
    floor = group(p.topic, "s").floor_position;
    /* The one published next must be in time on any machine. */
    t_sleep_ns(900 * T_MS);
    publish(&p, EXPIRED, 1);
    if (flags & SHMQ_CONSUMER_MANUAL_ACK) {
        struct shmq_message msg;
        T_OK(shmq_consumer_receive(c, &msg));
        T_EQ(t_tag(&msg), EXPIRED);
        T_OK(shmq_consumer_ack(c, &msg));
        T_OK(shmq_consumer_release(c, &msg));
    } else {
        t_take(c, EXPIRED, 16); /* whatever waits before it */
    }
    t_expect_empty(c);
    T_EQ(group(p.topic, "s").floor_position, floor);
    T_EQ(group(p.topic, "s").expired, 0);
    T_EQ(small_turn(p.grave), EXPIRED);
    t_expect_empty(c);
    T_EQ(group(p.topic, "s").expired, 0);
    small_flush(p.grave);
    t_expect_empty(c);
    T_EQ(group(p.topic, "s").expired, EXPIRED);
    T_RC(shmq_consumer_drained(c), 1);
    T_EQ(t_stat(p.topic).expired, EXPIRED);
    expect_buried(0, EXPIRED);
    shmq_consumer_close(c);
    pair_end(&p);
}

TEST(expired_records_wait_for_their_copies_in_a_shared_group)
{
    expire(SHMQ_RING_MPMC, SHMQ_GROUP_SHARED, 0);
    expire(SHMQ_RING_MPMC, SHMQ_GROUP_SHARED, SHMQ_CONSUMER_MANUAL_ACK);
}

TEST(expired_records_wait_for_their_copies_in_an_exclusive_group)
{
    expire(SHMQ_RING_MPMC, SHMQ_GROUP_EXCLUSIVE, 0);
    expire(SHMQ_RING_SPSC, SHMQ_GROUP_EXCLUSIVE, 0);
    expire(SHMQ_RING_MPMC, SHMQ_GROUP_EXCLUSIVE, SHMQ_CONSUMER_MANUAL_ACK);
}

/* More than may be in hand: the reader waits, and says EMPTY, not LIMIT. */
TEST(more_expired_records_than_may_be_held_wait_in_the_ring)
{
    struct pair p = pair_of(SHMQ_RING_MPMC, SHMQ_DURABILITY_DISK, 50 * T_MS);
    struct shmq_consumer_options options = t_options("x", SHMQ_GROUP_EXCLUSIVE);
    struct shmq_message msg;
    struct shmq_consumer *c;
    uint64_t end = t_now_ns() + T_PATIENCE;

    options.prefetch_frames = 4;
    c = t_consumer(p.topic, &options);
    publish(&p, 0, 30);
    t_sleep_ns(80 * T_MS);
    while (shmq_consumer_drained(c) == 0) {
        T_TRUE(t_now_ns() < end);
        T_RC(shmq_consumer_receive(c, &msg), SHMQ_ERR_EMPTY);
        T_TRUE(small_turn(p.grave) <= 4);
        small_flush(p.grave);
    }
    T_EQ(group(p.topic, "x").expired, 30);
    expect_buried(0, 30);
    shmq_consumer_close(c);
    pair_end(&p);
}

/* More than the ring of the dead-letter topic has room for: none of them is
 * handed out late, they wait for shmqd to make room. */
static void outnumber(uint32_t kind)
{
    struct shmq_topic_attrs a = t_mpmc(64, 65536);
    struct pair p;
    struct shmq_message msg;
    struct shmq_consumer *c;
    struct shmq_consumer_options options = t_options("s", kind);
    uint64_t end = t_now_ns() + T_PATIENCE;

    a.durability = SHMQ_DURABILITY_DISK;
    a.ttl_ns = 50 * T_MS;
    a.flags = SHMQ_TOPIC_TTL_DEAD_LETTER;
    p = pair_over(&a, 8);
    options.prefetch_frames = 40;
    c = t_consumer(p.topic, &options);
    publish(&p, 0, 30);
    t_sleep_ns(80 * T_MS);
    for (uint32_t turns = 0; shmq_consumer_drained(c) == 0; turns++) {
        T_TRUE(t_now_ns() < end);
        T_RC(shmq_consumer_receive(c, &msg), SHMQ_ERR_EMPTY);
        T_TRUE(small_turn(p.grave) <= 8);
        if (turns == 1) /* what is safe ends, though others wait for room */
            T_TRUE(group(p.topic, "s").expired >= 8);
        small_flush(p.grave);
    }
    T_EQ(group(p.topic, "s").expired, 30);
    expect_buried(0, 30);
    shmq_consumer_close(c);
    pair_end(&p);
}

TEST(expired_records_wait_for_room_in_a_full_dead_letter_topic)
{
    outnumber(SHMQ_GROUP_SHARED);
    outnumber(SHMQ_GROUP_EXCLUSIVE);
}

TEST(an_expired_copy_in_a_ring_that_was_removed_is_made_again)
{
    struct pair p = pair_of(SHMQ_RING_MPMC, SHMQ_DURABILITY_DISK, 50 * T_MS);
    struct shmq_consumer *c = t_exclusive(p.topic, "x");
    struct shmq_message msg;
    uint64_t end = t_now_ns() + T_PATIENCE;

    publish(&p, 0, 3);
    t_sleep_ns(80 * T_MS);
    t_expect_empty(c);
    small_reboot(p.grave);
    while (shmq_consumer_drained(c) == 0) {
        T_TRUE(t_now_ns() < end);
        T_RC(shmq_consumer_receive_wait(c, shmq_deadline(20 * T_MS), &msg),
            SHMQ_ERR_TIMEOUT);
        (void)small_turn(p.grave);
        small_flush(p.grave);
    }
    T_EQ(group(p.topic, "x").expired, 3);
    expect_buried(0, 3);
    shmq_consumer_close(c);
    pair_end(&p);
}

static const struct CMUnitTest tests[] = {
    T(the_floor_waits_until_the_dead_letter_is_durable),
    T(the_floor_waits_until_the_dead_letter_is_written),
    T(one_record_after_the_other_of_a_frame_goes),
    T(a_dead_letter_comes_from_the_log_when_its_memory_is_given_up),
    T(a_dead_letter_that_retention_took_is_part_of_the_gap),
    T(expired_records_wait_for_room_in_a_full_dead_letter_topic),
    T(many_wait_at_once),
    T(a_disk_that_is_away_is_waited_for_and_told_of),
    T(a_topic_in_memory_takes_no_dead_letter_of_one_on_disk),
    T(without_shmqd_the_record_stays_and_nobody_waits_long),
    T(a_copy_in_a_ring_that_was_removed_is_made_again),
    T(after_a_reboot_the_record_is_in_the_group_or_buried),
    T(whoever_closes_gives_the_disk_a_moment),
    T(whoever_closes_gives_back_what_is_not_safe),
    T(expired_records_wait_for_their_copies_in_a_shared_group),
    T(expired_records_wait_for_their_copies_in_an_exclusive_group),
    T(more_expired_records_than_may_be_held_wait_in_the_ring),
    T(an_expired_copy_in_a_ring_that_was_removed_is_made_again),
};
T_MAIN(tests)
