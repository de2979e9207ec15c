/* test_topic.c - making, opening, listing and removing topics. */
#include "support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "support/proc.h"

TEST(defaults_are_those_of_the_manual)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_topic_attrs got = t_attrs();

    T_OK(shmq_topic_attrs(topic, &got));
    T_EQ(got.ring, SHMQ_RING_MPMC);
    T_EQ(got.on_full, SHMQ_ON_FULL_BLOCK);
    T_EQ(got.durability, SHMQ_DURABILITY_NONE);
    T_EQ(got.capacity_frames, 4096);
    T_EQ(got.arena_bytes, 256 * 1024);
    T_EQ(got.max_message_bytes, 64 * 1024);
    T_EQ(got.max_producers, 64);
    T_EQ(got.max_groups, 16);
    T_EQ(got.max_members, 64);
    T_EQ(got.mode, 0600);
    T_EQ(got.data_mode, 0600);
    T_EQ(got.flags, 0);
    T_EQ(got.struct_bytes, sizeof(got));
    shmq_topic_close(topic);
}

TEST(spsc_defaults_are_those_of_the_manual)
{
    struct shmq_topic_attrs attrs = t_attrs();
    struct shmq_topic_attrs got = t_attrs();
    struct shmq_topic *topic;

    attrs.ring = SHMQ_RING_SPSC;
    topic = t_topic("t", &attrs);
    T_OK(shmq_topic_attrs(topic, &got));
    T_EQ(got.ring, SHMQ_RING_SPSC);
    T_EQ(got.capacity_frames, 0);
    T_EQ(got.arena_bytes, 1024 * 1024);
    T_EQ(got.max_message_bytes, 64 * 1024);
    shmq_topic_close(topic);
}

TEST(attributes_come_back_as_given)
{
    struct shmq_topic_attrs attrs = t_mpmc(64, 65536);
    struct shmq_topic_attrs got = t_attrs();
    struct shmq_topic *topic;

    attrs.on_full = SHMQ_ON_FULL_DROP_OLD;
    attrs.max_message_bytes = 1000;
    attrs.max_producers = 3;
    attrs.max_groups = 5;
    attrs.max_members = 7;
    attrs.mode = 0640;
    attrs.data_mode = 0444;
    attrs.ttl_ns = 5000 * T_MS;
    attrs.timestamps = SHMQ_TIMESTAMPS_RECORD;
    attrs.flags = SHMQ_TOPIC_TTL_DEAD_LETTER;
    attrs.schema = "s:1";
    topic = t_topic("t", &attrs);
    T_OK(shmq_topic_attrs(topic, &got));
    T_TRUE(strcmp(got.schema, "s:1") == 0);
    T_EQ(got.owner, geteuid());
    T_EQ(got.group_owner, getegid());
    got.schema = attrs.schema; /* given back: another place, and the owners */
    got.owner = got.group_owner = 0;
    T_TRUE(memcmp(&attrs, &got, sizeof(got)) == 0);
    shmq_topic_close(topic);
}

TEST(attributes_of_a_wrong_struct_size_are_refused)
{
    struct shmq_topic_attrs attrs = t_attrs();
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_topic_attrs got;

    attrs.struct_bytes = 0;
    T_RC(shmq_topic_create(t_ns, "u", &attrs), SHMQ_ERR_INVAL);
    memset(&got, 0x5a, sizeof(got));
    got.struct_bytes = 0;
    T_RC(shmq_topic_attrs(topic, &got), SHMQ_ERR_INVAL);
    T_EQ(got.max_groups, 0x5a5a5a5a);
    shmq_topic_close(topic);
    T_RC(shmq_topic_open(t_ns, "u", &topic), SHMQ_ERR_NOENT);
}

static void expect_refused(struct shmq_topic_attrs attrs, const char *word)
{
    T_RC(shmq_topic_create(t_ns, "t", &attrs), SHMQ_ERR_INVAL);
    T_SAYS(word);
    T_EQ(t_file_cnt(), 0);
}

#define REFUSED(field, value, word) \
    do { \
        struct shmq_topic_attrs wrong = t_mpmc(64, 65536); \
        wrong.field = (value); \
        expect_refused(wrong, word); \
    } while (0)

