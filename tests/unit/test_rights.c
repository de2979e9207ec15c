/* test_rights.c - other users: foreign owners, missing rights, read-only
 * consumers. Needs root to become somebody else. */
#include "support/unit.h"

#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "support/proc.h"

#define STRANGER 65534 /* nobody */
#define TRUSTED 65533

static void become(uid_t uid)
{
    T_EQ(setgroups(0, NULL), 0);
    T_EQ(setresgid(uid, uid, uid), 0);
    T_EQ(setresuid(uid, uid, uid), 0);
}

static void need_root(void)
{
    if (geteuid() != 0)
        T_SKIP("only root can become another user");
}

static void in_a_child(int (*fn)(void *ctx))
{
    struct t_proc proc;

    t_spawn(&proc, fn, NULL);
    t_join(&proc);
}

static int expect_no_entry(void *ctx)
{
    struct shmq_topic *topic = NULL;

    (void)ctx;
    become(STRANGER);
    T_RC(shmq_topic_open(t_ns, "t", &topic), SHMQ_ERR_PERM);
    T_SAYS("t");
    T_TRUE(topic == NULL);
    T_RC(shmq_topic_unlink(t_ns, "t", 0), SHMQ_ERR_PERM);
    T_RC(shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE), SHMQ_ERR_PERM);
    return 0;
}

TEST(without_rights_a_topic_cannot_be_opened_or_removed)
{
    need_root();
    T_OK(shmq_topic_create(t_ns, "t", NULL));
    in_a_child(expect_no_entry);
    T_EQ(t_file_cnt(), 2);
    shmq_topic_close(t_open("t"));
}

static int make_under_any_umask(void *ctx)
{
    char lock[256];

    (void)ctx;
    become(STRANGER);
    (void)umask(0777);
    T_OK(shmq_topic_create(t_ns, "t", NULL));
    T_OK(shmq_topic_create(t_ns, "u", NULL));
    (void)umask(022);
    (void)snprintf(lock, sizeof(lock), "/dev/shm/shmq.%s.lock.%u", t_ns,
        (unsigned)STRANGER);
    T_EQ(chmod(lock, 0), 0); /* as one leaves it that was killed at once */
    T_OK(shmq_topic_create(t_ns, "v", NULL));
    for (const char *topic = "t\0u\0v\0"; *topic; topic += 2)
        T_OK(shmq_topic_unlink(t_ns, topic, 0));
    return 0;
}

/* To root a file without any rights is like others. */
TEST(the_umask_of_a_user_does_not_apply_to_locks)
{
    need_root();
    in_a_child(make_under_any_umask);
}

static int create_as_stranger(void *ctx)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 16384);

    (void)ctx;
    become(STRANGER);
    attrs.mode = 0666;
    T_OK(shmq_topic_create(t_ns, "t", &attrs));
    shmq_topic_close(t_open("t"));
    return 0;
}

static int refuse_a_foreign_owner(void *ctx)
{
    struct shmq_topic *topic = NULL;

    (void)ctx;
    become(TRUSTED);
    T_RC(shmq_topic_open(t_ns, "t", &topic), SHMQ_ERR_PERM);
    T_TRUE(topic == NULL);
    T_EQ(setenv("SHMQ_TRUSTED_UIDS", "1,2,65534", 1), 0);
    T_OK(shmq_topic_open(t_ns, "t", &topic));
    shmq_topic_close(topic);
    T_EQ(setenv("SHMQ_TRUSTED_UIDS", "655", 1), 0);
    T_RC(shmq_topic_open(t_ns, "t", &topic), SHMQ_ERR_PERM);
    T_EQ(setenv("SHMQ_TRUSTED_UIDS", "65534x", 1), 0);
    T_RC(shmq_topic_open(t_ns, "t", &topic), SHMQ_ERR_PERM);
    T_EQ(setenv("SHMQ_TRUSTED_UIDS", "", 1), 0);
    T_RC(shmq_topic_open(t_ns, "t", &topic), SHMQ_ERR_PERM);
    return 0;
}

