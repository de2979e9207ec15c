/* floor_walk - members that finish neighbouring frames at the same time.
 *
 * MEMBERS members hold one claim each and acknowledge it; whoever does so walks
 * the floor over what is done. Shown: when all are through, the floor is behind
 * the last frame: it is nobody's duty in particular, and nobody leaves it to
 * another one who has not seen it. -DKILL=1: the first member may be killed
 * before any access; then its reaper walks.
 *
 * ok:
 * ok: -DKILL=1
 * big: -DMEMBERS=3
 * mutate(S):
 * bad: -DEDGE_S2=memory_order_acquire -DEDGE_S10=memory_order_acq_rel */
#define M_MORTAL 1
#define M_ENDPOINTS 4
#define M_GROUPS 1
#define M_PRODUCERS 1
#define M_CAP_LG2 2
#define M_CLAIM_LG2 2
#define M_ARENA_LG2 8
#ifndef MEMBERS
#define MEMBERS 2
#endif
#ifndef KILL
#define KILL 0
#endif
#include "model.h"

static struct shmqi_gate gate;
static struct m_member members[3];
static uint64_t ids[3] = {0, 1, 2};

static void *member(void *arg)
{
    uint64_t i = *(uint64_t *)arg;
    m_mortal = KILL && i == 0;
    (void)m_ack(&members[i]);
    return NULL;
}

static void *killer(void *arg)
{
    M_INIT(&m_stop, 1);
    return arg;
}

int main(void)
{
    pthread_t t[MEMBERS], k;
    uint64_t seq;
    m_topic(SHMQ_RING_MPMC);
    m_group(0, SHMQ_GROUP_SHARED);
    gate.version = 1;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        m_endpoint(i, 70 + i);
        (void)m_mpmc_put(&m_ring, &gate, i, 10 + i, &seq);
        m_member_open(&m_ring, &members[i], i);
        members[i].find.epoch = 0;
        bool got = m_take_fresh(&members[i]);
        assert(got);
    }
    for (uint32_t i = 0; i < MEMBERS; i++)
        pthread_create(&t[i], NULL, member, &ids[i]);
    if (KILL)
        pthread_create(&k, NULL, killer, NULL);
    for (uint32_t i = 0; i < MEMBERS; i++)
        pthread_join(t[i], NULL);
    if (KILL) {
        pthread_join(k, NULL);
        m_reap(&m_ring, 3, 0, 70);
        if (m_poll(&members[1])) /* who lives on drains */
            (void)m_ack(&members[1]);
    }
    assert(shmqi_claims_floor(&members[1].find.claims, 0) == MEMBERS &&
        "the floor stays behind");
    return 0;
}
