/* test_group.c - making, removing, moving groups; names, limits, conflicts. */
#include "support/unit.h"

#include "support/proc.h"

static struct shmq_group_attrs group_attrs(uint32_t kind)
{
    struct shmq_group_attrs attrs;

    memset(&attrs, 0, sizeof(attrs));
    attrs.struct_bytes = sizeof(attrs);
    attrs.kind = kind;
    return attrs;
}

static struct shmq_topic *small_topic(uint32_t max_groups)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 65536);

    attrs.max_groups = max_groups;
    return t_topic("t", &attrs);
}

TEST(a_group_is_made_once_and_removed_once)
{
    struct shmq_topic *topic = small_topic(4);
    struct shmq_start latest = t_start(SHMQ_START_LATEST, 0);

    T_OK(shmq_group_create(topic, "g", NULL, NULL));
    T_RC(shmq_group_create(topic, "g", NULL, NULL), SHMQ_ERR_EXISTS);
    T_EQ(t_stat(topic).group_cnt, 1);
    T_OK(shmq_group_remove(topic, "g", 0));
    T_RC(shmq_group_remove(topic, "g", 0), SHMQ_ERR_NOENT);
    T_RC(shmq_group_remove(topic, "g", SHMQ_GROUP_FORCE), SHMQ_ERR_NOENT);
    T_RC(shmq_group_reset(topic, "g", &latest, 0), SHMQ_ERR_NOENT);
    T_EQ(t_stat(topic).group_cnt, 0);
    shmq_topic_close(topic);
}

TEST(the_attributes_of_a_group_show_in_stat)
{
    struct shmq_topic *topic = small_topic(4);
    struct shmq_group_attrs attrs = group_attrs(SHMQ_GROUP_SHARED);
    struct shmq_group_stat stat;

    T_OK(shmq_group_create(topic, "plain", NULL, NULL));
    T_TRUE(t_group_stat(topic, "plain", &stat));
    T_EQ(stat.kind, SHMQ_GROUP_SHARED);
    T_EQ(stat.absent, SHMQ_ABSENT_KEEP);
    T_EQ(stat.max_attempts, 16);
    T_EQ(stat.lease_ns, 0);
    T_TRUE(strcmp(stat.dead_letter, "@dead.t") == 0);
    T_EQ(stat.member_cnt, 0);
    T_EQ(stat.gates, 1);
    attrs.absent = SHMQ_ABSENT_RELEASE;
    attrs.max_attempts = 5;
    attrs.lease_ns = 3600 * 1000 * T_MS;
    attrs.dead_letter = "graveyard";
    T_OK(shmq_group_create(topic, "rich", &attrs, NULL));
    T_TRUE(t_group_stat(topic, "rich", &stat));
    T_EQ(stat.absent, SHMQ_ABSENT_RELEASE);
    T_EQ(stat.max_attempts, 5);
    T_EQ(stat.lease_ns, 3600 * 1000 * T_MS);
    T_TRUE(strcmp(stat.dead_letter, "graveyard") == 0);
    attrs = group_attrs(SHMQ_GROUP_EXCLUSIVE);
    T_OK(shmq_group_create(topic, "alone", &attrs, NULL));
    T_TRUE(t_group_stat(topic, "alone", &stat));
    T_EQ(stat.kind, SHMQ_GROUP_EXCLUSIVE);
    shmq_topic_close(topic);
}

#define REFUSED(field, value) \
    do { \
        struct shmq_group_attrs wrong = group_attrs(SHMQ_GROUP_SHARED); \
        wrong.field = (value); \
        T_RC(shmq_group_create(topic, "g", &wrong, NULL), SHMQ_ERR_INVAL); \
    } while (0)

