/* test_liveness.c - who counts as dead: processes that close what they should
 * not, fork, exec, linger as zombies, and handles that reap each other. */
#include "support/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "support/proc.h"

struct rig {
    struct shmq_topic *topic;
    struct shmq_producer *producer;
};

/* A topic with one record in it, for the shared group "s" that exists. */
static struct rig rig_open(void)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 16384);
    struct rig rig;

    attrs.max_members = 6;
    attrs.max_producers = 4;
    rig.topic = t_topic("t", &attrs);
    T_OK(shmq_group_create(rig.topic, "s", NULL, NULL));
    rig.producer = t_producer(rig.topic);
    t_publish_run(rig.producer, 0, 1);
    return rig;
}

static void rig_close(struct rig *rig)
{
    shmq_producer_close(rig->producer);
    shmq_topic_close(rig->topic);
}

/* Attaches anew, which reaps the dead, and looks whether the record is free. */
static bool is_given_back(struct rig *rig)
{
    struct shmq_consumer *c = t_shared(rig->topic, "s");
    struct shmq_message msg;
    int rc = shmq_consumer_receive(c, &msg);

    if (rc == 0) {
        T_CARRIES(&msg, 0, 16);
        T_EQ(msg.attempt, 1);
        T_TRUE(msg.flags & SHMQ_MESSAGE_REDELIVERED);
        T_OK(shmq_consumer_release(c, &msg));
    } else {
        T_RC(rc, SHMQ_ERR_EMPTY);
    }
    shmq_consumer_close(c);
    return rc == 0;
}

/* The living holder keeps its record, however often others look. */
static void expect_kept(struct rig *rig)
{
    for (uint32_t i = 0; i < 20; i++)
        T_TRUE(!is_given_back(rig));
}

static struct shmq_message hold(struct shmq_consumer **ret)
{
    struct shmq_message msg;

    *ret = t_shared(t_open("t"), "s");
    T_OK(shmq_consumer_receive(*ret, &msg));
    T_CARRIES(&msg, 0, 16);
    return msg;
}

/* The child acknowledges its record when it is told to. */
static int hold_and_release(struct shmq_consumer *c, struct shmq_message *msg)
{
    struct shmq_producer *producer;

    t_tell(1);
    if (t_hear() == 2)
        t_wait_for_death();
    T_CARRIES(msg, 0, 16);
    T_OK(shmq_consumer_release(c, msg));
    producer = t_producer(t_open("t"));
    t_publish_run(producer, 1, 1);
    t_take(c, 1, 16);
    shmq_producer_close(producer);
    shmq_consumer_close(c);
    return 0;
}

/* Starts `trick`, checks that its process counts as living, then lets it go
 * on (kill false) or kills it and checks that it counts as dead. */
static void survives(int (*trick)(void *ctx), bool by_kill)
{
    struct rig rig = rig_open();
    struct t_proc proc;

    t_spawn(&proc, trick, NULL);
    (void)t_recv(&proc);
    expect_kept(&rig);
    T_EQ(t_stat(rig.topic).member_cnt, 1);
    if (by_kill) {
        t_send(&proc, 2);
        t_kill(&proc);
        T_TRUE(is_given_back(&rig));
        (void)t_bury(&proc);
    } else {
        t_send(&proc, 1);
        t_join(&proc);
        T_TRUE(!is_given_back(&rig));
    }
    rig_close(&rig);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
}

static int plain_child(void *ctx)
{
    struct shmq_consumer *c;
    struct shmq_message msg = hold(&c);

    (void)ctx;
    return hold_and_release(c, &msg);
}

TEST(a_zombie_counts_as_dead)
{
    survives(plain_child, true); /* buried only after it was reaped */
    survives(plain_child, false);
}

static int close_control_file(void *ctx)
{
    struct shmq_consumer *c;
    struct shmq_message msg = hold(&c);

    (void)ctx;
    for (uint32_t i = 0; i < 3; i++) {
        int fd = open(t_path('c', "t"), O_RDWR | O_CLOEXEC);
        T_TRUE(fd >= 0 && close(fd) == 0);
        fd = open(t_path('d', "t"), O_RDONLY | O_CLOEXEC);
        T_TRUE(fd >= 0 && close(fd) == 0);
    }
    return hold_and_release(c, &msg);
}

TEST(an_application_may_open_and_close_the_control_file)
{
    T_NEED_PROC();
    survives(close_control_file, false);
    survives(close_control_file, true);
}

