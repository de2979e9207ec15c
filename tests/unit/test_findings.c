/* test_findings.c - bugs that reviews and stress found and that no other unit
 * test had asked for, one test each. */
#include "support/proc.h"
#include "support/unit.h"
#include "topic_impl.h"
#include "words.h"

/* An aborted loan had given memory up; a smaller record after it must not take
 * that back: a reader that copies would believe what the loan's user wrote. */
TEST(an_aborted_loan_stays_given_up)
{
    struct shmq_topic_attrs attrs = t_spsc(4096);
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    struct shmq_consumer *reader;
    struct shmq_message msg;
    struct shmq_loan loan;

    attrs.max_message_bytes = 1900;
    topic = t_topic("t", &attrs);
    producer = t_producer(topic);
    reader = t_ephemeral(topic, SHMQ_START_EARLIEST);
    for (uint64_t i = 0; i < 7; i++)
        (void)t_publish(producer, i, 480);
    t_take(reader, 0, 480);
    t_take(reader, 1, 480);
    (void)t_publish(producer, 7, 416);
    /* Over the third record, at the ring's beginning again. */
    T_OK(shmq_producer_loan(producer, 1800, NULL, 0, &loan));
    memset((char *)loan.data + 1100, 'X', 300);
    T_OK(shmq_producer_abort(producer, &loan));
    (void)t_publish(producer, 8, 300); /* over a part: the long way */
    int rc = shmq_consumer_receive(reader, &msg);
    if (rc == 0)
        T_CARRIES(&msg, 2, 480);
    else
        T_RC(rc, SHMQ_ERR_GAP);
    shmq_consumer_close(reader);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

static int publish_slowly(void *ctx)
{
    struct shmq_producer *producer;

    (void)ctx;
    producer = t_producer(t_open("t"));
    (void)t_hear();
    for (uint64_t i = 0; i < 1000; i++) {
        t_publish_run(producer, i, 1);
        t_sleep_ns(10000);
    }
    return 0;
}

/* A record committed while a copying reader finds the ring empty is no gap. */
TEST(a_record_that_is_just_committed_is_not_lost)
{
    struct shmq_topic_attrs attrs = t_spsc(65536);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_consumer_options options = t_options("g", SHMQ_GROUP_EXCLUSIVE);
    struct shmq_consumer *c;
    struct t_proc proc;

    options.flags |= SHMQ_CONSUMER_COPY;
    c = t_consumer(topic, &options);
    t_spawn(&proc, publish_slowly, NULL);
    t_send(&proc, 1);
    for (uint64_t i = 0; i < 1000;) {
        struct shmq_message msg;
        int rc = shmq_consumer_receive(c, &msg);
        if (rc == SHMQ_ERR_EMPTY)
            continue;
        T_OK(rc);
        T_EQ(t_tag(&msg), i);
        T_OK(shmq_consumer_release(c, &msg));
        i++;
    }
    t_join(&proc);
    shmq_consumer_close(c);
    shmq_topic_close(topic);
}

/* Acknowledged before it is released, in a shared group. */
TEST(an_ack_waits_for_the_view_of_a_shared_record)
{
    struct shmq_topic_attrs attrs = t_mpmc(4, 4096);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer_options options = t_options("g", SHMQ_GROUP_SHARED);
    struct shmq_consumer *holder;
    struct shmq_message msg;

    options.flags |= SHMQ_CONSUMER_MANUAL_ACK;
    holder = t_consumer(topic, &options);
    (void)t_publish(producer, 7, 1000);
    T_OK(shmq_consumer_receive(holder, &msg));
    T_OK(shmq_consumer_ack(holder, &msg));
    for (int i = 0; i < 20; i++) {
        char bytes[1000];
        memset(bytes, 'B', sizeof(bytes));
        (void)shmq_producer_publish(producer, bytes, sizeof(bytes), NULL);
    }
    T_CARRIES(&msg, 7, 1000);
    T_OK(shmq_consumer_release(holder, &msg));
    shmq_consumer_close(holder);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

/* Closing ends the views that held the acknowledgements up. */
static void ack_and_close(struct shmq_topic *topic, uint32_t flags)
{
    struct shmq_consumer_options options = t_options("g", SHMQ_GROUP_EXCLUSIVE);
    struct shmq_message msg;
    uint64_t first;

    options.flags = SHMQ_CONSUMER_MANUAL_ACK | flags;
    struct shmq_consumer *reader = t_consumer(topic, &options);
    T_OK(shmq_consumer_receive(reader, &msg));
    first = t_tag(&msg);
    T_OK(shmq_consumer_ack(reader, &msg));
    T_OK(shmq_consumer_receive(reader, &msg));
    T_EQ(t_tag(&msg), first + 1);
    shmq_consumer_close(reader);

    reader = t_consumer(topic, &options);
    T_OK(shmq_consumer_receive(reader, &msg));
    T_EQ(t_tag(&msg), first + 1);
    T_OK(shmq_consumer_ack(reader, &msg));
    shmq_consumer_close(reader);
}

TEST(what_was_acknowledged_and_not_released_counts_when_closing)
{
    struct shmq_topic_attrs mpmc = t_mpmc(16, 1 << 16), spsc = t_spsc(1 << 16);
    struct shmq_topic *topics[] = {t_topic("m", &mpmc), t_topic("s", &spsc)};

    for (int i = 0; i < 2; i++) {
        struct shmq_consumer_options options =
            t_options("g", SHMQ_GROUP_EXCLUSIVE);
        shmq_consumer_close(t_consumer(topics[i], &options));
        struct shmq_producer *producer = t_producer(topics[i]);
        for (uint64_t tag = 1; tag <= 4; tag++)
            (void)t_publish(producer, tag, 100);
        ack_and_close(topics[i], 0);
        ack_and_close(topics[i], SHMQ_CONSUMER_COPY);
        shmq_producer_close(producer);
        shmq_topic_close(topics[i]);
    }
}

/* One record of a frame goes back while an earlier one is still looked at. */
TEST(a_nack_waits_for_views_of_its_frame)
{
    struct shmq_topic_attrs attrs = t_mpmc(4, 4096);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer_options options = t_options("g", SHMQ_GROUP_SHARED);
    struct shmq_consumer *holder, *other;
    struct shmq_message first, second, msg;

    options.prefetch_frames = 8;
    holder = t_consumer(topic, &options);
    other = t_consumer(topic, &options);
    (void)t_publish_frame(producer, 5, 2);
    T_OK(shmq_consumer_receive(holder, &first));
    T_OK(shmq_consumer_receive(holder, &second));
    T_OK(shmq_consumer_nack(holder, &second));
    for (int i = 0; i < 40; i++) {
        char bytes[500];
        memset(bytes, 'B', sizeof(bytes));
        (void)shmq_producer_publish(producer, bytes, sizeof(bytes), NULL);
        while (shmq_consumer_receive(other, &msg) == 0)
            (void)shmq_consumer_release(other, &msg);
    }
    T_CARRIES(&first, 5, 16);
    (void)shmq_consumer_release(holder, &first);
    shmq_consumer_close(holder);
    shmq_consumer_close(other);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

static int look_until_killed(void *ctx)
{
    struct shmq_topic *topic;
    struct shmq_message msg;

    (void)ctx;
    (void)t_hear();
    topic = t_open("t");
    T_OK(shmq_consumer_receive(t_shared(topic, "g"), &msg));
    t_tell(1);
    t_wait_for_death();
}

/* A member is killed while it looks; another one lives on when the group is
 * removed: the words of the dead one must not keep the ring shut. */
TEST(the_dead_do_not_gate_for_a_removed_group)
{
    struct shmq_topic_attrs attrs = t_mpmc(8, 4096);
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    struct shmq_consumer *idle;
    struct t_proc proc;

    t_spawn(&proc, look_until_killed, NULL);
    topic = t_topic("t", &attrs);
    producer = t_producer(topic);
    idle = t_shared(topic, "g");
    t_publish_run(producer, 0, 1);
    t_send(&proc, 1);
    (void)t_recv(&proc);
    t_kill(&proc);
    (void)t_bury(&proc);
    T_OK(shmq_group_remove(topic, "g", SHMQ_GROUP_FORCE));
    for (int i = 0; i < 100; i++)
        T_OK(shmq_producer_publish_wait(
            producer, "x", 1, shmq_deadline(5000 * T_MS), NULL));
    shmq_consumer_close(idle);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

static void give_back_first(
    struct shmq_consumer *c, struct shmq_message msg[4], uint64_t authors[4])
{
    for (int i = 0; i < 4; i++) {
        T_OK(shmq_consumer_receive(c, &msg[i]));
        authors[i] = msg[i].producer;
    }
    T_OK(shmq_consumer_nack(c, &msg[0]));
}

/* Two producers after each other; the reader gives the first one's records back
 * when it has seen the second's: each record keeps its author. */
TEST(records_keep_their_author_when_they_come_again)
{
    struct shmq_topic_attrs attrs = t_spsc(65536);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_consumer_options options = t_options("g", SHMQ_GROUP_EXCLUSIVE);
    struct shmq_consumer *c;
    struct shmq_message msg[4];
    uint64_t authors[4];

    T_OK(shmq_group_create(topic, "g", NULL, NULL));
    for (uint64_t i = 0; i < 2; i++) {
        struct shmq_producer *producer = t_producer(topic);
        t_publish_run(producer, 2 * i, 2);
        shmq_producer_close(producer);
    }
    options.prefetch_frames = 8;
    c = t_consumer(topic, &options);
    give_back_first(c, msg, authors);
    T_EQ(authors[0], authors[1]);
    T_EQ(authors[2], authors[3]);
    T_TRUE(authors[0] != authors[2]);
    for (int i = 0; i < 4; i++) {
        T_OK(shmq_consumer_receive(c, &msg[i]));
        T_EQ(msg[i].producer, authors[i]);
        T_EQ(t_tag(&msg[i]), i);
    }
    shmq_consumer_close(c);
    shmq_topic_close(topic);
}

static int publish_until_killed(void *ctx)
{
    struct shmq_producer *producer;

    (void)ctx;
    producer = t_producer(t_open("t"));
    t_publish_run(producer, 0, 1);
    t_tell(1);
    t_wait_for_death();
}

/* An ordinary user, who may not write the data file. */
static int reap_as_nobody(void *ctx)
{
    struct shmq_topic *topic;

    (void)ctx;
    if (setgid(65534) != 0 || setuid(65534) != 0)
        return 1;
    topic = t_open("t");
    shmq_consumer_close(t_shared(topic, "g"));
    shmq_topic_close(topic);
    return 0;
}

/* Whoever reaps a producer may not be able to free its arena. */
TEST(arenas_are_not_lost_to_reapers_without_write_access)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 4096);
    struct shmq_topic *topic;

    if (geteuid() != 0)
        T_SKIP("only root can become another user");
    attrs.max_producers = 2;
    attrs.mode = 0666;
    attrs.data_mode = 0644;
    topic = t_topic("t", &attrs);
    for (int i = 0; i < 4; i++) {
        struct t_proc proc, reaper;
        t_spawn(&proc, publish_until_killed, NULL);
        (void)t_recv(&proc);
        t_kill(&proc);
        (void)t_bury(&proc);
        t_spawn(&reaper, reap_as_nobody, NULL);
        t_join(&reaper);
    }
    shmq_topic_close(topic);
}

static int lend_until_killed(void *ctx)
{
    struct shmq_producer *producer;
    struct shmq_loan loan;

    (void)ctx;
    producer = t_producer(t_open("t"));
    T_OK(shmq_producer_loan(producer, 100, NULL, 0, &loan));
    t_tell(1);
    t_wait_for_death();
}

/* Loans of a producer that was killed are nobody's any more. */
TEST(loans_of_the_dead_do_not_count)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 4096);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct t_proc proc;

    t_spawn(&proc, lend_until_killed, NULL);
    (void)t_recv(&proc);
    T_TRUE(t_stat(topic).leaked_loan_bytes > 0);
    t_kill(&proc);
    (void)t_bury(&proc);
    shmq_consumer_close(t_shared(topic, "g")); /* whoever attaches reaps */
    T_EQ(t_stat(topic).leaked_loan_bytes, 0);
    shmq_topic_close(topic);
}

