/* test_full.c - what a full ring does: block, drop-new, drop-old. */
#include "support/unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "support/proc.h"

#define SLOTS 8

static struct shmq_topic *policy_topic(uint32_t on_full, uint64_t slots)
{
    struct shmq_topic_attrs attrs = t_mpmc(slots, 65536);

    attrs.on_full = on_full;
    return t_topic("t", &attrs);
}

TEST(without_a_group_block_never_blocks)
{
    struct shmq_topic *topic = policy_topic(SHMQ_ON_FULL_BLOCK, SLOTS);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *reader = t_ephemeral(topic, SHMQ_START_LATEST);

    t_publish_run(producer, 0, 1000);
    T_EQ(t_stat(topic).ring_full, 0);
    shmq_consumer_close(reader);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(a_full_ring_is_full_until_the_slowest_group_moves)
{
    struct shmq_topic *topic = policy_topic(SHMQ_ON_FULL_BLOCK, SLOTS);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *fast = t_exclusive(topic, "fast");
    struct shmq_consumer *slow = t_shared(topic, "slow");
    uint64_t position = 77;

    t_publish_run(producer, 0, SLOTS);
    T_RC(shmq_producer_publish(producer, "x", 1, &position), SHMQ_ERR_FULL);
    T_EQ(t_stat(topic).ring_full, 1);
    t_take_run(fast, 0, SLOTS);
    t_expect_empty(fast);
    T_RC(shmq_producer_publish(producer, "x", 1, &position), SHMQ_ERR_FULL);
    T_EQ(position, 77);
    T_EQ(shmq_producer_sequence(producer), SLOTS);
    t_take(slow, 0, 16);
    T_EQ(t_publish(producer, SLOTS, 16) != 77, 1);
    T_RC(shmq_producer_publish(producer, "x", 1, NULL), SHMQ_ERR_FULL);
    t_take_run(slow, 1, SLOTS);
    t_expect_empty(slow);
    t_take(fast, SLOTS, 16);
    T_EQ(t_stat(topic).dropped_new, 0);
    shmq_consumer_close(fast);
    shmq_consumer_close(slow);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(a_deadline_names_the_group_that_holds_the_ring_up)
{
    struct shmq_topic *topic = policy_topic(SHMQ_ON_FULL_BLOCK, SLOTS);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *ahead = t_shared(topic, "not-me");
    struct shmq_consumer *slow = t_exclusive(topic, "sleepy");
    uint64_t positions[2] = {77, 77};
    struct shmq_record rec;
    uint64_t begin_ns;
    char pid[16];

    memset(&rec, 0, sizeof(rec));
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    t_publish_run(producer, 0, SLOTS);
    t_take_run(ahead, 0, SLOTS);
    begin_ns = t_now_ns();
    T_RC(shmq_producer_publish_wait(
             producer, "x", 1, shmq_deadline(30 * T_MS), positions),
        SHMQ_ERR_TIMEOUT);
    T_TRUE(t_now_ns() - begin_ns >= 30 * T_MS);
    T_SAYS("sleepy");
    T_SAYS(pid);
    T_SAYS("running");
    T_TRUE(strstr(shmq_error_text(), "not-me") == NULL);
    T_RC(shmq_producer_publish_batch_wait(
             producer, &rec, 1, shmq_deadline(0), positions),
        SHMQ_ERR_TIMEOUT);
    T_SAYS("sleepy");
    T_RC(shmq_producer_publish_wait(producer, "x", 1, 0, positions),
        SHMQ_ERR_TIMEOUT);
    T_EQ(positions[0], 77);
    shmq_consumer_close(slow);
    T_RC(
        shmq_producer_publish_wait(producer, "x", 1, shmq_deadline(T_MS), NULL),
        SHMQ_ERR_TIMEOUT);
    T_SAYS("sleepy");
    T_TRUE(strstr(shmq_error_text(), pid) == NULL);
    shmq_consumer_close(ahead);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

static int sleepy_reader(void *ctx)
{
    struct shmq_consumer *consumer = t_exclusive(t_open("t"), "sleepy");

    (void)ctx;
    T_TRUE(consumer != NULL);
    t_tell(1);
    t_wait_for_death();
}

TEST(a_deadline_names_a_stopped_process)
{
    struct shmq_topic *topic = policy_topic(SHMQ_ON_FULL_BLOCK, SLOTS);
    struct shmq_producer *producer = t_producer(topic);
    struct t_proc proc;
    char pid[16];

    T_NEED_PROC();
    t_spawn(&proc, sleepy_reader, NULL);
    (void)t_recv(&proc);
    t_stop(&proc);
    (void)snprintf(pid, sizeof(pid), "%d", (int)proc.pid);
    t_publish_run(producer, 0, SLOTS);
    T_RC(shmq_producer_publish_wait(
             producer, "x", 1, shmq_deadline(10 * T_MS), NULL),
        SHMQ_ERR_TIMEOUT);
    T_SAYS("sleepy");
    T_SAYS(pid);
    T_SAYS("stopped");
    t_kill(&proc);
    (void)t_bury(&proc);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

static int reader_after_a_word(void *ctx)
{
    struct shmq_consumer *consumer = t_exclusive(t_open("t"), "g");

    (void)ctx;
    t_tell(1);
    (void)t_hear();
    t_take_run(consumer, 0, SLOTS);
    t_tell(2);
    (void)t_hear();
    return 0;
}

TEST(a_waiting_producer_goes_on_when_there_is_room)
{
    struct shmq_topic *topic = policy_topic(SHMQ_ON_FULL_BLOCK, SLOTS);
    struct shmq_producer *producer = t_producer(topic);
    uint64_t position = 0;
    struct t_proc proc;

    t_spawn(&proc, reader_after_a_word, NULL);
    (void)t_recv(&proc);
    t_publish_run(producer, 0, SLOTS);
    t_send(&proc, 1);
    T_OK(shmq_producer_publish_wait(
        producer, "x", 1, shmq_deadline(T_PATIENCE), &position));
    T_TRUE(position != 0);
    (void)t_recv(&proc);
    t_send(&proc, 1);
    t_join(&proc);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

static void do_nothing(int sig)
{
    (void)sig;
}

struct poke {
    pthread_t target;
    bool stop;
};

static void *poke_until_told(void *arg)
{
    struct poke *poke = arg;

    while (!__atomic_load_n(&poke->stop, __ATOMIC_ACQUIRE)) {
        (void)pthread_kill(poke->target, SIGUSR1);
        t_pause();
    }
    return NULL;
}

TEST(a_signal_ends_a_wait)
{
    struct shmq_topic *topic = policy_topic(SHMQ_ON_FULL_BLOCK, SLOTS);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *consumer = t_exclusive(topic, "g");
    struct sigaction act = {.sa_handler = do_nothing};
    struct poke poke = {pthread_self(), false};
    struct shmq_message msg;
    pthread_t thread;

    t_expect_empty(consumer);
    T_EQ(sigaction(SIGUSR1, &act, NULL), 0);
    T_EQ(pthread_create(&thread, NULL, poke_until_told, &poke), 0);
    T_RC(shmq_consumer_receive_wait(consumer, SHMQ_FOREVER, &msg),
        SHMQ_ERR_INTR);
    t_publish_run(producer, 0, SLOTS);
    T_RC(shmq_producer_publish_wait(producer, "x", 1, SHMQ_FOREVER, NULL),
        SHMQ_ERR_INTR);
    __atomic_store_n(&poke.stop, true, __ATOMIC_RELEASE);
    T_EQ(pthread_join(thread, NULL), 0);
    (void)signal(SIGUSR1, SIG_DFL);
    shmq_consumer_close(consumer);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(drop_new_refuses_and_counts)
{
    struct shmq_topic *topic = policy_topic(SHMQ_ON_FULL_DROP_NEW, SLOTS);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *consumer = t_exclusive(topic, "g");
    uint64_t position = 77;

    t_publish_run(producer, 0, SLOTS);
    for (uint32_t i = 0; i < 5; i++)
        T_RC(shmq_producer_publish(producer, "x", 1, &position), SHMQ_ERR_FULL);
    T_EQ(t_stat(topic).dropped_new, 5);
    T_RC(shmq_producer_publish_wait(producer, "x", 1, SHMQ_FOREVER, &position),
        SHMQ_ERR_FULL);
    T_EQ(t_stat(topic).dropped_new, 6);
    T_EQ(position, 77);
    T_EQ(shmq_producer_sequence(producer), SLOTS);
    t_take_run(consumer, 0, SLOTS);
    t_expect_empty(consumer);
    t_publish_run(producer, SLOTS, 1);
    t_take(consumer, SLOTS, 16);
    T_EQ(t_stat(topic).total_messages, SLOTS + 1);
    shmq_consumer_close(consumer);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

/* Receives the rest of a drop-old topic, checks every gap against the tags
 * (tag = number of the record), returns how many frames the gaps had. */
static uint64_t drain_with_gaps(struct shmq_consumer *consumer, uint64_t next,
    uint64_t end, uint64_t per_frame)
{
    struct shmq_message msg;
    struct shmq_gap gap;
    uint64_t lost = 0;
    bool gapped = false;

    while (next < end) {
        int rc = shmq_consumer_receive(consumer, &msg);
        if (rc == SHMQ_ERR_GAP) {
            T_TRUE(!gapped);
            T_OK(shmq_consumer_gap(consumer, &gap));
            T_EQ(gap.reason, SHMQ_GAP_DROPPED);
            T_TRUE(gap.from < gap.to && gap.frames > 0);
            gapped = true;
            continue;
        }
        T_OK(rc);
        T_TRUE(t_tag(&msg) >= next && t_tag(&msg) < end);
        T_CARRIES(&msg, t_tag(&msg), 16);
        T_EQ(msg.sequence, t_tag(&msg));
        if (gapped) {
            T_EQ(gap.frames, (t_tag(&msg) - next) / per_frame);
            T_TRUE(gap.messages == UINT64_MAX ||
                gap.messages == t_tag(&msg) - next);
            T_TRUE(gap.to <= msg.position);
            lost += gap.frames;
            gapped = false;
        } else {
            T_EQ(t_tag(&msg), next);
        }
        next = t_tag(&msg) + 1;
        T_OK(shmq_consumer_release(consumer, &msg));
    }
    t_expect_empty(consumer);
    return lost;
}

TEST(drop_old_reports_gaps_exactly)
{
    struct shmq_topic *topic = policy_topic(SHMQ_ON_FULL_DROP_OLD, SLOTS);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *named = t_exclusive(topic, "g");
    struct shmq_consumer *unnamed = t_ephemeral(topic, SHMQ_START_LATEST);
    struct shmq_gap gap;
    uint64_t lost;

    T_RC(shmq_consumer_gap(named, &gap), SHMQ_ERR_NOENT);
    t_publish_run(producer, 0, 3);
    t_take_run(named, 0, 2);
    t_publish_run(producer, 3, 100);
    lost = drain_with_gaps(named, 2, 103, 1);
    T_TRUE(lost >= 103 - 2 - SLOTS && lost < 103 - 2);
    T_EQ(t_stat(topic).dropped_old, lost);
    lost += drain_with_gaps(unnamed, 0, 103, 1);
    T_EQ(t_stat(topic).dropped_old, lost);
    T_OK(shmq_consumer_gap(named, &gap));
    t_publish_run(producer, 103, 3);
    T_EQ(drain_with_gaps(named, 103, 106, 1), 0);
    T_EQ(drain_with_gaps(unnamed, 103, 106, 1), 0);
    shmq_consumer_close(named);
    shmq_consumer_close(unnamed);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(drop_old_counts_frames_not_records)
{
    struct shmq_topic *topic = policy_topic(SHMQ_ON_FULL_DROP_OLD, SLOTS);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *named = t_exclusive(topic, "g");

    for (uint64_t i = 0; i < 50; i++)
        (void)t_publish_frame(producer, i * 10, 10);
    T_TRUE(drain_with_gaps(named, 0, 500, 10) >= 50 - SLOTS);
    shmq_consumer_close(named);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(drop_old_shared_groups_lose_whole_frames_only)
{
    struct shmq_topic *topic = policy_topic(SHMQ_ON_FULL_DROP_OLD, SLOTS);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *members[2] = {
        t_shared(topic, "g"), t_shared(topic, "g")};
    unsigned char seen[400] = {0};
    uint64_t rnd = t_seed_say("drop-old shared");
    uint64_t published = 0;
    uint32_t cnt = 0;

    while (published < 400) {
        uint32_t k = (uint32_t)t_below(&rnd, 2 * SLOTS);
        for (; k > 0 && published < 400; k--, published++)
            t_publish_run(producer, published, 1);
        for (k = (uint32_t)t_below(&rnd, SLOTS); k > 0; k--) {
            struct shmq_consumer *member = members[t_below(&rnd, 2)];
            struct shmq_message msg;
            int rc = shmq_consumer_receive(member, &msg);
            if (rc == SHMQ_ERR_GAP || rc == SHMQ_ERR_EMPTY)
                continue;
            T_OK(rc);
            T_CARRIES(&msg, msg.sequence, 16);
            T_EQ(seen[msg.sequence]++, 0);
            T_OK(shmq_consumer_release(member, &msg));
            cnt++;
        }
    }
    T_TRUE(cnt > 50);
    shmq_consumer_close(members[0]);
    shmq_consumer_close(members[1]);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

/* More slots than memory: when a record has used its attempts up its slot may
 * still name memory that was given to others. */
TEST(drop_old_takes_a_record_that_had_to_become_a_dead_letter)
{
    struct shmq_topic_attrs attrs = t_mpmc(4096, 16384);
    attrs.on_full = SHMQ_ON_FULL_DROP_OLD;
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer_options options = t_options("g", SHMQ_GROUP_SHARED);
    options.attrs.max_attempts = 2;
    struct shmq_consumer *member = t_consumer(topic, &options);
    struct shmq_message msg;
    struct shmq_gap gap;
    uint64_t gaps = 0, got = 0;
    int rc;

    t_publish_run(producer, 0, 1);
    T_OK(shmq_consumer_receive(member, &msg));
    T_OK(shmq_consumer_nack(member, &msg));
    T_OK(shmq_consumer_receive(member, &msg));
    t_publish_run(producer, 1, 1000); /* over its memory, not its slot */
    T_OK(shmq_consumer_nack(member, &msg));
    while ((rc = shmq_consumer_receive(member, &msg)) != SHMQ_ERR_EMPTY) {
        if (rc == SHMQ_ERR_GAP) {
            T_OK(shmq_consumer_gap(member, &gap));
            T_EQ(gap.reason, SHMQ_GAP_DROPPED);
            gaps += gap.frames;
            continue;
        }
        T_OK(rc);
        got++;
        T_OK(shmq_consumer_release(member, &msg));
    }
    T_EQ(gaps + got, 1001);
    T_TRUE(got > 0 && gaps > 0);
    T_RC(shmq_consumer_drained(member), 1);
    shmq_consumer_close(member);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(gaps_of_several_producers_follow_from_their_sequences)
{
    struct shmq_topic *topic = policy_topic(SHMQ_ON_FULL_DROP_OLD, SLOTS);
    struct shmq_producer *producers[2] = {t_producer(topic), t_producer(topic)};
    struct shmq_consumer *named = t_exclusive(topic, "g");
    uint64_t next[2] = {0, 0};
    uint64_t lost = 0;
    uint64_t got = 0;
    struct shmq_message msg;
    struct shmq_gap gap;
    int rc;

    for (uint64_t i = 0; i < 60; i++)
        (void)t_publish(producers[i % 3 == 0], i, 16);
    rc = shmq_consumer_receive(named, &msg);
    T_RC(rc, SHMQ_ERR_GAP);
    T_OK(shmq_consumer_gap(named, &gap));
    while ((rc = shmq_consumer_receive(named, &msg)) != SHMQ_ERR_EMPTY) {
        uint32_t k = msg.producer == shmq_producer_identity(producers[1]);
        T_OK(rc);
        T_TRUE(msg.sequence >= next[k]);
        lost += msg.sequence - next[k];
        next[k] = msg.sequence + 1;
        got++;
        T_OK(shmq_consumer_release(named, &msg));
    }
    T_EQ(next[0], 40);
    T_EQ(next[1], 20);
    T_EQ(lost, gap.frames);
    T_EQ(lost + got, 60);
    shmq_consumer_close(named);
    shmq_producer_close(producers[0]);
    shmq_producer_close(producers[1]);
    shmq_topic_close(topic);
}

static const struct CMUnitTest tests[] = {
    T(without_a_group_block_never_blocks),
    T(a_full_ring_is_full_until_the_slowest_group_moves),
    T(a_deadline_names_the_group_that_holds_the_ring_up),
    T(a_deadline_names_a_stopped_process),
    T(a_waiting_producer_goes_on_when_there_is_room),
    T(a_signal_ends_a_wait),
    T(drop_new_refuses_and_counts),
    T(drop_old_reports_gaps_exactly),
    T(drop_old_counts_frames_not_records),
    T(drop_old_shared_groups_lose_whole_frames_only),
    T(drop_old_takes_a_record_that_had_to_become_a_dead_letter),
    T(gaps_of_several_producers_follow_from_their_sequences),
};
T_MAIN(tests)
