/* test_sigbus.c - a peer cuts a topic's file short: CORRUPT instead of death,
 * and everybody else's SIGBUS goes where it would have gone. */
#define _GNU_SOURCE
#include "support/unit.h"

#include <unistd.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "support/proc.h"

static void cut(char kind, const char *topic, off_t to)
{
    T_EQ(truncate(t_path(kind, topic), to), 0);
}

/* Everything that one process may have open on a topic. */
struct all {
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    struct shmq_consumer *viewer, *copier, *member, *unnamed;
    struct shmq_message view;
    struct shmq_loan loan;
};

static uint32_t max_producers = 1; /* so that the first uses all arenas */

static void open_all(struct all *a, const char *name, bool spsc)
{
    struct shmq_consumer_options o = t_options("copies", SHMQ_GROUP_EXCLUSIVE);
    memset(a, 0, sizeof *a);
    struct shmq_topic_attrs attrs = spsc ? t_spsc(65536) : t_mpmc(64, 65536);
    attrs.max_producers = max_producers;
    a->topic = t_topic(name, &attrs);
    a->producer = t_producer(a->topic);
    a->viewer = t_exclusive(a->topic, "views");
    o.flags = SHMQ_CONSUMER_COPY;
    a->copier = t_consumer(a->topic, &o);
    if (!spsc)
        a->member = t_shared(a->topic, "shared");
    a->unnamed = t_ephemeral(a->topic, SHMQ_START_EARLIEST);
    t_publish_run(a->producer, 0, 20);
    T_OK(shmq_consumer_receive(a->viewer, &a->view));
    T_OK(shmq_producer_loan(a->producer, 30000, NULL, 0, &a->loan));
}

static int one(void *ctx, const struct shmq_message *msg)
{
    (void)ctx;
    (void)msg;
    return SHMQ_HANDLED_ACK;
}

static void all_reads_fail(struct shmq_consumer *c)
{
    struct shmq_message msg;
    uint64_t position = 4711;
    int fd = -1;

    if (c == NULL)
        return;
    T_RC(shmq_consumer_receive(c, &msg), SHMQ_ERR_CORRUPT);
    T_RC(shmq_consumer_receive_wait(c, shmq_deadline(T_PATIENCE), &msg),
        SHMQ_ERR_CORRUPT);
    T_RC(shmq_consumer_poll(c, one, NULL, 0), SHMQ_ERR_CORRUPT);
    T_RC(shmq_consumer_poll_wait(c, one, NULL, 0, shmq_deadline(T_PATIENCE)),
        SHMQ_ERR_CORRUPT);
    T_RC(shmq_consumer_position(c, &position), SHMQ_ERR_CORRUPT);
    T_EQ(position, 4711);
    T_RC(shmq_consumer_drained(c), SHMQ_ERR_CORRUPT);
    T_RC(shmq_consumer_extend(c), SHMQ_ERR_CORRUPT);
    T_RC(shmq_consumer_fd(c, &fd), SHMQ_ERR_CORRUPT);
}