/* What a dead administrator had announced and nobody took back for want of an
 * entry to do it from, is taken back by the next owner of its number. */
TEST(announcements_of_dead_administrators_do_not_stay)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 4096);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_consumer *c = t_shared(topic, "g");
    struct shmqi_ring *r = &topic->segment->ring;
    uint32_t admin = r->producer_cnt + r->member_cnt;
    shmqi_word *bits = &r->groups[0].freeing[admin >> 6];

    atomic_store(bits, 1ull << (admin & 63));
    T_OK(shmq_group_create(topic, "h", NULL, NULL));
    T_EQ(atomic_load(bits), 0);
    shmq_consumer_close(c);
    shmq_topic_close(topic);
}

/* A process that is stopped while it makes a group: as it is between telling
 * that it gates and sealing the entry. Its endpoint is our own one. */
static uint32_t half_made(struct shmq_topic *topic, uint32_t endpoint)
{
    struct shmqi_ring *r = &topic->segment->ring;
    uint32_t entry = r->group_cnt - 1;
    struct shmqi_gword w = {0, SHMQI_GROUP_GATING, 0, endpoint};

    atomic_store(&r->endpoints[endpoint].touching, shmqi_naming(entry, 0));
    atomic_store(&r->groups[entry].floor, 0);
    atomic_store(&r->groups[entry].idle_since_ns, 1);
    atomic_store(&r->groups[entry].word, shmqi_gword_pack(w));
    (void)atomic_fetch_add(&r->control->version, 1);
    return entry;
}

