/* test_evict.c - members stopped for ever: leases and evictions end it. */
#include "support/unit.h"

#include <sys/wait.h>

#include "support/proc.h"

static struct shmq_topic *small_topic(void)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 65536);

    return t_topic("t", &attrs);
}

struct member {
    const char *group;
    uint32_t kind;
    uint32_t flags;
    uint64_t lease_ns;
};

/* Receives one record, tells its endpoint id, is stopped there; afterwards
 * tells the results of its late calls. */
static int late_member(void *ctx)
{
    const struct member *member = ctx;
    struct shmq_consumer_options options =
        t_options(member->group, member->kind);
    struct shmq_consumer *c;
    struct shmq_message msg;
    struct shmq_message next;

    options.flags = member->flags;
    options.attrs.lease_ns = member->lease_ns;
    c = t_consumer(t_open("t"), &options);
    T_OK(shmq_consumer_receive(c, &msg));
    T_CARRIES(&msg, 0, 16);
    t_tell(shmq_consumer_endpoint(c));
    (void)t_hear();
    T_CARRIES(&msg, 0, 16);
    t_tell((uint64_t)shmq_consumer_ack(c, &msg));
    t_tell((uint64_t)shmq_consumer_release(c, &msg));
    t_tell((uint64_t)shmq_consumer_receive(c, &next));
    shmq_consumer_close(c);
    return 0;
}

static const uint64_t stale = (uint64_t)SHMQ_ERR_STALE;

TEST(claims_of_a_stopped_member_return_when_its_lease_ends)
{
    const struct member member = {"s", SHMQ_GROUP_SHARED, 0, 1000 * T_MS};
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer_options options = t_options("s", SHMQ_GROUP_SHARED);
    struct shmq_consumer *c;
    struct shmq_message msg;
    struct t_proc proc;
    uint64_t begin_ns;

    options.attrs.lease_ns = 1000 * T_MS;
    c = t_consumer(topic, &options);
    t_publish_run(producer, 0, 1);
    t_spawn(&proc, late_member, (void *)(uintptr_t)&member);
    begin_ns = t_now_ns();
    (void)t_recv(&proc);
    t_stop(&proc);
    T_OK(shmq_consumer_receive_wait(c, shmq_deadline(T_PATIENCE), &msg));
    T_TRUE(t_now_ns() - begin_ns >= 1000 * T_MS);
    T_CARRIES(&msg, 0, 16);
    T_EQ(msg.attempt, 1);
    T_TRUE(msg.flags & SHMQ_MESSAGE_REDELIVERED);
    T_OK(shmq_consumer_release(c, &msg));
    t_publish_run(producer, 1, 16);
    t_cont(&proc);
    t_send(&proc, 1);
    T_EQ(t_recv(&proc), stale);
    T_EQ(t_recv(&proc), stale);
    (void)t_recv(&proc);
    t_join(&proc);
    t_take_run(c, 1, 16);
    t_expect_empty(c);
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(an_unknown_endpoint_cannot_be_evicted)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_consumer *c = t_shared(topic, "s");
    uint32_t id = shmq_consumer_endpoint(c);

    T_RC(shmq_group_evict(topic, id + 1, 0), SHMQ_ERR_NOENT);
    T_RC(shmq_group_evict(topic, UINT32_MAX, 0), SHMQ_ERR_NOENT);
    T_RC(shmq_group_evict(topic, id, 1u << 20), SHMQ_ERR_INVAL);
    shmq_consumer_close(c);
    T_RC(shmq_group_evict(topic, id, 0), SHMQ_ERR_NOENT);
    shmq_topic_close(topic);
}

/* Evicts a stopped member that works on copies. */
static void evict_copying(const struct member *member, uint32_t attempt)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer_options options =
        t_options(member->group, member->kind);
    struct shmq_consumer *c;
    struct shmq_message msg;
    struct t_proc proc;
    uint32_t id;

    T_OK(shmq_group_create(topic, member->group, &options.attrs, NULL));
    t_publish_run(producer, 0, 16);
    t_spawn(&proc, late_member, (void *)(uintptr_t)member);
    id = (uint32_t)t_recv(&proc);
    t_stop(&proc);
    T_RC(shmq_producer_publish_wait(
             producer, "x", 1, shmq_deadline(5 * T_MS), NULL),
        SHMQ_ERR_TIMEOUT);
    T_SAYS(member->group);
    T_SAYS("stopped");
    T_OK(shmq_group_evict(topic, id, 0));
    c = t_consumer(topic, &options);
    T_OK(shmq_consumer_receive(c, &msg));
    T_CARRIES(&msg, 0, 16);
    T_TRUE(msg.flags & SHMQ_MESSAGE_REDELIVERED);
    T_EQ(msg.attempt, attempt);
    T_OK(shmq_consumer_release(c, &msg));
    t_take_run(c, 1, 15);
    t_expect_empty(c);
    t_publish_run(producer, 16, 16);
    t_cont(&proc);
    t_send(&proc, 1);
    T_EQ(t_recv(&proc), stale);
    T_EQ(t_recv(&proc), stale);
    T_EQ(t_recv(&proc), stale);
    t_join(&proc);
    t_take_run(c, 16, 16);
    t_expect_empty(c);
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
}

TEST(evicting_a_stopped_member_moves_its_claims_and_roles)
{
    const struct member shared = {
        "s", SHMQ_GROUP_SHARED, SHMQ_CONSUMER_COPY, 0};
    const struct member alone = {
        "x", SHMQ_GROUP_EXCLUSIVE, SHMQ_CONSUMER_COPY, 0};

    T_NEED_PROC();
    evict_copying(&shared, 1);
    evict_copying(&alone, 1);
}

