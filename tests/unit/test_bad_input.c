/* test_bad_input.c - names, files and rights that are wrong: a clear error,
 * nothing lost, nothing left behind. */
#include "support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "support/proc.h"

static void refuse_name(const char *ns, const char *name, const char *word)
{
    struct shmq_topic *topic = NULL;

    T_RC(shmq_topic_create(ns, name, NULL), SHMQ_ERR_INVAL);
    T_SAYS(word);
    T_RC(shmq_topic_open(ns, name, &topic), SHMQ_ERR_INVAL);
    T_RC(shmq_topic_unlink(ns, name, 0), SHMQ_ERR_INVAL);
    T_TRUE(topic == NULL);
    T_EQ(t_file_cnt(), 0);
}

TEST(wrong_topic_names_are_refused)
{
    static const char *const wrong[] = {
        "",
        ".",
        "..",
        ".hidden",
        "a/b",
        "/a",
        "a/",
        "../x",
        "a b",
        "a\n",
        "a\tb",
        "\x01",
        "a*",
        "a:",
        "a\\b",
        "\xc3\xa4",
        "a\x7f",
    };
    char name[301];

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        refuse_name(t_ns, wrong[i], "name");
    memset(name, 'n', 300);
    name[300] = '\0';
    refuse_name(t_ns, name, "name");
    name[SHMQ_TOPIC_MAX + 1] = '\0';
    refuse_name(t_ns, name, "name");
    refuse_name(t_ns, NULL, "name");
    name[SHMQ_TOPIC_MAX] = '\0';
    T_OK(shmq_topic_create(t_ns, name, NULL));
    shmq_topic_close(t_open(name));
    T_OK(shmq_topic_unlink(t_ns, name, 0));
    T_OK(shmq_topic_create(t_ns, "-_.0", NULL));
    T_OK(shmq_topic_unlink(t_ns, "-_.0", 0));
}

TEST(wrong_namespaces_are_refused)
{
    static const char *const wrong[] = {
        ".", "a.b", "a/b", "../x", "a b", "a\n", "a@b", "\xc3\xa4"};
    char ns[301];

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        refuse_name(wrong[i], "t", "name");
    memset(ns, 'n', 300);
    ns[300] = '\0';
    refuse_name(ns, "t", "name");
    ns[SHMQ_NAMESPACE_MAX + 1] = '\0';
    refuse_name(ns, "t", "name");
}

TEST(an_empty_namespace_is_refused)
{
    struct shmq_topic *topic = NULL;

    T_RC(shmq_topic_open("", "t", &topic), SHMQ_ERR_INVAL);
    T_RC(shmq_topic_unlink("", t_ns, 0), SHMQ_ERR_INVAL);
    T_TRUE(topic == NULL);
}

TEST(missing_arguments_are_refused)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c = t_exclusive(topic, "x");
    uint32_t cnt;

    T_RC(shmq_topic_open(t_ns, "t", NULL), SHMQ_ERR_INVAL);
    T_RC(shmq_topic_attrs(topic, NULL), SHMQ_ERR_INVAL);
    T_RC(shmq_topic_stat(topic, NULL), SHMQ_ERR_INVAL);
    T_RC(shmq_topic_groups(topic, NULL, 1, &cnt), SHMQ_ERR_INVAL);
    T_RC(shmq_topic_list(t_ns, NULL, NULL), SHMQ_ERR_INVAL);
    T_RC(shmq_producer_open(topic, NULL, NULL), SHMQ_ERR_INVAL);
    T_RC(shmq_consumer_open(topic, NULL, NULL), SHMQ_ERR_INVAL);
    T_RC(shmq_producer_loan(producer, 1, NULL, 0, NULL), SHMQ_ERR_INVAL);
    T_RC(shmq_producer_loan(producer, 1, NULL, 1, (struct shmq_loan[1]){0}),
        SHMQ_ERR_INVAL);
    T_RC(shmq_producer_commit(producer, NULL, 0, NULL), SHMQ_ERR_INVAL);
    T_RC(shmq_producer_abort(producer, NULL), SHMQ_ERR_INVAL);
    T_RC(shmq_consumer_receive(c, NULL), SHMQ_ERR_INVAL);
    T_RC(shmq_consumer_release(c, NULL), SHMQ_ERR_INVAL);
    T_RC(shmq_consumer_seek(c, NULL), SHMQ_ERR_INVAL);
    T_RC(shmq_consumer_fd(c, NULL), SHMQ_ERR_INVAL);
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

/* -- files that are no topics --------------------------------------------- */

