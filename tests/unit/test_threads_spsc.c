/* test_threads_spsc.c - the byte ring between threads of one process. */
#include "support/unit.h"

#include <poll.h>
#include <pthread.h>

#define RECORDS 30000u

struct party {
    struct shmq_topic *topic;
    pthread_t thread;
    const char *group;
    bool by_descriptor;
    bool over; /* atomic: the producer is done */
};

static uint64_t size_of(uint64_t tag)
{
    return 8 + tag * 13 % 300;
}

static void *produce(void *arg)
{
    struct party *party = arg;
    struct shmq_producer *producer = t_producer(party->topic);

    for (uint64_t tag = 0; tag < RECORDS; tag++) {
        unsigned char data[320];
        t_fill(data, size_of(tag), tag);
        if (tag % 16 == 0) {
            struct shmq_loan loan;
            T_OK(shmq_producer_loan_wait(producer, size_of(tag), NULL, 0,
                shmq_deadline(T_PATIENCE), &loan));
            memcpy(loan.data, data, size_of(tag));
            T_OK(shmq_producer_commit_wait(producer, &loan, size_of(tag),
                shmq_deadline(T_PATIENCE), NULL));
            continue;
        }
        T_OK(shmq_producer_publish_wait(
            producer, data, size_of(tag), shmq_deadline(T_PATIENCE), NULL));
    }
    shmq_producer_close(producer);
    return NULL;
}

static int wait_by_descriptor(struct shmq_consumer *c, struct shmq_message *msg)
{
    struct pollfd wait = {.fd = -1, .events = POLLIN};
    uint64_t end_ns = t_now_ns() + T_PATIENCE;

    T_OK(shmq_consumer_fd(c, &wait.fd));
    while (t_now_ns() < end_ns) {
        int rc = shmq_consumer_receive(c, msg);
        if (rc != SHMQ_ERR_EMPTY)
            return rc;
        T_TRUE(poll(&wait, 1, 10000) == 1);
    }
    return SHMQ_ERR_TIMEOUT;
}

static void *consume(void *arg)
{
    struct party *party = arg;
    struct shmq_consumer *c = t_exclusive(party->topic, party->group);

    for (uint64_t tag = 0; tag < RECORDS; tag++) {
        struct shmq_message msg;
        if (party->by_descriptor)
            T_OK(wait_by_descriptor(c, &msg));
        else
            T_OK(
                shmq_consumer_receive_wait(c, shmq_deadline(T_PATIENCE), &msg));
        T_CARRIES(&msg, tag, size_of(tag));
        T_EQ(msg.sequence, tag);
        T_OK(shmq_consumer_release(c, &msg));
    }
    t_expect_empty(c);
    shmq_consumer_close(c);
    return NULL;
}

static void *consume_unnamed(void *arg)
{
    struct party *party = arg;
    struct shmq_consumer *c = t_ephemeral(party->topic, SHMQ_START_EARLIEST);
    uint64_t next = 0;

    for (;;) {
        bool over = __atomic_load_n(&party->over, __ATOMIC_ACQUIRE);
        struct shmq_message msg;
        int rc = shmq_consumer_receive(c, &msg);
        if (rc == SHMQ_ERR_EMPTY && over)
            break;
        if (rc == SHMQ_ERR_EMPTY || rc == SHMQ_ERR_GAP)
            continue;
        T_OK(rc);
        T_TRUE(t_tag(&msg) >= next && t_tag(&msg) < RECORDS);
        T_CARRIES(&msg, t_tag(&msg), size_of(t_tag(&msg)));
        T_EQ(msg.sequence, t_tag(&msg));
        next = t_tag(&msg) + 1;
        T_OK(shmq_consumer_release(c, &msg));
    }
    T_EQ(next, RECORDS);
    shmq_consumer_close(c);
    return NULL;
}

static void run(uint64_t ring_bytes, uint32_t groups, bool unnamed)
{
    static const char *const names[] = {"a", "b"};
    struct shmq_topic_attrs attrs = t_spsc(ring_bytes);
    struct party parties[4];
    struct shmq_topic *topic = t_topic("t", &attrs);

    memset(parties, 0, sizeof(parties));
    for (uint32_t i = 0; i < groups; i++)
        T_OK(shmq_group_create(topic, names[i], NULL, NULL));
    for (uint32_t i = 0; i < groups + 1 + unnamed; i++) {
        parties[i].topic = topic;
        parties[i].group = i < groups ? names[i] : NULL;
        parties[i].by_descriptor = i == 1;
        T_EQ(pthread_create(&parties[i].thread, NULL,
                 i < groups        ? consume
                     : i == groups ? produce
                                   : consume_unnamed,
                 &parties[i]),
            0);
    }
    for (uint32_t i = 0; i < groups + 1; i++)
        T_EQ(pthread_join(parties[i].thread, NULL), 0);
    __atomic_store_n(&parties[groups + 1].over, true, __ATOMIC_RELEASE);
    if (unnamed)
        T_EQ(pthread_join(parties[groups + 1].thread, NULL), 0);
    T_EQ(t_stat(topic).total_messages, RECORDS);
    shmq_topic_close(topic);
}

TEST(one_reader_of_a_tiny_ring)
{
    run(4096, 1, false);
}

TEST(two_groups_and_an_unnamed_reader)
{
    run(8192, 2, true);
}

TEST(nobody_gates_and_an_unnamed_reader_follows)
{
    run(4096, 0, true);
}

static const struct CMUnitTest tests[] = {
    T(one_reader_of_a_tiny_ring),
    T(two_groups_and_an_unnamed_reader),
    T(nobody_gates_and_an_unnamed_reader_follows),
};
T_MAIN(tests)
