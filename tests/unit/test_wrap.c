/* test_wrap.c - many laps through tiny rings and tiny arenas. */
#include "support/unit.h"

struct rig {
    struct shmq_topic *topic;
    struct shmq_producer *producers[3];
    struct shmq_consumer *alone;
    struct shmq_consumer *members[2];
};

static void rig_open(struct rig *rig, uint64_t slots, uint64_t arena)
{
    struct shmq_topic_attrs attrs = t_mpmc(slots, arena);

    attrs.max_producers = 3;
    rig->topic = t_topic("t", &attrs);
    for (uint32_t i = 0; i < 3; i++)
        rig->producers[i] = t_producer(rig->topic);
    rig->alone = t_exclusive(rig->topic, "x");
    rig->members[0] = t_shared(rig->topic, "s");
    rig->members[1] = t_shared(rig->topic, "s");
}

static void rig_close(struct rig *rig)
{
    for (uint32_t i = 0; i < 3; i++)
        shmq_producer_close(rig->producers[i]);
    shmq_consumer_close(rig->alone);
    shmq_consumer_close(rig->members[0]);
    shmq_consumer_close(rig->members[1]);
    shmq_topic_close(rig->topic);
    T_OK(shmq_topic_unlink(t_ns, "t", 0));
}

/* One record through both groups at a time, `laps` times round the ring. */
static void one_at_a_time(
    uint64_t slots, uint64_t arena, uint64_t size, uint64_t laps)
{
    struct rig rig;

    rig_open(&rig, slots, arena);
    for (uint64_t i = 0; i < laps * slots; i++) {
        (void)t_publish(rig.producers[i % 3], i, size);
        t_take(rig.alone, i, size);
        t_take(rig.members[i % 2], i, size);
        if (i % slots == 0) {
            t_expect_empty(rig.alone);
            t_expect_empty(rig.members[i % 2]);
        }
    }
    rig_close(&rig);
}

TEST(tiny_rings_go_round_many_times)
{
    one_at_a_time(2, 4096, 16, 20000);
    one_at_a_time(4, 4096, 100, 10000);
    one_at_a_time(2, 4096, 4096 / 2 - 128, 5000);
    one_at_a_time(8, 8192, 1000, 5000);
}

/* The ring is filled to the brim and emptied, at every offset. */
static void brim_to_brim(uint64_t slots, uint64_t size)
{
    struct rig rig;
    uint64_t tag = 0;

    rig_open(&rig, slots, 65536);
    for (uint64_t lap = 0; lap < 3000; lap++) {
        uint64_t first = tag;
        unsigned char data[64];
        for (uint64_t n = 0; n < slots; n++, tag++)
            (void)t_publish(rig.producers[tag % 3], tag, size);
        t_fill(data, size, tag);
        T_RC(shmq_producer_publish(rig.producers[tag % 3], data, size, NULL),
            SHMQ_ERR_FULL);
        for (uint64_t n = first; n < tag; n++)
            t_take(rig.alone, n, size);
        for (uint64_t n = first; n < tag; n++)
            t_take(rig.members[n % 2], n, size);
        t_expect_empty(rig.alone);
        t_expect_empty(rig.members[0]);
        t_expect_empty(rig.members[1]);
        if (lap % 2 == 0) {
            (void)t_publish(rig.producers[0], tag, size);
            t_take(rig.alone, tag, size);
            t_take(rig.members[0], tag++, size);
            t_expect_empty(rig.alone);
        }
    }
    rig_close(&rig);
}

TEST(a_ring_holds_exactly_its_capacity_on_every_lap)
{
    brim_to_brim(2, 16);
    brim_to_brim(4, 16);
    brim_to_brim(16, 40);
}

TEST(tiny_arenas_wrap_with_every_size)
{
    struct rig rig;
    uint64_t rnd = t_seed_say("arena");
    uint64_t tags[64];
    uint64_t sizes[64];
    uint64_t head = 0;
    uint64_t tail = 0;

    rig_open(&rig, 16, 4096);
    for (uint64_t i = 0; i < 60000; i++) {
        unsigned char data[2048];
        uint64_t size = t_below(&rnd, t_below(&rnd, 4) ? 300 : 4096 / 2 - 127);
        int rc;
        t_fill(data, size, i);
        rc = shmq_producer_publish(
            rig.producers[t_below(&rnd, 3)], data, size, NULL);
        if (rc == 0) {
            tags[tail % 64] = i;
            sizes[tail++ % 64] = size;
        } else {
            T_RC(rc, SHMQ_ERR_FULL);
            T_TRUE(tail != head);
        }
        while (head != tail && (rc != 0 || t_below(&rnd, 12) == 0)) {
            t_take(rig.alone, tags[head % 64], sizes[head % 64]);
            t_take(rig.members[i % 2], tags[head % 64], sizes[head % 64]);
            head++;
        }
        if (head == tail) {
            t_expect_empty(rig.alone);
            t_expect_empty(rig.members[0]);
        }
    }
    T_TRUE(tail > 5000);
    while (head != tail) {
        t_take(rig.alone, tags[head % 64], sizes[head % 64]);
        t_take(rig.members[0], tags[head % 64], sizes[head % 64]);
        head++;
    }
    rig_close(&rig);
}

TEST(a_view_is_never_overwritten)
{
    struct rig rig;
    uint64_t rnd = t_seed_say("views");
    struct shmq_message held[2];
    uint64_t held_tags[2];
    uint64_t held_sizes[2];
    uint64_t next = 0;

    rig_open(&rig, 8, 4096);
    shmq_consumer_close(rig.alone);
    rig.alone = NULL;
    T_OK(shmq_group_remove(rig.topic, "x", 0));
    for (uint64_t round = 0; round < 3000; round++) {
        for (uint32_t k = 0; k < 2; k++) {
            held_tags[k] = next;
            held_sizes[k] = 8 + t_below(&rnd, 300);
            (void)t_publish(rig.producers[k], next++, held_sizes[k]);
            T_OK(shmq_consumer_receive(rig.members[k], &held[k]));
        }
        for (uint32_t n = 0; n < 20; n++) {
            unsigned char data[400];
            uint64_t size = t_below(&rnd, 400);
            memset(data, 0xee, sizeof(data));
            if (shmq_producer_publish(rig.producers[t_below(&rnd, 3)], data,
                    size, NULL) == SHMQ_ERR_FULL)
                break;
            next++;
        }
        for (uint32_t k = 0; k < 2; k++)
            T_CARRIES(&held[k], held_tags[k], held_sizes[k]);
        T_OK(shmq_consumer_release(rig.members[1], &held[1]));
        T_CARRIES(&held[0], held_tags[0], held_sizes[0]);
        T_OK(shmq_consumer_release(rig.members[0], &held[0]));
        for (;;) {
            struct shmq_message msg;
            int rc = shmq_consumer_receive(rig.members[0], &msg);
            if (rc == SHMQ_ERR_EMPTY)
                break;
            T_OK(rc);
            T_OK(shmq_consumer_release(rig.members[0], &msg));
        }
    }
    rig_close(&rig);
}

static const struct CMUnitTest tests[] = {
    T(tiny_rings_go_round_many_times),
    T(a_ring_holds_exactly_its_capacity_on_every_lap),
    T(tiny_arenas_wrap_with_every_size),
    T(a_view_is_never_overwritten),
};
T_MAIN(tests)
