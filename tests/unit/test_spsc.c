/* test_spsc.c - the byte ring: one producer, exclusive and unnamed readers. */
#include "support/unit.h"

#include <stdlib.h>

#include "support/proc.h"

static struct shmq_topic *ring_topic(uint64_t bytes)
{
    struct shmq_topic_attrs attrs = t_spsc(bytes);

    return t_topic("t", &attrs);
}

TEST(records_of_every_size_arrive_whole)
{
    struct shmq_topic *topic = ring_topic(65536);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c = t_exclusive(topic, "g");
    static const uint64_t sizes[] = {
        0, 1, 7, 8, 63, 64, 65, 4096, 4097, 65536 / 2 - 128};
    uint64_t last = 0;

    for (uint64_t lap = 0; lap < 50; lap++) {
        for (uint64_t i = 0; i < 10; i++) {
            uint64_t position = t_publish(producer, lap * 10 + i, sizes[i]);
            struct shmq_message msg;
            T_TRUE(lap + i == 0 || position > last);
            last = position;
            T_OK(shmq_consumer_receive(c, &msg));
            T_CARRIES(&msg, lap * 10 + i, sizes[i]);
            T_EQ(msg.position, position);
            T_EQ(msg.sequence, lap * 10 + i);
            T_EQ(msg.producer, shmq_producer_identity(producer));
            T_OK(shmq_consumer_release(c, &msg));
        }
    }
    t_expect_empty(c);
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(a_record_over_the_maximum_is_too_large)
{
    struct shmq_topic *topic = ring_topic(4096);
    struct shmq_producer *producer = t_producer(topic);
    static const unsigned char data[4096];
    uint64_t position = 77;

    T_RC(shmq_producer_publish(producer, data, 4096 / 2 - 127, &position),
        SHMQ_ERR_TOO_LARGE);
    T_RC(shmq_producer_publish(producer, data, UINT64_MAX, &position),
        SHMQ_ERR_TOO_LARGE);
    T_RC(shmq_producer_publish(producer, data, UINT64_MAX - 30, &position),
        SHMQ_ERR_TOO_LARGE);
    T_EQ(position, 77);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

struct queue {
    uint64_t tags[4096];
    uint64_t sizes[4096];
    uint32_t head;
    uint32_t tail;
};

static void queue_take(struct queue *queue, struct shmq_consumer *c)
{
    uint32_t at = queue->head++ % 4096;

    t_take(c, queue->tags[at], queue->sizes[at]);
}

/* Sizes that end exactly at the ring's end, need a pad, or neither. */
static void wrap_with(uint64_t ring_bytes, uint64_t limit, uint64_t step)
{
    static struct queue queue;
    struct shmq_topic *topic = ring_topic(ring_bytes);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c = t_exclusive(topic, "g");
    uint64_t rnd = t_seed();
    unsigned char *data = malloc(ring_bytes);

    T_TRUE(data != NULL);
    memset(&queue, 0, sizeof(queue));
    for (uint64_t i = 0; i < 5000; i++) {
        uint64_t size = step == 0 ? t_below(&rnd, limit) : step;
        int rc;
        t_fill(data, size, i);
        rc = shmq_producer_publish(producer, data, size, NULL);
        if (rc == 0) {
            queue.tags[queue.tail % 4096] = i;
            queue.sizes[queue.tail++ % 4096] = size;
        } else {
            T_RC(rc, SHMQ_ERR_FULL);
            T_TRUE(queue.tail - queue.head >= 1);
        }
        while (queue.head != queue.tail && (rc != 0 || t_below(&rnd, 3) == 0))
            queue_take(&queue, c);
        if (queue.head == queue.tail)
            t_expect_empty(c);
    }
    while (queue.head != queue.tail)
        queue_take(&queue, c);
    t_expect_empty(c);
    free(data);
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
}

TEST(the_ring_wraps_at_every_size)
{
    for (uint64_t step = 8; step < 1000; step += 56)
        wrap_with(4096, 0, step);
    for (uint64_t step = 1; step < 40; step++)
        wrap_with(4096, 0, 4096 / 2 - 128 - step * 8);
    wrap_with(4096, 4096 / 2 - 128, 0);
    wrap_with(8192, 8192 / 2 - 128, 0);
    wrap_with(4096, 40, 0);
}

TEST(a_batch_is_seen_whole_or_not_at_all)
{
    struct shmq_topic *topic = ring_topic(65536);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c = t_exclusive(topic, "g");
    uint64_t tag = 0;

    for (uint32_t lap = 0; lap < 300; lap++) {
        uint32_t cnt = lap % 40 + 1;
        (void)t_publish_frame(producer, tag, cnt);
        t_take_run(c, tag, cnt);
        tag += cnt;
        t_expect_empty(c);
    }
    T_EQ(shmq_producer_sequence(producer), tag);
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

struct batches {
    uint64_t cnt;
};

static int publish_batches(void *ctx)
{
    struct batches *shared = ctx;
    struct shmq_producer *producer = t_producer(t_open("t"));

    t_tell(1);
    for (uint64_t tag = 0;; tag += 8) {
        struct shmq_record recs[8];
        unsigned char data[8][16];
        memset(recs, 0, sizeof(recs));
        for (uint32_t i = 0; i < 8; i++) {
            t_fill(data[i], 16, tag + i);
            recs[i].data = data[i];
            recs[i].size = 16;
        }
        T_OK(shmq_producer_publish_batch_wait(
            producer, recs, 8, SHMQ_FOREVER, NULL));
        __atomic_store_n(&shared->cnt, tag + 8, __ATOMIC_RELEASE);
    }
    return 0;
}

TEST(a_killed_producer_leaves_whole_batches)
{
    struct batches *shared = t_shared_memory(sizeof(*shared));
    uint64_t rnd = t_seed_say("spsc batches");

    for (uint32_t round = 0; round < 30; round++) {
        struct shmq_topic *topic = ring_topic(4096);
        struct shmq_consumer *c = t_exclusive(topic, "g");
        struct shmq_producer *producer;
        struct shmq_message msg;
        struct t_proc proc;
        uint64_t end_ns;
        uint64_t tag = 0;
        int rc;
        __atomic_store_n(&shared->cnt, 0, __ATOMIC_RELEASE);
        t_spawn(&proc, publish_batches, shared);
        (void)t_recv(&proc);
        end_ns = t_now_ns() + t_below(&rnd, 3000000);
        while (t_now_ns() < end_ns) {
            if (shmq_consumer_receive(c, &msg) != 0)
                continue;
            T_CARRIES(&msg, tag++, 16);
            T_OK(shmq_consumer_release(c, &msg));
        }
        t_kill(&proc);
        while ((rc = shmq_consumer_receive(c, &msg)) == 0) {
            T_CARRIES(&msg, tag++, 16);
            T_OK(shmq_consumer_release(c, &msg));
        }
        T_RC(rc, SHMQ_ERR_EMPTY);
        T_EQ(tag % 8, 0);
        T_TRUE(tag >= __atomic_load_n(&shared->cnt, __ATOMIC_ACQUIRE));
        producer = t_producer(topic);
        t_publish_run(producer, 1000000, 20);
        t_take_run(c, 1000000, 20);
        t_expect_empty(c);
        (void)t_bury(&proc);
        shmq_producer_close(producer);
        shmq_consumer_close(c);
        shmq_topic_close(topic);
        T_OK(shmq_topic_unlink(t_ns, "t", 0));
    }
}

TEST(there_is_one_producer_at_a_time)
{
    struct shmq_topic *topic = ring_topic(4096);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_producer *more = NULL;
    struct shmq_consumer *c = t_exclusive(topic, "g");
    char pid[16];

    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    T_RC(shmq_producer_open(topic, NULL, &more), SHMQ_ERR_BUSY);
    T_SAYS(pid);
    T_TRUE(more == NULL);
    t_publish_run(producer, 0, 3);
    shmq_producer_close(producer);
    producer = t_producer(topic);
    T_EQ(shmq_producer_sequence(producer), 0);
    t_publish_run(producer, 3, 3);
    t_take_run(c, 0, 6);
    shmq_producer_close(producer);
    shmq_consumer_close(c);
    shmq_topic_close(topic);
}

TEST(one_loan_at_a_time_and_nothing_beside_it)
{
    struct shmq_topic *topic = ring_topic(4096);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c = t_exclusive(topic, "g");
    struct shmq_record rec = {"x", 1, NULL, 0, 0};
    struct shmq_loan loan;
    struct shmq_loan other;
    int rc;

    for (uint64_t i = 0; i < 200; i++) {
        T_OK(shmq_producer_loan(producer, 500, NULL, 0, &loan));
        rc = shmq_producer_loan(producer, 8, NULL, 0, &other);
        T_TRUE(rc == SHMQ_ERR_LIMIT || rc == SHMQ_ERR_BUSY);
        T_RC(shmq_producer_publish(producer, "x", 1, NULL), SHMQ_ERR_BUSY);
        T_RC(shmq_producer_publish_batch(producer, &rec, 1, NULL),
            SHMQ_ERR_BUSY);
        t_fill(loan.data, 500, i);
        if (i % 3 == 0) {
            T_OK(shmq_producer_abort(producer, &loan));
            t_expect_empty(c);
        } else {
            T_OK(shmq_producer_commit(producer, &loan, i % 501, NULL));
            t_take(c, i, i % 501);
        }
        t_publish_run(producer, i, 1);
        t_take_run(c, i, 1);
    }
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(a_full_ring_names_the_reader_and_loses_nothing)
{
    struct shmq_topic *topic = ring_topic(4096);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *c = t_exclusive(topic, "sleepy");
    unsigned char data[16];
    uint64_t cnt = 0;
    uint64_t position = 77;

    for (;; cnt++) {
        int rc;
        t_fill(data, 16, cnt);
        rc = shmq_producer_publish(producer, data, 16, NULL);
        if (rc == SHMQ_ERR_FULL)
            break;
        T_OK(rc);
    }
    T_TRUE(cnt > 4096 / 128 && cnt < 4096 / 16);
    T_RC(shmq_producer_publish_wait(
             producer, data, 16, shmq_deadline(10 * T_MS), &position),
        SHMQ_ERR_TIMEOUT);
    T_SAYS("sleepy");
    T_SAYS("running");
    T_EQ(position, 77);
    t_take_run(c, 0, cnt);
    t_expect_empty(c);
    T_OK(shmq_producer_publish(producer, data, 16, &position));
    t_take(c, cnt, 16);
    shmq_consumer_close(c);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(drop_new_counts_here_too)
{
    struct shmq_topic_attrs attrs = t_spsc(4096);
    struct shmq_topic *topic;
    struct shmq_producer *producer;
    uint32_t refused = 0;

    attrs.on_full = SHMQ_ON_FULL_DROP_NEW;
    topic = t_topic("t", &attrs);
    producer = t_producer(topic);
    T_OK(shmq_group_create(topic, "g", NULL, NULL));
    for (uint32_t i = 0; i < 300; i++) {
        int rc = shmq_producer_publish_wait(
            producer, "0123456789", 10, SHMQ_FOREVER, NULL);
        refused += rc == SHMQ_ERR_FULL;
    }
    T_TRUE(refused > 0 && refused < 300);
    T_EQ(t_stat(topic).dropped_new, refused);
    T_EQ(t_stat(topic).total_messages, 300 - refused);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(unnamed_readers_get_counted_gaps_and_whole_records)
{
    struct shmq_topic *topic = ring_topic(4096);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *e = t_ephemeral(topic, SHMQ_START_EARLIEST);
    struct shmq_consumer *held = t_ephemeral(topic, SHMQ_START_EARLIEST);
    struct shmq_message old;
    struct shmq_message msg;
    struct shmq_gap gap;
    uint64_t rnd = t_seed_say("spsc unnamed");
    uint64_t published = 0;
    uint64_t next = 0;
    uint32_t gaps = 0;

    t_publish_run(producer, published++, 1);
    T_OK(shmq_consumer_receive(held, &old));
    while (published < 20000) {
        uint64_t n = t_below(&rnd, 60);
        t_publish_run(producer, published, n);
        published += n;
        for (n = t_below(&rnd, 50); n > 0; n--) {
            int rc = shmq_consumer_receive(e, &msg);
            if (rc == SHMQ_ERR_EMPTY)
                break;
            if (rc == SHMQ_ERR_GAP) {
                T_OK(shmq_consumer_gap(e, &gap));
                T_TRUE(gap.from < gap.to && gap.frames == 0);
                gaps++;
                T_OK(shmq_consumer_receive(e, &msg));
                T_TRUE(t_tag(&msg) > next);
                T_TRUE(gap.messages == UINT64_MAX ||
                    gap.messages == t_tag(&msg) - next);
                T_EQ(gap.to, msg.position);
                next = t_tag(&msg);
            } else {
                T_OK(rc);
            }
            T_CARRIES(&msg, next, 16);
            T_EQ(msg.sequence, next);
            next++;
            T_OK(shmq_consumer_release(e, &msg));
        }
    }
    T_TRUE(gaps > 10);
    T_CARRIES(&old, 0, 16);
    T_OK(shmq_consumer_release(held, &old));
    shmq_consumer_close(e);
    shmq_consumer_close(held);
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(readers_join_and_seek_at_record_boundaries_only)
{
    struct shmq_topic *topic = ring_topic(4096);
    struct shmq_producer *producer = t_producer(topic);
    uint64_t positions[10];

    T_OK(shmq_group_create(topic, "hold", NULL, NULL));
    for (uint64_t i = 0; i < 10; i++)
        positions[i] = t_publish(producer, i, 50);
    for (uint64_t p = positions[2]; p <= positions[9] + 8; p++) {
        struct shmq_consumer_options options =
            t_options(p % 2 ? NULL : "x", SHMQ_GROUP_DEFAULT);
        struct shmq_consumer *c;
        uint64_t first = 2;
        while (first < 10 && positions[first] < p)
            first++;
        options.start = t_start(SHMQ_START_POSITION, p);
        c = t_consumer(topic, &options);
        for (uint64_t i = first; i < 10; i++)
            t_take(c, i, 50);
        t_expect_empty(c);
        shmq_consumer_close(c);
        if (p % 2 == 0)
            T_OK(shmq_group_remove(topic, "x", 0));
    }
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

TEST(several_groups_read_one_ring)
{
    struct shmq_topic *topic = ring_topic(4096);
    struct shmq_producer *producer = t_producer(topic);
    struct shmq_consumer *readers[4];
    char name[8];

    for (uint32_t i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof(name), "g%u", i);
        readers[i] = t_exclusive(topic, name);
    }
    for (uint64_t lap = 0; lap < 500; lap++) {
        t_publish_run(producer, lap * 8, 8);
        for (uint32_t i = 0; i < 4; i++)
            t_take_run(readers[i], lap * 8, 8);
    }
    for (uint32_t i = 0; i < 4; i++) {
        t_expect_empty(readers[i]);
        shmq_consumer_close(readers[i]);
    }
    shmq_producer_close(producer);
    shmq_topic_close(topic);
}

/* Looking back at an earlier producer's record must not rename the last one. */
TEST(each_record_names_its_own_producer_after_a_seek)
{
    struct shmq_topic_attrs attrs = t_spsc(4096);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_consumer *c = t_ephemeral(topic, SHMQ_START_EARLIEST);
    struct shmq_start earliest = t_start(SHMQ_START_EARLIEST, 0);
    struct shmq_message msg;
    uint64_t identity[3];

    for (uint64_t i = 0; i < 3; i++) {
        struct shmq_producer *p = t_producer(topic);
        identity[i] = shmq_producer_identity(p);
        t_publish_run(p, i, 1);
        shmq_producer_close(p);
    }
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < 3; i++) {
            T_OK(shmq_consumer_receive(c, &msg));
            T_CARRIES(&msg, i, 16);
            T_EQ(msg.producer, identity[i]);
            T_OK(shmq_consumer_release(c, &msg));
        }
        T_OK(shmq_consumer_seek(c, &earliest));
    }
    T_OK(shmq_consumer_receive(c, &msg));
    T_RC(shmq_consumer_nack(c, &msg), SHMQ_ERR_INVAL);
    shmq_consumer_close(c);
    struct shmq_consumer *x = t_exclusive(topic, "x");
    struct shmq_message first;
    T_OK(shmq_consumer_receive(x, &first));
    T_OK(shmq_consumer_receive(x, &msg));
    T_OK(shmq_consumer_receive(x, &msg));
    T_EQ(msg.producer, identity[2]);
    T_OK(shmq_consumer_nack(x, &first)); /* back without a new role_cnt */
    for (uint64_t i = 0; i < 3; i++) {
        T_OK(shmq_consumer_receive(x, &msg));
        T_EQ(msg.producer, identity[i]);
        T_OK(shmq_consumer_release(x, &msg));
    }
    shmq_consumer_close(x);
    shmq_topic_close(topic);
}

static const struct CMUnitTest tests[] = {
    T(records_of_every_size_arrive_whole),
    T(a_record_over_the_maximum_is_too_large),
    T(the_ring_wraps_at_every_size),
    T(a_batch_is_seen_whole_or_not_at_all),
    T(a_killed_producer_leaves_whole_batches),
    T(there_is_one_producer_at_a_time),
    T(one_loan_at_a_time_and_nothing_beside_it),
    T(a_full_ring_names_the_reader_and_loses_nothing),
    T(drop_new_counts_here_too),
    T(unnamed_readers_get_counted_gaps_and_whole_records),
    T(readers_join_and_seek_at_record_boundaries_only),
    T(several_groups_read_one_ring),
    T(each_record_names_its_own_producer_after_a_seek),
};
T_MAIN(tests)