static void all_calls_fail(struct all *a)
{
    struct shmq_topic_stat st = {.struct_bytes = sizeof st};
    struct shmq_topic_attrs attrs = t_attrs();
    struct shmq_record rec = {"x", 1, NULL, 0, 0};
    struct shmq_start from = t_start(SHMQ_START_EARLIEST, 0);
    struct shmq_producer *producer = NULL;
    struct shmq_consumer *consumer = NULL;
    struct shmq_loan loan = a->loan;
    uint32_t cnt = 77;
    const uint64_t soon = shmq_deadline(T_PATIENCE);

    T_RC(shmq_producer_publish(a->producer, "x", 1, NULL), SHMQ_ERR_CORRUPT);
    T_SAYS("short");
    T_RC(shmq_producer_publish_wait(a->producer, "x", 1, soon, NULL),
        SHMQ_ERR_CORRUPT);
    T_RC(shmq_producer_publish_batch(a->producer, &rec, 1, NULL),
        SHMQ_ERR_CORRUPT);
    T_RC(shmq_producer_publish_batch_wait(a->producer, &rec, 1, soon, NULL),
        SHMQ_ERR_CORRUPT);
    T_RC(shmq_producer_loan(a->producer, 10, NULL, 0, &loan), SHMQ_ERR_CORRUPT);
    memset(a->loan.data, 1, a->loan.size); /* a loan stays memory */
    T_RC(shmq_producer_commit(a->producer, &a->loan, a->loan.size, NULL),
        SHMQ_ERR_CORRUPT);
    T_RC(shmq_topic_stat(a->topic, &st), SHMQ_ERR_CORRUPT);
    T_RC(shmq_topic_groups(a->topic, NULL, 0, &cnt), SHMQ_ERR_CORRUPT);
    T_RC(shmq_topic_endpoints(a->topic, NULL, 0, &cnt), SHMQ_ERR_CORRUPT);
    T_EQ(cnt, 77);
    T_RC(shmq_topic_attrs(a->topic, &attrs), SHMQ_ERR_CORRUPT);
    T_RC(shmq_topic_check(a->topic), SHMQ_ERR_CORRUPT);
    T_RC(shmq_group_create(a->topic, "g", NULL, NULL), SHMQ_ERR_CORRUPT);
    T_RC(shmq_group_remove(a->topic, "g", 0), SHMQ_ERR_CORRUPT);
    T_RC(shmq_group_reset(a->topic, "views", &from, 0), SHMQ_ERR_CORRUPT);
    T_RC(shmq_group_evict(a->topic, 1, 0), SHMQ_ERR_CORRUPT);
    T_RC(shmq_producer_open(a->topic, NULL, &producer), SHMQ_ERR_CORRUPT);
    T_RC(shmq_consumer_open(a->topic, NULL, &consumer), SHMQ_ERR_CORRUPT);
    T_RC(shmq_consumer_seek(a->unnamed, &from), SHMQ_ERR_CORRUPT);
    T_RC(shmq_consumer_release(a->viewer, &a->view), SHMQ_ERR_CORRUPT);
    all_reads_fail(a->viewer);
    all_reads_fail(a->copier);
    all_reads_fail(a->member);
    all_reads_fail(a->unnamed);
    T_TRUE(producer == NULL && consumer == NULL);
}

static void close_all(struct all *a)
{
    shmq_consumer_close(a->viewer);
    shmq_consumer_close(a->copier);
    shmq_consumer_close(a->member);
    shmq_consumer_close(a->unnamed);
    shmq_producer_close(a->producer);
    shmq_topic_close(a->topic);
}

/* Until something needs a page that is gone. */
static bool work_until_corrupt(struct all *a)
{
    static uint8_t big[20000];
    struct shmq_message msg;
    struct shmq_topic_stat st = {.struct_bytes = sizeof st};
    volatile uint64_t sum = 0;

    for (uint32_t i = 0; i < 200; i++) {
        for (uint64_t k = 0; k < a->view.size; k++)
            sum += ((const volatile uint8_t *)a->view.data)[k];
        memset(a->loan.data, 1, a->loan.size);
        if (shmq_producer_publish(a->producer, big, sizeof big, NULL) ==
                SHMQ_ERR_CORRUPT ||
            shmq_consumer_receive(a->copier, &msg) == SHMQ_ERR_CORRUPT ||
            shmq_consumer_receive(a->unnamed, &msg) == SHMQ_ERR_CORRUPT ||
            shmq_topic_stat(a->topic, &st) == SHMQ_ERR_CORRUPT ||
            shmq_group_create(a->topic, "g", NULL, NULL) == SHMQ_ERR_CORRUPT)
            return true;
    }
    (void)sum;
    return false;
}

static void cut_case(bool spsc, char kind, uint32_t part)
{
    struct all a, other;
    struct stat st;
    struct shmq_topic *again = NULL;

    open_all(&a, "victim", spsc);
    open_all(&other, "other", spsc);
    T_EQ(shmq_producer_abort(other.producer, &other.loan), 0);
    T_EQ(stat(t_path(kind, "victim"), &st), 0);
    cut(kind, "victim", part == 0 ? 0 : part == 1 ? 4096 : st.st_size / 2);
    T_TRUE(work_until_corrupt(&a));
    all_calls_fail(&a);
    int rc = shmq_topic_open(t_ns, "victim", &again);
    T_TRUE(rc == SHMQ_ERR_CORRUPT || rc == SHMQ_ERR_LAYOUT);
    close_all(&a);
    T_RC(shmq_topic_open(t_ns, "victim", &again), SHMQ_ERR_LAYOUT);
    T_TRUE(again == NULL);
    t_publish_run(other.producer, 20, 20);
    for (uint64_t i = 0; i < 40; i++) {
        t_take(other.unnamed, i, 16);
        t_take(other.copier, i, 16);
    }
    T_CARRIES(&other.view, 0, 16);
    close_all(&other);
    T_RC(shmq_topic_unlink(t_ns, "victim", 0), SHMQ_ERR_LAYOUT);
    T_OK(shmq_topic_unlink(t_ns, "victim", SHMQ_UNLINK_FORCE));
    T_OK(shmq_topic_unlink(t_ns, "other", 0));
}