TEST(a_foreign_owner_is_trusted_only_by_name)
{
    struct shmq_topic *topic = NULL;

    need_root();
    in_a_child(create_as_stranger);
    in_a_child(refuse_a_foreign_owner);
    T_RC(shmq_topic_open(t_ns, "t", &topic), SHMQ_ERR_PERM);
    T_TRUE(topic == NULL);
    T_EQ(setenv("SHMQ_TRUSTED_UIDS", "65534", 1), 0);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    T_EQ(unsetenv("SHMQ_TRUSTED_UIDS"), 0);
    T_EQ(t_file_cnt(), 0);
}

static int accept_root_as_owner(void *ctx)
{
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    struct shmq_consumer *c;

    (void)ctx;
    become(STRANGER);
    topic = t_open("t");
    producer = t_producer(topic);
    c = t_shared(topic, "s");
    t_publish_run(producer, 0, 5);
    t_take_run(c, 0, 5);
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    return 0;
}

TEST(a_topic_of_root_is_trusted)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 16384);

    need_root();
    attrs.mode = 0666;
    T_OK(shmq_topic_create(t_ns, "t", &attrs));
    in_a_child(accept_root_as_owner);
}

TEST(one_file_of_another_owner_is_refused)
{
    struct shmq_topic *topic = NULL;

    need_root();
    for (uint32_t i = 0; i < 2; i++) {
        T_OK(shmq_topic_create(t_ns, "t", NULL));
        T_EQ(chown(t_path(i ? 'c' : 'd', "t"), STRANGER, STRANGER), 0);
        T_RC(shmq_topic_open(t_ns, "t", &topic), SHMQ_ERR_PERM);
        T_EQ(chown(t_path(i ? 'c' : 'd', "t"), 0, 0), 0);
        T_OK(shmq_topic_unlink(t_ns, "t", 0));
    }
    T_TRUE(topic == NULL);
}

/* Consumers that cannot write the data file get copies that were checked. */
static int read_only_consumer(void *ctx)
{
    struct shmq_topic *topic;
    struct shmq_producer *producer = NULL;
    struct shmq_consumer *alone;
    struct shmq_consumer *member;
    struct shmq_consumer *unnamed;
    struct shmq_message msg;

    (void)ctx;
    become(STRANGER);
    t_tell(1);
    (void)t_hear();
    topic = t_open("t");
    T_RC(shmq_producer_open(topic, NULL, &producer), SHMQ_ERR_PERM);
    T_TRUE(producer == NULL);
    alone = t_exclusive(topic, "x");
    member = t_shared(topic, "s");
    unnamed = t_ephemeral(topic, SHMQ_START_EARLIEST);
    t_tell(1);
    for (uint64_t i = 0; i < 200; i++) {
        struct shmq_consumer *const all[] = {alone, member, unnamed};
        for (uint32_t k = 0; k < 3; k++) {
            T_OK(shmq_consumer_receive_wait(
                all[k], shmq_deadline(T_PATIENCE), &msg));
            T_CARRIES(&msg, i, 16);
            T_OK(shmq_consumer_release(all[k], &msg));
        }
        t_tell(i);
        (void)t_hear();
    }
    T_OK(shmq_consumer_receive_wait(member, shmq_deadline(T_PATIENCE), &msg));
    T_OK(shmq_consumer_nack(member, &msg));
    t_take(member, 200, 16);
    shmq_consumer_close(alone);
    shmq_consumer_close(member);
    shmq_consumer_close(unnamed);
    shmq_topic_close(topic);
    return 0;
}

