/* test_liveness_ns.c - pid namespaces that share /dev/shm, and pids that are
 * used again. Needs the right to make namespaces (root). */
#include "support/unit.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "support/proc.h"

#define NOT_ALLOWED 1000

static struct shmq_topic *small_topic(void)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 16384);

    return t_topic("t", &attrs);
}

/* -- two namespaces ------------------------------------------------------ */

struct inner {
    bool own_proc; /* mount a /proc of the new namespace */
    int (*fn)(void);
};

/* Runs inner->fn as a child that is process 1 of a namespace of its own; this
 * process stays outside and passes its end on. */
static int in_new_namespace(void *ctx)
{
    const struct inner *inner = ctx;
    int status = 0;
    pid_t pid;

    if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) {
        t_tell(NOT_ALLOWED);
        return 0;
    }
    pid = fork();
    T_TRUE(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (inner->own_proc &&
            (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
                mount("proc", "/proc", "proc", 0, NULL) != 0)) {
            t_tell(NOT_ALLOWED);
            _exit(0);
        }
        T_EQ(getpid(), 1);
        _exit(inner->fn());
    }
    T_TRUE(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int exchange(void)
{
    struct shmq_topic *topic = t_open("t");
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c = t_exclusive(topic, "inside");

    t_tell(1);
    for (uint64_t i = 0; i < 500; i++) {
        struct shmq_message msg;
        uint64_t tag;
        do {
            T_OK(
                shmq_consumer_receive_wait(c, shmq_deadline(T_PATIENCE), &msg));
            tag = t_tag(&msg);
            T_OK(shmq_consumer_release(c, &msg));
        } while (tag >= 1000000);
        T_EQ(tag, i);
        (void)t_publish(producer, 1000000 + i, 16);
    }
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    return 0;
}

static void exchange_across(bool own_proc)
{
    struct inner inner = {own_proc, exchange};
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c;
    struct t_proc proc;

    t_spawn(&proc, in_new_namespace, &inner);
    if (t_recv(&proc) == NOT_ALLOWED)
        T_SKIP("no right to make a pid namespace");
    c = t_exclusive(topic, "outside");
    for (uint64_t i = 0; i < 500; i++) {
        struct shmq_message msg;
        uint64_t tag;
        (void)t_publish(producer, i, 16);
        do {
            T_OK(
                shmq_consumer_receive_wait(c, shmq_deadline(T_PATIENCE), &msg));
            tag = t_tag(&msg);
            T_OK(shmq_consumer_release(c, &msg));
        } while (tag < 1000000);
        T_EQ(tag, 1000000 + i);
    }
    t_join(&proc);
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
}

TEST(two_pid_namespaces_exchange_records)
{
    exchange_across(false);
    exchange_across(true);
}

static int hold_inside(void)
{
    struct shmq_consumer *c = t_shared(t_open("t"), "s");
    struct shmq_message msg;

    T_OK(shmq_consumer_receive(c, &msg));
    t_tell(shmq_consumer_endpoint(c));
    (void)t_hear();
    return 3; /* ends without giving anything back */
}

static void death_across(bool own_proc)
{
    struct inner inner = {own_proc, hold_inside};
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c = t_shared(topic, "s");
    struct shmq_endpoint_stat points[4];
    struct shmq_message msg;
    struct t_proc proc;
    uint64_t id;
    uint32_t cnt = 0;

    t_publish_run(producer, 0, 1);
    t_spawn(&proc, in_new_namespace, &inner);
    id = t_recv(&proc);
    if (id == NOT_ALLOWED)
        T_SKIP("no right to make a pid namespace");
    for (uint32_t i = 0; i < 20; i++) {
        t_expect_empty(c);
        shmq_consumer_close(t_ephemeral(topic, SHMQ_START_LATEST));
    }
    T_OK(shmq_topic_endpoints(topic, points, 4, &cnt));
    T_EQ(cnt, 3);
    for (uint32_t i = 0; i < 3; i++) {
        if (points[i].id != id)
            continue;
        T_EQ(points[i].state, SHMQ_STATE_UNKNOWN);
        T_EQ(points[i].pid, 1);
    }
    T_RC(shmq_group_evict(topic, (uint32_t)id, SHMQ_GROUP_KILL), SHMQ_ERR_BUSY);
    t_send(&proc, 1);
    T_OK(shmq_consumer_receive_wait(c, shmq_deadline(T_PATIENCE), &msg));
    T_CARRIES(&msg, 0, 16);
    T_EQ(msg.attempt, 1);
    T_OK(shmq_consumer_release(c, &msg));
    T_EQ(WEXITSTATUS(t_bury(&proc)), 3);
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
}

TEST(death_is_seen_across_pid_namespaces)
{
    death_across(false);
    death_across(true);
}

static int take_over_inside(void)
{
    struct shmq_consumer *c = t_shared(t_open("t"), "s");
    struct shmq_message msg;

    t_tell(1);
    T_RC(shmq_consumer_receive_wait(c, shmq_deadline(50 * T_MS), &msg),
        SHMQ_ERR_TIMEOUT);
    t_tell(2);
    T_OK(shmq_consumer_receive_wait(c, shmq_deadline(T_PATIENCE), &msg));
    T_CARRIES(&msg, 0, 16);
    T_EQ(msg.attempt, 1);
    T_OK(shmq_consumer_release(c, &msg));
    shmq_consumer_close(c);
    return 0;
}

static int hold_outside(void *ctx)
{
    struct shmq_consumer *c = t_shared(t_open("t"), "s");
    struct shmq_message msg;

    (void)ctx;
    T_OK(shmq_consumer_receive(c, &msg));
    t_tell(1);
    t_wait_for_death();
}

TEST(a_process_inside_sees_the_death_of_one_outside)
{
    struct inner inner = {false, take_over_inside};
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct t_proc outside;
    struct t_proc inside;

    T_OK(shmq_group_create(topic, "s", NULL, NULL));
    t_publish_run(producer, 0, 1);
    t_spawn(&outside, hold_outside, NULL);
    (void)t_recv(&outside);
    t_spawn(&inside, in_new_namespace, &inner);
    if (t_recv(&inside) == NOT_ALLOWED)
        T_SKIP("no right to make a pid namespace");
    T_EQ(t_recv(&inside), 2);
    t_kill(&outside);
    t_join(&inside);
    (void)t_bury(&outside);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

/* -- pids used again ----------------------------------------------------- */

/* The next fork of this namespace gets `pid`, if the system lets us. */
static bool set_next_pid(pid_t pid)
{
    char text[16];
    int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    int len = snprintf(text, sizeof(text), "%d", (int)pid - 1);
    bool done;

    if (fd < 0)
        return false;
    done = write(fd, text, (size_t)len) == len;
    (void)close(fd);
    return done;
}

static pid_t fork_holder(int to_parent)
{
    pid_t pid = fork();

    if (pid == 0) {
        struct shmq_consumer *c = t_shared(t_open("t"), "s");
        struct shmq_message msg;
        T_OK(shmq_consumer_receive(c, &msg));
        T_CARRIES(&msg, 0, 16);
        T_TRUE(write(to_parent, "x", 1) == 1);
        t_wait_for_death();
    }
    return pid;
}

/* As process 1 of its own namespace, where no other process takes pids. */
static int use_a_pid_again(void)
{
    struct shmq_topic *topic = t_open("t");
    struct shmq_consumer *c = t_shared(topic, "s");
    struct shmq_message msg;
    char byte;
    int told[2];
    pid_t holder;
    pid_t other = 0;

    T_TRUE(pipe(told) == 0);
    holder = fork_holder(told[1]);
    T_TRUE(holder > 0 && read(told[0], &byte, 1) == 1);
    T_TRUE(kill(holder, SIGKILL) == 0);
    T_TRUE(waitpid(holder, NULL, 0) == holder);
    for (uint32_t i = 0; i < 100 && other != holder; i++) {
        /* Start times are told in steps of 10 ms; a pid does not come again
         * sooner in real life. */
        t_sleep_ns(20 * T_MS);
        if (!set_next_pid(holder)) {
            t_tell(NOT_ALLOWED);
            return 0;
        }
        other = fork();
        if (other == 0)
            t_wait_for_death();
        if (other != holder && other > 0) {
            (void)kill(other, SIGKILL);
            (void)waitpid(other, NULL, 0);
        }
    }
    if (other != holder) {
        t_tell(NOT_ALLOWED);
        return 0;
    }
    T_OK(shmq_consumer_receive_wait(c, shmq_deadline(T_PATIENCE), &msg));
    T_CARRIES(&msg, 0, 16);
    T_EQ(msg.attempt, 1);
    T_OK(shmq_consumer_release(c, &msg));
    shmq_consumer_close(c);
    T_EQ(t_stat(topic).member_cnt, 0);
    shmq_topic_close(topic);
    (void)kill(other, SIGKILL);
    t_tell(1);
    return 0;
}

TEST(a_pid_used_again_is_not_the_dead_process)
{
    struct inner inner = {true, use_a_pid_again};
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct t_proc proc;

    T_OK(shmq_group_create(topic, "s", NULL, NULL));
    t_publish_run(producer, 0, 1);
    t_spawn(&proc, in_new_namespace, &inner);
    if (t_recv(&proc) == NOT_ALLOWED)
        T_SKIP("no right to choose pids in a namespace");
    t_join(&proc);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

static const struct CMUnitTest tests[] = {
    T(two_pid_namespaces_exchange_records),
    T(death_is_seen_across_pid_namespaces),
    T(a_process_inside_sees_the_death_of_one_outside),
    T(a_pid_used_again_is_not_the_dead_process),
};
T_MAIN(tests)