static void expect_layout_error(const char *name)
{
    struct shmq_topic *topic = NULL;

    T_RC(shmq_topic_open(t_ns, name, &topic), SHMQ_ERR_LAYOUT);
    T_SAYS(name);
    T_TRUE(topic == NULL);
    T_RC(shmq_topic_unlink(t_ns, name, 0), SHMQ_ERR_LAYOUT);
    T_RC(shmq_topic_create(t_ns, name, NULL), SHMQ_ERR_EXISTS);
    T_OK(shmq_topic_unlink(t_ns, name, SHMQ_UNLINK_FORCE));
    T_EQ(t_file_cnt(), 0);
}

static void write_bytes(const char *path, const void *data, size_t bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    T_TRUE(fd >= 0);
    T_TRUE(write(fd, data, bytes) == (ssize_t)bytes);
    T_TRUE(close(fd) == 0);
}

TEST(a_file_that_is_no_topic_is_refused)
{
    static unsigned char bytes[65536];

    write_bytes(t_path('d', "t"), bytes, 0);
    write_bytes(t_path('c', "t"), bytes, 0);
    expect_layout_error("t");
    write_bytes(t_path('d', "t"), bytes, sizeof(bytes));
    write_bytes(t_path('c', "t"), bytes, sizeof(bytes));
    expect_layout_error("t");
    memset(bytes, 0xff, sizeof(bytes));
    write_bytes(t_path('d', "t"), bytes, sizeof(bytes));
    write_bytes(t_path('c', "t"), bytes, sizeof(bytes));
    expect_layout_error("t");
    t_fill(bytes, sizeof(bytes), 1);
    write_bytes(t_path('d', "t"), bytes, sizeof(bytes));
    write_bytes(t_path('c', "t"), bytes, sizeof(bytes));
    expect_layout_error("t");
    write_bytes(t_path('d', "t"), "x", 1);
    write_bytes(t_path('c', "t"), "x", 1);
    expect_layout_error("t");
}

TEST(one_wrong_file_of_two_is_refused)
{
    static unsigned char bytes[65536];

    for (uint32_t i = 0; i < 2; i++) {
        T_OK(shmq_topic_create(t_ns, "t", NULL));
        write_bytes(t_path(i ? 'c' : 'd', "t"), bytes, sizeof(bytes));
        expect_layout_error("t");
    }
}

TEST(a_truncated_topic_is_refused)
{
    static const off_t sizes[] = {0, 1, 8, 64, 4096, 8192, 65536};

    for (uint32_t i = 0; i < 14; i++) {
        char kind = i % 2 ? 'c' : 'd';
        struct stat st;
        T_OK(shmq_topic_create(t_ns, "t", NULL));
        T_EQ(stat(t_path(kind, "t"), &st), 0);
        if (sizes[i / 2] >= st.st_size) {
            T_OK(shmq_topic_unlink(t_ns, "t", 0));
            continue;
        }
        T_EQ(truncate(t_path(kind, "t"), sizes[i / 2]), 0);
        expect_layout_error("t");
        T_OK(shmq_topic_create(t_ns, "t", NULL));
        T_EQ(truncate(t_path(kind, "t"), st.st_size - 1), 0);
        expect_layout_error("t");
    }
}

/* The words of the two headers, one changed at a time: an error or a topic
 * that works, never a crash. */
TEST(a_damaged_header_never_crashes)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 4096);
    uint32_t refused = 0;

    for (uint32_t i = 0; i < 2 * 256; i++) {
        static const unsigned char marks[] = {0x00, 0xff, 0x80, 0x01};
        struct shmq_topic *topic = NULL;
        unsigned char mark = marks[i % 4];
        off_t at = (off_t)(i % 256);
        unsigned char byte = 0;
        int fd;
        T_OK(shmq_topic_create(t_ns, "t", &attrs));
        fd = open(t_path(i < 256 ? 'd' : 'c', "t"), O_RDWR | O_CLOEXEC);
        T_TRUE(fd >= 0 && pread(fd, &byte, 1, at) == 1);
        byte = (unsigned char)(byte ^ (mark == 0 ? 0x55 : mark));
        T_TRUE(pwrite(fd, &byte, 1, at) == 1 && close(fd) == 0);
        if (shmq_topic_open(t_ns, "t", &topic) == 0) {
            struct shmq_producer *producer = NULL;
            if (shmq_producer_open(topic, NULL, &producer) == 0)
                (void)shmq_producer_publish(producer, "x", 1, NULL);
            shmq_producer_close(producer);
            shmq_topic_close(topic);
        } else {
            refused++;
        }
        T_OK(shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE));
    }
    T_TRUE(refused > 20);
}