static void close_all_descriptors(void)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, 3u, ~0u, 0u) == 0)
        return;
#endif
    for (int fd = 3; fd < 4096; fd++)
        (void)close(fd);
}

/* The pipes to the parent are gone too, so it stops itself for a word. */
static int close_and_go_on(void *ctx)
{
    struct shmq_consumer *c;
    struct shmq_message msg = hold(&c);
    struct shmq_producer *producer = t_producer(t_open("t"));

    (void)ctx;
    t_tell(1);
    close_all_descriptors();
    T_CARRIES(&msg, 0, 16);
    (void)raise(SIGSTOP);
    T_OK(shmq_consumer_release(c, &msg));
    t_publish_run(producer, 1, 1);
    t_take(c, 1, 16);
    t_publish_run(producer, 2, 1);
    T_OK(shmq_consumer_receive_wait(c, shmq_deadline(T_PATIENCE), &msg));
    T_OK(shmq_consumer_release(c, &msg));
    T_RC(shmq_consumer_receive_wait(c, shmq_deadline(30 * T_MS), &msg),
        SHMQ_ERR_TIMEOUT);
    shmq_producer_close(producer);
    shmq_consumer_close(c);
    return 0;
}

static int close_and_open_anew(void *ctx)
{
    struct shmq_consumer *c;
    struct shmq_message msg = hold(&c);

    (void)ctx;
    t_tell(1);
    close_all_descriptors();
    (void)raise(SIGSTOP);
    T_OK(shmq_consumer_release(c, &msg));
    t_publish_run(t_producer(t_open("t")), 1, 1);
    t_take(t_shared(t_open("t"), "s"), 1, 16);
    return 0;
}

/* The application gets the library's numbers for files of its own. */
static int use_the_numbers_again(void *ctx)
{
    struct shmq_consumer *c;
    struct shmq_message msg = hold(&c);
    struct shmq_producer *producer = t_producer(t_open("t"));
    struct stat before[16];
    int fds[16];

    (void)ctx;
    t_tell(1);
    close_all_descriptors();
    for (uint32_t i = 0; i < 16; i++) {
        fds[i] = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        T_TRUE(fds[i] >= 0 && fstat(fds[i], &before[i]) == 0);
    }
    (void)raise(SIGSTOP);
    T_OK(shmq_consumer_release(c, &msg));
    t_publish_run(producer, 1, 1);
    t_take(c, 1, 16);
    shmq_producer_close(producer);
    shmq_consumer_close(c);
    c = t_shared(t_open("t"), "s");
    t_expect_empty(c);
    shmq_consumer_close(c);
    for (uint32_t i = 0; i < 16; i++) {
        struct stat now;
        T_EQ(fstat(fds[i], &now), 0);
        T_TRUE(now.st_ino == before[i].st_ino);
    }
    return 0;
}

static void wait_for_stop(struct t_proc *proc)
{
    siginfo_t info;

    (void)t_recv(proc);
    T_EQ(waitid(P_PID, (id_t)proc->pid, &info, WSTOPPED | WEXITED), 0);
    T_EQ(info.si_code, CLD_STOPPED);
}

TEST(closing_all_descriptors_is_not_death)
{
    static int (*const tricks[])(void *) = {
        close_and_go_on, close_and_open_anew, use_the_numbers_again};

    T_NEED_PROC();
    for (uint32_t i = 0; i < 3; i++) {
        struct rig rig = rig_open();
        struct t_proc proc;
        t_spawn(&proc, tricks[i], NULL);
        wait_for_stop(&proc);
        expect_kept(&rig);
        t_cont(&proc);
        t_join(&proc);
        T_TRUE(!is_given_back(&rig));
        rig_close(&rig);
        T_OK(shmq_topic_unlink(t_ns, "t", 0));
    }
}

TEST(a_process_without_descriptors_dies_like_others)
{
    struct rig rig = rig_open();
    struct t_proc proc;

    t_spawn(&proc, close_and_go_on, NULL);
    wait_for_stop(&proc);
    t_kill(&proc);
    T_TRUE(is_given_back(&rig));
    (void)t_bury(&proc);
    rig_close(&rig);
}

/* -- fork ---------------------------------------------------------------- */

struct handles {
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    struct shmq_consumer *consumer;
    struct shmq_message held;
    struct shmq_loan loan;
};

