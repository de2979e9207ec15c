/* sleep_wake - no wake-up is lost between an announced sleep and a publish.
 *
 * Z announces its sleep, looks at the ring once more, and sleeps on its futex
 * word; PUBLISHERS publishers publish and wake. The kernel's futex sleeps when
 * the word is as it was read, and wakes whom it finds asleep. Shown: when all
 * publishers have come to an end and there is something to read, nobody sleeps.
 * -DPOLL=1: Z polls a doorbell instead. -DROOM=1: Z is a producer that waits
 * for room, and a reader moves its floor. -DSPIN=1: Z really waits, in a loop
 * on its futex word, and the checker looks for executions that never end
 * (liveness). -DSPSC=1: a plain store and a look at `armed` behind it may lose
 * a wake-up; that is why spsc sleepers settle (wait.h): it must fail without
 * -DSETTLE=1, which puts in the fence that settling stands for; with the
 * asymmetric option it is the fence that the sleeper's membarrier(2) makes the
 * publisher execute. -DPUBLISHERS=2: both find the sleeper's bit, one takes it.
 * Must fail: BAD=1 the ring is looked at before arming, 2 the futex word is
 * read after the look.
 *
 * ok:
 * ok: -DPUBLISHERS=2
 * ok: -DPOLL=1
 * ok: -DPOLL=1 -DPUBLISHERS=2
 * ok: -DROOM=1
 * ok: -DSPIN=1
 * ok: -DSPIN=1 -DPUBLISHERS=2
 * ok: -DSPSC=1 -DSETTLE=1
 * ok: -DSPSC=1 -DSETTLE=1 -DSPIN=1
 * big: -DPUBLISHERS=3
 * mutate(TPC):
 * mutate(TPC): -DPUBLISHERS=2
 * mutate(TP): -DPOLL=1 -DPUBLISHERS=2
 * mutate(TGJ): -DROOM=1
 * mutate(TRW): -DSPSC=1 -DSETTLE=1
 * bad: -DSPSC=1
 * bad: -DSPSC=1 -DSPIN=1
 * bad: -DBAD=1
 * bad: -DBAD=1 -DSPIN=1
 * bad: -DBAD=1 -DPOLL=1
 * bad: -DBAD=2
 * bad: -DEDGE_T7=memory_order_relaxed -DEDGE_T8=memory_order_relaxed
 * bad: -DEDGE_P6=memory_order_acquire */
#define M_GROUPS 1
#define M_PRODUCERS 3
#define M_ARENA_LG2 7
#define M_CAP_LG2 2
#ifndef SPSC
#define SPSC 0
#endif
#ifndef SETTLE
#define SETTLE 0
#endif
#ifndef POLL
#define POLL 0
#endif
#ifndef ROOM
#define ROOM 0
#endif
#ifndef SPIN
#define SPIN 0
#endif
#ifndef PUBLISHERS
#define PUBLISHERS 1
#endif
#define M_ENDPOINTS 4
#include "model.h"

/* Endpoints [0, 3) are producers. */
#define Z (ROOM ? 0u : 3u)

static struct shmqi_gate gates[3];
static struct shmqi_writer writer;
static uint64_t ids[3] = {0, 1, 2};
static uint64_t slept_on = UINT64_MAX;
static bool asleep;
static shmqi_word rung; /* how often the bell was rung */

static bool look(void)
{
    uint64_t w;
    if (ROOM) /* as room for the next publish under `block` */
        return shmqi_floors_min(&m_ring, 1) >= 1;
    if (SPSC)
        return shmqi_spsc_look(&m_ring, 0, &w) != SHMQI_SPSC_EMPTY;
    return shmqi_mpmc_look(&m_ring, 0, &w) >= 0;
}

/* As wake_one() in wait.c for the bits of Z. */
static void wake(uint64_t bits)
{
    if ((bits & shmqi_armed_bit(&m_ring, Z)) == 0)
        return;
    if (shmqi_wake_word(&m_ring, Z) & SHMQI_WAKE_BELL)
        (void)shm_add(N3, &rung, 1);
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
    if (shmqi_members_armed(&m_ring))
        wake(shmqi_members_disarm(&m_ring));
    return NULL;
}

static void *freer(void *arg)
{
    uint64_t word = 0;
    (void)m_floor(&m_ring, 0, &word, shmqi_pos(1, 0));
    if (shmqi_producers_armed(&m_ring))
        wake(shmqi_producers_disarm(&m_ring));
    return arg;
}

static void *sleeper(void *arg)
{
    uint64_t value = 0;
    bool there = BAD == 1 && look();
    if (POLL)
        shmqi_poll_announce(&m_ring, Z);
    else
        value = shmqi_sleep_announce(
            &m_ring, Z, ROOM ? SHMQI_WAITS_ROOM : SHMQI_WAITS_DATA);
    if (BAD != 1)
        there = look();
    if (BAD == 2)
        value = shm_ld(T9, &m_endpoints[Z].wake);
    if (there)
        return arg;
    asleep = true;
    slept_on = value;
    while (SPIN && shm_ld(T9, &m_endpoints[Z].wake) == value)
        ;
    return arg;
}

int main(void)
{
    pthread_t z, p[PUBLISHERS];
    m_topic(SPSC ? SHMQ_RING_SPSC : SHMQ_RING_MPMC);
    m_group(0, SHMQ_GROUP_EXCLUSIVE);
    for (int i = 0; i < PUBLISHERS; i++)
        gates[i].version = 1;
    pthread_create(&z, NULL, sleeper, NULL);
    for (int i = 0; i < PUBLISHERS; i++)
        pthread_create(&p[i], NULL, ROOM ? freer : publisher, &ids[i]);
    pthread_join(z, NULL);
    for (int i = 0; i < PUBLISHERS; i++)
        pthread_join(p[i], NULL);
    if (POLL)
        asleep = asleep && M_READ(&rung) == 0;
    else
        asleep = asleep && slept_on == shm_ld(T9, &m_endpoints[Z].wake);
    assert(!(asleep && look()) && "a wake-up is lost");
    assert(!POLL || M_READ(&rung) <= 1);
    return 0;
}
