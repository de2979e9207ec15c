/* shared_kill - a member killed at any access, another one stopped at any
 * access, reapers that stall, nack.
 *
 * One frame. S (endpoint 0) takes it and then acknowledges it, or gives it back
 * (-DNACK=1); it may be killed before any access. C (endpoint 1) lives on and
 * polls; it is there from the beginning and drains in the end. -DREAP=1: a
 * reaper R (endpoint 2) that may stop for ever before any access, then the main
 * thread reaps as well (3). -DTWO=1: another member T (endpoint 2) that may be
 * stopped before any access, and is not dead: nobody reaps it. -DREUSE=1: S
 * dies with its claim, Y reaps it, too, takes endpoint 0 with a new identity,
 * joins and takes the frame, while R may still be at work; C polls at the end
 * only. -DSTOP=1: S is stopped, not dead: nobody reaps. Shown: in the end the
 * frame is done and the floor has moved, or somebody who is not dead has it;
 * nobody loses a claim to a late reaper.
 *
 * ok:
 * ok: -DREAP=1
 * big: -DREAP=1 -DREUSE=1
 * big: -DTWO=1
 * ok: -DNACK=1
 * ok: -DNACK=1 -DSTOP=1
 * big: -DNACK=1 -DTWO=1
 * big: -DNACK=1 -DREAP=1
 * big: -DTWO=1 -DREAP=1
 * mutate(SC): -DNACK=1 -DSTOP=1
 * bad: -DNACK=1 -DSTOP=1 -DBAD=1 */
#define M_MORTAL 1
#define M_ENDPOINTS 4
#define M_GROUPS 1
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
#ifndef TWO
#define TWO 0
#endif

#define S_IDENTITY 70u
#define Y_IDENTITY 71u

static struct shmqi_gate gate;
static struct m_member s, c, t, y;
static pthread_t ts;
static bool got_y, y_stale;
static shmqi_word acked;

/* The seeded bug: it is freed before it is announced. */
static void nack(struct m_member *m)
{
    if (BAD == 1)
        (void)shm_cas(S9, shmqi_claim_at(&m->find.claims, m->seq), m->held,
            shmqi_claim_freed(m->held));
    (void)shmqi_claim_nack(&m->find.claims, m->idx, m->seq, m->held);
}

static void finish(struct m_member *m)
{
    if (m_ack(m))
        (void)shm_add(N3, &acked, 1);
}

static void *victim(void *arg)
{
    m_mortal = !REUSE;
    if (!m_take_fresh(&s) || REUSE)
        return arg; /* REUSE: it dies with its claim */
    if (NACK)
        nack(&s);
    else
        finish(&s);
    return arg;
}

static void *stopped(void *arg)
{
    m_mortal = true;
    if (m_take_fresh(&t))
        finish(&t);
    return arg;
}

static void *killer(void *arg)
{
    M_INIT(&m_stop, 1);
    return arg;
}

static void *survivor(void *arg)
{
    if (m_poll(&c))
        finish(&c);
    return arg;
}

static void *reaper(void *arg)
{
    pthread_join(ts, NULL);
    m_mortal = !REUSE;
    m_reap(&m_ring, 2, 0, S_IDENTITY);
    return arg;
}

/* Reaps, too, takes S's endpoint and joins the group. */
static void *newcomer(void *arg)
{
    struct shmqi_fields f = {0};
    uint32_t generation;
    pthread_join(ts, NULL);
    m_reap(&m_ring, 3, 0, S_IDENTITY);
    if (!shmqi_entry_take(&m_ring, 0, Y_IDENTITY))
        return arg;
    shmqi_entry_fill(&m_ring, 0, &f);
    bool valid = shmqi_entry_valid(&m_ring, 0, Y_IDENTITY);
    assert(valid && "a living endpoint was reaped");
    if (shmqi_life_join(&m_ring, 0, 0, 0, shmqi_bind_word(&m_ring, 0),
            &generation) != SHMQI_JOINED)
        return arg;
    m_member_open(&m_ring, &y, 0);
    got_y = m_poll(&y);
    if (got_y)
        y_stale = !m_ack(&y);
    return arg;
}

int main(void)
{
    pthread_t tk, tc, tr, ty, tt;
    uint64_t seq;
    m_topic(SHMQ_RING_MPMC);
    m_group(0, SHMQ_GROUP_SHARED);
    gate.version = 1;
    (void)m_mpmc_put(&m_ring, &gate, 0, 10, &seq);
    m_endpoint(0, S_IDENTITY);
    m_endpoint(1, 1);
    m_member_open(&m_ring, &s, 0);
    m_member_open(&m_ring, &c, 1);
    m_member_open(&m_ring, &t, 2);
    s.find.epoch = c.find.epoch = t.find.epoch = 0;
    pthread_create(&ts, NULL, victim, NULL);
    if (TWO)
        pthread_create(&tt, NULL, stopped, NULL);
    if (!REUSE) {
        pthread_create(&tk, NULL, killer, NULL);
        pthread_create(&tc, NULL, survivor, NULL);
    }
    if (REAP)
        pthread_create(&tr, NULL, reaper, NULL);
    else
        pthread_join(ts, NULL);
    if (REUSE) {
        pthread_create(&ty, NULL, newcomer, NULL);
        pthread_join(ty, NULL);
    } else {
        pthread_join(tk, NULL);
        pthread_join(tc, NULL);
    }
    if (REAP)
        pthread_join(tr, NULL);
    if (TWO)
        pthread_join(tt, NULL);
    if (!STOP)
        m_reap(&m_ring, 3, 0, S_IDENTITY);
    assert(!y_stale && "a living member lost its claim");
    for (int i = 0; i < 2; i++)
        if (m_poll(&c))
            finish(&c);
    (void)m_poll(&c);
    uint64_t k = shm_ld(S2, &m_claims[0]);
    if ((STOP && shmqi_claim_held_by(k, 0)) ||
        (TWO && shmqi_claim_held_by(k, 2)))
        return 0; /* the stopped one has it */
    assert(shmqi_claim_age(&c.find.claims, k, 0) == 0 &&
        shmqi_claim_unpack(k).state == SHMQI_CLAIM_DONE &&
        "a freed claim is never found again");
    assert(
        shmqi_claims_floor(&c.find.claims, 0) == 1 && "the floor stays behind");
    return 0;
}