TEST(another_layout_version_is_refused)
{
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t version = 0;
        int fd;
        T_OK(shmq_topic_create(t_ns, "t", NULL));
        fd = open(t_path(i ? 'c' : 'd', "t"), O_RDWR | O_CLOEXEC);
        /* Behind the 8 bytes of magic is the version. */
        T_TRUE(fd >= 0);
        T_TRUE(pread(fd, &version, 4, 8) == 4);
        version++;
        T_TRUE(pwrite(fd, &version, 4, 8) == 4 && close(fd) == 0);
        expect_layout_error("t");
    }
}

TEST(leftovers_of_a_killed_create_or_unlink_are_cleared)
{
    struct shmq_topic *topic = NULL;

    /* The control file got its name, the data file did not (or lost it). */
    T_OK(shmq_topic_create(t_ns, "t", NULL));
    T_EQ(unlink(t_path('d', "t")), 0);
    T_RC(shmq_topic_open(t_ns, "t", &topic), SHMQ_ERR_NOENT);
    T_OK(shmq_topic_create(t_ns, "t", NULL));
    shmq_topic_close(t_open("t"));
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    T_EQ(t_file_cnt(), 0);
    T_OK(shmq_topic_create(t_ns, "t", NULL));
    T_EQ(unlink(t_path('d', "t")), 0);
    T_RC(shmq_topic_unlink(t_ns, "t", 0), SHMQ_ERR_NOENT);
    T_EQ(t_file_cnt(), 0);
}

TEST(links_and_folders_are_no_topics)
{
    struct shmq_topic *topic = NULL;
    int rc;

    T_EQ(mkdir(t_path('d', "t"), 0700), 0);
    rc = shmq_topic_open(t_ns, "t", &topic);
    T_TRUE(rc != 0 && topic == NULL);
    rc = shmq_topic_create(t_ns, "t", NULL);
    T_TRUE(rc != 0);
    T_EQ(rmdir(t_path('d', "t")), 0);
    (void)shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE);
    T_EQ(symlink("/etc/passwd", t_path('d', "t")), 0);
    rc = shmq_topic_open(t_ns, "t", &topic);
    T_TRUE(rc != 0 && topic == NULL);
    T_EQ(unlink(t_path('d', "t")), 0);
    T_EQ(mkfifo(t_path('d', "t"), 0600), 0);
    rc = shmq_topic_open(t_ns, "t", &topic);
    T_TRUE(rc != 0 && topic == NULL);
    T_EQ(unlink(t_path('d', "t")), 0);
}

/* -- topics that go away while in use ------------------------------------- */

struct user {
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    struct shmq_consumer *c;
};

static void expect_closed(struct user *u)
{
    struct shmq_message msg;
    struct shmq_producer *producer = NULL;
    struct shmq_consumer *c = NULL;
    struct shmq_loan loan;

    T_RC(shmq_topic_check(u->topic), SHMQ_ERR_CLOSED);
    T_RC(shmq_producer_publish(u->producer, "x", 1, NULL), SHMQ_ERR_CLOSED);
    T_RC(shmq_producer_publish_wait(u->producer, "x", 1, SHMQ_FOREVER, NULL),
        SHMQ_ERR_CLOSED);
    T_RC(shmq_producer_loan(u->producer, 1, NULL, 0, &loan), SHMQ_ERR_CLOSED);
    T_RC(shmq_consumer_receive(u->c, &msg), SHMQ_ERR_CLOSED);
    T_RC(shmq_consumer_receive_wait(u->c, SHMQ_FOREVER, &msg), SHMQ_ERR_CLOSED);
    T_RC(shmq_producer_open(u->topic, NULL, &producer), SHMQ_ERR_CLOSED);
    T_RC(shmq_consumer_open(u->topic, NULL, &c), SHMQ_ERR_CLOSED);
    T_RC(shmq_group_create(u->topic, "new", NULL, NULL), SHMQ_ERR_CLOSED);
    T_TRUE(producer == NULL && c == NULL);
}

static struct user user_open(struct shmq_topic_attrs attrs)
{
    struct user u;

    u.topic = t_topic("t", &attrs);
    u.producer = t_producer(u.topic);
    u.c = t_exclusive(u.topic, "x");
    return u;
}

static void user_close(struct user *u)
{
    shmq_consumer_close(u->c);
    shmq_producer_close(u->producer);
    shmq_topic_close(u->topic);
}

