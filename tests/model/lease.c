/* lease - claims of a leased group move by time, of those alone whose lease is
 * over.
 *
 * M (endpoint 0), whose last lease is over and who holds nothing, renews it,
 * claims the frame, copies it and acknowledges; E (endpoint 1) ends leases as
 * of a time before M's new deadline. Shown: E does not take M's claim.
 * -DLATE=1: M's new lease is over, too: E may take the claim, then M's
 * acknowledgement fails and C (endpoint 2), who was there all the time, finds
 * the frame.
 *
 * ok:
 * ok: -DLATE=1
 * mutate(S):
 * mutate(S): -DLATE=1
 * bad: -DBAD=1
 * bad: -DEDGE_S11=memory_order_relaxed -DEDGE_S2=memory_order_relaxed */
#define M_ENDPOINTS 3
#define M_GROUPS 1
#define M_PRODUCERS 1
#ifndef LATE
#define LATE 0
#endif
#include "model.h"

#define NOW 5u

static struct shmqi_gate gate;
static struct m_member m, c;
static bool done, done_c;

static void renew(void)
{
    shm_st(S12, &m_endpoints[0].lease, LATE ? 2 : 10);
}

/* As shmqi_member_next(). BAD=1: the lease is renewed after the claim. */
static void *member(void *arg)
{
    if (BAD != 1)
        renew();
    bool got = m_take_fresh(&m);
    if (BAD == 1)
        renew();
    if (got)
        done = m_ack(&m);
    assert((done || LATE || !got) && "a claim within its lease was taken");
    return arg;
}

static void *expirer(void *arg)
{
    (void)shmqi_clear_leases(&m_ring, 1, 0, NOW);
    return arg;
}

static void *survivor(void *arg)
{
    if (m_poll(&c))
        done_c |= m_ack(&c);
    return arg;
}

int main(void)
{
    pthread_t tm, te, tc;
    uint64_t seq;
    m_topic(SHMQ_RING_MPMC);
    m_group(0, SHMQ_GROUP_SHARED);
    gate.version = 1;
    (void)m_mpmc_put(&m_ring, &gate, 0, 10, &seq);
    m_endpoint(0, 70);
    m_endpoint(1, 71);
    m_endpoint(2, 72);
    M_INIT(&m_endpoints[0].lease, 1);
    M_INIT(&m_endpoints[2].lease, 100);
    m_member_open(&m_ring, &m, 0);
    m_member_open(&m_ring, &c, 2);
    m.find.epoch = c.find.epoch = 0;
    pthread_create(&tm, NULL, member, NULL);
    pthread_create(&te, NULL, expirer, NULL);
    if (LATE)
        pthread_create(&tc, NULL, survivor, NULL);
    pthread_join(tm, NULL);
    pthread_join(te, NULL);
    if (LATE)
        pthread_join(tc, NULL);
    for (int i = 0; i < 2 && LATE; i++)
        if (m_poll(&c))
            done_c |= m_ack(&c);
    assert(!(done && done_c) && "two owners have acknowledged it");
    uint64_t k = shm_ld(S2, &m_claims[0]);
    assert(shmqi_claim_unpack(k).state == SHMQI_CLAIM_DONE &&
        "a claim that was moved is never found again");
    shmqi_claims_walk(&c.find.claims, 0);
    assert(shmqi_claims_floor(&c.find.claims, 0) == 1);
    return 0;
}