static void evict_viewing(const struct member *member)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer_options options =
        t_options(member->group, member->kind);
    struct shmq_consumer *c;
    struct shmq_message msg;
    struct t_proc proc;
    char pid[16];
    uint32_t id;
    int status;

    T_OK(shmq_group_create(topic, member->group, &options.attrs, NULL));
    t_publish_run(producer, 0, 16);
    t_spawn(&proc, late_member, (void *)(uintptr_t)member);
    id = (uint32_t)t_recv(&proc);
    t_stop(&proc);
    (void)snprintf(pid, sizeof(pid), "%d", (int)proc.pid);
    T_RC(shmq_group_evict(topic, id, 0), SHMQ_ERR_BUSY);
    T_SAYS(pid);
    T_RC(shmq_producer_publish(producer, "x", 1, NULL), SHMQ_ERR_FULL);
    T_OK(shmq_group_evict(topic, id, SHMQ_GROUP_KILL));
    status = t_bury(&proc);
    T_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    c = t_consumer(topic, &options);
    T_OK(shmq_consumer_receive(c, &msg));
    T_CARRIES(&msg, 0, 16);
    T_TRUE(msg.flags & SHMQ_MESSAGE_REDELIVERED);
    T_OK(shmq_consumer_release(c, &msg));
    t_take_run(c, 1, 15);
    t_expect_empty(c);
    t_publish_run(producer, 16, 16);
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
}

TEST(a_member_that_looks_at_the_ring_is_only_evicted_by_killing_it)
{
    const struct member shared = {"s", SHMQ_GROUP_SHARED, 0, 0};
    const struct member alone = {"x", SHMQ_GROUP_EXCLUSIVE, 0, 0};

    T_NEED_PROC();
    evict_viewing(&shared);
    evict_viewing(&alone);
}

TEST(an_evicted_handle_of_the_own_process_gets_stale)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer_options options = t_options("s", SHMQ_GROUP_SHARED);
    struct shmq_consumer *a;
    struct shmq_consumer *b;
    struct shmq_message msg;
    struct shmq_message none;

    options.flags = SHMQ_CONSUMER_COPY;
    a = t_consumer(topic, &options);
    b = t_consumer(topic, &options);
    t_publish_run(producer, 0, 2);
    T_OK(shmq_consumer_receive(a, &msg));
    T_OK(shmq_group_evict(topic, shmq_consumer_endpoint(a), 0));
    T_RC(shmq_consumer_receive(a, &none), SHMQ_ERR_STALE);
    T_RC(shmq_consumer_receive_wait(a, SHMQ_FOREVER, &none), SHMQ_ERR_STALE);
    T_RC(shmq_consumer_ack(a, &msg), SHMQ_ERR_STALE);
    T_RC(shmq_consumer_release(a, &msg), SHMQ_ERR_STALE);
    for (uint32_t i = 0; i < 2; i++) {
        T_OK(shmq_consumer_receive(b, &msg));
        T_EQ(msg.attempt, t_tag(&msg) == 0);
        T_OK(shmq_consumer_release(b, &msg));
    }
    T_RC(shmq_consumer_drained(b), 1);
    shmq_consumer_close(a);
    shmq_consumer_close(b);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

/* A removed group keeps what its members look at: that is said, not passed
 * over. */
TEST(a_member_that_looks_at_a_removed_group_is_not_evicted_silently)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c = t_shared(topic, "s");
    uint32_t id = shmq_consumer_endpoint(c);
    struct shmq_message msg;

    t_publish_run(producer, 0, 1);
    T_OK(shmq_consumer_receive(c, &msg));
    T_OK(shmq_group_remove(topic, "s", SHMQ_GROUP_FORCE));
    T_RC(shmq_group_evict(topic, id, 0), SHMQ_ERR_BUSY);
    T_CARRIES(&msg, 0, 16);
    (void)shmq_consumer_release(c, &msg);
    T_RC(shmq_consumer_receive(c, &msg), SHMQ_ERR_CLOSED);
    T_OK(shmq_group_evict(topic, id, 0));
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

static int stopped_producer(void *ctx)
{
    struct shmq_producer *producer = t_producer(t_open("t"));
    struct shmq_loan loan;

    (void)ctx;
    T_OK(shmq_producer_loan(producer, 100, NULL, 0, &loan));
    t_fill(loan.data, 100, 50);
    t_tell(1);
    (void)t_hear();
    T_OK(shmq_producer_commit(producer, &loan, 100, NULL));
    shmq_producer_close(producer);
    return 0;
}

TEST(a_stopped_producer_delays_nobody)
{
    struct shmq_topic *topic = small_topic();
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c = t_exclusive(topic, "x");
    struct t_proc proc;

    t_spawn(&proc, stopped_producer, NULL);
    (void)t_recv(&proc);
    t_stop(&proc);
    for (uint64_t i = 0; i < 500; i++) {
        t_publish_run(producer, i, 1);
        t_take_run(c, i, 1);
    }
    t_cont(&proc);
    t_send(&proc, 1);
    t_join(&proc);
    t_take(c, 50, 100);
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

static const struct CMUnitTest tests[] = {
    T(claims_of_a_stopped_member_return_when_its_lease_ends),
    T(an_unknown_endpoint_cannot_be_evicted),
    T(evicting_a_stopped_member_moves_its_claims_and_roles),
    T(a_member_that_looks_at_the_ring_is_only_evicted_by_killing_it),
    T(an_evicted_handle_of_the_own_process_gets_stale),
    T(a_member_that_looks_at_a_removed_group_is_not_evicted_silently),
    T(a_stopped_producer_delays_nobody),
};
T_MAIN(tests)
