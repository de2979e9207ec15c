/* test_consumer_poll.c - handlers, and the descriptor for poll and epoll. */
#include "support/unit.h"

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>

#include "support/proc.h"

struct rig {
    struct shmq_topic *topic;
    struct shmq_producer *producer;
};

static struct rig rig_open(uint64_t slots, uint32_t on_full)
{
    struct shmq_topic_attrs attrs = t_mpmc(slots, 65536);
    struct rig rig;

    attrs.on_full = on_full;
    rig.topic = t_topic("t", &attrs);
    rig.producer = t_producer(rig.topic);
    return rig;
}

static void rig_close(struct rig *rig)
{
    shmq_producer_close(rig->producer);
    shmq_topic_close(rig->topic);
}

struct handled {
    uint64_t tags[100];
    uint32_t cnt;
    uint32_t special; /* the call that returns `result` */
    int result;
};

static int handle(void *ctx, const struct shmq_message *msg)
{
    struct handled *h = ctx;

    T_CARRIES(msg, t_tag(msg), 16);
    T_TRUE(h->cnt < 100);
    h->tags[h->cnt++] = t_tag(msg);
    return h->cnt == h->special ? h->result : SHMQ_HANDLED_ACK;
}

static void poll_results(struct rig *rig, struct shmq_consumer *c)
{
    struct handled h;

    memset(&h, 0, sizeof(h));
    T_RC(shmq_consumer_poll(c, handle, &h, 0), 0);
    T_RC(shmq_consumer_poll(c, handle, &h, 5), 0);
    T_EQ(h.cnt, 0);
    t_publish_run(rig->producer, 0, 4);
    (void)t_publish_frame(rig->producer, 4, 6);
    T_RC(shmq_consumer_poll(c, handle, &h, 3), 3);
    T_EQ(h.cnt, 3);
    T_RC(shmq_consumer_poll(c, handle, &h, 0), 7);
    T_EQ(h.cnt, 10);
    for (uint32_t i = 0; i < 10; i++)
        T_EQ(h.tags[i], i);
    memset(&h, 0, sizeof(h));
    h.special = 3;
    h.result = SHMQ_HANDLED_STOP;
    t_publish_run(rig->producer, 0, 5);
    T_RC(shmq_consumer_poll(c, handle, &h, 0), 3);
    t_take_run(c, 3, 2);
    T_RC(shmq_consumer_drained(c), 1);
    memset(&h, 0, sizeof(h));
    h.special = 3;
    h.result = -1000;
    t_publish_run(rig->producer, 0, 5);
    T_RC(shmq_consumer_poll(c, handle, &h, 0), -1000);
    T_EQ(h.cnt, 3);
    memset(&h, 0, sizeof(h));
    h.special = 1;
    h.result = -1000;
    T_RC(shmq_consumer_poll(c, handle, &h, 0), -1000);
    T_EQ(h.tags[0], 2);
    t_take_run(c, 2, 3);
    t_expect_empty(c);
}

TEST(a_handler_acknowledges_stops_and_gives_back)
{
    struct rig rig = rig_open(64, SHMQ_ON_FULL_BLOCK);
    struct shmq_consumer *c = t_exclusive(rig.topic, "x");

    poll_results(&rig, c);
    T_OK(shmq_group_remove(rig.topic, "x", SHMQ_GROUP_FORCE));
    shmq_consumer_close(c);
    T_OK(shmq_group_create(
        rig.topic, "s", NULL, &(struct shmq_start){SHMQ_START_LATEST, 0, 0}));
    c = t_shared(rig.topic, "s");
    poll_results(&rig, c);
    shmq_consumer_close(c);
    rig_close(&rig);
}

TEST(a_handler_that_nacks_gets_the_record_again)
{
    struct rig rig = rig_open(64, SHMQ_ON_FULL_BLOCK);
    struct shmq_consumer *c = t_shared(rig.topic, "s");
    struct handled h;
    uint32_t seen[3] = {0, 0, 0};

    memset(&h, 0, sizeof(h));
    h.special = 2;
    h.result = SHMQ_HANDLED_NACK;
    t_publish_run(rig.producer, 0, 3);
    while (shmq_consumer_poll(c, handle, &h, 0) > 0)
        ;
    T_EQ(h.cnt, 4);
    for (uint32_t i = 0; i < 4; i++)
        seen[h.tags[i]]++;
    T_TRUE(seen[0] == 1 && seen[1] == 2 && seen[2] == 1);
    T_RC(shmq_consumer_drained(c), 1);
    shmq_consumer_close(c);
    rig_close(&rig);
}

TEST(poll_reports_gaps)
{
    struct rig rig = rig_open(8, SHMQ_ON_FULL_DROP_OLD);
    struct shmq_consumer *c = t_exclusive(rig.topic, "x");
    struct shmq_gap gap;
    struct handled h;

    memset(&h, 0, sizeof(h));
    t_publish_run(rig.producer, 0, 50);
    T_RC(shmq_consumer_poll(c, handle, &h, 0), SHMQ_ERR_GAP);
    T_EQ(h.cnt, 0);
    T_OK(shmq_consumer_gap(c, &gap));
    T_RC(shmq_consumer_poll(c, handle, &h, 0), (int)(50 - gap.frames));
    T_EQ(h.tags[0], gap.frames);
    shmq_consumer_close(c);
    rig_close(&rig);
}