TEST(a_cut_file_gives_corrupt_and_spares_other_topics)
{
    for (uint32_t i = 0; i < 12; i++)
        cut_case(i & 1, i & 2 ? 'c' : 'd', i / 4);
}

TEST(a_broken_topic_can_be_removed_by_force_while_it_is_open)
{
    struct all a;

    open_all(&a, "t", false);
    cut('d', "t", 4096);
    T_TRUE(work_until_corrupt(&a));
    T_RC(shmq_topic_unlink(t_ns, "t", 0), SHMQ_ERR_CORRUPT);
    T_OK(shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE));
    close_all(&a);
    open_all(&a, "t", false); /* the name is free for a new one */
    t_take(a.unnamed, 0, 16);
    close_all(&a);
}

/* -- whose SIGBUS ------------------------------------------------------------
 */

static sigjmp_buf escape;
static volatile sig_atomic_t foreign_cnt;

static void foreign(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    foreign_cnt++;
    if (info->si_code > 0)
        siglongjmp(escape, 1);
}

static struct sigaction set_foreign(void)
{
    struct sigaction mine, was;

    memset(&mine, 0, sizeof mine);
    mine.sa_sigaction = foreign;
    mine.sa_flags = SA_SIGINFO;
    T_EQ(sigaction(SIGBUS, &mine, &was), 0);
    foreign_cnt = 0;
    return was;
}

/* A mapping that is none of the library's, of a file without pages. */
static volatile char *foreign_memory(void)
{
    int fd = memfd_create("empty", MFD_CLOEXEC);
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    T_TRUE(fd >= 0 && at != MAP_FAILED);
    (void)close(fd);
    return at;
}

static bool fault_escapes(volatile char *at)
{
    if (sigsetjmp(escape, 1) != 0)
        return true;
    *at = 1;
    return false;
}

TEST(other_faults_go_to_the_handler_that_was_there)
{
    struct all a;
    volatile char *at = foreign_memory();
    struct sigaction was = set_foreign(), now;

    open_all(&a, "t", true);
    for (int i = 1; i <= 3; i++) {
        T_TRUE(fault_escapes(at));
        T_EQ(foreign_cnt, i);
    }
    T_EQ(raise(SIGBUS), 0); /* sent, not a fault */
    T_EQ(foreign_cnt, 4);
    cut('d', "t", 0);
    T_TRUE(work_until_corrupt(&a));
    T_EQ(foreign_cnt, 4);
    T_TRUE(fault_escapes(at));
    close_all(&a);
    T_EQ(sigaction(SIGBUS, NULL, &now), 0);
    T_TRUE(now.sa_sigaction == foreign); /* as it was found */
    T_EQ(sigaction(SIGBUS, &was, NULL), 0);
    T_OK(shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE));
}

/* Two handlers that have each other underneath would never end. */
TEST(a_handler_put_on_top_is_not_covered_again)
{
    struct all a;
    struct sigaction mine, ours, now;
    volatile char *at = foreign_memory();

    open_all(&a, "t", true);
    ours = set_foreign();
    T_TRUE(ours.sa_flags & SA_SIGINFO);
    close_all(&a);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
    T_EQ(sigaction(SIGBUS, NULL, &mine), 0);
    T_TRUE(mine.sa_sigaction == foreign);
    open_all(&a, "t", true);
    T_EQ(sigaction(SIGBUS, NULL, &now), 0);
    T_TRUE(now.sa_sigaction == foreign);
    T_TRUE(fault_escapes(at));
    T_EQ(sigaction(SIGBUS, &ours, NULL), 0); /* it goes away again */
    cut('d', "t", 0);
    T_TRUE(work_until_corrupt(&a));
    close_all(&a);
    T_OK(shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE));
}

