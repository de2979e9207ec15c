/* arena_adopt - a producer killed at any access, its arena taken over at once.
 *
 * A publishes the two frames of its arena and may be killed before any access;
 * B takes the arena on proof of its death, finds which frames are still needed,
 * and publishes one more in a frame that is free; R reads for a gating group,
 * whose reader stays and drains. Shown: what A published is seen whole and
 * once, what B wrote did not change a frame that R needs. -DCOPIES=1: nobody
 * gates; O copies the first frame and believes only what is valid. -DWRITES=3:
 * A uses its first frame again, too.
 *
 * ok:
 * ok: -DCOPIES=1
 * big: -DWRITES=3
 * big: -DCOPIES=1 -DWRITES=3
 * mutate(AGP):
 * mutate(AC): -DCOPIES=1
 * bad: -DBAD=1
 * bad: -DCOPIES=1 -DEDGE_A6=memory_order_relaxed */
#define M_MORTAL 1
#define M_PRODUCERS 2
#define M_ENDPOINTS 2
#define M_GROUPS 1
#define M_ARENA_LG2 7
#ifndef COPIES
#define COPIES 0
#endif
#ifndef WRITES
#define WRITES 2
#endif
#include "model.h"

#define A_IDENTITY 70u
#define B_IDENTITY 71u
#define FRAMES 2u /* of an arena */

static struct shmqi_gate gate_a, gate_b;
static struct m_seen seen;
static pthread_t ta;
static uint64_t last_a[FRAMES], floor_word;

static void write_frame(uint64_t frame, uint64_t value)
{
    for (int i = 0; i < 2; i++)
        shm_st(N2, m_frame_at(&m_ring, frame) + i, value);
}

static int put(struct shmqi_gate *gate, uint64_t frame, uint64_t *ret_seq)
{
    static shmqi_word values;
    uint64_t v = 10 + shm_add(N3, &values, 1);
    write_frame(frame, v);
    int rc = shmqi_mpmc_publish(&m_ring, gate, frame, ret_seq);
    return rc;
}

static void *first(void *arg)
{
    uint64_t seq;
    m_mortal = true;
    for (uint64_t i = 0; i < WRITES; i++) {
        if (i >= FRAMES) {
            (void)shmqi_gate_refresh(&m_ring, &gate_a, UINT64_MAX, NULL);
            if (last_a[i % FRAMES] >= gate_a.seq)
                return arg;
            shmqi_arena_reclaim(&m_ring, 0, gate_a.seq);
        }
        if (put(&gate_a, i % FRAMES, &seq))
            return arg;
        last_a[i % FRAMES] = seq;
    }
    return arg;
}

static void *killer(void *arg)
{
    M_INIT(&m_stop, 1);
    return arg;
}

/* As shmqi_arena_adopt() and the first allocation. BAD=1: what has to be kept
 * is looked for from the gate word on instead of from the own gate. */
static void *second(void *arg)
{
    uint64_t from, to, w, seq, held = 0;
    pthread_join(ta, NULL);
    m_reap(&m_ring, 1, 0, A_IDENTITY);
    shmqi_clear_producer(&m_ring, A_IDENTITY);
    uint64_t owner = shmqi_arena_owner(&m_ring, 0);
    bool mine = (owner == 0 || shmqi_identity_gone(&m_ring, owner)) &&
        shmqi_arena_take(&m_ring, 0, owner, B_IDENTITY);
    assert(mine && "the dead one's arena is not free");
    if (shmqi_adopt_begin(&m_ring, &gate_b))
        return arg;
    shmqi_adopt_range(&m_ring, &gate_b, &from, &to);
    for (uint64_t q = from; q < to; q++)
        if (shmqi_adopt_holds(&m_ring, 0, q, &w) && BAD != 1)
            held |= 1ull << shmqi_slot_frame(w);
    (void)shmqi_adopt_reclaimed(&m_ring, 0, &gate_b);
    uint64_t f = 0;
    while (f < FRAMES && held >> f & 1)
        f++;
    if (f == FRAMES) { /* full: as far as the groups allow */
        (void)shmqi_gate_refresh(&m_ring, &gate_b, UINT64_MAX, NULL);
        for (uint64_t q = to; q-- > from;)
            if (q < gate_b.seq && shmqi_adopt_holds(&m_ring, 0, q, &w))
                f = shmqi_slot_frame(w);
        if (f == FRAMES)
            return arg;
        shmqi_arena_reclaim(&m_ring, 0, gate_b.seq);
    }
    (void)put(&gate_b, f, &seq);
    return arg;
}

static uint64_t next;

/* Whether what was read was whole is asserted at the end: see m_spsc_read. */
static bool take(bool *whole)
{
    uint64_t w;
    int64_t age = shmqi_mpmc_look(&m_ring, next, &w);
    assert(age <= 0 && "the slot was overwritten");
    if (age < 0)
        return false;
    shmqi_word *at = m_frame_at(&m_ring, shmqi_slot_frame(w));
    uint64_t a = M_READ(at), b = M_READ(at + 1);
    *whole &= a == b && a != 0;
    seen.seq[seen.cnt] = next;
    seen.value[seen.cnt++] = a;
    next++;
    (void)m_floor(&m_ring, 0, &floor_word, shmqi_pos(next, 0));
    return true;
}

static void *reader(void *arg)
{
    bool whole = true;
    (void)take(&whole);
    (void)take(&whole);
    assert(whole && "a frame was overwritten");
    return arg;
}

static void *copier(void *arg)
{
    uint64_t w;
    if (shmqi_mpmc_look(&m_ring, 0, &w) != 0)
        return arg;
    shmqi_word *at = m_frame_at(&m_ring, shmqi_slot_frame(w));
    uint64_t a = M_READ(at), b = M_READ(at + 1);
    if (shmqi_mpmc_copy_valid(&m_ring, 0, w, 0))
        assert(a == b && a != 0 && "a torn copy");
    return arg;
}

int main(void)
{
    pthread_t tb, tk, tr;
    bool whole = true;
    m_topic(SHMQ_RING_MPMC);
    M_INIT(&m_endpoints[0].identity, A_IDENTITY);
    M_INIT(&m_endpoints[1].identity, B_IDENTITY);
    M_INIT(&m_arenas[0].owner, A_IDENTITY);
    gate_a.version = 1;
    if (!COPIES)
        m_group(0, SHMQ_GROUP_EXCLUSIVE);
    pthread_create(&ta, NULL, first, NULL);
    pthread_create(&tk, NULL, killer, NULL);
    pthread_create(&tb, NULL, second, NULL);
    pthread_create(&tr, NULL, COPIES ? copier : reader, NULL);
    pthread_join(tk, NULL);
    pthread_join(tb, NULL);
    pthread_join(tr, NULL);
    if (COPIES)
        return 0;
    for (int i = 0; i < 4; i++)
        if (!take(&whole))
            break;
    assert(whole && "a frame was overwritten");
    assert(next == shmqi_mpmc_end(&m_ring) && "a frame is lost");
    for (uint32_t i = 1; i < seen.cnt; i++)
        assert(seen.value[i] > seen.value[i - 1] && "twice, or out of order");
    return 0;
}
