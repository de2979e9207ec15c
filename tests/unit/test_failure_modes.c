/* test_failure_modes.c - rows of docs/failure-modes.md that no other test
 * shows: who dies or stops in the middle of what. */
#include "support/unit.h"

#include "support/proc.h"
#include "support/rig.h"

/* -- producers ---------------------------------------------------------------
 */

static int lend_and_die(void *ctx)
{
    struct shmq_producer *p = t_producer(t_open("t"));
    struct shmq_loan loans[3];

    (void)ctx;
    t_publish_run(p, 0, 1);
    for (uint32_t i = 0; i < 3; i++) {
        T_OK(shmq_producer_loan(p, 20000, NULL, 0, &loans[i]));
        t_fill(loans[i].data, 20000, 100 + i);
    }
    t_tell(1);
    t_wait_for_death();
}

TEST(loans_of_a_killed_producer_never_existed)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 65536);
    struct shmq_topic *topic;
    struct shmq_consumer *c;
    struct shmq_producer *p;
    struct t_proc proc;

    attrs.max_producers = 1; /* the next one gets the same memory */
    topic = t_topic("t", &attrs);
    c = t_exclusive(topic, "g");
    t_spawn(&proc, lend_and_die, NULL);
    (void)t_recv(&proc);
    t_kill(&proc);
    (void)t_bury(&proc);
    t_take_run(c, 0, 1);
    t_expect_empty(c);
    p = t_producer(topic);
    T_EQ(t_stat(topic).leaked_loan_bytes, 0);
    for (uint64_t i = 0; i < 20; i++) { /* all of it is usable */
        (void)t_publish(p, i, 30000);
        t_take(c, i, 30000);
    }
    shmq_producer_close(p);
    shmq_consumer_close(c);
    shmq_topic_close(topic);
}

static int wait_for_room(void *ctx)
{
    struct shmq_producer *p = t_producer(t_open("t"));

    (void)ctx;
    t_tell(1);
    T_OK(shmq_producer_publish_wait(p, "never", 5, SHMQ_FOREVER, NULL));
    t_tell(2);
    return 0;
}

TEST(a_producer_killed_while_it_waits_for_room_leaves_nothing)
{
    struct rig rig = rig_open(4, 65536);
    struct shmq_endpoint_stat point;
    struct t_proc proc;

    t_publish_run(rig.producer, 0, 4);
    t_spawn(&proc, wait_for_room, NULL);
    (void)t_recv(&proc);
    T_EVENTUALLY(t_endpoint_stat(rig.topic, (int32_t)proc.pid, &point) &&
        point.waiting == 2);
    t_kill(&proc);
    (void)t_bury(&proc);
    t_take_run(rig.consumer, 0, 4);
    t_expect_empty(rig.consumer);
    t_publish_run(rig.producer, 4, 4);
    t_take_run(rig.consumer, 4, 4);
    T_EQ(t_stat(rig.topic).total_messages, 8);
    rig_close(&rig);
}

/* -- readers -----------------------------------------------------------------
 */

static int look_on(void *ctx)
{
    struct shmq_consumer *c = t_ephemeral(t_open("t"), SHMQ_START_LATEST);
    struct shmq_message msg;
    struct shmq_gap gap;

    (void)ctx;
    t_tell(1);
    T_OK(shmq_consumer_receive_wait(c, shmq_deadline(T_PATIENCE), &msg));
    t_tell(2); /* stopped here, holding a record */
    (void)t_hear();
    T_EQ(t_tag(&msg), 0); /* its copy is as it was */
    T_OK(shmq_consumer_release(c, &msg));
    T_RC(shmq_consumer_receive(c, &msg), SHMQ_ERR_GAP);
    T_OK(shmq_consumer_gap(c, &gap));
    t_tell(gap.frames);
    T_OK(shmq_consumer_receive(c, &msg));
    t_tell(t_tag(&msg));
    shmq_consumer_close(c);
    return 0;
}

TEST(a_stopped_ephemeral_reader_holds_nobody_up_and_counts_its_gap)
{
    struct rig rig = rig_open(8, 65536);
    struct t_proc proc;

    t_spawn(&proc, look_on, NULL);
    (void)t_recv(&proc);
    t_publish_run(rig.producer, 0, 1);
    T_EQ(t_recv(&proc), 2);
    t_stop(&proc);
    t_take_run(rig.consumer, 0, 1);
    for (uint64_t i = 1; i < 500; i++) {
        t_publish_run(rig.producer, i, 1); /* never FULL */
        t_take_run(rig.consumer, i, 1);
    }
    t_cont(&proc);
    t_send(&proc, 1);
    uint64_t frames = t_recv(&proc);
    T_EQ(t_recv(&proc), frames + 1); /* exactly what it missed */
    T_TRUE(frames >= 490);
    t_join(&proc);
    rig_close(&rig);
}

/* -- calls -------------------------------------------------------------------
 */

static int call_and_stop(void *ctx)
{
    struct shmq_caller *c = NULL;
    struct shmq_record ask = {"q", 1, NULL, 0, 0};
    struct shmq_message reply;
    uint64_t id, got;

    (void)ctx;
    T_OK(shmq_caller_open(t_open("t"), NULL, &c));
    T_OK(shmq_caller_send(c, &ask, SHMQ_FOREVER, &id));
    t_tell(1);
    (void)t_hear();
    T_OK(shmq_caller_receive_wait(c, shmq_deadline(T_PATIENCE), &reply, &got));
    T_EQ(got, id);
    T_OK(shmq_caller_release(c, &reply));
    shmq_caller_close(c);
    return 0;
}

TEST(a_stopped_caller_delays_no_server_and_has_its_reply_when_it_goes_on)
{
    struct shmq_topic *topic = t_topic("t", NULL);
    struct shmq_server *s = NULL;
    struct shmq_record yes = {"yes", 3, NULL, 0, 0};
    struct shmq_caller *c = NULL;
    struct shmq_message msg;
    struct t_proc proc;
    uint32_t removed = 9;

    T_OK(shmq_server_open(topic, NULL, &s));
    t_spawn(&proc, call_and_stop, NULL);
    (void)t_recv(&proc);
    t_stop(&proc);
    T_OK(shmq_server_receive(s, &msg));
    uint64_t begin = t_now_ns();
    T_OK(shmq_server_reply(s, &msg, &yes));
    T_TRUE(t_now_ns() - begin < T_PATIENCE / 2);
    /* Nobody takes its inbox away. */
    T_OK(shmq_inbox_sweep(t_ns, 0, &removed));
    T_EQ(removed, 0);
    T_OK(shmq_caller_open(topic, NULL, &c));
    shmq_caller_close(c);
    t_cont(&proc);
    t_send(&proc, 1);
    t_join(&proc);
    shmq_server_close(s);
    shmq_topic_close(topic);
}

static const struct CMUnitTest tests[] = {
    T(loans_of_a_killed_producer_never_existed),
    T(a_producer_killed_while_it_waits_for_room_leaves_nothing),
    T(a_stopped_ephemeral_reader_holds_nobody_up_and_counts_its_gap),
    T(a_stopped_caller_delays_no_server_and_has_its_reply_when_it_goes_on),
};
T_MAIN(tests)