static int end_by(void *ctx)
{
    int how = *(int *)ctx;
    struct sigaction ign;

    memset(&ign, 0, sizeof ign);
    ign.sa_handler = how >= 2 ? SIG_IGN : SIG_DFL;
    T_EQ(sigaction(SIGBUS, &ign, NULL), 0);
    (void)t_topic("t", NULL);
    if (how & 1)
        T_EQ(raise(SIGBUS), 0);
    else
        *foreign_memory() = 1;
    return 0;
}

TEST(without_another_handler_the_effect_is_the_default)
{
    for (int how = 0; how < 4; how++) {
        struct t_proc proc;
        t_spawn(&proc, end_by, &how);
        int status = t_bury(&proc);
        if (how == 3) /* sent while ignored */
            T_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        else
            T_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
        T_OK(shmq_topic_unlink(t_ns, "t", 0));
    }
}

static void own_handler(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    foreign_cnt++;
    errno = 0;
    if (info->si_code <= 0 || !shmq_sigbus_contain(info->si_addr))
        _exit(99);
    if (errno != 0)
        _exit(98);
}

TEST(an_application_may_own_the_signal)
{
    struct all a;
    struct sigaction mine, was, now;

    memset(&mine, 0, sizeof mine);
    mine.sa_sigaction = own_handler;
    mine.sa_flags = SA_SIGINFO;
    T_EQ(sigaction(SIGBUS, &mine, &was), 0);
    foreign_cnt = 0;
    T_RC(shmq_sigbus_set(3), SHMQ_ERR_INVAL);
    T_OK(shmq_sigbus_set(SHMQ_SIGBUS_LEAVE));
    open_all(&a, "t", false);
    T_RC(shmq_sigbus_set(SHMQ_SIGBUS_CONTAIN), SHMQ_ERR_BUSY);
    T_EQ(sigaction(SIGBUS, NULL, &now), 0);
    T_TRUE(now.sa_sigaction == own_handler);
    T_EQ(shmq_sigbus_contain(&a), 0);
    cut('d', "t", 0);
    T_TRUE(work_until_corrupt(&a));
    T_EQ(foreign_cnt, 1); /* once for the whole file */
    all_calls_fail(&a);
    close_all(&a);
    T_OK(shmq_sigbus_set(SHMQ_SIGBUS_CONTAIN));
    T_EQ(sigaction(SIGBUS, &was, NULL), 0);
    T_OK(shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE));
}

/* -- threads, fork, copies of the library ------------------------------------
 */

static _Atomic uint32_t at_work; /* threads that have opened their handles */

static void *work_in_a_thread(void *ctx)
{
    struct all *a = ctx;
    sigset_t all;
    struct shmq_producer *producer = NULL;
    struct shmq_topic *topic = t_open("other");

    /* Blocked everywhere, as programs do for their workers. */
    (void)sigfillset(&all);
    T_EQ(pthread_sigmask(SIG_BLOCK, &all, NULL), 0);
    T_OK(shmq_producer_open(topic, NULL, &producer));
    at_work++;
    for (;;) {
        int rc = shmq_producer_publish(producer, "x", 1, NULL);
        if (rc == SHMQ_ERR_CORRUPT)
            break;
        T_TRUE(rc == SHMQ_OK || rc == SHMQ_ERR_FULL);
    }
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    return a;
}

TEST(threads_that_block_signals_are_safe_once_they_opened_a_handle)
{
    struct all a;
    pthread_t threads[4];

    max_producers = 5;
    at_work = 0;
    open_all(&a, "other", false);
    for (int i = 0; i < 4; i++)
        T_EQ(pthread_create(&threads[i], NULL, work_in_a_thread, &a), 0);
    while (at_work < 4)
        t_pause();
    t_sleep_ns(20 * T_MS);
    cut('d', "other", 4096);
    for (int i = 0; i < 4; i++)
        T_EQ(pthread_join(threads[i], NULL), 0);
    max_producers = 1;
    all_calls_fail(&a);
    close_all(&a);
    T_OK(shmq_topic_unlink(t_ns, "other", SHMQ_UNLINK_FORCE));
}

static int touch_inherited(void *ctx)
{
    struct all *a = ctx;
    struct shmq_message msg;

    cut('d', "t", 0);
    T_EQ(*(const volatile uint8_t *)a->view.data, 0);
    T_RC(shmq_consumer_receive(a->viewer, &msg), SHMQ_ERR_FORKED);
    return 0;
}

