/* spsc_wrap - records that do not divide the ring: pads, the zero ahead.
 *
 * P publishes RECORDS records of 40 bytes into a ring of 128 (pads of 8), R
 * reads them and moves its floor. Shown: R sees each record whole and in order,
 * and never anything that is neither a record nor the end; ring and floor never
 * block each other. -DBATCHES=n: n batches of two records instead, each of them
 * seen whole or not at all.
 *
 * ok:
 * ok: -DRECORDS=7
 * ok: -DBATCHES=4
 * big: -DRECORDS=12
 * big: -DBATCHES=5
 * mutate(WRG):
 * mutate(WR): -DBATCHES=4
 * bad: -DEDGE_W1=memory_order_relaxed
 * bad: -DEDGE_R1=memory_order_relaxed
 * bad: -DEDGE_J10=memory_order_relaxed */
#define M_PRODUCERS 1
#ifndef BATCHES
#define BATCHES 0
#endif
#define M_ARENA_LG2 (BATCHES ? 8 : 7)
#define M_GROUPS 1
#ifndef RECORDS
#define RECORDS 5
#endif
#include "model.h"

#define LEN 40u

static struct shmqi_writer writer;
static uint64_t published, received;

static int put(uint64_t value)
{
    return m_spsc_write(&m_ring, &writer, LEN, value);
}

/* Two records as one publish, as shmqi_spsc_put(). */
static int put_two(uint64_t value)
{
    uint64_t pos;
    int rc = shmqi_spsc_reserve(&m_ring, &writer, 2 * LEN, &pos);
    if (rc)
        return rc;
    for (uint64_t i = 0; i < 2 * LEN; i += 8)
        if (i % LEN)
            M_INIT(shmqi_spsc_at(&m_ring, pos + i), value + i / LEN);
    shmqi_spsc_ahead(&m_ring, pos + LEN, LEN);
    shmqi_spsc_finish_batch(&m_ring, &writer, LEN, pos + 2 * LEN);
    return SHMQ_OK;
}

static void *producer(void *arg)
{
    for (uint64_t i = 0; i < BATCHES && put_two(100 + 2 * i) == SHMQ_OK; i++)
        published += 2;
    if (BATCHES)
        return arg;
    for (uint64_t i = 0; i < RECORDS && put(100 + i) == SHMQ_OK; i++)
        published++;
    return arg;
}

static uint64_t pos, word;

/* As next_spsc() and the flush. */
static bool take(bool *whole)
{
    uint64_t w;
    enum shmqi_spsc_seen seen = shmqi_spsc_look(&m_ring, pos, &w);
    assert(seen != SHMQI_SPSC_NONSENSE && "neither a record nor the end");
    if (seen == SHMQI_SPSC_PAD) {
        pos += shmqi_commit_len(w);
        seen = shmqi_spsc_look(&m_ring, pos, &w);
        assert(seen != SHMQI_SPSC_NONSENSE && "nonsense after a pad");
    }
    if (seen != SHMQI_SPSC_RECORD)
        return false;
    *whole &= M_READ(shmqi_spsc_at(&m_ring, pos + 8)) == 100 + received;
    *whole &= M_READ(shmqi_spsc_at(&m_ring, pos + 32)) == 100 + received;
    pos += shmqi_commit_len(w);
    received++;
    (void)m_floor(&m_ring, 0, &word, pos);
    return true;
}

static void *reader(void *arg)
{
    bool whole = true;
    for (int i = 0; i < RECORDS; i++)
        if (!take(&whole))
            break;
    assert(whole && "a record was overwritten");
    return arg;
}

int main(void)
{
    pthread_t p, r;
    bool whole = true;
    m_topic(SHMQ_RING_SPSC);
    m_group(0, SHMQ_GROUP_EXCLUSIVE);
    pthread_create(&p, NULL, producer, NULL);
    pthread_create(&r, NULL, reader, NULL);
    pthread_join(p, NULL);
    pthread_join(r, NULL);
    for (int i = 0; i <= RECORDS; i++)
        if (!take(&whole))
            break;
    assert(whole && received == published && "a record is lost");
    assert(put(100 + published) == SHMQ_OK && "an empty ring is full");
    assert(take(&whole) && whole);
    return 0;
}