static int use_handles_of_the_parent(void *ctx)
{
    struct handles *h = ctx;
    struct shmq_topic_stat stat = {.struct_bytes = sizeof(stat)};
    struct shmq_topic_attrs attrs = t_attrs();
    struct shmq_start start = t_start(SHMQ_START_LATEST, 0);
    struct shmq_consumer_options options = t_options("s", SHMQ_GROUP_SHARED);
    struct shmq_message msg;
    struct shmq_producer *producer = NULL;
    struct shmq_consumer *consumer = NULL;
    struct shmq_loan loan;
    uint64_t number;
    int fd;

    T_RC(shmq_producer_publish(h->producer, "x", 1, NULL), SHMQ_ERR_FORKED);
    T_RC(shmq_producer_publish_wait(h->producer, "x", 1, SHMQ_FOREVER, NULL),
        SHMQ_ERR_FORKED);
    T_RC(shmq_producer_loan(h->producer, 1, NULL, 0, &loan), SHMQ_ERR_FORKED);
    T_RC(shmq_producer_commit(h->producer, &h->loan, 1, NULL), SHMQ_ERR_FORKED);
    T_RC(shmq_producer_abort(h->producer, &h->loan), SHMQ_ERR_FORKED);
    T_RC(shmq_consumer_receive(h->consumer, &msg), SHMQ_ERR_FORKED);
    T_RC(shmq_consumer_receive_wait(h->consumer, SHMQ_FOREVER, &msg),
        SHMQ_ERR_FORKED);
    T_RC(shmq_consumer_ack(h->consumer, &h->held), SHMQ_ERR_FORKED);
    T_RC(shmq_consumer_nack(h->consumer, &h->held), SHMQ_ERR_FORKED);
    T_RC(shmq_consumer_release(h->consumer, &h->held), SHMQ_ERR_FORKED);
    T_RC(shmq_consumer_seek(h->consumer, &start), SHMQ_ERR_FORKED);
    T_RC(shmq_consumer_extend(h->consumer), SHMQ_ERR_FORKED);
    T_RC(shmq_consumer_position(h->consumer, &number), SHMQ_ERR_FORKED);
    T_RC(shmq_consumer_drained(h->consumer), SHMQ_ERR_FORKED);
    T_RC(shmq_consumer_fd(h->consumer, &fd), SHMQ_ERR_FORKED);
    T_RC(shmq_topic_attrs(h->topic, &attrs), SHMQ_ERR_FORKED);
    T_RC(shmq_topic_stat(h->topic, &stat), SHMQ_ERR_FORKED);
    T_RC(shmq_producer_open(h->topic, NULL, &producer), SHMQ_ERR_FORKED);
    T_RC(shmq_consumer_open(h->topic, &options, &consumer), SHMQ_ERR_FORKED);
    T_RC(shmq_group_create(h->topic, "new", NULL, NULL), SHMQ_ERR_FORKED);
    T_RC(shmq_group_remove(h->topic, "s", SHMQ_GROUP_FORCE), SHMQ_ERR_FORKED);
    T_RC(shmq_group_evict(h->topic, 1, 0), SHMQ_ERR_FORKED);
    shmq_producer_close(h->producer);
    shmq_consumer_close(h->consumer);
    shmq_topic_close(h->topic);
    return 0;
}

static struct handles handles_open(struct rig *rig)
{
    struct handles h;

    h.topic = rig->topic;
    h.producer = rig->producer;
    h.consumer = t_shared(rig->topic, "s");
    T_OK(shmq_consumer_receive(h.consumer, &h.held));
    T_OK(shmq_producer_loan(h.producer, 100, NULL, 0, &h.loan));
    t_fill(h.loan.data, 100, 7);
    return h;
}

/* The parent goes on with everything it had. */
static void handles_work(struct rig *rig, struct handles *h)
{
    expect_kept(rig);
    T_CARRIES(&h->held, 0, 16);
    T_OK(shmq_consumer_release(h->consumer, &h->held));
    T_OK(shmq_producer_commit(h->producer, &h->loan, 100, NULL));
    t_take(h->consumer, 7, 100);
    t_publish_run(h->producer, 1, 10);
    t_take_run(h->consumer, 1, 10);
    t_expect_empty(h->consumer);
    shmq_consumer_close(h->consumer);
}

