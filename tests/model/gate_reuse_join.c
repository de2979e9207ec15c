/* gate_reuse_join - arena memory reused behind the gate while a group joins.
 *
 * Producer A has an arena of one frame: it publishes, refreshes its gate,
 * writes the same bytes again when its frame is below that gate, publishes
 * again; it never drops the gate (gate.h). -DB=1: B moves tail for it.
 * R reads for group 0; J makes group 1 (-DLATEST=1: at the end, else earliest)
 * and reads from its start. Shown: nobody who gates sees a frame change.
 * Must fail: BAD=1 memory reused against the gate word instead of the own
 * refresh.
 *
 * ok:
 * ok: -DLATEST=1
 * ok: -DB=1
 * big: -DB=1 -DLATEST=1
 * mutate(GPJA):
 * bad: -DBAD=1
 * bad: -DEDGE_G2=memory_order_relaxed
 * bad: -DEDGE_G6=memory_order_relaxed
 * bad: -DEDGE_G7=memory_order_relaxed
 * bad: -DEDGE_J10=memory_order_relaxed */
#define M_ENDPOINTS 1
#include "model.h"

#ifndef LATEST
#define LATEST 0
#endif
#ifndef B
#define B 0
#endif
#ifndef FRAMES
#define FRAMES 3
#endif

static struct m_seen seen_r, seen_j;
static struct shmqi_gate gate_a;

static void *producer_a(void *arg)
{
    uint64_t seq = 0;
    if (m_mpmc_put(&m_ring, &gate_a, 0, 10, &seq))
        return arg;
    for (uint64_t i = 1; i < FRAMES; i++) {
        (void)shmqi_gate_refresh(&m_ring, &gate_a, seq + 1, NULL);
        uint64_t low = BAD == 1 ? shm_ld(G5, &m_data.gate) : gate_a.seq;
        if (seq >= low)
            return arg;
        shmqi_arena_reclaim(&m_ring, 0, low);
        if (m_mpmc_put(&m_ring, &gate_a, 0, 10 + i, &seq))
            return arg;
    }
    return arg;
}

static void *helper(void *arg)
{
    shmqi_mpmc_help_tail(&m_ring);
    return arg;
}

static void *reader(void *arg)
{
    uint64_t word = 0;
    for (uint64_t seq = 0; seq < FRAMES - 1; seq++) {
        if (!m_mpmc_read(&m_ring, seq, &seen_r))
            break;
        (void)m_floor(&m_ring, 0, &word, shmqi_pos(seq + 1, 0));
    }
    return arg;
}

static void *joiner(void *arg)
{
    uint64_t start =
        m_place(&m_ring, 1, m_gword(0, SHMQI_GROUP_CREATING, 0), LATEST);
    (void)m_mpmc_read(&m_ring, shmqi_pos_seq(start), &seen_j);
    return arg;
}

int main(void)
{
    pthread_t a, b, r, j;
    m_topic(SHMQ_RING_MPMC);
    m_group(0, SHMQ_GROUP_EXCLUSIVE);
    M_INIT(&m_groups[1].word, m_gword(0, SHMQI_GROUP_CREATING, 0));
    pthread_create(&a, NULL, producer_a, NULL);
    pthread_create(&r, NULL, reader, NULL);
    pthread_create(&j, NULL, joiner, NULL);
    if (B)
        pthread_create(&b, NULL, helper, NULL);
    pthread_join(a, NULL);
    pthread_join(r, NULL);
    pthread_join(j, NULL);
    if (B)
        pthread_join(b, NULL);
    m_seen_check(&seen_r);
    m_seen_check(&seen_j);
    return 0;
}
