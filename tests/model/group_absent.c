/* group_absent - absent=release: the last member is gone, and one more joins.
 *
 * The group stops gating when nobody is a member. S finishes that (a sweep
 * after the last one left); J (endpoint 0) joins; P publishes over the oldest
 * frame when its gate lets it. Shown: who has joined finds the frame at the
 * floor whole. -DLEAVE=1: L (endpoint 1) is the member that leaves while J
 * joins.
 *
 * ok:
 * ok: -DLEAVE=1
 * mutate(JG):
 * mutate(JE): -DLEAVE=1
 * bad: -DEDGE_J12=memory_order_relaxed
 * bad: -DBAD=1 */
#define M_ENDPOINTS 2
#define M_GROUPS 1
#define M_PRODUCERS 1
#ifndef LEAVE
#define LEAVE 0
#endif
#include "model.h"

static struct shmqi_gate gate, gate_main;
static struct m_seen seen;

static void *producer(void *arg)
{
    uint64_t seq;
    (void)shmqi_gate_refresh(&m_ring, &gate, 1, NULL);
    if (gate.seq >= 1)
        (void)m_mpmc_put(&m_ring, &gate, 0, 11, &seq);
    return arg;
}

static void *sweeper(void *arg)
{
    if (LEAVE)
        shmqi_life_leave(&m_ring, 1);
    (void)shmqi_life_sweep(&m_ring, 0);
    return arg;
}

/* As shmqi_group_join(), one try. BAD=1: READY is taken at sight, joins stay as
 * they are. */
static void *joiner(void *arg)
{
    uint32_t generation;
    uint64_t bind = shmqi_bind_word(&m_ring, 0);
    if (BAD == 1) {
        shm_st(J5, &m_endpoints[0].member_of, shmqi_naming(0, 0));
        if (shmqi_gword_unpack(shmqi_life_word(&m_ring, 0)).state !=
            SHMQI_GROUP_READY)
            return arg;
    } else if (shmqi_life_join(&m_ring, 0, 0, 0, bind, &generation) !=
        SHMQI_JOINED) {
        return arg;
    }
    (void)m_mpmc_read(&m_ring, 0, &seen);
    return arg;
}

int main(void)
{
    pthread_t p, s, j;
    uint64_t seq;
    m_topic(SHMQ_RING_MPMC);
    m_group(0, SHMQ_GROUP_EXCLUSIVE);
    M_INIT(&m_groups[0].attrs,
        SHMQ_GROUP_EXCLUSIVE | SHMQ_ABSENT_RELEASE << 8 | SHMQI_ATTR_VIEWS);
    M_INIT(&m_endpoints[0].identity, 70);
    if (LEAVE)
        m_endpoint(1, 71);
    gate_main.version = 1;
    (void)m_mpmc_put(&m_ring, &gate_main, 0, 10, &seq);
    pthread_create(&p, NULL, producer, NULL);
    pthread_create(&s, NULL, sweeper, NULL);
    pthread_create(&j, NULL, joiner, NULL);
    pthread_join(p, NULL);
    pthread_join(s, NULL);
    pthread_join(j, NULL);
    m_seen_check(&seen);
    return 0;
}
