/* test_group_lease.c - leases, absent=release, dead letters. */
#include "support/unit.h"

#include "support/proc.h"

static struct shmq_topic *small_topic(void)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 65536);

    return t_topic("t", &attrs);
}

static struct shmq_consumer *leased(struct shmq_topic *topic, uint64_t lease_ns)
{
    struct shmq_consumer_options options = t_options("s", SHMQ_GROUP_SHARED);

    options.attrs.lease_ns = lease_ns;
    return t_consumer(topic, &options);
}

static bool receives(struct shmq_consumer *consumer, struct shmq_message *msg)
{
    int rc = shmq_consumer_receive(consumer, msg);

    if (rc == SHMQ_ERR_EMPTY)
        return false;
    T_OK(rc);
    return true;
}

TEST(claims_of_a_silent_member_move_when_its_lease_ends)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *silent = leased(topic, 50 * T_MS);
    struct shmq_consumer *other = leased(topic, 50 * T_MS);
    struct shmq_message held;
    struct shmq_message msg;
    uint64_t begin_ns = t_now_ns();

    t_publish_run(producer, 0, 1);
    T_OK(shmq_consumer_receive(silent, &held));
    T_EQ(held.attempt, 0);
    T_EVENTUALLY(receives(other, &msg));
    T_TRUE(t_now_ns() - begin_ns >= 50 * T_MS);
    T_CARRIES(&msg, 0, 16);
    T_EQ(msg.attempt, 1);
    T_EQ(msg.flags, SHMQ_MESSAGE_REDELIVERED);
    T_CARRIES(&held, 0, 16);
    T_RC(shmq_consumer_ack(silent, &held), SHMQ_ERR_STALE);
    T_RC(shmq_consumer_release(silent, &held), SHMQ_ERR_STALE);
    T_OK(shmq_consumer_release(other, &msg));
    t_publish_run(producer, 1, 1);
    t_take(silent, 1, 16);
    t_expect_empty(other);
    shmq_consumer_close(silent);
    shmq_consumer_close(other);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(a_late_ack_of_a_later_record_of_a_frame_does_not_count)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *silent = leased(topic, 50 * T_MS);
    struct shmq_consumer *other = leased(topic, 50 * T_MS);
    struct shmq_message held[2];
    struct shmq_message msg;

    (void)t_publish_frame(producer, 0, 2);
    T_OK(shmq_consumer_receive(silent, &held[0]));
    T_OK(shmq_consumer_receive(silent, &held[1]));
    for (uint64_t tag = 0; tag < 2; tag++) {
        T_EVENTUALLY(receives(other, &msg));
        T_CARRIES(&msg, tag, 16);
        T_OK(shmq_consumer_release(other, &msg));
    }
    T_RC(shmq_consumer_release(silent, &held[1]), SHMQ_ERR_STALE);
    T_RC(shmq_consumer_release(silent, &held[0]), SHMQ_ERR_STALE);
    shmq_consumer_close(silent);
    shmq_consumer_close(other);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(a_sleeping_member_finds_a_lease_that_ended)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *silent = leased(topic, 30 * T_MS);
    struct shmq_consumer *other = leased(topic, 30 * T_MS);
    struct shmq_message held;
    struct shmq_message msg;

    t_publish_run(producer, 0, 1);
    T_OK(shmq_consumer_receive(silent, &held));
    T_OK(shmq_consumer_receive_wait(other, shmq_deadline(T_PATIENCE), &msg));
    T_CARRIES(&msg, 0, 16);
    T_OK(shmq_consumer_release(other, &msg));
    T_RC(shmq_consumer_release(silent, &held), SHMQ_ERR_STALE);
    shmq_consumer_close(silent);
    shmq_consumer_close(other);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(extending_keeps_the_claims)
{
    const uint64_t lease_ns = 1000 * T_MS;
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *slow = leased(topic, lease_ns);
    struct shmq_consumer *other = leased(topic, lease_ns);
    struct shmq_consumer *plain = t_exclusive(topic, "x");
    struct shmq_message held;
    struct shmq_message msg;
    uint64_t end_ns = t_now_ns() + lease_ns * 3 / 2;
    bool stalled = false; /* by the machine, not by the library */

    T_OK(shmq_consumer_extend(plain));
    t_publish_run(producer, 0, 1);
    T_OK(shmq_consumer_receive(slow, &held));
    while (t_now_ns() < end_ns && !stalled) {
        uint64_t begin_ns = t_now_ns();
        bool moved;
        T_OK(shmq_consumer_extend(slow));
        t_sleep_ns(10 * T_MS);
        moved = receives(other, &msg);
        stalled = t_now_ns() - begin_ns > lease_ns / 2;
        T_TRUE(stalled || !moved);
    }
    if (!stalled)
        T_OK(shmq_consumer_release(slow, &held));
    shmq_consumer_close(slow);
    shmq_consumer_close(other);
    shmq_consumer_close(plain);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(without_a_lease_a_silent_member_keeps_its_claims)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *silent = leased(topic, 0);
    struct shmq_consumer *other = leased(topic, 0);
    struct shmq_message held;
    struct shmq_message msg;

    t_publish_run(producer, 0, 1);
    T_OK(shmq_consumer_receive(silent, &held));
    T_RC(shmq_consumer_receive_wait(other, shmq_deadline(150 * T_MS), &msg),
        SHMQ_ERR_TIMEOUT);
    T_OK(shmq_consumer_release(silent, &held));
    shmq_consumer_close(silent);
    shmq_consumer_close(other);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

/* -- absent=release ------------------------------------------------------ */

static struct shmq_consumer *releasing(struct shmq_topic *topic, uint32_t kind)
{
    struct shmq_consumer_options options = t_options("g", kind);

    options.attrs.absent = SHMQ_ABSENT_RELEASE;
    return t_consumer(topic, &options);
}

static void absent_group_gates_no_more(uint32_t kind)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c = releasing(topic, kind);
    struct shmq_group_stat stat;
    struct shmq_message msg;
    struct shmq_gap gap;

    t_publish_run(producer, 0, 16);
    T_RC(shmq_producer_publish(producer, "x", 1, NULL), SHMQ_ERR_FULL);
    t_take_run(c, 0, 2);
    shmq_consumer_close(c);
    t_publish_run(producer, 16, 100);
    T_TRUE(t_group_stat(topic, "g", &stat));
    T_EQ(stat.gates, 0);
    c = releasing(topic, kind);
    T_EQ(shmq_consumer_created_group(c), 0);
    T_RC(shmq_consumer_receive(c, &msg), SHMQ_ERR_GAP);
    T_OK(shmq_consumer_gap(c, &gap));
    T_OK(shmq_consumer_receive(c, &msg));
    T_EQ(t_tag(&msg), 2 + gap.frames);
    T_OK(shmq_consumer_release(c, &msg));
    t_take_run(c, 3 + gap.frames, 116 - 3 - gap.frames);
    t_expect_empty(c);
    t_publish_run(producer, 0, 16);
    T_RC(shmq_producer_publish(producer, "x", 1, NULL), SHMQ_ERR_FULL);
    T_TRUE(t_group_stat(topic, "g", &stat));
    T_EQ(stat.gates, 1);
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
}