TEST(handles_are_dead_in_a_fork_child_and_well_in_the_parent)
{
    struct rig rig = rig_open();
    struct handles h = handles_open(&rig);
    struct t_proc proc;

    t_spawn(&proc, use_handles_of_the_parent, &h);
    t_join(&proc);
    handles_work(&rig, &h);
    rig_close(&rig);
}

static int use_own_handles(void *ctx)
{
    struct shmq_topic *topic = t_open("t");
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c = t_exclusive(topic, "own");

    (void)ctx;
    t_take(c, 0, 16);
    t_publish_run(producer, 100, 5);
    t_take_run(c, 100, 5);
    shmq_consumer_close(c);
    T_OK(shmq_group_remove(topic, "own", 0));
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    return 0;
}

TEST(a_fork_child_opens_handles_of_its_own)
{
    struct rig rig = rig_open();
    struct handles h = handles_open(&rig);
    struct shmq_group_attrs attrs;
    struct shmq_start latest = t_start(SHMQ_START_LATEST, 0);
    struct t_proc proc;

    memset(&attrs, 0, sizeof(attrs));
    attrs.struct_bytes = sizeof(attrs);
    attrs.kind = SHMQ_GROUP_EXCLUSIVE;
    T_OK(shmq_producer_abort(h.producer, &h.loan));
    T_OK(shmq_group_create(rig.topic, "own", &attrs, &latest));
    t_publish_run(rig.producer, 0, 1);
    t_spawn(&proc, use_own_handles, NULL);
    t_join(&proc);
    T_OK(shmq_consumer_release(h.consumer, &h.held));
    t_take(h.consumer, 0, 16);
    t_take_run(h.consumer, 100, 5);
    t_publish_run(rig.producer, 200, 10);
    t_take_run(h.consumer, 200, 10);
    shmq_consumer_close(h.consumer);
    rig_close(&rig);
}

static int hold_then_fork(void *ctx)
{
    struct shmq_consumer *c;
    struct shmq_message msg = hold(&c);
    pid_t pid;

    (void)ctx;
    T_CARRIES(&msg, 0, 16);
    pid = fork();
    if (pid == 0) {
        /* The grandchild lives on, with its parent's descriptors. */
        (void)alarm(100);
        t_tell((uint64_t)getpid());
        t_wait_for_death();
    }
    t_wait_for_death();
}

TEST(a_fork_child_that_lives_on_does_not_keep_its_parent_alive)
{
    struct rig rig = rig_open();
    struct t_proc proc;
    pid_t grandchild;

    t_spawn(&proc, hold_then_fork, NULL);
    grandchild = (pid_t)t_recv(&proc);
    expect_kept(&rig);
    t_kill(&proc);
    T_TRUE(is_given_back(&rig));
    T_EQ(kill(grandchild, SIGKILL), 0);
    (void)t_bury(&proc);
    rig_close(&rig);
}

/* -- exec ---------------------------------------------------------------- */

static int exec_another_program(void *ctx)
{
    struct shmq_consumer *c;
    struct shmq_message msg = hold(&c);

    (void)ctx;
    T_CARRIES(&msg, 0, 16);
    t_tell(1);
    (void)t_hear();
    (void)execl("/bin/sleep", "sleep", "1000", (char *)NULL);
    return 1;
}

static int exec_itself(void *ctx)
{
    struct shmq_consumer *c;
    struct shmq_message msg = hold(&c);

    (void)ctx;
    T_CARRIES(&msg, 0, 16);
    t_tell(1);
    (void)t_hear();
    (void)setenv("SHMQ_TEST_SLEEP", "1", 1);
    (void)execl("/proc/self/exe", "again", (char *)NULL);
    return 1;
}

/* True when the process runs under another name than this one. */
static bool is_another_image(pid_t pid)
{
    char names[2][64] = {"", ""};

    for (uint32_t i = 0; i < 2; i++) {
        char path[64];
        FILE *file;
        (void)snprintf(
            path, sizeof(path), "/proc/%d/cmdline", (int)(i ? getpid() : pid));
        file = fopen(path, "re");
        T_TRUE(file != NULL);
        names[i][fread(names[i], 1, sizeof(names[i]) - 1, file)] = '\0';
        (void)fclose(file);
    }
    return names[0][0] != '\0' && strcmp(names[0], names[1]) != 0;
}