TEST(a_fork_child_may_look_at_inherited_views)
{
    struct all a;
    struct t_proc proc;

    open_all(&a, "t", true);
    t_spawn(&proc, touch_inherited, &a);
    t_join(&proc);
    T_TRUE(work_until_corrupt(&a));
    close_all(&a);
    T_OK(shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE));
}

typedef int open_fn(const char *, const char *, struct shmq_topic **);
typedef void close_fn(struct shmq_topic *);
typedef int stat_fn(struct shmq_topic *, struct shmq_topic_stat *);

/* A second copy of the library, as a plugin may bring it along. */
static int with_second_copy(void *ctx)
{
    char path[512];
    struct all a;
    struct shmq_topic *second = NULL;
    struct shmq_topic_stat st = {.struct_bytes = sizeof st};
    bool first_on_top = *(bool *)ctx;

    (void)snprintf(path, sizeof path, "%s/libshmq.so", getenv("SHMQ_LIB_DIR"));
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (lib == NULL)
        return 77;
    open_fn *open_it;
    close_fn *close_it;
    stat_fn *stat_it;
    *(void **)&open_it = dlsym(lib, "shmq_topic_open");
    *(void **)&close_it = dlsym(lib, "shmq_topic_close");
    *(void **)&stat_it = dlsym(lib, "shmq_topic_stat");
    T_TRUE(open_it != NULL && open_it != shmq_topic_open);
    T_OK(shmq_topic_create(t_ns, "second", NULL));
    if (first_on_top)
        T_EQ(open_it(t_ns, "second", &second), 0);
    open_all(&a, "first", false);
    if (!first_on_top)
        T_EQ(open_it(t_ns, "second", &second), 0);
    cut('d', "first", 0);
    cut('d', "second", 0);
    T_TRUE(work_until_corrupt(&a));
    T_EQ(stat_it(second, &st), SHMQ_ERR_CORRUPT);
    close_it(second);
    all_calls_fail(&a);
    close_all(&a);
    T_EQ(dlclose(lib), 0);
    open_all(&a, "third", true);
    cut('c', "third", 0);
    T_TRUE(work_until_corrupt(&a));
    close_all(&a);
    return 0;
}

TEST(two_copies_of_the_library_contain_their_own_faults)
{
    for (int i = 0; i < 2; i++) {
        struct t_proc proc;
        bool first_on_top = i == 1;
        if (getenv("SHMQ_LIB_DIR") == NULL)
            T_SKIP("SHMQ_LIB_DIR is not set");
        t_spawn(&proc, with_second_copy, &first_on_top);
        int status = t_bury(&proc);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
            T_SKIP("the shared library cannot be loaded here");
        T_EQ(status, 0);
        (void)shmq_topic_unlink(t_ns, "first", SHMQ_UNLINK_FORCE);
        (void)shmq_topic_unlink(t_ns, "second", SHMQ_UNLINK_FORCE);
        (void)shmq_topic_unlink(t_ns, "third", SHMQ_UNLINK_FORCE);
    }
}

/* Memory is reserved without making a file longer: a cut one would look whole
 * again, and be all zeros. */
TEST(a_cut_file_does_not_grow_again)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 65536);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_producer *producer = NULL;
    struct stat st;
    int fd = open(t_path('d', "t"), O_RDWR);

    T_TRUE(fd >= 0 && ftruncate(fd, 4096) == 0);
    (void)shmq_producer_open(topic, NULL, &producer);
    T_EQ(fstat(fd, &st), 0);
    T_EQ(st.st_size, 4096);
    (void)close(fd);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

static const struct CMUnitTest tests[] = {
    T(a_cut_file_does_not_grow_again),
    T(a_cut_file_gives_corrupt_and_spares_other_topics),
    T(a_broken_topic_can_be_removed_by_force_while_it_is_open),
    T(other_faults_go_to_the_handler_that_was_there),
    T(a_handler_put_on_top_is_not_covered_again),
    T(without_another_handler_the_effect_is_the_default),
    T(an_application_may_own_the_signal),
    T(threads_that_block_signals_are_safe_once_they_opened_a_handle),
    T(a_fork_child_may_look_at_inherited_views),
    T(two_copies_of_the_library_contain_their_own_faults),
};
T_MAIN(tests)