TEST(an_absent_group_stops_gating_and_returns_with_a_gap)
{
    absent_group_gates_no_more(SHMQ_GROUP_EXCLUSIVE);
    absent_group_gates_no_more(SHMQ_GROUP_SHARED);
}

TEST(an_absent_group_that_lost_nothing_has_no_gap)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c = releasing(topic, SHMQ_GROUP_EXCLUSIVE);

    t_publish_run(producer, 0, 4);
    t_take_run(c, 0, 2);
    shmq_consumer_close(c);
    t_publish_run(producer, 4, 4);
    c = releasing(topic, SHMQ_GROUP_EXCLUSIVE);
    t_take_run(c, 2, 6);
    t_expect_empty(c);
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

static int die_as_member(void *ctx)
{
    struct shmq_message msg;
    struct shmq_consumer *c = releasing(t_open("t"), *(const uint32_t *)ctx);

    T_OK(shmq_consumer_receive(c, &msg));
    t_tell(t_tag(&msg));
    t_wait_for_death();
}

TEST(a_group_whose_last_member_was_killed_stops_gating)
{
    static uint32_t kinds[] = {SHMQ_GROUP_EXCLUSIVE, SHMQ_GROUP_SHARED};

    for (uint32_t k = 0; k < 2; k++) {
        struct shmq_topic *topic = small_topic();
        struct shmq_producer *producer = t_producer(topic);
        struct shmq_consumer *c;
        struct t_proc proc;
        T_OK(shmq_group_create(topic, "hold", NULL, NULL));
        t_publish_run(producer, 0, 1);
        t_spawn(&proc, die_as_member, &kinds[k]);
        T_EQ(t_recv(&proc), 0);
        t_publish_run(producer, 1, 15);
        T_RC(shmq_producer_publish(producer, "x", 1, NULL), SHMQ_ERR_FULL);
        T_OK(shmq_group_remove(topic, "hold", 0));
        T_RC(shmq_producer_publish(producer, "x", 1, NULL), SHMQ_ERR_FULL);
        t_kill(&proc);
        T_OK(shmq_producer_publish_wait(
            producer, "x", 1, shmq_deadline(T_PATIENCE), NULL));
        t_publish_run(producer, 17, 50);
        c = releasing(topic, kinds[k]);
        shmq_consumer_close(c);
        (void)t_bury(&proc);
        shmq_producer_close(producer);
        shmq_topic_close(topic);
        T_OK(shmq_topic_unlink(t_ns, "t", 0));
    }
}