static void remove_in_use(struct shmq_topic_attrs attrs)
{
    struct user u = user_open(attrs);
    struct user second;
    struct shmq_message held;
    char text[48];

    t_publish_run(u.producer, 0, 3);
    T_OK(shmq_consumer_receive(u.c, &held));
    T_RC(shmq_topic_unlink(t_ns, "t", 0), SHMQ_ERR_BUSY);
    (void)snprintf(text, sizeof(text), "in use by pid %d; ", (int)getpid());
    T_SAYS(text); /* once, however many handles it has */
    T_OK(shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE));
    T_EQ(t_file_cnt(), 0);
    expect_closed(&u);
    T_CARRIES(&held, 0, 16);
    second = user_open(attrs);
    expect_closed(&u);
    t_publish_run(second.producer, 10, 3);
    t_take_run(second.c, 10, 3);
    T_CARRIES(&held, 0, 16);
    user_close(&u);
    t_publish_run(second.producer, 13, 3);
    t_take_run(second.c, 13, 3);
    T_OK(shmq_topic_check(second.topic));
    user_close(&second);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    T_EQ(t_map_cnt(), 0);
}

TEST(users_of_a_removed_topic_get_closed)
{
    remove_in_use(t_mpmc(16, 16384));
    remove_in_use(t_spsc(16384));
}

static int sleep_until_closed(void *ctx)
{
    struct shmq_topic *topic = t_open("t");
    struct shmq_message msg;

    if (ctx == NULL) {
        struct shmq_consumer *c = t_exclusive(topic, "x");
        t_tell(1);
        T_RC(
            shmq_consumer_receive_wait(c, SHMQ_FOREVER, &msg), SHMQ_ERR_CLOSED);
        shmq_consumer_close(c);
    } else {
        struct shmq_producer *producer = t_producer(topic);
        t_publish_run(producer, 0, 16);
        t_tell(1);
        T_RC(shmq_producer_publish_wait(producer, "x", 1, SHMQ_FOREVER, NULL),
            SHMQ_ERR_CLOSED);
        shmq_producer_close(producer);
    }
    shmq_topic_close(topic);
    return 0;
}

TEST(sleepers_on_a_removed_topic_get_closed)
{
    for (uint32_t i = 0; i < 2; i++) {
        struct shmq_topic_attrs attrs = t_mpmc(16, 16384);
        struct shmq_topic *topic = t_topic("t", &attrs);
        struct shmq_endpoint_stat point;
        struct t_proc proc;
        if (i == 1)
            T_OK(shmq_group_create(topic, "g", NULL, NULL));
        t_spawn(&proc, sleep_until_closed, i ? topic : NULL);
        (void)t_recv(&proc);
        T_EVENTUALLY(
            t_endpoint_stat(topic, proc.pid, &point) && point.waiting == 1 + i);
        T_OK(shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE));
        t_join(&proc);
        shmq_topic_close(topic);
    }
}

TEST(files_removed_by_hand_are_noticed_and_made_again)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 16384);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c = t_exclusive(topic, "x");
    struct shmq_topic *none = NULL;

    T_EQ(unlink(t_path('d', "t")), 0);
    T_EQ(unlink(t_path('c', "t")), 0);
    t_publish_run(producer, 0, 3);
    t_take_run(c, 0, 3);
    T_RC(shmq_topic_check(topic), SHMQ_ERR_CLOSED);
    T_RC(shmq_topic_open(t_ns, "t", &none), SHMQ_ERR_NOENT);
    T_OK(shmq_topic_create(t_ns, "t", &attrs));
    none = t_open("t");
    T_EQ(t_stat(none).total_messages, 0);
    shmq_topic_close(none);
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
}

static const struct CMUnitTest tests[] = {
    T(wrong_topic_names_are_refused),
    T(wrong_namespaces_are_refused),
    T(an_empty_namespace_is_refused),
    T(missing_arguments_are_refused),
    T(a_file_that_is_no_topic_is_refused),
    T(one_wrong_file_of_two_is_refused),
    T(a_truncated_topic_is_refused),
    T(a_damaged_header_never_crashes),
    T(another_layout_version_is_refused),
    T(leftovers_of_a_killed_create_or_unlink_are_cleared),
    T(links_and_folders_are_no_topics),
    T(users_of_a_removed_topic_get_closed),
    T(sleepers_on_a_removed_topic_get_closed),
    T(files_removed_by_hand_are_noticed_and_made_again),
};
T_MAIN(tests)