TEST(wrong_attributes_are_refused_and_named)
{
    REFUSED(ring, 3, "ring");
    REFUSED(on_full, 4, "full");
    REFUSED(durability, 3, "durability");
    REFUSED(capacity_frames, 1, "capacity");
    REFUSED(capacity_frames, 3, "capacity");
    REFUSED(capacity_frames, 4095, "capacity");
    REFUSED(capacity_frames, 1u << 25, "capacity");
    REFUSED(capacity_frames, UINT64_MAX, "capacity");
    REFUSED(arena_bytes, 2048, "arena");
    REFUSED(arena_bytes, 65535, "arena");
    REFUSED(arena_bytes, 3 * 65536, "arena");
    REFUSED(arena_bytes, 1ull << 34, "arena");
    REFUSED(arena_bytes, 1ull << 63, "arena");
    REFUSED(max_message_bytes, 65536 / 2 - 127, "message");
    REFUSED(max_message_bytes, UINT64_MAX, "message");
    REFUSED(max_producers, 257, "producers");
    REFUSED(max_groups, 257, "groups");
    REFUSED(max_members, 513, "members");
    REFUSED(mode, 010000, "mode");
    REFUSED(data_mode, 010000, "mode");
    REFUSED(flags, 1u << 7, "flags");
    REFUSED(reserved, 1, "flags");
    REFUSED(timestamps, 4, "timestamps");
    REFUSED(ttl_ns, 5, "ttl");
}

TEST(all_arenas_together_are_limited)
{
    struct shmq_topic_attrs attrs = t_mpmc(64, 1ull << 30);

    attrs.max_message_bytes = 1000;
    attrs.max_producers = 17;
    expect_refused(attrs, "arena");
    attrs.max_producers = 2;
    attrs.arena_bytes = 1ull << 33;
    T_OK(shmq_topic_create(t_ns, "t", &attrs));
}

TEST(limits_themselves_are_accepted)
{
    struct shmq_topic_attrs attrs = t_mpmc(2, 4096);

    attrs.max_producers = 1;
    attrs.max_groups = 1;
    attrs.max_members = 1;
    T_OK(shmq_topic_create(t_ns, "small", &attrs));
    attrs.max_message_bytes = 1;
    T_OK(shmq_topic_create(t_ns, "tiny-message", &attrs));
    attrs = t_mpmc(4096, 1 << 20);
    attrs.max_producers = 256;
    attrs.max_groups = 256;
    attrs.max_members = 512;
    T_OK(shmq_topic_create(t_ns, "large", &attrs));
}

TEST(spsc_refuses_what_it_cannot_do)
{
    struct shmq_topic_attrs attrs = t_spsc(65536);

    attrs.capacity_frames = 64;
    expect_refused(attrs, "capacity");
    attrs = t_spsc(65536);
    attrs.on_full = SHMQ_ON_FULL_DROP_OLD;
    expect_refused(attrs, "drop");
    attrs = t_spsc(2048);
    attrs.max_message_bytes = 100;
    expect_refused(attrs, "arena");
    attrs = t_spsc(65536);
    attrs.max_message_bytes = 65536 / 2 - 127;
    expect_refused(attrs, "message");
    T_OK(shmq_topic_create(t_ns, "t", (attrs = t_spsc(4096), &attrs)));
}

TEST(durable_topics_need_the_daemon)
{
    struct shmq_topic_attrs attrs = t_attrs();

    attrs.durability = SHMQ_DURABILITY_DISK;
    T_RC(shmq_topic_create(t_ns, "t", &attrs), SHMQ_ERR_NODAEMON);
    attrs.durability = SHMQ_DURABILITY_OS;
    T_RC(shmq_topic_create(t_ns, "t", &attrs), SHMQ_ERR_NODAEMON);
    attrs.on_full = SHMQ_ON_FULL_DROP_OLD;
    T_RC(shmq_topic_create(t_ns, "t", &attrs), SHMQ_ERR_INVAL);
    T_EQ(t_file_cnt(), 0);
}

TEST(a_second_create_finds_the_first)
{
    T_OK(shmq_topic_create(t_ns, "t", NULL));
    T_RC(shmq_topic_create(t_ns, "t", NULL), SHMQ_ERR_EXISTS);
    T_SAYS("t");
    T_EQ(t_file_cnt(), 2);
}

static uint32_t mode_of(char kind, const char *topic)
{
    struct stat st;

    T_TRUE(stat(t_path(kind, topic), &st) == 0);
    return (uint32_t)st.st_mode & 07777;
}

TEST(the_umask_does_not_apply)
{
    struct shmq_topic_attrs attrs = t_attrs();
    mode_t old = umask(0777);

    attrs.mode = 0666;
    T_OK(shmq_topic_create(t_ns, "t", &attrs));
    (void)umask(0);
    T_OK(shmq_topic_create(t_ns, "u", NULL));
    (void)umask(old);
    T_EQ(mode_of('d', "t"), 0666);
    T_EQ(mode_of('c', "t"), 0666);
    T_EQ(mode_of('d', "u"), 0600);
    T_EQ(mode_of('c', "u"), 0600);
}

TEST(data_mode_is_that_of_the_data_file)
{
    struct shmq_topic_attrs attrs = t_attrs();

    attrs.mode = 0660;
    attrs.data_mode = 0640;
    T_OK(shmq_topic_create(t_ns, "t", &attrs));
    T_EQ(mode_of('d', "t"), 0640);
    T_EQ(mode_of('c', "t"), 0660);
}

