/* spsc_join - a group joins an spsc ring while its producer laps it.
 *
 * Producer P publishes through shmqi_spsc_reserve/commit with a gate that it
 * keeps for ever (gate.h); reader R of group 0 moves its floor; J makes group 1
 * (-DLATEST=1: at the end, else at the gate) and reads. Shown: what J finds at
 * its start is a whole record or the end, never something overwritten, and when
 * all is quiet its place is a boundary (no zero in the middle of a record).
 * The fences G8 and J7 are not needed here: the gate word carries the hint (it
 * is raised after the hint's store).
 *
 * ok:
 * ok: -DLATEST=1
 * ok: -DRECORDS=4
 * big: -DRECORDS=4 -DLATEST=1
 * mutate(GJWR): -DLATEST=1
 * mutate(GJWR):
 * ok: -DLATEST=1 -DEDGE_G8=memory_order_relaxed -DEDGE_J7=memory_order_relaxed
 * bad: -DEDGE_G2=memory_order_relaxed
 * bad: -DEDGE_G6=memory_order_relaxed
 * bad: -DEDGE_G7=memory_order_relaxed
 * bad: -DEDGE_J4=memory_order_relaxed
 * bad: -DEDGE_J10=memory_order_relaxed
 * bad: -DEDGE_R1=memory_order_relaxed
 * bad: -DEDGE_W1=memory_order_relaxed
 * bad: -DLATEST=1 -DEDGE_J1=memory_order_relaxed
 * bad: -DLATEST=1 -DEDGE_W4=memory_order_relaxed */
#define M_PRODUCERS 1
#ifndef RECORDS
#define RECORDS 3
#endif
#ifndef LATEST
#define LATEST 0
#endif
#include "model.h"

static struct shmqi_writer writer;

static void *producer(void *arg)
{
    for (int i = 0; i < RECORDS; i++)
        if (m_spsc_put(&m_ring, &writer))
            break;
    return arg;
}

static void *reader(void *arg)
{
    uint64_t word = 0, pos = 0;
    bool whole = true;
    for (int i = 0; i < RECORDS - 1; i++) {
        if (!m_spsc_read(&m_ring, pos, &whole))
            break;
        pos += M_RECORD;
        (void)m_floor(&m_ring, 0, &word, pos);
    }
    assert(whole && "a payload was overwritten");
    return arg;
}

static uint64_t start;

static void *joiner(void *arg)
{
    bool whole = true;
    start = m_place(&m_ring, 1, m_gword(0, SHMQI_GROUP_CREATING, 0), LATEST);
    (void)m_spsc_read(&m_ring, start, &whole);
    assert(whole && "the first record was overwritten");
    return arg;
}

int main(void)
{
    pthread_t p, r, j;
    m_topic(SHMQ_RING_SPSC);
    m_group(0, SHMQ_GROUP_EXCLUSIVE);
    M_INIT(&m_groups[1].word, m_gword(0, SHMQI_GROUP_CREATING, 0));
    pthread_create(&p, NULL, producer, NULL);
    pthread_create(&r, NULL, reader, NULL);
    pthread_create(&j, NULL, joiner, NULL);
    pthread_join(p, NULL);
    pthread_join(r, NULL);
    pthread_join(j, NULL);
    bool whole = true;
    if (!m_spsc_read(&m_ring, start, &whole))
        assert(start == writer.pos && "a hole that looks like the end");
    assert(whole && "the first record was overwritten");
    return 0;
}
