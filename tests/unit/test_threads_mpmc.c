/* test_threads_mpmc.c - several producers and readers of one topic, all of
 * them threads of one process, so that the thread sanitizer sees every edge. */
#include "support/unit.h"

#include <pthread.h>
#include <stdlib.h>

#define THREADS_MAX 8
#define RECORDS 6000u /* per producer */

struct world {
    struct shmq_topic *topic;
    uint32_t producer_cnt;
    uint32_t producers_left; /* atomic */
    unsigned char *seen; /* shared group: times, atomic */
    uint64_t taken; /* shared group: records, atomic */
};

struct party {
    struct world *world;
    pthread_t thread;
    uint32_t idx;
    const char *group;
    uint32_t kind;
    uint64_t cnt;
};

static uint64_t tag_of(uint32_t producer, uint64_t number)
{
    return (uint64_t)producer << 32 | number;
}

static uint64_t size_of(uint64_t tag)
{
    return 8 + tag * 7 % 120;
}

/* A thread opens its own handles; one frame has 1 to 5 records. */
static void *produce(void *arg)
{
    struct party *party = arg;
    struct shmq_producer *producer = t_producer(party->world->topic);
    uint64_t number = 0;

    while (number < RECORDS) {
        struct shmq_record records[5];
        unsigned char data[5][128];
        uint32_t cnt = 1 + (uint32_t)(number % 5);
        memset(records, 0, sizeof(records));
        for (uint32_t i = 0; i < cnt; i++) {
            uint64_t tag = tag_of(party->idx, number + i);
            records[i].size = size_of(tag);
            records[i].data = data[i];
            t_fill(data[i], records[i].size, tag);
        }
        T_OK(shmq_producer_publish_batch_wait(
            producer, records, cnt, shmq_deadline(T_PATIENCE), NULL));
        number += cnt;
    }
    party->cnt = number;
    shmq_producer_close(producer);
    (void)__atomic_sub_fetch(
        &party->world->producers_left, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

/* True when the record was taken; false when all is over. */
static bool next_record(
    struct party *party, struct shmq_consumer *c, struct shmq_message *msg)
{
    uint64_t end_ns = t_now_ns() + T_PATIENCE;

    for (;;) {
        bool over = __atomic_load_n(
                        &party->world->producers_left, __ATOMIC_SEQ_CST) == 0;
        int rc = shmq_consumer_receive_wait(c, shmq_deadline(20 * T_MS), msg);
        if (rc == 0)
            return true;
        T_RC(rc, SHMQ_ERR_TIMEOUT);
        if (over && shmq_consumer_drained(c) == 1)
            return false;
        T_TRUE(t_now_ns() < end_ns);
    }
}

/* Every record of every producer, in that producer's order. */
static void *consume_alone(void *arg)
{
    struct party *party = arg;
    struct shmq_consumer *c = t_exclusive(party->world->topic, party->group);
    uint64_t next[THREADS_MAX] = {0};
    struct shmq_message msg;

    while (next_record(party, c, &msg)) {
        uint64_t tag = t_tag(&msg);
        uint32_t producer = (uint32_t)(tag >> 32);
        T_TRUE(producer < party->world->producer_cnt);
        T_CARRIES(&msg, tag, size_of(tag));
        T_EQ(tag & 0xffffffffu, next[producer]);
        T_EQ(msg.sequence, next[producer]);
        T_EQ(msg.flags, 0);
        next[producer]++;
        party->cnt++;
        T_OK(shmq_consumer_release(c, &msg));
    }
    shmq_consumer_close(c);
    return NULL;
}

static void *consume_shared(void *arg)
{
    struct party *party = arg;
    struct world *w = party->world;
    struct shmq_consumer *c = t_shared(w->topic, party->group);
    struct shmq_message msg;

    while (next_record(party, c, &msg)) {
        uint64_t tag = t_tag(&msg);
        uint64_t number = (tag >> 32) * (RECORDS + 5) + (tag & 0xffffffffu);
        T_CARRIES(&msg, tag, size_of(tag));
        T_EQ(__atomic_fetch_add(&w->seen[number], 1, __ATOMIC_RELAXED), 0);
        party->cnt++;
        T_OK(shmq_consumer_release(c, &msg));
    }
    (void)__atomic_add_fetch(&w->taken, party->cnt, __ATOMIC_SEQ_CST);
    shmq_consumer_close(c);
    return NULL;
}

/* An unnamed reader: whatever it gets is whole, gaps are told. */
static void *consume_unnamed(void *arg)
{
    struct party *party = arg;
    struct shmq_consumer *c =
        t_ephemeral(party->world->topic, SHMQ_START_EARLIEST);
    struct shmq_message msg;
    uint64_t last = 0;

    while (__atomic_load_n(&party->world->producers_left, __ATOMIC_SEQ_CST)) {
        int rc = shmq_consumer_receive(c, &msg);
        if (rc == SHMQ_ERR_EMPTY || rc == SHMQ_ERR_GAP)
            continue;
        T_OK(rc);
        T_TRUE(party->cnt == 0 || msg.position > last);
        last = msg.position;
        T_CARRIES(&msg, t_tag(&msg), size_of(t_tag(&msg)));
        party->cnt++;
        T_OK(shmq_consumer_release(c, &msg));
    }
    shmq_consumer_close(c);
    return NULL;
}

static void run(uint64_t slots, uint64_t arena, uint32_t producer_cnt,
    uint32_t member_cnt, bool alone, bool unnamed)
{
    struct shmq_topic_attrs attrs = t_mpmc(slots, arena);
    struct party parties[THREADS_MAX];
    struct world w;
    uint32_t cnt = 0;
    uint64_t total = 0;

    memset(&w, 0, sizeof(w));
    memset(parties, 0, sizeof(parties));
    w.topic = t_topic("t", &attrs);
    w.producer_cnt = producer_cnt;
    w.producers_left = producer_cnt;
    w.seen = calloc(producer_cnt, RECORDS + 5);
    T_TRUE(w.seen != NULL);
    if (alone) {
        struct shmq_consumer *c = t_exclusive(w.topic, "x");
        shmq_consumer_close(c);
    }
    if (member_cnt > 0)
        T_OK(shmq_group_create(w.topic, "s", NULL, NULL));
    for (uint32_t i = 0; i < producer_cnt + member_cnt + alone + unnamed; i++) {
        struct party *party = &parties[i];
        void *(*role)(void *) = i < producer_cnt      ? produce
            : i < producer_cnt + member_cnt           ? consume_shared
            : i == producer_cnt + member_cnt && alone ? consume_alone
                                                      : consume_unnamed;
        party->world = &w;
        party->idx = i;
        party->group = role == consume_shared ? "s" : "x";
        T_EQ(pthread_create(&party->thread, NULL, role, party), 0);
        cnt++;
    }
    for (uint32_t i = 0; i < cnt; i++)
        T_EQ(pthread_join(parties[i].thread, NULL), 0);
    for (uint32_t i = 0; i < producer_cnt; i++)
        total += parties[i].cnt;
    if (member_cnt > 0)
        T_EQ(w.taken, total);
    if (alone)
        T_EQ(parties[producer_cnt + member_cnt].cnt, total);
    T_EQ(t_stat(w.topic).total_messages, total);
    free(w.seen);
    shmq_topic_close(w.topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
}

TEST(two_producers_and_an_exclusive_reader_on_four_slots)
{
    run(4, 4096, 2, 0, true, false);
}

TEST(two_producers_and_three_members_on_eight_slots)
{
    run(8, 4096, 2, 3, false, false);
}

TEST(three_producers_and_all_kinds_of_readers)
{
    run(64, 16384, 3, 2, true, true);
}

TEST(one_producer_and_two_members_on_two_slots)
{
    run(2, 4096, 1, 2, false, true);
}

/* -- handles that come and go -------------------------------------------- */

struct churn {
    struct shmq_topic *topic;
    bool stop;
};

static void *churn_producer(void *arg)
{
    struct churn *churn = arg;
    unsigned char data[100];

    while (!__atomic_load_n(&churn->stop, __ATOMIC_ACQUIRE)) {
        struct shmq_producer *producer = t_producer(churn->topic);
        for (uint64_t i = 0; i < 10; i++) {
            int rc;
            t_fill(data, sizeof(data), i);
            rc = shmq_producer_publish(producer, data, sizeof(data), NULL);
            T_TRUE(rc == 0 || rc == SHMQ_ERR_FULL);
        }
        shmq_producer_close(producer);
    }
    return NULL;
}

static void *churn_member(void *arg)
{
    struct churn *churn = arg;

    while (!__atomic_load_n(&churn->stop, __ATOMIC_ACQUIRE)) {
        struct shmq_consumer *c = t_shared(churn->topic, "s");
        for (uint64_t i = 0; i < 10; i++) {
            struct shmq_message msg;
            int rc = shmq_consumer_receive(c, &msg);
            if (rc == SHMQ_ERR_EMPTY || rc == SHMQ_ERR_LIMIT)
                continue;
            T_OK(rc);
            T_CARRIES(&msg, t_tag(&msg), 100);
            if (i % 4 != 3)
                T_OK(shmq_consumer_release(c, &msg));
        }
        shmq_consumer_close(c);
    }
    return NULL;
}

static void *churn_group(void *arg)
{
    struct churn *churn = arg;

    while (!__atomic_load_n(&churn->stop, __ATOMIC_ACQUIRE)) {
        struct shmq_consumer *c = t_exclusive(churn->topic, "passing");
        struct shmq_message msg;
        for (uint64_t i = 0; i < 5; i++)
            if (shmq_consumer_receive(c, &msg) == 0)
                T_CARRIES(&msg, t_tag(&msg), 100);
        shmq_consumer_close(c);
        T_OK(shmq_group_remove(churn->topic, "passing", 0));
    }
    return NULL;
}

static void *churn_stat(void *arg)
{
    struct churn *churn = arg;
    struct shmq_endpoint_stat points[4];
    struct shmq_group_stat group;
    uint32_t cnt;

    while (!__atomic_load_n(&churn->stop, __ATOMIC_ACQUIRE)) {
        (void)t_stat(churn->topic);
        T_TRUE(t_group_stat(churn->topic, "s", &group));
        T_OK(shmq_topic_endpoints(churn->topic, points, 4, &cnt));
        T_OK(shmq_topic_check(churn->topic));
    }
    return NULL;
}

TEST(handles_come_and_go_under_load)
{
    struct shmq_topic_attrs attrs = t_mpmc(16, 4096);
    struct churn churn = {NULL, false};
    void *(*const roles[])(void *) = {churn_producer, churn_producer,
        churn_member, churn_member, churn_group, churn_stat};
    pthread_t threads[6];
    struct shmq_consumer *c;
    struct shmq_producer *producer;
    struct shmq_message msg;
    uint64_t end_ns;
    int rc;

    churn.topic = t_topic("t", &attrs);
    T_OK(shmq_group_create(churn.topic, "s", NULL, NULL));
    for (uint32_t i = 0; i < 6; i++)
        T_EQ(pthread_create(&threads[i], NULL, roles[i], &churn), 0);
    end_ns = t_now_ns() + 2000 * T_MS;
    while (t_now_ns() < end_ns)
        t_pause();
    __atomic_store_n(&churn.stop, true, __ATOMIC_RELEASE);
    for (uint32_t i = 0; i < 6; i++)
        T_EQ(pthread_join(threads[i], NULL), 0);
    c = t_shared(churn.topic, "s");
    while ((rc = shmq_consumer_receive(c, &msg)) == 0)
        T_OK(shmq_consumer_release(c, &msg));
    T_RC(rc, SHMQ_ERR_EMPTY);
    T_RC(shmq_consumer_drained(c), 1);
    producer = t_producer(churn.topic);
    t_publish_run(producer, 0, 16);
    t_take_run(c, 0, 16);
    T_EQ(t_stat(churn.topic).producer_cnt, 1);
    T_EQ(t_stat(churn.topic).member_cnt, 1);
    shmq_producer_close(producer);
    shmq_consumer_close(c);
    shmq_topic_close(churn.topic);
}

static const struct CMUnitTest tests[] = {
    T(two_producers_and_an_exclusive_reader_on_four_slots),
    T(two_producers_and_three_members_on_eight_slots),
    T(three_producers_and_all_kinds_of_readers),
    T(one_producer_and_two_members_on_two_slots),
    T(handles_come_and_go_under_load),
};
T_MAIN(tests)