TEST(poll_wait_ends_at_its_deadline)
{
    struct rig rig = rig_open(8, SHMQ_ON_FULL_BLOCK);
    struct shmq_consumer *c = t_exclusive(rig.topic, "x");
    struct handled h;
    uint64_t begin_ns = t_now_ns();

    memset(&h, 0, sizeof(h));
    T_RC(shmq_consumer_poll_wait(c, handle, &h, 0, shmq_deadline(30 * T_MS)),
        SHMQ_ERR_TIMEOUT);
    T_TRUE(t_now_ns() - begin_ns >= 30 * T_MS);
    t_publish_run(rig.producer, 0, 3);
    T_RC(shmq_consumer_poll_wait(c, handle, &h, 2, SHMQ_FOREVER), 2);
    T_RC(shmq_consumer_poll_wait(c, handle, &h, 0, SHMQ_FOREVER), 1);
    T_EQ(h.cnt, 3);
    T_RC(shmq_consumer_poll(c, NULL, NULL, 0), SHMQ_ERR_INVAL);
    shmq_consumer_close(c);
    rig_close(&rig);
}

static int publish_on_demand(void *ctx)
{
    struct shmq_producer *producer = t_producer(t_open("t"));
    uint64_t tag;

    (void)ctx;
    t_tell(1);
    while ((tag = t_hear()) != UINT64_MAX)
        (void)t_publish(producer, tag, 16);
    shmq_producer_close(producer);
    return 0;
}

/* Reads everything; true when a record with `tag` was among it. */
static bool drained_up_to(struct shmq_consumer *c, uint64_t tag)
{
    struct shmq_message msg;
    bool found = false;
    int rc;

    while ((rc = shmq_consumer_receive(c, &msg)) == 0) {
        found = found || t_tag(&msg) == tag;
        T_OK(shmq_consumer_release(c, &msg));
    }
    T_RC(rc, SHMQ_ERR_EMPTY);
    return found;
}

static void wait_by_poll(struct shmq_consumer *c, int fd, uint64_t tag)
{
    uint64_t end_ns = t_now_ns() + T_PATIENCE;

    while (!drained_up_to(c, tag)) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        T_TRUE(t_now_ns() < end_ns);
        T_TRUE(poll(&wait, 1, 10000) == 1);
        T_EQ(wait.revents, POLLIN);
    }
}

static void wait_by_epoll(struct shmq_consumer *c, int fd, uint64_t tag)
{
    struct epoll_event event = {.events = EPOLLIN};
    uint64_t end_ns = t_now_ns() + T_PATIENCE;
    int ep = epoll_create1(EPOLL_CLOEXEC);

    T_TRUE(ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) == 0);
    while (!drained_up_to(c, tag)) {
        T_TRUE(t_now_ns() < end_ns);
        T_TRUE(epoll_wait(ep, &event, 1, 10000) == 1);
    }
    (void)close(ep);
}

static void descriptor_becomes_ready(struct shmq_consumer *c)
{
    struct t_proc proc;
    int fd = -1;
    int again = -1;

    t_spawn(&proc, publish_on_demand, NULL);
    (void)t_recv(&proc);
    T_OK(shmq_consumer_fd(c, &fd));
    T_OK(shmq_consumer_fd(c, &again));
    T_TRUE(fd >= 0 && fd == again);
    for (uint64_t tag = 0; tag < 200; tag++) {
        t_send(&proc, tag);
        if (tag % 2)
            wait_by_poll(c, fd, tag);
        else
            wait_by_epoll(c, fd, tag);
    }
    t_send(&proc, UINT64_MAX);
    t_join(&proc);
}

TEST(the_descriptor_becomes_ready_when_records_arrive)
{
    struct rig rig = rig_open(64, SHMQ_ON_FULL_BLOCK);
    struct shmq_consumer *c = t_exclusive(rig.topic, "x");

    descriptor_becomes_ready(c);
    shmq_consumer_close(c);
    T_OK(shmq_group_remove(rig.topic, "x", 0));
    c = t_shared(rig.topic, "s");
    T_TRUE(!drained_up_to(c, 1000));
    descriptor_becomes_ready(c);
    shmq_consumer_close(c);
    T_OK(shmq_group_remove(rig.topic, "s", 0));
    c = t_ephemeral(rig.topic, SHMQ_START_LATEST);
    descriptor_becomes_ready(c);
    shmq_consumer_close(c);
    rig_close(&rig);
}

TEST(the_descriptor_is_ready_at_least_every_forty_milliseconds)
{
    struct rig rig = rig_open(64, SHMQ_ON_FULL_BLOCK);
    struct shmq_consumer *c = t_shared(rig.topic, "s");
    int fd = -1;

    T_OK(shmq_consumer_fd(c, &fd));
    for (uint32_t i = 0; i < 5; i++) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        t_expect_empty(c);
        T_TRUE(poll(&wait, 1, 10000) == 1);
    }
    shmq_consumer_close(c);
    rig_close(&rig);
}

static const struct CMUnitTest tests[] = {
    T(a_handler_acknowledges_stops_and_gives_back),
    T(a_handler_that_nacks_gets_the_record_again),
    T(poll_reports_gaps),
    T(poll_wait_ends_at_its_deadline),
    T(the_descriptor_becomes_ready_when_records_arrive),
    T(the_descriptor_is_ready_at_least_every_forty_milliseconds),
};
T_MAIN(tests)
