/* join_earliest - a group joins at the earliest place while the producer laps
 * the ring of slots.
 *
 * P publishes FRAMES frames into two slots, behind its own gate; R reads for
 * group 0 and moves its floor; J makes group 1 at the earliest place
 * (-DLATEST=1: at the end) and reads two frames from there on; both readers
 * stay and drain in the end. Shown: nobody who gates finds a slot overwritten,
 * each reads every sequence from its start to the end, and the ring does not
 * stay full.
 *
 * ok:
 * ok: -DLATEST=1
 * big: -DFRAMES=4
 * mutate(GPJC):
 * bad: -DEDGE_G6=memory_order_relaxed */
#define M_ENDPOINTS 1
#define M_PRODUCERS 1
#ifndef LATEST
#define LATEST 0
#endif
#ifndef FRAMES
#define FRAMES 3
#endif
#define M_ARENA_LG2 9 /* a frame of memory for each */
#include "model.h"

static struct shmqi_gate gate;
static struct m_seen seen_r, seen_j;
static uint64_t next_r, next_j, word_r, word_j;

static void *producer(void *arg)
{
    uint64_t seq;
    for (uint64_t i = 0; i < FRAMES; i++)
        if (m_mpmc_put(&m_ring, &gate, i, 10 + i, &seq))
            break;
    return arg;
}

static bool take(
    uint32_t entry, uint64_t *next, uint64_t *word, struct m_seen *s)
{
    if (!m_mpmc_read(&m_ring, *next, s))
        return false;
    ++*next;
    (void)m_floor(&m_ring, entry, word, shmqi_pos(*next, 0));
    return true;
}

static void *reader(void *arg)
{
    for (int i = 0; i < FRAMES - 1; i++)
        if (!take(0, &next_r, &word_r, &seen_r))
            break;
    return arg;
}

static void *joiner(void *arg)
{
    uint64_t creating = m_gword(0, SHMQI_GROUP_CREATING, 0);
    next_j = shmqi_pos_seq(m_place(&m_ring, 1, creating, LATEST));
    word_j = shmqi_cursor(SHMQI_TAG_STEP, shmqi_pos(next_j, 0));
    for (int i = 0; i < 2; i++)
        if (!take(1, &next_j, &word_j, &seen_j))
            break;
    return arg;
}

int main(void)
{
    pthread_t p, r, j;
    uint64_t seq;
    m_topic(SHMQ_RING_MPMC);
    m_group(0, SHMQ_GROUP_EXCLUSIVE);
    M_INIT(&m_groups[1].word, m_gword(0, SHMQI_GROUP_CREATING, 0));
    pthread_create(&p, NULL, producer, NULL);
    pthread_create(&r, NULL, reader, NULL);
    pthread_create(&j, NULL, joiner, NULL);
    pthread_join(p, NULL);
    pthread_join(r, NULL);
    pthread_join(j, NULL);
    for (int i = 0; i < FRAMES; i++) {
        (void)take(0, &next_r, &word_r, &seen_r);
        (void)take(1, &next_j, &word_j, &seen_j);
    }
    uint64_t end = shmqi_mpmc_end(&m_ring);
    assert(next_r == end && next_j == end && "a frame is lost");
    int rc = shmqi_mpmc_publish(&m_ring, &gate, FRAMES, &seq);
    assert(rc == SHMQ_OK && seq == end && "an empty ring is full");
    m_seen_check(&seen_r);
    m_seen_check(&seen_j);
    return 0;
}
