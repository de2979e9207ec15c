/* sleep_wake - no wake-up is lost between an announced sleep and a publish.
 *
 * Z announces its sleep, looks at the ring once more, and sleeps on its futex
 * word; PUBLISHERS publishers publish and wake. The kernel's futex sleeps when
 * the word is as it was read. Shown: when all publishers have come to an end
 * and there is something to read, nobody sleeps. -DSPSC=1: a plain store and a
 * look at `armed` behind it may lose a wake-up; that is why spsc sleepers
 * settle (wait.h): it must fail without -DSETTLE=1, which puts in the fence
 * that settling stands for. -DPUBLISHERS=2: both find the sleeper's bit, one
 * takes it. Must fail: BAD=1 the ring is looked at before arming, 2 the futex
 * word is read after the look, EDGE_T7 and T8 weakened together.
 *
 * ok:
 * ok: -DPUBLISHERS=2
 * ok: -DSPSC=1 -DSETTLE=1
 * bad: -DSPSC=1
 * bad: -DBAD=1
 * bad: -DBAD=2
 * bad: -DEDGE_T7=memory_order_relaxed -DEDGE_T8=memory_order_relaxed
 * bad: -DEDGE_P6=memory_order_acquire */
#define M_GROUPS 1
#define M_PRODUCERS 2
#define M_ARENA_LG2 7
#define M_CAP_LG2 2
#ifndef SPSC
#define SPSC 0
#endif
#ifndef SETTLE
#define SETTLE 0
#endif
#ifndef PUBLISHERS
#define PUBLISHERS 1
#endif
#define M_ENDPOINTS 3
#include "model.h"

#define Z 2u /* endpoints [0, 2) are producers */

static struct shmqi_gate gates[2];
static struct shmqi_writer writer;
static uint64_t ids[2] = {0, 1};
static uint64_t slept_on = UINT64_MAX;

static bool look(void)
{
    uint64_t w;
    if (SPSC)
        return shmqi_spsc_look(&m_ring, 0, &w) != SHMQI_SPSC_EMPTY;
    return shmqi_mpmc_look(&m_ring, 0, &w) >= 0;
}

/* -- copied from wait.h and wait.c ----------------------------------------- */
static void wake_members(void)
{
    uint64_t bit = 1; /* of endpoint Z */
    if (shm_ld(P6, &m_control.armed_members) == 0)
        return;
    if ((shm_xchg(T6, &m_control.armed_members, 0) & bit) == 0)
        return;
    (void)shm_add(T2, &m_endpoints[Z].wake, 1);
    (void)shm_ld(T3, &m_endpoints[Z].waiting);
}

static void *publisher(void *arg)
{
    uint64_t i = *(uint64_t *)arg, seq;
    if (SPSC) {
        (void)m_spsc_put(&m_ring, &writer);
        if (SETTLE)
            atomic_thread_fence(memory_order_seq_cst);
    } else {
        (void)m_mpmc_put(&m_ring, &gates[i], i, 10 + i, &seq);
    }
    wake_members();
    return NULL;
}

static void *sleeper(void *arg)
{
    struct shmqi_endpoint_shm *e = &m_endpoints[Z];
    uint32_t value = shm_ld(T9, &e->wake);
    shm_st(T10, &e->waiting, 1);
    bool there = BAD == 1 && look();
    (void)shm_or(T7, &m_control.armed_members, 1);
    shm_fence(T8);
    if (BAD != 1)
        there = look();
    if (BAD == 2)
        value = shm_ld(T9, &e->wake);
    if (!there)
        slept_on = value;
    return arg;
}

int main(void)
{
    pthread_t z, p[PUBLISHERS];
    m_topic(SPSC ? SHMQ_RING_SPSC : SHMQ_RING_MPMC);
    for (int i = 0; i < PUBLISHERS; i++)
        gates[i].version = 1;
    pthread_create(&z, NULL, sleeper, NULL);
    for (int i = 0; i < PUBLISHERS; i++)
        pthread_create(&p[i], NULL, publisher, &ids[i]);
    pthread_join(z, NULL);
    for (int i = 0; i < PUBLISHERS; i++)
        pthread_join(p[i], NULL);
    bool asleep = slept_on == shm_ld(T9, &m_endpoints[Z].wake);
    assert(!(asleep && look()) && "a wake-up is lost");
    return 0;
}