TEST(wrong_groups_are_refused)
{
    struct shmq_topic *topic = small_topic(4);
    struct shmq_start start = t_start(5, 0);
    char name[SHMQ_GROUP_MAX + 2];

    REFUSED(struct_bytes, 0);
    REFUSED(kind, 3);
    REFUSED(absent, 3);
    REFUSED(max_attempts, 1);
    REFUSED(max_attempts, 101);
    REFUSED(lease_ns, 999999);
    REFUSED(lease_ns, 86400 * 1000 * T_MS + 1);
    REFUSED(dead_letter, "no/good");
    REFUSED(dead_letter, "");
    T_RC(shmq_group_create(topic, "", NULL, NULL), SHMQ_ERR_INVAL);
    T_RC(shmq_group_create(topic, NULL, NULL, NULL), SHMQ_ERR_INVAL);
    T_RC(shmq_group_create(topic, "g", NULL, &start), SHMQ_ERR_INVAL);
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    T_RC(shmq_group_create(topic, name, NULL, NULL), SHMQ_ERR_INVAL);
    T_EQ(t_stat(topic).group_cnt, 0);
    name[SHMQ_GROUP_MAX] = '\0';
    T_OK(shmq_group_create(topic, name, NULL, NULL));
    T_RC(shmq_group_remove(topic, name, 1u << 30), SHMQ_ERR_INVAL);
    T_RC(shmq_group_reset(topic, name, &start, 0), SHMQ_ERR_INVAL);
    T_OK(shmq_group_remove(topic, name, 0));
    shmq_topic_close(topic);
}

static void expect_conflict(struct shmq_topic *topic,
    const struct shmq_group_attrs *attrs, const char *word)
{
    struct shmq_consumer_options options = t_options("g", SHMQ_GROUP_DEFAULT);
    struct shmq_consumer *consumer = NULL;

    options.attrs = *attrs;
    T_RC(shmq_consumer_open(topic, &options, &consumer), SHMQ_ERR_EXISTS);
    T_SAYS(word);
    T_TRUE(consumer == NULL);
}

TEST(asking_for_other_attributes_names_the_difference)
{
    struct shmq_topic *topic = small_topic(4);
    struct shmq_group_attrs attrs = group_attrs(SHMQ_GROUP_SHARED);
    struct shmq_group_attrs other;

    attrs.max_attempts = 7;
    attrs.lease_ns = 60000 * T_MS;
    attrs.absent = SHMQ_ABSENT_RELEASE;
    attrs.dead_letter = "graveyard";
    T_OK(shmq_group_create(topic, "g", &attrs, NULL));
    other = group_attrs(SHMQ_GROUP_EXCLUSIVE);
    expect_conflict(topic, &other, "kind");
    other = group_attrs(SHMQ_GROUP_SHARED);
    other.max_attempts = 8;
    expect_conflict(topic, &other, "attempts");
    other = group_attrs(SHMQ_GROUP_SHARED);
    other.lease_ns = 50000 * T_MS;
    expect_conflict(topic, &other, "lease");
    other = group_attrs(SHMQ_GROUP_SHARED);
    other.absent = SHMQ_ABSENT_KEEP;
    expect_conflict(topic, &other, "absent");
    other = group_attrs(SHMQ_GROUP_SHARED);
    other.dead_letter = "elsewhere";
    expect_conflict(topic, &other, "dead");
    shmq_consumer_close(t_shared(topic, "g"));
    shmq_topic_close(topic);
}

TEST(an_spsc_topic_has_exclusive_groups_only)
{
    struct shmq_topic_attrs attrs = t_spsc(65536);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_consumer_options options = t_options("g", SHMQ_GROUP_SHARED);
    struct shmq_group_attrs group = group_attrs(SHMQ_GROUP_SHARED);
    struct shmq_consumer *consumer = NULL;
    struct shmq_group_stat stat;

    T_RC(shmq_consumer_open(topic, &options, &consumer), SHMQ_ERR_INVAL);
    T_RC(shmq_group_create(topic, "g", &group, NULL), SHMQ_ERR_INVAL);
    T_TRUE(consumer == NULL);
    T_OK(shmq_group_create(topic, "g", NULL, NULL));
    T_TRUE(t_group_stat(topic, "g", &stat));
    T_EQ(stat.kind, SHMQ_GROUP_EXCLUSIVE);
    shmq_topic_close(topic);
}