/* -- dead letters -------------------------------------------------------- */

static struct shmq_consumer *impatient(
    struct shmq_topic *topic, const char *dead_letter)
{
    struct shmq_consumer_options options = t_options("s", SHMQ_GROUP_SHARED);

    options.attrs.max_attempts = 2;
    options.attrs.dead_letter = dead_letter;
    options.prefetch_frames = 4;
    return t_consumer(topic, &options);
}

/* Nacks tag `poison` whenever it comes and takes the rest, `others` records,
 * until nothing comes any more. Returns how often it came. */
static uint32_t take_but(
    struct shmq_consumer *c, uint64_t poison, uint32_t others)
{
    struct shmq_message msg;
    uint32_t cnt = 0, taken = 0;

    for (;;) {
        int rc = shmq_consumer_receive_wait(c, shmq_deadline(50 * T_MS), &msg);
        if (rc == SHMQ_ERR_TIMEOUT)
            break;
        T_OK(rc);
        if (t_tag(&msg) == poison) {
            T_EQ(msg.attempt, cnt);
            cnt++;
            T_OK(shmq_consumer_nack(c, &msg));
        } else {
            T_OK(shmq_consumer_release(c, &msg));
            taken++;
        }
    }
    T_EQ(taken, others);
    return cnt;
}

static void expect_dead_letter(
    const char *name, uint64_t tag, uint64_t position)
{
    struct shmq_topic *dead = t_open(name);
    struct shmq_consumer *reader = t_ephemeral(dead, SHMQ_START_EARLIEST);
    struct shmq_message msg;
    struct shmq_attr attr;
    char text[256];
    char number[32];

    T_OK(shmq_consumer_receive(reader, &msg));
    T_CARRIES(&msg, tag, 16);
    T_OK(shmq_message_attr(&msg, SHMQ_ATTR_DEAD_LETTER, 0, &attr));
    T_TRUE(attr.value_bytes < sizeof(text));
    memcpy(text, attr.value, attr.value_bytes);
    text[attr.value_bytes] = '\0';
    (void)snprintf(
        number, sizeof(number), "%llu", (unsigned long long)position);
    T_TRUE(strncmp(text, "t ", 2) == 0);
    T_TRUE(strstr(text, number) != NULL);
    T_TRUE(strstr(text, " s 2") != NULL);
    T_OK(shmq_consumer_release(reader, &msg));
    t_expect_empty(reader);
    shmq_consumer_close(reader);
    shmq_topic_close(dead);
}