TEST(a_default_topic_is_at_most_four_mebibytes)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *consumer = t_shared(topic, "g");
    struct stat data;
    struct stat control;

    t_publish_run(producer, 0, 100);
    t_take_run(consumer, 0, 100);
    T_TRUE(t_stat(topic).segment_bytes <= 4u << 20);
    T_TRUE(stat(t_path('d', "t"), &data) == 0);
    T_TRUE(stat(t_path('c', "t"), &control) == 0);
    T_TRUE((data.st_blocks + control.st_blocks) * 512 <= 4 << 20);
    shmq_consumer_close(consumer);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(open_of_a_missing_topic_leaves_ret_alone)
{
    struct shmq_topic *topic = (struct shmq_topic *)&topic;

    T_RC(shmq_topic_open(t_ns, "t", &topic), SHMQ_ERR_NOENT);
    T_TRUE(topic == (struct shmq_topic *)&topic);
    T_RC(shmq_topic_unlink(t_ns, "t", 0), SHMQ_ERR_NOENT);
    T_RC(shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE), SHMQ_ERR_NOENT);
    T_EQ(t_file_cnt(), 0);
}

TEST(a_handle_knows_its_names)
{
    struct shmq_topic *topic = t_topic("a.b-c_D9", NULL);

    T_TRUE(strcmp(shmq_topic_name(topic), "a.b-c_D9") == 0);
    T_TRUE(strcmp(shmq_topic_namespace(topic), t_ns) == 0);
    T_OK(shmq_topic_check(topic));
    shmq_topic_close(topic);
    shmq_topic_close(NULL);
}

TEST(namespaces_are_apart)
{
    char other[SHMQ_NAMESPACE_MAX + 2];
    struct shmq_topic *topic = NULL;

    (void)snprintf(other, sizeof(other), "%sx", t_ns);
    T_OK(shmq_topic_create(t_ns, "t", NULL));
    T_RC(shmq_topic_open(other, "t", &topic), SHMQ_ERR_NOENT);
}

TEST(the_environment_names_the_default_namespace)
{
    struct shmq_topic *topic = NULL;

    T_EQ(setenv("SHMQ_NAMESPACE", t_ns, 1), 0);
    T_OK(shmq_topic_create(NULL, "t", NULL));
    T_OK(shmq_topic_open(NULL, "t", &topic));
    T_TRUE(strcmp(shmq_topic_namespace(topic), t_ns) == 0);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    T_EQ(setenv("SHMQ_NAMESPACE", "no/good", 1), 0);
    T_RC(shmq_topic_create(NULL, "t", NULL), SHMQ_ERR_INVAL);
    T_EQ(unsetenv("SHMQ_NAMESPACE"), 0);
}

struct seen {
    uint32_t cnt;
    uint32_t stop_at;
    char names[8][SHMQ_TOPIC_MAX + 1];
};

static int see(void *ctx, const char *topic)
{
    struct seen *seen = ctx;

    if (seen->cnt < 8)
        (void)snprintf(
            seen->names[seen->cnt], sizeof(seen->names[0]), "%s", topic);
    seen->cnt++;
    return seen->cnt == seen->stop_at ? 42 : 0;
}

TEST(list_visits_topics_in_byte_order)
{
    static const char *const order[] = {"A", "Z", "_", "a", "a.", "a.b", "b"};
    static const char *const made[] = {"b", "a.b", "Z", "a", "_", "A", "a."};
    struct seen seen = {0};

    T_OK(shmq_topic_list(t_ns, see, &seen));
    T_EQ(seen.cnt, 0);
    for (size_t i = 0; i < 7; i++)
        T_OK(shmq_topic_create(t_ns, made[i], NULL));
    T_OK(shmq_topic_list(t_ns, see, &seen));
    T_EQ(seen.cnt, 7);
    for (size_t i = 0; i < 7; i++)
        T_TRUE(strcmp(seen.names[i], order[i]) == 0);
    memset(&seen, 0, sizeof(seen));
    seen.stop_at = 3;
    T_RC(shmq_topic_list(t_ns, see, &seen), 42);
    T_EQ(seen.cnt, 3);
    T_RC(shmq_topic_list("no/good", see, &seen), SHMQ_ERR_INVAL);
}

TEST(unlink_removes_both_files)
{
    T_OK(shmq_topic_create(t_ns, "t", NULL));
    T_RC(shmq_topic_unlink(t_ns, "t", 2), SHMQ_ERR_INVAL);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    T_EQ(t_file_cnt(), 0);
    T_RC(shmq_topic_unlink(t_ns, "t", 0), SHMQ_ERR_NOENT);
}

