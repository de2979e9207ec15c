/* test_scribbled.c - single words of the control file that a member has written
 * over, and what others must not make of them. Found by hostile_scribble. */
#include "support/unit.h"

#include "layout.h"
#include "spsc.h"
#include "topic_impl.h"
#include "words.h"

/* A floor so far ahead that the laps of a tiny ring's slots, which are modular,
 * look like today's: no record comes out under a position of that time. */
static void read_far_ahead(uint32_t kind)
{
    struct shmq_topic_attrs attrs = t_mpmc(4, 16384);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_consumer_options options = t_options("g", kind);
    struct shmq_producer *p = t_producer(topic);
    struct shmq_consumer *c = NULL;
    struct shmq_message msg;

    T_OK(shmq_group_create(topic, "g", &options.attrs, NULL));
    t_publish_run(p, 0, 3);
    shmqi_word *floor = &topic->segment->ring.groups[0].floor;
    uint64_t far = shmqi_pos(4ull << SHMQI_LAP_BITS, 0);
    *floor = shmqi_cursor(shmqi_cursor_tag(*floor), far);
    T_OK(shmq_consumer_open(topic, &options, &c));
    for (int i = 0; i < 10; i++) {
        int rc = shmq_consumer_receive(c, &msg);
        T_TRUE(rc == SHMQ_ERR_EMPTY || rc == SHMQ_ERR_GAP || rc == SHMQ_OK);
        if (rc == SHMQ_OK) {
            T_TRUE(msg.position < shmqi_pos(4, 0));
            T_OK(shmq_consumer_release(c, &msg));
        }
    }
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE));
}

TEST(a_floor_far_ahead_of_a_tiny_ring_leads_nowhere)
{
    read_far_ahead(SHMQ_GROUP_EXCLUSIVE);
}

TEST(a_shared_floor_far_ahead_of_a_tiny_ring_leads_nowhere)
{
    read_far_ahead(0);
}

/* Bit 62 of version is shmqd's word, and no shmqd serves a topic in memory. */
TEST(a_topic_in_memory_is_never_read_only)
{
    for (int spsc = 0; spsc < 2; spsc++) {
        struct shmq_topic_attrs attrs = spsc ? t_spsc(8192) : t_mpmc(16, 16384);
        struct shmq_topic *topic = t_topic("t", &attrs);
        struct shmq_producer *p = t_producer(topic);
        struct shmq_consumer *c = t_exclusive(topic, "x");
        struct shmq_loan loan;

        t_publish_run(p, 0, 1);
        (void)atomic_fetch_or(
            &topic->segment->ring.control->version, SHMQI_READ_ONLY);
        t_publish_run(p, 1, 2);
        T_OK(shmq_producer_loan(p, 16, NULL, 0, &loan));
        t_fill(loan.data, 16, 3);
        T_OK(shmq_producer_commit(p, &loan, 16, NULL));
        t_take_run(c, 0, 3);
        t_take(c, 3, 16);
        shmq_consumer_close(c);
        shmq_producer_close(p);
        shmq_topic_close(topic);
        T_OK(shmq_topic_unlink(t_ns, "t", 0));
    }
}

/* A commit word of length 0 at the end of what is published: whoever looks for
 * the end from there goes no further, and no call stays there for ever. */
TEST(a_walk_over_commit_words_ends_at_one_without_length)
{
    struct shmq_topic_attrs attrs = t_spsc(8192);
    struct shmq_topic *topic = t_topic("t", &attrs);
    struct shmq_producer *p = t_producer(topic);
    struct shmq_topic_stat before = {.struct_bytes = sizeof before};
    struct shmq_topic_stat stat = {.struct_bytes = sizeof stat};
    struct shmq_message msg;

    t_publish_run(p, 0, 3);
    T_OK(shmq_topic_stat(topic, &before));
    uint64_t end = topic->segment->ring.data->hint;
    end = shmqi_spsc_walk(&topic->segment->ring, end, UINT64_MAX);
    T_TRUE(end > 0);
    *shmqi_spsc_at(&topic->segment->ring, end) = shmqi_commit(0, 0, end);
    T_OK(shmq_topic_stat(topic, &stat));
    T_TRUE(stat.published_position <= before.published_position);
    struct shmq_consumer *c = t_ephemeral(topic, SHMQ_START_LATEST);
    int rc = shmq_consumer_receive(c, &msg);
    T_TRUE(rc == SHMQ_OK || rc == SHMQ_ERR_EMPTY || rc == SHMQ_ERR_GAP ||
        rc == SHMQ_ERR_CORRUPT);
    shmq_consumer_close(c);
    shmq_producer_close(p);
    shmq_topic_close(topic);
    T_OK(shmq_topic_unlink(t_ns, "t", SHMQ_UNLINK_FORCE));
}

static const struct CMUnitTest tests[] = {
    T(a_floor_far_ahead_of_a_tiny_ring_leads_nowhere),
    T(a_shared_floor_far_ahead_of_a_tiny_ring_leads_nowhere),
    T(a_topic_in_memory_is_never_read_only),
    T(a_walk_over_commit_words_ends_at_one_without_length),
};
T_MAIN(tests)
