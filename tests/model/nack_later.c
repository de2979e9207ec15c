/* nack_later - claims that go back when their time has come.
 *
 * S (endpoint 0) has two frames and keeps the claims for a while; when both are
 * due it frees them under one announcement, as shmqi_member_delayed(). C
 * (endpoint 1), who has looked at everything before, polls beside it and drains
 * in the end. -DKILL=1: S may be killed before any access, then it is reaped.
 * -DLEASE=1: E ends S's lease meanwhile. -DSTOP=1: S stops for ever at any
 * access and nobody reaps. Shown: C gets every frame that S has not kept, with
 * exactly one attempt more, and no frame has two owners. Must fail: BAD=1 the
 * announcement is taken back before the second claim is freed, 2 claims are
 * freed before they are announced, 3 freed without looking whose they are.
 *
 * ok:
 * ok: -DKILL=1
 * ok: -DLEASE=1 -DPOLLS=0
 * ok: -DSTOP=1
 * big: -DKILL=1 -DLEASE=1 -DPOLLS=0
 * bad: -DPOLLS=2 -DBAD=1
 * bad: -DSTOP=1 -DBAD=2
 * bad: -DLEASE=1 -DBAD=3 */
#define M_MORTAL 1
#define M_ENDPOINTS 3
#define M_GROUPS 1
#define M_PRODUCERS 1
#define M_ARENA_LG2 7
#include "model.h"

#ifndef KILL
#define KILL 0
#endif
#ifndef LEASE
#define LEASE 0
#endif
#ifndef POLLS
#define POLLS 1
#endif
#ifndef STOP
#define STOP 0
#endif

#define S_IDENTITY 70u
#define FRAMES 2u

static struct shmqi_gate gate;
static struct m_member s[FRAMES], c;
static bool mine[FRAMES]; /* C has acknowledged it */

static void free_claim(uint32_t i)
{
    shmqi_word *at = shmqi_claim_at(&s[i].find.claims, s[i].seq);
    if (BAD == 3)
        shm_st(N2, at, shmqi_claim_freed(s[i].held));
    else
        (void)shm_cas(S9, at, s[i].held, shmqi_claim_freed(s[i].held));
}

static void *delayed(void *arg)
{
    const struct shmqi_claims *k = &s[0].find.claims;
    m_mortal = KILL || STOP;
    if (BAD != 2)
        shmqi_freeing_begin(k, 0);
    free_claim(0);
    if (BAD == 1)
        shmqi_freeing_end(k, 0);
    free_claim(1);
    if (BAD == 2)
        shmqi_freeing_begin(k, 0);
    if (BAD != 1)
        shmqi_freeing_end(k, 0);
    return arg;
}

static void *killer(void *arg)
{
    M_INIT(&m_stop, 1);
    return arg;
}

static void *expirer(void *arg)
{
    (void)shmqi_clear_leases(&m_ring, 2, 0, 5);
    return arg;
}

static void poll(void)
{
    if (!m_poll(&c))
        return;
    uint32_t attempt = shmqi_claim_unpack(c.held).attempt;
    assert(attempt == 1 && "an attempt is not counted, or twice");
    bool done = m_ack(&c);
    assert(done && "a claim was taken from who lives");
    assert(!mine[c.seq]);
    mine[c.seq] = true;
}

static void *survivor(void *arg)
{
    for (int i = 0; i < POLLS; i++)
        poll();
    return arg;
}

static void begin(void)
{
    uint64_t seq;
    m_topic(SHMQ_RING_MPMC);
    m_group(0, SHMQ_GROUP_SHARED);
    gate.version = 1;
    m_endpoint(0, S_IDENTITY);
    m_endpoint(1, 1);
    m_endpoint(2, 2);
    M_INIT(&m_endpoints[0].lease, LEASE);
    m_member_open(&m_ring, &c, 1);
    c.find.epoch = 0;
    for (uint32_t i = 0; i < FRAMES; i++) {
        (void)m_mpmc_put(&m_ring, &gate, i, 10 + i, &seq);
        m_member_open(&m_ring, &s[i], 0);
        s[i].find.epoch = 0;
        bool got = m_take_fresh(&s[i]);
        assert(got);
    }
}

int main(void)
{
    pthread_t ts, tk, te, tc;
    begin();
    pthread_create(&ts, NULL, delayed, NULL);
    if (KILL || STOP)
        pthread_create(&tk, NULL, killer, NULL);
    if (LEASE)
        pthread_create(&te, NULL, expirer, NULL);
    pthread_create(&tc, NULL, survivor, NULL);
    pthread_join(ts, NULL);
    if (KILL || STOP)
        pthread_join(tk, NULL);
    if (LEASE)
        pthread_join(te, NULL);
    pthread_join(tc, NULL);
    if (KILL)
        m_reap(&m_ring, 2, 0, S_IDENTITY);
    for (uint32_t i = 0; i < FRAMES + 1; i++)
        poll();
    for (uint32_t i = 0; i < FRAMES; i++)
        assert(
            (mine[i] ||
                (STOP && shmqi_claim_held_by(shm_ld(S2, &m_claims[i]), 0))) &&
            "a claim that was given back is never found");
    if (mine[0] && mine[1])
        assert(shmqi_claims_floor(&c.find.claims, 0) == FRAMES);
    return 0;
}