TEST(groups_are_limited)
{
    struct shmq_topic *topic = small_topic(2);
    struct shmq_consumer_options options = t_options("c", SHMQ_GROUP_SHARED);
    struct shmq_consumer *consumer = NULL;

    T_OK(shmq_group_create(topic, "a", NULL, NULL));
    T_OK(shmq_group_create(topic, "b", NULL, NULL));
    T_RC(shmq_group_create(topic, "c", NULL, NULL), SHMQ_ERR_LIMIT);
    T_RC(shmq_consumer_open(topic, &options, &consumer), SHMQ_ERR_LIMIT);
    T_RC(shmq_group_create(topic, "a", NULL, NULL), SHMQ_ERR_EXISTS);
    T_OK(shmq_group_remove(topic, "a", 0));
    T_OK(shmq_group_create(topic, "c", NULL, NULL));
    shmq_topic_close(topic);
}

TEST(names_ever_used_are_limited_but_may_be_used_again)
{
    struct shmq_topic *topic = small_topic(1);
    char name[16];

    for (uint32_t i = 0; i < 16; i++) {
        (void)snprintf(name, sizeof(name), "name-%u", i);
        T_OK(shmq_group_create(topic, name, NULL, NULL));
        T_OK(shmq_group_remove(topic, name, 0));
    }
    T_RC(shmq_group_create(topic, "one-more", NULL, NULL), SHMQ_ERR_LIMIT);
    for (uint32_t i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof(name), "name-%u", i % 16);
        T_OK(shmq_group_create(topic, name, NULL, NULL));
        T_OK(shmq_group_remove(topic, name, 0));
    }
    shmq_topic_close(topic);
}

