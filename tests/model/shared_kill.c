/* shared_kill - a member killed at any access, reapers that stall, nack.
 *
 * One frame. S (endpoint 0) takes it and then acknowledges it, or gives it back
 * (-DNACK=1); it may be killed before any access. C (endpoint 1) lives on and
 * polls. -DREAP=1: a reaper R (endpoint 2) that may stop for ever before any
 * access, then the main thread reaps as well (3). -DREUSE=1: S dies with its
 * claim, Y reaps it, too, takes endpoint 0 with a new identity, and the frame,
 * while R may still be at work; C polls at the end only.
 * -DSTOP=1: S is stopped, not dead: nobody reaps. Shown: in the end the frame
 * is done and the floor has moved, or somebody who lives has it; nobody loses a
 * claim to a late reaper. Must fail: BAD=1 (REUSE) the identity is not looked
 * at again before the CAS, 2 the reaper frees without telling, 3 (NACK, STOP)
 * the announcement is taken back before the epoch moves, 4 (same) it is made
 * after the freeing.
 *
 * ok:
 * ok: -DREAP=1
 * ok: -DREAP=1 -DREUSE=1
 * ok: -DNACK=1
 * ok: -DNACK=1 -DSTOP=1
 * ok: -DNACK=1 -DREAP=1
 * bad: -DREAP=1 -DREUSE=1 -DBAD=1
 * bad: -DBAD=2
 * bad: -DNACK=1 -DSTOP=1 -DBAD=3
 * bad: -DNACK=1 -DSTOP=1 -DBAD=4 */
#define M_MORTAL 1
#define M_ENDPOINTS 4
#include "model.h"

#ifndef NACK
#define NACK 0
#endif
#ifndef REAP
#define REAP 0
#endif
#ifndef REUSE
#define REUSE 0
#endif
#ifndef STOP
#define STOP 0
#endif

#define S_IDENTITY 70u
#define Y_IDENTITY 71u

static struct shmqi_gate gate;
static struct m_member s, c, y;
static struct shmqi_claims claims;
static pthread_t ts;
static bool got_y, y_stale;
static shmqi_word acked;

static void nack(struct m_member *m)
{
    shmqi_word *freeing = &m->k.group->freeing[0];
    uint64_t bit = 1ull << m->idx;
    if (BAD != 4)
        shmqi_freeing_begin(&m->k, m->idx);
    (void)shm_cas(
        S9, shmqi_claim_at(&m->k, m->seq), m->held, shmqi_claim_freed(m->held));
    if (BAD == 4)
        shmqi_freeing_begin(&m->k, m->idx);
    if (BAD == 3)
        (void)shm_and(S7, freeing, ~bit);
    shmqi_freeing_end(&m->k, m->idx);
}

static void finish(struct m_member *m)
{
    if (m_ack(m))
        (void)shm_add(N3, &acked, 1);
}

static void *victim(void *arg)
{
    m_mortal = !REUSE;
    if (!m_take_fresh(&m_ring, &s) || REUSE)
        return arg; /* REUSE: it dies with its claim */
    if (NACK)
        nack(&s);
    else
        finish(&s);
    return arg;
}

static void *killer(void *arg)
{
    M_INIT(&m_stop, 1);
    return arg;
}

static void *survivor(void *arg)
{
    if (m_poll(&m_ring, &c))
        finish(&c);
    return arg;
}

static void *reaper(void *arg)
{
    pthread_join(ts, NULL);
    m_mortal = !REUSE;
    m_reap(&m_ring, &claims, 2, 0, S_IDENTITY);
    return arg;
}

/* Reaps, too, and takes S's endpoint. */
static void *newcomer(void *arg)
{
    pthread_join(ts, NULL);
    m_reap(&m_ring, &claims, 3, 0, S_IDENTITY);
    if (!shm_cas(E2, &m_endpoints[0].identity, 0, Y_IDENTITY))
        return arg;
    m_member_open(&m_ring, &y, 0);
    got_y = m_poll(&m_ring, &y);
    if (got_y)
        y_stale = !m_ack(&y);
    return arg;
}

int main(void)
{
    pthread_t tk, tc, tr, ty;
    uint64_t seq;
    m_topic(SHMQ_RING_MPMC);
    m_group(0, SHMQ_GROUP_SHARED);
    gate.version = 1;
    (void)m_mpmc_put(&m_ring, &gate, 0, 10, &seq);
    M_INIT(&m_endpoints[0].identity, S_IDENTITY);
    m_member_open(&m_ring, &s, 0);
    m_member_open(&m_ring, &c, 1);
    s.epoch = c.epoch = 0;
    m_claims_open(&m_ring, &claims);
    pthread_create(&ts, NULL, victim, NULL);
    if (!REUSE) {
        pthread_create(&tk, NULL, killer, NULL);
        pthread_create(&tc, NULL, survivor, NULL);
    }
    if (REAP)
        pthread_create(&tr, NULL, reaper, NULL);
    else
        pthread_join(ts, NULL);
    if (REUSE)
        pthread_create(&ty, NULL, newcomer, NULL);
    if (REUSE) {
        pthread_join(ty, NULL);
    } else {
        pthread_join(tk, NULL);
        pthread_join(tc, NULL);
    }
    if (REAP)
        pthread_join(tr, NULL);
    if (!STOP)
        m_reap(&m_ring, &claims, 3, 0, S_IDENTITY);
    assert(!y_stale && "a living member lost its claim");
    for (int i = 0; i < 2; i++)
        if (m_poll(&m_ring, &c))
            finish(&c);
    (void)m_poll(&m_ring, &c);
    uint64_t k = shm_ld(S2, &m_claims[0]);
    if (STOP && shmqi_claim_held_by(k, 0))
        return 0; /* the stopped one has it */
    assert(shmqi_claim_age(&c.k, k, 0) == 0 &&
        shmqi_claim_unpack(k).state == SHMQI_CLAIM_DONE &&
        "a freed claim is never found again");
    assert(shmqi_claims_floor(&c.k, 0) == 1 && "the floor stays behind");
    return 0;
}
