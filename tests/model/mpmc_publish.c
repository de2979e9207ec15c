/* mpmc_publish - publish by one compare-and-swap, claims by competing members.
 *
 * -DP producers publish one frame each, -DC members claim. Shown: each frame is
 * published once, in a place of its own, whole; no frame is claimed twice; when
 * all is quiet the members find what is left. -DEASY=1: publishers go the easy
 * way first. Must fail: EDGE_P4 or EDGE_C1 relaxed: a frame is seen before its
 * bytes.
 *
 * ok:
 * ok: -DEASY=1
 * ok: -DLOOKS=2
 * ok: -DP=3 -DC=1
 * big: -DP=3 -DC=1 -DLOOKS=2
 * big: -DP=2 -DC=2 -DLOOKS=3
 * mutate(PC):
 * mutate(P): -DEASY=1
 * bad: -DEDGE_P4=memory_order_relaxed
 * bad: -DEDGE_C1=memory_order_relaxed */
#define M_ENDPOINTS 4
#define M_PRODUCERS 4
#define M_CAP_LG2 2
#define M_CLAIM_LG2 2
#ifndef P
#define P 2
#endif
#ifndef C
#define C 2
#endif
#ifndef LOOKS
#define LOOKS 1
#endif
#ifndef EASY
#define EASY 0
#endif
#include "model.h"

static struct shmqi_gate gates[3];
static struct m_member members[3];
static uint64_t seqs[3];
static struct m_seen seens[3];
static uint64_t ids[3] = {0, 1, 2};

static void *producer(void *arg)
{
    uint64_t i = *(uint64_t *)arg;
    if (EASY) { /* as shmqi_mpmc_easy() */
        uint64_t t = shm_ld(P1, &m_data.tail);
        M_INIT(m_frame_at(&m_ring, i), 10 + i);
        if (shmqi_mpmc_try(
                &m_ring, &gates[i], t, shmqi_slot_at(&m_ring, t), i)) {
            (void)shm_cas(P5, &m_data.tail, t, t + 1);
            seqs[i] = t;
            M_INIT(&m_truth[t], 10 + i);
            return NULL;
        }
    }
    int rc = m_mpmc_put(&m_ring, &gates[i], i, 10 + i, &seqs[i]);
    assert(rc == SHMQ_OK);
    return NULL;
}

static void look(struct m_member *m, struct m_seen *s)
{
    if (m_take_fresh(m))
        m_see(&m_ring, m->seq, m->slot, s);
}

static void *member(void *arg)
{
    uint64_t i = *(uint64_t *)arg;
    for (int n = 0; n < LOOKS; n++)
        look(&members[i], &seens[i]);
    return NULL;
}

int main(void)
{
    pthread_t t[6];
    m_topic(SHMQ_RING_MPMC);
    m_group(0, SHMQ_GROUP_SHARED);
    for (uint32_t i = 0; i < P; i++)
        gates[i].version = 1;
    for (uint32_t i = 0; i < C; i++) {
        m_member_open(&m_ring, &members[i], i);
        members[i].find.epoch = 0;
    }
    for (uint32_t i = 0; i < P; i++)
        pthread_create(&t[i], NULL, producer, &ids[i]);
    for (uint32_t i = 0; i < C; i++)
        pthread_create(&t[P + i], NULL, member, &ids[i]);
    for (uint32_t i = 0; i < P + C; i++)
        pthread_join(t[i], NULL);
    uint64_t places = 0, claimed = 0;
    for (uint32_t i = 0; i < P; i++)
        places |= 1ull << seqs[i];
    assert(places == (1u << P) - 1 && "two frames in one place");
    for (uint32_t n = 0; n < P + 1; n++)
        look(&members[0], &seens[0]);
    for (uint32_t i = 0; i < C; i++) {
        m_seen_check(&seens[i]);
        for (uint32_t n = 0; n < seens[i].cnt; n++) {
            assert(!(claimed >> seens[i].seq[n] & 1) && "claimed twice");
            claimed |= 1ull << seens[i].seq[n];
        }
    }
    assert(claimed == (1u << P) - 1 && "a frame is never found");
    return 0;
}