TEST(consumers_may_have_read_only_data)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 16384);
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    struct t_proc proc;

    need_root();
    attrs.mode = 0666;
    attrs.data_mode = 0644;
    /* Before the topic: a child inherits what its parent may write. */
    t_spawn(&proc, read_only_consumer, NULL);
    (void)t_recv(&proc);
    topic = t_topic("t", &attrs);
    producer = t_producer(topic);
    t_send(&proc, 1);
    (void)t_recv(&proc);
    for (uint64_t i = 0; i < 200; i++) {
        t_publish_run(producer, i, 1);
        T_EQ(t_recv(&proc), i);
        if (i == 199)
            t_publish_run(producer, 200, 1);
        t_send(&proc, 1);
    }
    t_join(&proc);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

static int die_read_only(void *ctx)
{
    struct shmq_message msg;
    struct shmq_consumer *member;

    (void)ctx;
    become(STRANGER);
    (void)t_hear();
    member = t_shared(t_open("t"), "s");
    T_OK(shmq_consumer_receive(member, &msg));
    t_tell(1);
    t_wait_for_death();
}

static int reap_read_only(void *ctx)
{
    struct shmq_consumer *member;

    (void)ctx;
    become(STRANGER);
    (void)t_hear();
    member = t_shared(t_open("t"), "s");
    t_take(member, 0, 16);
    shmq_consumer_close(member);
    return 0;
}

TEST(a_read_only_consumer_reaps_what_it_may)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 16384);
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    struct t_proc proc;
    struct t_proc reaper;

    need_root();
    attrs.mode = 0666;
    attrs.data_mode = 0644;
    t_spawn(&proc, die_read_only, NULL);
    t_spawn(&reaper, reap_read_only, NULL);
    topic = t_topic("t", &attrs);
    T_OK(shmq_group_create(topic, "s", NULL, NULL));
    producer = t_producer(topic);
    t_publish_run(producer, 0, 1);
    t_send(&proc, 1);
    (void)t_recv(&proc);
    t_kill(&proc);
    t_send(&reaper, 1);
    t_join(&reaper);
    (void)t_bury(&proc);
    t_publish_run(producer, 1, 16);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

/* Holds the lock of `TRUSTED` in this namespace, under its name. */
static int squat(void *ctx)
{
    char path[256];
    int fd;

    (void)ctx;
    become(STRANGER);
    (void)umask(0);
    (void)snprintf(
        path, sizeof path, "/dev/shm/shmq.%s.lock.%u", t_ns, TRUSTED);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0666);
    T_TRUE(fd >= 0 && flock(fd, LOCK_EX) == 0);
    t_tell(1);
    (void)t_hear();
    T_EQ(unlink(path), 0);
    return 0;
}

static int create_beside_a_squatter(void *ctx)
{
    uint64_t begin_ns = t_now_ns();

    (void)ctx;
    become(TRUSTED);
    T_RC(shmq_topic_create(t_ns, "t", NULL), SHMQ_ERR_PERM);
    T_SAYS("65534");
    T_TRUE(t_now_ns() - begin_ns < 2000 * T_MS);
    return 0;
}

static int create_as_trusted(void *ctx)
{
    (void)ctx;
    become(TRUSTED);
    T_OK(shmq_topic_create(t_ns, "t", NULL));
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    return 0;
}

TEST(nobody_waits_for_a_lock_that_a_stranger_made)
{
    struct t_proc squatter;

    need_root();
    t_spawn(&squatter, squat, NULL);
    (void)t_recv(&squatter);
    in_a_child(create_beside_a_squatter);
    t_send(&squatter, 1);
    t_join(&squatter);
    in_a_child(create_as_trusted);
}

static const struct CMUnitTest tests[] = {
    T(without_rights_a_topic_cannot_be_opened_or_removed),
    T(the_umask_of_a_user_does_not_apply_to_locks),
    T(a_foreign_owner_is_trusted_only_by_name),
    T(a_topic_of_root_is_trusted),
    T(one_file_of_another_owner_is_refused),
    T(consumers_may_have_read_only_data),
    T(a_read_only_consumer_reaps_what_it_may),
    T(nobody_waits_for_a_lock_that_a_stranger_made),
};
T_MAIN(tests)