static uint32_t state_of(struct shmq_topic *topic, uint32_t entry)
{
    return shmqi_gword_unpack(
        atomic_load(&topic->segment->ring.groups[entry].word))
        .state;
}

TEST(a_group_that_is_never_finished_holds_nobody_up)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 65536);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_consumer *maker = t_ephemeral(topic, SHMQ_START_LATEST);
    struct shmq_producer *producer = t_producer(topic);
    uint32_t entry = half_made(topic, shmq_consumer_endpoint(maker));

    for (uint64_t i = 0; i < 100; i++)
        T_OK(shmq_producer_publish_wait(
            producer, "x", 1, shmq_deadline(T_PATIENCE), NULL));
    /* Its maker may still write to it: it is nobody else's. */
    T_EQ(state_of(topic, entry), SHMQI_GROUP_DELETING);
    shmq_consumer_close(maker);
    shmq_consumer_close(t_shared(topic, "g")); /* sweeps */
    T_EQ(state_of(topic, entry), SHMQI_GROUP_FREE);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(evicting_who_makes_a_group_ends_that)
{
    struct shmq_topic_attrs attrs = t_spsc(4096);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_consumer *maker = t_ephemeral(topic, SHMQ_START_LATEST);
    uint32_t entry = half_made(topic, shmq_consumer_endpoint(maker));

    T_EQ(state_of(topic, entry), SHMQI_GROUP_GATING);
    T_OK(shmq_group_evict(topic, shmq_consumer_endpoint(maker), 0));
    T_EQ(state_of(topic, entry), SHMQI_GROUP_DELETING);
    shmq_consumer_close(maker);
    shmq_topic_close(topic);
}

static const struct CMUnitTest tests[] = {
    T(announcements_of_dead_administrators_do_not_stay),
    T(a_group_that_is_never_finished_holds_nobody_up),
    T(evicting_who_makes_a_group_ends_that),
    T(loans_of_the_dead_do_not_count),
    T(arenas_are_not_lost_to_reapers_without_write_access),
    T(an_aborted_loan_stays_given_up),
    T(a_record_that_is_just_committed_is_not_lost),
    T(an_ack_waits_for_the_view_of_a_shared_record),
    T(what_was_acknowledged_and_not_released_counts_when_closing),
    T(a_nack_waits_for_views_of_its_frame),
    T(the_dead_do_not_gate_for_a_removed_group),
    T(records_keep_their_author_when_they_come_again),
};
T_MAIN(tests)