static void exec_is_death(int (*fn)(void *ctx))
{
    struct rig rig = rig_open();
    struct t_proc proc;

    t_spawn(&proc, fn, NULL);
    (void)t_recv(&proc);
    expect_kept(&rig);
    t_send(&proc, 1);
    T_EVENTUALLY(is_another_image(proc.pid));
    /* It has the pid, the start time and the parent of the old image. */
    T_EVENTUALLY(is_given_back(&rig));
    T_EQ(t_stat(rig.topic).member_cnt, 0);
    T_EQ(kill(proc.pid, 0), 0);
    t_kill(&proc);
    (void)t_bury(&proc);
    rig_close(&rig);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
}

TEST(exec_of_another_program_is_the_death_of_the_old_one)
{
    T_NEED_PROC();
    if (access("/bin/sleep", X_OK) != 0)
        T_SKIP("there is no /bin/sleep");
    exec_is_death(exec_another_program);
}

TEST(exec_of_itself_is_the_death_of_the_old_image)
{
    T_NEED_PROC();
    exec_is_death(exec_itself);
}

/* -- handles that reap ---------------------------------------------------- */

TEST(two_handles_of_one_process_reap_the_dead_but_not_each_other)
{
    struct rig rig = rig_open();
    struct shmq_topic *second = t_open("t");
    struct shmq_consumer *a = t_shared(rig.topic, "s");
    struct shmq_consumer *b = t_shared(second, "s");
    struct shmq_producer *p = t_producer(second);
    struct shmq_message held;
    struct shmq_message msg;
    struct t_proc proc;

    for (uint64_t i = 0; i < 10; i++) {
        T_OK(shmq_consumer_receive(i % 2 ? a : b, &held));
        T_CARRIES(&held, 0, 16);
        T_RC(shmq_consumer_receive_wait(
                 i % 2 ? b : a, shmq_deadline(T_MS), &msg),
            SHMQ_ERR_TIMEOUT);
        shmq_topic_close(t_open("t"));
        shmq_producer_close(t_producer(second));
        T_TRUE(!is_given_back(&rig));
        T_OK(shmq_consumer_release(i % 2 ? a : b, &held));
        t_publish_run(i % 2 ? p : rig.producer, 0, 1);
        t_spawn(&proc, plain_child, NULL);
        (void)t_recv(&proc);
        t_kill(&proc);
        T_OK(shmq_consumer_receive_wait(
            i % 2 ? a : b, shmq_deadline(T_PATIENCE), &msg));
        T_EQ(msg.attempt, 1);
        t_expect_empty(i % 2 ? b : a);
        T_OK(shmq_consumer_release(i % 2 ? a : b, &msg));
        t_publish_run(i % 2 ? p : rig.producer, 0, 1);
        (void)t_bury(&proc);
    }
    shmq_consumer_close(a);
    shmq_consumer_close(b);
    shmq_producer_close(p);
    shmq_topic_close(second);
    rig_close(&rig);
}

static int two_reaping_handles(void *ctx)
{
    struct shmq_topic *first = t_open("t");
    struct shmq_topic *second = t_open("t");
    struct shmq_consumer *a = t_shared(first, "s");
    struct shmq_consumer *b = t_shared(second, "s");
    struct shmq_message msg;

    (void)ctx;
    T_OK(shmq_consumer_receive(a, &msg));
    shmq_consumer_close(b);
    shmq_topic_close(second);
    shmq_topic_close(first);
    return hold_and_release(a, &msg);
}

TEST(closing_one_handle_does_not_look_like_the_death_of_another)
{
    survives(two_reaping_handles, false);
    survives(two_reaping_handles, true);
}

static const struct CMUnitTest tests[] = {
    T(a_zombie_counts_as_dead),
    T(an_application_may_open_and_close_the_control_file),
    T(closing_all_descriptors_is_not_death),
    T(a_process_without_descriptors_dies_like_others),
    T(handles_are_dead_in_a_fork_child_and_well_in_the_parent),
    T(a_fork_child_opens_handles_of_its_own),
    T(a_fork_child_that_lives_on_does_not_keep_its_parent_alive),
    T(exec_of_another_program_is_the_death_of_the_old_one),
    T(exec_of_itself_is_the_death_of_the_old_image),
    T(two_handles_of_one_process_reap_the_dead_but_not_each_other),
    T(closing_one_handle_does_not_look_like_the_death_of_another),
};

int main(void)
{
    if (getenv("SHMQ_TEST_SLEEP") != NULL)
        t_wait_for_death();
    return t_unit_run(__FILE__, tests, sizeof(tests) / sizeof(tests[0]));
}