TEST(unlink_refuses_while_an_endpoint_lives_and_names_it)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *consumer;
    char pid[16];

    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    T_RC(shmq_topic_unlink(t_ns, "t", 0), SHMQ_ERR_BUSY);
    T_SAYS(pid);
    shmq_producer_close(producer);
    consumer = t_ephemeral(topic, SHMQ_START_LATEST);
    T_RC(shmq_topic_unlink(t_ns, "t", 0), SHMQ_ERR_BUSY);
    shmq_consumer_close(consumer);
    T_OK(shmq_topic_check(topic));
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    T_RC(shmq_topic_check(topic), SHMQ_ERR_CLOSED);
    shmq_topic_close(topic);
}

static int hold_producer(void *ctx)
{
    (void)ctx;
    (void)t_producer(t_open("t"));
    t_tell(1);
    t_wait_for_death();
}

TEST(a_dead_endpoint_does_not_keep_a_topic_in_use)
{
    struct t_proc proc;
    char pid[16];

    T_OK(shmq_topic_create(t_ns, "t", NULL));
    t_spawn(&proc, hold_producer, NULL);
    (void)t_recv(&proc);
    (void)snprintf(pid, sizeof(pid), "%d", (int)proc.pid);
    T_RC(shmq_topic_unlink(t_ns, "t", 0), SHMQ_ERR_BUSY);
    T_SAYS(pid);
    t_kill(&proc);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    (void)t_bury(&proc);
}

TEST(handles_stay_usable_when_the_topic_handle_is_closed)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *consumer = t_exclusive(topic, "g");

    shmq_topic_close(topic);
    t_publish_run(producer, 0, 10);
    t_take_run(consumer, 0, 10);
    t_expect_empty(consumer);
    shmq_producer_close(producer);
    shmq_consumer_close(consumer);
}

TEST(a_topic_made_anew_is_another_one)
{
    struct shmq_topic *first = t_topic("t", NULL);
    struct shmq_topic *same = t_open("t");
    uint64_t a[2], b[2], c[2];

    shmq_topic_uuid(first, a);
    shmq_topic_uuid(same, b);
    T_EQ(memcmp(a, b, sizeof(a)), 0);
    T_OK(shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE));
    struct shmq_topic *second = t_topic("t", NULL);
    shmq_topic_uuid(second, c);
    T_EQ(memcmp(a, c, sizeof(a)) != 0, 1);
    shmq_topic_close(first);
    shmq_topic_close(same);
    shmq_topic_close(second);
}

TEST(closing_everything_gives_descriptors_and_mappings_back)
{
    uint32_t fds;
    struct shmq_topic *topic = t_topic("warm-up", NULL);

    shmq_topic_close(topic);
    fds = t_fd_cnt();
    topic = t_topic("t", NULL);
    for (uint32_t i = 0; i < 20; i++) {
        struct shmq_topic *again = t_open("t");
        struct shmq_producer *producer = t_producer(again);
        struct shmq_consumer *consumer = t_shared(topic, "g");
        int fd = -1;
        T_OK(shmq_consumer_fd(consumer, &fd));
        t_publish_run(producer, 0, 3);
        t_take_run(consumer, 0, 3);
        shmq_topic_close(again);
        shmq_consumer_close(consumer);
        shmq_producer_close(producer);
    }
    shmq_topic_close(topic);
    T_EQ(t_fd_cnt(), fds);
    T_EQ(t_map_cnt(), 0);
}

static const struct CMUnitTest tests[] = {
    T(defaults_are_those_of_the_manual),
    T(spsc_defaults_are_those_of_the_manual),
    T(attributes_come_back_as_given),
    T(attributes_of_a_wrong_struct_size_are_refused),
    T(wrong_attributes_are_refused_and_named),
    T(all_arenas_together_are_limited),
    T(limits_themselves_are_accepted),
    T(spsc_refuses_what_it_cannot_do),
    T(durable_topics_need_the_daemon),
    T(a_second_create_finds_the_first),
    T(the_umask_does_not_apply),
    T(data_mode_is_that_of_the_data_file),
    T(a_default_topic_is_at_most_four_mebibytes),
    T(open_of_a_missing_topic_leaves_ret_alone),
    T(a_handle_knows_its_names),
    T(namespaces_are_apart),
    T(the_environment_names_the_default_namespace),
    T(list_visits_topics_in_byte_order),
    T(unlink_removes_both_files),
    T(unlink_refuses_while_an_endpoint_lives_and_names_it),
    T(a_dead_endpoint_does_not_keep_a_topic_in_use),
    T(handles_stay_usable_when_the_topic_handle_is_closed),
    T(a_topic_made_anew_is_another_one),
    T(closing_everything_gives_descriptors_and_mappings_back),
};
T_MAIN(tests)