TEST(a_recreated_group_starts_anew)
{
    struct shmq_topic *topic = small_topic(2);
    struct shmq_producer *producer = t_producer(topic);

    for (uint64_t i = 0; i < 50; i++) {
        struct shmq_group_attrs attrs =
            group_attrs(i % 2 ? SHMQ_GROUP_EXCLUSIVE : SHMQ_GROUP_SHARED);
        struct shmq_start latest = t_start(SHMQ_START_LATEST, 0);
        struct shmq_consumer_options options =
            t_options("g", SHMQ_GROUP_DEFAULT);
        struct shmq_consumer *consumer;
        struct shmq_message msg;
        T_OK(shmq_group_create(topic, "g", &attrs, &latest));
        t_publish_run(producer, i * 4, 4);
        consumer = t_consumer(topic, &options);
        t_take_run(consumer, i * 4, 2);
        T_OK(shmq_consumer_receive(consumer, &msg));
        T_EQ(msg.flags, 0);
        shmq_consumer_close(consumer);
        T_OK(shmq_group_remove(topic, "g", 0));
    }
    t_publish_run(producer, 0, 100);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(removal_is_refused_while_members_live)
{
    struct shmq_topic *topic = small_topic(4);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *shared = t_shared(topic, "s");
    struct shmq_consumer *alone = t_exclusive(topic, "x");
    struct shmq_message msg;
    struct shmq_message held;
    int rc;

    t_publish_run(producer, 0, 3);
    T_OK(shmq_consumer_receive(alone, &held));
    T_RC(shmq_group_remove(topic, "s", 0), SHMQ_ERR_BUSY);
    T_RC(shmq_group_remove(topic, "x", 0), SHMQ_ERR_BUSY);
    T_OK(shmq_group_remove(topic, "s", SHMQ_GROUP_FORCE));
    T_OK(shmq_group_remove(topic, "x", SHMQ_GROUP_FORCE));
    T_RC(shmq_consumer_receive(shared, &msg), SHMQ_ERR_CLOSED);
    T_RC(shmq_consumer_receive_wait(shared, SHMQ_FOREVER, &msg),
        SHMQ_ERR_CLOSED);
    T_RC(shmq_consumer_receive(alone, &msg), SHMQ_ERR_CLOSED);
    T_CARRIES(&held, 0, 16);
    for (uint64_t i = 0; i < 100; i++) {
        rc = shmq_producer_publish(producer, "x", 1, NULL);
        T_TRUE(rc == 0 || rc == SHMQ_ERR_FULL);
        T_CARRIES(&held, 0, 16);
    }
    rc = shmq_consumer_release(alone, &held);
    T_TRUE(rc == SHMQ_ERR_CLOSED || rc == SHMQ_ERR_STALE || rc == 0);
    shmq_consumer_close(shared);
    shmq_consumer_close(alone);
    t_publish_run(producer, 0, 100);
    T_EQ(t_stat(topic).group_cnt, 0);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(reset_moves_a_group_without_members)
{
    struct shmq_topic *topic = small_topic(4);
    struct shmq_producer *producer = t_producer(topic);
    static const char *const names[] = {"x", "s"};
    uint64_t positions[10];

    T_OK(shmq_group_create(topic, "hold", NULL, NULL));
    for (uint64_t i = 0; i < 10; i++)
        positions[i] = t_publish(producer, i, 16);
    for (uint32_t k = 0; k < 2; k++) {
        struct shmq_start to = t_start(SHMQ_START_EARLIEST, 0);
        struct shmq_consumer *c =
            k ? t_shared(topic, "s") : t_exclusive(topic, "x");
        struct shmq_message msg;
        t_take_run(c, 0, 10);
        T_RC(shmq_group_reset(topic, names[k], &to, 0), SHMQ_ERR_BUSY);
        shmq_consumer_close(c);
        T_OK(shmq_group_reset(topic, names[k], &to, 0));
        c = k ? t_shared(topic, "s") : t_exclusive(topic, "x");
        t_take_run(c, 0, 5);
        to = t_start(SHMQ_START_POSITION, positions[7]);
        T_OK(shmq_group_reset(topic, names[k], &to, SHMQ_GROUP_FORCE));
        T_RC(shmq_consumer_receive(c, &msg), SHMQ_ERR_STALE);
        shmq_consumer_close(c);
        c = k ? t_shared(topic, "s") : t_exclusive(topic, "x");
        t_take_run(c, 7, 3);
        t_expect_empty(c);
        shmq_consumer_close(c);
        to = t_start(SHMQ_START_LATEST, 0);
        T_OK(shmq_group_reset(topic, names[k], &to, 0));
        c = k ? t_shared(topic, "s") : t_exclusive(topic, "x");
        t_expect_empty(c);
        shmq_consumer_close(c);
    }
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(reset_keeps_the_attributes)
{
    struct shmq_topic *topic = small_topic(4);
    struct shmq_group_attrs attrs = group_attrs(SHMQ_GROUP_SHARED);
    struct shmq_start latest = t_start(SHMQ_START_LATEST, 0);
    struct shmq_group_stat stat;

    attrs.max_attempts = 9;
    attrs.lease_ns = 5000 * T_MS;
    T_OK(shmq_group_create(topic, "g", &attrs, NULL));
    T_OK(shmq_group_reset(topic, "g", &latest, 0));
    T_TRUE(t_group_stat(topic, "g", &stat));
    T_EQ(stat.max_attempts, 9);
    T_EQ(stat.lease_ns, 5000 * T_MS);
    shmq_topic_close(topic);
}

TEST(reset_to_what_is_gone_finds_the_oldest_record)
{
    struct shmq_topic *topic = small_topic(4);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_start to = t_start(SHMQ_START_POSITION, 0);
    struct shmq_consumer *c = t_shared(topic, "s");
    struct shmq_message msg;
    uint64_t first = t_publish(producer, 0, 16);

    t_take(c, 0, 16);
    for (uint64_t i = 1; i < 40; i++) {
        (void)t_publish(producer, i, 16);
        t_take(c, i, 16);
    }
    shmq_consumer_close(c);
    to.value = first;
    T_OK(shmq_group_reset(topic, "s", &to, 0));
    c = t_shared(topic, "s");
    T_OK(shmq_consumer_receive(c, &msg));
    T_TRUE(t_tag(&msg) >= 40 - 16);
    T_EQ(msg.position, t_stat(topic).earliest_position);
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

static const struct CMUnitTest tests[] = {
    T(a_group_is_made_once_and_removed_once),
    T(the_attributes_of_a_group_show_in_stat),
    T(wrong_groups_are_refused),
    T(asking_for_other_attributes_names_the_difference),
    T(an_spsc_topic_has_exclusive_groups_only),
    T(groups_are_limited),
    T(names_ever_used_are_limited_but_may_be_used_again),
    T(a_recreated_group_starts_anew),
    T(removal_is_refused_while_members_live),
    T(reset_moves_a_group_without_members),
    T(reset_keeps_the_attributes),
    T(reset_to_what_is_gone_finds_the_oldest_record),
};
T_MAIN(tests)
