/* test_window.c - a slow member of a large ring, and topics whose sleepers pay
 * for the fence. */
#include "support/unit.h"

#include "support/proc.h"

#define SLOTS 16384u

/* A member that keeps the first frame lets the others go on for a window of
 * frames; whatever its size, nothing is lost or delivered twice. */
TEST(a_member_that_keeps_a_frame_holds_others_up_late_and_loses_nothing)
{
    struct shmq_topic_attrs attrs = t_mpmc(SLOTS, 1 << 22);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *slow = t_shared(topic, "s");
    struct shmq_consumer *fast = t_shared(topic, "s");
    struct shmq_message first;
    struct shmq_message msg;
    uint64_t next = 1;
    int rc;

    t_publish_run(producer, 0, SLOTS);
    T_RC(shmq_producer_publish(producer, "x", 1, NULL), SHMQ_ERR_FULL);
    T_OK(shmq_consumer_receive(slow, &first));
    T_CARRIES(&first, 0, 16);
    while ((rc = shmq_consumer_receive(fast, &msg)) == 0) {
        T_CARRIES(&msg, next++, 16);
        T_OK(shmq_consumer_release(fast, &msg));
    }
    T_RC(rc, SHMQ_ERR_EMPTY);
    T_TRUE(next > 1000);
    T_RC(shmq_consumer_drained(fast), 0);
    T_CARRIES(&first, 0, 16);
    T_OK(shmq_consumer_release(slow, &first));
    while (next < SLOTS) {
        struct shmq_consumer *c = next % 2 ? slow : fast;
        t_take(c, next++, 16);
    }
    T_RC(shmq_consumer_drained(slow), 1);
    t_publish_run(producer, 0, SLOTS);
    t_take_run(fast, 0, SLOTS);
    shmq_consumer_close(slow);
    shmq_consumer_close(fast);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

static int echo(void *ctx)
{
    struct shmq_topic *topic = t_open("t");
    struct shmq_consumer_options options =
        t_options("inside", SHMQ_GROUP_EXCLUSIVE);
    struct shmq_consumer *c;
    struct shmq_message msg;

    (void)ctx;
    options.spin_ns = 1;
    c = t_consumer(topic, &options);
    t_tell(1);
    for (uint64_t i = 0; i < 300; i++) {
        T_OK(shmq_consumer_receive_wait(c, shmq_deadline(T_PATIENCE), &msg));
        T_CARRIES(&msg, i, 16);
        T_OK(shmq_consumer_release(c, &msg));
        t_tell(i);
    }
    shmq_consumer_close(c);
    shmq_topic_close(topic);
    return 0;
}

static void exchange(struct shmq_topic_attrs attrs)
{
    struct shmq_topic *topic;
    struct shmq_topic_attrs got = t_attrs();
    struct shmq_producer *producer;
    struct t_proc proc;

    attrs.flags = SHMQ_TOPIC_ASYMMETRIC;
    topic = t_topic("t", &attrs);
    T_OK(shmq_topic_attrs(topic, &got));
    T_EQ(got.flags, SHMQ_TOPIC_ASYMMETRIC);
    if (shmq_producer_open(topic, NULL, &producer) == SHMQ_ERR_SYS)
        T_SKIP("this kernel has no expedited membarrier");
    t_spawn(&proc, echo, NULL);
    (void)t_recv(&proc);
    for (uint64_t i = 0; i < 300; i++) {
        t_publish_run(producer, i, 1);
        T_EQ(t_recv(&proc), i);
    }
    t_join(&proc);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
}

TEST(asymmetric_topics_wake_their_sleepers)
{
    exchange(t_spsc(16384));
    exchange(t_mpmc(16, 16384));
}

static const struct CMUnitTest tests[] = {
    T(a_member_that_keeps_a_frame_holds_others_up_late_and_loses_nothing),
    T(asymmetric_topics_wake_their_sleepers),
};
T_MAIN(tests)
