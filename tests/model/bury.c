/* bury - a poison record goes to the dead-letter topic, a ring of its own.
 *
 * Its attempts are used up. A (endpoint 0) buries it: claims, copies, looks
 * again, publishes the copy, moves on. W looks at the floor. C (endpoint 1) was
 * there all the time and drains in the end. Shown: whoever sees the floor pass
 * the record sees its copy (BURIED, deadletter.h); a copy is there in the end,
 * and the frame is done; there are two only where A was killed. -DKILL=1: A may
 * be killed before any access. -DRACE=1: C buries it at the same time.
 * -DDURABLE=1: D writes copies to a log and raises the mark; a copy counts only
 * below it. -DRECORDS=2: another record stands behind it in the frame; it comes
 * to C. -DSLOW=1: A's lease ends: C buries the record and P overwrites it while
 * A is at any access. Then shown: what A publishes is whole. Must fail: BAD=1
 * the claim moves on before the copy is published, 2 the copy is not looked at
 * again, 3 (durable) moved on when published, 4 the whole frame
 * goes; SHMQ_BUG_BURIED_UNTOLD the rest of it is freed unannounced.
 *
 * ok: -DKILL=1
 * ok: -DRACE=1
 * ok: -DKILL=1 -DRECORDS=2
 * ok: -DDURABLE=1
 * ok: -DKILL=1 -DDURABLE=1
 * ok: -DSLOW=1
 * big: -DRACE=1 -DRECORDS=2
 * bad: -DBAD=1
 * bad: -DSLOW=1 -DBAD=2
 * bad: -DDURABLE=1 -DBAD=3
 * bad: -DRACE=1 -DRECORDS=2 -DSHMQ_BUG_BURIED_UNTOLD
 * bad: -DRECORDS=2 -DBAD=4 */
#define M_MORTAL 1
#define M_ENDPOINTS 3
#define M_GROUPS 1
#include "dead_topic.h"

#ifndef KILL
#define KILL 0
#endif
#ifndef RACE
#define RACE 0
#endif
#ifndef SLOW
#define SLOW 0
#endif
#ifndef RECORDS
#define RECORDS 1
#endif

#define A_IDENTITY 70u
#define ATTEMPTS 1u

static struct shmqi_gate gate;
static struct m_member a, c;
static bool rest_done;

/* -- members --------------------------------------------------------------- */

/* As shmqi_dead_end(). */
static void end(struct m_member *m, uint64_t seq, uint64_t held, bool safe)
{
    const struct shmqi_claims *k = &m->find.claims;
    if (!safe) {
        shmqi_claim_unburied(k, seq, held);
        return;
    }
    (void)shmqi_claim_buried(k, m->idx, seq, held, BAD == 4 ? 1 : RECORDS);
    shmqi_claims_walk(k, m->find.near);
}

/* As shmqi_dead_letter() and shmqi_dead_look(). */
static void bury(struct m_member *m, uint64_t seq, uint64_t k, uint64_t slot)
{
    uint64_t held;
    if (!shmqi_claim_take(
            &m->find.claims, seq, k, m->idx, SHMQI_CLAIM_DEADLETTER, &held))
        return;
    shmqi_word *at = m_frame_at(&m_ring, shmqi_slot_frame(slot));
    uint64_t x = M_READ(at), y = M_READ(at + 1);
    shm_fence(C2);
    if (BAD != 2 &&
        (shm_ld(S2, shmqi_claim_at(&m->find.claims, seq)) != held ||
            !shmqi_mpmc_copy_valid(&m_ring, seq, slot, 0))) {
        end(m, seq, held, false);
        return;
    }
    if (BAD == 1)
        end(m, seq, held, true);
    uint64_t copy = dead_send(m->idx, x, y);
    if (BAD == 3 || dead_mark() > copy)
        end(m, seq, held, true);
}

/* As take() in member.c. */
static enum shmqi_taken take(
    void *ctx, uint64_t seq, uint64_t k, uint64_t slot, bool lost)
{
    struct m_member *m = ctx;
    bool again = shmqi_claim_age(&m->find.claims, k, seq) == 0;
    if (!again || seq > 0)
        return SHMQI_TAKE_NEXT; /* P's frame: not of interest here */
    if (shmqi_claim_unpack(k).attempt >= ATTEMPTS) {
        bury(m, seq, k, slot);
        return SHMQI_TAKE_NEXT;
    }
    return m_take(ctx, seq, k, slot, lost);
}

/* As m_poll(); the record behind the poison is acknowledged. */
static void poll(struct m_member *m)
{
    bool idle;
    if (shmqi_find_fresh(&m->find, shmqi_look_ring, take, m, &idle) !=
            SHMQI_TAKEN &&
        shmqi_find_freed(&m->find, false, shmqi_look_ring, take, m) !=
            SHMQI_TAKEN)
        return;
    assert(RECORDS == 2 && shmqi_claim_unpack(m->held).done == 1);
    uint64_t w;
    rest_done |=
        shmqi_claim_ack(&m->find.claims, m->seq, m->held, 2, RECORDS, &w);
    shmqi_claims_walk(&m->find.claims, m->seq);
}