static void poison_goes_to(const char *dead_letter, const char *name)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c = impatient(topic, dead_letter);
    struct shmq_group_stat stat;
    uint64_t position;

    t_publish_run(producer, 0, 3);
    position = t_publish(producer, 3, 16);
    (void)t_publish_frame(producer, 4, 4);
    T_EQ(take_but(c, 3, 7), 2);
    T_RC(shmq_consumer_drained(c), 1);
    T_TRUE(t_group_stat(topic, "s", &stat));
    T_EQ(stat.dead_lettered, 1);
    T_EQ(stat.claimed, 0);
    expect_dead_letter(name, 3, position);
    t_publish_run(producer, 0, 16);
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(a_record_that_used_up_its_attempts_goes_to_the_named_topic)
{
    T_OK(shmq_topic_create(t_ns, "graveyard", NULL));
    poison_goes_to("graveyard", "graveyard");
}

TEST(a_record_that_used_up_its_attempts_goes_to_the_default_topic)
{
    poison_goes_to(NULL, "@dead.t");
}

TEST(one_record_of_a_frame_is_dead_lettered_alone)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c = impatient(topic, NULL);
    struct shmq_group_stat stat;
    uint64_t step;
    uint64_t position = t_publish(producer, 100, 16);

    step = t_publish(producer, 101, 16) - position;
    position = t_publish_frame(producer, 0, 5);
    T_TRUE(step > 0);
    T_EQ(take_but(c, 2, 6), 2);
    T_RC(shmq_consumer_drained(c), 1);
    T_TRUE(t_group_stat(topic, "s", &stat));
    T_EQ(stat.dead_lettered, 1);
    expect_dead_letter("@dead.t", 2, position + 2);
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(a_full_dead_letter_topic_holds_nobody_else_up)
{
    struct shmq_topic_attrs attrs = t_mpmc(2, 4096);
    struct shmq_topic *dead = t_topic("graveyard", &attrs);
    struct shmq_producer *filler = t_producer(dead);
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c = impatient(topic, "graveyard");
    struct shmq_consumer *undertaker;

    T_OK(shmq_group_create(dead, "undertaker", NULL, NULL));
    t_publish_run(filler, 0, 2);
    t_publish_run(producer, 0, 4);
    T_EQ(take_but(c, 1, 3), 2);
    T_RC(shmq_consumer_drained(c), 0);
    t_publish_run(producer, 10, 4);
    T_EQ(take_but(c, 1, 4), 0);
    undertaker = t_shared(dead, "undertaker");
    t_take_run(undertaker, 0, 2);
    T_EQ(take_but(c, 1, 0), 0);
    T_RC(shmq_consumer_drained(c), 1);
    t_take(undertaker, 1, 16);
    shmq_consumer_close(undertaker);
    shmq_consumer_close(c);
    shmq_producer_close(filler);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    shmq_topic_close(dead);
}

static const struct CMUnitTest tests[] = {
    T(claims_of_a_silent_member_move_when_its_lease_ends),
    T(a_late_ack_of_a_later_record_of_a_frame_does_not_count),
    T(a_sleeping_member_finds_a_lease_that_ended),
    T(extending_keeps_the_claims),
    T(without_a_lease_a_silent_member_keeps_its_claims),
    T(an_absent_group_stops_gating_and_returns_with_a_gap),
    T(an_absent_group_that_lost_nothing_has_no_gap),
    T(a_group_whose_last_member_was_killed_stops_gating),
    T(a_record_that_used_up_its_attempts_goes_to_the_named_topic),
    T(a_record_that_used_up_its_attempts_goes_to_the_default_topic),
    T(one_record_of_a_frame_is_dead_lettered_alone),
    T(a_full_dead_letter_topic_holds_nobody_else_up),
};
T_MAIN(tests)
