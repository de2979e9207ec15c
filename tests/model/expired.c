/* expired - an expired record goes to the dead-letter topic before it is done.
 *
 * V, the reader of an exclusive group, or with -DSHARED=1 a member of a shared
 * one, has taken a record that is too old: it publishes a copy and then ends it
 * like any other, by the floor or by its claim. W looks at the floor. -DKILL=1:
 * V may be killed before any access; then N takes the role over, or the claim,
 * and finds the record as old. -DDURABLE=1: D writes copies to a log and raises
 * the mark; V moves on below it only. Shown: whoever sees the floor pass the
 * record sees its copy (BURIED, deadletter.h); in the end the record is done
 * and a copy is there, two only where V was killed. Must fail: BAD=1 it is done
 * first, 2 (durable) done when published.
 *
 * ok: -DKILL=1
 * ok: -DKILL=1 -DSHARED=1
 * ok: -DKILL=1 -DDURABLE=1
 * ok: -DKILL=1 -DSHARED=1 -DDURABLE=1
 * bad: -DBAD=1
 * bad: -DSHARED=1 -DBAD=1
 * bad: -DDURABLE=1 -DBAD=2
 * bad: -DSHARED=1 -DDURABLE=1 -DBAD=2 */
#define M_MORTAL 1
#define M_ENDPOINTS 3
#define M_GROUPS 1
#include "dead_topic.h"

#ifndef KILL
#define KILL 0
#endif
#ifndef SHARED
#define SHARED 0
#endif

#define V_IDENTITY 77u
#define N_IDENTITY 88u

static struct shmqi_gate gate;
static struct m_member v, n;
static uint64_t floor_v, floor_n;

/* The floor word, when the role is to be had: take_floor() in reader_role.c. */
static bool take_role(uint64_t identity, uint64_t *ret_floor)
{
    uint64_t tag, seen;
    if (!shmqi_role_take(&m_groups[0], 0, identity))
        return false;
    for (int i = 0; i < 3; i++)
        if (shmqi_role_tag(&m_groups[0], identity, ret_floor, &tag, &seen) ==
            SHMQI_TAGGED)
            return true;
    return false;
}

static void done(struct m_member *m, uint64_t *floor)
{
    if (SHARED)
        (void)m_ack(m);
    else
        (void)m_floor(&m_ring, 0, floor, shmqi_pos(1, 0));
}

/* As shmqi_expire(), of a record in hand. */
static void expire(struct m_member *m, uint64_t *floor)
{
    uint64_t w;
    if (shmqi_mpmc_look(&m_ring, 0, &w) != 0)
        return;
    shmqi_word *at = m_frame_at(&m_ring, shmqi_slot_frame(w));
    uint64_t x = M_READ(at), y = M_READ(at + 1);
    if (BAD == 1)
        done(m, floor);
    uint64_t copy = dead_send(m->idx, x, y);
    if (BAD != 1 && (BAD == 2 || dead_mark() > copy))
        done(m, floor);
}

static void *victim(void *arg)
{
    m_mortal = KILL;
    expire(&v, &floor_v);
    return arg;
}

static void *killer(void *arg)
{
    M_INIT(&m_stop, 1);
    return arg;
}

static void *witness(void *arg)
{
    if (shmqi_claims_floor(&n.find.claims, 0) >= 1) {
        bool there = dead_arrived(0);
        assert(there && "the floor has passed what has not arrived");
    }
    return arg;
}

static void begin(void)
{
    uint64_t seq;
    bool mine;
    m_topic(SHMQ_RING_MPMC);
    m_group(0, SHARED ? SHMQ_GROUP_SHARED : SHMQ_GROUP_EXCLUSIVE);
    dead_topic();
    gate.version = 1;
    M_INIT(m_frame_at(&m_ring, 0) + 1, 10);
    (void)m_mpmc_put(&m_ring, &gate, 0, 10, &seq);
    m_endpoint(0, V_IDENTITY);
    m_endpoint(1, N_IDENTITY);
    m_member_open(&m_ring, &v, 0);
    m_member_open(&m_ring, &n, 1);
    v.find.epoch = n.find.epoch = 0;
    mine = SHARED ? m_take_fresh(&v) : take_role(V_IDENTITY, &floor_v);
    assert(mine);
}

/* V is dead, or looks at the mark again, which has risen. */
static void go_on(void)
{
    m_reap(&m_ring, 2, 0, V_IDENTITY);
    bool mine = SHARED ? m_poll(&n) : take_role(N_IDENTITY, &floor_n);
    if (!SHARED)
        assert(mine && "the role does not pass");
    if (mine && shmqi_claims_floor(&n.find.claims, 0) == 0)
        expire(&n, &floor_n);
    if (!DURABLE)
        return;
    (void)dead_drain(NULL);
    if (mine && shmqi_claims_floor(&n.find.claims, 0) == 0)
        done(&n, &floor_n);
}

int main(void)
{
    pthread_t tv, tk, tw;
    uint64_t w;
    begin();
    pthread_create(&tv, NULL, victim, NULL);
    if (KILL)
        pthread_create(&tk, NULL, killer, NULL);
    pthread_create(&tw, NULL, witness, NULL);
    dead_begin();
    pthread_join(tv, NULL);
    if (KILL)
        pthread_join(tk, NULL);
    pthread_join(tw, NULL);
    dead_end();
    if (KILL || DURABLE)
        go_on();
    assert(shmqi_claims_floor(&n.find.claims, 0) == 1 && "it is never done");
    assert(dead_arrived(0) && "an expired record is nowhere");
    bool second = shmqi_mpmc_look(&dead, 1, &w) == 0;
    assert((!second || KILL || DURABLE) && "two copies, for no reason");
    return 0;
}
