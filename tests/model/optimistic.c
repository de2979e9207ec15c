/* optimistic - readers that gate nobody copy and validate.
 *
 * P publishes, gives its frame up (reclaimed), writes the same bytes again,
 * publishes; nobody gates. R copies the first frame and validates. Shown: what
 * is valid is whole. Must fail: BAD=1 the slot alone is looked at, 2 the bytes
 * change before `reclaimed` tells, EDGE_A6, C2 relaxed.
 *
 * ok:
 * big: -DFRAMES=5
 * mutate(ACP):
 * bad: -DBAD=1
 * bad: -DBAD=2
 * bad: -DEDGE_A6=memory_order_relaxed
 * bad: -DEDGE_C2=memory_order_relaxed */
#define M_GROUPS 1
#define M_ENDPOINTS 1
#ifndef FRAMES
#define FRAMES 3
#endif
#include "model.h"

static struct shmqi_gate gate;

static void write_frame(uint64_t value)
{
    shmqi_word *at = m_frame_at(&m_ring, 0);
    for (int i = 0; i < 2; i++)
        shm_st(N2, at + i, value);
}

static void *producer(void *arg)
{
    uint64_t seq;
    for (uint64_t v = 10; v < 10 + FRAMES; v++) {
        if (v > 10) {
            (void)shmqi_gate_refresh(&m_ring, &gate, seq + 1, NULL);
            if (gate.seq <= seq)
                return arg;
            if (BAD == 2)
                write_frame(v);
            shmqi_arena_reclaim(&m_ring, 0, gate.seq);
        }
        write_frame(v);
        if (shmqi_mpmc_publish(&m_ring, &gate, 0, &seq))
            return arg;
    }
    return arg;
}

static void copy(uint64_t seq)
{
    uint64_t w;
    if (shmqi_mpmc_look(&m_ring, seq, &w) != 0)
        return;
    shmqi_word *at = m_frame_at(&m_ring, shmqi_slot_frame(w));
    uint64_t a = M_READ(at), b = M_READ(at + 1);
    bool valid = BAD == 1 ? shm_ld(C1, shmqi_slot_at(&m_ring, seq)) == w
                          : shmqi_mpmc_copy_valid(&m_ring, seq, w, 0);
    if (valid)
        assert(a == 10 + seq && b == 10 + seq && "a torn copy");
}

static void *reader(void *arg)
{
    copy(0);
    copy(1);
    return arg;
}

int main(void)
{
    pthread_t p, r;
    m_topic(SHMQ_RING_MPMC);
    gate.version = 1;
    pthread_create(&p, NULL, producer, NULL);
    pthread_create(&r, NULL, reader, NULL);
    pthread_join(p, NULL);
    pthread_join(r, NULL);
    return 0;
}
