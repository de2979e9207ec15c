/* spsc_takeover - a producer killed at any access, its successor goes on.
 *
 * P1 publishes two records and may be killed before any access; P2 takes the
 * role on proof of its death, as shmqi_spsc_open() does, and publishes one
 * more; R reads for a gating group. Shown: what P1 committed stays, in order
 * and whole, what it did not commit never appears, and P2's record follows.
 * -DCOPIES=1: R does not gate; P1 is killed inside a long record that laps old
 * ones, P2 publishes a short one; R's validated copy of an old one is whole.
 * Each record names its author.
 * -DEASY=1: a roomy ring, so that P1 goes the easy way and its hint lags.
 *
 * ok:
 * ok: -DEASY=1
 * ok: -DCOPIES=1
 * mutate(AWR):
 * mutate(AWR): -DCOPIES=1
 * mutate(W): -DEASY=1
 * bad: -DCOPIES=1 -DEDGE_W3=memory_order_relaxed
 * bad: -DCOPIES=1 -DEDGE_R2=memory_order_relaxed */
#define M_MORTAL 1
#define M_PRODUCERS 1
#define M_GROUPS 1
#ifndef COPIES
#define COPIES 0
#endif
#ifndef EASY
#define EASY 0
#endif
#define M_ARENA_LG2 (EASY ? 11 : COPIES ? 8 : 7)
#include "model.h"

static struct shmqi_writer w1, w2;
static pthread_t t1;

#define P1_IDENTITY 70u
#define P2_IDENTITY 71u

static int put(struct shmqi_writer *w, uint64_t len, uint64_t value)
{
    return m_spsc_write(&m_ring, w, len, value);
}

static void *first(void *arg)
{
    m_mortal = true;
    if (COPIES) {
        (void)put(&w1, 96, 101);
        return arg;
    }
    for (uint64_t i = 1; i < 3; i++)
        if (put(&w1, 32, 100 + i))
            break;
    return arg;
}

static void *killer(void *arg)
{
    M_INIT(&m_stop, 1);
    return arg;
}

/* As take_role() and shmqi_spsc_open(), once the attach has reaped. */
static void *second(void *arg)
{
    pthread_join(t1, NULL);
    m_reap(&m_ring, 1, 0, P1_IDENTITY);
    shmqi_clear_producer(&m_ring, P1_IDENTITY);
    uint64_t holder = shmqi_writer_holder(&m_ring);
    assert((holder == 0 || shmqi_identity_gone(&m_ring, holder)) &&
        "the dead one's role is not free");
    bool mine = shmqi_writer_take(&m_ring, holder, P2_IDENTITY);
    assert(mine);
    int rc = shmqi_writer_begin(&m_ring, &w2);
    assert(rc == SHMQ_OK && "the ring is damaged");
    shmqi_writer_enter(&m_ring, w2.pos, P2_IDENTITY);
    (void)put(&w2, 32, 200);
    return arg;
}

static uint64_t pos, word, last = 100;
static bool end;

static bool take(bool *whole)
{
    uint64_t w;
    enum shmqi_spsc_seen seen = shmqi_spsc_look(&m_ring, pos, &w);
    assert(seen != SHMQI_SPSC_NONSENSE && "neither a record nor the end");
    if (seen != SHMQI_SPSC_RECORD)
        return false;
    uint64_t v = M_READ(shmqi_spsc_at(&m_ring, pos + 8));
    *whole &= M_READ(shmqi_spsc_at(&m_ring, pos + 24)) == v;
    uint64_t cnt, from;
    uint64_t author = shmqi_writer_of(&m_ring, pos, &cnt, &from);
    *whole &= author == (v == 200 ? P2_IDENTITY : P1_IDENTITY);
    *whole &= !end && (v == last + 1 || v == 200);
    end = v == 200;
    last = v;
    pos += shmqi_commit_len(w);
    (void)m_floor(&m_ring, 0, &word, pos);
    return true;
}

/* As next_spsc() and fill_spsc() with copies: the third record. */
static void copy(void)
{
    uint64_t w;
    if (shmqi_spsc_look(&m_ring, 64, &w) != SHMQI_SPSC_RECORD)
        return;
    uint64_t a = M_READ(shmqi_spsc_at(&m_ring, 72));
    uint64_t b = M_READ(shmqi_spsc_at(&m_ring, 88));
    if (shmqi_spsc_copy_valid(&m_ring, 64, w))
        assert(a == 52 && b == 52 && "a torn copy");
}

static void *reader(void *arg)
{
    bool whole = true;
    if (COPIES) {
        copy();
        return arg;
    }
    for (int i = 0; i < 2; i++)
        if (!take(&whole))
            break;
    assert(whole && "a record is wrong");
    return arg;
}

int main(void)
{
    pthread_t t2, tk, tr;
    bool whole = true;
    m_topic(SHMQ_RING_SPSC);
    M_INIT(&m_endpoints[0].identity, P1_IDENTITY);
    M_INIT(&m_endpoints[1].identity, P2_IDENTITY);
    M_INIT(&m_data.role, P1_IDENTITY);
    shmqi_writer_enter(&m_ring, 0, P1_IDENTITY);
    if (!COPIES)
        m_group(0, SHMQ_GROUP_EXCLUSIVE);
    for (uint64_t i = 8; !COPIES && i < 128; i += 8)
        M_INIT(shmqi_spsc_at(&m_ring, i), 7); /* left by an earlier lap */
    for (uint64_t i = 0; COPIES && i < 7; i++)
        (void)put(&w1, 32, 50 + i);
    pthread_create(&t1, NULL, first, NULL);
    pthread_create(&tk, NULL, killer, NULL);
    pthread_create(&t2, NULL, second, NULL);
    pthread_create(&tr, NULL, reader, NULL);
    pthread_join(tk, NULL);
    pthread_join(t2, NULL);
    pthread_join(tr, NULL);
    if (COPIES) {
        copy();
        return 0;
    }
    for (int i = 0; i < 4; i++)
        if (!take(&whole))
            break;
    assert(whole && end && "a record is wrong or lost");
    return 0;
}