static void *burier(void *arg)
{
    uint64_t k = M_READ(&m_claims[0]);
    m_mortal = KILL;
    struct shmqi_claim u = shmqi_claim_unpack(k);
    if (u.state == SHMQI_CLAIM_FREE && u.attempt >= ATTEMPTS)
        bury(&a, 0, k, M_READ(&m_slots[0]));
    return arg;
}

static void *killer(void *arg)
{
    M_INIT(&m_stop, 1);
    return arg;
}

static void *witness(void *arg)
{
    if (shmqi_claims_floor(&c.find.claims, 0) >= 1) {
        bool there = dead_arrived(0);
        assert(there && "the floor has passed what has not arrived");
    }
    return arg;
}

static void *survivor(void *arg)
{
    poll(&c);
    return arg;
}

/* -DSLOW=1: C, whose own copy is somewhere else, and P. */
static void *others(void *arg)
{
    uint64_t seq, held;
    (void)shmqi_clear_leases(&m_ring, 1, 0, 5);
    uint64_t k = shm_ld(S2, &m_claims[0]);
    if (shmqi_claim_unpack(k).state != SHMQI_CLAIM_FREE ||
        !shmqi_claim_take(
            &c.find.claims, 0, k, 1, SHMQI_CLAIM_DEADLETTER, &held))
        return arg;
    (void)shmqi_claim_buried(&c.find.claims, 1, 0, held, 1);
    shmqi_claims_walk(&c.find.claims, 0);
    (void)shmqi_gate_refresh(&m_ring, &gate, 1, NULL);
    assert(gate.seq == 1);
    shmqi_arena_reclaim(&m_ring, 0, gate.seq);
    shm_st(N2, m_frame_at(&m_ring, 0), 11);
    shm_st(N2, m_frame_at(&m_ring, 0) + 1, 11);
    (void)shmqi_mpmc_publish(&m_ring, &gate, 0, &seq);
    return arg;
}

static void begin(void)
{
    uint64_t seq;
    m_topic(SHMQ_RING_MPMC);
    m_group(0, SHMQ_GROUP_SHARED);
    dead_topic();
    gate.version = 1;
    M_INIT(m_frame_at(&m_ring, 0) + 1, 10);
    (void)m_mpmc_put(&m_ring, &gate, 0, 10, &seq);
    m_endpoint(0, A_IDENTITY);
    m_endpoint(1, 1);
    M_INIT(&m_endpoints[0].lease, SLOW);
    m_member_open(&m_ring, &a, 0);
    m_member_open(&m_ring, &c, 1);
    struct shmqi_claim k = {
        shmqi_claim_lap(0, M_CLAIM_LG2), SHMQI_CLAIM_FREE, 0, ATTEMPTS, 0};
    M_INIT(&m_claims[0], shmqi_claim_pack(k));
    M_INIT(&m_groups[0].next, shmqi_next(1, 1));
    c.find.epoch = 0; /* whoever gave the poison back has told */
}

static void check(void)
{
    uint64_t k = shm_ld(S2, &m_claims[0]), w;
    bool second = shmqi_mpmc_look(&dead, 1, &w) == 0;
    if (DURABLE && shmqi_claim_held_by(k, 1))
        return; /* C has not looked at the mark again */
    assert(dead_arrived(0) && "a poison record is nowhere");
    assert((!second || KILL || DURABLE) && "two copies, for no reason");
    assert(shmqi_claim_unpack(k).state == SHMQI_CLAIM_DONE &&
        "what is left is never found");
    assert((RECORDS == 1 || rest_done) && "a good record went with the poison");
    assert(shmqi_claims_floor(&c.find.claims, 0) == 1);
}

int main(void)
{
    pthread_t ta, tk, tc, tw;
    begin();
    pthread_create(&ta, NULL, burier, NULL);
    if (KILL)
        pthread_create(&tk, NULL, killer, NULL);
    if (RACE || SLOW)
        pthread_create(&tc, NULL, SLOW ? others : survivor, NULL);
    if (!SLOW)
        pthread_create(&tw, NULL, witness, NULL);
    dead_begin();
    pthread_join(ta, NULL);
    if (KILL)
        pthread_join(tk, NULL);
    if (RACE || SLOW)
        pthread_join(tc, NULL);
    if (!SLOW)
        pthread_join(tw, NULL);
    dead_end();
    if (SLOW) {
        (void)dead_arrived(0);
        return 0;
    }
    if (KILL || DURABLE) /* what A has in hand goes to C */
        m_reap(&m_ring, 2, 0, A_IDENTITY);
    for (int i = 0; i < 3; i++)
        poll(&c);
    if (DURABLE)
        (void)dead_drain(NULL);
    check();
    return 0;
}
